//! A splat as merging sees it, and what merging two of them costs.
//!
//! Pictures from afar along the three axes stand for all views: there a splat is `α exp(-½ xᵀ S⁻¹ x)` with a 2x2 block S
//! of its covariance, and all integrals are in closed form.

/// A splat or a group of splats by its moments. Scenes have millions: `f32`, in scene units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gaussian {
    pub(super) mean: [f32; 3],
    /// xx, xy, xz, yy, yz, zz.
    covariance: [f32; 6],
    /// What it covers in the pictures along x, y and z, over 2π and its opacity: the roots of the blocks' determinants.
    areas: [f32; 3],
    /// Opacity times area: its weight in mean, covariance and colour of what it is merged into.
    mass: f32,
    /// The part of the mass that is seen when members lie in front of each other.
    coverage: f32,
    /// With which it covers that, as far as one can.
    opacity: f32,
    /// What it takes from light that passes: -ln(1 - alpha) over the picture, over 2π. Unlike coverage it adds up.
    depth: f32,
    /// The constant part of red, green and blue.
    colour: [f32; 3],
}

/// How much a difference in alpha counts beside one in colour. What shows where alpha is missing is not known; a third
/// is about the mean square contrast of unrelated colours, summed over the channels.
const ALPHA_WEIGHT: f32 = 0.3;

/// The opacities that a merged splat may have, well within what logits and 8-bit formats hold.
const OPACITIES: [f32; 2] = [1e-12, 0.999];

/// From which share of its place on, and up to which, a group counts as a surface. Other values from 0.5 to 1.2 change
/// pictures by less than 0.1 dB.
const FILLED: [f32; 2] = [0.7, 1.1];

/// Two Gaussians as one.
struct Pair {
    merged: Gaussian,
    /// The share of the second in the mass.
    share: f32,
    /// From the mean of the first to that of the second.
    between: [f32; 3],
    /// Along each axis, `∫ G₁G₂ / 2π`.
    overlaps: [f32; 3],
}

impl Gaussian {
    /// One splat. `covariance` is xx, xy, xz, yy, yz, zz.
    pub(super) fn new(mean: [f32; 3], covariance: [f32; 6], opacity: f32, colour: [f32; 3]) -> Self {
        let areas = areas(&covariance);
        let mass = opacity * root_mean_square(&areas);
        let depth = root_mean_square(&areas) * dilogarithm(opacity.clamp(0.0, OPACITIES[1]));
        Self { mean, covariance, areas, mass, coverage: mass, opacity, depth, colour }
    }

    /// Opacity, and the factor by which the covariance is to grow, of the splat that stands for the group.
    ///
    /// Where members cover their place, no opacity up to 1 makes a Gaussian of their moments cover as much: it falls off where
    /// they end. Left so, surfaces become sieves. There the Gaussian grows until it takes as much light as all members in a row,
    /// which keeps how tightly splats lie beside each other. Where members are scattered their coverage is kept.
    pub(super) fn shown(&self) -> (f32, f32) {
        let area = root_mean_square(&self.areas);
        let most = OPACITIES[1];
        let wanted = self.coverage / area;
        let [from, to] = FILLED;
        let t = ((wanted - from) / (to - from)).clamp(0.0, 1.0);
        let filled = t * t * (3.0 - 2.0 * t);
        let opacity = representable(wanted + filled * (most - wanted));
        let covered = self.coverage + filled * (self.depth * most / dilogarithm(most) - self.coverage);
        let growth = covered / (opacity * area);
        (opacity, if growth.is_finite() { growth.max(1.0) } else { 1.0 })
    }

    /// Both as one: their common moments, and what they cover together.
    pub(super) fn merged(&self, other: &Self) -> Self {
        self.pair(other).merged
    }

    /// Where splats overlap, the one behind is partly hidden: composed, the pair covers `∫ 1 - (1 - α₁G₁)(1 - α₂G₂)`,
    /// which is `∫ α₁G₁α₂G₂` less than the sum.
    #[inline(always)]
    fn pair(&self, other: &Self) -> Pair {
        let mass = self.mass + other.mass;
        let t = if mass > 0.0 { other.mass / mass } else { 0.5 };
        let s = 1.0 - t;
        let d = difference(&other.mean, &self.mean);
        let spread = [d[0] * d[0], d[0] * d[1], d[0] * d[2], d[1] * d[1], d[1] * d[2], d[2] * d[2]];
        let covariance = std::array::from_fn(|k| s * self.covariance[k] + t * other.covariance[k] + s * t * spread[k]);
        let areas = areas(&covariance);
        let overlaps = overlaps(self, &other.covariance, &other.areas, &d);
        let hidden = self.opacity * other.opacity * root_mean_square(&overlaps);
        let coverage = self.coverage + other.coverage - hidden.max(0.0);
        let merged = Self {
            mean: std::array::from_fn(|k| self.mean[k] + t * d[k]),
            covariance,
            areas,
            mass,
            coverage,
            opacity: representable(coverage / root_mean_square(&areas)),
            depth: self.depth + other.depth,
            colour: std::array::from_fn(|k| s * self.colour[k] + t * other.colour[k]),
        };
        Pair { merged, share: t, between: d, overlaps }
    }

