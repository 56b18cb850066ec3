//! Where to look from: the cameras of photos, and a smooth flight past them.

use crate::{Error, Result};
use nalgebra::{Quaternion, Translation3, UnitQuaternion, Vector3, Vector4};
use std::path::Path;
use tessera_datasets::camera::{Camera, Pose};
use tessera_datasets::capture::{Capture, StatedCamera, read_cameras};

/// A camera of a path, in the world of the capture's files.
#[derive(Clone, Debug, PartialEq)]
pub struct PathCamera {
    /// For file names: the photo's name, or a number.
    pub name: String,
    /// Lens and size.
    pub camera: Camera,
    /// Where it is.
    pub camera_from_world: Pose,
    /// When it looks, in the capture's own time; `None` when that makes no difference or is not said.
    pub time: Option<f64>,
}

/// The cameras of the photos with these indices, each reduced until its longer side has at most `max_side` pixels.
pub fn of_frames(capture: &Capture, indices: &[usize], max_side: Option<u32>) -> Vec<PathCamera> {
    let frames = indices.iter().filter_map(|&i| capture.frames.get(i));
    let camera = |camera: &Camera| {
        let longest = f64::from(camera.width.max(camera.height).max(1));
        let scale = max_side.map_or(1.0, |limit| f64::from(limit.max(1)) / longest).min(1.0);
        let scaled = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
        if scale < 1.0 { camera.resized(scaled(camera.width), scaled(camera.height)) } else { *camera }
    };
    frames
        .map(|f| PathCamera {
            name: f.name.clone(),
            camera: camera(&f.camera),
            camera_from_world: f.camera_from_world,
            time: f.time,
        })
        .collect()
}

/// The cameras of a `transforms.json`, in its order; it needs no photos.
///
/// # Errors
/// When the file is missing or damaged, or does not say how large the pictures are.
pub fn from_file(path: impl AsRef<Path>) -> Result<Vec<PathCamera>> {
    let path = path.as_ref();
    let stated = read_cameras(path)?;
    if let Some(camera) = stated.iter().find(|c| c.camera.width.min(c.camera.height) == 0) {
        let reason = format!("does not say how large the picture of camera '{}' is", camera.name);
        return Err(Error::file(path, reason, "add \"w\" and \"h\", in pixels"));
    }
    let camera = |s: StatedCamera| PathCamera {
        name: s.name,
        camera: s.camera,
        camera_from_world: s.camera_from_world,
        time: None,
    };
    Ok(stated.into_iter().map(camera).collect())
}

/// `count` cameras on a smooth curve through the places of `keys` in their order, at even speed, all with the lens of the
/// first. Positions and orientations follow Catmull-Rom splines over the distance travelled.
pub fn interpolated(keys: &[PathCamera], count: usize) -> Vec<PathCamera> {
    let Some(first) = keys.first() else { return Vec::new() };
    let places = places(keys);
    let knots = knots(&places);
    let end = knots[knots.len() - 1];
    (0..count)
        .map(|i| {
            let time = if count > 1 { end * i as f64 / (count - 1) as f64 } else { 0.0 };
            let (position, rotation) = spline(&places, &knots, time);
            let world_from_camera = Pose::from_parts(Translation3::from(position), rotation);
            PathCamera {
                name: number(i),
                camera: first.camera,
                camera_from_world: world_from_camera.inverse(),
                time: None,
            }
        })
        .collect()
}

/// A name by which files sort in order.
pub(super) fn number(index: usize) -> String {
    format!("{index:05}")
}

/// Position and orientation in the world. Quaternions are given the sign that is nearer to the one before.
fn places(keys: &[PathCamera]) -> Vec<(Vector3<f64>, Vector4<f64>)> {
    let mut places: Vec<(Vector3<f64>, Vector4<f64>)> = Vec::with_capacity(keys.len());
    for key in keys {
        let pose = key.camera_from_world.inverse();
        let mut q = pose.rotation.coords;
        if places.last().is_some_and(|(_, before)| before.dot(&q) < 0.0) {
            q = -q;
        }
        places.push((pose.translation.vector, q));
    }
    places
}

/// When each place is reached: after the distance travelled, in which a turn by one radian counts as a median step.
fn knots(places: &[(Vector3<f64>, Vector4<f64>)]) -> Vec<f64> {
    let steps: Vec<f64> = places.windows(2).map(|w| (w[1].0 - w[0].0).norm()).collect();
    let typical = super::painter::median(steps.clone()).max(1e-9);
    let mut knots = vec![0.0];
    for (step, w) in steps.iter().zip(places.windows(2)) {
        let angle = 2.0 * w[0].1.dot(&w[1].1).clamp(-1.0, 1.0).acos();
        knots.push(knots[knots.len() - 1] + (step / typical + angle).max(1e-6));
    }
    knots
}

/// The spline at `time`.
fn spline(places: &[(Vector3<f64>, Vector4<f64>)], knots: &[f64], time: f64) -> (Vector3<f64>, UnitQuaternion<f64>) {
    let last = places.len() - 1;
    let i = knots.partition_point(|&k| k <= time).saturating_sub(1).min(last.saturating_sub(1));
    let j = (i + 1).min(last);
    let length = (knots[j] - knots[i]).max(1e-9);
    let t = ((time - knots[i]) / length).clamp(0.0, 1.0);
    let (h0, h1) = ((1.0 + 2.0 * t) * (1.0 - t).powi(2), t * (1.0 - t).powi(2) * length);
    let (h2, h3) = (t * t * (3.0 - 2.0 * t), t * t * (t - 1.0) * length);
    // The slope at a place is that between its neighbours.
    let neighbours = |k: usize| (k.saturating_sub(1), (k + 1).min(last));
    let rate = |(a, b): (usize, usize)| 1.0 / (knots[b] - knots[a]).max(1e-9);
    let (at_i, at_j) = (neighbours(i), neighbours(j));
    let position_slope = |n: (usize, usize)| (places[n.1].0 - places[n.0].0) * rate(n);
    let rotation_slope = |n: (usize, usize)| (places[n.1].1 - places[n.0].1) * rate(n);
    let position = h0 * places[i].0 + h1 * position_slope(at_i) + h2 * places[j].0 + h3 * position_slope(at_j);
    let rotation = h0 * places[i].1 + h1 * rotation_slope(at_i) + h2 * places[j].1 + h3 * rotation_slope(at_j);
    (position, UnitQuaternion::from_quaternion(Quaternion::from(rotation)))
}
