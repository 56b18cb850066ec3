//! From distances near the surface to a mesh, and from a mesh to the voxels near its surface.

use super::config::FINER;
use super::sparse_vae::DISTANCES;
use crate::Result;
use crate::mesh_distance::MeshDistance;
use crate::meshing::{MeshOptions, Triangles, tidied};
use rayon::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use tessera_datasets::scene::Mesh;
use tessera_kernels::marching_cubes::{Piece, brick, weld};

/// Distances where there are no voxels: outside and inside.
const FAR: f32 = 1.0;
/// Corners along a side of a brick.
const CORNERS: usize = FINER + 1;
/// Meshes reach so far from the middle of the cube from -1 to 1 before they are made finer.
const REACH: f32 = 0.95;
/// Fine voxels from the surface within which they are near it.
const NEAR: f32 = 4.0;

/// Distances of latent voxels on a grid of `side`³ of them.
pub struct Surface<'a> {
    side: usize,
    /// For each place of the grid which voxel is there, none, or none and inside.
    voxels: Vec<u32>,
    distances: &'a [f32],
}

const OUTSIDE: u32 = u32::MAX;
const INSIDE: u32 = u32::MAX - 1;

impl<'a> Surface<'a> {
    /// Of voxels (0, x, y, z) with their distances, `[N, 8³]`. Places without voxels that cannot be reached from the border of the grid are inside.
    pub fn new(voxels: &[[i32; 4]], distances: &'a [f32], side: usize) -> Self {
        let index = |[x, y, z]: [usize; 3]| (x * side + y) * side + z;
        let mut places = vec![INSIDE; side.pow(3)];
        for (i, c) in voxels.iter().enumerate() {
            places[index([c[1], c[2], c[3]].map(|x| x as usize))] = i as u32;
        }
        let at_border = |p: [usize; 3]| p.iter().any(|x| *x == 0 || *x == side - 1);
        let mut waiting: VecDeque<[usize; 3]> = (0..side.pow(3))
            .map(|i| [i / (side * side), i / side % side, i % side])
            .filter(|p| at_border(*p) && places[index(*p)] == INSIDE)
            .collect();
        waiting.iter().for_each(|p| places[index(*p)] = OUTSIDE);
        while let Some(place) = waiting.pop_front() {
            for axis in 0..3 {
                for moved in [place[axis].checked_sub(1), Some(place[axis] + 1).filter(|x| *x < side)] {
                    let Some(moved) = moved else { continue };
                    let mut next = place;
                    next[axis] = moved;
                    if places[index(next)] == INSIDE {
                        places[index(next)] = OUTSIDE;
                        waiting.push_back(next);
                    }
                }
            }
        }
        Self { side, voxels: places, distances }
    }

    /// The distance at a fine voxel, counted from one latent voxel before the grid.
    fn at(&self, place: [usize; 3]) -> f32 {
        let latent = place.map(|x| (x / FINER).wrapping_sub(1));
        if latent.iter().any(|x| *x >= self.side) {
            return FAR;
        }
        match self.voxels[(latent[0] * self.side + latent[1]) * self.side + latent[2]] {
            OUTSIDE => FAR,
            INSIDE => -FAR,
            voxel => {
                let within = place.iter().fold(0, |at, x| at * FINER + x % FINER);
                self.distances[voxel as usize * DISTANCES + within]
            }
        }
    }

