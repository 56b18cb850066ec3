//! Contact sheets: many small pictures of meshes on one.

use nalgebra::{Rotation3, Vector3};
use rayon::prelude::*;
use tessera_datasets::image::Image8;
use tessera_datasets::scene::Mesh;

/// Pixels along a picture.
const SIDE: usize = 192;
/// Samples along a pixel.
const SAMPLES: usize = 2;
/// The cube's side fills so much of a picture.
const FILLED: f32 = 0.78;

/// Pictures of meshes in the cube from 0 to 1, y up, in rows of `columns`.
pub fn contact_sheet(meshes: &[Mesh], columns: usize) -> Image8 {
    let columns = columns.clamp(1, meshes.len().max(1));
    let rows = meshes.len().div_ceil(columns);
    let width = columns * SIDE;
    let mut pixels = vec![255u8; width * rows * SIDE * 3];
    let pictures: Vec<Vec<u8>> = meshes.par_iter().map(picture).collect();
    for (i, picture) in pictures.iter().enumerate() {
        let (x, y) = (i % columns * SIDE, i / columns * SIDE);
        for (row, own) in picture.chunks_exact(SIDE * 3).enumerate() {
            pixels[((y + row) * width + x) * 3..][..SIDE * 3].copy_from_slice(own);
        }
    }
    Image8 { width: width as u32, height: (rows * SIDE) as u32, channels: 3, data: pixels }
}

/// A mesh seen from the front, somewhat from above and from the side, without perspective.
fn picture(mesh: &Mesh) -> Vec<u8> {
    let side = SIDE * SAMPLES;
    let turn =
        Rotation3::from_axis_angle(&Vector3::x_axis(), 0.45) * Rotation3::from_axis_angle(&Vector3::y_axis(), -0.6);
    let seen: Vec<Vector3<f32>> = mesh
        .positions
        .iter()
        .map(|p| {
            let p = turn * (Vector3::from(*p) - Vector3::repeat(0.5)) * (FILLED * side as f32);
            Vector3::new(p.x + 0.5 * side as f32, 0.5 * side as f32 - p.y, p.z)
        })
        .collect();
    let mut depth = vec![f32::MIN; side * side];
    let mut shade = vec![255u8; side * side];
    for t in &mesh.triangles {
        let [a, b, c] = t.map(|v| seen[v as usize]);
        let normal = (b - a).cross(&(c - a));
        // Pictures' y goes down, so what faces the camera is turned.
        if normal.z >= 0.0 {
            continue;
        }
        let light = -normal.normalize().dot(&Vector3::new(0.35, -0.55, 0.76));
        let value = (70.0 + 160.0 * light.clamp(0.0, 1.0)) as u8;
        fill([a, b, c], normal, side, |at, z| {
            if z > depth[at] {
                depth[at] = z;
                shade[at] = value;
            }
        });
    }
    let mean = |i: usize| {
        let (x, y) = (i % SIDE * SAMPLES, i / SIDE * SAMPLES);
        let all = (0..SAMPLES * SAMPLES).map(|s| u32::from(shade[(y + s / SAMPLES) * side + x + s % SAMPLES]));
        (all.sum::<u32>() / (SAMPLES * SAMPLES) as u32) as u8
    };
    (0..SIDE * SIDE).flat_map(|i| [mean(i); 3]).collect()
}

/// Visits the pixels of a triangle with their depths.
fn fill([a, b, c]: [Vector3<f32>; 3], normal: Vector3<f32>, side: usize, mut visit: impl FnMut(usize, f32)) {
    let bound = |x: f32| x.clamp(0.0, side as f32 - 1.0) as usize;
    let low = a.inf(&b).inf(&c);
    let high = a.sup(&b).sup(&c);
    let edge = |p: Vector3<f32>, q: Vector3<f32>, x: f32, y: f32| (q.x - p.x) * (y - p.y) - (q.y - p.y) * (x - p.x);
    for y in bound(low.y)..=bound(high.y) {
        for x in bound(low.x)..=bound(high.x) {
            let (fx, fy) = (x as f32 + 0.5, y as f32 + 0.5);
            if [(a, b), (b, c), (c, a)].iter().all(|(p, q)| edge(*p, *q, fx, fy) <= 0.0) {
                let z = a.z - (normal.x * (fx - a.x) + normal.y * (fy - a.y)) / normal.z;
                visit(y * side + x, z);
            }
        }
    }
}
