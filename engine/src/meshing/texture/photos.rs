//! What photos show at places on a surface.

use crate::Result;
use crate::frames::{FrameSet, TrainingFrame};
use crate::meshing::Progress;
use crate::meshing::atlas::Texel;
use crate::meshing::depth::DepthPicture;
use nalgebra::Vector3;
use rayon::prelude::*;
use tessera_datasets::capture::MaskKind;
use tessera_datasets::scene::Mesh;

/// How much more a photo counts that sees a place better: the power of how many of its pixels cover it.
const FAVOUR: i32 = 3;
/// Share of a photo's shorter side along its border that counts less and less, so that no edge of a photo shows.
const BORDER: f64 = 0.05;
/// Places less opaque than this in a cut-out photo are not on its object.
const OPAQUE: f32 = 0.9;

/// A weighted sum of colours.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    colour: [f32; 3],
    weight: f32,
}

/// The colour that photos show at each texel of `mesh`, in scene coordinates; `None` where none sees it.
pub fn colours(
    texels: &[Texel],
    mesh: &Mesh,
    frames: &FrameSet,
    progress: Progress<'_>,
) -> Result<Vec<Option<[u8; 3]>>> {
    let mut sums = vec![Sum::default(); texels.len()];
    for i in 0..frames.len() {
        let frame = frames.load(i, 1)?;
        let depth = DepthPicture::of(&frame.view, &mesh.positions, &mesh.triangles);
        sums.par_iter_mut().zip(texels).for_each(|(sum, texel)| sum.add(texel, &frame, &depth));
        progress(i + 1, frames.len());
    }
    let colour = |sum: Sum| (sum.weight > 0.0).then(|| sum.colour.map(|c| (c / sum.weight + 0.5) as u8));
    Ok(sums.into_par_iter().map(colour).collect())
}

impl Sum {
    fn add(&mut self, texel: &Texel, frame: &TrainingFrame, depth: &DepthPicture) {
        let view = &frame.view;
        let [place, normal] = [texel.place, texel.normal].map(|v| Vector3::from(v.map(f64::from)));
        let Some(seen) = depth.sees(&place, &normal) else { return };
        let Some(colour) = sampled(frame, seen.pixel) else { return };
        let [x, y] = seen.pixel;
        let (width, height) = (view.width as f64, view.height as f64);
        let from_border = x.min(y).min(width - x).min(height - y) / (BORDER * width.min(height));
        let to_camera = Vector3::from(view.position().map(f64::from)) - place;
        let cosine = normal.dot(&to_camera) / to_camera.norm();
        let pixels = cosine * (view.lens.focal[0] / seen.depth).powi(2);
        let weight = (pixels * from_border.min(1.0)).powi(FAVOUR) as f32;
        self.weight += weight;
        (0..3).for_each(|k| self.colour[k] += weight * colour[k]);
    }
}

/// The photo's colour at a place of the picture, interpolated, from 0 to 255; `None` where something is masked out.
fn sampled(frame: &TrainingFrame, pixel: [f64; 2]) -> Option<[f32; 3]> {
    let image = &frame.pixels.image;
    let (width, height, channels) = (image.width as usize, image.height as usize, usize::from(image.channels));
    let at = pixel.map(|x| (x - 0.5).max(0.0));
    let low = [(at[0] as usize).min(width - 1), (at[1] as usize).min(height - 1)];
    let share: [f32; 2] = std::array::from_fn(|k| (at[k] - low[k] as f64).min(1.0) as f32);
    let mut colour = [0.0; 3];
    for corner in 0..4 {
        let [right, down] = [corner & 1, corner >> 1];
        let weight = [1.0 - share[0], share[0]][right] * [1.0 - share[1], share[1]][down];
        if weight <= 0.0 {
            continue;
        }
        let i = (low[1] + down).min(height - 1) * width + (low[0] + right).min(width - 1);
        let is_masked = frame.pixels.mask.as_ref().is_some_and(|mask| f32::from(mask.data[i]) < 255.0 * needed(frame));
        let pixel = &image.data[channels * i..][..channels];
        if is_masked || pixel.get(3).is_some_and(|a| f32::from(*a) < 255.0 * OPAQUE) {
            return None;
        }
        (0..3).for_each(|k| colour[k] += weight * f32::from(pixel[k]));
    }
    Some(colour)
}

fn needed(frame: &TrainingFrame) -> f32 {
    if frame.mask_kind == Some(MaskKind::Foreground) { OPAQUE } else { 0.5 }
}
