//! A shape as models see it: distances on a coarse grid, and on a fine grid near the surface.

use crate::meshing::{Distances, MeshOptions, tidied, zero_level};
use rayon::prelude::*;
use tessera_datasets::scene::Mesh;

/// Voxels of the fine grid along the cube.
pub const FINE: usize = 64;
/// Blocks of the coarse grid along the cube.
pub const COARSE: usize = 16;
/// Voxels of a block along its side.
pub const BLOCK: usize = FINE / COARSE;
/// Voxels of a block.
pub const VOXELS: usize = BLOCK * BLOCK * BLOCK;
/// Pieces of the coarse grid along the cube: as many blocks a side as blocks have voxels.
pub const PIECES: usize = COARSE / BLOCK;
/// Distances on the fine grid are in units of this, and no longer: three voxels.
const FINE_UNIT: f32 = 3.0 / FINE as f32;
/// Those on the coarse grid are in units of four voxels, and no longer: longer ones would make the differences that tell a thin leg from
/// nothing small beside the noise that models learn to remove.
const COARSE_UNIT: f32 = 4.0 / FINE as f32;
/// A block whose middle is nearer to the surface than three voxels, in units of the coarse grid, has voxels of its own: its corners are
/// less than that away.
const NEAR: f32 = 3.0 / 4.0;

/// A shape on both grids. Coordinates are x, y, z; z changes fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its class.
    pub label: u32,
    /// Distances in the middles of blocks, from -1 to 1, `[16³]`.
    pub coarse: Vec<f32>,
    /// Distances in the blocks near the surface, from -1 to 1, `[blocks, 64]`: by half blocks, and by voxels in those.
    pub fine: Vec<f32>,
}

impl Sample {
    /// From signed distances in the cube from 0 to 1.
    pub fn new(label: u32, distance: impl Fn([f32; 3]) -> f32 + Sync) -> Self {
        let value = |i: usize| {
            let middle = place(i).map(|x| (x as f32 * BLOCK as f32 + 0.5 * (BLOCK as f32 - 1.0)) / FINE as f32);
            (distance(middle) / COARSE_UNIT).clamp(-1.0, 1.0)
        };
        let coarse: Vec<f32> = (0..COARSE.pow(3)).map(value).collect();
        let fine = blocks_near(&coarse)
            .into_iter()
            .flat_map(|block| (0..VOXELS).map(move |i| voxel(block, i)))
            .map(|voxel| (distance(voxel.map(|x| x as f32 / FINE as f32)) / FINE_UNIT).clamp(-1.0, 1.0))
            .collect();
        Self { label, coarse, fine }
    }

    /// The blocks that have voxels of their own, ascending.
    pub fn blocks(&self) -> Vec<[usize; 3]> {
        blocks_near(&self.coarse)
    }
}

/// Which blocks are near the surface, ascending.
pub fn blocks_near(coarse: &[f32]) -> Vec<[usize; 3]> {
    (0..COARSE.pow(3)).filter(|i| coarse[*i].abs() < NEAR).map(place).collect()
}

/// What is known of blocks from the coarse grid: their own distance and those of their six neighbours, `[blocks, 7]`.
pub fn surroundings(coarse: &[f32], blocks: &[[usize; 3]]) -> Vec<f32> {
    let at = |c: [usize; 3]| coarse[(c[0] * COARSE + c[1]) * COARSE + c[2]];
    let mut out = Vec::with_capacity(blocks.len() * SURROUNDINGS);
    for &block in blocks {
        out.push(at(block));
        for axis in 0..3 {
            for up in [false, true] {
                let mut near = block;
                near[axis] = if up { (block[axis] + 1).min(COARSE - 1) } else { block[axis].saturating_sub(1) };
                out.push(at(near));
            }
        }
    }
    out
}

/// Numbers of [`surroundings`] of a block.
pub const SURROUNDINGS: usize = 7;

/// The pieces of the coarse grid, ascending.
pub fn pieces() -> impl Iterator<Item = [usize; 3]> {
    (0..PIECES.pow(3)).map(|i| [i / PIECES.pow(2), i / PIECES % PIECES, i % PIECES])
}

