//! A landscape over any extent: fractal hills with fields and lanes, houses, trees and rocks.

use super::Builder;
use crate::synthetic::Options;
use crate::synthetic::cameras;
use crate::synthetic::geometry::{BoxTexture, Mesh, Place, V3, capsule, cuboid, height_field, star};
use crate::synthetic::light::{Light, Lighting, Sky};
use crate::synthetic::noise::fractal;
use crate::synthetic::render::Scene;
use crate::synthetic::texture::{Material, Pattern, rgb};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;

/// Vertices along a side of the ground, at most; beyond about a kilometre the ground is cut more coarsely.
const MAX_CUTS: f32 = 900.0;
/// Trees at most, so that very large extents stay within memory; their density falls instead.
const MAX_TREES: f32 = 2400.0;

/// Hills whose lie depends on the seed.
struct Hills {
    offset: V3,
    height: f32,
}

impl Hills {
    fn height(&self, x: f32, y: f32) -> f32 {
        let broad = fractal(V3::new(x / 90.0, y / 90.0, 0.0) + self.offset, 6, 0.0);
        let ridge = 1.0 - fractal(V3::new(x / 60.0, y / 60.0, 5.0) + self.offset, 4, 0.0).abs() * 2.0;
        self.height * (broad + 0.35 * ridge * ridge)
    }
}

pub(super) fn build(options: &Options) -> Scene {
    let mut rng = Pcg32::seed_from_u64(options.seed);
    let mut b = Builder::default();
    let altitude = cameras::altitude(options.extent) as f32;
    // The tilted cameras at the border look out over it.
    let half = 0.5 * options.extent as f32 + 1.7 * altitude;
    let offset = V3::new(rng.random_range(0.0..500.0), rng.random_range(0.0..500.0), rng.random_range(0.0..500.0));
    let hills = Hills { offset, height: (0.35 * altitude).min(16.0) };
    let ground = b.material(Material::matt(Pattern::Ground));
    let size = (altitude / 40.0).min(1.0);
    let cuts = (2.0 * half / (0.8 * size)).min(MAX_CUTS) as usize;
    b.put(&height_field(half, cuts, ground, |x, y| hills.height(x, y)), Place::at(0.0, 0.0, 0.0));
    let area = 4.0 * half * half / (size * size);
    houses(&mut b, &mut rng, &hills, half, size, (area / 2600.0).min(0.15 * MAX_TREES) as usize);
    trees(&mut b, &mut rng, &hills, half, size, (area / 190.0).min(MAX_TREES) as usize);
    rocks(&mut b, &mut rng, &hills, half, size, (area / 700.0).min(0.3 * MAX_TREES) as usize);
    b.finish(Lighting {
        sky: Sky { zenith: rgb(0x6f9fdc) * 0.65, horizon: rgb(0xcfdcea) * 0.6, ground: rgb(0x6b6a4a) * 0.3 },
        lights: vec![Light::sun(V3::new(-0.55, 0.35, 0.75), rgb(0xfff0d2) * 1.9, 0.012)],
        reach: 30.0 * size,
        bounce: 0.6,
        sky_rays: 32,
        offset: 0.02,
    })
}

fn scatter(rng: &mut Pcg32, half: f32) -> (f32, f32) {
    (rng.random_range(-half..half), rng.random_range(-half..half))
}

fn houses(b: &mut Builder, rng: &mut Pcg32, hills: &Hills, half: f32, size: f32, count: usize) {
    let colours = [0xe3d3b4, 0xc98f6b, 0xd9d4cc, 0xb7745a, 0xc9b27f];
    let walls = colours.map(|c| b.material(Material::matt(Pattern::Facade(rgb(c)))));
    let roofs = [0x9c4a32, 0x6d4436, 0x5a5f66].map(|c| b.material(Material::matt(Pattern::Roof(rgb(c)))));
    for _ in 0..count {
        let (x, y) = scatter(rng, half);
        let (width, depth) = (rng.random_range(7.0f32..14.0) * size, rng.random_range(6.0f32..10.0) * size);
        let height = rng.random_range(1..4) as f32 * 2.6 * size + 1.0 * size;
        let wall = walls[rng.random_range(0..walls.len())];
        let roof = roofs[rng.random_range(0..roofs.len())];
        let base = hills.height(x, y) - 1.5 * size;
        let place = Place::at(x, y, base).turned_z(rng.random_range(0.0..3.1));
        let height = height + 1.5 * size;
        let body = cuboid([width, depth, height], 1.2 * size, wall, BoxTexture::Faces);
        b.put(&body, place.moved(0.0, 0.0, 0.5 * height));
        // A gable roof: two leaning slabs over a solid ridge.
        let pitch = 0.6f32;
        let slope = 0.5 * depth / pitch.cos() + 0.5 * size;
        for side in [-1.0, 1.0] {
            let slab = cuboid([width + 0.8 * size, slope, 0.25 * size], 1.0 * size, roof, BoxTexture::Faces);
            let rise = 0.25 * depth * pitch.tan();
            let at = place.moved(0.0, side * 0.26 * depth, height + rise);
            b.put(&slab, at.turned(V3::x(), -side * pitch));
        }
        b.put(&gable(width * 0.96, depth, 0.5 * depth * pitch.tan(), wall), place.moved(0.0, 0.0, height));
        let chimney = cuboid([0.8 * size, 0.8 * size, 2.2 * size], 0.6 * size, roof, BoxTexture::Faces);
        b.put(&chimney, place.moved(0.3 * width, 0.1 * depth, height + 0.5 * depth * pitch.tan()));
    }
}

