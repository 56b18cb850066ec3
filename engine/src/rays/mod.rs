//! Rays of fields: from pixels to rays in the unit cube, and to what they should see; and from places back to pixels.
//!
//! - [`RayMaker`], [`of_pixel`]: from a pixel to a ray, and to what it should see.
//! - [`RayDraw`]: those of a training step.
//! - [`paint`](mod@paint): pictures.
//! - [`scene_box`]: what the unit cube is, found from masks, points or cameras.
//! - [`prepared`]: a capture with its masks and axes as settings say.

mod draw;
pub mod paint;
pub mod scene_box;

pub use draw::{Pace, RayDraw, most_rays};
pub use scene_box::{BoxSettings, SceneBox};

use crate::frames::TrainingFrame;
use crate::splats::MaskUse;
use crate::target::with_masks;
use nalgebra::Vector3;
use tessera_datasets::camera::Pose;
use tessera_datasets::capture::{Capture, MaskKind};
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

    /// The ray through a place in the picture, in pixels, within the box; `None` where it misses that.
    pub fn ray(&self, pixel: [f64; 2]) -> Option<MarchedRay> {
        MarchedRay::clipped(self.origin, self.direction(pixel), self.corners)
    }

    /// The ray through a place in the picture, in pixels, between two distances in sides of the cube.
    pub fn ray_between(&self, pixel: [f64; 2], near_far: [f32; 2]) -> MarchedRay {
        MarchedRay { origin: self.origin, direction: self.direction(pixel), near_far }
    }

    /// How much nearer to the camera's plane a place comes by a step of length 1 back along the ray through a pixel.
    pub fn forward(&self, pixel: [f64; 2]) -> f32 {
        let (d, r) = (self.direction(pixel), &self.view.rotation);
        (0..3).map(|k| d[k] * r[2][k]).sum()
    }

    /// Of length 1.
    fn direction(&self, pixel: [f64; 2]) -> [f32; 3] {
        let [u, v] = self.view.lens.unproject_within(pixel, self.max_radius_squared);
        let r = &self.view.rotation;
        let d: [f64; 3] = std::array::from_fn(|k| f64::from(r[0][k]) * u + f64::from(r[1][k]) * v + f64::from(r[2][k]));
        let length = d.iter().map(|x| x * x).sum::<f64>().sqrt();
        d.map(|x| (x / length) as f32)
    }
}

/// Where a camera sees a place in the scene.
#[derive(Clone, Copy, Debug)]
pub struct SeenPlace {
    /// In the picture, in pixels.
    pub pixel: [f64; 2],
    /// Along the camera's axis, in scene units.
    pub depth: f64,
    /// How much longer than the depth the way from the camera is.
    pub stretch: f64,
}

impl SeenPlace {
    /// `None` when the place is behind the camera, outside the picture, or where the lens does not see.
    pub fn of(view: &View, place: &Vector3<f64>) -> Option<Self> {
        let p: [f64; 3] = std::array::from_fn(|i| {
            (0..3).map(|j| f64::from(view.rotation[i][j]) * place[j]).sum::<f64>() + f64::from(view.translation[i])
        });
        let (u, v) = (p[0] / p[2], p[1] / p[2]);
        let squared = u * u + v * v;
        if p[2] <= 0.0 || squared > f64::from(view.max_radius_squared) {
            return None;
        }
        let uv = view.lens.distort(u, v).uv;
        let pixel: [f64; 2] = std::array::from_fn(|k| view.lens.focal[k] * uv[k] + view.lens.centre[k]);
        let inside = |k: usize, side: usize| (0.0..side as f64).contains(&pixel[k]);
        (inside(0, view.width) && inside(1, view.height)).then_some(Self {
            pixel,
            depth: p[2],
            stretch: (1.0 + squared).sqrt(),
        })
    }
}

/// A ray whose direction has length 1, and the share of a step at which its samples begin.
#[derive(Clone, Copy, Debug)]
pub struct TracedRay {
    /// `None` where it misses the box.
    pub ray: Option<MarchedRay>,
    /// In [0, 1).
    pub jitter: f32,
}

/// A ray of a photo and what it should see.
#[derive(Clone, Copy, Debug)]
pub struct TrainingRay {
    /// Where it goes.
    pub traced: TracedRay,
    /// Of which photo it is: its position among the photos that are trained on.
    pub photo: usize,
    /// With the background where the photo is transparent.
    pub colour: [f32; 3],
    /// Behind the surface.
    pub background: [f32; 3],
    /// How much of the pixel the object covers, where that is known.
    pub opacity: Option<f32>,
}

/// What a frame's pixel wants of its ray, in front of `background`; `None` when nothing is known about that pixel.
pub fn of_pixel(
    frame: &TrainingFrame,
    [x, y]: [usize; 2],
    traced: impl FnOnce([f64; 2]) -> TracedRay,
    background: [f32; 3],
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
    let traced = traced([x as f64 + 0.5, y as f64 + 0.5]);
    Some(TrainingRay { traced, photo: frame.index, colour, background, opacity })
}

/// The capture with its masks used as `masks` says and, if `flip_cameras`, its cameras turned to the other of the two usual axis
/// conventions.
pub fn prepared(capture: &Capture, masks: MaskUse, flip_cameras: bool) -> Capture {
    let mut capture = with_masks(capture, masks).into_owned();
    if flip_cameras {
        let turn = Pose::rotation(nalgebra::Vector3::x() * std::f64::consts::PI);
        capture.frames.iter_mut().for_each(|frame| frame.camera_from_world = turn * frame.camera_from_world);
    }
    capture
}
