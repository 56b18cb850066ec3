//! Boxes around what splats show.

use crate::scene::SplatCloud;
use nalgebra::{Quaternion, UnitQuaternion};

/// A box along the axes, in scene units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The corner with the smallest coordinates.
    pub low: [f32; 3],
    /// The corner with the largest coordinates.
    pub high: [f32; 3],
}

impl Bounds {
    /// Around nothing: what it is joined with remains.
    pub const EMPTY: Self = Self { low: [f32::INFINITY; 3], high: [f32::NEG_INFINITY; 3] };

    /// Around all points where a splat of the cloud changes a pixel: where its alpha reaches 1/255. An empty cloud has its
    /// box at the origin.
    pub fn of_splats(cloud: &SplatCloud) -> Self {
        let all = (0..cloud.len()).fold(Self::EMPTY, |all, i| all.joined(&of_splat(cloud, i)));
        if cloud.is_empty() { Self { low: [0.0; 3], high: [0.0; 3] } } else { all }
    }

    /// Around both.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        Self {
            low: std::array::from_fn(|k| self.low[k].min(other.low[k])),
            high: std::array::from_fn(|k| self.high[k].max(other.high[k])),
        }
    }

    /// Whether its corners are finite and in order.
    pub fn is_sound(&self) -> bool {
        (0..3).all(|k| self.low[k].is_finite() && self.high[k].is_finite() && self.low[k] <= self.high[k])
    }

    /// From corner to corner.
    pub fn diagonal(&self) -> f64 {
        (0..3).map(|k| (f64::from(self.high[k]) - f64::from(self.low[k])).powi(2)).sum::<f64>().sqrt()
    }

    /// The middle.
    pub fn centre(&self) -> [f64; 3] {
        std::array::from_fn(|k| 0.5 * (f64::from(self.low[k]) + f64::from(self.high[k])))
    }

    /// From a point to the nearest one of the box; 0 inside.
    pub fn distance(&self, point: [f64; 3]) -> f64 {
        let outside = |k: usize| (f64::from(self.low[k]) - point[k]).max(point[k] - f64::from(self.high[k])).max(0.0);
        (0..3).map(|k| outside(k).powi(2)).sum::<f64>().sqrt()
    }
}

fn of_splat(cloud: &SplatCloud, i: usize) -> Bounds {
    let [w, x, y, z] = cloud.quats[i];
    let turn = UnitQuaternion::try_new(Quaternion::new(w, x, y, z), 0.0).unwrap_or_default();
    let axes = turn.to_rotation_matrix().into_inner();
    let variances = cloud.log_scales[i].map(|s| (2.0 * s.clamp(-40.0, 40.0)).exp());
    let opacity = 1.0 / (1.0 + (-cloud.opacity_logits[i]).exp());
    // exp(-½ r²) opacity = 1/255.
    let reach = (2.0 * (255.0 * opacity).max(1.0).ln()).sqrt();
    let mean = cloud.means[i];
    let half = |k: usize| reach * (0..3).map(|a| axes[(k, a)].powi(2) * variances[a]).sum::<f32>().sqrt();
    // Absurd scenes still have finite bounds.
    let finite = |v: f32| v.clamp(f32::MIN, f32::MAX);
    Bounds {
        low: std::array::from_fn(|k| finite(mean[k] - half(k))),
        high: std::array::from_fn(|k| finite(mean[k] + half(k))),
    }
}
