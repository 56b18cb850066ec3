//! Signed distances to any triangle mesh.
//!
//! Distances are exact, through a hierarchy of boxes. Signs come from the generalised winding number (Jacobson et al., 2013; Barill et al.,
//! "Fast Winding Numbers for Soups and Clouds", 2018): how often the mesh goes around a place. It needs no closed mesh: across a
//! hole it changes gradually, and half is the border between inside and outside. Far groups of triangles count as one
//! oriented patch each.

mod closest;
mod tree;
mod winding;

use crate::{Error, Result};
use nalgebra::Vector3;
use tessera_datasets::scene::Mesh;
use tree::Tree;

/// Positions and directions.
type V3 = Vector3<f32>;

/// Above this winding number a place is inside.
const INSIDE: f32 = 0.5;

/// A mesh that places can be compared with.
#[derive(Clone, Debug)]
pub struct MeshDistance {
    tree: Tree,
    /// Triangles without an area, which were left out.
    degenerate: usize,
    area: f64,
    /// Sums of areas up to each triangle, in the order of the tree.
    areas: Vec<f64>,
}

impl MeshDistance {
    /// Builds the hierarchy. Triangles without an area are left out.
    ///
    /// # Errors
    /// When there is no triangle with an area, or a vertex is not finite.
    pub fn new(mesh: &Mesh) -> Result<Self> {
        if let Some(i) = mesh.positions.iter().position(|p| p.iter().any(|x| !x.is_finite())) {
            return Err(Error::setting(format!(
                "vertex {i} has a coordinate that is not a number; export the mesh again"
            )));
        }
        if mesh.triangles.is_empty() {
            return Err(Error::setting("there are no triangles: point clouds have no inside; use a triangle mesh"));
        }
        let corners = |t: &[u32; 3]| t.map(|v| V3::from(mesh.positions[v as usize]));
        let triangles: Vec<[V3; 3]> = mesh.triangles.iter().map(corners).filter(|t| area(t) > 0.0).collect();
        if triangles.is_empty() {
            return Err(Error::setting("no triangle has an area: all are points or lines; export the mesh again"));
        }
        let degenerate = mesh.triangles.len() - triangles.len();
        let tree = Tree::new(&triangles);
        let mut total = 0.0;
        let mut add = |t: &[V3; 3]| {
            total += area(t);
            total
        };
        let areas = tree.triangles().iter().map(&mut add).collect();
        Ok(Self { tree, degenerate, area: total, areas })
    }

    /// How many triangles without an area were left out.
    pub fn degenerate(&self) -> usize {
        self.degenerate
    }

    /// The area of all triangles.
    pub fn area(&self) -> f64 {
        self.area
    }

    /// The distance from `place`, negative inside.
    pub fn signed(&self, place: [f32; 3]) -> f32 {
        self.signed_within(place, f32::INFINITY)
    }

    /// The same where the distance is known to be at most `bound`: less of the mesh has to be looked at.
    pub fn signed_within(&self, place: [f32; 3], bound: f32) -> f32 {
        let (distance, _) = self.tree.closest(place.into(), bound);
        if self.is_inside(place) { -distance } else { distance }
    }

    /// The distance from `place` to the nearest triangle, and that triangle's normal.
    pub fn nearest(&self, place: [f32; 3]) -> (f32, [f32; 3]) {
        let (distance, triangle) = self.tree.closest(place.into(), f32::INFINITY);
        let [a, b, c] = self.tree.triangles()[triangle.unwrap_or(0) as usize];
        (distance, (b - a).cross(&(c - a)).normalize().into())
    }

    /// Whether the mesh goes around `place`.
    pub fn is_inside(&self, place: [f32; 3]) -> bool {
        self.tree.winding_number(place.into()) > INSIDE
    }

    /// A place on the surface: `along`, in [0, 1), chooses the triangle in proportion to its area, `u` and `v` the place in it. And the
    /// triangle's normal.
    pub fn on_surface(&self, along: f64, u: f32, v: f32) -> ([f32; 3], [f32; 3]) {
        let triangle = self.areas.partition_point(|&sum| sum <= along * self.area).min(self.areas.len() - 1);
        let [a, b, c] = self.tree.triangles()[triangle];
        let (u, v) = if u + v > 1.0 { (1.0 - u, 1.0 - v) } else { (u, v) };
        let normal = (b - a).cross(&(c - a)).normalize();
        ((a + u * (b - a) + v * (c - a)).into(), normal.into())
    }
}

/// The area of a triangle.
fn area([a, b, c]: &[V3; 3]) -> f64 {
    let [a, b, c] = [a, b, c].map(|v| v.cast::<f64>());
    0.5 * (b - a).cross(&(c - a)).norm()
}

#[cfg(test)]
mod tests;
