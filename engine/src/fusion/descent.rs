//! How vertices move: Adam's step with one power for the three axes of a vertex, in lengths that the vertex wants its edges to have (Palfinger
//! 2022). Places that still move want long edges, those that have come to rest short ones, so large parts find their place before details do.

use super::remesh::{Edges, Surface};
use super::vector::{V3, accumulate, add, dot, length, scaled, sub};

/// How long gradients are remembered: share of the mean that is kept in a step. The same for their power.
const MEMORY: f32 = 0.8;
/// A gradient may be so many times as long as usual.
const SURPRISE: f32 = 10.0;
/// The speed at which edges keep their length.
const STEADY: f32 = 0.3;
/// By which share lengths change in a step for each unit of speed above or below [`STEADY`].
const GAIN: f32 = 0.2;

/// A descent.
#[derive(Clone, Copy, Debug)]
pub struct Descent {
    /// Shortest and longest edges, in the scene.
    pub lengths: [f32; 2],
    /// How far a vertex at full speed moves in a step, as a share of its length.
    pub rate: f32,
    /// How strongly a moving vertex is drawn to the mean of its neighbours.
    pub smoothing: f32,
    /// Steps that were taken.
    pub taken: u32,
}

impl Descent {
    /// Moves the vertices against a gradient, at a share of the rate, and changes the lengths that they want.
    pub fn step(&mut self, surface: &mut Surface, edges: &Edges, gradient: &[V3<f32>], share: f32) {
        let means = neighbour_means(surface, edges);
        let kept = |steps: u32| 1.0 - MEMORY.powi(steps as i32);
        let (before, now) = (kept(self.taken), kept(self.taken + 1));
        self.taken += 1;
        let (old, new) = (MEMORY * before / now, (1.0 - MEMORY) / now);
        // Means of few steps say little: the first steps are short.
        let warm = (self.taken as f32 * (1.0 - MEMORY)).min(1.0);
        for ((vertex, mean), gradient) in surface.vertices.iter_mut().zip(means).zip(gradient) {
            // A triangle may be so thin that rounding leaves nothing of it.
            let mut g = if gradient.iter().all(|x| x.is_finite()) { *gradient } else { [0.0; 3] };
            accumulate(&mut g, sub(vertex.position, mean), self.smoothing * vertex.speed);
            let most = SURPRISE * vertex.power.sqrt();
            let norm = length(g);
            if self.taken > 1 && most > 0.0 && norm > most {
                g = scaled(g, most / norm);
            }
            vertex.momentum = add(scaled(vertex.momentum, old), scaled(g, new));
            vertex.power = old * vertex.power + new * dot(g, g);
            let velocity = scaled(vertex.momentum, 1.0 / (vertex.power.sqrt() + 1e-12));
            vertex.speed = length(velocity);
            accumulate(&mut vertex.position, velocity, -self.rate * share * warm * vertex.length);
            let wanted = vertex.length * (1.0 + GAIN * (vertex.speed - STEADY));
            vertex.length = wanted.clamp(self.lengths[0], self.lengths[1]);
        }
    }
}

/// The mean of each vertex's neighbours.
fn neighbour_means(surface: &Surface, edges: &Edges) -> Vec<V3<f32>> {
    let mut sums = vec![([0.0; 3], 0.0f32); surface.vertices.len()];
    for &[a, b] in &edges.ends {
        for (at, other) in [(a, b), (b, a)] {
            let sum = &mut sums[at as usize];
            sum.0 = add(sum.0, surface.vertices[other as usize].position);
            sum.1 += 1.0;
        }
    }
    sums.into_iter().map(|(sum, count)| scaled(sum, 1.0 / count.max(1.0))).collect()
}
