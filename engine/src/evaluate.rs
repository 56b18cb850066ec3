//! A scene against the photos of a capture.
//!
//! Photos with alpha or a foreground mask are composed on the evaluation's background, white unless told otherwise, and
//! the scene is rendered on the same; pixels that an ignore mask leaves out do not count. [`crate::metrics`] says what is
//! measured.

use crate::frames::FrameSet;
use crate::metrics::{ImageMeter, ImageMetrics};
use crate::render::{Painter, SplatPainter};
use crate::target::{DEFAULT_BACKGROUND, Target};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;
use tessera_datasets::capture::{Capture, Split};
use tessera_datasets::image::ImageCache;
use tessera_datasets::scene::SplatCloud;
use tessera_kernels::camera_projection::View;

/// Photos are looked at once each: there is no use in keeping many.
pub(crate) const CACHE_BYTES: usize = 256 << 20;

/// What an evaluation found: means over the images, and each image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Mean peak signal-to-noise ratio in dB.
    pub psnr: f64,
    /// Mean structural similarity.
    pub ssim: f64,
    /// Mean peak signal-to-noise ratio in dB after correcting each image's colours.
    pub cc_psnr: f64,
    /// Number of images.
    pub images: usize,
    /// "train", "validation" or "test".
    pub split: String,
    /// How long it took.
    pub seconds: f64,
    /// In the capture's order.
    pub per_image: Vec<ImageReport>,
}

/// One image of an [`EvalReport`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageReport {
    /// The frame's name.
    pub name: String,
    /// What was found.
    #[serde(flatten)]
    pub metrics: ImageMetrics,
}

/// What is evaluated, and how it is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvalOptions {
    /// Which photos.
    pub split: Split,
    /// Every how many-th photo is for testing where the capture does not say; `None` for none.
    pub test_every: Option<usize>,
    /// Photos are reduced until their longer side has no more pixels than this.
    pub max_side: Option<u32>,
    /// Behind the scene, and behind what is cut out of photos.
    pub background: [f32; 3],
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self { split: Split::Test, test_every: None, max_side: None, background: DEFAULT_BACKGROUND }
    }
}

/// The indices of a capture's frames in a part of it.
pub fn split_indices(capture: &Capture, split: Split, test_every: Option<usize>) -> Vec<usize> {
    let (train, test) = capture.split_indices(test_every);
    match split {
        Split::Train => train,
        Split::Test => test,
        Split::Validation => {
            (0..capture.frames.len()).filter(|&i| capture.frames[i].split == Some(Split::Validation)).collect()
        }
    }
}

/// What users call a part of a capture.
pub fn split_name(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Validation => "validation",
        Split::Test => "test",
    }
}

/// How a frame is drawn: its number in the set and its view, into `[3, H, W]`.
pub type Draw<'a> = dyn FnMut(usize, &View, &mut Vec<f32>) -> Result<()> + 'a;

/// Compares a cloud with the photos of a capture. `progress` is told how many of how many are done.
///
/// # Errors
/// When the part has no photos or a photo cannot be read.
pub fn evaluate_splats(
    cloud: &SplatCloud,
    capture: &Capture,
    options: &EvalOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<EvalReport> {
    let mut painter = SplatPainter::new(cloud, &capture.scene_from_world, options.background);
    evaluate_capture(capture, options, &mut painter, progress)
}

/// Compares what a painter draws with the photos of a part of a capture. `progress` is told how many of how many are done.
///
/// # Errors
/// When the part has no photos or a photo cannot be read.
pub fn evaluate_capture(
    capture: &Capture,
    options: &EvalOptions,
    painter: &mut dyn Painter,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<EvalReport> {
    let split = split_name(options.split);
    let indices = split_indices(capture, options.split, options.test_every);
    if indices.is_empty() {
        return Err(Error::setting(format!(
            "there is nothing to evaluate: {} has no photos in its {split} part; hold some out with --test-every 8, or choose \
             --split train",
            capture.files.root().display(),
        )));
    }
    let cache = Arc::new(ImageCache::new(capture.files.clone(), CACHE_BYTES, options.max_side));
    let frames = FrameSet::new(capture, &indices, &cache, 1);
    evaluate_painter(&frames, split, options.background, painter, progress)
}

/// [`evaluate_frames`] of what a painter draws, at the time of each photo that has one.
///
/// # Errors
/// When a photo cannot be read.
pub fn evaluate_painter(
    frames: &FrameSet,
    split: &str,
    background: [f32; 3],
    painter: &mut dyn Painter,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<EvalReport> {
    let mut draw = |i: usize, view: &View, out: &mut Vec<f32>| {
        if let Some(time) = frames.frame(i).time {
            painter.set_time(time)?;
        }
        out.clear();
        out.extend_from_slice(&painter.draw(view, false).rgb);
        Ok(())
    };
    evaluate_frames(frames, split, background, &mut draw, progress)
}

/// Compares what `draw` draws with the photos of `frames` at full size. `progress` is told how many of how many are
/// done.
///
/// # Errors
/// When a photo cannot be read or `draw` fails.
pub fn evaluate_frames(
    frames: &FrameSet,
    split: &str,
    background: [f32; 3],
    draw: &mut Draw<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<EvalReport> {
    let begin = Instant::now();
    let (mut meter, mut target, mut rendered) = (ImageMeter::default(), Target::default(), Vec::new());
    let mut per_image = Vec::with_capacity(frames.len());
    for i in 0..frames.len() {
        let view = frames.view(i, 1);
        // The photo is decoded while the scene is drawn.
        let (drawn, photo) = std::thread::scope(|scope| {
            let photo = scope.spawn(|| frames.load(i, 1));
            let drawn = draw(i, &view, &mut rendered);
            (drawn, photo.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        drawn?;
        let photo = photo?;
        target.fill(&photo.pixels, photo.mask_kind, background);
        let metrics = meter.measure(&rendered, &target);
        per_image.push(ImageReport { name: frames.frame(i).name.clone(), metrics });
        progress(i + 1, frames.len());
    }
    Ok(summarise(per_image, split, begin.elapsed().as_secs_f64()))
}

fn summarise(per_image: Vec<ImageReport>, split: &str, seconds: f64) -> EvalReport {
    let count = per_image.len().max(1) as f64;
    let mean = |of: fn(&ImageMetrics) -> f64| per_image.iter().map(|i| of(&i.metrics)).sum::<f64>() / count;
    let (psnr, ssim, cc_psnr) = (mean(|m| m.psnr), mean(|m| m.ssim), mean(|m| m.cc_psnr));
    EvalReport { psnr, ssim, cc_psnr, images: per_image.len(), split: split.to_owned(), seconds, per_image }
}

#[cfg(test)]
mod tests;
