//! How far a rendered image is from a photo: L1, SSIM, and the gradient of their mix.
//!
//! Images are planar, `[3, height, width]`, values around [0, 1]. With per-pixel weights `w` (a mask), or `w = 1`:
//!
//! - `l1 = Σ w |x - y| / (3 Σ w)` and `mse = Σ w (x - y)² / (3 Σ w)`;
//! - `ssim = Σ w S / (3 Σ w)`, the sums taken over the pixels of the SSIM map;
//! - `loss = (1 - λ) l1 + λ (1 - ssim)`, λ = [`LossSettings::ssim_weight`].
//!
//! `S` is the structural similarity of Wang et al., "Image Quality Assessment: From Error Visibility to Structural
//! Similarity", 2004: with `μx = G x`, `μy = G y`, `q = G (x² + y²)`, `p = G (x y)` and `G` the blur with an 11x11
//! Gaussian window (σ = 1.5, sum 1), for each channel
//!
//! ```text
//! S = A B / (C D)    A = 2 μx μy + C1      B = 2 (p - μx μy) + C2
//!                    C = μx² + μy² + C1    D = max(q - μx² - μy², 0) + C2
//! ∂S/∂p = 2 A / (C D)    ∂S/∂q = -S / D    ∂S/∂μx = 2 μy (B - A) / (C D) - 2 μx S (1/C - 1/D)
//! ∂(Σ k S)/∂x = G (k ∂S/∂μx) + 2 x G (k ∂S/∂q) + y G (k ∂S/∂p)
//! ```
//!
//! Only the sum of the two variances occurs, so four blurs lead to the map and three back.

mod band;
mod blur;
pub mod cuda;
pub(crate) mod rows;
#[cfg(test)]
mod tests;

use crate::simd::flush_denormals;
use band::Scratch;
use std::sync::Mutex;

/// What happens to the SSIM window at the border of the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// The image is surrounded by zeros that take part in the moments, as in the 3D Gaussian splatting code; the map
    /// is as large as the image.
    #[default]
    Same,
    /// Only windows inside the image count, as in scikit-image. An image with a side below 11 pixels has no such
    /// window and gets [`Padding::Same`].
    Valid,
}

/// How the parts of the loss are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossSettings {
    /// λ, between 0 (only L1; SSIM is not computed) and 1 (only SSIM).
    pub ssim_weight: f32,
    /// Treatment of the border.
    pub padding: Padding,
}

impl Default for LossSettings {
    fn default() -> Self {
        Self { ssim_weight: 0.2, padding: Padding::Same }
    }
}

/// The two images to compare.
#[derive(Clone, Copy, Debug)]
pub struct ImagePair<'a> {
    /// `[3, height, width]`, the image that gradients are for.
    pub image: &'a [f32],
    /// `[3, height, width]`, what it should be.
    pub target: &'a [f32],
    /// `[height, width]`, how much each pixel counts (0 or more); all alike if absent.
    pub weight: Option<&'a [f32]>,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

/// What a comparison found. Everything is 0 (and SSIM 1) where no pixel counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossValues {
    /// (1 - λ) L1 + λ (1 - SSIM).
    pub loss: f32,
    /// Mean absolute difference.
    pub l1: f32,
    /// Mean structural similarity; absent where its weight is zero.
    pub ssim: Option<f32>,
    /// Mean squared difference.
    pub mse: f32,
}

/// Peak signal-to-noise ratio in decibels of images with values in [0, 1]; infinite for equal images.
pub fn psnr(mse: f32) -> f32 {
    -10.0 * mse.log10()
}

/// Computes losses and their gradients. It holds the buffers, so keep one and use it again.
#[derive(Debug, Default)]
pub struct ImageLoss {
    /// One for each thread that ever worked at the same time.
    scratch: Mutex<Vec<Scratch>>,
    /// `[3, height]`.
    sums: Vec<RowSums>,
    /// `[3, height, width]`, the SSIM map where an error map needs it.
    map: Vec<f32>,
}

/// Weighted sums over one row of one channel.
#[derive(Clone, Copy, Debug, Default)]
struct RowSums {
    absolute: f32,
    squared: f32,
    ssim: f32,
}

/// The difference of single pixels that the gradient is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PixelLoss {
    Absolute,
    Squared,
}

/// What one pass over the images computes: the gradient of
/// `pixel_scale Σ w pixel_loss(x - y) + ssim_scale Σ w S` and the sums.
#[derive(Clone, Copy, Debug)]
struct Pass<'a> {
    images: ImagePair<'a>,
    pixel_loss: PixelLoss,
    pixel_scale: f32,
    /// Absent if SSIM is not computed.
    ssim_scale: Option<f32>,
    /// Map pixels nearer to the border than this do not count.
    map_border: usize,
    /// Each channel is cut into bands of this many rows.
    band_height: usize,
}

