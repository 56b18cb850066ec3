//! Functions of single numbers.

use crate::dispatch;
use crate::simd::Lanes;
use rayon::prelude::*;

/// Numbers of a task.
const CHUNK: usize = 4096;

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `x σ(x)`.
    Silu,
    /// `x σ(2 √(2/π) (x + 0.044715 x³))`: the Gaussian error linear unit in its approximation by a hyperbolic tangent.
    Gelu,
    /// `x Φ(x)`: the Gaussian error linear unit itself.
    GeluExact,
    /// The hyperbolic tangent.
    Tanh,
}

dispatch! {
    fn values(of: Activation, x: &[f32], out: &mut [f32]) = values_kernel;
    fn slopes(of: Activation, x: &[f32], by_out: &[f32], out: &mut [f32]) = slopes_kernel;
}

/// The function of each number.
pub fn activate(of: Activation, x: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| values(of, x, out));
    out
}

/// The gradient by `x` from that by the function's values.
pub fn activate_backward(of: Activation, x: &[f32], by_out: &[f32]) -> Vec<f32> {
    assert_eq!(x.len(), by_out.len(), "a gradient for each number");
    let mut out = vec![0.0; x.len()];
    let parts = out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(by_out.par_chunks(CHUNK));
    parts.for_each(|((out, x), by_out)| slopes(of, x, by_out, out));
    out
}

/// Eight numbers of `x`, zeros behind the last.
#[inline(always)]
fn eight(x: &[f32]) -> [f32; 8] {
    let mut lanes = [0.0; 8];
    lanes[..x.len()].copy_from_slice(x);
    lanes
}

#[inline(always)]
fn values_kernel<V: Lanes>(of: Activation, x: &[f32], out: &mut [f32]) {
    for (x, out) in x.chunks(8).zip(out.chunks_mut(8)) {
        let value = value_and_slope(of, V::from_array(eight(x))).0.to_array();
        out.copy_from_slice(&value[..out.len()]);
    }
}

#[inline(always)]
fn slopes_kernel<V: Lanes>(of: Activation, x: &[f32], by_out: &[f32], out: &mut [f32]) {
    for ((x, by_out), out) in x.chunks(8).zip(by_out.chunks(8)).zip(out.chunks_mut(8)) {
        let slope = value_and_slope(of, V::from_array(eight(x))).1;
        let product = (slope * V::from_array(eight(by_out))).to_array();
        out.copy_from_slice(&product[..out.len()]);
    }
}

#[inline(always)]
fn sigmoid<V: Lanes>(x: V) -> V {
    V::all(1.0) / (V::all(1.0) + (-x).exp())
}

#[inline(always)]
fn value_and_slope<V: Lanes>(of: Activation, x: V) -> (V, V) {
    let one = V::all(1.0);
    match of {
        Activation::Sigmoid => {
            let s = sigmoid(x);
            (s, s * (one - s))
        }
        Activation::Silu => {
            let s = sigmoid(x);
            (x * s, s * (one + x * (one - s)))
        }
        Activation::Gelu => {
            const TWICE: f32 = 1.595_769_1;
            let square = x * x;
            let s = sigmoid(V::all(TWICE) * x * (one + V::all(0.044_715) * square));
            let inner = V::all(TWICE) * (one + V::all(3.0 * 0.044_715) * square);
            (x * s, s + x * s * (one - s) * inner)
        }
        Activation::GeluExact => {
            let density = V::all(0.398_942_28) * (V::all(-0.5) * x * x).exp();
            let share = normal_distribution(x);
            (x * share, share + x * density)
        }
        Activation::Tanh => {
            let t = V::all(2.0) * sigmoid(V::all(2.0) * x) - one;
            (t, one - t * t)
        }
    }
}

/// The cumulative normal distribution to within 2e-7: Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26.
#[inline(always)]
fn normal_distribution<V: Lanes>(x: V) -> V {
    let z = x.abs() * V::all(std::f32::consts::FRAC_1_SQRT_2);
    let t = V::all(1.0) / (V::all(1.0) + V::all(0.327_591_1) * z);
    let mut p = V::all(1.061_405_4);
    for c in [-1.453_152_0, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = p.mul_add(t, V::all(c));
    }
    let tail = V::all(0.5) * p * t * (-(z * z)).exp();
    V::select(x.lt(V::all(0.0)), tail, V::all(1.0) - tail)
}
