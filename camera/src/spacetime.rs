//! Gaussians in space and time, and what of them is seen at one moment.
//!
//! A Gaussian over (x, y, z, t) has the covariance `Σ = R diag(s)² Rᵀ` with four standard deviations `s` and the rotation
//! `R = L(left) M(right)` of four dimensions: on a vector as the quaternion x + y i + z j + t k it acts as
//! `left · v · conj(right)`. With `Σ = [[A, k], [kᵀ, v]]`, the moment t shows a Gaussian in space with
//!
//! - mean `μ + velocity (t - μ_t)`, `velocity = k / v`,
//! - covariance `A - k kᵀ / v`, which does not depend on t,
//! - opacity times `exp(-(t - μ_t)² / 2v)`.
//!
//! Yang et al., "Real-time Photorealistic Dynamic Scene Representation and Rendering with 4D Gaussian Splatting", 2024; Xu et
//! al., "Representing Long Volumetric Video with Temporal Gaussian Hierarchy", 2024.
//!
//! `A - k kᵀ / v` cancels where a Gaussian is long along its own motion. With `B` and `a` the rows of `R diag(s)` for space and
//! for time and `h = a / |a|`, the same matrix is `C Cᵀ` with `C = B - (B h) hᵀ`, which is never indefinite.

use crate::{Real, each};

/// From this logarithm of its standard deviation along time on (14 days, in seconds) a Gaussian is *static*: always there, never
/// moving. Its left quaternion alone turns it, as [`left_of_rotation`] says, and its right one means nothing.
pub const FOREVER: f64 = 14.0;

/// Times at which a Gaussian has no more than this share of its opacity do not show it.
pub const MIN_TIME_WEIGHT: f64 = 0.05;

/// How a Gaussian lies in space and time, as stored.
#[derive(Clone, Copy, Debug)]
pub struct SpacetimeShape<R> {
    /// Natural logarithm of the standard deviations along the first three axes.
    pub log_scale: [R; 3],
    /// Natural logarithm of the standard deviation along the fourth.
    pub log_time_scale: R,
    /// Left quaternion of the rotation, not normalised.
    pub left: [R; 4],
    /// Right quaternion of the rotation, not normalised.
    pub right: [R; 4],
}

/// What of a [`SpacetimeShape`] is seen at any moment, and what it came from.
#[derive(Clone, Copy, Debug)]
pub struct Conditional<R: Real> {
    /// Whether it never moves and never ends; then `velocity` is zero and `time_variance` means nothing.
    pub is_static: R::Mask,
    /// The quaternions normalised; the right one of a static Gaussian follows from the left one.
    pub units: [[R; 4]; 2],
    /// One over the quaternions' lengths.
    pub inv_norms: [R; 2],
    /// Standard deviations.
    pub scale: [R; 4],
    /// `R`, rows x, y, z, t.
    pub rotation: [[R; 4]; 4],
    /// `h`, the direction of time among the scaled axes.
    pub along_time: [R; 4],
    /// `C`, whose square is the covariance.
    pub root: [[R; 4]; 3],
    /// Units of space for each unit of time.
    pub velocity: [R; 3],
    /// `v`.
    pub time_variance: R,
}

impl<R: Real> Conditional<R> {
    /// The covariance in space: xx, xy, xz, yy, yz, zz.
    #[inline(always)]
    pub fn covariance(&self) -> [R; 6] {
        let c = &self.root;
        [dot(c[0], c[0]), dot(c[0], c[1]), dot(c[0], c[2]), dot(c[1], c[1]), dot(c[1], c[2]), dot(c[2], c[2])]
    }

    /// What is left of the opacity `since` after the Gaussian's own time.
    #[inline(always)]
    pub fn time_weight(&self, since: R) -> R {
        let weight = (R::splat(-0.5) * since * since / self.time_variance).exp();
        R::select(self.is_static, R::splat(1.0), weight)
    }
}

#[inline(always)]
fn dot<R: Real>(a: [R; 4], b: [R; 4]) -> R {
    a[0].mul_add(b[0], a[1].mul_add(b[1], a[2].mul_add(b[2], a[3] * b[3])))
}

