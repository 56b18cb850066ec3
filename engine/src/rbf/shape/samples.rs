//! Places in the unit cube, and their distances from the mesh.

use super::ShapeConfig;
use crate::mesh_distance::MeshDistance;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;

/// Of eight places, so many lie on the surface, and so many near it; the others anywhere.
const ON: usize = 4;
const NEAR: usize = 3;
const ALL: usize = 8;
/// Of the places whose distances have to be computed, the share that lies near the surface.
const NEAR_OF_POOL: f64 = NEAR as f64 / (ALL - ON) as f64;

/// A place and the distance there.
pub type Sample = ([f32; 3], f32);

/// Samples of a mesh in the unit cube. Computing a distance takes longer than learning from it, so those off the surface are kept and
/// replaced bit by bit; on the surface the distance is known.
pub struct Samples<'a> {
    mesh: &'a MeshDistance,
    near: f32,
    /// Those near the surface and those anywhere lie side by side.
    pool: Vec<Sample>,
    next: usize,
    seed: u64,
}

impl<'a> Samples<'a> {
    /// Fills the pool.
    pub fn new(mesh: &'a MeshDistance, config: &ShapeConfig) -> Self {
        let mut samples = Self { mesh, near: config.near as f32, pool: Vec::new(), next: 0, seed: config.seed };
        samples.pool = samples.draw(config.pool, 0);
        samples
    }

    /// `count` new ones; `round` makes them differ from those of other rounds.
    fn draw(&self, count: usize, round: u64) -> Vec<Sample> {
        const CHUNK: usize = 1024;
        let chunks = (0..count.div_ceil(CHUNK)).into_par_iter().map(|chunk| {
            let stream = (round << 32 | chunk as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut rng = Pcg64::seed_from_u64(self.seed ^ stream);
            (chunk * CHUNK..count.min((chunk + 1) * CHUNK)).map(|_| self.draw_one(&mut rng)).collect::<Vec<_>>()
        });
        chunks.collect::<Vec<_>>().concat()
    }

    fn draw_one(&self, rng: &mut Pcg64) -> Sample {
        if !rng.random_bool(NEAR_OF_POOL) {
            let place = std::array::from_fn(|_| rng.random());
            return (place, self.mesh.signed(place));
        }
        let (on, _) = self.mesh.on_surface(rng.random(), rng.random(), rng.random());
        let offset: [f32; 3] = std::array::from_fn(|_| {
            // Three uniform numbers add up to almost a normal one, of variance 1.
            self.near * 2.0 * ((0..3).map(|_| rng.random::<f32>()).sum::<f32>() - 1.5)
        });
        let place: [f32; 3] = std::array::from_fn(|k| (on[k] + offset[k]).clamp(0.0, 1.0));
        let bound = (0..3).map(|k| (place[k] - on[k]).powi(2)).sum::<f32>().sqrt();
        // A little more, so that rounding does not hide the triangle.
        (place, self.mesh.signed_within(place, 1.0001 * bound + 1e-7))
    }

    /// The samples of step `step`, in no particular order.
    pub fn batch(&mut self, count: usize, fresh: usize, step: u64) -> (Vec<[f32; 3]>, Vec<f32>) {
        let new = self.draw(fresh, step + 1);
        for sample in new {
            self.pool[self.next] = sample;
            self.next = (self.next + 1) % self.pool.len();
        }
        let mut rng = Pcg64::seed_from_u64(self.seed ^ (step + 1).wrapping_mul(0xd134_2543_de82_ef95));
        let on = count * ON / ALL;
        let mut places = Vec::with_capacity(count);
        let mut distances = vec![0.0; on];
        for i in 0..on {
            // Spread evenly over the surface.
            let along = (i as f64 + rng.random::<f64>()) / on as f64;
            places.push(self.mesh.on_surface(along, rng.random(), rng.random()).0);
        }
        for _ in on..count {
            let (place, distance) = self.pool[rng.random_range(0..self.pool.len())];
            places.push(place);
            distances.push(distance);
        }
        (places, distances)
    }
}
