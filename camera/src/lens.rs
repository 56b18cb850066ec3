//! Projection through a lens with exact first and second derivatives, and its inverse.
//!
//! Every supported lens maps normalised coordinates (u, v) = (x/z, y/z) to
//! `(u', v') = (u, v) g(u² + v²) + tangential(u, v)` and then to pixels. Its 2x2 Jacobian is symmetric.

use crate::{Real, each};
use serde::{Deserialize, Serialize};

/// How a lens bends rays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Distortion {
    /// A pinhole.
    #[default]
    None,
    /// Brown-Conrady with a rational radial part, as in OpenCV and COLMAP's FULL_OPENCV.
    Polynomial {
        /// Radial factor (1 + k1 r² + k2 r⁴ + k3 r⁶) / (1 + k4 r² + k5 r⁴ + k6 r⁶).
        k: [f64; 6],
        /// Tangential coefficients p1, p2.
        p: [f64; 2],
    },
    /// Kannala-Brandt: the angle θ to the axis becomes the radius θ(1 + k1 θ² + k2 θ⁴ + k3 θ⁶ + k4 θ⁸).
    Fisheye {
        /// Coefficients k1 to k4.
        k: [f64; 4],
    },
}

/// Focal lengths and principal point in pixels, and distortion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lens {
    /// `[fx, fy]` in pixels.
    pub focal: [f64; 2],
    /// `[cx, cy]` in pixels; the image corner is (0, 0).
    pub centre: [f64; 2],
    /// Bending of rays.
    pub distortion: Distortion,
}

/// A distorted point with the derivatives that projecting a Gaussian forwards and backwards needs.
#[derive(Clone, Copy, Debug)]
pub struct Distorted<R> {
    /// Distorted coordinates (u', v').
    pub uv: [R; 2],
    /// The symmetric Jacobian: ∂u'/∂u, ∂u'/∂v = ∂v'/∂u, ∂v'/∂v.
    pub jacobian: [R; 3],
    /// Its derivatives: ∂²u'/∂u², ∂²u'/∂u∂v, ∂²u'/∂v² = ∂²v'/∂u∂v, ∂²v'/∂v² (the third-order potential).
    pub hessian: [R; 4],
}

/// A projected point with its Jacobians.
#[derive(Clone, Copy, Debug)]
pub struct Projected<R> {
    /// Pixel coordinates.
    pub pixel: [R; 2],
    /// ∂pixel/∂point, `[2, 3]`.
    pub d_point: [[R; 3]; 2],
    /// ∂pixel/∂parameters, `[2, 12]`, in the order fx, fy, cx, cy, then the distortion's own (k1, k2, p1, p2,
    /// k3, k4, k5, k6 for the polynomial, k1 to k4 for the fisheye). Unused columns are zero.
    pub d_params: [[R; 12]; 2],
}

/// Why a pixel has no ray.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum UnprojectError {
    /// The distortion is not invertible there.
    #[error(
        "the lens has no ray through pixel ({0:.1}, {1:.1}): it lies outside the range where the distortion is invertible"
    )]
    OutsideValidRange(f64, f64),
}

impl Lens {
    /// Distorts normalised coordinates.
    #[inline(always)]
    pub fn distort<R: Real>(&self, u: R, v: R) -> Distorted<R> {
        let zero = R::splat(0.0);
        match &self.distortion {
            Distortion::None => {
                let one = R::splat(1.0);
                Distorted { uv: [u, v], jacobian: [one, zero, one], hessian: [zero; 4] }
            }
            Distortion::Polynomial { k, p } => {
                let mut out = radial_map(u, v, rational(k, u * u + v * v));
                add_tangential(&mut out, p, u, v);
                out
            }
            Distortion::Fisheye { k } => radial_map(u, v, fisheye(k, u * u + v * v)),
        }
    }

