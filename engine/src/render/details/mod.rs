//! Details from photos: what pictures of a scene lack against photos that were taken nearby.
//!
//! A field shows everything a little blurred. What a photo has beyond the picture from its own place is what is lacking there, and a picture that sees the same
//! place from nearby lacks about the same. So the differences of the nearest photos are added, where nothing hides the place from them. That is a texture that
//! depends on the view (Debevec et al. 1996), of differences instead of colours, with weights much as in Buehler et al. (2001).
//!
//! - [`PhotoDetails`]: the photos; `difference`: what one has beyond the picture from its place.
//! - [`DetailedPainter`]: draws with details.

mod difference;

use super::Painter;
use crate::evaluate::CACHE_BYTES;
use crate::frames::{FrameSet, Split};
use crate::{Error, Result};
use difference::Difference;
use nalgebra::Vector3;
use rayon::prelude::*;
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::Capture;
use tessera_kernels::camera_projection::View;
use tessera_kernels::splat::Rendering;

/// Added to angles, in radians, when photos are weighed by them: nearer ones are about as good.
const ALIKE: f64 = 0.01;

/// Photos whose details pictures show. Kept between pictures is what was found out about those that were used last.
#[derive(Debug)]
pub struct PhotoDetails {
    frames: FrameSet,
    /// How many a picture uses.
    photos: usize,
    /// Behind what is cut out of them.
    background: [f32; 3],
    /// Those used last, the oldest first.
    kept: Vec<Difference>,
    /// How many are kept.
    most: usize,
}

impl PhotoDetails {
    /// The photos of `capture` that are trained on, as `split` chooses and reads them; a picture uses `photos` of them, and as many megabytes of differences are kept
    /// as training keeps of photos.
    ///
    /// # Errors
    /// When the capture has no such photos.
    pub fn new(capture: &Capture, split: &Split, photos: usize, background: [f32; 3]) -> Result<Self> {
        // Photos are looked at once each: there is no use in keeping many.
        let image_cache_mb = split.image_cache_mb.min(CACHE_BYTES >> 20);
        let (frames, _) = FrameSet::split(capture, &Split { image_cache_mb, ..*split })?;
        let pixels = frames.views().map(|view| view.width * view.height).max().unwrap_or(1);
        let most = (split.image_cache_mb << 20) / Difference::bytes(pixels).max(1);
        Ok(Self { frames, photos, background, kept: Vec::new(), most: most.max(photos) })
    }

    /// Bytes that differences of these photos need, if no more than so many megabytes of them are kept.
    pub fn bytes(frames: &FrameSet, megabytes: usize) -> usize {
        let all = frames.views().map(|view| Difference::bytes(view.width * view.height)).sum();
        (megabytes << 20).min(all)
    }

    /// Those that were taken nearest to the lines from `view` to `middle`, except one from the very place of the view: a picture
    /// from where a photo was taken is made of others, so that the two can be compared.
    fn nearest(&self, view: &View, middle: &Vector3<f64>) -> Vec<usize> {
        let ours = place_of(view);
        let angle = |i: usize| {
            let theirs = place_of(&self.frames.view(i, 1));
            (theirs != ours).then(|| ((ours - middle).angle(&(theirs - middle)), i))
        };
        let mut angles: Vec<(f64, usize)> = (0..self.frames.len()).filter_map(angle).collect();
        angles.sort_by(|a, b| a.0.total_cmp(&b.0));
        angles.into_iter().take(self.photos).map(|(_, i)| i).collect()
    }

    /// Has the differences of these photos, and forgets the oldest ones beyond those that may be kept.
    fn look_at(&mut self, photos: &[usize], painter: &mut dyn Painter) {
        for &photo in photos {
            let difference = match self.kept.iter().position(|kept| kept.photo == photo) {
                Some(at) => self.kept.remove(at),
                None => match self.frames.load(photo, 1) {
                    Ok(frame) => Difference::of(&frame, painter.draw(&frame.view, true), self.background),
                    Err(error) => {
                        tracing::warn!("{}; pictures are drawn without its details", Error::from(error));
                        continue;
                    }
                },
            };
            self.kept.push(difference);
        }
        let forgotten = self.kept.len().saturating_sub(self.most);
        self.kept.drain(..forgotten);
    }
}

