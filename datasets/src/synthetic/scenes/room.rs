//! A living room seen from within: papered walls with pictures, floor boards, a rug, shelves, table, sofa, lamp.

use super::Builder;
use crate::synthetic::Options;
use crate::synthetic::geometry::{
    BoxTexture, Place, RevolutionTexture, V3, capsule, cuboid, revolution, sphere, star, torus,
};
use crate::synthetic::light::{Light, Lighting, Sky};
use crate::synthetic::render::Scene;
use crate::synthetic::texture::{Material, Pattern, rgb};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;

const WIDTH: f32 = 6.0;
const DEPTH: f32 = 5.0;
const HEIGHT: f32 = 2.7;
const THICK: f32 = 0.1;
const LAMP: [f32; 3] = [0.2, 0.1, 2.25];

pub(super) fn build(options: &Options) -> Scene {
    let mut rng = Pcg32::seed_from_u64(options.seed);
    let mut b = Builder::default();
    shell(&mut b);
    pictures(&mut b, &mut rng);
    shelves(&mut b);
    table(&mut b);
    sofa(&mut b, &mut rng);
    lamp(&mut b);
    plant(&mut b, &mut rng, Place::at(-2.55, -2.05, 0.0));
    b.finish(Lighting {
        sky: Sky { zenith: rgb(0xfff6ea) * 0.6, horizon: rgb(0xf4efe6) * 0.56, ground: rgb(0xd0b99c) * 0.5 },
        lights: vec![
            Light { centre: V3::from(LAMP), radius: 0.14, power: rgb(0xffe2b0) * 2.6, clearance: 0.24 },
            Light { centre: V3::new(2.6, -1.2, 1.9), radius: 0.5, power: rgb(0xd4e6ff) * 1.3, clearance: 0.0 },
        ],
        reach: 1.3,
        bounce: 0.8,
        sky_rays: 64,
        offset: 2e-3,
    })
}

fn shell(b: &mut Builder) {
    let oak = Pattern::Boards { dark: rgb(0x6b4423), light: rgb(0xc0915a), width: 0.13 };
    let floor = b.material(Material::glossy(oak, 0.3, 40.0));
    let ceiling = b.material(Material::matt(Pattern::Boards { dark: rgb(0xc9bfae), light: rgb(0xf3efe6), width: 0.2 }));
    b.put(&cuboid([WIDTH, DEPTH, THICK], 0.06, floor, BoxTexture::Solid), Place::at(0.0, 0.0, -0.5 * THICK));
    let top = cuboid([WIDTH, DEPTH, THICK], 0.12, ceiling, BoxTexture::Solid);
    b.put(&top, Place::at(0.0, 0.0, HEIGHT + 0.5 * THICK));
    let papers = [(0xcfd8c4, 0x6f8f6a), (0xd9cdb4, 0xa9714b), (0xc5d3da, 0x52718a), (0xdcc9c0, 0x9c5a55)];
    let sides = [(0.0, 0.5 * DEPTH, WIDTH, 0.0), (0.0, -0.5 * DEPTH, WIDTH, 0.0)];
    let ends = [(0.5 * WIDTH, 0.0, DEPTH, 1.0), (-0.5 * WIDTH, 0.0, DEPTH, 1.0)];
    for ((ground, figure), (x, y, length, quarter)) in papers.into_iter().zip(sides.into_iter().chain(ends)) {
        let paper = Pattern::Wallpaper { ground: rgb(ground), figure: rgb(figure) };
        let paper = b.material(Material::matt(paper));
        let outwards = 0.5 * THICK;
        let place = Place::at(x + outwards * x.signum() * quarter, y + outwards * y.signum() * (1.0 - quarter), 1.35);
        let wall = cuboid([length, THICK, HEIGHT], 0.07, paper, BoxTexture::Faces);
        b.put(&wall, place.turned_z(quarter * std::f32::consts::FRAC_PI_2));
    }
    let skirting = b.material(Material::matt(Pattern::Plain(rgb(0xe9e2d3))));
    for (size, at) in [
        ([WIDTH, 0.03, 0.1], [0.0, 0.5 * DEPTH - 0.015, 0.05]),
        ([WIDTH, 0.03, 0.1], [0.0, -0.5 * DEPTH + 0.015, 0.05]),
        ([0.03, DEPTH, 0.1], [0.5 * WIDTH - 0.015, 0.0, 0.05]),
        ([0.03, DEPTH, 0.1], [-0.5 * WIDTH + 0.015, 0.0, 0.05]),
    ] {
        b.put(&cuboid(size, 0.1, skirting, BoxTexture::Solid), Place::at(at[0], at[1], at[2]));
    }
    let rug = b.material(Material::matt(Pattern::Studio { wall: rgb(0x9c2f2a), floor: rgb(0x9c2f2a) }));
    let edge = [[1.34, 0.0], [1.34, 0.008], [1.3, 0.01], [0.9, 0.01], [0.45, 0.01], [0.0, 0.01]];
    b.put(&revolution(&edge, [96, 60], rug, RevolutionTexture::Solid), Place::at(0.2, 0.1, 0.0));
}