    /// Projects a point `[x, y, z]` of the camera frame (z > 0) with all its derivatives.
    pub fn project<R: Real>(&self, point: [R; 3]) -> Projected<R> {
        let [x, y, z] = point;
        let inv_z = z.recip();
        let (u, v) = (x * inv_z, y * inv_z);
        let d = self.distort(u, v);
        let [fx, fy] = self.focal.map(R::splat);
        let [cx, cy] = self.centre.map(R::splat);
        let [a, b, c] = d.jacobian;
        let row = |f: R, du: R, dv: R| {
            let (du, dv) = (f * du * inv_z, f * dv * inv_z);
            [du, dv, -(du * u + dv * v)]
        };
        let zero = R::splat(0.0);
        let mut d_params = [[zero; 12]; 2];
        d_params[0][0] = d.uv[0];
        d_params[1][1] = d.uv[1];
        d_params[0][2] = R::splat(1.0);
        d_params[1][3] = R::splat(1.0);
        self.distortion_param_gradients(u, v, [fx, fy], &mut d_params);
        Projected { pixel: [fx * d.uv[0] + cx, fy * d.uv[1] + cy], d_point: [row(fx, a, b), row(fy, b, c)], d_params }
    }

    fn distortion_param_gradients<R: Real>(&self, u: R, v: R, f: [R; 2], out: &mut [[R; 12]; 2]) {
        let rho = u * u + v * v;
        let mut radial = |column: usize, dg: R| {
            out[0][column] = f[0] * u * dg;
            out[1][column] = f[1] * v * dg;
        };
        match &self.distortion {
            Distortion::None => {}
            Distortion::Polynomial { k, .. } => {
                let (numerator, denominator) = rational_parts(k, rho);
                let (n, d) = (numerator[0], denominator[0]);
                let mut power = rho;
                for (top, bottom) in [(4, 9), (5, 10), (8, 11)] {
                    radial(top, power / d);
                    radial(bottom, -(n * power) / (d * d));
                    power = power * rho;
                }
                let two = R::splat(2.0);
                let cross = two * u * v;
                out[0][6] = f[0] * cross;
                out[1][6] = f[1] * (rho + two * v * v);
                out[0][7] = f[0] * (rho + two * u * u);
                out[1][7] = f[1] * cross;
            }
            Distortion::Fisheye { .. } => {
                let a = atan_over_r(rho)[0];
                let t = rho * a * a;
                let mut power = t;
                for column in 4..8 {
                    radial(column, a * power);
                    power = power * t;
                }
            }
        }
    }

    /// The largest squared normalised radius up to which the radial distortion grows monotonically; beyond it
    /// rays would fold back into the picture. Infinite when there is no such limit.
    pub fn max_valid_radius_squared(&self) -> f64 {
        if matches!(self.distortion, Distortion::None) {
            return f64::INFINITY;
        }
        // d(r g)/dr = g + 2 ρ g' must stay positive; walk outwards and then bisect the first failure.
        let slope = |rho: f64| {
            let [g, g1, _] = match &self.distortion {
                Distortion::None => [1.0, 0.0, 0.0],
                Distortion::Polynomial { k, .. } => rational(k, rho),
                Distortion::Fisheye { k } => fisheye(k, rho),
            };
            g + 2.0 * rho * g1
        };
        const FARTHEST: f64 = 1e4; // a radius of 100, or 89.4 degrees off the axis
        let mut good = 0.0;
        let mut rho = 1e-3;
        while rho < FARTHEST {
            if slope(rho) <= 0.0 || !slope(rho).is_finite() {
                let mut bad = rho;
                for _ in 0..60 {
                    let middle = 0.5 * (good + bad);
                    if slope(middle) > 0.0 { good = middle } else { bad = middle }
                }
                return good;
            }
            good = rho;
            rho *= 1.02;
        }
        if matches!(self.distortion, Distortion::Fisheye { .. }) { FARTHEST } else { f64::INFINITY }
    }

    /// Normalised coordinates (u, v) of the ray through a pixel: the ray is (u, v, 1).
    ///
    /// # Errors
    /// When Newton's iteration finds no point inside the valid range that lands on the pixel.
    pub fn unproject(&self, pixel: [f64; 2]) -> Result<[f64; 2], UnprojectError> {
        let target = self.distorted_coordinates(pixel);
        let limit = self.max_valid_radius_squared();
        let [u, v] = self.newton(target, limit);
        let reached = self.distort(u, v).uv;
        let error = (reached[0] - target[0]).hypot(reached[1] - target[1]);
        if error <= 1e-9 * (1.0 + target[0].hypot(target[1])) {
            Ok([u, v])
        } else {
            Err(UnprojectError::OutsideValidRange(pixel[0], pixel[1]))
        }
    }

