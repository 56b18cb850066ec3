//! Cameras on a circle around a scene.

use super::camera_path::{PathCamera, number};
use super::painter::{median, scene_of_cloud};
use nalgebra::{Matrix3, Point3, Rotation3, Translation3, UnitQuaternion, Vector3};
use tessera_datasets::camera::{Camera, Pose};
use tessera_datasets::capture::Capture;
use tessera_datasets::scene::SplatCloud;

/// Horizontal field of view where nothing is known, in radians.
const FIELD_OF_VIEW: f64 = 0.9;
/// How much the guessed distance to the subject counts against the optical axes' own agreement.
const GUESS_WEIGHT: f64 = 0.01;

/// `count` cameras of `size` (width, height) on a circle around the bulk of a cloud, in its world. Up is where the y axis
/// does not point, as in worlds made by structure from motion.
pub fn orbit(cloud: &SplatCloud, count: usize, size: [u32; 2]) -> Vec<PathCamera> {
    let scene = scene_of_cloud(cloud);
    let centre = (scene.inverse() * Point3::origin()).coords;
    let camera = Camera::from_horizontal_fov(size[0], size[1], FIELD_OF_VIEW);
    // Far enough that what lies within twice the median distance fits into the picture.
    let radius = 2.0 / scene.scaling() / (0.5 * FIELD_OF_VIEW).sin();
    let circle = Circle { centre, up: -Vector3::y(), radius, height: 0.4 * radius, start: Vector3::z() };
    circle.cameras(camera, count)
}

/// `count` cameras of `size` (width, height) on a circle around what the photos look at, at their median distance and
/// height and with their field of view: where the picture is not shaped like the photos, halfway between a view with the same
/// diagonal and one that holds all of a photo.
pub fn orbit_of_capture(cloud: &SplatCloud, capture: &Capture, count: usize, size: [u32; 2]) -> Vec<PathCamera> {
    let poses: Vec<Pose> = capture.frames.iter().map(|f| f.camera_from_world.inverse()).collect();
    let positions: Vec<Vector3<f64>> = poses.iter().map(|p| p.translation.vector).collect();
    let down: Vector3<f64> = poses.iter().map(|p| p.rotation * Vector3::y()).sum();
    let Some(up) = (-down).try_normalize(1e-6) else { return orbit(cloud, count, size) };
    let subject = (scene_of_cloud(cloud).inverse() * Point3::origin()).coords;
    let centre = look_at_point(&poses, &subject).unwrap_or(subject);
    let offsets = || positions.iter().map(|p| p - centre);
    let height = median(offsets().map(|o| o.dot(&up)).collect());
    let radius = median(offsets().map(|o| (o - up * o.dot(&up)).norm()).collect());
    let tangent = median(capture.frames.iter().map(|f| tangent_across(&f.camera, size)).collect());
    let fov = (2.0 * tangent.atan()).clamp(0.4, 1.6);
    let camera = Camera::from_horizontal_fov(size[0], size[1], fov);
    let start = offsets().next().unwrap_or_else(Vector3::z);
    Circle { centre, up, radius, height, start }.cameras(camera, count)
}

/// The tangent of half of the horizontal field of view with which a picture of `size` shows what a photo showed.
fn tangent_across(photo: &Camera, size: [u32; 2]) -> f64 {
    let [width, height] = size.map(f64::from);
    let [across, down] = [f64::from(photo.width), f64::from(photo.height)].map(|side| 0.5 * side / photo.lens.focal[0]);
    let diagonal = width / width.hypot(height) * across.hypot(down);
    let whole = across.max(down * width / height);
    0.5 * (diagonal + whole)
}

struct Circle {
    centre: Vector3<f64>,
    /// Of length 1.
    up: Vector3<f64>,
    radius: f64,
    /// Of the circle above the centre.
    height: f64,
    /// The first camera lies in this direction, as far as it is level.
    start: Vector3<f64>,
}

impl Circle {
    fn cameras(&self, camera: Camera, count: usize) -> Vec<PathCamera> {
        let level = |v: Vector3<f64>| (v - self.up * v.dot(&self.up)).try_normalize(1e-6);
        let start = level(self.start).or_else(|| level(Vector3::x())).or_else(|| level(Vector3::z()));
        let start = start.unwrap_or_else(Vector3::x);
        let around = nalgebra::Unit::new_normalize(self.up);
        (0..count)
            .map(|i| {
                let angle = std::f64::consts::TAU * i as f64 / count as f64;
                let outward = Rotation3::from_axis_angle(&around, angle) * start;
                let position = self.centre + self.radius * outward + self.height * self.up;
                let camera_from_world = looking_at(&position, &self.centre, &self.up, &outward);
                PathCamera { name: number(i), camera, camera_from_world }
            })
            .collect()
    }
}

/// A camera at `position` that has `target` in its middle. `forward_if_above` decides when it looks straight up or down.
fn looking_at(
    position: &Vector3<f64>,
    target: &Vector3<f64>,
    up: &Vector3<f64>,
    forward_if_above: &Vector3<f64>,
) -> Pose {
    let z = (target - position).try_normalize(1e-12).unwrap_or(-forward_if_above);
    let x = z.cross(up).try_normalize(1e-6).unwrap_or_else(|| forward_if_above.cross(up));
    let y = z.cross(&x);
    let rotation = Rotation3::from_matrix_unchecked(Matrix3::from_columns(&[x, y, z]));
    let rotation = UnitQuaternion::from_rotation_matrix(&rotation);
    Pose::from_parts(Translation3::from(*position), rotation).inverse()
}

/// The point nearest to all optical axes (least squares). Where these are nearly parallel, the distance to `subject`
/// decides.
fn look_at_point(world_from_camera: &[Pose], subject: &Vector3<f64>) -> Option<Vector3<f64>> {
    let axis = |pose: &Pose| pose.rotation * Vector3::z();
    let along = |pose: &Pose| axis(pose).dot(&(subject - pose.translation.vector));
    let distance = median(world_from_camera.iter().map(along).collect()).max(1e-6);
    let (mut normal, mut right) = (Matrix3::zeros(), Vector3::zeros());
    for pose in world_from_camera {
        let a = axis(pose);
        let weights = Matrix3::identity() + (GUESS_WEIGHT - 1.0) * a * a.transpose();
        normal += weights;
        right += weights * (pose.translation.vector + distance * a);
    }
    let solution = normal.cholesky()?.solve(&right);
    solution.iter().all(|v| v.is_finite()).then_some(solution)
}
