//! From pixels to rays in the unit cube, and to what they should see.

use super::scene_box::SceneBox;
use super::trace::TracedRay;
use crate::frames::TrainingFrame;
use tessera_datasets::capture::MaskKind;
use tessera_kernels::camera_projection::View;
use tessera_kernels::occupancy::MarchedRay;

/// Rays of one camera.
#[derive(Clone, Copy, Debug)]
pub struct RayMaker {
    view: View,
    max_radius_squared: f64,
    origin: [f32; 3],
    corners: [[f32; 3]; 2],
}

impl RayMaker {
    /// The rays of `view`, which is in scene coordinates, through `scene_box`.
    pub fn new(view: &View, scene_box: &SceneBox) -> Self {
        let origin = scene_box.to_cube(view.position().map(f64::from)).map(|x| x as f32);
        Self {
            view: *view,
            max_radius_squared: f64::from(view.max_radius_squared),
            origin,
            corners: scene_box.in_cube(),
        }
    }

    /// The ray through a place in the picture, in pixels; `None` where it misses the box.
    pub fn ray(&self, pixel: [f64; 2]) -> Option<MarchedRay> {
        let [u, v] = self.view.lens.unproject_within(pixel, self.max_radius_squared);
        let r = &self.view.rotation;
        let d: [f64; 3] = std::array::from_fn(|k| f64::from(r[0][k]) * u + f64::from(r[1][k]) * v + f64::from(r[2][k]));
        let length = d.iter().map(|x| x * x).sum::<f64>().sqrt();
        MarchedRay::clipped(self.origin, d.map(|x| (x / length) as f32), self.corners)
    }
}

/// A ray of a photo and what it should see.
#[derive(Clone, Copy, Debug)]
pub struct TrainingRay {
    /// Where it goes.
    pub traced: TracedRay,
    /// With the background where the photo is transparent.
    pub colour: [f32; 3],
    /// Behind the surface.
    pub background: [f32; 3],
    /// How much of the pixel the object covers, where that is known.
    pub opacity: Option<f32>,
}

/// The ray of a frame's pixel, in front of `background`; `None` when nothing is known about that pixel.
pub fn of_pixel(
    frame: &TrainingFrame,
    maker: &RayMaker,
    [x, y]: [usize; 2],
    background: [f32; 3],
    jitter: f32,
) -> Option<TrainingRay> {
    let image = &frame.pixels.image;
    let (channels, i) = (usize::from(image.channels), y * image.width as usize + x);
    let share = |value: u8| f32::from(value) / 255.0;
    let pixel = &image.data[channels * i..][..channels];
    let mask = |kind| frame.pixels.mask.as_ref().filter(|_| frame.mask_kind == Some(kind)).map(|m| share(m.data[i]));
    if mask(MaskKind::Ignore).is_some_and(|known| known < 0.5) {
        return None;
    }
    let opacity = match (pixel.get(3), mask(MaskKind::Foreground)) {
        (Some(&a), Some(mask)) => Some(share(a) * mask),
        (Some(&a), None) => Some(share(a)),
        (None, mask) => mask,
    };
    let a = opacity.unwrap_or(1.0);
    let colour = std::array::from_fn(|k| a * share(pixel[k]) + (1.0 - a) * background[k]);
    let ray = maker.ray([x as f64 + 0.5, y as f64 + 0.5]);
    Some(TrainingRay { traced: TracedRay { ray, jitter }, colour, background, opacity })
}
