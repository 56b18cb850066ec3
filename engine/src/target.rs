//! Photos and masks as planes of numbers: what renderings are compared with, in training and in evaluation.
//!
//! - RGBA photos and masks of kind [`MaskKind::Foreground`] say where the object is: it is composed on a background
//!   colour, and the rendering must show that colour around it. White is the custom for such captures
//!   ([`DEFAULT_BACKGROUND`]), in NeRF-synthetic and its descendants.
//! - Masks of kind [`MaskKind::Ignore`] say where nothing is known: they become weights, and pixels of weight zero
//!   count in no loss and no metric.

use crate::splats::MaskUse;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use std::borrow::Cow;
use tessera_datasets::capture::{Capture, MaskKind};
use tessera_datasets::image::FramePixels;

/// The colour on which photos with transparency and foreground masks are composed unless told otherwise: white.
pub const DEFAULT_BACKGROUND: [f32; 3] = [1.0; 3];

/// The capture with its masks used as settings say.
pub fn with_masks(capture: &Capture, masks: MaskUse) -> Cow<'_, Capture> {
    let mut capture = Cow::Borrowed(capture);
    if masks != MaskUse::Auto {
        for frame in &mut capture.to_mut().frames {
            match (masks, &mut frame.mask) {
                (MaskUse::Off, mask) => *mask = None,
                (MaskUse::Ignore, Some(mask)) => mask.kind = MaskKind::Ignore,
                (MaskUse::Foreground, Some(mask)) => mask.kind = MaskKind::Foreground,
                _ => {}
            }
        }
    }
    capture
}

/// A colour behind cut-out photos that is another one in each step: what photos do not show is then transparent, since no colour
/// of the scene's own could stand for it.
pub fn random_background(seed: u64, step: u64) -> [f32; 3] {
    let mut rng = Pcg64::seed_from_u64(seed.wrapping_add(step.wrapping_mul(0x2545_f491_4f6c_dd1d)));
    std::array::from_fn(|_| rng.random_range(0.0..1.0))
}

/// A photo as planes. Filling it again reuses its memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `[3, H, W]`, sRGB-encoded, in [0, 1], composed on the background.
    pub rgb: Vec<f32>,
    /// `[H, W]` in [0, 1]: how much each pixel counts; `None` when all count fully.
    pub weight: Option<Vec<f32>>,
    /// `[H, W]` in [0, 1]: how much of each pixel the object covers; `None` when nothing says so.
    pub alpha: Option<Vec<f32>>,
}

impl Target {
    /// The planes of a photo, its mask of the given kind and its alpha channel, on `background`.
    pub fn from_pixels(pixels: &FramePixels, mask: Option<MaskKind>, background: [f32; 3]) -> Self {
        let mut target = Self::default();
        target.fill(pixels, mask, background);
        target
    }

    /// As [`Target::from_pixels`], in memory that is already there. A mask whose kind is not given is ignored.
    pub fn fill(&mut self, pixels: &FramePixels, mask: Option<MaskKind>, background: [f32; 3]) {
        let image = &pixels.image;
        (self.width, self.height) = (image.width as usize, image.height as usize);
        let mask_of = |kind| pixels.mask.as_ref().filter(|_| mask == Some(kind)).map(|m| m.data.as_slice());
        refill(&mut self.weight, mask_of(MaskKind::Ignore).map(|m| m.iter().map(|&v| share(v))));

        let foreground = mask_of(MaskKind::Foreground);
        let alpha_of = |i: usize, pixel: &[u8]| match (pixel.get(3), foreground) {
            (Some(&a), Some(mask)) => share(a) * share(mask[i]),
            (Some(&a), None) => share(a),
            (None, Some(mask)) => share(mask[i]),
            (None, None) => 1.0,
        };
        let channels = usize::from(image.channels);
        let pixels = || image.data.chunks_exact(channels).enumerate();
        let is_cut_out = image.has_alpha() || foreground.is_some();
        refill(&mut self.alpha, is_cut_out.then(|| pixels().map(|(i, pixel)| alpha_of(i, pixel))));

        self.rgb.resize(3 * self.width * self.height, 0.0);
        /// Pixels in one unit of work.
        const PART: usize = 1 << 14;
        let plane_size = (self.width * self.height).max(1);
        for (channel, plane) in self.rgb.chunks_exact_mut(plane_size).enumerate() {
            let parts = plane.par_chunks_mut(PART).zip(image.data.par_chunks(PART * channels)).enumerate();
            let alpha = self.alpha.as_deref();
            parts.for_each(|(part, (plane, pixels))| {
                let values = plane.iter_mut().zip(pixels.iter().skip(channel).step_by(channels));
                match alpha {
                    None => values.for_each(|(out, &value)| *out = share(value)),
                    Some(alpha) => values
                        .zip(&alpha[part * PART..])
                        .for_each(|((out, &value), &a)| *out = a * share(value) + (1.0 - a) * background[channel]),
                }
            });
        }
    }
}

fn share(value: u8) -> f32 {
    f32::from(value) / 255.0
}

fn refill(plane: &mut Option<Vec<f32>>, values: Option<impl Iterator<Item = f32>>) {
    *plane = values.map(|values| {
        let mut kept = plane.take().unwrap_or_default();
        kept.clear();
        kept.extend(values);
        kept
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_datasets::image::{Image8, Mask8};

    fn pixels(channels: u8, data: &[u8], mask: Option<&[u8]>) -> FramePixels {
        let mask = mask.map(|m| Mask8 { width: 2, height: 1, data: m.to_vec() });
        FramePixels { image: Image8 { width: 2, height: 1, channels, data: data.to_vec() }, mask, depth: None }
    }

    #[test]
    fn colours_become_planes() {
        let target = Target::from_pixels(&pixels(3, &[255, 0, 51, 0, 255, 102], None), None, [0.5; 3]);
        assert_eq!(target.rgb, [1.0, 0.0, 0.0, 1.0, 0.2, 0.4]);
        assert_eq!((target.weight, target.alpha), (None, None));
    }

    #[test]
    fn transparent_pixels_show_the_background() {
        let target = Target::from_pixels(&pixels(4, &[255, 0, 0, 255, 9, 9, 9, 0], None), None, [1.0, 0.5, 0.25]);
        assert_eq!(target.rgb, [1.0, 1.0, 0.0, 0.5, 0.0, 0.25]);
        assert_eq!(target.alpha, Some(vec![1.0, 0.0]));
    }

    #[test]
    fn an_ignore_mask_weighs_and_a_foreground_mask_cuts_out() {
        let pixels = pixels(3, &[255, 0, 0, 255, 0, 0], Some(&[255, 0]));
        let mut target = Target::from_pixels(&pixels, Some(MaskKind::Ignore), [1.0; 3]);
        assert_eq!((target.weight.as_deref(), target.alpha.as_deref()), (Some(&[1.0, 0.0][..]), None));
        assert_eq!(target.rgb, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);

        target.fill(&pixels, Some(MaskKind::Foreground), [1.0; 3]);
        assert_eq!((target.weight.as_deref(), target.alpha.as_deref()), (None, Some(&[1.0, 0.0][..])));
        assert_eq!(target.rgb, [1.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    }
}
