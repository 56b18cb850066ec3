//! Procedural materials: the colour of a surface as a function of its texture coordinates.
//!
//! Each pattern has edges and detail down to millimetres, which is what a reconstruction is judged by. Noise
//! leaves out what is finer than a sample; edges are left to the supersampling.

use super::geometry::V3;
use super::noise::{fractal, hash, letters, letters_width, noise, random};
use std::f32::consts::TAU;

/// How a surface looks.
#[derive(Clone, Copy)]
pub(super) struct Material {
    pub(super) pattern: Pattern,
    /// Strength of the mirror-like reflection at grazing and normal view, 0 for matt.
    pub(super) gloss: f32,
    /// Exponent of the highlight.
    pub(super) sharpness: f32,
    /// Light that it gives off itself, as a factor of its colour.
    pub(super) emission: f32,
}

impl Material {
    /// Without highlights.
    pub(super) fn matt(pattern: Pattern) -> Self {
        Self { pattern, gloss: 0.0, sharpness: 1.0, emission: 0.0 }
    }

    /// With highlights.
    pub(super) fn glossy(pattern: Pattern, gloss: f32, sharpness: f32) -> Self {
        Self { pattern, gloss, sharpness, emission: 0.0 }
    }

    /// A lamp.
    pub(super) fn lamp(pattern: Pattern, emission: f32) -> Self {
        Self { pattern, gloss: 0.0, sharpness: 1.0, emission }
    }
}

