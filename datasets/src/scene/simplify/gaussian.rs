//! A splat as merging sees it, and what merging two of them costs.
//!
//! Pictures from afar along the three axes stand for all views: there a splat is `α exp(-½ xᵀ S⁻¹ x)` with a 2x2 block S
//! of its covariance, and all integrals are in closed form.

/// A splat or a group of splats by its moments. Scenes have millions: `f32`, in scene units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gaussian {
    pub(super) mean: [f32; 3],
    /// xx, xy, xz, yy, yz, zz.
    pub(super) covariance: [f32; 6],
    /// Opacity times [`area`]: its weight in mean, covariance and colour of what it is merged into.
    pub(super) mass: f32,
    /// The part of the mass that is seen when members lie in front of each other: `α = coverage / area`.
    pub(super) coverage: f32,
    /// The constant part of red, green and blue.
    pub(super) colour: [f32; 3],
}

/// How much a difference in alpha counts beside one in colour. What shows where alpha is missing is not known; a third
/// is about the mean square contrast of unrelated colours, summed over the channels.
const ALPHA_WEIGHT: f32 = 0.3;

/// What is large is rather far away from the cameras: errors count less than in proportion to the area in the world.
/// Measured on reconstructions of rooms, objects and buildings; 0 to 0.5 are within 0.5 dB.
const AREA_EXPONENT: f32 = 0.25;

/// The opacities that a merged splat may have, well within what logits and 8-bit formats hold.
const OPACITIES: [f32; 2] = [1e-12, 0.999];

/// The area of a Gaussian's picture over 2π, as root mean square over all directions: `√(I₂ / 3)`, where I₂ is the sum
/// of the principal 2x2 minors of the covariance, which no rotation changes.
pub(super) fn area(covariance: &[f32; 6]) -> f32 {
    let minors: f32 = (0..3).map(|axis| determinant(&along(covariance, axis))).sum();
    (minors / 3.0).sqrt()
}

impl Gaussian {
    /// The opacity with which a splat of this shape covers as much, as far as one can.
    pub(super) fn opacity(&self) -> f32 {
        let [least, most] = OPACITIES;
        let opacity = self.coverage / area(&self.covariance);
        // What overflows f32 is as transparent as it may be.
        if opacity.is_nan() { least } else { opacity.clamp(least, most) }
    }

    /// Both as one: their common moments, and what they cover together. Where splats overlap, the one behind is partly
    /// hidden: composed, the pair covers `∫ 1 - (1 - α₁G₁)(1 - α₂G₂)`, which is `∫ α₁G₁α₂G₂` less than the sum.
    pub(super) fn merged(&self, other: &Self) -> Self {
        let mass = self.mass + other.mass;
        let t = if mass > 0.0 { other.mass / mass } else { 0.5 };
        let s = 1.0 - t;
        let d = difference(&other.mean, &self.mean);
        let spread = [d[0] * d[0], d[0] * d[1], d[0] * d[2], d[1] * d[1], d[1] * d[2], d[2] * d[2]];
        let hidden: f32 = (0..3)
            .map(|axis| {
                let (a, b) = (along(&self.covariance, axis), along(&other.covariance, axis));
                product(&a, &b, across(&d, axis)).powi(2)
            })
            .sum();
        let both = self.opacity() * other.opacity();
        Self {
            mean: std::array::from_fn(|k| self.mean[k] + t * d[k]),
            covariance: std::array::from_fn(|k| s * self.covariance[k] + t * other.covariance[k] + s * t * spread[k]),
            mass,
            coverage: self.coverage + other.coverage - (both * (hidden / 3.0).sqrt()).max(0.0),
            colour: std::array::from_fn(|k| s * self.colour[k] + t * other.colour[k]),
        }
    }

    /// What pictures lose when both are merged: the squared error of colour against the merged colour and of alpha,
    /// integrated over the picture and summed over three views. Not negative, finite, symmetric.
    pub(super) fn cost(&self, other: &Self) -> f32 {
        let merged = self.merged(other);
        let opacities = [self.opacity(), other.opacity(), merged.opacity()];
        let off = [difference(&self.colour, &merged.colour), difference(&other.colour, &merged.colour)];
        let dot = |i: usize, j: usize| -> f32 { (0..3).map(|k| off[i][k] * off[j][k]).sum() };
        let colours = [dot(0, 0), dot(1, 1), dot(0, 1)];
        let between = [
            difference(&self.mean, &other.mean),
            difference(&self.mean, &merged.mean),
            difference(&other.mean, &merged.mean),
        ];
        let mut error = 0.0;
        for axis in 0..3 {
            let [a, b, m] = [self, other, &merged].map(|g| along(&g.covariance, axis));
            let [alpha_a, alpha_b, alpha_m] = opacities;
            let square = |alpha: f32, s: &[f32; 3]| alpha * alpha * 0.5 * determinant(s).sqrt();
            let (aa, bb, mm) = (square(alpha_a, &a), square(alpha_b, &b), square(alpha_m, &m));
            let ab = alpha_a * alpha_b * product(&a, &b, across(&between[0], axis));
            let am = alpha_a * alpha_m * product(&a, &m, across(&between[1], axis));
            let bm = alpha_b * alpha_m * product(&b, &m, across(&between[2], axis));
            let colour = aa * colours[0] + bb * colours[1] + 2.0 * ab * colours[2];
            let alpha = aa + bb + mm + 2.0 * (ab - am - bm);
            error += colour.max(0.0) + ALPHA_WEIGHT * alpha.max(0.0);
        }
        let error = error / area(&merged.covariance).powf(AREA_EXPONENT);
        // Beyond what f32 holds: splats that are absurdly far apart.
        if error.is_finite() { error } else { f32::MAX }
    }
}

fn difference(a: &[f32; 3], b: &[f32; 3]) -> [f32; 3] {
    std::array::from_fn(|k| a[k] - b[k])
}

/// The 2x2 block (uu, uv, vv) of a covariance that is seen along an axis.
#[inline(always)]
fn along(c: &[f32; 6], axis: usize) -> [f32; 3] {
    match axis {
        0 => [c[3], c[4], c[5]],
        1 => [c[0], c[2], c[5]],
        _ => [c[0], c[1], c[3]],
    }
}

#[inline(always)]
fn across(d: &[f32; 3], axis: usize) -> [f32; 2] {
    match axis {
        0 => [d[1], d[2]],
        1 => [d[0], d[2]],
        _ => [d[0], d[1]],
    }
}

#[inline(always)]
fn determinant(s: &[f32; 3]) -> f32 {
    (s[0] * s[2] - s[1] * s[1]).max(0.0)
}

/// `∫ exp(-½ xᵀ P⁻¹ x) exp(-½ (x - d)ᵀ Q⁻¹ (x - d)) dx / 2π = √(|P| |Q| / |P + Q|) exp(-½ dᵀ (P + Q)⁻¹ d)`.
#[inline(always)]
fn product(p: &[f32; 3], q: &[f32; 3], d: [f32; 2]) -> f32 {
    let sum = [p[0] + q[0], p[1] + q[1], p[2] + q[2]];
    let det = determinant(&sum);
    if det <= 0.0 {
        return 0.0;
    }
    let mahalanobis = (sum[2] * d[0] * d[0] - 2.0 * sum[1] * d[0] * d[1] + sum[0] * d[1] * d[1]) / det;
    (determinant(p) * (determinant(q) / det)).sqrt() * (-0.5 * mahalanobis).exp()
}
