//! How the number of splats grows and where they go.
//!
//! Every `refine_every` steps, splats that have become transparent are put to use elsewhere, and the set grows along an
//! exponential to its target. Both take a splat that covers much error and split it along its longest axis. Which ones
//! is drawn at random with the error that each covered since the last time as weight (Gumbel's trick, without
//! replacement), so that growth goes where the pictures are wrong. Kheradmand et al., "3D Gaussian Splatting as Markov
//! Chain Monte Carlo", 2024, is the frame: a fixed budget, relocation, noise, and decay of opacity and scale; here only
//! splats that a view sees decay, so that large scenes do not dissolve where the camera is not.

use super::config::SplatsConfig;
use super::model::{Rates, SplatModel};
use crate::Result;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use std::ops::Range;
use tessera_kernels::splat::{Rasterizer, SplatGradients};

/// Splats with less opacity are dead.
pub(crate) const DEAD_OPACITY: f32 = 0.005;
/// Children of a split stand this many standard deviations from the parent's mean.
pub(crate) const SPLIT_OFFSET: f32 = 0.6;
/// Their standard deviation along the split axis, as a share of the parent's: keeps the second moment.
pub(crate) const SPLIT_SHRINK: f32 = 0.8;
/// Exponent of a child's transparency: 1 - (1 - opacity)^this, which keeps the light that the parent held back.
pub(crate) const SPLIT_TRANSPARENCY: f32 = 0.625;
/// Steps between re-orderings, in refinements.
const REORDER_EVERY: u64 = 10;

/// What one refinement did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refinement {
    /// Dead splats put to use elsewhere.
    pub relocated: usize,
    /// Splats added.
    pub added: usize,
}

/// Splats that can be refined, wherever their parameters are.
pub trait Population {
    /// How many there are.
    fn count(&self) -> usize;
    /// How many more there are that are not refined now.
    fn elsewhere(&self) -> usize {
        0
    }
    /// Writes for each whether it is of use: opaque enough, and finite.
    ///
    /// # Errors
    /// When a device fails.
    fn find_living(&mut self, living: &mut Vec<bool>) -> Result<()>;
    /// Replaces each parent by two halves along its longest axis, the second one at the same index of `places`, which may lie
    /// behind the last splat. Parents and places are all different.
    ///
    /// # Errors
    /// When a device fails.
    fn split(&mut self, parents: &[usize], places: &[usize]) -> Result<()>;
    /// Shows the means, `[N, 3]`.
    ///
    /// # Errors
    /// When a device fails.
    fn show_means(&mut self, show: &mut dyn FnMut(&[f32])) -> Result<()>;
    /// Puts row `order[i]` in place `i`, for all `i`.
    ///
    /// # Errors
    /// When a device fails.
    fn permute(&mut self, order: &[u32]) -> Result<()>;
}

impl Population for SplatModel {
    fn count(&self) -> usize {
        self.len()
    }

    fn find_living(&mut self, living: &mut Vec<bool>) -> Result<()> {
        living.clear();
        living.extend((0..self.len()).map(|i| !is_dead(self, i)));
        Ok(())
    }

    fn split(&mut self, parents: &[usize], places: &[usize]) -> Result<()> {
        self.resize(places.iter().map(|place| place + 1).fold(self.len(), usize::max));
        parents.iter().zip(places).for_each(|(&parent, &place)| split(self, parent, place));
        Ok(())
    }

    fn show_means(&mut self, show: &mut dyn FnMut(&[f32])) -> Result<()> {
        show(&self.means.values);
        Ok(())
    }

    fn permute(&mut self, order: &[u32]) -> Result<()> {
        Self::permute(self, order);
        Ok(())
    }
}

/// The error that each splat covered since the last refinement.
#[derive(Debug, Default)]
pub struct DensityControl {
    scores: Vec<f32>,
    buffers: Buffers,
}

/// What refinements work with, kept so that they allocate nothing once the scene has its size.
#[derive(Debug, Default)]
struct Buffers {
    living: Vec<bool>,
    dead: Vec<usize>,
    keys: Vec<(f32, usize)>,
    parents: Vec<usize>,
    places: Vec<usize>,
    codes: Vec<(u64, u32)>,
    order: Vec<u32>,
}

impl DensityControl {
    /// Adds what one step found out.
    pub fn observe(&mut self, gradients: &SplatGradients) {
        self.scores.resize(gradients.scores.len(), 0.0);
        for (sum, score) in self.scores.iter_mut().zip(&gradients.scores) {
            *sum += score;
        }
    }

