//! A family of made shapes: six kinds of things, each with a few numbers that differ from one to the next.
//!
//! Things lie in the cube from -½ to ½, y up, and nothing of them is thinner than three voxels of a grid of 64.

use super::solids::{Composition, Solid};
use nalgebra::Vector3;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// What there is.
pub const CLASSES: [&str; 6] = ["mug", "chair", "table", "lamp", "bottle", "plane"];

type V3 = Vector3<f32>;

/// Random numbers of one thing.
struct Draw(Pcg64);

impl Draw {
    fn between(&mut self, low: f32, high: f32) -> f32 {
        self.0.random_range(low..high)
    }

    fn chance(&mut self, share: f64) -> bool {
        self.0.random_bool(share)
    }
}

/// Thing number `index` of a class of [`CLASSES`].
pub fn made(class: usize, seed: u64, index: u64) -> Composition {
    let mixed = seed ^ (index.wrapping_mul(6).wrapping_add(class as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut draw = Draw(Pcg64::seed_from_u64(mixed));
    let make = [mug, chair, table, lamp, bottle, plane][class];
    make(&mut draw)
}

fn upright(x: f32, z: f32, [low, high]: [f32; 2], radius: f32) -> Solid {
    Solid::cylinder(V3::new(x, 0.5 * (low + high), z), 0.5 * (high - low), radius)
}

fn slab(x: [f32; 2], y: [f32; 2], z: [f32; 2]) -> Solid {
    let middle = |r: [f32; 2]| 0.5 * (r[0] + r[1]);
    let half = |r: [f32; 2]| 0.5 * (r[1] - r[0]);
    let half = V3::new(half(x), half(y), half(z));
    Solid::Box { centre: V3::new(middle(x), middle(y), middle(z)), half, round: 0.25 * half.min() }
}

fn mug(draw: &mut Draw) -> Composition {
    let mut out = Composition::default();
    let (radius, half, wall) = (draw.between(0.19, 0.29), draw.between(0.22, 0.38), draw.between(0.05, 0.07));
    let opening = radius * draw.between(0.95, 1.25);
    let opening = opening.min(0.3);
    let centre = V3::new(-0.08, 0.0, 0.0);
    let (ring, thick) = (half * draw.between(0.4, 0.6), draw.between(0.03, 0.042));
    let at = V3::new(centre.x + 0.5 * (radius + opening), half * draw.between(-0.05, 0.1), 0.0);
    out.add(Solid::Ring { centre: at, radius: ring, thickness: thick });
    out.add(Solid::Cone { centre, half, radii: [radius, opening] });
    let inside = centre + V3::new(0.0, wall, 0.0);
    out.cut(Solid::Cone { centre: inside, half, radii: [radius - wall, opening - wall] });
    out
}

fn chair(draw: &mut Draw) -> Composition {
    let mut out = Composition::default();
    let (wide, deep) = (draw.between(0.19, 0.28), draw.between(0.18, 0.27));
    let (seat, thick) = (draw.between(-0.12, 0.03), draw.between(0.05, 0.08));
    let (leg, back) = (draw.between(0.027, 0.04), draw.between(0.3, 0.45));
    out.add(slab([-wide, wide], [seat - thick, seat], [-deep, deep]));
    let round = draw.chance(0.5);
    for (x, z) in [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)] {
        let (x, z) = (x * (wide - leg), z * (deep - leg));
        let (low, high) = (-0.45, seat - 0.5 * thick);
        out.add(if round {
            upright(x, z, [low, high], leg)
        } else {
            slab([x - leg, x + leg], [low, high], [z - leg, z + leg])
        });
    }
    let behind = [-deep, -deep + draw.between(0.05, 0.07)];
    if draw.chance(0.5) {
        out.add(slab([-wide, wide], [seat - thick, back], behind));
    } else {
        let post = draw.between(0.055, 0.075);
        out.add(slab([-wide, -wide + post], [seat - thick, back], behind));
        out.add(slab([wide - post, wide], [seat - thick, back], behind));
        let rail = draw.between(0.1, 0.16);
        out.add(slab([-wide, wide], [back - rail, back], behind));
    }
    if draw.chance(0.35) {
        let (arm, thick) = (seat + draw.between(0.14, 0.2), 0.055);
        for side in [-1.0, 1.0] {
            let x = side * (wide - 0.5 * thick);
            let x = [x - 0.5 * thick, x + 0.5 * thick];
            out.add(slab(x, [arm - thick, arm], [-deep, deep]));
            out.add(slab(x, [seat - thick, arm], [deep - thick - 0.02, deep - 0.02]));
        }
    }
    out
}

fn table(draw: &mut Draw) -> Composition {
    let mut out = Composition::default();
    let (wide, deep) = (draw.between(0.3, 0.45), draw.between(0.22, 0.4));
    let (top, thick, leg) = (draw.between(0.05, 0.3), draw.between(0.05, 0.075), draw.between(0.028, 0.045));
    let low = -top;
    if draw.chance(0.4) {
        let radius = 0.5 * (wide + deep);
        out.add(upright(0.0, 0.0, [top - thick, top], radius));
        out.add(upright(0.0, 0.0, [low, top - 0.5 * thick], 1.3 * leg));
        out.add(upright(0.0, 0.0, [low, low + 0.055], radius * draw.between(0.4, 0.65)));
    } else {
        out.add(slab([-wide, wide], [top - thick, top], [-deep, deep]));
        let inset = leg + draw.between(0.0, 0.06);
        for (x, z) in [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)] {
            let (x, z) = (x * (wide - inset), z * (deep - inset));
            out.add(slab([x - leg, x + leg], [low, top - 0.5 * thick], [z - leg, z + leg]));
        }
        if draw.chance(0.3) {
            let shelf = low + (top - low) * draw.between(0.2, 0.4);
            out.add(slab([-wide + inset, wide - inset], [shelf, shelf + 0.055], [-deep + inset, deep - inset]));
        }
    }
    out
}

