//! The gradient of what is seen at a moment, over any [`Real`].

use tessera_camera::spacetime::{Conditional, left_matrix, right_matrix};
use tessera_camera::{Real, each};

/// The gradient of a loss with respect to what a moment shows of a Gaussian.
#[derive(Clone, Copy, Debug)]
pub struct SeenGradient<R> {
    /// ∂L/∂mean.
    pub mean: [R; 3],
    /// ∂L/∂covariance xx, xy, xz, yy, yz, zz, off-diagonals counted once.
    pub covariance: [R; 6],
    /// ∂L/∂ the share of opacity that time leaves.
    pub weight: R,
}

/// The gradient with respect to the Gaussian; that of its mean is [`SeenGradient::mean`].
#[derive(Clone, Copy, Debug)]
pub struct ShapeGradient<R> {
    /// ∂L/∂time.
    pub time: R,
    /// ∂L/∂ the logarithms of the four scales.
    pub log_scale: [R; 4],
    /// ∂L/∂left, unnormalised.
    pub left: [R; 4],
    /// ∂L/∂right, unnormalised.
    pub right: [R; 4],
}

#[inline(always)]
fn dot<R: Real>(a: [R; 4], b: [R; 4]) -> R {
    a[0].mul_add(b[0], a[1].mul_add(b[1], a[2].mul_add(b[2], a[3] * b[3])))
}

#[inline(always)]
fn sum3<R: Real>(a: [R; 3], b: [R; 3]) -> R {
    a[0].mul_add(b[0], a[1].mul_add(b[1], a[2] * b[2]))
}

/// Through what a Gaussian looks like `since` after its own time to its parameters.
#[inline(always)]
pub fn condition_backward<R: Real>(seen: &Conditional<R>, since: R, v: &SeenGradient<R>) -> ShapeGradient<R> {
    let zero = R::splat(0.0);
    let (half, two) = (R::splat(0.5), R::splat(2.0));
    let Conditional { is_static, scale, rotation, along_time: h, root, velocity, time_variance, .. } = *seen;
    let moves = |value: R| R::select(is_static, zero, value);

    // mean = μ + velocity since, weight = exp(-since² / 2 variance).
    let inv_variance = time_variance.recip();
    let d_exponent = v.weight * seen.time_weight(since);
    let d_since = moves(sum3(v.mean, velocity) - d_exponent * since * inv_variance);
    let through_weight = half * d_exponent * (since * inv_variance).squared();
    let d_velocity = each!(3, |r| moves(v.mean[r] * since));

    // covariance = C Cᵀ. As C h = 0, what the projection takes from the gradient of C is zero.
    let [xx, xy, xz, yy, yz, zz] = v.covariance;
    let (xy, xz, yz) = (half * xy, half * xz, half * yz);
    let symmetric = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]];
    let d_root: [[R; 4]; 3] = each!(3, |r| each!(4, |i| {
        two * (symmetric[r][0] * root[0][i] + symmetric[r][1] * root[1][i] + symmetric[r][2] * root[2][i])
    }));

    // velocity = B h / |a|, C = B - (B h) hᵀ.
    let inv_length = inv_variance.sqrt();
    let b: [[R; 4]; 3] = each!(3, |r| each!(4, |i| rotation[r][i] * scale[i]));
    let projected = each!(3, |r| dot(b[r], h));
    let d_projected = each!(3, |r| d_velocity[r] * inv_length);
    let d_b: [[R; 4]; 3] = each!(3, |r| each!(4, |i| d_root[r][i] + d_projected[r] * h[i]));
    let d_h = each!(4, |i| {
        let through_velocity = sum3(d_projected, [b[0][i], b[1][i], b[2][i]]);
        through_velocity - sum3(projected, [d_root[0][i], d_root[1][i], d_root[2][i]])
    });
    // |a|⁻¹ enters the velocity, and the variance is |a|²; h = a / |a| turns only across itself.
    let d_variance = through_weight - half * inv_variance * sum3(d_velocity, velocity);
    let across = dot(d_h, h);
    let d_a = each!(4, |i| moves(inv_length * (d_h[i] - across * h[i]) + two * d_variance * rotation[3][i] * scale[i]));

    let rows = [d_b[0], d_b[1], d_b[2], d_a];
    let log_scale = each!(4, |i| {
        let column = [rotation[0][i], rotation[1][i], rotation[2][i], rotation[3][i]];
        scale[i] * dot([rows[0][i], rows[1][i], rows[2][i], rows[3][i]], column)
    });
    let d_rotation: [[R; 4]; 4] = each!(4, |r| each!(4, |i| rows[r][i] * scale[i]));
    let [left, right] = quaternions_backward(seen, &d_rotation);
    let [sx, sy, sz, st] = log_scale;
    ShapeGradient { time: -d_since, log_scale: [sx, sy, sz, moves(st)], left, right }
}