    /// As [`Lens::unproject`], but a pixel without a ray gets the nearest ray of the valid range.
    pub fn unproject_clamped(&self, pixel: [f64; 2]) -> [f64; 2] {
        self.unproject_within(pixel, self.max_valid_radius_squared())
    }

    /// As [`Lens::unproject_clamped`], for who asks for many pixels and has found [`Lens::max_valid_radius_squared`] before.
    pub fn unproject_within(&self, pixel: [f64; 2], max_radius_squared: f64) -> [f64; 2] {
        self.newton(self.distorted_coordinates(pixel), max_radius_squared)
    }

    fn distorted_coordinates(&self, pixel: [f64; 2]) -> [f64; 2] {
        [(pixel[0] - self.centre[0]) / self.focal[0], (pixel[1] - self.centre[1]) / self.focal[1]]
    }

    /// Damped Newton from the radially inverted target, kept inside the valid radius.
    fn newton(&self, target: [f64; 2], limit: f64) -> [f64; 2] {
        if matches!(self.distortion, Distortion::None) {
            return target;
        }
        let [mut u, mut v] = self.invert_radial(target, limit);
        for _ in 0..50 {
            let d = self.distort(u, v);
            let (ru, rv) = (d.uv[0] - target[0], d.uv[1] - target[1]);
            let [a, b, c] = d.jacobian;
            let det = a * c - b * b;
            if det <= 0.0 || !det.is_finite() {
                break;
            }
            let (du, dv) = ((c * ru - b * rv) / det, (a * rv - b * ru) / det);
            u -= du;
            v -= dv;
            let rho = u * u + v * v;
            if rho > limit {
                let shrink = (limit / rho).sqrt();
                u *= shrink;
                v *= shrink;
            }
            if du.abs() + dv.abs() <= 1e-15 * (1.0 + u.abs() + v.abs()) {
                break;
            }
        }
        [u, v]
    }

    /// Inverts the radial part alone by bisection: a start from which Newton converges.
    fn invert_radial(&self, target: [f64; 2], limit: f64) -> [f64; 2] {
        let goal = target[0].hypot(target[1]);
        if goal == 0.0 {
            return [0.0, 0.0];
        }
        let reach = |r: f64| {
            r * match &self.distortion {
                Distortion::None => 1.0,
                Distortion::Polynomial { k, .. } => rational(k, r * r)[0],
                Distortion::Fisheye { k } => fisheye(k, r * r)[0],
            }
        };
        let mut high = limit.sqrt().min(100.0);
        let mut low = 0.0;
        if reach(high) > goal {
            for _ in 0..40 {
                let middle = 0.5 * (low + high);
                if reach(middle) < goal { low = middle } else { high = middle }
            }
        }
        let scale = high / goal;
        [target[0] * scale, target[1] * scale]
    }
}

/// Applies (u, v) -> (u, v) g(ρ), given g and its first two derivatives by ρ = u² + v².
#[inline(always)]
fn radial_map<R: Real>(u: R, v: R, [g, g1, g2]: [R; 3]) -> Distorted<R> {
    let two = R::splat(2.0);
    let six = R::splat(6.0);
    let four = R::splat(4.0);
    let (uu, uv, vv) = (u * u, u * v, v * v);
    Distorted {
        uv: [u * g, v * g],
        jacobian: [g + two * uu * g1, two * uv * g1, g + two * vv * g1],
        hessian: [
            u * (six * g1 + four * uu * g2),
            v * (two * g1 + four * uu * g2),
            u * (two * g1 + four * vv * g2),
            v * (six * g1 + four * vv * g2),
        ],
    }
}