fn lamp(draw: &mut Draw) -> Composition {
    let mut out = Composition::default();
    let (foot, pole) = (draw.between(0.12, 0.22), draw.between(0.028, 0.04));
    let (wide, narrow) = (draw.between(0.2, 0.32), draw.between(0.1, 0.19));
    let (high, tall, wall) = (draw.between(0.3, 0.45), draw.between(0.24, 0.36), 0.055);
    out.add(Solid::Cone { centre: V3::new(0.0, high - 0.5 * tall, 0.0), half: 0.5 * tall, radii: [wide, narrow] });
    out.cut(Solid::Cone {
        centre: V3::new(0.0, high - 0.5 * tall - wall, 0.0),
        half: 0.5 * tall,
        radii: [wide - wall, narrow - wall],
    });
    out.add(upright(0.0, 0.0, [-0.45, high - 0.5 * wall], pole));
    if draw.chance(0.5) {
        out.add(upright(0.0, 0.0, [-0.45, -0.39], foot));
    } else {
        let half = draw.between(0.05, 0.1);
        out.add(Solid::Cone { centre: V3::new(0.0, -0.45 + half, 0.0), half, radii: [foot, 1.2 * pole] });
    }
    out
}

fn bottle(draw: &mut Draw) -> Composition {
    let mut out = Composition::default();
    let (radius, neck) = (draw.between(0.11, 0.22), draw.between(0.045, 0.075));
    let (shoulder, slope) = (draw.between(-0.05, 0.15), draw.between(0.06, 0.18));
    let foot = radius * draw.between(0.8, 1.0);
    let low = -0.45;
    out.add(Solid::Cone {
        centre: V3::new(0.0, 0.5 * (low + shoulder), 0.0),
        half: 0.5 * (shoulder - low),
        radii: [foot, radius],
    });
    out.add(Solid::Cone {
        centre: V3::new(0.0, shoulder + 0.5 * slope, 0.0),
        half: 0.5 * slope,
        radii: [radius, neck],
    });
    let high = draw.between(0.36, 0.45);
    out.add(upright(0.0, 0.0, [shoulder, high], neck));
    if draw.chance(0.5) {
        out.add(upright(0.0, 0.0, [high - draw.between(0.06, 0.1), high], neck + 0.025));
    }
    out
}

fn plane(draw: &mut Draw) -> Composition {
    let mut out = Composition::default();
    let (body, wings) = (draw.between(0.05, 0.075), draw.between(0.3, 0.44));
    let (nose, tail) = (draw.between(0.36, 0.44) - body, -0.44 + body);
    out.add(Solid::Rod { ends: [V3::new(0.0, 0.0, nose), V3::new(0.0, 0.0, tail)], radius: body });
    let (at, sweep, chord) = (draw.between(0.0, 0.12), draw.between(0.0, 0.2), draw.between(0.05, 0.08));
    let thick = 0.03;
    // A wing is a row of rods side by side: flat, with rounded edges.
    let mut wing = |root: V3, tip: V3, chord: f32| {
        for i in 0..5 {
            let along = V3::new(0.0, 0.0, chord * (i as f32 / 2.0 - 1.0));
            out.add(Solid::Rod { ends: [root + along, tip + 0.6 * along], radius: thick });
        }
    };
    let span = draw.between(0.12, 0.2);
    let fin = draw.between(0.12, 0.2);
    for side in [-1.0, 1.0] {
        wing(V3::new(0.0, 0.0, at), V3::new(side * wings, 0.0, at - sweep), chord);
        wing(V3::new(0.0, 0.0, tail + 0.03), V3::new(side * span, 0.0, tail), 0.04);
    }
    wing(V3::new(0.0, 0.0, tail + 0.05), V3::new(0.0, fin, tail), 0.04);
    out
}
