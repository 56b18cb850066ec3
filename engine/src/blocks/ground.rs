//! The plane in which a scene is divided.
//!
//! Scenes that are too large for one training are wide and not high: a city, an estate, a landscape. They are divided in the
//! plane across which cameras and points spread least. Its axes are turned to where the scene's bounding rectangle is smallest,
//! so that cells follow the streets or the flight, wherever the capture's own axes point.

use crate::frames::mean_up;
use nalgebra::{Matrix3, Vector3};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;
use tessera_datasets::capture::{Capture, Frame};

/// Points that are looked at, at most.
const MOST_POINTS: usize = 20_000;
/// Points and places farther out than this share of all do not decide anything: they may be stray.
const INLIERS: f64 = 0.95;
/// Cameras whose upward axes agree this much, as the length of their mean, were held upright.
const UPRIGHT: f64 = 0.9;
/// Directions that are tried for the axes.
const TURNS: usize = 45;

/// A frame with two axes along the ground and one up, in the units of the capture's world.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ground {
    /// The rows of `ground_from_world`: along, across, up; of unit length.
    pub axes: [[f64; 3]; 3],
}

impl Ground {
    /// Finds the ground of a capture.
    pub fn of(capture: &Capture) -> Self {
        let cameras: Vec<Vector3<f64>> = capture.frames.iter().map(centre).collect();
        let step = capture.points.len().div_ceil(MOST_POINTS).max(1);
        let points: Vec<Vector3<f64>> = capture.points.iter().step_by(step).map(|p| p.position.into()).collect();
        let up = mean_up(&capture.frames).try_normalize(UPRIGHT).unwrap_or_else(|| flattest(&cameras, &points));
        let below = median(&points).unwrap_or_else(Vector3::zeros);
        let above = cameras.iter().filter(|camera| up.dot(&(*camera - below)) > 0.0).count();
        // Photos are taken from above the ground more often than from below.
        let up = if points.is_empty() || 2 * above >= cameras.len() { up } else { -up };
        let along = level(&up);
        let across = up.cross(&along);
        let places: Vec<[f64; 2]> =
            cameras.iter().chain(&points).map(|place| [along.dot(place), across.dot(place)]).collect();
        let (sine, cosine) = compact_turn(&places).sin_cos();
        let axes = [cosine * along + sine * across, cosine * across - sine * along, up];
        Self { axes: axes.map(Into::into) }
    }

    /// Where a place in the world is on the ground, and how high above it.
    pub fn place(&self, world: [f64; 3]) -> ([f64; 2], f64) {
        let [along, across, up] = self.axes.map(|axis| (0..3).map(|k| axis[k] * world[k]).sum());
        ([along, across], up)
    }

    /// The direction that is up, in the world.
    pub fn up(&self) -> [f64; 3] {
        self.axes[2]
    }
}

/// Where a camera stands in the world.
pub(super) fn centre(frame: &Frame) -> Vector3<f64> {
    frame.camera_from_world.inverse().translation.vector
}

/// The direction across which cameras and points, each weighing the same, spread least.
fn flattest(cameras: &[Vector3<f64>], points: &[Vector3<f64>]) -> Vector3<f64> {
    let spread = spread(cameras) + spread(points);
    let eigen = spread.symmetric_eigen();
    let least = eigen.eigenvalues.imin();
    eigen.eigenvectors.column(least).into_owned()
}

/// The covariance of places near their median, scaled to a trace of 1; zero when there is none.
fn spread(places: &[Vector3<f64>]) -> Matrix3<f64> {
    let Some(middle) = median(places) else { return Matrix3::zeros() };
    let mut offsets: Vec<Vector3<f64>> = places.iter().map(|place| place - middle).collect();
    offsets.sort_unstable_by(|a, b| a.norm_squared().total_cmp(&b.norm_squared()));
    offsets.truncate((INLIERS * offsets.len() as f64).ceil() as usize);
    let sum: Matrix3<f64> = offsets.iter().map(|offset| offset * offset.transpose()).sum();
    if sum.trace() > 0.0 { sum / sum.trace() } else { sum }
}

/// The component-wise median.
fn median(places: &[Vector3<f64>]) -> Option<Vector3<f64>> {
    let middle = |axis: usize| {
        let mut values: Vec<f64> = places.iter().map(|place| place[axis]).collect();
        *values.select_nth_unstable_by(places.len() / 2, f64::total_cmp).1
    };
    (!places.is_empty()).then(|| Vector3::new(middle(0), middle(1), middle(2)))
}

/// A direction across `up`, near the world's first axis that is not nearly `up` itself.
fn level(up: &Vector3<f64>) -> Vector3<f64> {
    let axis = if up.x.abs() < 0.9 { Vector3::x() } else { Vector3::y() };
    (axis - up * up.dot(&axis)).normalize()
}

/// The turn, within a right angle, after which the bounding rectangle of most places is smallest.
fn compact_turn(places: &[[f64; 2]]) -> f64 {
    let area = |turn: f64| {
        let (sine, cosine) = turn.sin_cos();
        let side = |a: f64, b: f64| {
            let mut values: Vec<f64> = places.iter().map(|[x, y]| a * x + b * y).collect();
            let outside = ((1.0 - INLIERS) * 0.5 * values.len() as f64) as usize;
            let last = values.len().saturating_sub(1);
            if values.is_empty() {
                return 0.0;
            }
            let low = *values.select_nth_unstable_by(outside, f64::total_cmp).1;
            *values.select_nth_unstable_by(last - outside, f64::total_cmp).1 - low
        };
        side(cosine, sine) * side(-sine, cosine)
    };
    let turns = (0..TURNS).map(|i| FRAC_PI_2 * i as f64 / TURNS as f64);
    // A turn is worth while only if it makes the rectangle clearly smaller.
    let unturned = 0.97 * area(0.0);
    let best = turns.map(|turn| (turn, area(turn))).min_by(|a, b| a.1.total_cmp(&b.1));
    best.filter(|(_, area)| *area < unturned).map_or(0.0, |(turn, _)| turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ground_lies_across_the_least_spread() {
        let place = |i: usize| [(i % 17) as f64 - 8.0, (i / 17 % 13) as f64 - 6.0, 0.3 * (i % 5) as f64];
        let tilt = nalgebra::Rotation3::from_euler_angles(0.4, -0.9, 1.3);
        let places: Vec<Vector3<f64>> = (0..400).map(|i| tilt * Vector3::from(place(i))).collect();
        let up = flattest(&places, &[]);
        let cosine = up.dot(&(tilt * Vector3::z())).abs();
        assert!(cosine > 0.999, "the ground is {} degrees off", cosine.acos().to_degrees());
    }

    #[test]
    fn axes_follow_the_longer_sides_of_the_scene() {
        let turned: f64 = 0.5;
        let places: Vec<[f64; 2]> = (0..600)
            .map(|i| [(i % 30) as f64, (i / 30) as f64 * 0.4])
            .map(|[x, y]| [turned.cos() * x - turned.sin() * y, turned.sin() * x + turned.cos() * y])
            .collect();
        let found = compact_turn(&places);
        assert!((found - turned).abs() <= FRAC_PI_2 / TURNS as f64, "turned by {found} instead of {turned}");
    }
}