/// Where a range of rows of `[3, height]` goes.
#[derive(Debug)]
struct Outputs<'a> {
    gradient: Option<&'a mut [f32]>,
    map: Option<&'a mut [f32]>,
    sums: &'a mut [RowSums],
}

impl<'a> Outputs<'a> {
    fn split_at_row(self, row: usize, width: usize) -> (Self, Self) {
        let cut = |plane: Option<&'a mut [f32]>| plane.map(|p| p.split_at_mut(row * width)).unzip();
        let ((gradient, later_gradient), (map, later_map)) = (cut(self.gradient), cut(self.map));
        let (sums, later_sums) = self.sums.split_at_mut(row);
        (Self { gradient, map, sums }, Self { gradient: later_gradient, map: later_map, sums: later_sums })
    }
}

impl ImageLoss {
    /// An evaluator with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The loss and its gradient with respect to the image, `[3, height, width]`, which is overwritten.
    ///
    /// `error_map`, `[height, width]`, receives `w ((1 - λ) |x - y| + λ (1 - S))` averaged over the channels: where the
    /// image is wrong. It always uses the zero-padded S, so that the border has one too.
    ///
    /// # Panics
    /// If a buffer's size does not fit the images.
    pub fn loss_and_gradient(
        &mut self,
        images: &ImagePair,
        settings: &LossSettings,
        gradient: &mut [f32],
        error_map: Option<&mut [f32]>,
    ) -> LossValues {
        let with_map = error_map.is_some() && settings.ssim_weight != 0.0;
        if with_map {
            self.map.resize(images.image.len(), 0.0);
        }
        let mut map = std::mem::take(&mut self.map);
        let values = self.mixed(images, settings, Some(gradient), with_map.then_some(&mut map[..]));
        if let Some(errors) = error_map {
            assert_eq!(errors.len(), images.width * images.height, "the error map has another size than the image");
            rows::error_map(images, settings.ssim_weight, with_map.then_some(&map[..]), errors);
        }
        self.map = map;
        values
    }

    /// The loss alone.
    ///
    /// # Panics
    /// If the sizes of the images do not fit.
    pub fn evaluate(&mut self, images: &ImagePair, settings: &LossSettings) -> LossValues {
        self.mixed(images, settings, None, None)
    }

    /// Mean structural similarity.
    ///
    /// # Panics
    /// If the sizes of the images do not fit.
    pub fn ssim(&mut self, images: &ImagePair, padding: Padding) -> f32 {
        self.evaluate(images, &LossSettings { ssim_weight: 1.0, padding }).ssim.unwrap_or(1.0)
    }

    /// Structural similarity around every pixel with zero padding, `[3, height, width]`; without the outer five
    /// pixels it is the map of [`Padding::Valid`].
    ///
    /// # Panics
    /// If a buffer's size does not fit the images.
    pub fn ssim_map(&mut self, images: &ImagePair, map: &mut [f32]) {
        self.mixed(images, &LossSettings { ssim_weight: 1.0, padding: Padding::Same }, None, Some(map));
    }

    /// Mean squared difference and its gradient with respect to the image, `[3, height, width]`, which is overwritten.
    ///
    /// # Panics
    /// If a buffer's size does not fit the images.
    pub fn mse_and_gradient(&mut self, images: &ImagePair, gradient: &mut [f32]) -> f32 {
        images.check();
        let total = images.total_weight(0);
        let pass = Pass {
            images: *images,
            pixel_loss: PixelLoss::Squared,
            pixel_scale: reciprocal(total),
            ssim_scale: None,
            map_border: 0,
            band_height: 0,
        };
        let sums = self.run(pass, Some(gradient), None);
        sums[1] as f32 * reciprocal(total)
    }

