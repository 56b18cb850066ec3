//! What kernels know of a camera: `lens.cuh`, `ewa.cuh`.

use super::View;
use crate::device::Source;
use crate::device_struct;
use bytemuck::{Pod, Zeroable};
use tessera_camera::Distortion;

/// Projection of single points, by which the lenses are tested.
pub static SELF_TEST: Source = Source::new("camera_projection/self_test.cu", include_str!("self_test.cu"));

/// A [`View`] as `lens.cuh` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Camera {
    width: i32,
    height: i32,
    lens: i32,
    distortion: [f32; 8],
    focal: [f32; 2],
    centre: [f32; 2],
    rotation: [[f32; 3]; 3],
    translation: [f32; 3],
    position: [f32; 3],
    jacobian_bounds: [f32; 4],
    max_radius_squared: f32,
}

/// How footprints are made, as `ewa.cuh` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Shaping {
    /// Splats nearer than this are dropped.
    pub near: f32,
    /// 1 for the antialiased variant.
    pub antialiased: i32,
    /// 1 where there is a 3D filter.
    pub filtered: i32,
}
device_struct!(Camera, Shaping);

impl From<&View> for Camera {
    fn from(view: &View) -> Self {
        let (lens, coefficients): (i32, &[f64]) = match &view.lens.distortion {
            Distortion::None => (0, &[]),
            Distortion::Polynomial { k, p } => (1, &[k[0], k[1], k[2], k[3], k[4], k[5], p[0], p[1]]),
            Distortion::Fisheye { k } => (2, k),
        };
        let mut distortion = [0.0; 8];
        for (to, from) in distortion.iter_mut().zip(coefficients) {
            *to = *from as f32;
        }
        Self {
            width: view.width as i32,
            height: view.height as i32,
            lens,
            distortion,
            focal: view.lens.focal.map(|f| f as f32),
            centre: view.lens.centre.map(|c| c as f32),
            rotation: view.rotation,
            translation: view.translation,
            position: view.position(),
            jacobian_bounds: view.jacobian_bounds,
            max_radius_squared: view.max_radius_squared,
        }
    }
}
