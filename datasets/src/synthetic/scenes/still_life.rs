//! A table with a vase of flowers, books, fruit, a doughnut, a cup of tea and marble, in a round studio.

use super::Builder;
use crate::synthetic::Options;
use crate::synthetic::geometry::{
    BoxTexture, Place, RevolutionTexture, V3, capsule, cuboid, revolution, sphere, star, torus, tube,
};
use crate::synthetic::light::{Light, Lighting, Sky};
use crate::synthetic::noise::fractal;
use crate::synthetic::render::Scene;
use crate::synthetic::texture::{Material, Pattern, rgb};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;
use std::f32::consts::TAU;

/// What the cameras look at.
pub(in crate::synthetic) const CENTRE: [f32; 3] = [0.0, 0.0, 0.8];
/// Where the studio's wall stands.
pub(in crate::synthetic) const STUDIO_RADIUS: f32 = 3.0;
const TABLE: f32 = 0.72;

pub(super) fn build(options: &Options) -> Scene {
    let mut rng = Pcg32::seed_from_u64(options.seed);
    let mut b = Builder::default();
    if !options.rgba {
        studio(&mut b, STUDIO_RADIUS, rgb(0x8fa3a8), rgb(0x8f7459));
    }
    table(&mut b);
    vase(&mut b, &mut rng, Place::at(-0.17, 0.15, TABLE));
    books(&mut b, Place::at(0.22, 0.21, TABLE));
    fruit(&mut b, &mut rng, Place::at(0.27, -0.17, TABLE));
    cup(&mut b, Place::at(-0.31, -0.14, TABLE));
    small_things(&mut b, Place::at(0.0, 0.0, TABLE));
    b.finish(lighting())
}

/// A round floor that turns up into a wall.
pub(super) fn studio(b: &mut Builder, r: f32, wall: V3, floor: V3) {
    let material = b.material(Material::matt(Pattern::Studio { wall, floor }));
    // The profile runs inwards and downwards: the inside of the wall is the outside of the surface.
    let profile = [[r, 2.9], [r, 2.2], [r, 1.5], [r, 0.9], [r, 0.35], [r - 0.1, 0.08], [r - 0.35, 0.0], [r - 1.0, 0.0]];
    b.put(&revolution(&profile, [120, 84], material, RevolutionTexture::Solid), Place::at(0.0, 0.0, 0.0));
    let disc = [1.0, 0.75, 0.5, 0.25, 0.0].map(|t| [t * (r - 1.0), 0.0]);
    b.put(&revolution(&disc, [120, 64], material, RevolutionTexture::Solid), Place::at(0.0, 0.0, 0.0));
}

/// Soft light from above and a large lamp from the front left.
pub(super) fn lighting() -> Lighting {
    let key = Light { centre: V3::new(-2.3, -1.2, 3.5), radius: 0.42, power: rgb(0xfff0d8) * 30.0, clearance: 0.0 };
    let fill = Light { centre: V3::new(3.2, 1.4, 3.4), radius: 0.8, power: rgb(0xcfe0ff) * 6.0, clearance: 0.0 };
    let sky = Sky { zenith: rgb(0xdfe9f5) * 0.58, horizon: rgb(0xd9dde2) * 0.42, ground: rgb(0xa08468) * 0.25 };
    Lighting { sky, lights: vec![key, fill], reach: 0.9, bounce: 0.75, sky_rays: 64, offset: 1e-3 }
}

