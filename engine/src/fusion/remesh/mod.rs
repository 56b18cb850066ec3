//! Triangles that follow a surface while it moves, as long as each place wants them.
//!
//! After Palfinger, "Continuous remeshing for inverse rendering" (2022). Each vertex has a length that its edges should have. In this order:
//!
//! 1. `collapse`: edges that are too short shrink to their middle, and so do the shortest edges of triangles that have folded over or vanished;
//! 2. `split`: edges that are too long get a vertex in their middle;
//! 3. `flip`: edges turn within the two triangles beside them where that brings degrees nearer to six.
//!
//! Every step takes a set of edges that do not touch each other, the worst ones first, and keeps the surface closed and two-sided: each edge has
//! two triangles, each vertex one fan. What is random in the paper is decided by order here, so results are reproducible.

mod collapse;
mod edges;
mod flip;
mod mend;
mod split;

pub use edges::{Edges, Fans};
pub use mend::mended;

use super::vector::{V3, add, dot, doubled_area, length, scaled, sub};

/// How far from the wanted length an edge may be before something is done, as a share of it.
const TOLERANCE: f32 = 0.5;

/// A vertex with what its descent remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vertex {
    /// In the scene.
    pub position: V3<f32>,
    /// Mean of the gradients.
    pub momentum: V3<f32>,
    /// Mean of the gradients' squared length.
    pub power: f32,
    /// How fast it moves, from 0 to about 1.
    pub speed: f32,
    /// How long its edges should be.
    pub length: f32,
}

impl Vertex {
    /// Half way between two.
    fn between(a: &Self, b: &Self) -> Self {
        let mean = |a: f32, b: f32| 0.5 * (a + b);
        let middle = |a: V3<f32>, b: V3<f32>| scaled(add(a, b), 0.5);
        Self {
            position: middle(a.position, b.position),
            momentum: middle(a.momentum, b.momentum),
            power: mean(a.power, b.power),
            speed: mean(a.speed, b.speed),
            length: mean(a.length, b.length),
        }
    }
}

/// A closed surface.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surface {
    /// `[N]`.
    pub vertices: Vec<Vertex>,
    /// `[M]`, counter-clockwise seen from outside.
    pub triangles: Vec<[u32; 3]>,
}

impl Surface {
    /// The edges.
    ///
    /// # Panics
    /// When the surface is not closed: whoever changes it sees to that.
    pub fn edges(&self) -> Edges {
        Edges::of(&self.triangles, self.vertices.len()).expect("the surface is closed")
    }

    /// Makes triangles as large as their vertices want them.
    pub fn remesh(&mut self) {
        self.collapse_short();
        self.split_long();
        self.flip_uneven();
    }

    /// The vertices' positions.
    pub fn positions(&self) -> Vec<V3<f32>> {
        self.vertices.iter().map(|v| v.position).collect()
    }

    fn doubled_area(&self, t: [u32; 3]) -> V3<f32> {
        doubled_area(t.map(|v| self.vertices[v as usize].position))
    }

    pub fn edge_length(&self, [a, b]: [u32; 2]) -> f32 {
        length(sub(self.vertices[a as usize].position, self.vertices[b as usize].position))
    }

    /// The mean of what two vertices want their edges to be long.
    fn wanted(&self, [a, b]: [u32; 2]) -> f32 {
        0.5 * (self.vertices[a as usize].length + self.vertices[b as usize].length)
    }

    /// Whether triangles keep facing where they faced, when some corners are elsewhere.
    fn keeps_facing(&self, t: [u32; 3], moved: impl Fn(u32) -> V3<f32>) -> bool {
        dot(self.doubled_area(t), doubled_area(t.map(moved))) > 0.0
    }
}

#[cfg(test)]
mod tests;
