//! A camera that turns about a point.

use super::pose::looking_at;
use crate::renderer::View;
use nalgebra::{Point3, Unit, UnitQuaternion, Vector3};
use tessera_datasets::camera::{Camera, Pose};

/// How close to straight up or down one can look.
const MAX_PITCH: f64 = 1.55;
/// Angles of view that a camera may have, vertical.
const FOV_RANGE: [f64; 2] = [0.05, 2.4];

/// A camera without roll: what it looks at, how far away it stands, in which direction it looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rig {
    /// What it turns about; always in the middle of the picture.
    pub pivot: Vector3<f64>,
    /// From the camera to the pivot.
    pub distance: f64,
    /// Turn to the right about `up`.
    pub yaw: f64,
    /// Upwards.
    pub pitch: f64,
    /// Vertical angle of view.
    pub fov: f64,
    /// Upwards in the world.
    pub up: Unit<Vector3<f64>>,
}

/// Views along the world's axes, as up is understood by the rig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Along the rig's first level axis.
    Front,
    /// Against it.
    Back,
    /// From the left.
    Left,
    /// From the right.
    Right,
    /// From above.
    Top,
    /// From below.
    Bottom,
}

impl Rig {
    /// A rig at a camera's pose that turns about a point `distance` ahead of it. Roll is lost.
    pub fn from_pose(camera_from_world: &Pose, distance: f64, fov: f64, up: Unit<Vector3<f64>>) -> Self {
        let world_from_camera = camera_from_world.inverse();
        let eye = world_from_camera.translation.vector;
        let forward = world_from_camera.rotation * Vector3::z();
        let mut rig = Self { pivot: eye + distance * forward, distance, yaw: 0.0, pitch: 0.0, fov, up };
        let (level, aside) = rig.level_axes();
        rig.yaw = forward.dot(&aside).atan2(forward.dot(&level));
        rig.pitch = forward.dot(&up).clamp(-1.0, 1.0).asin().clamp(-MAX_PITCH, MAX_PITCH);
        // The eye stays where it was even where the pitch was clamped.
        rig.pivot = eye + distance * rig.forward();
        rig
    }

    /// The view of a picture of this size.
    pub fn view(&self, width: u32, height: u32) -> View {
        let (width, height) = (width.max(1), height.max(1));
        let horizontal = 2.0 * ((0.5 * self.fov).tan() * f64::from(width) / f64::from(height)).atan();
        let camera = Camera::from_horizontal_fov(width, height, horizontal);
        View { camera, camera_from_world: self.camera_from_world() }
    }

    /// Its pose.
    pub fn camera_from_world(&self) -> Pose {
        looking_at(self.eye().into(), (self.eye() + self.forward()).into(), self.up.into_inner().into())
    }

    /// Where the camera stands.
    pub fn eye(&self) -> Vector3<f64> {
        self.pivot - self.distance * self.forward()
    }

    /// Where it looks, of length 1.
    pub fn forward(&self) -> Vector3<f64> {
        let (level, aside) = self.level_axes();
        let (sin, cos) = self.pitch.sin_cos();
        cos * (self.yaw.cos() * level + self.yaw.sin() * aside) + sin * self.up.into_inner()
    }

    /// To the right in the picture, of length 1.
    pub fn right(&self) -> Vector3<f64> {
        let (level, aside) = self.level_axes();
        self.yaw.cos() * aside - self.yaw.sin() * level
    }

    /// Where yaw is zero, and a quarter turn to the right of it.
    fn level_axes(&self) -> (Vector3<f64>, Vector3<f64>) {
        let up = self.up.into_inner();
        let start = if up.z.abs() < 0.9 { Vector3::z() } else { Vector3::y() };
        let level = (start - up * start.dot(&up)).normalize();
        (level, level.cross(&up))
    }

