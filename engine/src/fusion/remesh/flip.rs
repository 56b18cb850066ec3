//! Edges between vertices of uneven degrees.

use super::Surface;
use crate::fusion::vector::{add, dot, doubled_area};

impl Surface {
    /// Turns edges where that brings the degrees of the four vertices around them nearer to six.
    pub(super) fn flip_uneven(&mut self) {
        let edges = self.edges();
        let degrees = edges.degrees();
        let tips = |e: usize| edges.sides[e].map(|side| self.triangles[side as usize / 3][(side as usize + 2) % 3]);
        let sum =
            |vertices: [u32; 2]| i64::from(degrees[vertices[0] as usize]) + i64::from(degrees[vertices[1] as usize]);
        // By how much the squares of what degrees are away from six change, in twos.
        let gain = |e: usize| sum(edges.ends[e]) - sum(tips(e)) - 2;
        let mut order: Vec<(i64, u32)> =
            (0..edges.ends.len()).map(|e| (gain(e), e as u32)).filter(|(g, _)| *g > 0).collect();
        order.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut is_taken = vec![false; self.vertices.len()];
        let mut changed = Vec::new();
        for (_, e) in order {
            let [a, b] = edges.ends[e as usize];
            let [p, q] = tips(e as usize);
            let around = [a, b, p, q];
            let is_free = around.iter().all(|v| !is_taken[*v as usize]);
            let has_room = degrees[a as usize] > 3 && degrees[b as usize] > 3 && p != q && !edges.joins(p, q);
            if !is_free || !has_room {
                continue;
            }
            let [forth, back] = edges.sides[e as usize].map(|side| side as usize / 3);
            // The one passes the edge from a to b and has p as its tip.
            let turned = [[a, q, p], [q, b, p]];
            let before = add(self.doubled_area(self.triangles[forth]), self.doubled_area(self.triangles[back]));
            let position = |v: u32| self.vertices[v as usize].position;
            if turned.iter().any(|t| dot(doubled_area(t.map(position)), before) <= 0.0) {
                continue;
            }
            around.iter().for_each(|v| is_taken[*v as usize] = true);
            changed.push(([forth, back], turned));
        }
        for (places, turned) in changed {
            places.into_iter().zip(turned).for_each(|(place, t)| self.triangles[place] = t);
        }
    }
}
