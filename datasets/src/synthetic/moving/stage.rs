//! What is on the stage at a moment: boxes and balls whose rays are found in closed form.

use crate::synthetic::geometry::V3;
use crate::synthetic::noise::{fractal, hash};
use crate::synthetic::texture::rgb;
use nalgebra::UnitQuaternion;
use std::f32::consts::TAU;

/// Radius of the dome around everything, cameras included.
const DOME: f32 = 7.0;
/// Seconds between visitors, and how long each stays.
const VISITS_EVERY: f32 = 3.0;
const VISIT: f32 = 2.4;
/// How often the box is pushed to another place, and for how long it moves.
const PUSH_EVERY: f32 = 10.0;
const PUSH: f32 = 1.0;

#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Ball(f32),
    /// Half of each side.
    Box(V3),
}

/// A thing at its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thing {
    pub(super) form: Form,
    pub(super) centre: V3,
    turn: UnitQuaternion<f32>,
    colours: [V3; 2],
    /// Size of its texture's features in metres.
    grain: f32,
}

/// Where a ray meets something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    /// In lengths of the ray's direction.
    pub(super) distance: f32,
    /// Linear light.
    pub(super) colour: V3,
}

impl Thing {
    fn new(form: Form, centre: [f32; 3], colours: [u32; 2]) -> Self {
        let turn = UnitQuaternion::identity();
        Self { form, centre: centre.into(), turn, colours: colours.map(rgb), grain: 0.12 }
    }

    fn turned(mut self, axis: V3, angle: f32) -> Self {
        self.turn = UnitQuaternion::from_axis_angle(&nalgebra::Unit::new_normalize(axis), angle);
        self
    }

    /// Radius of a ball around its centre that holds it.
    pub(super) fn reach(&self) -> f32 {
        match self.form {
            Form::Ball(radius) => radius,
            Form::Box(half) => half.norm(),
        }
    }

    /// Where a ray meets it first. `spread` is a sample's size at distance 1.
    pub(super) fn hit(&self, eye: V3, direction: V3, spread: f32) -> Option<Hit> {
        let inverse = self.turn.inverse();
        let (from, along) = (inverse * (eye - self.centre), inverse * direction);
        let (distance, normal) = match self.form {
            Form::Ball(radius) => {
                let (a, b) = (along.norm_squared(), from.dot(&along));
                let root = b * b - a * (from.norm_squared() - radius * radius);
                let distance = (root > 0.0).then(|| (-b - root.sqrt()) / a)?;
                (distance, (from + along * distance) / radius)
            }
            Form::Box(half) => slabs(from, along, half)?,
        };
        if distance <= 0.0 {
            return None;
        }
        let place = from + along * distance;
        let footprint = distance * spread;
        let wave = fractal(place / self.grain, 3, footprint / self.grain);
        let paint = mix(self.colours[0], self.colours[1], 0.5 + 1.6 * wave);
        Some(Hit { distance, colour: lit(paint, self.turn * normal) })
    }
}

/// The ray's first crossing of a box around the origin, and the side's normal.
fn slabs(from: V3, along: V3, half: V3) -> Option<(f32, V3)> {
    let (mut near, mut far, mut side) = (f32::NEG_INFINITY, f32::INFINITY, 0);
    for axis in 0..3 {
        let inverse = 1.0 / along[axis];
        let (a, b) = ((-half[axis] - from[axis]) * inverse, (half[axis] - from[axis]) * inverse);
        if a.min(b) > near {
            (near, side) = (a.min(b), axis);
        }
        far = far.min(a.max(b));
    }
    let mut normal = V3::zeros();
    normal[side] = -along[side].signum();
    (near <= far).then_some((near, normal))
}

/// Light from the sky and from one side.
fn lit(paint: V3, normal: V3) -> V3 {
    let sun = V3::new(0.5, 0.3, 0.81);
    paint * (0.45 + 0.15 * normal.z + 0.5 * normal.dot(&sun).max(0.0))
}

fn mix(a: V3, b: V3, t: f32) -> V3 {
    a + (b - a) * t.clamp(0.0, 1.0)
}

/// The ground and the dome.
pub(super) fn surroundings(eye: V3, direction: V3, spread: f32) -> Hit {
    let (a, b) = (direction.norm_squared(), eye.dot(&direction));
    let dome = (-b + (b * b - a * (eye.norm_squared() - DOME * DOME)).sqrt()) / a;
    let ground = -eye.z / direction.z;
    if direction.z < 0.0 && ground < dome {
        let place = eye + direction * ground;
        // Seen at a slant, a sample is longer than wide.
        let footprint = ground * spread * (direction.norm() / -direction.z).min(8.0);
        let tile = (place / 0.5).map(|x| x.floor() as i32);
        let paint = if (tile.x + tile.y) & 1 == 0 { rgb(0x8d7b63) } else { rgb(0x6f7d6a) };
        let wave = fractal(place / 0.3, 4, footprint / 0.3) + 0.7 * fractal(place / 0.05, 2, footprint / 0.05);
        return Hit { distance: ground, colour: lit(paint * (1.0 + 0.9 * wave), V3::z()) };
    }
    let place = eye + direction * dome;
    let height = (place.z / DOME).clamp(0.0, 1.0);
    let cloud = fractal(place / 2.5, 3, dome * spread / 2.5);
    Hit { distance: dome, colour: mix(rgb(0xc9b79c), rgb(0x6d8fb3), 0.2 + height + 0.5 * cloud) }
}

