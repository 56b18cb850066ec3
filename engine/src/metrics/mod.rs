//! How good a rendering is, measured as the field does it.
//!
//! Renderings are clamped to [0, 1] and rounded to 8 bits first ([`quantise`]), as if they had been saved as PNG:
//! that is what the photos that they are compared with went through. PSNR is taken over all channels of all pixels
//! that count; SSIM has the 11x11 Gaussian window of σ = 1.5 with zero padding, as in the 3D Gaussian splatting code.
//! `cc_psnr` is PSNR after the best affine change of colours ([`colour_corrected`]), which forgives photos whose exposure
//! and white balance drift.
//!
//! Pixels of weight zero count nowhere. So that SSIM windows near them are not disturbed either, they are taken to be
//! rendered perfectly.

mod colour_correction;
pub mod dtu;
pub mod geometry;

pub use colour_correction::colour_corrected;

use crate::target::Target;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tessera_kernels::image_loss::{ImageLoss, ImagePair, Padding};

/// PSNR is reported as no more than this, in dB: equal images would have an infinite one, for which JSON has no word.
pub const MAX_PSNR: f64 = 120.0;

/// What one comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageMetrics {
    /// Peak signal-to-noise ratio in dB.
    pub psnr: f64,
    /// Structural similarity, at most 1.
    pub ssim: f64,
    /// Peak signal-to-noise ratio in dB after correcting colours.
    pub cc_psnr: f64,
}

/// Compares renderings with photos. It holds buffers, so keep one and use it again.
#[derive(Debug, Default)]
pub struct ImageMeter {
    loss: ImageLoss,
    rounded: Vec<f32>,
}

impl ImageMeter {
    /// Measures `rendered`, `[3, H, W]` of the target's size, not yet clamped or rounded.
    ///
    /// # Panics
    /// When the sizes differ.
    pub fn measure(&mut self, rendered: &[f32], target: &Target) -> ImageMetrics {
        assert_eq!(rendered.len(), target.rgb.len(), "the rendering has another size than the photo");
        self.rounded.clear();
        self.rounded.extend_from_slice(rendered);
        quantise(&mut self.rounded);
        let weight = target.weight.as_deref();
        let psnr_before = psnr(&self.rounded, &target.rgb, weight);
        let corrected = colour_corrected(&self.rounded, &target.rgb, weight);
        let cc_psnr = psnr(&corrected, &target.rgb, weight);
        if let Some(weight) = weight {
            hide_uncounted(&mut self.rounded, &target.rgb, weight);
        }
        let (width, height) = (target.width, target.height);
        let images = ImagePair { image: &self.rounded, target: &target.rgb, weight, width, height };
        let ssim = f64::from(self.loss.ssim(&images, Padding::Same));
        ImageMetrics { psnr: psnr_before, ssim, cc_psnr }
    }
}

/// Clamps to [0, 1] and rounds to 8 bits, as saving a PNG does; what is no number becomes 0.
pub fn quantise(values: &mut [f32]) {
    // The cast turns NaN into 0.
    let rounded = |v: f32| f32::from((v.clamp(0.0, 1.0) * 255.0).round() as u8) / 255.0;
    values.par_iter_mut().with_min_len(1 << 14).for_each(|v| *v = rounded(*v));
}

/// Peak signal-to-noise ratio in dB of images `[3, H, W]` with values in [0, 1], of which pixel `p` counts
/// `weight[p]`; at most [`MAX_PSNR`], which is also that of no pixels at all.
pub fn psnr(image: &[f32], target: &[f32], weight: Option<&[f32]>) -> f64 {
    let squared = |(&a, &b): (&f32, &f32)| f64::from(a - b).powi(2);
    let (sum, count) = match weight {
        None => (image.iter().zip(target).map(squared).sum::<f64>(), image.len() as f64),
        Some(weight) => {
            let plane = weight.len().max(1);
            let planes = image.chunks_exact(plane).zip(target.chunks_exact(plane));
            let weighted = |(a, b): (&[f32], &[f32])| -> f64 {
                a.iter().zip(b).zip(weight).map(|(pair, &w)| f64::from(w) * squared(pair)).sum()
            };
            (planes.map(weighted).sum(), 3.0 * weight.iter().map(|&w| f64::from(w)).sum::<f64>())
        }
    };
    if sum > 0.0 { (-10.0 * (sum / count).log10()).min(MAX_PSNR) } else { MAX_PSNR }
}

/// Replaces what does not count by what it should be.
fn hide_uncounted(image: &mut [f32], target: &[f32], weight: &[f32]) {
    let plane = weight.len().max(1);
    for (image, target) in image.chunks_exact_mut(plane).zip(target.chunks_exact(plane)) {
        for ((value, &wanted), &weight) in image.iter_mut().zip(target).zip(weight) {
            if weight == 0.0 {
                *value = wanted;
            }
        }
    }
}

#[cfg(test)]
mod tests;
