//! What is kept of a mesh.

use std::collections::HashMap;

/// The triangles of parts that are large enough. Parts that are turned inside out are the walls of cavities: nobody sees them.
pub fn without_small_parts(positions: &[[f32; 3]], triangles: &[[u32; 3]], least: f64) -> Vec<[u32; 3]> {
    let mut parent: Vec<u32> = (0..positions.len() as u32).collect();
    for t in triangles {
        for &v in &t[1..] {
            // The smaller number is the root.
            let (a, b) = (find(&mut parent, t[0]), find(&mut parent, v));
            parent[a.max(b) as usize] = a.min(b);
        }
    }
    let mut parts: HashMap<u32, [f64; 2]> = HashMap::new();
    for t in triangles {
        let [a, b, c] = t.map(|v| nalgebra::Vector3::from(positions[v as usize].map(f64::from)));
        let part = parts.entry(find(&mut parent, t[0])).or_default();
        part[0] += 0.5 * (b - a).cross(&(c - a)).norm();
        part[1] += a.dot(&b.cross(&c)) / 6.0;
    }
    let outside = |part: &[f64; 2]| part[1] > 0.0;
    let largest = parts.values().filter(|p| outside(p)).map(|p| p[0]).fold(0.0, f64::max);
    let mut is_kept = |v: u32| {
        let part = parts[&find(&mut parent, v)];
        outside(&part) && part[0] >= least * largest
    };
    triangles.iter().filter(|t| is_kept(t[0])).copied().collect()
}

fn find(parent: &mut [u32], mut v: u32) -> u32 {
    while parent[v as usize] != v {
        parent[v as usize] = parent[parent[v as usize] as usize];
        v = parent[v as usize];
    }
    v
}

/// The vertices that triangles use, in their order, and the triangles with new indices.
pub fn used(positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> (Vec<[f32; 3]>, Vec<[u32; 3]>) {
    let mut index = vec![u32::MAX; positions.len()];
    triangles.iter().flatten().for_each(|&v| index[v as usize] = 0);
    let mut kept = Vec::new();
    for (index, position) in index.iter_mut().zip(positions) {
        if *index == 0 {
            *index = kept.len() as u32;
            kept.push(*position);
        }
    }
    (kept, triangles.iter().map(|t| t.map(|v| index[v as usize])).collect())
}
