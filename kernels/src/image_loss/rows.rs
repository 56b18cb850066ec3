//! Loops over single pixels: L1 or squared loss without SSIM, error maps, sums.

use super::{ImagePair, Outputs, Pass, PixelLoss, RowSums};
use crate::dispatch;
use crate::simd::{Lanes, flush_denormals};
use rayon::prelude::*;

dispatch! {
    /// Sums and gradient of the pixel loss for the rows of `channel` from `top` on that `outputs` has room for.
    pub(super) fn pixel_rows(pass: &Pass<'_>, channel: usize, top: usize, outputs: Outputs<'_>) = pixel_rows_kernel;
    /// Sum of a row.
    pub(super) fn sum(values: &[f32]) -> f32 = sum_kernel;
    fn error_row(images: &ImagePair<'_>, ssim_weight: f32, map: Option<&[f32]>, y: usize, out: &mut [f32])
        = error_row_kernel;
}

/// See [`super::ImageLoss::loss_and_gradient`].
pub(super) fn error_map(images: &ImagePair, ssim_weight: f32, map: Option<&[f32]>, out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    out.par_chunks_mut(images.width).enumerate().for_each(|(y, row)| {
        flush_denormals(|| error_row(images, ssim_weight, map, y, row));
    });
}

/// The eight values from `x` on; zeros beyond the end.
#[inline(always)]
pub(crate) fn load<V: Lanes>(row: &[f32], x: usize) -> V {
    let rest = &row[x..];
    if rest.len() >= 8 {
        // SAFETY: there are eight numbers.
        return unsafe { V::load(rest.as_ptr()) };
    }
    let mut values = [0.0; 8];
    values[..rest.len()].copy_from_slice(rest);
    V::from_array(values)
}

/// Stores to `x` and the seven places after it, as far as there are any.
#[inline(always)]
pub(crate) fn store<V: Lanes>(value: V, row: &mut [f32], x: usize) {
    let rest = &mut row[x..];
    if rest.len() >= 8 {
        // SAFETY: there is room for eight numbers.
        return unsafe { value.store(rest.as_mut_ptr()) };
    }
    rest.copy_from_slice(&value.to_array()[..rest.len()]);
}

/// The derivative of a pixel's loss by its difference.
#[inline(always)]
pub(super) fn slope<V: Lanes>(loss: PixelLoss, difference: V, scale: V) -> V {
    match loss {
        PixelLoss::Absolute => {
            let zero = V::all(0.0);
            scale.masked(zero.lt(difference)) - scale.masked(difference.lt(zero))
        }
        PixelLoss::Squared => (scale + scale) * difference,
    }
}

#[inline(always)]
pub(super) fn pixel_rows_kernel<V: Lanes>(pass: &Pass<'_>, channel: usize, top: usize, mut outputs: Outputs<'_>) {
    let ImagePair { image, target, weight, width, height } = pass.images;
    for (r, sums) in outputs.sums.iter_mut().enumerate() {
        let y = top + r;
        let row = (channel * height + y) * width;
        let (image, target) = (&image[row..row + width], &target[row..row + width]);
        let weight = weight.map(|w| &w[y * width..(y + 1) * width]);
        let mut gradient = outputs.gradient.as_deref_mut().map(|g| &mut g[r * width..(r + 1) * width]);
        let (mut absolute, mut squared) = (V::all(0.0), V::all(0.0));
        for x in (0..width).step_by(8) {
            let difference = load::<V>(image, x) - load(target, x);
            let w = weight.map_or(V::all(1.0), |w| load(w, x));
            let weighted = w * difference;
            absolute = absolute + weighted.abs();
            squared = weighted.mul_add(difference, squared);
            if let Some(gradient) = &mut gradient {
                store(slope(pass.pixel_loss, difference, w * V::all(pass.pixel_scale)), gradient, x);
            }
        }
        *sums = RowSums { absolute: absolute.sum(), squared: squared.sum(), ssim: 0.0 };
    }
}

#[inline(always)]
fn sum_kernel<V: Lanes>(values: &[f32]) -> f32 {
    let mut sum = V::all(0.0);
    for x in (0..values.len()).step_by(8) {
        sum = sum + load(values, x);
    }
    sum.sum()
}

#[inline(always)]
fn error_row_kernel<V: Lanes>(
    images: &ImagePair<'_>,
    ssim_weight: f32,
    map: Option<&[f32]>,
    y: usize,
    out: &mut [f32],
) {
    let ImagePair { image, target, weight, width, height } = *images;
    for x in (0..width).step_by(8) {
        let mut error = V::all(0.0);
        for channel in 0..3 {
            let row = (channel * height + y) * width;
            let part = |plane: &[f32]| load::<V>(&plane[row..row + width], x);
            let absolute = (part(image) - part(target)).abs();
            error = absolute.mul_add(V::all(1.0 - ssim_weight), error);
            if let Some(map) = map {
                error = (V::all(1.0) - part(map)).mul_add(V::all(ssim_weight), error);
            }
        }
        let w = weight.map_or(V::all(1.0), |w| load(&w[y * width..(y + 1) * width], x));
        store(error * w * V::all(1.0 / 3.0), out, x);
    }
}
