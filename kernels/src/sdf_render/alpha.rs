//! Opacity from distance, with its derivatives.

use crate::dispatch;
use crate::simd::Lanes;

const EPSILON: f32 = 1e-5;

/// Derivatives of a sample's opacity.
#[derive(Debug)]
pub struct AlphaPartials<'a> {
    /// By the distance.
    pub distance: &'a mut [f32],
    /// By the cosine.
    pub cosine: &'a mut [f32],
    /// By the step.
    pub step: &'a mut [f32],
    /// By the sharpness.
    pub sharpness: &'a mut [f32],
}

/// Opacities of samples, each with distance, cosine and step, and their derivatives.
///
/// # Panics
/// When slices differ in length.
pub fn alpha(
    [distances, cosines, steps]: [&[f32]; 3],
    sharpness: f32,
    anneal: f32,
    out: &mut [f32],
    partials: AlphaPartials<'_>,
) {
    let n = out.len();
    assert!([distances, cosines, steps].iter().all(|s| s.len() == n), "as many inputs as outputs");
    let AlphaPartials { distance, cosine, step, sharpness: by_sharpness } = partials;
    assert!([&distance, &cosine, &step, &by_sharpness].iter().all(|s| s.len() == n), "as many derivatives as outputs");
    let mut at = 0;
    while at < n {
        let count = (n - at).min(8);
        let group = |values: &[f32]| {
            let mut lanes = [0.0; 8];
            lanes[..count].copy_from_slice(&values[at..at + count]);
            lanes
        };
        let results = eight([group(distances), group(cosines), group(steps)], sharpness, anneal);
        for (out, result) in
            [&mut *out, &mut *distance, &mut *cosine, &mut *step, &mut *by_sharpness].into_iter().zip(&results)
        {
            out[at..at + count].copy_from_slice(&result[..count]);
        }
        at += count;
    }
}

dispatch! {
    fn eight(inputs: [[f32; 8]; 3], sharpness: f32, anneal: f32) -> [[f32; 8]; 5] = eight_kernel;
}

#[inline(always)]
fn eight_kernel<V: Lanes>(inputs: [[f32; 8]; 3], sharpness: f32, anneal: f32) -> [[f32; 8]; 5] {
    let [f, cos, delta] = [V::from_array(inputs[0]), V::from_array(inputs[1]), V::from_array(inputs[2])];
    let (zero, one, half, s) = (V::all(0.0), V::all(1.0), V::all(0.5), V::all(sharpness));
    let (soft, hard) = (V::all(1.0 - anneal), V::all(anneal));
    let c = -((half - half * cos).max(zero) * soft + (-cos).max(zero) * hard);
    let dc = (half * soft).masked(cos.lt(one)) + hard.masked(cos.lt(zero));
    let offset = half * c * delta;
    let (before, after) = (f - offset, f + offset);
    let (p, not_p) = sigmoid(s * before);
    let (q, not_q) = sigmoid(s * after);
    let inverse = one / (p + V::all(EPSILON));
    let ratio = (p - q + V::all(EPSILON)) * inverse;
    let inside = zero.lt(ratio) & ratio.lt(one);
    // dα/dp and dα/dq, each times σ'.
    let by_p = (q * inverse * inverse * p * not_p).masked(inside);
    let by_q = -(inverse * q * not_q).masked(inside);
    let difference = s * (by_q - by_p);
    [
        ratio.max(zero).min(one).to_array(),
        (s * (by_p + by_q)).to_array(),
        (difference * half * delta * dc).to_array(),
        (difference * half * c).to_array(),
        (by_p * before + by_q * after).to_array(),
    ]
}

/// σ(x) and σ(-x), neither by subtraction from 1.
#[inline(always)]
fn sigmoid<V: Lanes>(x: V) -> (V, V) {
    let e = x.negative_abs().exp();
    let (small, large) = (e / (V::all(1.0) + e), V::all(1.0) / (V::all(1.0) + e));
    let negative = x.lt(V::all(0.0));
    (V::select(negative, small, large), V::select(negative, large, small))
}
