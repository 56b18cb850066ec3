//! Lens models, camera poses and Gaussians in space and time: the one definition that files, kernels and viewers share.
//!
//! Camera axes are OpenCV's: x right, y down, z forward. The top-left corner of an image is (0, 0), so the
//! centre of the first pixel is (0.5, 0.5). The mathematics is generic over [`Real`], so that the same lines
//! run in `f64` (files, reference), `f32` and SIMD lanes (kernels).
//!
//! - [`Lens`]: focal lengths, principal point and [`Distortion`]; projection, Jacobians, unprojection.
//! - [`LensModel`]: COLMAP's names and parameter orders for the same lenses.
//! - [`Camera`]: a lens with an image size. [`Pose`]: a rigid motion, named by what it maps.
//! - [`spacetime`]: four-dimensional Gaussians, and what of them is seen at a moment.

mod lens;
mod model;
mod real;
pub mod spacetime;

pub use lens::{Distorted, Distortion, Lens, Projected, UnprojectError};
pub use model::{LensModel, UnknownLensModel};
pub use real::{Mask, Real};

use serde::{Deserialize, Serialize};

/// A rigid motion in double precision. Variables say which one: `camera_from_world`, `world_from_camera`.
pub type Pose = nalgebra::Isometry3<f64>;

/// Rotation, translation and one scale, such as `scene_from_world`.
pub type Similarity = nalgebra::Similarity3<f64>;

/// A lens together with the size in pixels of the image that it makes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Camera {
    /// Image width in pixels.
    pub width: u32,
    /// Image height in pixels.
    pub height: u32,
    /// The lens, in pixels of this image size.
    pub lens: Lens,
}

impl Camera {
    /// A distortion-free camera with its principal point in the middle and the given horizontal field of view.
    pub fn from_horizontal_fov(width: u32, height: u32, fov_radians: f64) -> Self {
        let focal = 0.5 * f64::from(width) / (0.5 * fov_radians).tan();
        let centre = [0.5 * f64::from(width), 0.5 * f64::from(height)];
        Self { width, height, lens: Lens { focal: [focal; 2], centre, distortion: Distortion::None } }
    }

    /// The camera of the same picture resampled to another size (aspect ratio may change by rounding).
    pub fn resized(&self, width: u32, height: u32) -> Self {
        let sx = f64::from(width) / f64::from(self.width);
        let sy = f64::from(height) / f64::from(self.height);
        let Lens { focal, centre, distortion } = self.lens;
        let lens = Lens { focal: [focal[0] * sx, focal[1] * sy], centre: [centre[0] * sx, centre[1] * sy], distortion };
        Self { width, height, lens }
    }

    /// The rectangle `[u_min, v_min, u_max, v_max]` of normalised image coordinates (at z = 1) that holds the
    /// whole picture, found from points along its border.
    pub fn normalised_bounds(&self) -> [f64; 4] {
        let (w, h) = (f64::from(self.width), f64::from(self.height));
        let mut bounds = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        const STEPS: u32 = 16;
        for step in 0..=STEPS {
            let t = f64::from(step) / f64::from(STEPS);
            for pixel in [[t * w, 0.0], [t * w, h], [0.0, t * h], [w, t * h]] {
                let [u, v] = self.lens.unproject_clamped(pixel);
                bounds = [bounds[0].min(u), bounds[1].min(v), bounds[2].max(u), bounds[3].max(v)];
            }
        }
        bounds
    }
}