/// From the gradient of the rotation to those of the two quaternions before they were normalised.
#[inline(always)]
fn quaternions_backward<R: Real>(seen: &Conditional<R>, d: &[[R; 4]; 4]) -> [[R; 4]; 2] {
    let [left, right] = seen.units;
    let (l, m) = (left_matrix(left), right_matrix(right));
    let d_l: [[R; 4]; 4] = each!(4, |i| each!(4, |j| dot(d[i], m[j])));
    let d_m: [[R; 4]; 4] =
        each!(4, |i| each!(4, |j| dot([l[0][i], l[1][i], l[2][i], l[3][i]], [d[0][j], d[1][j], d[2][j], d[3][j]])));
    let d_left = [
        d_l[0][0] + d_l[1][1] + d_l[2][2] + d_l[3][3],
        d_l[1][0] - d_l[0][1] + d_l[3][2] - d_l[2][3],
        d_l[2][0] - d_l[0][2] + d_l[1][3] - d_l[3][1],
        d_l[3][0] - d_l[0][3] + d_l[2][1] - d_l[1][2],
    ];
    let d_right = [
        d_m[0][0] + d_m[1][1] + d_m[2][2] + d_m[3][3],
        d_m[0][1] - d_m[1][0] + d_m[3][2] - d_m[2][3],
        d_m[0][2] - d_m[2][0] + d_m[1][3] - d_m[3][1],
        d_m[0][3] - d_m[3][0] + d_m[2][1] - d_m[1][2],
    ];
    // The right quaternion of a static Gaussian is its left one with two signs turned.
    let mirrored = [d_right[0], -d_right[1], -d_right[2], d_right[3]];
    let zero = R::splat(0.0);
    let d_left = each!(4, |i| d_left[i] + R::select(seen.is_static, mirrored[i], zero));
    let along = dot(d_left, left);
    let of_left = each!(4, |i| (d_left[i] - along * left[i]) * seen.inv_norms[0]);
    let along = dot(d_right, right);
    let of_right = each!(4, |i| R::select(seen.is_static, zero, (d_right[i] - along * right[i]) * seen.inv_norms[1]));
    [of_left, of_right]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    use tessera_camera::spacetime::{SpacetimeShape, condition, left_of_rotation};

    /// Time, four scales, two quaternions.
    type Parameters = [f64; 13];

    fn loss(p: &Parameters, at: f64, v: &SeenGradient<f64>) -> f64 {
        let seen = condition(&shape(p));
        let since = at - p[0];
        let means: f64 = (0..3).map(|r| v.mean[r] * seen.velocity[r] * since).sum();
        let covariance = seen.covariance();
        let covariances: f64 = (0..6).map(|i| v.covariance[i] * covariance[i]).sum();
        means + covariances + v.weight * seen.time_weight(since)
    }

    fn shape(p: &Parameters) -> SpacetimeShape<f64> {
        SpacetimeShape {
            log_scale: [p[1], p[2], p[3]],
            log_time_scale: p[4],
            left: [p[5], p[6], p[7], p[8]],
            right: [p[9], p[10], p[11], p[12]],
        }
    }

    fn check(p: &Parameters, at: f64, v: &SeenGradient<f64>, seed: u64) {
        const STEP: f64 = 1e-5;
        let g = condition_backward(&condition(&shape(p)), at - p[0], v);
        let got: Vec<f64> = [g.time].into_iter().chain(g.log_scale).chain(g.left).chain(g.right).collect();
        let differences: Vec<f64> = (0..13)
            .map(|i| {
                let moved = |by: f64| {
                    let mut q = *p;
                    q[i] += by;
                    loss(&q, at, v)
                };
                (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
            })
            .collect();
        // Central differences err by a sixth of the third derivative times the square of the step, 2e-11 of it, and by
        // rounding, 1e-16 / 1e-5 of the loss; the third derivatives stay below ten thousand times the gradient.
        let largest = differences.iter().fold(1.0f64, |m, d| m.max(d.abs()));
        for (i, (got, wanted)) in got.iter().zip(&differences).enumerate() {
            assert!((got - wanted).abs() < 3e-7 * largest, "seed {seed}, parameter {i}: {got} instead of {wanted}");
        }
    }

    #[test]
    fn gradients_are_the_differences_of_the_slice() {
        let seed = tessera_test_seed::test_seed();
        let mut rng = StdRng::seed_from_u64(seed);
        for round in 0..200 {
            let mut p: Parameters = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
            let v = SeenGradient {
                mean: std::array::from_fn(|_| rng.random_range(-1.0..1.0)),
                covariance: std::array::from_fn(|_| rng.random_range(-1.0..1.0)),
                weight: rng.random_range(-1.0..1.0),
            };
            let at = p[0] + rng.random_range(-0.5..0.5);
            // Short quaternions make every derivative large.
            for quat in [5..9, 9..13] {
                let length = p[quat.clone()].iter().map(|q| q * q).sum::<f64>().sqrt();
                p[quat].iter_mut().for_each(|q| *q *= 1.3 / length);
            }
            if round % 4 == 0 {
                p[4] = 20.0;
                let q = left_of_rotation([p[5], p[6], p[7], p[8]]);
                p[5..9].copy_from_slice(&q);
            }
            check(&p, at, &v, seed);
        }
    }
}
