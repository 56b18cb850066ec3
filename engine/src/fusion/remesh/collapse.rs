//! Edges that are too short.

use super::{Edges, Fans, Surface, TOLERANCE, Vertex};
use crate::fusion::normals::Normals;
use crate::fusion::vector::{add, dot, length};

impl Surface {
    /// Shrinks edges that are shorter than their ends want, and those of folded or vanished triangles, to their middles.
    pub(super) fn collapse_short(&mut self) {
        let edges = self.edges();
        let urgency = self.urgencies(&edges);
        let mut order: Vec<u32> = (0..edges.ends.len() as u32).filter(|e| urgency[*e as usize] > 0.0).collect();
        if order.is_empty() {
            return;
        }
        order.sort_unstable_by(|a, b| urgency[*b as usize].total_cmp(&urgency[*a as usize]).then(a.cmp(b)));
        let fans = Fans::of(&self.triangles, self.vertices.len());
        let degrees = edges.degrees();
        let mut is_taken = vec![false; self.vertices.len()];
        let mut becomes: Vec<u32> = (0..self.vertices.len() as u32).collect();
        for e in order {
            let [keep, gone] = edges.ends[e as usize];
            let ring = self.ring(&fans, [keep, gone]);
            // Neither an end nor a neighbour may belong to what another edge has changed.
            if ring.iter().any(|v| is_taken[*v as usize]) {
                continue;
            }
            let tips = edges.sides[e as usize].map(|side| self.triangles[side as usize / 3][(side as usize + 2) % 3]);
            let is_repair = urgency[e as usize] >= 1.0;
            let middle = Vertex::between(&self.vertices[keep as usize], &self.vertices[gone as usize]);
            if !self.stays_whole(&fans, &degrees, [keep, gone], tips) {
                continue;
            }
            if !is_repair && !self.stays_outside(&fans, [keep, gone], &middle) {
                continue;
            }
            ring.into_iter().for_each(|v| is_taken[v as usize] = true);
            becomes[gone as usize] = keep;
            self.vertices[keep as usize] = middle;
        }
        self.merge(&becomes);
    }

    /// How urgent it is that each edge shrinks: by how much it is too short, and more than 1 if a triangle needs it.
    fn urgencies(&self, edges: &Edges) -> Vec<f32> {
        let lengths: Vec<f32> = edges.ends.iter().map(|ends| self.edge_length(*ends)).collect();
        let shortest = |ends: [u32; 2]| (1.0 - TOLERANCE) * self.wanted(ends);
        let mut urgency: Vec<f32> =
            edges.ends.iter().zip(&lengths).map(|(ends, l)| (1.0 - l / shortest(*ends)).clamp(0.0, 0.999)).collect();
        let normals = Normals::of(&self.positions(), &self.triangles).units;
        for (t, of_triangle) in self.triangles.iter().zip(&edges.of_triangle) {
            let normal = self.doubled_area(*t);
            let mean = t.iter().fold([0.0; 3], |sum, &v| add(sum, normals[v as usize]));
            let least = (1.0 - TOLERANCE) * t.iter().map(|&v| self.vertices[v as usize].length).sum::<f32>() / 3.0;
            // About a ninth of what an even triangle of the shortest edges has.
            let has_vanished = length(normal) < 0.1 * least * least;
            if dot(normal, mean) < 0.0 || has_vanished {
                let by_length = |a: &&u32, b: &&u32| lengths[**a as usize].total_cmp(&lengths[**b as usize]);
                if let Some(&edge) = of_triangle.iter().min_by(by_length) {
                    urgency[edge as usize] = urgency[edge as usize].max(1.0 + urgency[edge as usize]);
                }
            }
        }
        urgency
    }

    /// Ends and their neighbours.
    fn ring(&self, fans: &Fans, ends: [u32; 2]) -> Vec<u32> {
        let triangles = ends.into_iter().flat_map(|v| fans.at(v));
        let mut ring: Vec<u32> = triangles.flat_map(|t| self.triangles[*t as usize]).collect();
        ring.sort_unstable();
        ring.dedup();
        ring
    }

    /// The link condition: the ends have no neighbours in common but the tips of their triangles, and these keep three neighbours.
    fn stays_whole(&self, fans: &Fans, degrees: &[u32], [keep, gone]: [u32; 2], tips: [u32; 2]) -> bool {
        let [of_keep, of_gone] = [keep, gone].map(|v| degrees[v as usize]);
        let together = self.ring(fans, [keep, gone]).len() as u32;
        // The ring counts both ends once, and each is a neighbour of the other.
        let common = of_keep + of_gone - together;
        common == 2 && tips[0] != tips[1] && of_keep + of_gone >= 7 && tips.iter().all(|v| degrees[*v as usize] > 3)
    }

    /// Whether no triangle turns over.
    fn stays_outside(&self, fans: &Fans, ends: [u32; 2], middle: &Vertex) -> bool {
        let at_ends = ends.into_iter().flat_map(|v| fans.at(v)).map(|t| self.triangles[*t as usize]);
        let mut moving = at_ends.filter(|t| !ends.iter().all(|v| t.contains(v)));
        moving.all(|t| {
            self.keeps_facing(
                t,
                |v| {
                    if ends.contains(&v) { middle.position } else { self.vertices[v as usize].position }
                },
            )
        })
    }

    /// Joins vertices with what they become, and leaves out what vanishes.
    fn merge(&mut self, becomes: &[u32]) {
        let mut index = vec![0u32; self.vertices.len()];
        let mut kept = Vec::with_capacity(self.vertices.len());
        for (v, vertex) in self.vertices.iter().enumerate().filter(|(v, _)| becomes[*v] as usize == *v) {
            index[v] = kept.len() as u32;
            kept.push(*vertex);
        }
        let joined = self.triangles.iter().map(|t| t.map(|v| index[becomes[v as usize] as usize]));
        self.triangles = joined.filter(|t| t[0] != t[1] && t[1] != t[2] && t[2] != t[0]).collect();
        self.vertices = kept;
    }
}