/// `L` of a left quaternion.
#[inline(always)]
pub fn left_matrix<R: Real>([a, b, c, d]: [R; 4]) -> [[R; 4]; 4] {
    [[a, -b, -c, -d], [b, a, -d, c], [c, d, a, -b], [d, -c, b, a]]
}

/// `M` of a right quaternion.
#[inline(always)]
pub fn right_matrix<R: Real>([p, q, r, s]: [R; 4]) -> [[R; 4]; 4] {
    [[p, q, r, s], [-q, p, -s, r], [-r, s, p, -q], [-s, -r, q, p]]
}

/// Condenses a Gaussian in space and time to what is seen of it at a moment.
#[inline(always)]
pub fn condition<R: Real>(shape: &SpacetimeShape<R>) -> Conditional<R> {
    let tiny = R::splat(1e-30);
    let zero = R::splat(0.0);
    let is_static = R::splat(FOREVER).le(shape.log_time_scale);
    let inv_norms =
        [(dot(shape.left, shape.left) + tiny).sqrt().recip(), (dot(shape.right, shape.right) + tiny).sqrt().recip()];
    let left = each!(4, |i| shape.left[i] * inv_norms[0]);
    let mirrored = [left[0], -left[1], -left[2], left[3]];
    let right = each!(4, |i| R::select(is_static, mirrored[i], shape.right[i] * inv_norms[1]));

    let (l, m) = (left_matrix(left), right_matrix(right));
    let rotation: [[R; 4]; 4] = each!(4, |i| each!(4, |j| {
        l[i][0].mul_add(m[0][j], l[i][1].mul_add(m[1][j], l[i][2].mul_add(m[2][j], l[i][3] * m[3][j])))
    }));
    let time_scale = shape.log_time_scale.min(R::splat(FOREVER)).exp();
    let [sx, sy, sz] = each!(3, |i| shape.log_scale[i].exp());
    let scale = [sx, sy, sz, R::select(is_static, R::splat(1.0), time_scale)];

    let a = each!(4, |i| rotation[3][i] * scale[i]);
    let time_variance = dot(a, a) + tiny;
    let inv_length = time_variance.sqrt().recip();
    let along_time = each!(4, |i| a[i] * inv_length);
    let b: [[R; 4]; 3] = each!(3, |r| each!(4, |i| rotation[r][i] * scale[i]));
    let projected = each!(3, |r| dot(b[r], along_time));
    let root = each!(3, |r| each!(4, |i| b[r][i] - projected[r] * along_time[i]));
    let velocity = each!(3, |r| R::select(is_static, zero, projected[r] * inv_length));
    Conditional {
        is_static,
        units: [left, right],
        inv_norms,
        scale,
        rotation,
        along_time,
        root,
        velocity,
        time_variance,
    }
}

/// The left quaternion of a static Gaussian that is turned by the rotation (w, x, y, z) in space.
pub fn left_of_rotation<T: Copy + std::ops::Neg<Output = T>>([w, x, y, z]: [T; 4]) -> [T; 4] {
    [w, z, -y, x]
}

/// The right quaternion that together with `left` turns space alone.
pub fn right_of_left<T: Copy + std::ops::Neg<Output = T>>([a, b, c, d]: [T; 4]) -> [T; 4] {
    [a, -b, -c, d]
}

