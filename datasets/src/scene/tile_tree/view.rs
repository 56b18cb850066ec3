//! From where a tree is seen, as far as the cut depends on it.

use super::{Bounds, TileNode};
use crate::camera::Pose;
use nalgebra::{Point3, Vector3};

/// How much an error counts that lies outside of the picture: enough that what is around comes once the view is fine.
const OUT_OF_SIGHT: f64 = 0.1;
/// Nearer than this share of a node's diagonal no camera is: errors stay finite within a node.
const NEAREST: f64 = 0.01;

/// A camera that looks at a scene: no distortion, its principal point in the middle.
#[derive(Clone, Debug)]
pub struct LodView {
    eye: [f64; 3],
    focal: f64,
    /// Inward normals and offsets of the planes through the eye and the sides of the picture, in scene coordinates.
    sides: [(Vector3<f64>, f64); 4],
}

impl LodView {
    /// `camera_from_scene` measures in scene units; `focal` and `size` (width, height) are in pixels.
    pub fn new(camera_from_scene: &Pose, focal: [f64; 2], size: [f64; 2]) -> Self {
        let eye = camera_from_scene.inverse() * Point3::origin();
        let [x, y] = [0.5 * size[0] / focal[0], 0.5 * size[1] / focal[1]];
        // A point (X, Y, Z) is inside when |X| <= x Z and |Y| <= y Z.
        let normals = [
            Vector3::new(1.0, 0.0, x),
            Vector3::new(-1.0, 0.0, x),
            Vector3::new(0.0, 1.0, y),
            Vector3::new(0.0, -1.0, y),
        ];
        let sides = normals.map(|normal| {
            let normal = camera_from_scene.rotation.inverse() * normal;
            (normal, -normal.dot(&eye.coords))
        });
        Self { eye: eye.coords.into(), focal: focal[0].max(focal[1]), sides }
    }

    /// Whether any part of a box may be in the picture.
    pub fn sees(&self, bounds: &Bounds) -> bool {
        let centre = Vector3::from(bounds.centre());
        let half = Vector3::from_fn(|k, _| 0.5 * (f64::from(bounds.high[k]) - f64::from(bounds.low[k])));
        self.sides.iter().all(|(normal, offset)| normal.dot(&centre) + offset + normal.abs().dot(&half) >= 0.0)
    }

    /// How many pixels a node's error spans at most in this view; less where it is out of sight.
    pub fn screen_error(&self, node: &TileNode) -> f64 {
        let nearest = node.bounds.distance(self.eye).max(NEAREST * node.bounds.diagonal()).max(f64::MIN_POSITIVE);
        let pixels = f64::from(node.error) * self.focal / nearest;
        if self.sees(&node.bounds) { pixels } else { OUT_OF_SIGHT * pixels }
    }
}