/// A colour pattern. Colours are linear.
#[derive(Clone, Copy)]
pub(super) enum Pattern {
    /// The texture coordinate is the colour.
    Own,
    /// One colour with fine grain.
    Plain(V3),
    /// Solid wood, grain along x.
    Wood { dark: V3, light: V3 },
    /// Boards of this width along y, on x-y coordinates.
    Boards { dark: V3, light: V3, width: f32 },
    /// Solid marble with veins.
    Marble { base: V3, vein: V3, size: f32 },
    /// Solid squares.
    Checker { a: V3, b: V3, size: f32 },
    /// Painted bands and ornaments on a surface of revolution.
    Pottery { glaze: V3, paint: V3, repeats: f32 },
    /// Coloured stripes around a ring, with sprinkles.
    Glaze { glaze: V3, dough: V3 },
    /// Text in lines across a face.
    Print { paper: V3, ink: V3, title: &'static str },
    /// Page edges: fine lines.
    Pages,
    /// A map on a ball.
    Globe,
    /// Coloured segments of a ball.
    Segments([V3; 3]),
    /// A skin with freckles that shades to another colour upwards.
    Fruit { low: V3, high: V3 },
    /// Woven cloth with stripes.
    Cloth { warp: V3, stripe: V3, period: f32 },
    /// A round rug on a floor, and the plaster wall that rises where the floor ends.
    Studio { wall: V3, floor: V3 },
    /// Wallpaper above a panelled skirting, on x-y coordinates of a wall.
    Wallpaper { ground: V3, figure: V3 },
    /// A framed picture on x-y coordinates of a face of this size; the number chooses what it shows.
    Picture { width: f32, height: f32, number: u32 },
    /// A row of book spines.
    Books,
    /// Grass, paths and rock by slope; coordinates are metres.
    Ground,
    /// Leaves.
    Leaves(V3),
    /// Rock with lichen.
    Rock,
    /// A façade with windows, on x-y coordinates of a wall.
    Facade(V3),
    /// Roof tiles.
    Roof(V3),
}

/// A linear colour from sRGB bytes.
pub(super) fn rgb(hex: u32) -> V3 {
    let [_, r, g, b] = hex.to_be_bytes();
    linear([r, g, b])
}

/// The same of red, green and blue.
pub(super) fn linear(srgb: [u8; 3]) -> V3 {
    let channel = |byte: u8| {
        let s = f32::from(byte) / 255.0;
        if s <= 0.04045 { s / 12.92 } else { ((s + 0.055) / 1.055).powf(2.4) }
    };
    V3::from(srgb.map(channel))
}

fn mix(a: V3, b: V3, t: f32) -> V3 {
    a + (b - a) * t.clamp(0.0, 1.0)
}

fn pick(condition: bool, yes: V3, no: V3) -> V3 {
    if condition { yes } else { no }
}

impl Pattern {
    /// The linear colour at texture coordinate `p`, where the surface faces `normal`, seen by a sample of size
    /// `footprint` metres.
    pub(super) fn colour(&self, p: V3, normal: V3, footprint: f32) -> V3 {
        let grain = |size: f32, strength: f32| 1.0 + strength * fractal(p / size, 3, footprint / size);
        match *self {
            Self::Own => p,
            Self::Plain(c) => c * grain(0.006, 0.3),
            Self::Wood { dark, light } => wood(p, dark, light, footprint),
            Self::Boards { dark, light, width } => boards(p, dark, light, width, footprint),
            Self::Marble { base, vein, size } => marble(p / size, base, vein, footprint / size),
            Self::Checker { a, b, size } => {
                let c = (p / size + V3::repeat(1e-3)).map(|x| x.floor() as i32);
                pick((c.x + c.y + c.z) & 1 == 0, a, b) * grain(0.01, 0.35)
            }
            Self::Pottery { glaze, paint, repeats } => pottery(p, glaze, paint, repeats) * grain(0.004, 0.15),
            Self::Glaze { glaze, dough } => sprinkled(p, glaze, dough, footprint),
            Self::Print { paper, ink, title } => print(p, paper, ink, title) * grain(0.005, 0.12),
            Self::Pages => rgb(0xe8dfc8) * (0.8 + 0.2 * noise(V3::new(2.0, p.y * 900.0, p.x * 12.0))),
            Self::Globe => globe(p, footprint),
            Self::Segments(colours) => {
                let turn = (p.y.atan2(p.x) / TAU + 0.5) * 6.0;
                let cap = p.z.abs() > 0.93 * p.norm();
                pick(cap, rgb(0xf4f0e6), colours[turn as usize % 3]) * grain(0.01, 0.25)
            }
            Self::Fruit { low, high } => {
                let freckle = noise(p / 0.004) > 0.62;
                let blush = 0.5 + 12.0 * p.z + 0.8 * fractal(V3::new(p.x, p.y, 0.25 * p.z) / 0.02, 3, footprint / 0.02);
                pick(freckle, rgb(0xe9cf86), mix(low, high, blush))
            }
            Self::Cloth { warp, stripe, period } => {
                let (x, y) = ((p.x / period).rem_euclid(1.0), (p.y / period).rem_euclid(1.0));
                let thin = |t: f32| (0.46..0.5).contains(&t) || (0.54..0.58).contains(&t);
                let bands = 0.5 * f32::from(u8::from(x < 0.25)) + 0.5 * f32::from(u8::from(y < 0.25));
                let line = thin(x) || thin(y);
                pick(line, rgb(0xf3ead2), mix(warp, stripe, bands)) * grain(0.004, 0.5)
            }
            Self::Studio { wall, floor } => studio(p, wall, floor, footprint),
            Self::Wallpaper { ground, figure } => wallpaper(p, ground, figure) * grain(0.06, 0.35),
            Self::Picture { width, height, number } => picture(p, [width, height], number, footprint),
            Self::Books => books(p),
            Self::Ground => ground(p, normal, footprint),
            Self::Leaves(c) => {
                let shade = fractal(p / 0.6, 4, footprint / 0.6);
                mix(c * 0.55, mix(c, rgb(0xb9bd6e), 0.3) * 1.2, 0.5 + 1.1 * shade)
            }
            Self::Rock => {
                let n = fractal(p / 1.2, 5, footprint / 1.2);
                let lichen = fractal(p / 0.5 + V3::repeat(9.0), 3, footprint / 0.5) > 0.22;
                pick(lichen, rgb(0x9fa05a), mix(rgb(0x55504a), rgb(0xb2aca2), 0.5 + n))
            }
            Self::Facade(c) => facade(p, c, footprint),
            Self::Roof(c) => {
                let row = (p.y / 0.45).floor();
                let column = (p.x / 0.6 + 0.5 * (row as i32 & 1) as f32).floor();
                let tint = 0.65 + 0.5 * random(row as i32, column as i32, 3);
                c * tint * (0.75 + 0.4 * (p.y / 0.45 - row))
            }
        }
    }
}

fn wood(p: V3, dark: V3, light: V3, footprint: f32) -> V3 {
    let stretched = V3::new(p.x * 1.5, p.y * 12.0, p.z * 12.0);
    let bend = fractal(stretched, 3, footprint * 12.0);
    let ring = ((p.y * 26.0 + p.z * 26.0 + 2.2 * bend).rem_euclid(1.0) - 0.5).abs() * 2.0;
    let fibre = noise(V3::new(p.x * 30.0, p.y * 420.0, p.z * 420.0)) * (1.0 - 300.0 * footprint).clamp(0.0, 1.0);
    mix(dark, light, ring * 0.8 + 0.25 + 0.2 * fibre)
}

fn boards(p: V3, dark: V3, light: V3, width: f32, footprint: f32) -> V3 {
    let column = (p.x / width).floor();
    let shift = random(column as i32, 5, 1) * 7.0;
    let row = ((p.y / (width * 9.0)) + shift).floor();
    let (x, y) = (p.x / width - column, (p.y / (width * 9.0)) + shift - row);
    if x < 0.025 || y < 0.004 {
        return dark * 0.35;
    }
    let tint = 0.75 + 0.5 * random(column as i32, row as i32, 2);
    let offset = 3.7 * random(row as i32, column as i32, 9);
    wood(V3::new(p.y, p.x * 0.55 + offset, 0.0), dark, light, footprint) * tint
}

fn marble(p: V3, base: V3, vein: V3, footprint: f32) -> V3 {
    let warp = fractal(p, 4, footprint);
    let vein_at = |scale: f32, shift: f32| {
        let x = fractal(p * scale + V3::repeat(shift + 1.4 * warp), 5, footprint * scale);
        (1.0 - (x * 14.0).abs()).max(0.0)
    };
    let veins = vein_at(1.0, 0.0).max(0.6 * vein_at(2.3, 11.0));
    mix(base * (0.9 + 0.25 * warp), vein, veins)
}

/// Bands of meanders, waves and dots; `p` is (turns, height, radius).
fn pottery(p: V3, glaze: V3, paint: V3, repeats: f32) -> V3 {
    let band = (p.y / 0.045).floor();
    let y = p.y / 0.045 - band;
    let x = (p.x * repeats).rem_euclid(1.0);
    if !(0.07..0.93).contains(&y) {
        return paint;
    }
    let painted = match (band as i32).rem_euclid(4) {
        0 => (y - 0.5 - 0.25 * (x * TAU).sin()).abs() < 0.11,
        1 => (x - 0.5).hypot(y - 0.5) < 0.3 && (x - 0.5).hypot(y - 0.5) > 0.13,
        2 => {
            let (i, j) = ((x * 7.0) as usize, (y * 7.0) as usize);
            const MEANDER: [u8; 7] = [127, 1, 125, 69, 117, 1, 255];
            MEANDER.get(j).is_some_and(|row| (row >> i.min(6)) & 1 == 1)
        }
        _ => ((2.0 * x).rem_euclid(1.0) - 0.5).abs() * 1.6 > y,
    };
    pick(painted, paint, glaze)
}

fn sprinkled(p: V3, glaze: V3, dough: V3, footprint: f32) -> V3 {
    const TUBE_TURN: f32 = 0.03 * TAU; // of the doughnut in the still life
    let across = (p.y / TUBE_TURN).rem_euclid(1.0);
    let drip = 0.03 * noise(V3::new(p.x * 18.0, 0.0, 0.0));
    if !(drip..0.52 + drip).contains(&across) {
        return dough * (1.0 + 0.5 * fractal(p / 0.02, 4, footprint / 0.02));
    }
    const CELL: f32 = 0.017;
    let (i, j) = ((p.x / CELL).floor(), (p.y / CELL).floor());
    let (x, y) = (p.x / CELL - i - 0.5, p.y / CELL - j - 0.5);
    let (sine, cosine) = (random(i as i32, j as i32, 1) * TAU).sin_cos();
    let (along, beside) = (x * cosine + y * sine, y * cosine - x * sine);
    const COLOURS: [u32; 5] = [0xfff4d6, 0x59c3e6, 0xf2d24b, 0x7ccf7a, 0xe8504f];
    let colour = COLOURS[(hash(i as i32, j as i32, 2) % 5) as usize];
    pick(along.abs() < 0.38 && beside.abs() < 0.13, rgb(colour), glaze)
}

fn print(p: V3, paper: V3, ink: V3, title: &str) -> V3 {
    // The large faces are covers; the sides are the spine, with the title alone.
    const TITLE: f32 = 0.03;
    if p.z < 3.5 {
        const SPINE: f32 = 0.018;
        let (x, y) = (p.x / SPINE + 0.5 * letters_width(title), p.y / SPINE + 0.5);
        let band = (p.x.abs() - 0.1).abs() < 0.004;
        return pick(band || letters(title, x, y), ink, paper);
    }
    let width = letters_width(title) * TITLE;
    let (x, y) = (p.x + 0.5 * width, p.y);
    let frame = (p.x.abs() - 0.5 * width - 0.012).abs() < 0.002 && p.y.abs() < 0.075
        || (p.y.abs() - 0.075).abs() < 0.002 && p.x.abs() < 0.5 * width + 0.014;
    if frame || letters(title, x / TITLE, (y - 0.022) / TITLE) {
        return ink;
    }
    const LINES: [&str; 4] = ["PHOTOS TO SCENES", "LIGHT AND SHAPE", "SEEN FROM ALL SIDES", "MADE OF TINY PIECES"];
    const LINE: f32 = 0.011;
    let row = ((0.008 - y) / (1.4 * LINE)).floor();
    if (0.0..4.0).contains(&row) {
        let text = LINES[row as usize];
        let left = 0.5 * letters_width(text) * LINE;
        let base = 0.008 - (row + 1.0) * 1.4 * LINE;
        if letters(text, (p.x + left) / LINE, (y - base) / LINE) {
            return mix(ink, paper, 0.15);
        }
    }
    paper
}

fn globe(p: V3, footprint: f32) -> V3 {
    let d = p / p.norm().max(1e-6);
    let land = fractal(d * 2.1 + V3::new(4.0, 1.0, 7.0), 6, footprint / p.norm().max(1e-6) * 2.1);
    let (longitude, latitude) = (d.y.atan2(d.x) / TAU * 24.0, d.z.asin() / TAU * 24.0);
    let line = |x: f32| (x - x.round()).abs();
    if line(longitude) * (1.0 - d.z * d.z).sqrt() < 0.035 || line(latitude) < 0.035 {
        return rgb(0x31414f);
    }
    if d.z.abs() > 0.9 - 0.1 * land {
        return rgb(0xf2f4f2);
    }
    if land > 0.03 {
        let low = mix(rgb(0x5d8a3c), rgb(0xcbb26a), (land - 0.03) * 5.0);
        return mix(low, rgb(0x7b5a3c), (land - 0.22) * 6.0);
    }
    pick(land > 0.01, rgb(0xe9dfae), mix(rgb(0x1d5f96), rgb(0x3f93c4), 1.0 + 3.0 * land))
}

fn studio(p: V3, wall: V3, floor: V3, footprint: f32) -> V3 {
    let radius = p.x.hypot(p.y);
    if p.z > 0.012 {
        let turn = p.y.atan2(p.x) / TAU;
        let cloud = fractal(p / 0.5, 5, footprint / 0.5);
        let (x, y) = (turn * 48.0, p.z / 0.36);
        let (i, j) = (x.floor(), y.floor());
        let (x, y) = (x - i - 0.5, y - j - 0.5);
        let motif = (x.abs() + y.abs() - 0.26).abs() < 0.05 || x.hypot(y) < 0.07;
        let stripe = (p.z - 0.75).abs() < 0.035 || (p.z - 0.62).abs() < 0.012;
        let tone = mix(wall * 0.7, wall * 1.15, 0.5 + 1.1 * cloud);
        let panel = p.z < 0.58 && (turn * 96.0).rem_euclid(1.0) < 0.05;
        return pick(stripe, wall * 0.4, pick(motif && p.z > 0.8 || panel, tone * 0.55, tone));
    }
    if radius < 1.35 {
        return rug(p, radius, footprint);
    }
    boards(p, floor * 0.5, floor, 0.14, footprint)
}

fn rug(p: V3, radius: f32, footprint: f32) -> V3 {
    let (red, cream, blue) = (rgb(0x9c2f2a), rgb(0xe9dcc0), rgb(0x27415f));
    let turn = p.y.atan2(p.x) / TAU + 0.5;
    let ring = (radius / 0.15).floor();
    let y = radius / 0.15 - ring;
    let count = (4.0 * ring + 6.0).max(6.0);
    let x = (turn * count).rem_euclid(1.0);
    let (ground, figure) = match ring as i32 % 3 {
        0 => (red, cream),
        1 => (blue, rgb(0xd9a441)),
        _ => (cream, red),
    };
    let figured = match ring as i32 % 4 {
        0 => (x - 0.5).abs() + (y - 0.5).abs() < 0.36,
        1 => (x - 0.5).hypot(y - 0.5) < 0.32 && (x - 0.5).hypot(y - 0.5) > 0.16,
        2 => (x - 0.5).abs() < 0.45 * y,
        _ => ((x - 0.5).abs() + (y - 0.5).abs() - 0.3).abs() < 0.1,
    };
    let edge = !(0.06..0.94).contains(&y);
    let pile = 1.0 + 0.7 * fractal(p / 0.012, 2, footprint / 0.012);
    pick(edge, rgb(0x2a2422), pick(figured, figure, ground)) * pile
}

fn wallpaper(p: V3, ground: V3, figure: V3) -> V3 {
    if p.y < -0.45 {
        let panel = (p.x / 0.6).rem_euclid(1.0);
        let line = (panel - 0.5).abs() > 0.47 || p.y > -0.49;
        return pick(line, rgb(0x8f7f66), rgb(0xd9ccb2));
    }
    let (i, j) = ((p.x / 0.17).floor(), (p.y / 0.2).floor());
    let shift = 0.5 * (j as i32 & 1) as f32;
    let x = (p.x / 0.17 + shift).rem_euclid(1.0) - 0.5;
    let y = p.y / 0.2 - j - 0.5;
    let angle = y.atan2(x);
    let petal = 0.2 + 0.1 * (5.0 * angle + i).cos();
    let r = x.hypot(y);
    pick(r < 0.07, rgb(0xd9a441), pick(r < petal, figure, ground))
}

fn picture(p: V3, [width, height]: [f32; 2], number: u32, footprint: f32) -> V3 {
    if p.x.abs() > 0.5 * width - 0.05 || p.y.abs() > 0.5 * height - 0.05 {
        return wood(V3::new(p.x, p.y, 0.3), rgb(0x4a2d16), rgb(0x9a6a33), footprint);
    }
    if p.x.abs() > 0.5 * width - 0.09 || p.y.abs() > 0.5 * height - 0.09 {
        return rgb(0xf1ede2);
    }
    let (x, y) = (p.x / width + 0.5, p.y / height + 0.5);
    let variant = (number / 4) as f32;
    match number % 4 {
        0 => landscape(x * width / height + 9.0 * variant, y, footprint / height),
        1 => mondrian((x * 64.0) as i32, (y * 64.0) as i32, number),
        2 => {
            let (angle, radius) = ((y - 0.5).atan2(x - 0.5), (x - 0.5).hypot(y - 0.5));
            let petals = 5.0 + 2.0 * variant;
            let wave = |k: f32| (TAU * k * radius + 2.0 * (petals * angle).sin()).sin();
            mix(mix(rgb(0x16324f), rgb(0xe8b04a), 0.5 + 0.8 * wave(6.0)), rgb(0xc8452f), 0.8 * wave(11.0))
        }
        _ => {
            const TEXT: [&str; 7] =
                ["TESSERA", "A SCENE IS", "MANY TILES", "OF LIGHT", "LAID SIDE", "BY SIDE IN", "SPACE"];
            // Within the mat, which is 9 centimetres wide.
            let (x, y) = (0.5 + 0.5 * p.x / (0.5 * width - 0.1), 0.5 + 0.5 * p.y / (0.5 * height - 0.1));
            let row = ((1.0 - y) * 7.0).floor();
            let line = TEXT.get(row as usize).copied().unwrap_or_default();
            let inside = letters(line, (x - 0.03) * 9.0, ((y * 7.0).rem_euclid(1.0) - 0.15) / 0.7);
            pick(inside, rgb(0x222a33), rgb(0xefe3c4))
        }
    }
}

fn landscape(x: f32, y: f32, footprint: f32) -> V3 {
    let ridge = |height: f32, roughness: f32, seed: f32| {
        y < height + roughness * fractal(V3::new(x * 3.0, seed, 0.5), 5, footprint * 3.0)
    };
    if ridge(0.28, 0.12, 3.0) {
        return mix(rgb(0x27431f), rgb(0x7d9a45), 0.5 + fractal(V3::new(x, y, 0.0) * 30.0, 3, footprint * 30.0));
    }
    if ridge(0.42, 0.3, 8.0) {
        return mix(rgb(0x3e5a6b), rgb(0x76939e), y * 2.0);
    }
    if ridge(0.58, 0.5, 14.0) {
        return pick(y > 0.6, rgb(0xf3f5f8), rgb(0x8aa3b8));
    }
    let sun = (x - 0.9).hypot(y - 0.8) < 0.08;
    let cloud = fractal(V3::new(x * 3.0, y * 9.0, 2.0), 4, footprint * 9.0);
    pick(sun, rgb(0xffe9a8), mix(mix(rgb(0xf6c48a), rgb(0x5f9bd1), y * 1.6 - 0.5), rgb(0xffffff), cloud * 1.6))
}

/// Cuts the 64 x 64 square in two again and again; what is left of each piece is one colour, its border black.
fn mondrian(x: i32, y: i32, number: u32) -> V3 {
    let (mut low, mut high) = ([0, 0], [64, 64]);
    for depth in 0..7 {
        let key = hash(low[0] * 64 + low[1], high[0] * 64 + high[1], depth + 8 * number as i32);
        let axis = usize::from(high[1] - low[1] > high[0] - low[0]);
        let length = high[axis] - low[axis];
        if length < 14 || (depth > 3 && key.is_multiple_of(4)) {
            break;
        }
        let cut = low[axis] + length / 3 + (key / 7 % (length as u32 / 3)) as i32;
        if [x, y][axis] < cut { high[axis] = cut } else { low[axis] = cut }
    }
    if x == low[0] || y == low[1] {
        return rgb(0x14110f);
    }
    const COLOURS: [u32; 8] = [0xf2efe4, 0xf2efe4, 0xd23a2a, 0xf2efe4, 0x2452a0, 0xf0c52f, 0xf2efe4, 0xdfe3e4];
    rgb(COLOURS[(hash(low[0], low[1], high[0]) % 8) as usize])
}

fn books(p: V3) -> V3 {
    // Spines of varying width: the widths are cut out of a regular grid by merging neighbours.
    let cell = (p.x / 0.022).floor() as i32;
    let book = if hash(cell, 0, 77).is_multiple_of(3) { cell - 1 } else { cell };
    let x = p.x / 0.022 - book as f32;
    const COLOURS: [u32; 8] = [0x7b2d26, 0x23395b, 0x3d6b4f, 0xc29b48, 0x59364f, 0xd8cfb8, 0x3b3b3d, 0xa4562b];
    let cover = rgb(COLOURS[(hash(book, 1, 78) % 8) as usize]);
    if x < 0.06 {
        return cover * 0.25;
    }
    let band = (p.y - 0.06).abs() < 0.006 || (p.y + 0.07).abs() < 0.01;
    let letter = (p.y * 90.0).floor() as i32;
    let title = p.y.abs() < 0.045 && (x - 0.5).abs() < 0.22 && hash(letter, book, (x * 6.0) as i32).is_multiple_of(2);
    pick(band || title, rgb(0xe2c878), cover)
}

fn ground(p: V3, normal: V3, footprint: f32) -> V3 {
    let broad = fractal(p / 24.0, 6, footprint / 24.0);
    let fine = fractal(p / 1.4, 4, footprint / 1.4);
    let tufts = fractal(p / 0.5, 2, footprint / 0.5) + fine;
    let grass = mix(rgb(0x46552f), rgb(0x9c9563), 0.5 + 0.9 * broad + 0.8 * tufts);
    let rock = mix(rgb(0x665c50), rgb(0xb9ae9c), 0.5 + fine);
    let bare = ((1.0 - normal.z) * 5.0 - 0.5 + broad).clamp(0.0, 1.0);
    let (x, y) = (p.x + 5.0 * (p.y / 31.0).sin(), p.y + 6.0 * (p.x / 37.0).sin());
    let (field_x, field_y) = ((x / 46.0).floor() as i32, (y / 46.0).floor() as i32);
    let road = ((x / 46.0).rem_euclid(1.0) * 46.0).min((y / 46.0).rem_euclid(1.0) * 46.0);
    if road < 3.0 {
        let dashes = (road - 1.5).abs() < 0.15 && (p.x + p.y).rem_euclid(4.0) < 2.0;
        return pick(dashes, rgb(0xe8e2cf), rgb(0x77736c) * (1.0 + 0.5 * fine));
    }
    if random(field_x, field_y, 6) < 0.35 {
        let (sine, cosine) = (random(field_x, field_y, 7) * 3.0).sin_cos();
        let row = ((x * cosine + y * sine) / 1.6).rem_euclid(1.0);
        let crop = rgb([0xa8935c, 0x66783f, 0xb5a873][(hash(field_x, field_y, 8) % 3) as usize]);
        return mix(pick(row < 0.45, rgb(0x7a664b), crop), rock, bare) * (1.0 + 0.6 * tufts);
    }
    mix(grass, rock, bare)
}

fn facade(p: V3, colour: V3, footprint: f32) -> V3 {
    let (column, row) = ((p.x / 1.7).floor(), (p.y / 2.6).floor());
    let (x, y) = (p.x / 1.7 - column, p.y / 2.6 - row);
    if (0.24..0.76).contains(&x) && (0.25..0.78).contains(&y) {
        let cross = (x - 0.5).abs() < 0.03 || (y - 0.55).abs() < 0.025;
        let frame = !(0.29..0.71).contains(&x) || !(0.29..0.75).contains(&y);
        let curtain = random(column as i32, row as i32, p.z as i32) < 0.4 && y > 0.5;
        return pick(cross || frame, rgb(0xeeeae0), pick(curtain, rgb(0xb8a58c), rgb(0x26333f)));
    }
    let brick = ((p.x / 0.5 + 0.5 * ((p.y / 0.25).floor() as i32 & 1) as f32).floor(), (p.y / 0.25).floor());
    let tint = 0.85 + 0.3 * random(brick.0 as i32, brick.1 as i32, 5);
    colour * tint * (1.0 + 0.4 * fractal(p / 1.5, 4, footprint / 1.5))
}
