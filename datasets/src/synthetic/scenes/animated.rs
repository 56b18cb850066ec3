//! A stage with moving things: a spinning cube, bouncing balls, a rolling ring and a figure that walks in a circle.

use super::Builder;
use super::still_life;
use crate::synthetic::Options;
use crate::synthetic::geometry::{
    BoxTexture, Place, RevolutionTexture, V3, capsule, cuboid, revolution, sphere, torus,
};
use crate::synthetic::light::{Lighting, Sky};
use crate::synthetic::render::Scene;
use crate::synthetic::texture::{Material, Pattern, rgb};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;
use std::f32::consts::TAU;

/// Beyond the ring of cameras.
const STUDIO_RADIUS: f32 = 5.4;

/// The stage at `time` seconds.
pub(super) fn build(options: &Options, time: f32) -> Scene {
    let mut rng = Pcg32::seed_from_u64(options.seed);
    let mut b = Builder::default();
    if !options.rgba {
        still_life::studio(&mut b, STUDIO_RADIUS, rgb(0xa39887), rgb(0x8a7a66));
    }
    spinning_cube(&mut b, time);
    bouncing_balls(&mut b, &mut rng, time);
    rolling_ring(&mut b, time);
    walker(&mut b, time);
    let light = still_life::lighting();
    let sky = Sky { horizon: light.sky.horizon * 1.1, ..light.sky };
    b.finish(Lighting { sky, sky_rays: 32, offset: 2e-3, ..light })
}

fn spinning_cube(b: &mut Builder, time: f32) {
    let stone = Pattern::Marble { base: rgb(0xd8d2c6), vein: rgb(0x54493f), size: 0.25 };
    let stone = b.material(Material::matt(stone));
    let plinth = [[0.26, 0.0], [0.26, 0.06], [0.2, 0.1], [0.18, 0.3], [0.22, 0.42], [0.22, 0.44], [0.0, 0.44]];
    let corner = Place::at(0.0, 0.0, 0.0);
    b.put(&revolution(&plinth, [56, 48], stone, RevolutionTexture::Solid), corner);
    let picture = b.material(Material::glossy(Pattern::Picture { width: 0.44, height: 0.44, number: 1 }, 0.3, 50.0));
    let cube = cuboid([0.44; 3], 0.03, picture, BoxTexture::Faces);
    let place = corner.moved(0.0, 0.0, 0.93 + 0.06 * (TAU * 0.5 * time).sin()).turned_z(1.3 * time);
    b.put(&cube, place.turned(V3::new(1.0, 1.0, 0.0), 0.62));
}

fn bouncing_balls(b: &mut Builder, rng: &mut Pcg32, time: f32) {
    let palettes = [[0xd23f31, 0xf4efe2, 0x2f6fae], [0xe8a020, 0x2e7d5b, 0xf4efe2], [0x7a4fa3, 0xf2d24b, 0xe8574f]];
    for (i, colours) in palettes.into_iter().enumerate() {
        let material = b.material(Material::glossy(Pattern::Segments(colours.map(rgb)), 0.6, 60.0));
        let radius = 0.16 + 0.03 * i as f32;
        // A bounce under gravity that keeps its height: parabola after parabola.
        let (period, start) = (0.75 + 0.12 * i as f32, rng.random_range(0.0f32..1.0));
        let phase = (time / period + start).rem_euclid(1.0);
        let height = 9.81 / 2.0 * period * period * phase * (1.0 - phase);
        let turn = TAU * i as f32 / 3.0 + 0.6;
        let place = Place::at(0.72 * turn.cos(), 0.72 * turn.sin(), radius + height);
        let spin = V3::new(turn.sin(), turn.cos(), 0.4);
        b.put(&sphere(radius, [44, 28], material), place.turned(spin, 2.2 * time));
    }
}

fn rolling_ring(b: &mut Builder, time: f32) {
    let checks = Pattern::Checker { a: rgb(0x22353f), b: rgb(0xe9c46a), size: 0.055 };
    let material = b.material(Material::glossy(checks, 0.4, 60.0));
    let (ring, tube, orbit) = (0.2, 0.055, 1.12);
    let speed = -0.7;
    let turn = speed * time + 2.0;
    let place = Place::at(orbit * turn.cos(), orbit * turn.sin(), ring + tube).turned_z(turn);
    // Its axis points outwards; it turns as far as it rolls.
    let upright = place.turned(V3::y(), TAU / 4.0).turned_z(-orbit * speed * time / (ring + tube));
    b.put(&torus(ring, tube, [64, 24], material), upright);
}

