//! Smoothness: the normals of two places beside each other on the surface should be alike.
//!
//! Where photos show little, or explain as much by colour as by shape, nothing else tells a flat surface from an uneven one. The penalty is the
//! length of the difference of both normals, not its square, so one sharp edge costs no more than the same turn spread out over a rounded one.

use super::field::{Field, at};
use super::step::Group;
use super::trace::Traced;
use rand::RngExt;
use rand_pcg::Pcg64;
use std::ops::Range;

/// How far the places of a pair are from each other, in sides of the cube; drawn evenly on a logarithmic scale.
const REACH: [f32; 2] = [1.0 / 1024.0, 1.0 / 64.0];
/// Rays less opaque than this meet no surface.
pub(super) const OPAQUE: f32 = 0.5;

/// Which places are compared, and how much it matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Smoothness {
    /// Of every pair.
    pub weight: f32,
    /// Share of the rays that give a pair.
    pub share: f64,
}

/// Where two places will be compared, if the ray for which it was drawn meets the surface.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairDraw {
    /// How far from each other.
    pub reach: f32,
    /// A vector that says in which direction.
    pub towards: [f32; 3],
}

impl Smoothness {
    /// For each of so many rays a pair, if one is drawn for it.
    pub fn draw(&self, rays: usize, rng: &mut Pcg64) -> Vec<Option<PairDraw>> {
        if self.weight <= 0.0 {
            return vec![None; rays];
        }
        let [low, high] = REACH.map(f32::ln);
        let mut draw = |_| {
            rng.random_bool(self.share).then(|| PairDraw {
                towards: std::array::from_fn(|_| rng.random_range(-1.0..1.0f32)),
                reach: rng.random_range(low..=high).exp(),
            })
        };
        (0..rays).map(&mut draw).collect()
    }
}

impl Group {
    /// Places pairs where the traced rays meet the surface; `weights` are those of the samples.
    pub(super) fn place_pairs(&mut self, weights: &[f32], draws: &[Option<PairDraw>]) {
        for (span, draw) in self.traced.spans.iter().zip(draws) {
            if let Some(PairDraw { reach, towards }) = draw
                && let Some(i) = surface_sample(&self.traced, weights, span.clone())
            {
                let place: [f32; 3] = std::array::from_fn(|k| self.traced.tile.positions[at(3, k, i)]);
                let tangent = tangent(self.traced.tile.normal_of(i), *towards);
                self.pairs.extend([place, std::array::from_fn(|k| place[k] + reach * tangent[k])]);
            }
        }
    }

    /// Learns from the drawn pairs that normals should be alike.
    pub(super) fn learn_pairs(&mut self, field: &Field, weight: f32) {
        let pairs = std::mem::take(&mut self.pairs);
        let mut chunk = self.look_at(field, pairs.iter().copied());
        let tile = &self.traced.tile;
        for i in (0..pairs.len()).step_by(2) {
            let (loss, gradients) = difference(tile.normal_of(i), tile.normal_of(i + 1));
            self.loss += f64::from(weight * loss);
            for (j, gradient) in gradients.iter().enumerate() {
                (0..3).for_each(|k| chunk.v[at(3, k, i + j)] = weight * gradient[k]);
            }
        }
        self.keep_gradients_of_normals(field, chunk);
        self.pairs = pairs;
        self.pairs.clear();
    }
}

/// The sample in which a ray that is stopped shows most of what it sees.
fn surface_sample(traced: &Traced, weights: &[f32], span: Range<usize>) -> Option<usize> {
    let opacity: f32 = weights[span.clone()].iter().sum();
    let most = span.max_by(|&a, &b| weights[a].total_cmp(&weights[b]))?;
    (opacity > OPAQUE && most < traced.ts.len()).then_some(most)
}

/// A direction at right angles to a normal.
fn tangent(normal: [f32; 3], other: [f32; 3]) -> [f32; 3] {
    let [a, b] = [normal, other];
    let cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let length = cross.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
    cross.map(|x| x / length)
}

/// The length of the difference of two directions, given by vectors of any length, and its derivatives by both vectors.
fn difference(a: [f32; 3], b: [f32; 3]) -> (f32, [[f32; 3]; 2]) {
    // Below an angle of a degree there is nothing to mend.
    const ROUND: f32 = 0.02;
    let length = |v: [f32; 3]| v.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
    let lengths = [length(a), length(b)];
    let units = [a.map(|x| x / lengths[0]), b.map(|x| x / lengths[1])];
    let between: [f32; 3] = std::array::from_fn(|k| units[0][k] - units[1][k]);
    let loss = (between.iter().map(|x| x * x).sum::<f32>() + ROUND * ROUND).sqrt();
    let gradient = |sign: f32, unit: [f32; 3], length: f32| -> [f32; 3] {
        let along: f32 = (0..3).map(|k| between[k] * unit[k]).sum();
        std::array::from_fn(|k| sign * (between[k] - along * unit[k]) / (loss * length))
    };
    (loss - ROUND, [gradient(1.0, units[0], lengths[0]), gradient(-1.0, units[1], lengths[1])])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use tessera_test_seed::test_seed;

    #[test]
    fn the_derivatives_of_the_difference_of_directions_are_those_of_central_differences() {
        let mut rng = Pcg64::seed_from_u64(test_seed());
        for _ in 0..50 {
            let mut draw = || -> [f32; 3] { std::array::from_fn(|_| rng.random_range(-1.0..1.0f32)) };
            let vectors = [draw(), draw()];
            if vectors.iter().any(|v| v.iter().map(|x| x * x).sum::<f32>() < 0.1) {
                continue;
            }
            let (_, gradients) = difference(vectors[0], vectors[1]);
            for (j, gradient) in gradients.iter().enumerate() {
                for k in 0..3 {
                    let at = |by: f32| {
                        let mut moved = vectors;
                        moved[j][k] += by;
                        difference(moved[0], moved[1]).0
                    };
                    let slope = (at(1e-3) - at(-1e-3)) / 2e-3;
                    // Rounding of the loss, at most 2, over the step; and a third derivative of at most 1/0.1^1.5 times the step's square.
                    let tolerance = 4.0 * f32::EPSILON / 1e-3 + 1e-3;
                    assert!((gradient[k] - slope).abs() < tolerance, "{} is not {slope}", gradient[k]);
                }
            }
        }
    }
}
