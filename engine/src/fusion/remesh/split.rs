//! Edges that are too long.

use super::{Surface, TOLERANCE, Vertex};
use crate::fusion::vector::{length, sub};

impl Surface {
    /// Gives edges that are longer than their ends want a vertex in their middle.
    pub(super) fn split_long(&mut self) {
        let edges = self.edges();
        let mut middles: Vec<Option<u32>> = vec![None; edges.ends.len()];
        for (ends, middle) in edges.ends.iter().zip(&mut middles) {
            if self.edge_length(*ends) > (1.0 + TOLERANCE) * self.wanted(*ends) {
                *middle = Some(self.vertices.len() as u32);
                let [a, b] = ends.map(|v| self.vertices[v as usize]);
                self.vertices.push(Vertex::between(&a, &b));
            }
        }
        let mut divided = Vec::with_capacity(self.triangles.len());
        for (t, of_triangle) in self.triangles.iter().zip(&edges.of_triangle) {
            self.divide(*t, of_triangle.map(|edge| middles[edge as usize]), &mut divided);
        }
        self.triangles = divided;
    }

    /// A triangle whose edges may have middles.
    fn divide(&self, t: [u32; 3], middles: [Option<u32>; 3], out: &mut Vec<[u32; 3]>) {
        // Turned so that what is special comes first.
        let turned = |by: usize| ([0, 1, 2].map(|k| t[(k + by) % 3]), [0, 1, 2].map(|k| middles[(k + by) % 3]));
        match middles.iter().flatten().count() {
            0 => out.push(t),
            1 => {
                let first = middles.iter().position(Option::is_some).unwrap_or(0);
                let ([a, b, c], [Some(m), ..]) = turned(first) else { return };
                out.extend([[a, m, c], [m, b, c]]);
            }
            2 => {
                let last = middles.iter().position(Option::is_none).unwrap_or(0);
                let ([a, b, c], [Some(m), Some(n), _]) = turned(last + 1) else { return };
                out.push([m, b, n]);
                let apart = |p: u32, q: u32| {
                    length(sub(self.vertices[p as usize].position, self.vertices[q as usize].position))
                };
                let shorter = if apart(a, n) < apart(m, c) { [[a, m, n], [a, n, c]] } else { [[a, m, c], [m, n, c]] };
                out.extend(shorter);
            }
            _ => {
                let ([a, b, c], [Some(m), Some(n), Some(o)]) = turned(0) else { return };
                out.extend([[a, m, o], [m, b, n], [o, n, c], [m, n, o]]);
            }
        }
    }
}