fn table(b: &mut Builder) {
    let wood = b.material(Material::glossy(Pattern::Wood { dark: rgb(0x4f2f1c), light: rgb(0x9a6a45) }, 0.35, 60.0));
    let disc = [[0.0, TABLE], [0.15, TABLE], [0.3, TABLE], [0.45, TABLE], [0.595, TABLE]];
    let disc: Vec<[f32; 2]> = disc.into_iter().rev().collect();
    b.put(&revolution(&disc, [144, 96], wood, RevolutionTexture::Solid), Place::at(0.0, 0.0, 0.0));
    let t = TABLE;
    let rim = [[0.57, t - 0.05], [0.6, t - 0.04], [0.612, t - 0.025], [0.609, t - 0.008], [0.595, t]];
    b.put(&revolution(&rim, [144, 10], wood, RevolutionTexture::Solid), Place::at(0.0, 0.0, 0.0));
    let under = [[0.05, t - 0.05], [0.3, t - 0.05], [0.57, t - 0.05]];
    b.put(&revolution(&under, [48, 8], wood, RevolutionTexture::Solid), Place::at(0.0, 0.0, 0.0));
    let leg = [[0.3, 0.0], [0.28, 0.03], [0.1, 0.07], [0.05, 0.2], [0.075, 0.38], [0.045, 0.5], [0.05, t - 0.05]];
    b.put(&revolution(&leg, [40, 36], wood, RevolutionTexture::Solid), Place::at(0.0, 0.0, 0.0));
    let cloth = Pattern::Cloth { warp: rgb(0xd8dfe0), stripe: rgb(0x5b7fa3), period: 0.05 };
    let cloth = b.material(Material::matt(cloth));
    let runner = cuboid([0.34, 0.94, 0.004], 0.012, cloth, BoxTexture::Solid);
    b.put(&runner, Place::at(0.0, 0.0, t + 0.002).turned_z(0.5));
}

fn vase(b: &mut Builder, rng: &mut Pcg32, place: Place) {
    let pottery = Pattern::Pottery { glaze: rgb(0xf0ece0), paint: rgb(0x1f4a8c), repeats: 14.0 };
    let pottery = b.material(Material::glossy(pottery, 0.9, 120.0));
    let profile = [
        [0.001, 0.004],
        [0.05, 0.004],
        [0.058, 0.012],
        [0.085, 0.07],
        [0.1, 0.13],
        [0.082, 0.2],
        [0.045, 0.25],
        [0.04, 0.285],
        [0.062, 0.322],
        [0.06, 0.324],
        [0.036, 0.28],
        [0.03, 0.2],
        [0.001, 0.19],
    ];
    b.put(&revolution(&profile, [72, 96], pottery, RevolutionTexture::Wrapped), place);
    let stem = b.material(Material::matt(Pattern::Plain(rgb(0x4d7a35))));
    let heart = b.material(Material::matt(Pattern::Fruit { low: rgb(0x7a4a12), high: rgb(0xd9921e) }));
    let petals = [rgb(0xe0483e), rgb(0xf0b32c), rgb(0xd65b94), rgb(0xf4efe2), rgb(0x8c5fb5), rgb(0xef7f35)];
    for (i, colour) in petals.into_iter().enumerate() {
        let petal = b.material(Material::matt(Pattern::Fruit { low: colour * 0.55, high: colour }));
        let turn = TAU * (i as f32 + rng.random_range(-0.2..0.2)) / petals.len() as f32;
        let lean = if i == 3 { 0.02 } else { rng.random_range(0.09..0.15) };
        let height = rng.random_range(0.42..0.53);
        let tip = V3::new(lean * turn.cos(), lean * turn.sin(), height);
        let stalk = tube([8, 24], stem, |t| {
            let bow = V3::new(tip.x * t * t, tip.y * t * t, 0.2 + (height - 0.2) * t);
            (bow, 0.0045)
        });
        b.put(&stalk, place);
        let head = place.moved(tip.x, tip.y, tip.z).turned(V3::new(-turn.sin(), turn.cos(), 0.0), lean * 5.0);
        let flower = star([60, 22], petal, |d| {
            let open = (1.0 - d.z * d.z).max(0.0).sqrt();
            let lobes = 0.62 + 0.38 * (7.0 * d.y.atan2(d.x)).cos();
            0.012 + 0.05 * open.powi(4) * lobes * (1.0 + 0.3 * d.z)
        });
        b.put(&flower, head.moved(0.0, 0.0, 0.006));
        b.put(&sphere(0.016, [20, 12], heart), head.moved(0.0, 0.0, 0.012));
    }
}