    fn mixed(
        &mut self,
        images: &ImagePair,
        settings: &LossSettings,
        gradient: Option<&mut [f32]>,
        map: Option<&mut [f32]>,
    ) -> LossValues {
        images.check();
        let lambda = settings.ssim_weight;
        let inside = settings.padding == Padding::Valid && images.width.min(images.height) > 2 * blur::RADIUS;
        let map_border = if inside { blur::RADIUS } else { 0 };
        let (total, map_total) = (images.total_weight(0), images.total_weight(map_border));
        let pass = Pass {
            images: *images,
            pixel_loss: PixelLoss::Absolute,
            pixel_scale: (1.0 - lambda) * reciprocal(total),
            ssim_scale: (lambda != 0.0).then_some(-lambda * reciprocal(map_total)),
            map_border,
            band_height: 0,
        };
        let [absolute, squared, similarity] = self.run(pass, gradient, map);
        let l1 = absolute as f32 * reciprocal(total);
        let mse = squared as f32 * reciprocal(total);
        let ssim = if map_total > 0.0 { similarity as f32 * reciprocal(map_total) } else { 1.0 };
        if lambda == 0.0 {
            return LossValues { loss: l1, l1, ssim: None, mse };
        }
        LossValues { loss: (1.0 - lambda) * l1 + lambda * (1.0 - ssim), l1, ssim: Some(ssim), mse }
    }

    /// Runs a pass over all rows and adds up what they found.
    fn run(&mut self, mut pass: Pass, gradient: Option<&mut [f32]>, map: Option<&mut [f32]>) -> [f64; 3] {
        let ImagePair { image, height, .. } = pass.images;
        for plane in [&gradient, &map].into_iter().flatten() {
            assert_eq!(plane.len(), image.len(), "an output has another size than the image");
        }
        if image.is_empty() {
            return [0.0; 3];
        }
        // Two bands for each thread balance the load; low ones repeat too much at their seams. What a row computes
        // does not depend on the band that it is in.
        let threads = rayon::current_num_threads();
        let bands = if threads == 1 { 1 } else { (2 * threads).div_ceil(3).min(height / 48).max(1) };
        pass.band_height = height.div_ceil(bands);
        let bands = height.div_ceil(pass.band_height);
        self.sums.clear();
        self.sums.resize(3 * height, RowSums::default());
        pass.run_bands(0, 3 * bands, Outputs { gradient, map, sums: &mut self.sums }, &self.scratch);
        self.sums.iter().fold([0.0; 3], |[a, b, c], row| {
            [a + f64::from(row.absolute), b + f64::from(row.squared), c + f64::from(row.ssim)]
        })
    }
}

impl Pass<'_> {
    /// Computes bands `first` up to `end` of all three channels, in parallel.
    fn run_bands(&self, first: usize, end: usize, outputs: Outputs, scratch: &Mutex<Vec<Scratch>>) {
        if end - first > 1 {
            let middle = first.midpoint(end);
            let rows = self.first_row(middle) - self.first_row(first);
            let (before, after) = outputs.split_at_row(rows, self.images.width);
            rayon::join(
                || self.run_bands(first, middle, before, scratch),
                || self.run_bands(middle, end, after, scratch),
            );
            return;
        }
        let ImagePair { width, height, .. } = self.images;
        let row = self.first_row(first);
        let (channel, top) = (row / height, row % height);
        flush_denormals(|| {
            if self.ssim_scale.is_none() {
                return rows::pixel_rows(self, channel, top, outputs);
            }
            let available = scratch.lock().ok().and_then(|mut pool| pool.pop());
            let mut mine = available.unwrap_or_default();
            mine.fit(width);
            band::ssim_rows(self, channel, top, outputs, &mut mine);
            if let Ok(mut pool) = scratch.lock() {
                pool.push(mine);
            }
        });
    }

    /// The row of `[3, height]` with which a band begins.
    fn first_row(&self, band: usize) -> usize {
        let height = self.images.height;
        let bands = height.div_ceil(self.band_height);
        band / bands * height + band % bands * self.band_height
    }
}

impl ImagePair<'_> {
    fn check(&self) {
        let pixels = self.width * self.height;
        assert_eq!(self.image.len(), 3 * pixels, "the image is not [3, {}, {}]", self.height, self.width);
        assert_eq!(self.target.len(), 3 * pixels, "the target is not [3, {}, {}]", self.height, self.width);
        assert!(self.weight.is_none_or(|w| w.len() == pixels), "weights are not [{}, {}]", self.height, self.width);
    }

    /// Three times the sum of the weights, leaving out a border.
    fn total_weight(&self, border: usize) -> f64 {
        let (columns, rows) = (border..self.width - border, border..self.height - border);
        let Some(weight) = self.weight else { return 3.0 * columns.len() as f64 * rows.len() as f64 };
        3.0 * rows.map(|y| f64::from(rows::sum(&weight[y * self.width..][columns.clone()]))).sum::<f64>()
    }
}

/// 1 / `total`, or zero where nothing counts.
fn reciprocal(total: f64) -> f32 {
    if total > 0.0 { (1.0 / total) as f32 } else { 0.0 }
}
