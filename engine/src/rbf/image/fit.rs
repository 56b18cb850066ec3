//! Fitting one tile, and drawing it.

use super::kernels::{NEIGHBOURS, Nearest, place};
use super::{ImageConfig, Pixels};
use crate::Result;
use crate::rbf::descent::Rates;
use crate::rbf::device::DeviceLearner;
use crate::rbf::field::{Field, Tile};
use crate::rbf::learner::{Cost, Learner, TILE};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use tessera_kernels::device::Device;
use tessera_kernels::rbf::cuda::Picture;

/// Fits a tile: a field over the unit square with one output for each channel. `progress` is told after each step how many are done and the
/// mean squared error of recent steps. Ends early, with what it has, once `stop` is true. It computes on `device`, or on the CPU without one.
///
/// # Errors
/// When the device fails, or cannot hold the tile.
pub fn fit_tile(
    device: Option<&Device>,
    pixels: &Pixels,
    config: &ImageConfig,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, f64),
) -> Result<Field> {
    match pixels.channels {
        1 => learn::<1>(device, pixels, config, stop, progress),
        3 => learn::<3>(device, pixels, config, stop, progress),
        _ => learn::<4>(device, pixels, config, stop, progress),
    }
}

fn learn<const C: usize>(
    device: Option<&Device>,
    pixels: &Pixels,
    config: &ImageConfig,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, f64),
) -> Result<Field> {
    let mut rng = Pcg64::seed_from_u64(config.seed);
    let budget = config.budget(pixels.count(), pixels.side);
    let kernels = (budget.kernels > 0).then(|| place(pixels, budget.kernels, config, &mut rng));
    // Which kernels are near each pixel never changes.
    let near = kernels.as_ref().map_or_else(Vec::new, |k| {
        let places: Vec<[f32; 2]> = (0..pixels.count()).map(|i| pixels.place(i)).collect();
        Nearest::new(&k.parameters.centres).to(&places)
    });
    let field = Field::new(&budget.encoding, kernels, C, &mut rng);
    let Some(device) = device else {
        let mut learner = Learner::new(field);
        descend(pixels, config, &mut rng, stop, progress, |chosen, rates| {
            let places: Vec<[f32; 2]> = chosen.iter().map(|&i| pixels.place(i)).collect();
            let near = if near.is_empty() {
                Vec::new()
            } else {
                chosen.iter().flat_map(|&i| near[i * NEIGHBOURS..][..NEIGHBOURS].iter().copied()).collect()
            };
            Ok(learner.step::<2, C>(&places, near, rates, |i, outputs| {
                squared_difference(outputs, &pixels.values[chosen[i] * C..][..C])
            }))
        })?;
        return Ok(learner.field);
    };
    let picture = Picture::new(device, (&pixels.values, C), (pixels.width, pixels.side), &near)?;
    let mut learner = DeviceLearner::new(device, field, config.batch)?;
    descend(pixels, config, &mut rng, stop, progress, |chosen, rates| learner.step_pixels(&picture, chosen, rates))?;
    learner.finish()
}

/// All steps, or those until `stop` is true: `step` takes pixels by their numbers and gives the mean squared error.
fn descend(
    pixels: &Pixels,
    config: &ImageConfig,
    rng: &mut Pcg64,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, f64),
    mut step: impl FnMut(&[usize], Rates) -> Result<f64>,
) -> Result<()> {
    let mut recent = 0.0;
    for number in 0..config.steps {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let chosen: Vec<usize> = (0..config.batch).map(|_| rng.random_range(0..pixels.count())).collect();
        let decay = config.rate_decay.powf(number as f64 / config.steps as f64);
        let rates = Rates { features: (config.rate * decay) as f32, decoder: (config.decoder_rate * decay) as f32 };
        let loss = step(&chosen, rates)?;
        recent = if number == 0 { loss } else { 0.95 * recent + 0.05 * loss };
        progress(number + 1, recent);
    }
    Ok(())
}

/// The mean over channels, and its gradient by outputs.
#[inline(always)]
fn squared_difference<const C: usize>(outputs: [f32; C], wanted: &[f32]) -> Cost<C> {
    let mut slopes = [0.0; C];
    let mut loss = 0.0;
    for c in 0..C {
        let difference = outputs[c] - wanted[c];
        loss += difference * difference / C as f32;
        slopes[c] = 2.0 * difference / C as f32;
    }
    (loss, slopes)
}

/// The pixels of a tile, `[height, width, channels]`.
pub fn draw(field: &Field, [width, height]: [u32; 2], side: u32, channels: usize) -> Vec<f32> {
    let pixels = Pixels { width, height, channels, side, values: Vec::new() };
    let nearest = field.kernels.as_ref().map(|k| Nearest::new(&k.parameters.centres));
    let mut out = vec![0.0; pixels.count() * channels];
    out.par_chunks_mut(TILE * channels).enumerate().for_each_init(Tile::default, |tile, (chunk, out)| {
        let count = out.len() / channels;
        field.prepare(tile);
        field.make_room(count, tile);
        let places: Vec<[f32; 2]> = (0..count).map(|i| pixels.place(chunk * TILE + i)).collect();
        places.iter().enumerate().for_each(|(i, place)| tile.place(i, *place));
        let near: Vec<u32> = nearest.iter().flat_map(|n| places.iter().flat_map(|p| n.of(*p))).collect();
        field.values(tile, &near);
        for (i, out) in out.chunks_exact_mut(channels).enumerate() {
            (0..channels).for_each(|c| out[c] = field.value(tile, c, i));
        }
    });
    out
}