    /// Adds the scores of some of `count` splats: `scores[i]` is that of `rows[i]`.
    pub fn observe_rows(&mut self, count: usize, rows: &[u32], scores: &[f32]) {
        self.scores.resize(count, 0.0);
        for (&row, score) in rows.iter().zip(scores) {
            self.scores[row as usize] += score;
        }
    }

    /// Has some splats take no more than about `room` of `wanted` new ones, whatever they covered.
    pub fn limit(&mut self, rows: &[usize], room: usize, wanted: usize) {
        let all: f64 = self.scores.iter().map(|&score| f64::from(score)).sum();
        let mine: f64 = rows.iter().filter_map(|&row| self.scores.get(row)).map(|&score| f64::from(score)).sum();
        // A weight w for them makes their share of the draw w mine / (w mine + others).
        let (share, others) = (room as f64 / wanted.max(1) as f64, all - mine);
        if mine <= 0.0 || share >= mine / all {
            return;
        }
        let weight = (share * others / ((1.0 - share) * mine)) as f32;
        for &row in rows {
            if let Some(score) = self.scores.get_mut(row) {
                *score *= weight;
            }
        }
    }

    /// Has the errors that some splats covered count so many times as much.
    pub fn weigh(&mut self, rows: Range<usize>, weight: f32) {
        if let Some(scores) = self.scores.get_mut(rows) {
            scores.iter_mut().for_each(|score| *score *= weight);
        }
    }

    /// The accumulated scores, for checkpoints.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Goes on from saved scores.
    pub fn restore(&mut self, scores: Vec<f32>) {
        self.scores = scores;
    }

    /// Whether splats are relocated and grown after `done` steps.
    pub fn is_due(config: &SplatsConfig, done: u64) -> bool {
        let share = done as f64 / config.steps as f64;
        done.is_multiple_of(config.refine_interval()) && share >= config.grow_from && share <= config.relocate_until
    }