/// Distances of the coarse grid by pieces, `[4³, 64]`, in the order of those of blocks.
pub fn to_pieces(coarse: &[f32]) -> Vec<f32> {
    of_pieces().map(|at| coarse[at]).collect()
}

/// And back.
pub fn from_pieces(values: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    of_pieces().zip(values).for_each(|(at, value)| out[at] = *value);
    out
}

/// Where distances of pieces are in the coarse grid.
fn of_pieces() -> impl Iterator<Item = usize> {
    let voxels = pieces().flat_map(|piece| (0..VOXELS).map(move |i| voxel(piece, i)));
    voxels.map(|[x, y, z]| (x * COARSE + y) * COARSE + z)
}

fn place(i: usize) -> [usize; 3] {
    [i / (COARSE * COARSE), i / COARSE % COARSE, i % COARSE]
}

/// Voxel `i` of a block: three bits for the half block, three for the voxel in it.
fn voxel(block: [usize; 3], i: usize) -> [usize; 3] {
    let bit = |shift: usize| i >> shift & 1;
    std::array::from_fn(|k| BLOCK * block[k] + 2 * bit(5 - k) + bit(2 - k))
}

/// Distances on the whole fine grid, in units of three voxels.
pub struct Volume(Vec<f32>);

impl Volume {
    /// Fine distances where there are blocks of such, coarse ones between their places elsewhere.
    pub fn new(coarse: &[f32], fine: &[f32]) -> Self {
        let mut values = vec![0.0; FINE.pow(3)];
        values.par_chunks_exact_mut(FINE).enumerate().for_each(|(row, values)| {
            let (x, y) = (row / FINE, row % FINE);
            values.iter_mut().enumerate().for_each(|(z, value)| {
                *value = between(coarse, COARSE, [x, y, z].map(|x| (x as f32 - 1.5) / BLOCK as f32));
                *value *= COARSE_UNIT / FINE_UNIT;
            });
        });
        for (block, distances) in blocks_near(coarse).into_iter().zip(fine.chunks_exact(VOXELS)) {
            for (i, distance) in distances.iter().enumerate() {
                let [x, y, z] = voxel(block, i);
                values[(x * FINE + y) * FINE + z] = *distance;
            }
        }
        Self(values)
    }

    /// The surface in the cube from 0 to 1, without what is smaller than a thousandth of its largest part. Empty when there is none.
    pub fn mesh(&self) -> Mesh {
        let found = zero_level(self, FINE, [[0.0; 3], [1.0; 3]], &mut |_, _| {});
        let options = MeshOptions { resolution: FINE, least_part: 0.001, faces: None, colours: false };
        let (positions, triangles) = tidied(found, &options, &mut |_, _| {});
        let mut mesh = Mesh { positions, triangles, ..Mesh::default() };
        mesh.compute_normals();
        mesh
    }
}

impl Distances for Volume {
    type Scratch = ();

    fn append(&self, (): &mut (), places: &[[f32; 3]], out: &mut Vec<f32>) {
        let at = |p: &[f32; 3]| FINE_UNIT * between(&self.0, FINE, p.map(|x| x * FINE as f32));
        out.extend(places.iter().map(at));
    }
}

/// Between the eight values of a grid around a place, given in cells; beyond its border as on it.
fn between(values: &[f32], side: usize, place: [f32; 3]) -> f32 {
    let last = (side - 1) as f32;
    let place = place.map(|x| x.clamp(0.0, last));
    let low = place.map(|x| (x as usize).min(side - 2));
    let share: [f32; 3] = std::array::from_fn(|k| place[k] - low[k] as f32);
    let mut sum = 0.0;
    for corner in 0..8usize {
        let bit: [usize; 3] = std::array::from_fn(|k| corner >> k & 1);
        let weight: f32 = (0..3).map(|k| if bit[k] == 1 { share[k] } else { 1.0 - share[k] }).product();
        if weight > 0.0 {
            sum += weight * values[((low[0] + bit[0]) * side + low[1] + bit[1]) * side + low[2] + bit[2]];
        }
    }
    sum
}