    /// What pictures lose when both are merged: the squared error of colour against the merged colour and of alpha,
    /// integrated over the picture and summed over the three views. Not negative, finite, symmetric.
    pub(super) fn cost(&self, other: &Self) -> f32 {
        let Pair { merged, share, between, overlaps: ab } = self.pair(other);
        let am = overlaps(self, &merged.covariance, &merged.areas, &between.map(|d| share * d));
        let bm = overlaps(other, &merged.covariance, &merged.areas, &between.map(|d| (1.0 - share) * d));
        // ∫ G² / 2π is half the area.
        let square = |g: &Self| 0.5 * g.opacity * g.opacity * (g.areas[0] + g.areas[1] + g.areas[2]);
        let product =
            |a: &Self, b: &Self, overlaps: [f32; 3]| a.opacity * b.opacity * (overlaps[0] + overlaps[1] + overlaps[2]);
        let (aa, bb, mm) = (square(self), square(other), square(&merged));
        let (ab, am, bm) = (product(self, other, ab), product(self, &merged, am), product(other, &merged, bm));
        // Against their mean, the colours differ by this times the other's share of the mass, in opposite directions.
        let contrast: f32 = difference(&self.colour, &other.colour).iter().map(|d| d * d).sum();
        let (s, t) = (1.0 - share, share);
        let colour = contrast * (t * t * aa + s * s * bb - 2.0 * s * t * ab);
        let alpha = aa + bb + mm + 2.0 * (ab - am - bm);
        let error = colour.max(0.0) + ALPHA_WEIGHT * alpha.max(0.0);
        // What is large is rather far away from the cameras, so errors count for less than in proportion to the area in
        // the world. The fourth root was the best compromise on reconstructions of rooms, objects and buildings; any
        // exponent from 0 to ½ is within 0.5 dB.
        let error = error / root_mean_square(&merged.areas).sqrt().sqrt();
        // Beyond what f32 holds: splats that are absurdly far apart.
        if error.is_finite() { error } else { f32::MAX }
    }
}

/// Li₂(α) = Σ αᵏ / k²: `∫ -ln(1 - α exp(-½ r²))` over the plane, over 2π, for α from 0 to below 1.
fn dilogarithm(alpha: f32) -> f32 {
    let series = |x: f32| (1..=20).rev().fold(0.0, |sum, k| x * (1.0 / (k * k) as f32 + sum));
    if alpha <= 0.5 {
        return series(alpha);
    }
    let rest = 1.0 - alpha;
    std::f32::consts::PI.powi(2) / 6.0 - alpha.ln() * rest.ln() - series(rest)
}

fn representable(opacity: f32) -> f32 {
    let [least, most] = OPACITIES;
    // What overflows f32 is as transparent as it may be.
    if opacity.is_nan() { least } else { opacity.clamp(least, most) }
}

/// The roots of the determinants of the blocks of a covariance that are seen along x, y and z. Their root mean square is
/// that over all directions, `√(I₂ / 3)`: the sum I₂ of the principal minors is the same in all coordinates.
#[inline(always)]
fn areas(covariance: &[f32; 6]) -> [f32; 3] {
    std::array::from_fn(|axis| determinant(&along(covariance, axis)).sqrt())
}

#[inline(always)]
fn root_mean_square(v: &[f32; 3]) -> f32 {
    ((v[0] * v[0] + v[1] * v[1] + v[2] * v[2]) / 3.0).sqrt()
}

/// Along each axis, `∫ exp(-½ xᵀ P⁻¹ x) exp(-½ (x - d)ᵀ Q⁻¹ (x - d)) dx / 2π`, which is
/// `√(|P| |Q| / |P + Q|) exp(-½ dᵀ (P + Q)⁻¹ d)`.
#[inline(always)]
fn overlaps(p: &Gaussian, q_covariance: &[f32; 6], q_areas: &[f32; 3], d: &[f32; 3]) -> [f32; 3] {
    let sum: [f32; 6] = std::array::from_fn(|k| p.covariance[k] + q_covariance[k]);
    std::array::from_fn(|axis| {
        let (s, [u, v]) = (along(&sum, axis), across(d, axis));
        let det = determinant(&s);
        if det <= 0.0 {
            return 0.0;
        }
        let mahalanobis = (s[2] * u * u - 2.0 * s[1] * u * v + s[0] * v * v) / det;
        p.areas[axis] * q_areas[axis] / det.sqrt() * (-0.5 * mahalanobis).exp()
    })
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