    /// Turns about the pivot so that what is in front of it moves right and down.
    pub fn orbit(&mut self, right: f64, down: f64) {
        self.yaw += right;
        self.pitch = (self.pitch - down).clamp(-MAX_PITCH, MAX_PITCH);
    }

    /// Turns about the camera.
    pub fn look(&mut self, right: f64, up: f64) {
        let eye = self.eye();
        self.yaw += right;
        self.pitch = (self.pitch + up).clamp(-MAX_PITCH, MAX_PITCH);
        self.pivot = eye + self.distance * self.forward();
    }

    /// Moves pivot and camera so that what lies at the pivot's depth follows a pointer that moves by so many pixels in a
    /// picture of this height.
    pub fn pan(&mut self, right: f64, down: f64, height: f64) {
        let world_per_pixel = 2.0 * self.distance * (0.5 * self.fov).tan() / height.max(1.0);
        let picture_up = self.right().cross(&self.forward());
        self.pivot += world_per_pixel * (down * picture_up - right * self.right());
    }

    /// Changes the distance to the pivot by a factor.
    pub fn dolly(&mut self, factor: f64) {
        self.distance = (self.distance * factor).clamp(1e-6, 1e9);
    }

    /// Moves camera and pivot: right, up in the picture, forward; world units.
    pub fn fly(&mut self, [right, up, forward]: [f64; 3]) {
        let picture_up = self.right().cross(&self.forward());
        self.pivot += right * self.right() + up * picture_up + forward * self.forward();
    }

    /// Changes the angle of view by a factor.
    pub fn zoom(&mut self, factor: f64) {
        self.fov = (self.fov * factor).clamp(FOV_RANGE[0], FOV_RANGE[1]);
    }

    /// Turns about `point` from now on, which moves to the middle of the picture.
    pub fn focus(&mut self, point: [f64; 3]) {
        let point = Vector3::from(point);
        let depth = (point - self.eye()).norm();
        self.pivot = point;
        self.distance = depth.max(1e-6);
    }

    /// Steps back or forward until a box fits into a picture of this aspect ratio (width over height).
    pub fn frame(&mut self, [low, high]: [[f32; 3]; 2], aspect: f64) {
        let corner = |c: [f32; 3]| Vector3::from(c.map(f64::from));
        let (low, high) = (corner(low), corner(high));
        if !(low.iter().chain(high.iter()).all(|x| x.is_finite())) {
            return;
        }
        let half = 0.5 * self.fov;
        let narrow = half.min((half.tan() * aspect).atan());
        self.pivot = 0.5 * (low + high);
        self.distance = (0.5 * (high - low).norm() / narrow.sin()).max(1e-6);
    }

    /// Looks along an axis.
    pub fn set_preset(&mut self, preset: Preset) {
        use std::f64::consts::{FRAC_PI_2, PI};
        (self.yaw, self.pitch) = match preset {
            Preset::Front => (0.0, 0.0),
            Preset::Back => (PI, 0.0),
            Preset::Left => (FRAC_PI_2, 0.0),
            Preset::Right => (-FRAC_PI_2, 0.0),
            Preset::Top => (0.0, -MAX_PITCH),
            Preset::Bottom => (0.0, MAX_PITCH),
        };
    }

    /// Between two rigs: `t` from 0 to 1.
    #[must_use]
    pub fn between(&self, other: &Self, t: f64) -> Self {
        let mix = |a: f64, b: f64| a + t * (b - a);
        let turned = UnitQuaternion::rotation_between_axis(&self.up, &other.up);
        let up = turned.map_or(other.up, |turn| turn.powf(t) * self.up);
        Self {
            pivot: self.pivot + t * (other.pivot - self.pivot),
            distance: mix(self.distance.ln(), other.distance.ln()).exp(),
            yaw: mix(self.yaw, other.yaw),
            pitch: mix(self.pitch, other.pitch),
            fov: mix(self.fov, other.fov),
            up,
        }
    }

