//! Edges at which four triangles meet.

use std::collections::BTreeMap;

use super::V3;

/// The mesh with two triangles at each edge, when it is closed but two of its sheets share edges: marching cubes may draw the diagonals of two
/// neighbouring cells between the same vertices. Each pair of triangles gets a vertex of its own in the middle of such an edge; what follows each
/// other in the list belongs together.
pub fn mended(mut positions: Vec<V3<f32>>, mut triangles: Vec<[u32; 3]>) -> (Vec<V3<f32>>, Vec<[u32; 3]>) {
    loop {
        let mut forth: BTreeMap<[u32; 2], [Vec<usize>; 2]> = BTreeMap::new();
        for (t, corners) in triangles.iter().enumerate() {
            for k in 0..3 {
                let [a, b] = [corners[k], corners[(k + 1) % 3]];
                forth.entry([a.min(b), a.max(b)]).or_default()[usize::from(a > b)].push(t);
            }
        }
        let mut is_changed = vec![false; triangles.len()];
        let mut added = Vec::new();
        for ([a, b], [up, down]) in forth.into_iter().filter(|(_, [up, down])| up.len() == down.len() && up.len() > 1) {
            // One edge of a triangle at a time; the others in the next round.
            if up.iter().chain(&down).any(|t| is_changed[*t]) {
                continue;
            }
            for (p, q) in up.into_iter().zip(down) {
                let middle = positions.len() as u32;
                let [from, to] = [positions[a as usize], positions[b as usize]];
                positions.push([0, 1, 2].map(|k| 0.5 * (from[k] + to[k])));
                for t in [p, q] {
                    is_changed[t] = true;
                    // The half at b is new, the half at a takes the old place.
                    added.push(triangles[t].map(|v| if v == a { middle } else { v }));
                    triangles[t] = triangles[t].map(|v| if v == b { middle } else { v });
                }
            }
        }
        if added.is_empty() {
            return (positions, triangles);
        }
        triangles.append(&mut added);
    }
}
