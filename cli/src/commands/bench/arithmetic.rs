//! The arithmetic limits: what this machine does when nothing but arithmetic is left.
//!
//! - [`limit`]: (splat, pixel) pairs. Each thread runs the forward pass's arithmetic for a pair (exponent, threshold, exp2, blending of three channels)
//!   eight pixels at a time with everything in registers: no lists, no memory, no sorting. The backward pass does more
//!   for a pair, so training cannot quite reach the limit.
//! - [`operations`]: multiplications and additions of networks, fused, with everything in registers.

use std::hint::black_box;
use std::time::Instant;
use tessera_engine::datasets::camera::each;
use tessera_kernels::dispatch;
use tessera_kernels::simd::{Lanes, exp2};

/// Splats that are blended before the pixels start anew, so that light never runs out.
const SPLATS: usize = 256;
/// Groups of eight pixels that are blended side by side, as many as registers hold.
const GROUPS: usize = 2;
const ROUNDS: usize = 40_000;

/// Pairs per second with all threads at work.
pub fn limit() -> f64 {
    // The first round wakes the processors up.
    pairs_per_second(ROUNDS / 10);
    pairs_per_second(ROUNDS)
}

fn pairs_per_second(rounds: usize) -> f64 {
    let begin = Instant::now();
    rayon::broadcast(|_| black_box(blend_rounds(black_box(rounds))));
    let pairs = rounds * SPLATS * GROUPS * 8 * rayon::current_num_threads();
    pairs as f64 / begin.elapsed().as_secs_f64()
}

dispatch! {
    fn blend_rounds(rounds: usize) -> f32 = blend_in_registers;
}

#[inline(always)]
fn blend_in_registers<V: Lanes>(rounds: usize) -> f32 {
    let mut total = V::all(0.0);
    let (a, b, rgb) = (V::all(0.01), V::all(0.02), [V::all(0.2), V::all(0.4), V::all(0.6)]);
    for round in 0..rounds {
        let mut transmittance = [V::all(1.0); GROUPS];
        let mut sums = [[V::all(0.0); 3]; GROUPS];
        let mut constant = V::all(-7.5 + 1e-6 * round as f32);
        for _ in 0..SPLATS {
            constant = constant + V::all(1e-3);
            for group in 0..GROUPS {
                let dx = V::iota() + V::all(8.0 * group as f32 - 7.5);
                let log2_alpha = (-a.mul_add(dx, b)).mul_add(dx, constant);
                let counts = V::all(-8.0).le(log2_alpha);
                let alpha = exp2(log2_alpha.max(V::all(-100.0))).min(V::all(0.999)).masked(counts);
                let before = transmittance[group];
                let weight = alpha * before;
                let after = before - weight;
                let stop = after.lt(V::all(1e-4));
                let weight = weight.masked(!stop);
                transmittance[group] = V::select(stop, before, after);
                sums[group] = each!(3, |channel| weight.mul_add(rgb[channel], sums[group][channel]));
            }
        }
        for group in 0..GROUPS {
            total = sums[group].iter().fold(total + transmittance[group], |total, &sum| total + sum);
        }
    }
    total.sum()
}

/// Numbers that are multiplied and added to at the same time: enough groups of eight for the next to begin before the last has ended.
const SUMS: usize = 10;

/// Multiplications and additions per second with all threads at work.
pub fn operations() -> f64 {
    operations_per_second(MULTIPLICATIONS / 10);
    operations_per_second(MULTIPLICATIONS)
}

const MULTIPLICATIONS: usize = 20_000_000;

fn operations_per_second(rounds: usize) -> f64 {
    let begin = Instant::now();
    rayon::broadcast(|_| black_box(multiply_rounds(black_box(rounds))));
    let operations = 2 * rounds * SUMS * 8 * rayon::current_num_threads();
    operations as f64 / begin.elapsed().as_secs_f64()
}

dispatch! {
    fn multiply_rounds(rounds: usize) -> f32 = multiply_in_registers;
}

#[inline(always)]
fn multiply_in_registers<V: Lanes>(rounds: usize) -> f32 {
    let (factor, addend) = (V::all(black_box(0.5)), V::all(black_box(1.0)));
    let mut sums: [V; SUMS] = std::array::from_fn(|i| V::all(i as f32));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.mul_add(factor, addend);
        }
    }
    sums.iter().fold(V::all(0.0), |total, &sum| total + sum).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_to_their_limit() {
        // x -> x / 2 + 1 tends to 2.
        assert_eq!(multiply_rounds(100), 2.0 * (SUMS * 8) as f32);
    }

    #[test]
    fn light_is_left_after_every_round() {
        let mean = blend_rounds(1) / (GROUPS * 8) as f32;
        // Transmittance T and (1 - T) (0.2 + 0.4 + 0.6).
        assert!((1.0..1.19).contains(&mean), "a round ends with {mean}");
    }
}
