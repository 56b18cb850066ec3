//! From the networks' last layers to opacities, scales, rotations and colours, and back. Planes are `[blocks, rows, 16]`.

use super::COVARIANCE;
use crate::dispatch;
use crate::mlp::BLOCK;
use crate::simd::Lanes;
use tessera_camera::each;

/// Quaternions shorter than this are not made longer.
const SHORTEST: f32 = 1e-12;

dispatch! {
    /// tanh of all.
    pub(super) fn opacity(raw: &[f32], out: &mut [f32]) = opacity_kernel;
    /// Sigmoid of all.
    pub(super) fn colour(raw: &[f32], out: &mut [f32]) = colour_kernel;
    /// Sigmoid of three rows of each seven, the other four normalised.
    pub(super) fn covariance(raw: &[f32], rows: usize, gaussians: usize, out: &mut [f32]) = covariance_kernel;
    /// From the gradient of tanh to that of its argument, in place.
    pub(super) fn opacity_back(value: &[f32], v: &mut [f32]) = opacity_back_kernel;
    /// From the gradient of the sigmoid to that of its argument, in place.
    pub(super) fn colour_back(value: &[f32], v: &mut [f32]) = colour_back_kernel;
    /// As [`covariance`], from the gradient of what it made, in place.
    pub(super) fn covariance_back(
        raw: &[f32], value: &[f32], rows: usize, gaussians: usize, v: &mut [f32],
    ) = covariance_back_kernel;
}

#[inline(always)]
fn sigmoid<V: Lanes>(x: V) -> V {
    V::all(1.0) / (V::all(1.0) + (-x).exp())
}

#[inline(always)]
fn opacity_kernel<V: Lanes>(raw: &[f32], out: &mut [f32]) {
    for at in (0..raw.len()).step_by(8) {
        let two = V::all(2.0);
        put(two * sigmoid(two * load::<V>(raw, at)) - V::all(1.0), out, at);
    }
}

#[inline(always)]
fn colour_kernel<V: Lanes>(raw: &[f32], out: &mut [f32]) {
    for at in (0..raw.len()).step_by(8) {
        put(sigmoid(load::<V>(raw, at)), out, at);
    }
}

#[inline(always)]
fn covariance_kernel<V: Lanes>(raw: &[f32], rows: usize, gaussians: usize, out: &mut [f32]) {
    for at in planes(raw.len(), rows, gaussians) {
        for plane in 0..3 {
            put(sigmoid(load::<V>(raw, at + plane * BLOCK)), out, at + plane * BLOCK);
        }
        let q = each!(4, |i| load::<V>(raw, at + (3 + i) * BLOCK));
        let scale = inverse_length(q);
        for (plane, q) in q.into_iter().enumerate() {
            put(q * scale, out, at + (3 + plane) * BLOCK);
        }
    }
}

#[inline(always)]
fn opacity_back_kernel<V: Lanes>(value: &[f32], v: &mut [f32]) {
    for at in (0..v.len()).step_by(8) {
        let o = load::<V>(value, at);
        put(load::<V>(v, at) * (V::all(1.0) - o * o), v, at);
    }
}

#[inline(always)]
fn colour_back_kernel<V: Lanes>(value: &[f32], v: &mut [f32]) {
    for at in (0..v.len()).step_by(8) {
        let s = load::<V>(value, at);
        put(load::<V>(v, at) * s * (V::all(1.0) - s), v, at);
    }
}

#[inline(always)]
fn covariance_back_kernel<V: Lanes>(raw: &[f32], value: &[f32], rows: usize, gaussians: usize, v: &mut [f32]) {
    for at in planes(raw.len(), rows, gaussians) {
        for plane in 0..3 {
            let at = at + plane * BLOCK;
            let s = load::<V>(value, at);
            put(load::<V>(v, at) * s * (V::all(1.0) - s), v, at);
        }
        let scale = inverse_length(each!(4, |i| load::<V>(raw, at + (3 + i) * BLOCK)));
        let unit = each!(4, |i| load::<V>(value, at + (3 + i) * BLOCK));
        let upstream = each!(4, |i| load::<V>(v, at + (3 + i) * BLOCK));
        let mut along = V::all(0.0);
        for (u, g) in unit.into_iter().zip(upstream) {
            along = u.mul_add(g, along);
        }
        for (plane, (u, g)) in unit.into_iter().zip(upstream).enumerate() {
            put((g - u * along) * scale, v, at + (3 + plane) * BLOCK);
        }
    }
}

#[inline(always)]
fn inverse_length<V: Lanes>(q: [V; 4]) -> V {
    let mut squared = V::all(0.0);
    for q in q {
        squared = q.mul_add(q, squared);
    }
    V::all(1.0) / squared.sqrt().max(V::all(SHORTEST))
}

/// Where the first plane of each Gaussian begins, for both halves of a block.
#[inline(always)]
fn planes(len: usize, rows: usize, gaussians: usize) -> impl Iterator<Item = usize> {
    let blocks = len / (rows * BLOCK);
    (0..blocks * gaussians * 2).map(move |i| {
        let (half, gaussian, block) = (i % 2, i / 2 % gaussians, i / 2 / gaussians);
        (block * rows + gaussian * COVARIANCE) * BLOCK + 8 * half
    })
}

#[inline(always)]
fn load<V: Lanes>(values: &[f32], at: usize) -> V {
    let values = &values[at..at + 8];
    // SAFETY: there are eight numbers.
    unsafe { V::load(values.as_ptr()) }
}

#[inline(always)]
fn put<V: Lanes>(value: V, values: &mut [f32], at: usize) {
    let values = &mut values[at..at + 8];
    // SAFETY: there is room for eight numbers.
    unsafe { value.store(values.as_mut_ptr()) }
}