/// The walls under a gable roof: a box whose upper edges are drawn together to the ridge.
fn gable(width: f32, depth: f32, height: f32, material: u32) -> Mesh {
    let mut mesh = cuboid([width, depth, height], f32::MAX, material, BoxTexture::Faces);
    for vertex in &mut mesh.vertices {
        if vertex.position.z > 0.0 {
            vertex.position.y *= 0.02;
        }
        vertex.position.z += 0.5 * height;
        if vertex.normal.x == 0.0 && vertex.normal.z == 0.0 {
            vertex.normal = V3::new(0.0, vertex.normal.y * height, 0.5 * depth).normalize();
        }
    }
    mesh
}

fn trees(b: &mut Builder, rng: &mut Pcg32, hills: &Hills, half: f32, size: f32, count: usize) {
    let bark = b.material(Material::matt(Pattern::Plain(rgb(0x5b4632))));
    let greens = [0x4a6b3a, 0x667f45, 0x3a5836, 0x84824a];
    let leaves = greens.map(|c| b.material(Material::matt(Pattern::Leaves(rgb(c)))));
    // A few shapes are made once and turned differently.
    let crowns: Vec<(Mesh, f32)> = (0..10)
        .map(|i| {
            let material = leaves[i % leaves.len()];
            let shift = V3::repeat(7.0 * i as f32);
            let conifer = i % 3 == 2;
            let crown = star([22, 14], material, |d| {
                let lumps = 1.0 + 0.5 * fractal(d * 2.2 + shift, 3, 0.0);
                let round = if conifer { 1.0 - 0.55 * d.z } else { 1.0 - 0.1 * d.z };
                let tall = if conifer { 1.0 + 1.2 * d.z.abs().powi(4) } else { 1.0 };
                size * 2.0 * lumps * round * tall
            });
            (crown, if conifer { 2.3 } else { 3.2 })
        })
        .collect();
    let trunk = capsule(V3::zeros(), V3::new(0.0, 0.0, 3.0 * size), 0.25 * size, [6, 8], bark);
    for _ in 0..count {
        let (x, y) = scatter(rng, half);
        let (crown, lift) = &crowns[rng.random_range(0..crowns.len())];
        let place = Place::at(x, y, hills.height(x, y) - 0.4 * size).turned_z(rng.random_range(0.0..6.2));
        b.put(&trunk, place);
        b.put(crown, place.moved(0.0, 0.0, lift * size * rng.random_range(0.9..1.2)));
    }
}

fn rocks(b: &mut Builder, rng: &mut Pcg32, hills: &Hills, half: f32, size: f32, count: usize) {
    let rock = b.material(Material::matt(Pattern::Rock));
    let shapes: Vec<Mesh> = (0..6)
        .map(|i| {
            let shift = V3::repeat(3.0 * i as f32);
            star([20, 14], rock, |d| {
                let facets = fractal(d * 1.4 + shift, 3, 0.0);
                size * (0.7 + 0.25 * i as f32) * (0.8 + 0.9 * facets) * (1.0 - 0.35 * d.z.abs())
            })
        })
        .collect();
    for _ in 0..count {
        let (x, y) = scatter(rng, half);
        let shape = &shapes[rng.random_range(0..shapes.len())];
        let place = Place::at(x, y, hills.height(x, y) + 0.2 * size).turned_z(rng.random_range(0.0..6.2));
        b.put(shape, place.turned(V3::x(), rng.random_range(-0.4..0.4)));
    }
}
