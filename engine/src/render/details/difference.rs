//! What one photo has beyond the picture from its own place.

use crate::frames::TrainingFrame;
use crate::rays::SeenPlace;
use crate::target::Target;
use nalgebra::Vector3;
use tessera_kernels::camera_projection::View;
use tessera_kernels::splat::Rendering;

/// A photo sees a place when what it sees there is no farther from it, in widths of a pixel.
const WIDTHS: f64 = 4.0;

/// A photo less the picture from its place.
#[derive(Debug)]
pub struct Difference {
    /// Which photo.
    pub photo: usize,
    /// From where it was taken.
    pub view: View,
    /// `[H, W]` of colours.
    colours: Vec<[f32; 3]>,
    /// `[H, W]`: how much of each pixel is the scene, in the photo and in the picture.
    weights: Vec<f32>,
    /// `[H, W]`, 0 where nothing is seen.
    depths: Vec<f32>,
}

impl Difference {
    /// Memory for so many pixels.
    pub fn bytes(pixels: usize) -> usize {
        20 * pixels
    }

    /// Of a photo in front of `background`, and what was drawn from its place, with depth.
    pub fn of(frame: &TrainingFrame, drawn: &Rendering, background: [f32; 3]) -> Self {
        let target = Target::from_pixels(&frame.pixels, frame.mask_kind, background);
        let pixels = target.width * target.height;
        let colour = |i: usize| std::array::from_fn(|k| target.rgb[k * pixels + i] - drawn.rgb[k * pixels + i]);
        let share = |plane: &Option<Vec<f32>>, i: usize| plane.as_ref().map_or(1.0, |plane| plane[i]);
        let weight = |i: usize| (1.0 - drawn.transmittance[i]) * share(&target.alpha, i) * share(&target.weight, i);
        Self {
            photo: frame.index,
            view: frame.view,
            colours: (0..pixels).map(colour).collect(),
            weights: (0..pixels).map(weight).collect(),
            depths: drawn.median_depth.clone(),
        }
    }

    /// The difference where the photo shows a place, between pixels, and in how far it does show it; `None` when it does not.
    pub fn at(&self, place: &Vector3<f64>) -> Option<([f32; 3], f32)> {
        let seen = SeenPlace::of(&self.view, place)?;
        let allowed = WIDTHS * seen.depth / self.view.lens.focal[0];
        let low = seen.pixel.map(|x| (x - 0.5).floor());
        let shares: [f32; 2] = std::array::from_fn(|k| (seen.pixel[k] - 0.5 - low[k]) as f32);
        let (mut colour, mut shown) = ([0.0; 3], 0.0);
        for corner in 0..4 {
            let [right, down] = [corner & 1, corner >> 1];
            let weight = [1.0 - shares[0], shares[0]][right] * [1.0 - shares[1], shares[1]][down];
            let side = [(low[0], right, self.view.width), (low[1], down, self.view.height)];
            let [x, y] = side.map(|(low, more, size)| (low + more as f64).clamp(0.0, size as f64 - 1.0) as usize);
            let i = y * self.view.width + x;
            // Nothing has depth 0, far from any place.
            let away = (f64::from(self.depths[i]) - seen.depth).abs() / allowed;
            shown += weight * self.weights[i] * (1.0 - away).max(0.0) as f32;
            (0..3).for_each(|k| colour[k] += weight * self.colours[i][k]);
        }
        (shown > 0.0).then_some((colour, shown))
    }
}
