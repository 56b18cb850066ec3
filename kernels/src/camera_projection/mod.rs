//! From a Gaussian in the world to an ellipse in the picture (EWA), for every lens, with exact gradients.

pub mod cuda;
mod ewa;

pub use ewa::{
    Ellipsoid, EllipsoidGradient, Footprint, FootprintGradient, Gaussian, GaussianGradient, LOW_PASS, project,
    project_backward, project_ellipsoid, project_ellipsoid_backward,
};
use serde::{Deserialize, Serialize};
use tessera_camera::{Camera, Lens, Pose};

/// A camera at a place: everything that projection needs, in `f32`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct View {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Lens in pixels of this size.
    pub lens: Lens,
    /// Rotation of `camera_from_world`, row major.
    pub rotation: [[f32; 3]; 3],
    /// Translation of `camera_from_world`.
    pub translation: [f32; 3],
    /// `[u_min, v_min, u_max, v_max]`: the Jacobian is evaluated inside this rectangle of normalised coordinates, so
    /// that splats far outside the picture do not grow without bound.
    pub jacobian_bounds: [f32; 4],
    /// Points with a larger squared normalised radius are dropped: the lens cannot see them.
    pub max_radius_squared: f32,
}

impl View {
    /// The view of `camera` at `camera_from_world`.
    pub fn new(camera: &Camera, camera_from_world: &Pose) -> Self {
        /// Share of the picture's half-extent by which the Jacobian's range exceeds the picture.
        const MARGIN: f64 = 0.3;
        let [u0, v0, u1, v1] = camera.normalised_bounds();
        let (du, dv) = (0.5 * MARGIN * (u1 - u0), 0.5 * MARGIN * (v1 - v0));
        let r = camera_from_world.rotation.to_rotation_matrix();
        let t = camera_from_world.translation.vector;
        Self {
            width: camera.width as usize,
            height: camera.height as usize,
            lens: camera.lens,
            rotation: std::array::from_fn(|i| std::array::from_fn(|j| r[(i, j)] as f32)),
            translation: [t.x as f32, t.y as f32, t.z as f32],
            jacobian_bounds: [u0 - du, v0 - dv, u1 + du, v1 + dv].map(|b| b as f32),
            max_radius_squared: camera.lens.max_valid_radius_squared().min(1e30) as f32,
        }
    }
    /// Where the camera stands: `-Rᵀ t`.
    pub fn position(&self) -> [f32; 3] {
        let t = self.translation;
        std::array::from_fn(|i| -(0..3).map(|j| self.rotation[j][i] * t[j]).sum::<f32>())
    }
}