    /// Depth of a point ahead of the camera.
    pub fn depth_of(&self, point: [f64; 3]) -> f64 {
        (self.camera_from_world() * Point3::from(point)).z
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rig() -> Rig {
        let up = Unit::new_normalize(-Vector3::y());
        Rig { pivot: Vector3::new(1.0, 2.0, 3.0), distance: 4.0, yaw: 0.3, pitch: -0.4, fov: 0.9, up }
    }

    /// Where a point appears in a picture of 200 x 100 pixels.
    fn pixel(rig: &Rig, point: Vector3<f64>) -> [f64; 2] {
        let view = rig.view(200, 100);
        let p = view.camera_from_world * Point3::from(point);
        let lens = view.camera.lens;
        [lens.focal[0] * p.x / p.z + lens.centre[0], lens.focal[1] * p.y / p.z + lens.centre[1]]
    }

    #[test]
    fn the_pivot_is_in_the_middle_of_the_picture() {
        let [x, y] = pixel(&rig(), rig().pivot);
        assert!((x - 100.0).abs() < 1e-9 && (y - 50.0).abs() < 1e-9);
    }

    #[test]
    fn a_pose_without_roll_survives() {
        let again = Rig::from_pose(&rig().camera_from_world(), 4.0, 0.9, rig().up);
        assert!((again.yaw - 0.3).abs() < 1e-12 && (again.pitch + 0.4).abs() < 1e-12);
        assert!((again.pivot - rig().pivot).norm() < 1e-12);
    }

    #[test]
    fn orbiting_keeps_the_distance_and_looking_keeps_the_place() {
        let mut orbited = rig();
        orbited.orbit(0.5, 0.2);
        assert!(((orbited.eye() - rig().pivot).norm() - 4.0).abs() < 1e-12);
        let mut looked = rig();
        looked.look(0.5, 0.2);
        assert!((looked.eye() - rig().eye()).norm() < 1e-12);
    }

    #[test]
    fn what_is_dragged_follows_the_pointer() {
        let mut panned = rig();
        panned.pan(30.0, -20.0, 100.0);
        let [x, y] = pixel(&panned, rig().pivot);
        assert!((x - 130.0).abs() < 1e-9 && (y - 30.0).abs() < 1e-9, "{x} {y}");
        // Turning about the pivot to the right shows more of its left side: what is in front moves right.
        let mut orbited = rig();
        let in_front = rig().pivot - 0.5 * rig().forward();
        orbited.orbit(0.1, 0.0);
        assert!(pixel(&orbited, in_front)[0] > 100.0);
    }

    #[test]
    fn a_framed_box_fits() {
        for aspect in [0.5, 2.0] {
            let mut framed = rig();
            framed.frame([[-1.0, -2.0, -3.0], [4.0, 5.0, 6.0]], aspect);
            let view = framed.view((1000.0 * aspect) as u32, 1000);
            for corner in 0..8 {
                let at = |axis: usize| [[-1.0, -2.0, -3.0], [4.0, 5.0, 6.0]][corner >> axis & 1][axis];
                let p = view.camera_from_world * Point3::new(at(0), at(1), at(2));
                let lens = view.camera.lens;
                let u = lens.focal[0] * p.x / p.z + lens.centre[0];
                let v = lens.focal[1] * p.y / p.z + lens.centre[1];
                assert!(p.z > 0.0 && (0.0..1000.0 * aspect).contains(&u) && (0.0..1000.0).contains(&v));
            }
        }
    }

    #[test]
    fn up_is_up_for_every_preset_and_any_up() {
        for up in [-Vector3::y(), Vector3::z(), Vector3::x()] {
            let up = Unit::new_normalize(up);
            let mut rig = Rig { up, ..rig() };
            for preset in [Preset::Front, Preset::Back, Preset::Left, Preset::Right] {
                rig.set_preset(preset);
                assert!(pixel(&rig, rig.pivot + 0.1 * up.into_inner())[1] < 50.0);
            }
        }
    }
}
