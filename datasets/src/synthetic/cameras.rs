//! Where the cameras of a synthetic capture stand and which lens they have.

use super::geometry::V3;
use super::{LensKind, Options, SceneKind};
use crate::camera::{Camera, Distortion, Pose};
use nalgebra::{Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use std::f64::consts::{PI, TAU};

/// One camera position; a moving capture takes a picture from each at every time step.
pub(super) struct Stand {
    pub(super) camera_from_world: Pose,
    /// The farthest that this camera sees, roughly, in metres; for the unit of depth files.
    pub(super) far: f64,
}

/// The lens that all cameras of the capture share.
pub(super) fn camera(kind: SceneKind, options: &Options) -> Camera {
    let field_of_view: f64 = match kind {
        SceneKind::StillLife | SceneKind::Animated | SceneKind::Object => 50.0,
        SceneKind::Room => 75.0,
        SceneKind::Terrain => 60.0,
    };
    let mut camera = Camera::from_horizontal_fov(options.width, options.height, field_of_view.to_radians());
    let (width, height) = (f64::from(options.width), f64::from(options.height));
    let focal = 0.5 * width.max(height) / (0.5 * field_of_view).to_radians().tan();
    let lens = &mut camera.lens;
    lens.focal = [focal; 2];
    match options.lens {
        LensKind::Pinhole => {}
        LensKind::OpenCv => {
            lens.centre = [0.512 * width, 0.491 * height];
            lens.distortion = Distortion::Polynomial { k: [-0.12, 0.03, 0.0, 0.0, 0.0, 0.0], p: [8e-4, -5e-4] };
        }
        LensKind::Fisheye => {
            lens.focal = [0.75 * focal; 2];
            lens.centre = [0.512 * width, 0.491 * height];
            lens.distortion = Distortion::Fisheye { k: [0.02, -0.008, 0.002, -3e-4] };
        }
    }
    camera
}

/// The pose of a camera at `eye` that looks at `target` with the world's z up.
pub(super) fn look_at(eye: Vector3<f64>, target: Vector3<f64>) -> Pose {
    let forward = (target - eye).normalize();
    let upright = if forward.z.abs() > 0.999 { Vector3::y() } else { Vector3::z() };
    let right = forward.cross(&upright).normalize();
    let down = forward.cross(&right);
    let world_from_camera = Rotation3::from_matrix_unchecked(Matrix3::from_columns(&[right, down, forward]));
    let rotation = UnitQuaternion::from_rotation_matrix(&world_from_camera);
    Pose::from_parts(Translation3::from(eye), rotation).inverse()
}

/// All positions of the capture.
pub(super) fn stands(kind: SceneKind, options: &Options) -> Vec<Stand> {
    let stand = |eye, target, far| Stand { camera_from_world: look_at(eye, target), far };
    match kind {
        SceneKind::StillLife => {
            let target = V3::from(super::scenes::still_life::CENTRE).map(f64::from);
            let count = options.views.unwrap_or(40);
            let far = super::scenes::still_life::STUDIO_RADIUS * 2.5;
            spiral(count, [16.0, 60.0], 1.62, target).map(|eye| stand(eye, target, f64::from(far))).collect()
        }
        SceneKind::Object => {
            let target = V3::from(super::scenes::object::CENTRE).map(f64::from);
            // So near that the ball fills nine tenths of the shorter side.
            let lens = camera(kind, options).lens;
            let half = (0.45 * f64::from(options.width.min(options.height)) / lens.focal[0]).atan();
            let (count, radius) = (options.views.unwrap_or(40), f64::from(super::scenes::object::RADIUS) / half.sin());
            spiral(count, [-50.0, 65.0], radius, target).map(|eye| stand(eye, target, 8.0)).collect()
        }
        SceneKind::Animated => {
            let target = Vector3::new(0.0, 0.0, 0.7);
            let count = options.views.unwrap_or(12);
            (0..count)
                .map(|i| {
                    let turn = TAU * f64::from(i) / f64::from(count);
                    let height = if i % 2 == 0 { 1.4 } else { 2.7 };
                    stand(Vector3::new(4.2 * turn.cos(), 4.2 * turn.sin(), height), target, 12.0)
                })
                .collect()
        }
        SceneKind::Room => (0..options.views.unwrap_or(60))
            .map(|i| {
                let count = options.views.unwrap_or(60);
                let turn = TAU * f64::from(i) / f64::from(count) * 3.0;
                let height = 1.4 + 0.3 * (turn * 1.37).sin();
                let wide = 0.82 + 0.18 * (turn * 0.61 + 1.0).cos();
                let eye = Vector3::new(2.2 * wide * turn.cos(), 1.6 * wide * turn.sin(), height);
                // Across the room, with a slow nod, so that floor and ceiling are seen as well.
                let across = turn + PI + 0.5 * (turn * 2.3).sin();
                let target = Vector3::new(3.0 * across.cos(), 2.5 * across.sin(), 0.8 + 0.55 * (turn * 1.9).sin());
                stand(eye, target, 8.0)
            })
            .collect(),
        SceneKind::Terrain => flight(options).map(|(eye, target)| stand(eye, target, 4.0 * eye.z)).collect(),
    }
}

/// Positions on a band of a sphere, elevations in degrees, rising turn by turn. Neighbours on the path and on
/// the turns below and above are about equally far, so held-out views lie between seen ones.
fn spiral(count: u32, elevations: [f64; 2], radius: f64, centre: Vector3<f64>) -> impl Iterator<Item = Vector3<f64>> {
    let turns = (f64::from(count) / 4.0).sqrt().round().max(1.0);
    (0..count).map(move |i| {
        let t = (f64::from(i) + 0.5) / f64::from(count);
        let elevation = (elevations[0] + (elevations[1] - elevations[0]) * t).to_radians();
        let (sine, cosine) = (TAU * turns * t).sin_cos();
        centre + Vector3::new(cosine * elevation.cos(), sine * elevation.cos(), elevation.sin()) * radius
    })
}

/// Height above the ground of the aeroplane, in metres.
pub(super) fn altitude(extent: f64) -> f64 {
    (0.2 * extent).clamp(12.0, 60.0)
}

/// A lawnmower's path over the square, tilted forwards, with the strips flown in alternating directions.
/// By default neighbours overlap by more than half, so their number grows with the area.
fn flight(options: &Options) -> impl Iterator<Item = (Vector3<f64>, Vector3<f64>)> {
    let extent = options.extent;
    let altitude = altitude(extent);
    let spacing = 0.5 * altitude;
    let by_overlap = ((extent / spacing).ceil() as u32 + 1).pow(2);
    let count = options.views.unwrap_or(by_overlap);
    let strips = f64::from(count).sqrt().round().max(1.0) as u32;
    (0..count).map(move |i| {
        let strip = i * strips / count;
        let (first, next) = ((strip * count).div_ceil(strips), ((strip + 1) * count).div_ceil(strips));
        let along = (f64::from(i - first) + 0.5) / f64::from(next - first) - 0.5;
        let across = (f64::from(strip) + 0.5) / f64::from(strips) - 0.5;
        let heading = if strip.is_multiple_of(2) { 1.0 } else { -1.0 };
        let eye = Vector3::new(heading * along * extent, across * extent, altitude);
        let drift = 0.12 * f64::from(i).sin() * altitude;
        let target = Vector3::new(eye.x + heading * 0.42 * altitude, eye.y + drift, 0.0);
        (eye, target)
    })
}
