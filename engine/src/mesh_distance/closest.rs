//! The distance to the nearest triangle.

use super::V3;
use super::tree::Tree;
use tessera_datasets::scene::box_tree::{Bounds, STACK_SIZE};

impl Tree {
    /// The distance from `place` to the nearest triangle and its number, or `bound` and no triangle if that is nearer.
    pub fn closest(&self, place: V3, bound: f32) -> (f32, Option<u32>) {
        let nodes = self.nodes();
        let mut nearest = bound * bound;
        let mut found = None;
        let mut stack = [(0u32, 0.0f32); STACK_SIZE];
        stack[0] = (0, squared_distance_to_box(&nodes[0].bounds, place));
        let mut height = 1;
        while height > 0 {
            height -= 1;
            let (node, squared) = stack[height];
            if squared >= nearest {
                continue;
            }
            let node = &nodes[node as usize];
            if node.count > 0 {
                for number in self.leaf(node) {
                    let squared = (closest_on(&self.triangles()[number], place) - place).norm_squared();
                    if squared < nearest {
                        (nearest, found) = (squared, Some(number as u32));
                    }
                }
                continue;
            }
            let [left, right] =
                [node.first, node.first + 1].map(|n| (n, squared_distance_to_box(&nodes[n as usize].bounds, place)));
            let (near, far) = if left.1 <= right.1 { (left, right) } else { (right, left) };
            (stack[height], stack[height + 1]) = (far, near);
            height += 2;
        }
        (nearest.sqrt(), found)
    }
}

#[inline(always)]
fn squared_distance_to_box(bounds: &Bounds, place: V3) -> f32 {
    let outside = (bounds.min - place).sup(&(place - bounds.max)).sup(&V3::zeros());
    outside.norm_squared()
}

/// The place on a triangle that is nearest to `p`, by the region of the triangle's plane that `p` is above (Ericson, "Real-Time Collision
/// Detection", 5.1.5).
pub(super) fn closest_on([a, b, c]: &[V3; 3], p: V3) -> V3 {
    let (ab, ac, ap) = (b - a, c - a, p - a);
    let (d1, d2) = (ab.dot(&ap), ac.dot(&ap));
    if d1 <= 0.0 && d2 <= 0.0 {
        return *a;
    }
    let bp = p - b;
    let (d3, d4) = (ab.dot(&bp), ac.dot(&bp));
    if d3 >= 0.0 && d4 <= d3 {
        return *b;
    }
    let vc = d1 * d4 - d3 * d2;
    if vc <= 0.0 && d1 >= 0.0 && d3 <= 0.0 {
        return a + ab * (d1 / (d1 - d3));
    }
    let cp = p - c;
    let (d5, d6) = (ab.dot(&cp), ac.dot(&cp));
    if d6 >= 0.0 && d5 <= d6 {
        return *c;
    }
    let vb = d5 * d2 - d1 * d6;
    if vb <= 0.0 && d2 >= 0.0 && d6 <= 0.0 {
        return a + ac * (d2 / (d2 - d6));
    }
    let va = d3 * d6 - d5 * d4;
    if va <= 0.0 && d4 >= d3 && d5 >= d6 {
        return b + (c - b) * ((d4 - d3) / ((d4 - d3) + (d5 - d6)));
    }
    let scale = 1.0 / (va + vb + vc);
    a + ab * (vb * scale) + ac * (vc * scale)
}
