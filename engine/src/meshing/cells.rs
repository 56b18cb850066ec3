//! Where in the cube a surface may be, from coarse cells to fine ones.
//!
//! As distances grow by their length along any way, a coarse cell that is far from the surface has no fine cell near it. If no cell is
//! near the surface, those nearest to it are kept.

use super::Distances;
use rayon::prelude::*;

/// Cells that are smaller than this share of the band are not looked at one by one: hardly any would be left out.
const FINE: f32 = 0.4;
/// By so much distances may differ faster than they should.
const SLACK: f32 = 1.3;
/// Cells a side that are looked at in any case.
const COARSE: usize = 32;
/// Cells looked at by one task.
const CHUNK: usize = 512;

/// Which of `resolution³` cells may lie within `band` of the surface; never none.
pub fn cells_near<D: Distances>(field: &D, resolution: usize, band: f32) -> Vec<[u16; 3]> {
    let mut side = coarsest(resolution);
    let mut cells: Vec<[u16; 3]> =
        (0..side.pow(3)).map(|i| [i % side, i / side % side, i / side.pow(2)].map(|x| x as u16)).collect();
    // Each level halves the cells of the one before it.
    loop {
        if !are_looked_at(side, band) {
            if side == resolution {
                return cells;
            }
            side *= 2;
            cells = children(&cells);
            continue;
        }
        let distances = distances(field, &cells, side);
        let near = |limit: f32| {
            let near = cells.iter().zip(&distances).filter(move |(_, d)| d.abs() <= limit).map(|(c, _)| *c);
            near.collect::<Vec<[u16; 3]>>()
        };
        let mut kept = near(largest_distance(side, band));
        if kept.is_empty() {
            kept = near(distance_of_few(distances.iter().map(|d| d.abs()).collect()));
        }
        if side == resolution {
            return kept;
        }
        side *= 2;
        cells = children(&kept);
    }
}

/// Cells a side with which looking begins.
pub(crate) fn coarsest(resolution: usize) -> usize {
    let mut side = resolution;
    while side > COARSE && side.is_multiple_of(2) {
        side /= 2;
    }
    side
}

/// Whether cells, so many a side, are looked at one by one; else all of them are kept.
pub(crate) fn are_looked_at(side: usize, band: f32) -> bool {
    side <= COARSE || FINE * band <= 1.0 / side as f32
}

/// How large the distance at a cell's middle may be.
pub(crate) fn largest_distance(side: usize, band: f32) -> f32 {
    band + SLACK * 0.5 * 3.0f32.sqrt() / side as f32
}

/// That of these distances, none of them negative, which only a few of them are below.
pub(crate) fn distance_of_few(mut distances: Vec<f32>) -> f32 {
    let few = distances.len() / 20;
    *distances.select_nth_unstable_by(few, f32::total_cmp).1
}

/// The cells of half the size that make up these.
fn children(cells: &[[u16; 3]]) -> Vec<[u16; 3]> {
    let child = |cell: [u16; 3], c: u16| [2 * cell[0] + (c & 1), 2 * cell[1] + (c >> 1 & 1), 2 * cell[2] + (c >> 2)];
    cells.iter().flat_map(|&cell| (0..8).map(move |c| child(cell, c))).collect()
}

/// Distances at the middles of cells.
fn distances<D: Distances>(field: &D, cells: &[[u16; 3]], side: usize) -> Vec<f32> {
    let middles: Vec<[f32; 3]> = cells.iter().map(|c| c.map(|x| (f32::from(x) + 0.5) / side as f32)).collect();
    distances_at(field, &middles)
}

/// Distances at many places.
pub fn distances_at<D: Distances>(field: &D, places: &[[f32; 3]]) -> Vec<f32> {
    let chunks = places.par_chunks(CHUNK).map_init(D::Scratch::default, |scratch, places| {
        let mut distances = Vec::with_capacity(places.len());
        field.append(scratch, places, &mut distances);
        distances
    });
    chunks.collect::<Vec<_>>().concat()
}