fn pictures(b: &mut Builder, rng: &mut Pcg32) {
    let half_turn = std::f32::consts::PI;
    // (x, y, turn, width, height): the face towards -y is hung into the room.
    let places = [
        (-1.6, 0.5 * DEPTH - 0.02, 0.0, 1.3, 0.95),
        (0.1, 0.5 * DEPTH - 0.02, 0.0, 0.8, 1.05),
        (-1.2, -0.5 * DEPTH + 0.02, half_turn, 0.9, 0.9),
        (0.7, -0.5 * DEPTH + 0.02, half_turn, 1.5, 0.9),
        (2.2, -0.5 * DEPTH + 0.02, half_turn, 0.7, 0.7),
        (-0.5 * WIDTH + 0.02, 0.8, 0.5 * half_turn, 1.1, 0.8),
        (-0.5 * WIDTH + 0.02, -0.9, 0.5 * half_turn, 0.8, 0.8),
        (0.5 * WIDTH - 0.02, 0.2, -0.5 * half_turn, 1.4, 1.0),
        (0.5 * WIDTH - 0.02, 1.7, -0.5 * half_turn, 0.6, 0.8),
    ];
    let first: u32 = rng.random_range(0..4);
    for (i, (x, y, turn, width, height)) in places.into_iter().enumerate() {
        let pattern = Pattern::Picture { width, height, number: first + i as u32 };
        let material = b.material(Material::matt(pattern));
        let frame = cuboid([width, 0.04, height], 0.06, material, BoxTexture::Faces);
        b.put(&frame, Place::at(x, y, 1.6 + 0.05 * (i % 3) as f32).turned_z(turn));
    }
}

fn shelves(b: &mut Builder) {
    let wood = b.material(Material::matt(Pattern::Wood { dark: rgb(0x4b2d18), light: rgb(0x8a5a31) }));
    let spines = b.material(Material::glossy(Pattern::Books, 0.2, 30.0));
    let place = Place::at(2.2, 0.5 * DEPTH - 0.17, 0.0);
    for side in [-0.58, 0.58] {
        b.put(&cuboid([0.03, 0.32, 1.96], 0.05, wood, BoxTexture::Solid), place.moved(side, 0.0, 0.98));
    }
    b.put(&cuboid([1.16, 0.02, 1.96], 0.06, wood, BoxTexture::Solid), place.moved(0.0, 0.15, 0.98));
    for level in 0..6 {
        let z = 0.06 + 0.38 * level as f32;
        b.put(&cuboid([1.14, 0.32, 0.03], 0.05, wood, BoxTexture::Solid), place.moved(0.0, 0.0, z));
        if level < 5 {
            let height = 0.24 + 0.03 * (level % 3) as f32;
            let width = if level % 2 == 0 { 1.08 } else { 0.74 };
            let row = cuboid([width, 0.2, height], 0.03, spines, BoxTexture::Faces);
            b.put(&row, place.moved(-0.54 + 0.5 * width, 0.02, z + 0.015 + 0.5 * height));
        }
    }
    let globe = b.material(Material::glossy(Pattern::Globe, 0.5, 80.0));
    b.put(&sphere(0.11, [48, 28], globe), place.moved(0.4, -0.02, 0.44 + 0.13));
    b.put(&sphere(0.1, [48, 28], globe), place.moved(0.4, -0.02, 1.2 + 0.12).turned(V3::x(), 1.0));
}

fn table(b: &mut Builder) {
    let pine = Pattern::Wood { dark: rgb(0x7a4b22), light: rgb(0xd3a468) };
    let wood = b.material(Material::glossy(pine, 0.3, 60.0));
    let place = Place::at(0.2, 0.1, 0.0).turned_z(0.3);
    b.put(&cuboid([1.25, 0.75, 0.04], 0.025, wood, BoxTexture::Solid), place.moved(0.0, 0.0, 0.5));
    for (x, y) in [(-0.56, -0.31), (0.56, -0.31), (-0.56, 0.31), (0.56, 0.31)] {
        b.put(&cuboid([0.06, 0.06, 0.48], 0.04, wood, BoxTexture::Solid), place.moved(x, y, 0.24));
    }
    let glaze = Pattern::Pottery { glaze: rgb(0xe9e4d5), paint: rgb(0x2f6b5e), repeats: 16.0 };
    let glaze = b.material(Material::glossy(glaze, 0.8, 100.0));
    let jug = [[0.001, 0.002], [0.06, 0.002], [0.1, 0.1], [0.075, 0.2], [0.045, 0.26], [0.06, 0.3], [0.05, 0.29]];
    b.put(&revolution(&jug, [48, 56], glaze, RevolutionTexture::Wrapped), place.moved(-0.3, 0.08, 0.52));
    let marble = Pattern::Marble { base: rgb(0xddd3c4), vein: rgb(0x6b3a2e), size: 0.12 };
    let marble = b.material(Material::glossy(marble, 0.8, 140.0));
    b.put(&sphere(0.09, [48, 30], marble), place.moved(0.12, -0.12, 0.61));
    let ring = b.material(Material::matt(Pattern::Checker { a: rgb(0xc8452f), b: rgb(0xf1e6cc), size: 0.04 }));
    b.put(&torus(0.11, 0.035, [60, 24], ring), place.moved(0.4, 0.14, 0.555));
    let print = Pattern::Print { paper: rgb(0xe9e2d0), ink: rgb(0x23262b), title: "THE ROOM" };
    let print = b.material(Material::matt(print));
    b.put(&cuboid([0.3, 0.21, 0.03], 0.02, print, BoxTexture::Faces), place.moved(-0.02, 0.2, 0.535).turned_z(0.6));
}