/// What never moves.
pub(super) fn resting() -> Vec<Thing> {
    vec![
        Thing::new(Form::Box(V3::new(0.22, 0.22, 0.3)), [0.0, 0.0, 0.3], [0xb4513b, 0xe7c9a0]).turned(V3::z(), 0.4),
        Thing::new(Form::Ball(0.28), [-0.95, 0.75, 0.28], [0x2f6fae, 0xe8e4da]),
        Thing::new(Form::Box(V3::new(0.35, 0.12, 0.2)), [0.9, -1.0, 0.2], [0x4d6b3a, 0xcfd28a]).turned(V3::z(), -0.7),
        Thing::new(Form::Ball(0.18), [1.35, 0.9, 0.18], [0x7a4fa3, 0xf2d24b]),
    ]
}

/// What moves, at `time` seconds.
pub(super) fn moving(seed: u64, time: f32) -> Vec<Thing> {
    let mut things = vec![bouncing(time), circling(time), spinning(time), pushed(seed, time)];
    let first = ((time - VISIT) / VISITS_EVERY).ceil().max(0.0) as u32;
    let visits = (first..).take_while(|&visit| visit as f32 * VISITS_EVERY <= time);
    things.extend(visits.map(|visit| visitor(seed, visit, time - visit as f32 * VISITS_EVERY)));
    things
}

/// Repeats every two seconds.
fn bouncing(time: f32) -> Thing {
    let phase = (time / 2.0).rem_euclid(1.0);
    let height = 0.2 + 3.2 * phase * (1.0 - phase);
    Thing::new(Form::Ball(0.2), [-0.5, -0.9, height], [0xd23f31, 0xf4efe2]).turned(V3::new(1.0, 0.3, 0.0), TAU * phase)
}

/// Repeats every eight seconds.
fn circling(time: f32) -> Thing {
    let turn = TAU * (time / 8.0).rem_euclid(1.0);
    // It rolls as far as it goes.
    let (orbit, radius) = (1.75, 0.22);
    let place = [orbit * turn.cos(), orbit * turn.sin(), radius];
    let axis = V3::new(-turn.cos(), -turn.sin(), 0.0);
    Thing::new(Form::Ball(radius), place, [0xe8a020, 0x2e5d7b]).turned(axis, TAU * (8.0 * turn / TAU))
}

/// Repeats every four seconds, on top of the box in the middle.
fn spinning(time: f32) -> Thing {
    let half = V3::repeat(0.16);
    Thing::new(Form::Box(half), [0.0, 0.0, 0.86], [0x1f7a6d, 0xf0e6c8])
        .turned(V3::z(), TAU * (time / 4.0).rem_euclid(1.0))
}

/// Rests, but is pushed to another place every ten seconds.
fn pushed(seed: u64, time: f32) -> Thing {
    let push = (time / PUSH_EVERY).floor();
    let since = ((time - push * PUSH_EVERY) / PUSH).clamp(0.0, 1.0);
    let eased = since * since * (3.0 - 2.0 * since);
    let spot = |number: i32| {
        let turn = 0.9 + 0.35 * chance(seed, number, 1);
        V3::new(1.1 * turn.cos(), 1.1 * turn.sin(), 0.15)
    };
    let (from, to) = (spot(push as i32 - 1), spot(push as i32));
    let centre = from + (to - from) * eased;
    Thing::new(Form::Box(V3::new(0.2, 0.13, 0.15)), centre.into(), [0x8c3b6a, 0xd9d2b0])
}

/// Something new flies over the stage and is never seen again.
fn visitor(seed: u64, visit: u32, since: f32) -> Thing {
    let random = |salt: i32| chance(seed, visit as i32, 16 + salt);
    let turn = TAU * random(0);
    let (forward, aside) = (V3::new(turn.cos(), turn.sin(), 0.0), V3::new(-turn.sin(), turn.cos(), 0.0));
    // In through the ground at one side, out through it at the other.
    let part = since / VISIT;
    let height = -0.3 + (5.2 + 1.2 * random(1)) * part * (1.0 - part);
    let centre = forward * (3.0 * part - 1.5) + aside * (random(2) - 0.5) + V3::new(0.0, 0.0, height);
    let colour = |salt: i32| (0xff_ffff as f32 * random(salt)) as u32 | 0x30_30_30;
    let size = 0.14 + 0.08 * random(3);
    let form = if random(4) < 0.5 { Form::Ball(size) } else { Form::Box(V3::repeat(0.8 * size)) };
    Thing::new(form, centre.into(), [colour(5), colour(6)]).turned(V3::new(0.3, random(7), 1.0), 3.0 * since)
}

/// A number in [0, 1).
fn chance(seed: u64, number: i32, salt: i32) -> f32 {
    let mixed = hash(seed as i32, (seed >> 32) as i32, salt);
    (hash(mixed as i32, number, salt) >> 8) as f32 / 16_777_216.0
}