    /// The surface where distances are `level`, in the cube from -1 to 1; parts of less than `least_part` of the largest part's area are left out.
    pub fn mesh(&self, level: f32, least_part: f64) -> Mesh {
        let bricks = self.side + 1;
        let pieces: Vec<Piece> = (0..bricks.pow(3))
            .into_par_iter()
            .filter_map(|i| self.piece([i / (bricks * bricks), i / bricks % bricks, i % bricks], level))
            .collect();
        let welded = weld(&pieces);
        drop(pieces);
        // The reference counts from the first voxel, in cells of the whole grid.
        let scale = 2.0 / (self.side * FINER) as f32;
        let place = |p: [f32; 3]| p.map(|x| (x - FINER as f32) * scale - 1.0);
        let positions = welded.positions.into_iter().map(place).collect();
        let options = MeshOptions { resolution: self.side, least_part, faces: None, colours: false };
        let (positions, triangles): Triangles = tidied((positions, welded.triangles), &options, &mut |_, _| {});
        let mut mesh = Mesh { positions, triangles, ..Mesh::default() };
        mesh.compute_normals();
        mesh
    }

    /// The surface in a brick, if any of its corners lies in a voxel that is there.
    fn piece(&self, b: [usize; 3], level: f32) -> Option<Piece> {
        let known = |corner: usize| {
            let p: [usize; 3] = std::array::from_fn(|k| (b[k] + (corner >> k & 1)).wrapping_sub(1));
            p.iter().all(|x| *x < self.side) && self.voxels[(p[0] * self.side + p[1]) * self.side + p[2]] < INSIDE
        };
        if !(0..8).any(known) {
            return None;
        }
        let mut values = Vec::with_capacity(CORNERS.pow(3));
        for z in 0..CORNERS {
            for y in 0..CORNERS {
                for x in 0..CORNERS {
                    values.push(self.at([b[0] * FINER + x, b[1] * FINER + y, b[2] * FINER + z]) - level);
                }
            }
        }
        let piece = brick(&values, FINER, b.map(|x| (x * FINER) as u32));
        (!piece.triangles.is_empty()).then_some(piece)
    }
}

/// The mesh moved and scaled into the cube that the finer models were trained in.
pub fn centred(mesh: &mut Mesh) {
    let (mut low, mut high) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
    for p in &mesh.positions {
        for k in 0..3 {
            low[k] = low[k].min(p[k]);
            high[k] = high[k].max(p[k]);
        }
    }
    let longest = (0..3).map(|k| high[k] - low[k]).fold(0.0, f32::max);
    let scale = if longest > 0.0 { 2.0 * REACH / longest } else { 1.0 };
    for p in &mut mesh.positions {
        *p = std::array::from_fn(|k| (p[k] - 0.5 * (low[k] + high[k])) * scale);
    }
}