#[inline(always)]
fn add_tangential<R: Real>(out: &mut Distorted<R>, p: &[f64; 2], u: R, v: R) {
    let two = R::splat(2.0);
    let three = R::splat(3.0);
    let six = R::splat(6.0);
    let [p1, p2] = [R::splat(p[0]), R::splat(p[1])];
    let (uu, vv, cross) = (u * u, v * v, two * u * v);
    out.uv[0] = out.uv[0] + p1 * cross + p2 * (three * uu + vv);
    out.uv[1] = out.uv[1] + p2 * cross + p1 * (three * vv + uu);
    out.jacobian[0] = out.jacobian[0] + two * p1 * v + six * p2 * u;
    out.jacobian[1] = out.jacobian[1] + two * (p1 * u + p2 * v);
    out.jacobian[2] = out.jacobian[2] + two * p2 * u + six * p1 * v;
    out.hessian[0] = out.hessian[0] + six * p2;
    out.hessian[1] = out.hessian[1] + two * p1;
    out.hessian[2] = out.hessian[2] + two * p2;
    out.hessian[3] = out.hessian[3] + six * p1;
}

/// Numerator and denominator of the rational radial factor, each with two derivatives by ρ.
#[inline(always)]
fn rational_parts<R: Real>(k: &[f64; 6], rho: R) -> ([R; 3], [R; 3]) {
    (cubic([k[0], k[1], k[2]], rho), cubic([k[3], k[4], k[5]], rho))
}

/// 1 + a ρ + b ρ² + c ρ³ with two derivatives.
#[inline(always)]
fn cubic<R: Real>([a, b, c]: [f64; 3], rho: R) -> [R; 3] {
    let (a, b, c) = (R::splat(a), R::splat(b), R::splat(c));
    let two = R::splat(2.0);
    let three = R::splat(3.0);
    [
        R::splat(1.0) + rho * (a + rho * (b + rho * c)),
        a + rho * (two * b + three * rho * c),
        two * b + R::splat(6.0) * rho * c,
    ]
}

#[inline(always)]
fn rational<R: Real>(k: &[f64; 6], rho: R) -> [R; 3] {
    let ([n, n1, n2], [d, d1, d2]) = rational_parts(k, rho);
    let inv = d.recip();
    let g = n * inv;
    let g1 = (n1 - g * d1) * inv;
    let g2 = (n2 - g * d2 - R::splat(2.0) * g1 * d1) * inv;
    [g, g1, g2]
}

/// θ(r)/r = atan(r)/r as a function of ρ = r², with two derivatives; a series near the axis where the closed
/// form cancels.
#[inline(always)]
fn atan_over_r<R: Real>(rho: R) -> [R; 3] {
    const SERIES_BELOW: f64 = 0.1; // twelve terms: relative errors below 1e-13, 2e-11 and 2e-9
    let near = rho.lt(R::splat(SERIES_BELOW));
    let mut series = [R::splat(0.0); 3];
    for n in (0..=11).rev() {
        let sign = if n % 2 == 0 { 1.0 } else { -1.0 };
        let c = sign / f64::from(2 * n + 1);
        series[0] = series[0] * rho + R::splat(c);
        if n >= 1 {
            series[1] = series[1] * rho + R::splat(c * f64::from(n));
        }
        if n >= 2 {
            series[2] = series[2] * rho + R::splat(c * f64::from(n * (n - 1)));
        }
    }
    let safe = rho.max(R::splat(SERIES_BELOW));
    let r = safe.sqrt();
    let a = r.atan() / r;
    let inv = (R::splat(1.0) + safe).recip();
    let half_inv = R::splat(0.5) / safe;
    let a1 = (inv - a) * half_inv;
    let a2 = (-(inv * inv) - R::splat(3.0) * a1) * half_inv;
    [R::select(near, series[0], a), R::select(near, series[1], a1), R::select(near, series[2], a2)]
}

