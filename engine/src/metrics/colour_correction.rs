//! The best affine change of an image's colours towards another's.

use nalgebra::{Matrix4, Vector4};
use rayon::prelude::*;

/// Values nearer than this to 0 or 1 are saturated: they say little about the true colour.
const SATURATED: f32 = 0.5 / 255.0;
/// The set of saturated pixels changes with the correction, so it is found a few times over.
const ITERATIONS: usize = 5;
/// Weight of staying as it is against one pixel's evidence, where the image cannot tell.
const RIDGE: f64 = 1e-6;

/// `image`, `[3, H, W]` in [0, 1], with its colours changed by the affine map (3x4) that brings it closest to `target` in
/// the least-squares sense, clamped to [0, 1]. Each output channel is fitted to the pixels in which that channel is
/// saturated neither in the image nor in the target; pixels count `weight`, `[H, W]`.
///
/// The rule is that of RawNeRF's `color_correct` (Mildenhall et al. 2022), in the affine form of gsplat's
/// `color_correct_affine`, with one change. Pixels that had no part in the fit are changed too: before a black or white
/// background, a map that suits the subject can spoil most of the picture. Of the fits and the image as it is, the one
/// nearest to `target` is returned, so correcting never makes it worse.
pub fn colour_corrected(image: &[f32], target: &[f32], weight: Option<&[f32]>) -> Vec<f32> {
    let mut best = image.to_vec();
    let mut least = squared_error(image, target, weight);
    let mut corrected = image.to_vec();
    for _ in 0..ITERATIONS {
        let maps = fit(image, &corrected, target, weight);
        apply(&maps, &mut corrected);
        let error = squared_error(&corrected, target, weight);
        if error < least {
            least = error;
            best.copy_from_slice(&corrected);
        }
    }
    best
}

/// Summed over the channels of all pixels, each counting its weight.
fn squared_error(image: &[f32], target: &[f32], weight: Option<&[f32]>) -> f64 {
    let pixels = image.len() / 3;
    let square = |i: usize| f64::from(image[i] - target[i]).powi(2) * weight.map_or(1.0, |w| f64::from(w[i % pixels]));
    (0..image.len()).map(square).sum()
}

/// One least-squares problem for each channel: the row of the affine map that makes it.
fn fit(original: &[f32], image: &[f32], target: &[f32], weight: Option<&[f32]>) -> [Vector4<f64>; 3] {
    /// Pixels that are added up one after another: the sum does not depend on the number of threads.
    const CHUNK: usize = 1 << 14;
    let pixels = image.len() / 3;
    let clear = |v: f32| (SATURATED..=1.0 - SATURATED).contains(&v);
    let chunk_sums = |start: usize| {
        let mut sums = [(Matrix4::<f64>::zeros(), Vector4::<f64>::zeros()); 3];
        for p in start..(start + CHUNK).min(pixels) {
            let w = weight.map_or(1.0, |w| f64::from(w[p]));
            let colour: [f64; 3] = std::array::from_fn(|c| f64::from(image[c * pixels + p]));
            let a = Vector4::new(colour[0], colour[1], colour[2], 1.0);
            for (c, (normal, right)) in sums.iter_mut().enumerate() {
                let i = c * pixels + p;
                if w > 0.0 && clear(original[i]) && clear(image[i]) && clear(target[i]) {
                    *normal += w * a * a.transpose();
                    *right += w * a * (f64::from(target[i]) - colour[c]);
                }
            }
        }
        sums
    };
    let partial: Vec<_> = (0..pixels).into_par_iter().step_by(CHUNK).map(chunk_sums).collect();
    std::array::from_fn(|c| {
        let mut change = Vector4::zeros();
        let normal: Matrix4<f64> = partial.iter().map(|s| s[c].0).sum();
        let right: Vector4<f64> = partial.iter().map(|s| s[c].1).sum();
        if let Some(cholesky) = (normal + RIDGE * Matrix4::identity()).cholesky() {
            change = cholesky.solve(&right);
        }
        change[c] += 1.0;
        change
    })
}

fn apply(maps: &[Vector4<f64>; 3], image: &mut [f32]) {
    let pixels = image.len() / 3;
    let (red, rest) = image.split_at_mut(pixels);
    let (green, blue) = rest.split_at_mut(pixels);
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let colour = Vector4::new(f64::from(*r), f64::from(*g), f64::from(*b), 1.0);
        [*r, *g, *b] = [0, 1, 2].map(|c| maps[c].dot(&colour).clamp(0.0, 1.0) as f32);
    }
}
