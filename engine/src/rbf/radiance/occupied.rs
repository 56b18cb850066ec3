//! Which cells of the unit cube rays need not visit: those in which a step would hide less than a hundredth.
//!
//! Densities are looked at at random places of all cells while the scene forms, then of the occupied ones and of some others. What was seen
//! is remembered for a while, so that thin things are not lost between two looks; if everything is thin, the thicker half stays.

use super::Radiance;
use super::trace::density;
use crate::rbf::field::Tile;
use crate::rbf::learner::TILE;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;

/// Density times step, from which on a cell is occupied.
const LEAST: f32 = 0.01;
/// What is left of a density at the next look.
const KEPT: f32 = 0.9;
/// After the scene has formed, one of so many cells is looked at.
const SOME: usize = 16;

/// What is known of each cell.
#[derive(Clone, Debug)]
pub struct Cells {
    /// Density times step, x fastest.
    pub depths: Vec<f32>,
}

impl Cells {
    /// Nothing is known of `resolution³` cells.
    pub fn new(resolution: usize) -> Self {
        Self { depths: vec![0.0; resolution.pow(3)] }
    }

    /// Looks at `all` cells, or at those that are occupied and some others, and tells the radiance which are occupied. Random numbers begin
    /// with `seed`.
    pub fn update(&mut self, radiance: &mut Radiance, all: bool, seed: u64) {
        let grid = &radiance.occupancy;
        let first = (seed % SOME as u64) as usize;
        let is_chosen = |cell: &usize| all || grid.is_set(*cell) || shuffled(*cell) % SOME == first;
        let cells: Vec<usize> = (0..self.depths.len()).filter(is_chosen).collect();
        let looked =
            |tile: &mut Tile, (chunk, cells): (usize, &[usize])| depths_in(radiance, cells, seed ^ chunk as u64, tile);
        let chunks = cells.par_chunks(TILE).enumerate().map_init(Tile::default, looked);
        let found: Vec<f32> = chunks.collect::<Vec<_>>().concat();
        for (&cell, found) in cells.iter().zip(found) {
            self.depths[cell] = (KEPT * self.depths[cell]).max(found);
        }
        let mean = self.depths.iter().map(|d| f64::from(*d)).sum::<f64>() / self.depths.len() as f64;
        let least = LEAST.min(mean as f32);
        for (cell, depth) in self.depths.iter().enumerate() {
            if *depth >= least { radiance.occupancy.set(cell) } else { radiance.occupancy.clear(cell) }
        }
    }
}

/// Neighbouring cells are looked at at different times.
fn shuffled(cell: usize) -> usize {
    cell.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

/// Density times step at random places of cells.
fn depths_in(radiance: &Radiance, cells: &[usize], seed: u64, tile: &mut Tile) -> Vec<f32> {
    let (field, grid) = (&radiance.field, &radiance.occupancy);
    let mut rng = Pcg64::seed_from_u64(seed);
    let side = grid.resolution() as f32;
    field.prepare(tile);
    field.make_room(cells.len(), tile);
    let mut steps = Vec::with_capacity(cells.len());
    for (i, &cell) in cells.iter().enumerate() {
        let place = grid.coordinates(cell).map(|x| (x as f32 + rng.random_range(0.0..1.0)) / side);
        tile.place(i, place);
        steps.push(radiance.space.step_at(radiance.space.from_cube(place)));
    }
    field.values(tile, &[]);
    steps.iter().enumerate().map(|(i, step)| density(field, tile, i) * step).collect()
}