#[inline(always)]
fn fisheye<R: Real>(k: &[f64; 4], rho: R) -> [R; 3] {
    let [a, a1, a2] = atan_over_r(rho);
    let two = R::splat(2.0);
    let t = rho * a * a;
    let t1 = a * a + two * rho * a * a1;
    let t2 = R::splat(4.0) * a * a1 + two * rho * (a1 * a1 + a * a2);
    let [k1, k2, k3, k4] = each!(4, |i| R::splat(k[i]));
    let p = R::splat(1.0) + t * (k1 + t * (k2 + t * (k3 + t * k4)));
    let three = R::splat(3.0);
    let p1 = k1 + t * (two * k2 + t * (three * k3 + R::splat(4.0) * t * k4));
    let p2 = two * k2 + t * (R::splat(6.0) * k3 + R::splat(12.0) * t * k4);
    [a * p, a1 * p + a * p1 * t1, a2 * p + two * a1 * p1 * t1 + a * (p2 * t1 * t1 + p1 * t2)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn lenses() -> Vec<Lens> {
        let with = |distortion| Lens { focal: [500.0, 510.0], centre: [320.0, 243.0], distortion };
        vec![
            with(Distortion::None),
            with(Distortion::Polynomial { k: [0.06, -0.08, 0.01, 0.02, 0.0, 0.003], p: [1e-3, -2e-3] }),
            with(Distortion::Fisheye { k: [0.03, -0.01, 0.002, -0.0005] }),
        ]
    }

    #[test]
    fn derivatives_match_central_differences() {
        let seed = tessera_test_seed::test_seed();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        const H: f64 = 1e-5;
        for lens in lenses() {
            for _ in 0..200 {
                let (u, v): (f64, f64) = (rng.random_range(-0.9..0.9), rng.random_range(-0.9..0.9));
                let at = lens.distort(u, v);
                let along = |du: f64, dv: f64| (lens.distort(u + du, v + dv), lens.distort(u - du, v - dv));
                let ((up, um), (vp, vm)) = (along(H, 0.0), along(0.0, H));
                let slope = |p: f64, m: f64| (p - m) / (2.0 * H);
                let pairs = [
                    (at.jacobian[0], slope(up.uv[0], um.uv[0])),
                    (at.jacobian[1], slope(vp.uv[0], vm.uv[0])),
                    (at.jacobian[1], slope(up.uv[1], um.uv[1])),
                    (at.jacobian[2], slope(vp.uv[1], vm.uv[1])),
                    (at.hessian[0], slope(up.jacobian[0], um.jacobian[0])),
                    (at.hessian[1], slope(vp.jacobian[0], vm.jacobian[0])),
                    (at.hessian[2], slope(vp.jacobian[1], vm.jacobian[1])),
                    (at.hessian[2], slope(up.jacobian[2], um.jacobian[2])),
                    (at.hessian[3], slope(vp.jacobian[2], vm.jacobian[2])),
                ];
                for (index, (analytic, numeric)) in pairs.into_iter().enumerate() {
                    let tolerance = 1e-7 * (1.0 + analytic.abs());
                    assert!(
                        (analytic - numeric).abs() < tolerance,
                        "derivative {index} at ({u}, {v}) of {lens:?}: {analytic} against {numeric}"
                    );
                }
            }
        }
    }

    #[test]
    fn unproject_inverts_projection() {
        for lens in lenses() {
            for (u, v) in [(0.0, 0.0), (0.3, -0.2), (-0.7, 0.6), (1e-9, 0.0)] {
                let pixel = lens.project([2.0 * u, 2.0 * v, 2.0]).pixel;
                let back = lens.unproject(pixel).expect("inside the valid range");
                assert!((back[0] - u).hypot(back[1] - v) < 1e-10, "{lens:?} at ({u}, {v}) came back as {back:?}");
            }
        }
    }

    #[test]
    fn a_pixel_beyond_the_turning_point_has_no_ray() {
        let lens = Lens {
            focal: [100.0; 2],
            centre: [0.0; 2],
            distortion: Distortion::Polynomial { k: [-0.3, 0.0, 0.0, 0.0, 0.0, 0.0], p: [0.0; 2] },
        };
        // r (1 - 0.3 r²) peaks at r = 1/sqrt(0.9).
        assert!((lens.max_valid_radius_squared() - 1.0 / 0.9).abs() < 1e-6);
        assert!(lens.unproject([90.0, 0.0]).is_err());
        assert!(lens.unproject([60.0, 0.0]).is_ok());
    }
}
