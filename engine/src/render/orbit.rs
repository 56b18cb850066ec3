//! Cameras on a circle around a scene.

use super::camera_path::{PathCamera, number};
use super::painter::{median, scene_of_cloud};
use nalgebra::{Matrix3, Point3, Rotation3, Translation3, UnitQuaternion, Vector3};
use tessera_datasets::camera::{Camera, Pose};
use tessera_datasets::capture::Capture;
use tessera_datasets::scene::{SplatCloud, Subject};

/// Horizontal field of view where nothing is known, in radians.
const FIELD_OF_VIEW: f64 = 0.9;
/// Height of a circle above what is looked at, in units of its radius.
const RISE: f64 = 0.4;
/// How much the guessed distance to the subject counts against the optical axes' own agreement.
const GUESS_WEIGHT: f64 = 0.01;

/// `count` cameras of `size` (width, height) on a circle around what a first look at a cloud shows ([`Subject::of`]), in its world;
/// the first stands before its front, which looks along z as it is stored. Up is where the stored y axis does not point, as in
/// most splat files.
pub fn orbit(cloud: &SplatCloud, count: usize, size: [u32; 2]) -> Vec<PathCamera> {
    let stored = Subject::of(&cloud.means);
    let world_from_scene = cloud.scene_from_world.inverse();
    let placed = |point: Point3<f64>| (world_from_scene * point).coords;
    let subject =
        Subject { centre: placed(Point3::from(stored.centre)), reach: world_from_scene.scaling() * stored.reach };
    let points = cloud.means.iter().map(|mean| placed(Point3::from(mean.map(f64::from))));
    let turn = world_from_scene.isometry.rotation;
    around(&subject, points, [turn * -Vector3::y(), turn * Vector3::z()], count, size)
}

/// `count` cameras of `size` (width, height) on a circle around all of a mesh or point cloud, which has this direction, of length 1,
/// upwards; the first stands before its front, which looks along z, as glTF has it.
pub fn orbit_of_points(points: &[[f32; 3]], up: [f64; 3], count: usize, size: [u32; 2]) -> Vec<PathCamera> {
    let subject = Subject::whole(points);
    let positions = points.iter().map(|point| Vector3::from(point.map(f64::from)));
    around(&subject, positions, [up.into(), Vector3::z()], count, size)
}

/// Cameras that see a subject whole, of whose surroundings `points` may have some. Its front is towards the second direction.
fn around(
    subject: &Subject,
    points: impl Iterator<Item = Vector3<f64>>,
    [up, front]: [Vector3<f64>; 2],
    count: usize,
    size: [u32; 2],
) -> Vec<PathCamera> {
    // The upright cylinder that holds the subject.
    let (mut level, mut height) = (0.0f64, 0.0f64);
    for offset in points.map(|point| point - subject.centre).filter(|offset| offset.norm() <= subject.reach) {
        let above = offset.dot(&up);
        level = level.max((offset - up * above).norm());
        height = height.max(above.abs());
    }
    if level.max(height) < 1e-12 {
        level = subject.reach;
    }
    let camera = Camera::from_horizontal_fov(size[0], size[1], FIELD_OF_VIEW);
    let radius = distance_of_cylinder(level, height, &camera) / 1.0f64.hypot(RISE);
    let circle = Circle { centre: subject.centre, up, radius, height: RISE * radius, start: front };
    circle.cameras(camera, count)
}

/// How far from its middle a camera stands, by [`RISE`] above it, in whose picture a cylinder of a radius and half a height just fits.
fn distance_of_cylinder(level: f64, height: f64, camera: &Camera) -> f64 {
    let across = 0.5 * f64::from(camera.width) / camera.lens.focal[0];
    let down = 0.5 * f64::from(camera.height) / camera.lens.focal[1];
    let (sin, cos) = RISE.atan().sin_cos();
    // A point `f` towards the camera, `s` aside and `a` above the middle has the depth d - (f cos + a sin), and is seen s aside and
    // a cos - f sin above the picture's middle. Each edge asks for a distance; these are the largest over the cylinder.
    let sides = level * (1.0 / across).hypot(cos) + height * sin;
    let top = height * (cos / down + sin) + level * (cos - sin / down).abs();
    let bottom = height * (cos / down - sin).abs() + level * (sin / down + cos);
    sides.max(top).max(bottom)
}

/// `count` cameras of `size` (width, height) on a circle around what the photos look at, at their median distance and
/// height and with their field of view: where the picture is not shaped like the photos, halfway between a view with the same
/// diagonal and one that holds all of a photo.
pub fn orbit_of_capture(cloud: &SplatCloud, capture: &Capture, count: usize, size: [u32; 2]) -> Vec<PathCamera> {
    let subject = (scene_of_cloud(cloud).inverse() * Point3::origin()).coords;
    orbit_past_photos(subject, capture, count, size).unwrap_or_else(|| orbit(cloud, count, size))
}

/// As [`orbit_of_capture`], with `subject` where the photos' axes do not say how far away it is; `None` where they have no common
/// direction upwards.
pub fn orbit_past_photos(
    subject: Vector3<f64>,
    capture: &Capture,
    count: usize,
    size: [u32; 2],
) -> Option<Vec<PathCamera>> {
    let poses: Vec<Pose> = capture.frames.iter().map(|f| f.camera_from_world.inverse()).collect();
    let positions: Vec<Vector3<f64>> = poses.iter().map(|p| p.translation.vector).collect();
    let down: Vector3<f64> = poses.iter().map(|p| p.rotation * Vector3::y()).sum();
    let up = (-down).try_normalize(1e-6)?;
    let centre = look_at_point(&poses, &subject).unwrap_or(subject);
    let offsets = || positions.iter().map(|p| p - centre);
    let height = median(offsets().map(|o| o.dot(&up)).collect());
    let radius = median(offsets().map(|o| (o - up * o.dot(&up)).norm()).collect());
    let tangent = median(capture.frames.iter().map(|f| tangent_across(&f.camera, size)).collect());
    let fov = (2.0 * tangent.atan()).clamp(0.4, 1.6);
    let camera = Camera::from_horizontal_fov(size[0], size[1], fov);
    let start = offsets().next().unwrap_or_else(Vector3::z);
    Some(Circle { centre, up, radius, height, start }.cameras(camera, count))
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
                PathCamera { name: number(i), camera, camera_from_world, time: None }
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