/// Draws what another painter draws, with details from photos.
pub struct DetailedPainter<'a> {
    painter: &'a mut dyn Painter,
    details: Option<PhotoDetails>,
    rendering: Rendering,
}

impl<'a> DetailedPainter<'a> {
    /// Draws what `painter` does, in whose scene the photos must lie; nothing else where there are none.
    pub fn new(painter: &'a mut dyn Painter, details: Option<PhotoDetails>) -> Self {
        Self { painter, details, rendering: Rendering::default() }
    }
}

impl Painter for DetailedPainter<'_> {
    fn scene_from_world(&self) -> &Similarity {
        self.painter.scene_from_world()
    }

    fn draw(&mut self, view: &View, median_depth: bool) -> &Rendering {
        let Some(details) = &mut self.details else { return self.painter.draw(view, median_depth) };
        self.rendering.clone_from(self.painter.draw(view, true));
        let places = places(view, &self.rendering.median_depth);
        let (sum, count) = places.iter().flatten().fold((Vector3::zeros(), 0), |(sum, n), place| (sum + place, n + 1));
        if count > 0 {
            let photos = details.nearest(view, &(sum / f64::from(count)));
            details.look_at(&photos, self.painter);
            let used: Vec<&Difference> = details.kept.iter().filter(|kept| photos.contains(&kept.photo)).collect();
            let from = place_of(view);
            let lacking = |place: &Option<Vector3<f64>>| place.map_or([0.0; 3], |place| lacking(&place, &from, &used));
            let lacking: Vec<[f32; 3]> = places.par_iter().map(lacking).collect();
            for (channel, plane) in self.rendering.rgb.chunks_exact_mut(places.len()).enumerate() {
                plane.iter_mut().zip(&lacking).for_each(|(value, lacking)| *value += lacking[channel]);
            }
        }
        if !median_depth {
            self.rendering.median_depth.clear();
        }
        &self.rendering
    }

    fn set_time(&mut self, capture_time: f64) -> Result<()> {
        self.painter.set_time(capture_time)
    }
}

/// What a picture from `from` lacks at a place: the mean of what photos say that see it, those along nearly the same line first. The one along the farthest line
/// counts nothing, so that nothing jumps when another takes its place.
fn lacking(place: &Vector3<f64>, from: &Vector3<f64>, differences: &[&Difference]) -> [f32; 3] {
    let angle = |difference: &&Difference| (from - place).angle(&(place_of(&difference.view) - place));
    let farthest = 1.2 * differences.iter().map(angle).fold(0.0, f64::max);
    let (mut sum, mut weights) = ([0.0; 3], 0.0);
    for difference in differences {
        if let Some((colour, share)) = difference.at(place) {
            let angle = angle(difference);
            let weight = share * ((1.0 - angle / farthest) / (angle + ALIKE).sqrt()) as f32;
            (0..3).for_each(|k| sum[k] += weight * colour[k]);
            weights += weight;
        }
    }
    if weights > 0.0 { sum.map(|sum: f32| sum / weights) } else { [0.0; 3] }
}

/// Where a view is taken from.
fn place_of(view: &View) -> Vector3<f64> {
    Vector3::from(view.position().map(f64::from))
}

/// What place each pixel shows, where it shows one.
fn places(view: &View, median_depth: &[f32]) -> Vec<Option<Vector3<f64>>> {
    let place = |(i, depth): (usize, &f32)| {
        let depth = f64::from(*depth);
        if depth <= 0.0 {
            return None;
        }
        let pixel = [(i % view.width) as f64 + 0.5, (i / view.width) as f64 + 0.5];
        let [u, v] = view.lens.unproject_within(pixel, f64::from(view.max_radius_squared));
        let in_camera = [u * depth, v * depth, depth];
        let from = |k: usize| in_camera[k] - f64::from(view.translation[k]);
        Some(Vector3::from_fn(|k, _| (0..3).map(|r| f64::from(view.rotation[r][k]) * from(r)).sum()))
    };
    median_depth.par_iter().enumerate().map(place).collect()
}

#[cfg(test)]
mod tests;