/// Legs and arms swing in opposition; knees and elbows bend on the way forwards.
fn walker(b: &mut Builder, time: f32) {
    let cloth = |warp, stripe, period| Material::matt(Pattern::Cloth { warp: rgb(warp), stripe: rgb(stripe), period });
    let shirt = b.material(cloth(0xb8433a, 0xf0dfc0, 0.25));
    let trousers = b.material(cloth(0x2f4464, 0x4f6a8f, 0.2));
    let skin = b.material(Material::matt(Pattern::Plain(rgb(0xd29b77))));
    let shoe = b.material(Material::matt(Pattern::Checker { a: rgb(0x2a2522), b: rgb(0xe8e2d6), size: 0.05 }));
    let hat = b.material(cloth(0x3c6b52, 0xe3c65b, 0.3));
    let (orbit, speed, stride) = (1.32, 0.6f32, TAU * 1.1);
    let turn = speed * time;
    let phase = stride * time;
    let bob = 0.025 * (2.0 * phase).cos();
    // Forwards is +y, sideways is x.
    let place = Place::at(orbit * turn.cos(), orbit * turn.sin(), bob).turned_z(turn);
    let hips = V3::new(0.0, 0.0, 0.8);
    for side in [-1.0f32, 1.0] {
        let swing = 0.55 * phase.sin() * side;
        let knee_bend = 0.45 * (1.0 - (phase + 0.6).cos() * side) * 0.8;
        let hip = hips + V3::new(0.1 * side, 0.0, 0.0);
        let thigh = V3::new(0.0, swing.sin(), -swing.cos());
        let knee = hip + thigh * 0.38;
        let lower = swing - knee_bend;
        let shin = V3::new(0.0, lower.sin(), -lower.cos());
        let ankle = knee + shin * 0.36;
        b.put(&capsule(hip, knee, 0.085, [24, 24], trousers), place);
        b.put(&capsule(knee, ankle, 0.062, [24, 24], trousers), place);
        b.put(&capsule(ankle, ankle + V3::new(0.0, 0.16, -0.015), 0.05, [20, 16], shoe), place);
        let shoulder = hips + V3::new(0.21 * side, 0.0, 0.5);
        let upper = -0.6 * swing;
        let elbow = shoulder + V3::new(0.05 * side, upper.sin() * 0.28, -upper.cos() * 0.28);
        let fore = upper + 0.5 + 0.3 * upper;
        let hand = elbow + V3::new(0.0, fore.sin() * 0.26, -fore.cos() * 0.26);
        b.put(&capsule(shoulder, elbow, 0.055, [20, 20], shirt), place);
        b.put(&capsule(elbow, hand, 0.045, [20, 20], skin), place);
        b.put(&sphere(0.058, [20, 14], skin), place.moved(hand.x, hand.y, hand.z));
    }
    b.put(&capsule(hips, hips + V3::new(0.0, 0.0, 0.46), 0.165, [40, 36], shirt), place);
    let neck = [hips + V3::new(0.0, 0.0, 0.55), hips + V3::new(0.0, 0.015, 0.72)];
    b.put(&capsule(neck[0], neck[1], 0.06, [20, 14], skin), place);
    let head = place.moved(0.0, 0.02, hips.z + 0.8);
    b.put(&sphere(0.13, [36, 24], skin), head);
    let brim = [[0.13, 0.03], [0.2, 0.03], [0.2, 0.045], [0.135, 0.05], [0.13, 0.14], [0.09, 0.18], [0.0, 0.185]];
    b.put(&revolution(&brim, [40, 36], hat, RevolutionTexture::Solid), head.moved(0.0, 0.0, 0.02));
    let eye = b.material(Material::glossy(Pattern::Plain(rgb(0x14161a)), 1.0, 80.0));
    for side in [-1.0, 1.0] {
        b.put(&sphere(0.018, [12, 8], eye), head.moved(0.045 * side, 0.118, 0.01));
    }
}