fn sofa(b: &mut Builder, rng: &mut Pcg32) {
    let cloth = Pattern::Cloth { warp: rgb(0x4d6b6a), stripe: rgb(0x8aa39a), period: 0.16 };
    let cloth = b.material(Material::matt(cloth));
    let place = Place::at(0.3, -1.95, 0.0);
    for (size, at) in [
        ([2.0, 0.75, 0.26], [0.0, 0.0, 0.3]),
        ([2.0, 0.2, 0.5], [0.0, -0.35, 0.62]),
        ([0.2, 0.8, 0.5], [-1.05, 0.0, 0.37]),
        ([0.2, 0.8, 0.5], [1.05, 0.0, 0.37]),
    ] {
        b.put(&cuboid(size, 0.05, cloth, BoxTexture::Solid), place.moved(at[0], at[1], at[2]));
    }
    let covers = [(0xd9a441, 0x8a3b2a), (0xb4483c, 0xf0e2c4), (0x36597a, 0xd9d2bd)];
    for (i, (warp, stripe)) in covers.into_iter().enumerate() {
        let cover = Pattern::Cloth { warp: rgb(warp), stripe: rgb(stripe), period: 0.07 };
        let cover = b.material(Material::matt(cover));
        let cushion = star([40, 28], cover, |d| {
            // A superellipsoid: fat in the middle, with corners.
            let q = (d.x / 0.22).abs().powf(3.5) + (d.y / 0.09).abs().powi(2) + (d.z / 0.22).abs().powf(3.5);
            q.powf(-1.0 / 2.6).min(0.3)
        });
        let lean = rng.random_range(-0.3..0.3);
        let at = place.moved(-0.7 + 0.7 * i as f32, -0.16, 0.66);
        b.put(&cushion, at.turned(V3::x(), -0.25).turned(V3::y(), lean));
    }
}

fn lamp(b: &mut Builder) {
    let shade = b.material(Material::lamp(Pattern::Plain(rgb(0xffdf9e)), 2.2));
    let cord = b.material(Material::matt(Pattern::Plain(rgb(0x2a2624))));
    b.put(&sphere(0.17, [48, 30], shade), Place::at(LAMP[0], LAMP[1], LAMP[2]));
    let [x, y, z] = LAMP;
    b.put(&capsule(V3::new(x, y, z + 0.18), V3::new(x, y, HEIGHT), 0.008, [10, 12], cord), Place::at(0.0, 0.0, 0.0));
}

fn plant(b: &mut Builder, rng: &mut Pcg32, place: Place) {
    let pot = Pattern::Pottery { glaze: rgb(0xb9653a), paint: rgb(0xe9d3ad), repeats: 18.0 };
    let pot = b.material(Material::matt(pot));
    let profile = [[0.001, 0.0], [0.13, 0.0], [0.17, 0.16], [0.2, 0.34], [0.18, 0.34], [0.15, 0.28], [0.0, 0.28]];
    b.put(&revolution(&profile, [48, 40], pot, RevolutionTexture::Wrapped), place);
    let leaves = b.material(Material::matt(Pattern::Leaves(rgb(0x4f8a3c))));
    for i in 0..16 {
        let (turn, height) = (2.4 * i as f32, rng.random_range(0.5f32..1.25));
        let reach = rng.random_range(0.12f32..0.3);
        let foot = V3::new(0.0, 0.0, 0.28);
        let tip = V3::new(reach * turn.cos(), reach * turn.sin(), height);
        b.put(&capsule(foot, tip, 0.008, [8, 14], leaves), place);
        let leaf = star([24, 16], leaves, |d| {
            1.0 / ((d.x / 0.16).powi(2) + (d.y / 0.06).powi(2) + (d.z / 0.012).powi(2)).sqrt()
        });
        b.put(&leaf, place.moved(tip.x, tip.y, tip.z).turned_z(turn).turned(V3::y(), 0.35));
    }
}