/// The latent voxels (0, x, y, z), ascending, of `side` a side, with a fine voxel less than four of them away from the mesh's surface.
pub fn voxels_near(mesh: &Mesh, side: usize) -> Vec<[i32; 4]> {
    let fine = side * FINER;
    // Fine voxels lie on the corners of cells that fill the cube.
    let scale = (fine - 1) as f32 / 2.0;
    let bound = NEAR * (fine - 1) as f32 / fine as f32;
    let found: Vec<AtomicU64> = (0..side.pow(3).div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
    mesh.triangles.par_iter().for_each(|triangle| {
        let corners = triangle.map(|corner| mesh.positions[corner as usize].map(|x| (x + 1.0) * scale));
        let range = |k: usize| {
            let along = corners.map(|c| c[k]);
            let low = along.iter().copied().fold(f32::INFINITY, f32::min) - bound;
            let high = along.iter().copied().fold(f32::NEG_INFINITY, f32::max) + bound;
            [low.ceil().max(0.0) as usize, (high.floor() as isize).min(fine as isize - 1).max(0) as usize]
        };
        let ranges = [0, 1, 2].map(range);
        let blocks = |k: usize| ranges[k][0] / FINER..=ranges[k][1] / FINER;
        for x in blocks(0) {
            for y in blocks(1) {
                for z in blocks(2) {
                    let at = (x * side + y) * side + z;
                    let (word, bit) = (&found[at / 64], 1u64 << (at % 64));
                    if word.load(Ordering::Relaxed) & bit == 0 && reaches(&corners, [x, y, z], ranges, bound) {
                        word.fetch_or(bit, Ordering::Relaxed);
                    }
                }
            }
        }
    });
    let is_near = |i: &usize| found[i / 64].load(Ordering::Relaxed) >> (i % 64) & 1 == 1;
    let place = |i: usize| [0, i / (side * side), i / side % side, i % side].map(|x| x as i32);
    (0..side.pow(3)).filter(is_near).map(place).collect()
}

/// The fine voxels (0, x, y, z), ascending, that are less than four of them away from the mesh's surface, and their signed distances in units of that.
///
/// # Errors
/// When the mesh has no surface.
pub fn distances_near(mesh: &Mesh, side: usize) -> Result<(Vec<[i32; 4]>, Vec<f32>)> {
    let surface = MeshDistance::new(mesh)?;
    let scale = 2.0 / (side * FINER - 1) as f32;
    let bound = NEAR * 2.0 / (side * FINER) as f32;
    let of_latent = |latent: [i32; 4]| {
        let fine = FINER as i32;
        let within = move |i: i32| [i / (fine * fine), i / fine % fine, i % fine];
        let voxel = move |i: i32| {
            let within = within(i);
            [0, fine * latent[1] + within[0], fine * latent[2] + within[1], fine * latent[3] + within[2]]
        };
        (0..fine.pow(3)).map(voxel)
    };
    let known = |voxel: [i32; 4]| {
        let place = [voxel[1], voxel[2], voxel[3]].map(|x| x as f32 * scale - 1.0);
        let distance = surface.signed_within(place, bound);
        (distance.abs() < bound).then_some((voxel, distance / bound))
    };
    let near = voxels_near(mesh, side);
    let mut found: Vec<([i32; 4], f32)> =
        near.into_par_iter().flat_map_iter(|latent| of_latent(latent).filter_map(known)).collect();
    found.par_sort_unstable_by_key(|(voxel, _)| *voxel);
    Ok(found.into_iter().unzip())
}

/// Whether a fine voxel of a latent one is nearer to a triangle than the bound.
fn reaches(corners: &[[f32; 3]; 3], block: [usize; 3], ranges: [[usize; 2]; 3], bound: f32) -> bool {
    let along = |k: usize| {
        let first = block[k] * FINER;
        first.max(ranges[k][0])..=(first + FINER - 1).min(ranges[k][1])
    };
    along(0).any(|x| {
        along(1).any(|y| along(2).any(|z| squared_distance([x, y, z].map(|x| x as f32), corners) < bound * bound))
    })
}

fn minus(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|k| a[k] - b[k])
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    (0..3).map(|k| a[k] * b[k]).sum()
}

/// The square of the distance of a place from a triangle: to its plane where the foot lies inside, else to the nearest of its edges.
fn squared_distance(p: [f32; 3], [a, b, c]: &[[f32; 3]; 3]) -> f32 {
    let (ab, ac, ap) = (minus(*b, *a), minus(*c, *a), minus(p, *a));
    let [aa, bb, mixed] = [dot(ab, ab), dot(ac, ac), dot(ab, ac)];
    let area = aa * bb - mixed * mixed;
    if area > 1e-12 * aa * bb {
        let [u, v] = [dot(ap, ab), dot(ap, ac)];
        let [u, v] = [(bb * u - mixed * v) / area, (aa * v - mixed * u) / area];
        if u >= 0.0 && v >= 0.0 && u + v <= 1.0 {
            let foot: [f32; 3] = std::array::from_fn(|k| ap[k] - u * ab[k] - v * ac[k]);
            return dot(foot, foot);
        }
    }
    let to_edge = |from: [f32; 3], to: [f32; 3]| {
        let (edge, way) = (minus(to, from), minus(p, from));
        let along = (dot(way, edge) / dot(edge, edge).max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
        let off: [f32; 3] = std::array::from_fn(|k| way[k] - along * edge[k]);
        dot(off, off)
    };
    to_edge(*a, *b).min(to_edge(*b, *c)).min(to_edge(*c, *a))
}