fn books(b: &mut Builder, place: Place) {
    let covers = [(0x234f6b, 0xe9d9a6, "TESSERA"), (0x8f2f28, 0xf2e6c9, "SPLATS")];
    let pages = b.material(Material::matt(Pattern::Pages));
    let mut height = 0.0;
    for (i, (cover, ink, title)) in covers.into_iter().enumerate() {
        let print = Pattern::Print { paper: rgb(cover), ink: rgb(ink), title };
        let cover = b.material(Material::glossy(print, 0.3, 40.0));
        let thick = 0.038 - 0.006 * i as f32;
        let at = place.turned_z(0.35 - 0.5 * i as f32).moved(0.0, 0.0, height);
        let size = 1.0 - 0.1 * i as f32;
        let board = cuboid([0.27 * size, 0.19 * size, 0.004], 0.01, cover, BoxTexture::Faces);
        b.put(&board, at.moved(0.0, 0.0, 0.002));
        b.put(&board, at.moved(0.0, 0.0, thick - 0.002));
        let spine = cuboid([0.27 * size, 0.005, thick - 0.008], 0.01, cover, BoxTexture::Faces);
        b.put(&spine, at.moved(0.0, -0.0925 * size, 0.5 * thick));
        let block = cuboid([0.26 * size, 0.175 * size, thick - 0.008], 0.01, pages, BoxTexture::Faces);
        b.put(&block, at.moved(0.0, 0.0, 0.5 * thick));
        height += thick;
    }
    let globe = b.material(Material::glossy(Pattern::Globe, 0.6, 90.0));
    let brass = b.material(Material::glossy(Pattern::Plain(rgb(0xc89b3c)), 1.2, 50.0));
    let top = place.moved(0.0, 0.0, height);
    let foot = [[0.05, 0.0], [0.048, 0.008], [0.012, 0.018], [0.008, 0.03], [0.008, 0.045]];
    b.put(&revolution(&foot, [32, 20], brass, RevolutionTexture::Solid), top);
    let ball = top.moved(0.0, 0.0, 0.125).turned(V3::y(), 0.4);
    b.put(&sphere(0.082, [64, 40], globe), ball);
    b.put(&torus(0.089, 0.0035, [64, 8], brass), ball.turned(V3::x(), 0.25 * TAU));
}

fn fruit(b: &mut Builder, rng: &mut Pcg32, place: Place) {
    let bowl = Pattern::Pottery { glaze: rgb(0xd7713b), paint: rgb(0x3a2a20), repeats: 22.0 };
    let bowl = b.material(Material::glossy(bowl, 0.8, 100.0));
    let profile = [
        [0.001, 0.003],
        [0.045, 0.003],
        [0.05, 0.01],
        [0.09, 0.03],
        [0.118, 0.062],
        [0.114, 0.064],
        [0.085, 0.036],
        [0.04, 0.016],
        [0.001, 0.014],
    ];
    b.put(&revolution(&profile, [80, 64], bowl, RevolutionTexture::Wrapped), place);
    let colours = [(0x9fae3a, 0xc8352b), (0xe58a1f, 0xf0a53a), (0xb5c34a, 0xd8d35e), (0xb12a2a, 0xe2853e)];
    let stalk = b.material(Material::matt(Pattern::Plain(rgb(0x4b3420))));
    for (i, (low, high)) in colours.into_iter().enumerate() {
        let pattern = Pattern::Fruit { low: rgb(low), high: rgb(high) };
        let skin = b.material(Material::glossy(pattern, 0.7, 45.0));
        let body = star([48, 32], skin, |d| {
            let flat = (1.0 - d.z * d.z).max(0.0).sqrt();
            0.034 + 0.012 * flat.powf(0.8) + 0.0012 * fractal(d * 2.0, 3, 0.0)
        });
        let turn = TAU * i as f32 / 3.0 + 0.4;
        let (r, z) = if i == 3 { (0.0, 0.112) } else { (0.052, 0.062) };
        let at = place.moved(r * turn.cos(), r * turn.sin(), z);
        let at = at.turned(V3::new(rng.random(), 1.0, 0.2), rng.random_range(-0.5..0.5));
        b.put(&body, at);
        b.put(&capsule(V3::new(0.0, 0.0, 0.03), V3::new(0.004, 0.0, 0.05), 0.0022, [8, 8], stalk), at);
    }
}