/// The rotation (w, x, y, z) in space of a static Gaussian, the inverse of [`left_of_rotation`].
pub fn rotation_of_left<T: Copy + std::ops::Neg<Output = T>>([a, b, c, d]: [T; 4]) -> [T; 4] {
    [a, d, -c, b]
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Matrix3, Matrix4, Quaternion, UnitQuaternion, Vector3};
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn random(rng: &mut StdRng) -> SpacetimeShape<f64> {
        let mut values = |low: f64, high: f64| std::array::from_fn(|_| rng.random_range(low..high));
        SpacetimeShape {
            log_scale: {
                let [a, b, c, _]: [f64; 4] = values(-3.0, 0.5);
                [a, b, c]
            },
            log_time_scale: {
                let [a, ..]: [f64; 4] = values(-3.0, 0.5);
                a
            },
            left: values(-1.0, 1.0),
            right: values(-1.0, 1.0),
        }
    }

    fn covariance4(shape: &SpacetimeShape<f64>) -> Matrix4<f64> {
        let turn = condition(shape).rotation;
        let turn = Matrix4::from_fn(|i, j| turn[i][j]);
        let [x, y, z] = shape.log_scale;
        let scales = nalgebra::Vector4::new(x, y, z, shape.log_time_scale).map(f64::exp);
        let root = turn * Matrix4::from_diagonal(&scales);
        root * root.transpose()
    }

    #[test]
    fn the_rotation_is_left_times_vector_times_conjugate_of_right() {
        let mut rng = StdRng::seed_from_u64(31);
        for _ in 0..100 {
            let shape = random(&mut rng);
            let r = condition(&shape).rotation;
            let matrix = Matrix4::from_fn(|i, j| r[i][j]);
            assert!((matrix * matrix.transpose() - Matrix4::identity()).amax() < 1e-12, "orthogonal");
            assert!((matrix.determinant() - 1.0).abs() < 1e-12, "no reflection");
            let unit = |[a, b, c, d]: [f64; 4]| Quaternion::new(a, b, c, d).normalize();
            let (left, right) = (unit(shape.left), unit(shape.right));
            for axis in 0..4 {
                let mut v = [0.0; 4];
                v[axis] = 1.0;
                let turned = left * Quaternion::new(v[0], v[1], v[2], v[3]) * right.conjugate();
                let turned = [turned.w, turned.i, turned.j, turned.k];
                for i in 0..4 {
                    assert!((turned[i] - matrix[(i, axis)]).abs() < 1e-12, "{turned:?} against column {axis}");
                }
            }
        }
    }

    #[test]
    fn what_is_seen_at_a_moment_is_the_conditional_distribution() {
        let mut rng = StdRng::seed_from_u64(32);
        for _ in 0..100 {
            let shape = random(&mut rng);
            let seen = condition(&shape);
            let whole = covariance4(&shape);
            // The conditional covariance is the inverse of the precision's block.
            let precision = whole.try_inverse().expect("positive definite");
            let wanted = Matrix3::from_fn(|i, j| precision[(i, j)]).try_inverse().expect("positive definite");
            let [xx, xy, xz, yy, yz, zz] = seen.covariance();
            let got = Matrix3::new(xx, xy, xz, xy, yy, yz, xz, yz, zz);
            assert!((got - wanted).amax() < 1e-9 * wanted.amax(), "{got} against {wanted}");
            assert!((seen.time_variance - whole[(3, 3)]).abs() < 1e-12 * whole[(3, 3)]);
            for i in 0..3 {
                let velocity = whole[(i, 3)] / whole[(3, 3)];
                assert!((seen.velocity[i] - velocity).abs() < 1e-12 * (1.0 + velocity.abs()));
            }
        }
    }

    #[test]
    fn a_static_gaussian_is_a_splat_in_space() {
        let mut rng = StdRng::seed_from_u64(33);
        for _ in 0..100 {
            let shape = random(&mut rng);
            let q: [f64; 4] = shape.left;
            let left = left_of_rotation(q);
            assert_eq!(rotation_of_left(left), q);
            let seen = condition(&SpacetimeShape { left, log_time_scale: f64::INFINITY, ..shape });
            let axes = UnitQuaternion::from_quaternion(Quaternion::new(q[0], q[1], q[2], q[3])).to_rotation_matrix();
            let variances = Vector3::from(shape.log_scale.map(|s| (2.0 * s).exp()));
            let wanted = axes * Matrix3::from_diagonal(&variances) * axes.inverse();
            let [xx, xy, xz, yy, yz, zz] = seen.covariance();
            let got = Matrix3::new(xx, xy, xz, xy, yy, yz, xz, yz, zz);
            assert!((got - wanted).amax() < 1e-12 * wanted.amax(), "{got} against {wanted}");
            assert_eq!(seen.velocity, [0.0; 3]);
            assert_eq!(seen.time_weight(1e9).to_bits(), 1f64.to_bits(), "never ends");
        }
    }
}
