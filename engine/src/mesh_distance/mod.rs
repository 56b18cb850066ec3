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
    /// Of each triangle's corners, in the order of the tree; empty when vertices have none.
    corner_normals: Vec<[V3; 3]>,
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
        let with_area = mesh.triangles.iter().map(|t| (t, corners(t))).filter(|(_, t)| area(t) > 0.0);
        let (numbers, triangles): (Vec<&[u32; 3]>, Vec<[V3; 3]>) = with_area.unzip();
        if triangles.is_empty() {
            return Err(Error::setting("no triangle has an area: all are points or lines; export the mesh again"));
        }
        let degenerate = mesh.triangles.len() - triangles.len();
        let tree = Tree::new(&triangles);
        let normals = |t: &[u32; 3]| t.map(|v| V3::from(mesh.normals[v as usize]));
        let corner_normals = match mesh.normals.is_empty() {
            true => Vec::new(),
            false => tree.order().iter().map(|t| normals(numbers[*t as usize])).collect(),
        };
        let mut total = 0.0;
        let mut add = |t: &[V3; 3]| {
            total += area(t);
            total
        };
        let areas = tree.triangles().iter().map(&mut add).collect();
        Ok(Self { tree, degenerate, area: total, areas, corner_normals })
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

    /// The distance from `place` to the nearest triangle, and the normal there: between those of its vertices, or its own if they have none.
    pub fn nearest(&self, place: [f32; 3]) -> (f32, [f32; 3]) {
        let (distance, number) = self.tree.closest(place.into(), f32::INFINITY);
        let number = number.unwrap_or(0) as usize;
        let triangle = &self.tree.triangles()[number];
        let normals = self.corner_normals.get(number);
        (distance, normal_at(triangle, normals, closest::closest_on(triangle, place.into())).into())
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

/// The normal at a place on a triangle: between those of its corners, or its own if they have none.
pub(crate) fn normal_at([a, b, c]: &[V3; 3], corners: Option<&[V3; 3]>, place: V3) -> V3 {
    let cross = (b - a).cross(&(c - a));
    let flat = cross.try_normalize(0.0).unwrap_or_else(V3::z);
    let Some([at_a, at_b, at_c]) = corners else { return flat };
    let share = |from: &V3, to: &V3| (to - from).cross(&(place - from)).dot(&cross) / cross.norm_squared();
    let (u, v) = (share(c, a), share(a, b));
    ((1.0 - u - v) * at_a + u * at_b + v * at_c).try_normalize(0.0).unwrap_or(flat)
}

/// The area of a triangle.
fn area([a, b, c]: &[V3; 3]) -> f64 {
    let [a, b, c] = [a, b, c].map(|v| v.cast::<f64>());
    0.5 * (b - a).cross(&(c - a)).norm()
}

#[cfg(test)]
mod tests;