fn cup(b: &mut Builder, place: Place) {
    let china = Pattern::Pottery { glaze: rgb(0xf6f2ea), paint: rgb(0xb5302f), repeats: 12.0 };
    let china = b.material(Material::glossy(china, 1.0, 160.0));
    let saucer = [[0.001, 0.002], [0.04, 0.002], [0.085, 0.016], [0.083, 0.018], [0.04, 0.006], [0.001, 0.006]];
    b.put(&revolution(&saucer, [64, 40], china, RevolutionTexture::Wrapped), place);
    let profile = [
        [0.001, 0.007],
        [0.026, 0.007],
        [0.03, 0.014],
        [0.044, 0.04],
        [0.05, 0.075],
        [0.048, 0.077],
        [0.042, 0.04],
        [0.024, 0.016],
        [0.001, 0.014],
    ];
    b.put(&revolution(&profile, [64, 64], china, RevolutionTexture::Wrapped), place);
    let handle = tube([12, 32], china, |t| {
        let a = TAU * (t * 0.56 - 0.28);
        (V3::new(0.044 + 0.026 * a.cos(), 0.0, 0.045 + 0.026 * a.sin()), 0.0045)
    });
    b.put(&handle, place.turned_z(-1.2));
    let tea = b.material(Material::glossy(Pattern::Plain(rgb(0x6b3413)), 1.0, 300.0));
    let level = [[0.045, 0.062], [0.02, 0.062], [0.0, 0.062]];
    b.put(&revolution(&level, [32, 6], tea, RevolutionTexture::Solid), place);
}

fn small_things(b: &mut Builder, place: Place) {
    let veined = Pattern::Marble { base: rgb(0x4f7f6a), vein: rgb(0xf1eee2), size: 0.09 };
    let marble = b.material(Material::glossy(veined, 1.0, 180.0));
    b.put(&sphere(0.068, [64, 40], marble), place.moved(0.02, -0.09, 0.072));
    let doughnut = Pattern::Glaze { glaze: rgb(0xe27fa0), dough: rgb(0xc98a45) };
    let doughnut = b.material(Material::glossy(doughnut, 0.45, 60.0));
    b.put(&torus(0.056, 0.03, [72, 36], doughnut), place.moved(-0.06, -0.32, 0.03));
    let checks = Pattern::Checker { a: rgb(0x2c2320), b: rgb(0xe2c491), size: 0.0225 };
    let checks = b.material(Material::glossy(checks, 0.4, 60.0));
    b.put(&cuboid([0.09; 3], 0.009, checks, BoxTexture::Solid), place.moved(0.44, 0.03, 0.045).turned_z(0.5));
    let stone = Pattern::Marble { base: rgb(0xe9e4da), vein: rgb(0x5d5148), size: 0.05 };
    let stone = b.material(Material::glossy(stone, 0.6, 90.0));
    let cone = [[0.042, 0.0], [0.028, 0.045], [0.014, 0.09], [0.0, 0.13]];
    b.put(&revolution(&cone, [48, 32], stone, RevolutionTexture::Solid), place.moved(-0.43, 0.1, 0.0));
    let wax = b.material(Material::glossy(Pattern::Segments([rgb(0xd8483c), rgb(0xf3ead8), rgb(0x3f78a8)]), 0.6, 70.0));
    b.put(&sphere(0.045, [48, 32], wax), place.moved(-0.02, 0.42, 0.045).turned(V3::new(1.0, 0.6, 0.0), 0.9));
    let card = Pattern::Picture { width: 0.9, height: 0.7, number: 3 };
    let card = b.material(Material::matt(card));
    let mut picture = cuboid([0.9, 0.03, 0.7], 0.05, card, BoxTexture::Faces);
    for vertex in &mut picture.vertices {
        vertex.position *= 0.22;
    }
    b.put(&picture, place.moved(0.02, 0.29, 0.082).turned_z(-0.25).turned(V3::x(), -0.2));
}
