//! Solids from which made shapes are put together, by their signed distances.

use nalgebra::{Vector2, Vector3};

type V2 = Vector2<f32>;
type V3 = Vector3<f32>;

/// A simple solid; y is up.
#[derive(Clone, Copy, Debug)]
pub enum Solid {
    /// Half its sides, and by how much its edges are rounded.
    Box { centre: V3, half: V3, round: f32 },
    /// Upright, with the radii of its two ends.
    Cone { centre: V3, half: f32, radii: [f32; 2] },
    /// A ring around the z axis, pressed to an ellipse of these two radii.
    Ring { centre: V3, radius: f32, thickness: f32 },
    /// Between two points.
    Rod { ends: [V3; 2], radius: f32 },
}

impl Solid {
    /// Upright, of one radius.
    pub fn cylinder(centre: V3, half: f32, radius: f32) -> Self {
        Self::Cone { centre, half, radii: [radius; 2] }
    }

    /// The distance from its surface, negative inside.
    pub fn distance(&self, p: V3) -> f32 {
        match *self {
            Self::Box { centre, half, round } => {
                let q = (p - centre).abs() - half.map(|x| x - round);
                q.map(|x| x.max(0.0)).norm() + q.max().min(0.0) - round
            }
            Self::Cone { centre, half, radii } => cone(p - centre, half, radii),
            Self::Ring { centre, radius, thickness } => {
                let q = p - centre;
                V2::new(V2::new(q.x, q.y).norm() - radius, q.z).norm() - thickness
            }
            Self::Rod { ends: [a, b], radius } => {
                let along = b - a;
                let t = ((p - a).dot(&along) / along.norm_squared().max(1e-12)).clamp(0.0, 1.0);
                (p - a - along * t).norm() - radius
            }
        }
    }
}

/// The distance from an upright cone without a tip: in the plane of its axis, the nearer of its ends and its side.
fn cone(p: V3, half: f32, [low, high]: [f32; 2]) -> f32 {
    let q = V2::new(V2::new(p.x, p.z).norm(), p.y);
    let radius = if q.y < 0.0 { low } else { high };
    let to_end = V2::new(q.x - q.x.min(radius), q.y.abs() - half);
    let (top, slope) = (V2::new(high, half), V2::new(high - low, 2.0 * half));
    let t = ((top - q).dot(&slope) / slope.norm_squared()).clamp(0.0, 1.0);
    let to_side = q - top + slope * t;
    let inside = to_side.x < 0.0 && to_end.y < 0.0;
    let distance = to_end.norm_squared().min(to_side.norm_squared()).sqrt();
    if inside { -distance } else { distance }
}

/// What is added, and what is taken away of all that was added before.
#[derive(Clone, Debug, Default)]
pub struct Composition {
    parts: Vec<(bool, Solid)>,
}

impl Composition {
    /// Adds a solid.
    pub fn add(&mut self, solid: Solid) {
        self.parts.push((true, solid));
    }

    /// Takes a solid away.
    pub fn cut(&mut self, solid: Solid) {
        self.parts.push((false, solid));
    }

    /// At most the distance from the surface, negative inside; exactly that outside where nothing was taken away.
    pub fn distance(&self, p: [f32; 3]) -> f32 {
        let p = V3::from(p);
        self.parts.iter().fold(f32::MAX, |distance, (added, solid)| {
            let own = solid.distance(p);
            if *added { distance.min(own) } else { distance.max(-own) }
        })
    }
}
