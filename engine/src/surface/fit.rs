//! Becoming what splats found: descending to the distances of a grid, at its surface and all over the box.

use super::SurfaceTraining;
use super::config::Rates;
use super::field::{DISTANCE_OUTPUTS, Field, at};
use super::guide::fusion::DistanceGrid;
use super::step::{GROUPS, Group, SAMPLES, eikonal, huber};
use crate::Result;
use crate::train::StepReport;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use tessera_kernels::mlp::BLOCK;
use tessera_kernels::sdf_render::cuda::FitWeights;

/// Share of the places that are near the surface.
const NEAR: f64 = 0.5;
/// How near, in cells of the grid.
const REACH: f32 = 2.0;
/// From this difference on, in sides of the cube, the loss grows linearly.
const HUBER: f32 = 2e-3;
/// Steps in which the learning rate rises to its full height.
const RISE: f64 = 50.0;
/// What it falls to, as a share of that, so that the last steps settle.
const FALL: f64 = 0.03;

/// Distances to become, and where to ask for them.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// The distances.
    pub grid: DistanceGrid,
    near: Vec<[f32; 3]>,
}

impl Pattern {
    pub fn new(grid: DistanceGrid) -> Self {
        Self { near: grid.near_surface(), grid }
    }

    /// A place in the box between `low` and `high`, often near the surface, and the distance there.
    fn draw(&self, [low, high]: [[f32; 3]; 2], rng: &mut Pcg64) -> ([f32; 3], f32) {
        let mut place: [f32; 3] = std::array::from_fn(|k| rng.random_range(low[k]..high[k]));
        if !self.near.is_empty() && rng.random_bool(NEAR) {
            let reach = REACH / self.grid.resolution() as f32;
            let middle = self.near[rng.random_range(0..self.near.len())];
            place = std::array::from_fn(|k| (middle[k] + rng.random_range(-reach..reach)).clamp(low[k], high[k]));
        }
        (place, self.grid.at(place))
    }
}

impl SurfaceTraining {
    /// Takes the step number `step`, counted from 0, towards `pattern`.
    ///
    /// # Errors
    /// When a device fails.
    pub(super) fn fit_step(&mut self, pattern: &Pattern, step: u64) -> Result<StepReport> {
        let field = &mut self.surface.field;
        field.active_levels = self.config.active_levels(0);
        let mut rng = Pcg64::seed_from_u64(self.config.seed ^ (step + 1).wrapping_mul(0xd134_2543_de82_ef95));
        let corners = self.surface.scene_box.in_cube();
        let wanted: Vec<([f32; 3], f32)> =
            (0..self.config.samples / 2).map(|_| pattern.draw(corners, &mut rng)).collect();
        let per_place = 1.0 / wanted.len() as f32;
        let eikonal_weight = self.config.eikonal_weight * per_place;
        let fall = FALL.powf(step as f64 / self.config.fit_steps as f64);
        let rise = ((step + 1) as f64 / RISE).min(1.0);
        let rates = Rates { distance: rise * fall * self.config.rate, colour: 0.0, variance: 0.0 };
        let report = |loss: f64| StepReport { loss, psnr: f64::NAN, count: wanted.len() as u64, count_name: "places" };
        let radius = self.surface.field.radius;
        self.ready_device()?;
        if let Some(machine) = &mut self.machine {
            let weights = FitWeights { radius, huber: HUBER, per_sample: per_place, eikonal: eikonal_weight };
            return Ok(report(machine.fit(&self.surface.field, &wanted, weights, (&rates, step + 1))?));
        }
        let field = &self.surface.field;
        let per_group = wanted.len().div_ceil(GROUPS).max(1);
        self.groups.resize_with(GROUPS, Group::default);
        self.groups.par_iter_mut().enumerate().with_max_len(1).for_each(|(g, group)| {
            group.clear(field, 0);
            let range = (g * per_group).min(wanted.len())..((g + 1) * per_group).min(wanted.len());
            for wanted in wanted[range].chunks(SAMPLES as usize) {
                group.fit_places(field, wanted, per_place, eikonal_weight);
            }
        });
        self.descend(&rates, step + 1);
        Ok(report(self.groups.iter().map(|g| g.loss).sum::<f64>()))
    }
}

impl Group {
    fn fit_places(&mut self, field: &Field, wanted: &[([f32; 3], f32)], per_place: f32, eikonal_weight: f32) {
        let mut chunk = self.look_at(field, wanted.iter().map(|(place, _)| *place));
        let tile = &self.traced.tile;
        field.distance.make_room(tile.positions.len() / (3 * BLOCK), &mut self.d);
        let d_distance = &mut self.d.layers[2];
        d_distance.fill(0.0);
        for (i, (_, distance)) in wanted.iter().enumerate() {
            let (loss, slope) = huber(field.distance_of(tile, i) - distance, HUBER);
            d_distance[at(DISTANCE_OUTPUTS, 0, i)] = slope * per_place;
            let normal = tile.normal_of(i);
            let (factor, of_normal) = eikonal(normal, eikonal_weight);
            self.loss += f64::from(loss * per_place) + of_normal;
            (0..3).for_each(|k| chunk.v[at(3, k, i)] = factor * normal[k]);
        }
        self.keep_gradients(field, chunk);
    }
}
