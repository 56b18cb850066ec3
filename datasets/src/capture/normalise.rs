//! The centred, scaled world in which methods work, and what a capture is in it.
//!
//! The rule. Let `c` be the component-wise median of the camera centres and `p` that of the sparse points. Without
//! points, `p` is the point nearest to all optical axes (least squares) when the cameras look at one, that is when
//! it is well defined and in front of three quarters of them. The scene's centre is the middle between `c` and `p`, or
//! `c` when there is no `p`. The unit is the larger one of the median distances of the cameras and of the points
//! from the centre, so that cameras lie around distance 1 and points mostly within a few units. The axes keep
//! their directions. Medians make both independent of stray points and cameras.

use super::{Capture, DepthSource, Frame, Point, Split};
use crate::camera::{Pose, Similarity};
use nalgebra::{Matrix3, Point3, Translation3, UnitQuaternion, Vector3};
use std::collections::{BTreeSet, HashMap};

/// The similarity by the rule in the module's description.
pub(super) fn scene_from_world(frames: &[Frame], points: &[Point]) -> Similarity {
    let cameras: Vec<Vector3<f64>> = frames.iter().map(|f| f.camera_from_world.inverse().translation.vector).collect();
    let points: Vec<Vector3<f64>> = points.iter().map(|p| p.position.into()).collect();
    let camera_centre = median_position(&cameras);
    let subject = if points.is_empty() { look_at_point(frames) } else { Some(median_position(&points)) };
    let centre = subject.map_or(camera_centre, |subject| 0.5 * (camera_centre + subject));

    let distance = |positions: &[Vector3<f64>]| median(positions.iter().map(|p| (p - centre).norm()).collect());
    let unit = distance(&cameras).max(distance(&points));
    let scale = if unit.is_finite() && unit > 1e-12 { 1.0 / unit } else { 1.0 };
    Similarity::from_parts(Translation3::from(-scale * centre), UnitQuaternion::identity(), scale)
}

/// The median, or 0 of nothing; the upper one of two middle values.
fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

fn median_position(positions: &[Vector3<f64>]) -> Vector3<f64> {
    Vector3::from_fn(|axis, _| median(positions.iter().map(|p| p[axis]).collect()))
}

/// The point with the least sum of squared distances to the optical axes, if the cameras look at one.
fn look_at_point(frames: &[Frame]) -> Option<Vector3<f64>> {
    let rays: Vec<_> = frames
        .iter()
        .map(|frame| {
            let world_from_camera = frame.camera_from_world.inverse();
            (world_from_camera.translation.vector, world_from_camera * Vector3::z())
        })
        .collect();
    let mut normal = Matrix3::zeros();
    let mut right = Vector3::zeros();
    for (centre, axis) in &rays {
        let across = Matrix3::identity() - axis * axis.transpose();
        normal += across;
        right += across * centre;
    }
    // The smallest eigenvalue is the mean squared sine of the angles between the axes and their common direction.
    let smallest = normal.symmetric_eigenvalues().min() / rays.len() as f64;
    if smallest.is_nan() || smallest < 0.01 {
        return None;
    }
    let point = normal.try_inverse()? * right;
    let in_front = rays.iter().filter(|(centre, axis)| axis.dot(&(point - centre)) > 0.0).count();
    (4 * in_front >= 3 * rays.len()).then_some(point)
}

impl Capture {
    /// From the scene to a frame's camera, which then measures in scene units too: depths along z are in scene units
    /// and pixels are the same, since a lens does not see scale.
    pub fn camera_from_scene(&self, frame: &Frame) -> Pose {
        let scale = self.scene_from_world.scaling();
        let scene = &self.scene_from_world.isometry;
        let rotation = frame.camera_from_world.rotation * scene.rotation.inverse();
        let translation = scale * frame.camera_from_world.translation.vector - rotation * scene.translation.vector;
        Pose::from_parts(Translation3::from(translation), rotation)
    }

    /// The sparse points with positions in the scene.
    pub fn points_in_scene(&self) -> Vec<Point> {
        let to_scene = |point: &Point| {
            let position = self.scene_from_world * Point3::from(point.position);
            Point { position: position.coords.into(), colour: point.colour }
        };
        self.points.iter().map(to_scene).collect()
    }

    /// Scene units for each stored unit of a depth image.
    pub fn depth_scale_in_scene(&self, depth: &DepthSource) -> f64 {
        depth.scale * self.scene_from_world.scaling()
    }

    /// Indices of the frames to train on and of those to test on, both ascending.
    ///
    /// Frames that the file assigns to a part stay there: `Train` and `Test`, or `Validation` as test when
    /// nothing is marked `Test`. Of the unmarked frames, in their sorted order, those whose number among them
    /// is divisible by `test_every` are for testing, the others for training; none are held out when `test_every` is
    /// `None` or zero. Of rigs, whole cameras are held out: from where training looked a moment before, nothing is proven.
    pub fn split_indices(&self, test_every: Option<usize>) -> (Vec<usize>, Vec<usize>) {
        let every = test_every.unwrap_or(0);
        let has_test = self.frames.iter().any(|f| f.split == Some(Split::Test));
        let (mut train, mut test) = (Vec::new(), Vec::new());
        let cameras: BTreeSet<u32> = self.frames.iter().filter_map(|frame| frame.rig_camera).collect();
        let place: HashMap<u32, usize> = cameras.into_iter().zip(0..).collect();
        let mut unmarked = 0;
        for (index, frame) in self.frames.iter().enumerate() {
            match frame.split {
                Some(Split::Train) => train.push(index),
                Some(Split::Test) => test.push(index),
                Some(Split::Validation) if has_test => {}
                Some(Split::Validation) => test.push(index),
                None => {
                    let camera = frame.rig_camera.filter(|_| frame.time.is_some() && place.len() > 1);
                    let number = camera.and_then(|camera| place.get(&camera).copied()).unwrap_or(unmarked);
                    unmarked += usize::from(camera.is_none());
                    let held_out = every > 0 && number % every == 0;
                    (if held_out { &mut test } else { &mut train }).push(index);
                }
            }
        }
        (train, test)
    }
}

#[cfg(test)]
mod tests;
