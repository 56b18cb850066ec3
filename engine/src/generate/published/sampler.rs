//! From noise to a sample: Euler's steps along a rectified flow, with the times of the published models.
//!
//! Their scheduler spaces times evenly from 1 to the least one and then shifts them, `s' = k s / (1 + (k - 1) s)`; but that least time was shifted itself
//! before. Times at the end of the way are thus shifted twice, and models are used with them, so ours are the same.

use super::super::train::normal;
use super::config::Scheduler;
use crate::{Error, Result};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use std::sync::atomic::{AtomicBool, Ordering};

/// Times from 1 to 0, `steps + 1` of them.
pub(super) fn times(scheduler: &Scheduler, steps: usize) -> Vec<f64> {
    let shifted = |time: f64| scheduler.shift * time / (1.0 + (scheduler.shift - 1.0) * time);
    let least = shifted(1.0 / scheduler.num_train_timesteps as f64);
    let even = |i: usize| if steps > 1 { 1.0 + (least - 1.0) * i as f64 / (steps - 1) as f64 } else { 1.0 };
    (0..steps).map(|i| shifted(even(i))).chain([0.0]).collect()
}

/// From noise to a sample. `velocity` is asked with and, unless `guidance` is 1, without the condition; `done` is told how many steps are.
pub(super) fn sample(
    mut x: Vec<f32>,
    times: &[f64],
    guidance: f32,
    stop: &AtomicBool,
    mut velocity: impl FnMut(&[f32], f32, bool) -> Result<Vec<f32>>,
    mut done: impl FnMut(usize),
) -> Result<Vec<f32>> {
    for (i, pair) in times.windows(2).enumerate() {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted("no shape was made".to_owned()));
        }
        let (time, step) = (pair[0] as f32, (pair[1] - pair[0]) as f32);
        let mut v = velocity(&x, time, true)?;
        if guidance != 1.0 {
            let without = velocity(&x, time, false)?;
            v.iter_mut().zip(&without).for_each(|(v, without)| *v = without + guidance * (*v - without));
        }
        x.iter_mut().zip(&v).for_each(|(x, v)| *x += step * v);
        if x.iter().any(|x| !x.is_finite()) {
            let reason = "the weights make numbers that cannot be computed with; download them again";
            return Err(Error::Diverged(reason.to_owned()));
        }
        done(i + 1);
    }
    Ok(x)
}

/// Numbers from the normal distribution: the same for the same seed and stage.
pub(super) fn noise(seed: u64, stage: u64, count: usize) -> Vec<f32> {
    normal(&mut Pcg64::seed_from_u64(seed ^ (stage + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)), count)
}
