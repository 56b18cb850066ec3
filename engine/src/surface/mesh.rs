//! From a surface to a mesh in the capture's coordinates.
//!
//! Marching cubes in bricks of 8 cells, and only in those near the surface: bricks whose middle is near it, and whatever neighbour a surface
//! enters through a face. The surface is thus closed wherever it lies inside the box, and closed along the box where it would leave it.

use super::Surface;
use super::field::{Field, Tile, harmonics};
use super::occupied::{append_distances, cells_near};
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::HashMap;
use tessera_datasets::scene::Mesh;
use tessera_kernels::marching_cubes::{Piece, brick, weld};

/// Cells per side of a brick.
const CELLS: usize = 8;
/// Places looked at at a time.
const CHUNK: usize = 256;

/// How a mesh is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeshOptions {
    /// Cells along the longest side of the box.
    pub resolution: usize,
    /// Parts of less than this share of the largest part's area are left out.
    pub least_part: f64,
    /// Give vertices the colours that the surface has when it is looked at from right above.
    pub colours: bool,
}

impl Default for MeshOptions {
    fn default() -> Self {
        Self { resolution: 512, least_part: 0.02, colours: true }
    }
}

/// The mesh of a surface. `progress` is told how much of how much is done.
///
/// # Errors
/// When there is no surface.
pub fn extract(surface: &Surface, options: &MeshOptions, progress: &mut dyn FnMut(usize, usize)) -> Result<Mesh> {
    let resolution = options.resolution.max(CELLS).next_multiple_of(CELLS);
    let bricks = resolution / CELLS;
    let pieces = pieces(surface, bricks, progress);
    let welded = weld(&pieces);
    drop(pieces);
    let empty = || {
        Error::setting(
            "the surface is empty: there is no place in the box where the distance changes its sign; train longer, or set box_min \
             and box_max around the object",
        )
    };
    if welded.triangles.is_empty() {
        return Err(empty());
    }
    let mut positions = welded.positions;
    positions.par_iter_mut().for_each(|p| *p = p.map(|x| x / resolution as f32));
    let triangles = without_small_parts(&positions, &welded.triangles, options.least_part);
    if triangles.is_empty() {
        return Err(empty());
    }
    let (positions, triangles) = used(&positions, &triangles);
    let (normals, colours) = looks(&surface.field, &positions, options.colours);
    let in_scene = |p: [f32; 3]| surface.scene_box.from_cube(p.map(f64::from)).map(|x| x as f32);
    let mesh = Mesh {
        positions: positions.into_iter().map(in_scene).collect(),
        normals,
        colours,
        triangles,
        scene_from_world: surface.scene_from_world,
        ..Mesh::default()
    };
    Ok(mesh.transformed(&surface.scene_from_world.inverse()))
}

/// The pieces of all bricks that the surface passes through, in a fixed order.
fn pieces(surface: &Surface, bricks: usize, progress: &mut dyn FnMut(usize, usize)) -> Vec<Piece> {
    let index = |b: [u16; 3]| (usize::from(b[2]) * bricks + usize::from(b[1])) * bricks + usize::from(b[0]);
    let mut known = vec![false; bricks.pow(3)];
    let mut wave = cells_near(&surface.field, bricks, 0.0);
    wave.iter().for_each(|b| known[index(*b)] = true);
    let mut found: Vec<(usize, Piece)> = Vec::new();
    let mut done = 0;
    while !wave.is_empty() {
        let total = done + wave.len();
        let mut next = Vec::new();
        for part in wave.chunks(1024) {
            let of_part: Vec<(usize, Piece, [bool; 6])> = part
                .par_iter()
                .map_init(Tile::default, |tile, b| {
                    let (piece, crossed) = piece(surface, *b, bricks, tile);
                    (index(*b), piece, crossed)
                })
                .collect();
            for (b, (i, piece, crossed)) in part.iter().zip(of_part) {
                for (side, _) in crossed.iter().enumerate().filter(|(_, crossed)| **crossed) {
                    let mut neighbour = *b;
                    let (axis, up) = (side / 2, side % 2 == 1);
                    let moved = if up { neighbour[axis].checked_add(1) } else { neighbour[axis].checked_sub(1) };
                    let Some(moved) = moved.filter(|x| usize::from(*x) < bricks) else { continue };
                    neighbour[axis] = moved;
                    if !std::mem::replace(&mut known[index(neighbour)], true) {
                        next.push(neighbour);
                    }
                }
                if !piece.triangles.is_empty() {
                    found.push((i, piece));
                }
            }
            done += part.len();
            progress(done, total);
        }
        wave = next;
    }
    found.sort_unstable_by_key(|(i, _)| *i);
    found.into_iter().map(|(_, piece)| piece).collect()
}