    /// Relocates and grows after `done` steps, if it is time to. The seed decides which splats.
    ///
    /// # Errors
    /// When the device that has the splats fails.
    pub fn refine(
        &mut self,
        population: &mut dyn Population,
        config: &SplatsConfig,
        first_count: usize,
        done: u64,
    ) -> Result<Option<Refinement>> {
        if !Self::is_due(config, done) {
            return Ok(None);
        }
        let count = population.count();
        self.reserve(count.max(config.max_splats));
        self.scores.resize(count, 0.0);
        let target = Self::target(population, config, first_count, done).max(count);
        let mut rng = Pcg64::seed_from_u64(config.seed ^ done.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let Buffers { living, dead, keys, parents, places, codes, order } = &mut self.buffers;
        population.find_living(living)?;
        dead.clear();
        dead.extend((0..count).rev().filter(|&i| !living[i]));
        let mut outcome = Refinement::default();
        // A splat splits once a round, so more than doubling takes several.
        loop {
            let first_new = population.count();
            let wanted = dead.len() + target - first_new;
            draw_parents(living, &self.scores, wanted, &mut rng, keys, parents);
            if parents.is_empty() {
                break;
            }
            let relocated = dead.len().min(parents.len());
            let still_dead = dead.len() - relocated;
            places.clear();
            places.extend(dead[still_dead..].iter().rev());
            places.extend(first_new..first_new + parents.len() - relocated);
            dead.truncate(still_dead);
            population.split(parents, places)?;
            self.scores.resize(population.count(), 0.0);
            for (&parent, &place) in parents.iter().zip(&*places) {
                self.scores[parent] *= 0.5;
                self.scores[place] = self.scores[parent];
            }
            outcome.relocated += relocated;
            outcome.added += population.count() - first_new;
            population.find_living(living)?;
        }
        self.scores.clear();
        self.scores.resize(population.count(), 0.0);
        if (done / config.refine_interval()).is_multiple_of(REORDER_EVERY) {
            population.show_means(&mut |means| morton_order(means, codes, order))?;
            population.permute(order)?;
        }
        Ok(Some(outcome))
    }

    /// How many of a population there should be after `done` steps: as many as its share of all says, so that those that are refined
    /// first do not take what is meant for others.
    pub fn target(population: &dyn Population, config: &SplatsConfig, first_count: usize, done: u64) -> usize {
        let target = target_count(config, first_count, done as f64 / config.steps as f64);
        let (here, elsewhere) = (population.count(), population.elsewhere());
        if elsewhere == 0 {
            return target;
        }
        (target as f64 * here as f64 / (here + elsewhere) as f64).round() as usize
    }

    /// Makes room for `splats` once.
    fn reserve(&mut self, splats: usize) {
        let room = |len: usize| splats.saturating_sub(len);
        let Buffers { living, dead, keys, parents, places, codes, order } = &mut self.buffers;
        self.scores.reserve_exact(room(self.scores.len()));
        living.reserve_exact(room(living.len()));
        dead.reserve_exact(room(dead.len()));
        keys.reserve_exact(room(keys.len()));
        parents.reserve_exact(room(parents.len()));
        places.reserve_exact(room(places.len()));
        codes.reserve_exact(room(codes.len()));
        order.reserve_exact(room(order.len()));
    }
}

/// How many splats there should be after a share of the steps.
pub(crate) fn target_count(config: &SplatsConfig, first: usize, share: f64) -> usize {
    let first = first.clamp(1, config.max_splats) as f64;
    let span = (config.grow_until - config.grow_from).max(1e-9);
    let progress = ((share - config.grow_from) / span).clamp(0.0, 1.0);
    let target = first * (config.max_splats as f64 / first).powf(progress);
    (target.round() as usize).min(config.max_splats)
}

fn opacity(model: &SplatModel, i: usize) -> f32 {
    1.0 / (1.0 + (-model.opacity_logits.values[i]).exp())
}

fn is_dead(model: &SplatModel, i: usize) -> bool {
    let finite = |row: &[f32]| row.iter().all(|v| v.is_finite());
    !(opacity(model, i) >= DEAD_OPACITY && finite(model.means.row(i)) && finite(model.log_scales.row(i)))
}

/// Up to `count` living splats, drawn without replacement with their scores as weights, in ascending order.
fn draw_parents(
    living: &[bool],
    scores: &[f32],
    count: usize,
    rng: &mut Pcg64,
    keys: &mut Vec<(f32, usize)>,
    parents: &mut Vec<usize>,
) {
    keys.clear();
    parents.clear();
    for (i, &score) in scores.iter().enumerate() {
        // One number for every splat, so that the draw does not depend on which of them are dead.
        let uniform: f32 = rng.random_range(f32::MIN_POSITIVE..1.0);
        if score > 0.0 && score.is_finite() && living[i] {
            keys.push((score.ln() - (-uniform.ln()).ln(), i));
        }
    }
    let count = count.min(keys.len());
    if count == 0 {
        return;
    }
    keys.select_nth_unstable_by(count - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    parents.extend(keys[..count].iter().map(|&(_, i)| i));
    parents.sort_unstable();
}

/// Replaces the splat `parent` by two halves along its longest axis, the second one at `place`.
fn split(model: &mut SplatModel, parent: usize, place: usize) {
    let scales: [f32; 3] = std::array::from_fn(|k| model.log_scales.row(parent)[k]);
    let axis = (0..3).fold(0, |best, k| if scales[k] > scales[best] { k } else { best });
    let direction = rotation_column(model.quats.row(parent), axis);
    let offset = SPLIT_OFFSET * scales[axis].exp();
    let held_back = (1.0 - opacity(model, parent)).clamp(1e-6, 1.0 - 1e-6);
    let child_opacity = (1.0 - held_back.powf(SPLIT_TRANSPARENCY)).clamp(1e-6, 1.0 - 1e-6);
    model.log_scales.row_mut(parent)[axis] += SPLIT_SHRINK.ln();
    model.opacity_logits.row_mut(parent)[0] = (child_opacity / (1.0 - child_opacity)).ln();
    model.copy_splat(parent, place);
    for (row, sign) in [(parent, 1.0), (place, -1.0)] {
        for (mean, d) in model.means.row_mut(row).iter_mut().zip(direction) {
            *mean += sign * offset * d;
        }
    }
}

/// One column of the rotation matrix of an unnormalised quaternion.
fn rotation_column(quat: &[f32], column: usize) -> [f32; 3] {
    let norm = quat.iter().map(|q| q * q).sum::<f32>().sqrt().max(1e-20);
    let [w, x, y, z] = [quat[0] / norm, quat[1] / norm, quat[2] / norm, quat[3] / norm];
    match column {
        0 => [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y)],
        1 => [2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x)],
        _ => [2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)],
    }
}

