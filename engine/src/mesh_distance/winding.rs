//! How often the mesh goes around a place.

use super::V3;
use super::tree::{Patch, Tree};
use std::f32::consts::PI;
use tessera_datasets::scene::box_tree::STACK_SIZE;

/// A group of triangles counts as one patch from so many of its radii on. With the terms below the error of a patch is then below a
/// hundredth of its solid angle.
const FAR: f32 = 2.0;

impl Tree {
    /// The generalised winding number at `place`: 1 inside a closed mesh, 0 outside.
    pub fn winding_number(&self, place: V3) -> f32 {
        let nodes = self.nodes();
        let mut sum = 0.0;
        let mut stack = [0u32; STACK_SIZE];
        let mut height = 1;
        while height > 0 {
            height -= 1;
            let number = stack[height] as usize;
            let (node, patch) = (&nodes[number], &self.patches()[number]);
            let offset = patch.centre - place;
            let squared = offset.norm_squared();
            if squared > FAR * FAR * patch.squared_radius {
                sum += patch_solid_angle(patch, offset, squared);
            } else if node.count > 0 {
                sum += self.triangles()[self.leaf(node)].iter().map(|t| solid_angle(t, place)).sum::<f32>();
            } else {
                (stack[height], stack[height + 1]) = (node.first, node.first + 1);
                height += 2;
            }
        }
        sum / (4.0 * PI)
    }
}

/// The first two terms of the solid angle of far triangles: a dipole at their centre, and its change with their spread about it.
#[inline(always)]
fn patch_solid_angle(patch: &Patch, offset: V3, squared: f32) -> f32 {
    let cubed = squared * squared.sqrt();
    let dipole = patch.oriented_area.dot(&offset) / cubed;
    // ∇(r / |r|³) : spread = tr S / |r|³ - 3 rᵀ S r / |r|⁵
    let change = (patch.spread.trace() - 3.0 * offset.dot(&(patch.spread * offset)) / squared) / cubed;
    dipole + change
}

/// The solid angle of a triangle, signed by its orientation (Van Oosterom and Strackee, 1983).
#[inline(always)]
fn solid_angle(triangle: &[V3; 3], place: V3) -> f32 {
    let [a, b, c] = [triangle[0] - place, triangle[1] - place, triangle[2] - place];
    let (la, lb, lc) = (a.norm(), b.norm(), c.norm());
    let volume = a.dot(&b.cross(&c));
    let scale = la * lb * lc + a.dot(&b) * lc + b.dot(&c) * la + c.dot(&a) * lb;
    2.0 * volume.atan2(scale)
}