/// The surface in a brick, and through which of its faces (low and high of x, y, z) it passes.
fn piece(surface: &Surface, b: [u16; 3], bricks: usize, tile: &mut Tile) -> (Piece, [bool; 6]) {
    const SIDE: usize = CELLS + 1;
    let resolution = (bricks * CELLS) as f32;
    let base = b.map(|x| u32::from(x) * CELLS as u32);
    let corner = |i: usize| [i % SIDE, i / SIDE % SIDE, i / SIDE.pow(2)];
    let place = |i: usize| -> [f32; 3] {
        let c = corner(i);
        std::array::from_fn(|k| (base[k] as f32 + c[k] as f32) / resolution)
    };
    let places: Vec<[f32; 3]> = (0..SIDE.pow(3)).map(place).collect();
    let mut values = Vec::with_capacity(places.len());
    for places in places.chunks(CHUNK) {
        append_distances(&surface.field, tile, places, &mut values);
    }
    let [low, high] = surface.scene_box.in_cube();
    for (value, place) in values.iter_mut().zip(places.iter()) {
        // Outside of the box, and on its faces, nothing is inside.
        if (0..3).any(|k| place[k] <= low[k].max(0.0) || place[k] >= high[k].min(1.0)) {
            *value = value.max(1e-4);
        }
    }
    let mut signs = [[false; 2]; 6];
    for (i, value) in values.iter().enumerate() {
        for (axis, x) in corner(i).into_iter().enumerate() {
            if x == 0 || x == CELLS {
                signs[2 * axis + usize::from(x == CELLS)][usize::from(*value < 0.0)] = true;
            }
        }
    }
    (brick(&values, CELLS, base), signs.map(|s| s[0] && s[1]))
}

/// The triangles of parts that are large enough. Parts that are turned inside out are the walls of cavities: nobody sees them.
fn without_small_parts(positions: &[[f32; 3]], triangles: &[[u32; 3]], least: f64) -> Vec<[u32; 3]> {
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
fn used(positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> (Vec<[f32; 3]>, Vec<[u32; 3]>) {
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

/// Normals of length 1 and colours of places on the surface.
fn looks(field: &Field, positions: &[[f32; 3]], colours: bool) -> (Vec<[f32; 3]>, Vec<[u8; 3]>) {
    let chunks = positions.par_chunks(CHUNK).map_init(Tile::default, |tile, places| {
        field.make_room(places.len(), tile);
        places.iter().enumerate().for_each(|(i, place)| tile.place(i, *place));
        field.surface(tile);
        let unit = |n: [f32; 3]| {
            let length = n.iter().map(|x| x * x).sum::<f32>().sqrt();
            if length > 1e-12 { n.map(|x| x / length) } else { [0.0, 0.0, 1.0] }
        };
        let normals: Vec<[f32; 3]> = (0..places.len()).map(|i| unit(tile.normal_of(i))).collect();
        if !colours {
            return (normals, Vec::new());
        }
        let of_direction: Vec<_> = normals.iter().map(|n| harmonics(n.map(|x| -x))).collect();
        field.colours(tile, |i| &of_direction[i]);
        let byte = |x: f32| (255.0 * x).round() as u8;
        let colours = (0..places.len()).map(|i| field.colour_of(tile, i).map(byte)).collect();
        (normals, colours)
    });
    let (normals, colours): (Vec<_>, Vec<_>) = chunks.collect::<Vec<_>>().into_iter().unzip();
    (normals.concat(), colours.concat())
}