/// Writes the splats in the order of a space-filling curve to `order`, so that neighbours in space are neighbours in
/// memory.
fn morton_order(means: &[f32], codes: &mut Vec<(u64, u32)>, order: &mut Vec<u32>) {
    let points = means.as_chunks::<3>().0;
    let (mut low, mut high) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
    for point in points.iter().filter(|p| p.iter().all(|v| v.is_finite())) {
        for k in 0..3 {
            low[k] = low[k].min(point[k]);
            high[k] = high[k].max(point[k]);
        }
    }
    const CELLS: f32 = (1 << 20) as f32;
    let spread = |v: u64| {
        // Two zero bits after each bit.
        let v = (v | v << 32) & 0x001f_0000_0000_ffff;
        let v = (v | v << 16) & 0x001f_0000_ff00_00ff;
        let v = (v | v << 8) & 0x100f_00f0_0f00_f00f;
        let v = (v | v << 4) & 0x10c3_0c30_c30c_30c3;
        (v | v << 2) & 0x1249_2492_4924_9249
    };
    let key = |point: &[f32; 3]| {
        (0..3).fold(0u64, |key, k| {
            let cell = (point[k] - low[k]) / (high[k] - low[k]).max(1e-20) * CELLS;
            key | spread(cell.clamp(0.0, CELLS - 1.0) as u64) << k
        })
    };
    points.par_iter().enumerate().map(|(i, p)| (key(p), i as u32)).collect_into_vec(codes);
    codes.par_sort_unstable();
    order.clear();
    order.extend(codes.iter().map(|&(_, i)| i));
}

/// Adds the pull towards transparent and small of the splats that this view saw to `gradients`.
///
/// The loss is `opacity_decay mean(opacity) + scale_decay mean(scale)`, restricted to what `rasterizer` saw last.
pub fn add_decay(model: &SplatModel, config: &SplatsConfig, rasterizer: &Rasterizer, gradients: &mut SplatGradients) {
    const CHUNK: usize = Rasterizer::CHUNK;
    let n = model.len() as f32;
    let (opacity_pull, scale_pull) = (config.opacity_decay / n, config.scale_decay / (3.0 * n));
    let opacities = gradients.opacity_logits.par_chunks_mut(CHUNK);
    opacities.zip(gradients.log_scales.par_chunks_mut(3 * CHUNK)).enumerate().for_each(
        |(chunk, (opacities, scales))| {
            for i in rasterizer.visible_in_chunk(chunk) {
                let o = opacity(model, i);
                let local = i - chunk * CHUNK;
                opacities[local] += opacity_pull * o * (1.0 - o);
                for k in 0..3 {
                    scales[3 * local + k] += scale_pull * model.log_scales.row(i)[k].exp();
                }
            }
        },
    );
}

/// Moves nearly transparent visible splats at random, by their own covariance, so that they find where they are
/// needed.
pub fn add_noise(model: &mut SplatModel, config: &SplatsConfig, rates: &Rates, step: u64, rasterizer: &Rasterizer) {
    /// Above this opacity the noise is less than a ten-thousandth of its largest.
    const STILL: f32 = 0.1;
    const CHUNK: usize = Rasterizer::CHUNK;
    let strength = (config.noise * f64::from(rates.means)) as f32;
    if strength == 0.0 {
        return;
    }
    let mut means = std::mem::take(&mut model.means.values);
    let model_without_means = &*model;
    means.par_chunks_mut(3 * CHUNK).enumerate().for_each(|(chunk, means)| {
        for i in rasterizer.visible_in_chunk(chunk) {
            let o = opacity(model_without_means, i);
            if o > STILL {
                continue;
            }
            let amount = strength / (1.0 + (100.0 * (o - DEAD_OPACITY)).exp());
            let mut rng = Pcg64::new(u128::from(config.seed) << 64 | u128::from(step), i as u128);
            let shift = random_shift(model_without_means, i, amount, &mut rng);
            for (mean, d) in means[3 * (i - chunk * CHUNK)..].iter_mut().zip(shift) {
                *mean += d;
            }
        }
    });
    model.means.values = means;
}

/// `amount Σ n`, with Σ the covariance of a splat and n three standard normal numbers.
fn random_shift(model: &SplatModel, i: usize, amount: f32, rng: &mut Pcg64) -> [f32; 3] {
    let normal: [f32; 3] = std::array::from_fn(|_| standard_normal(rng));
    let mut shift = [0.0; 3];
    for k in 0..3 {
        // Σ n = Σ_k axis_k variance_k (axis_k · n)
        let axis = rotation_column(model.quats.row(i), k);
        let variance = (2.0 * model.log_scales.row(i)[k]).exp();
        let along = (0..3).map(|d| axis[d] * normal[d]).sum::<f32>() * variance * amount;
        for d in 0..3 {
            shift[d] += axis[d] * along;
        }
    }
    shift
}

/// Box and Muller's transform.
fn standard_normal(rng: &mut Pcg64) -> f32 {
    let radius: f32 = rng.random_range(f32::MIN_POSITIVE..1.0);
    let angle: f32 = rng.random_range(0.0..std::f32::consts::TAU);
    (-2.0 * radius.ln()).sqrt() * angle.cos()
}

#[cfg(test)]
#[path = "density_tests.rs"]
mod tests;
