//! From distances to triangles.
//!
//! Marching cubes in bricks of 8 cells, and only in those near the surface: bricks whose middle is near it, and whatever neighbour a surface
//! enters through a face. The surface is thus closed wherever it lies inside the box, and closed along the box where it would leave it.
//!
//! - [`zero_level`]: the surface; [`tidied`]: without what floats, and with fewer triangles.
//! - [`coarser`]: a mesh that is there already with fewer triangles, colours kept.
//! - [`atlas`]: a mesh laid out flat; [`texture`]: what photos show of it; [`depth`]: what a camera sees of it.

pub mod atlas;
pub(crate) mod cells;
mod coarser;
pub mod depth;
mod parts;
mod simplify;
pub mod texture;

pub use cells::{cells_near, distances_at};
pub use coarser::coarser;
pub use simplify::simplified;

use parts::{used, without_small_parts};
use rayon::prelude::*;
use tessera_kernels::marching_cubes::{Piece, brick, weld};

/// Cells per side of a brick.
const CELLS: usize = 8;
/// Places looked at at a time.
const CHUNK: usize = 256;

/// Is told how much of how much is done.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize);

/// How a mesh is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeshOptions {
    /// Cells along the longest side of the box.
    pub resolution: usize,
    /// Parts of less than this share of the largest part's area are left out.
    pub least_part: f64,
    /// The most triangles, if there is a limit.
    pub faces: Option<usize>,
    /// Give vertices the colours that the surface has when it is looked at from right above.
    pub colours: bool,
}

impl Default for MeshOptions {
    fn default() -> Self {
        Self { resolution: 512, least_part: 0.0005, faces: None, colours: true }
    }
}

/// Positions, and triangles that name them.
pub type Triangles = (Vec<[f32; 3]>, Vec<[u32; 3]>);

/// What of a surface's triangles is kept: the parts that are large enough, in no more triangles than wished. None when nothing is left.
pub fn tidied((positions, triangles): Triangles, options: &MeshOptions, progress: Progress<'_>) -> Triangles {
    let triangles = without_small_parts(&positions, &triangles, options.least_part);
    let (positions, triangles) = used(&positions, &triangles);
    match options.faces {
        Some(faces) if triangles.len() > faces => simplified(&positions, &triangles, faces, progress),
        _ => (positions, triangles),
    }
}

/// Something that knows distances from a surface all over the unit cube, negative inside.
pub trait Distances: Sync {
    /// What a thread keeps between calls.
    type Scratch: Default + Send;

    /// Appends the distances at a few places.
    fn append(&self, scratch: &mut Self::Scratch, places: &[[f32; 3]], out: &mut Vec<f32>);
}

/// Positions in the unit cube, and triangles, counter-clockwise seen from outside, of where distances are zero inside the box between two
/// corners. `resolution` cells along the cube, rounded up to a multiple of eight.
pub fn zero_level<D: Distances>(
    field: &D,
    resolution: usize,
    faces: [[f32; 3]; 2],
    progress: Progress<'_>,
) -> Triangles {
    let resolution = resolution.max(CELLS).next_multiple_of(CELLS);
    let pieces = pieces(field, resolution / CELLS, faces, progress);
    let welded = weld(&pieces);
    drop(pieces);
    let mut positions = welded.positions;
    positions.par_iter_mut().for_each(|p| *p = p.map(|x| x / resolution as f32));
    (positions, welded.triangles)
}

/// The pieces of all bricks that the surface passes through, in a fixed order.
fn pieces<D: Distances>(field: &D, bricks: usize, faces: [[f32; 3]; 2], progress: Progress<'_>) -> Vec<Piece> {
    let index = |b: [u16; 3]| (usize::from(b[2]) * bricks + usize::from(b[1])) * bricks + usize::from(b[0]);
    let mut known = vec![false; bricks.pow(3)];
    let mut wave = cells_near(field, bricks, 0.0);
    wave.iter().for_each(|b| known[index(*b)] = true);
    let mut found: Vec<(usize, Piece)> = Vec::new();
    let mut done = 0;
    while !wave.is_empty() {
        let total = done + wave.len();
        let mut next = Vec::new();
        for part in wave.chunks(1024) {
            let of_part: Vec<(usize, Piece, [bool; 6])> = part
                .par_iter()
                .map_init(D::Scratch::default, |scratch, b| {
                    let (piece, crossed) = piece(field, *b, bricks, faces, scratch);
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
fn piece<D: Distances>(
    field: &D,
    b: [u16; 3],
    bricks: usize,
    [low, high]: [[f32; 3]; 2],
    scratch: &mut D::Scratch,
) -> (Piece, [bool; 6]) {
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
        field.append(scratch, places, &mut values);
    }
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
