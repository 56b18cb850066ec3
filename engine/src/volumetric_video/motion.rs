//! How first Gaussians move: velocities from where what moves is a little earlier and later, and Gaussians with such velocities.

use nalgebra::{Matrix4, Unit, UnitQuaternion, Vector3, Vector4};
use rayon::prelude::*;
use tessera_datasets::camera::spacetime::{SpacetimeShape, left_matrix, right_matrix};
use tessera_datasets::scene::SplatCloud;

/// Fewer points around a place show no middle.
const ENOUGH: usize = 8;
/// How often the window is moved to where it has been found to go.
const ROUNDS: usize = 4;

/// Places of what moves, at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Glimpse<'a> {
    /// After the first frame.
    pub seconds: f64,
    /// In scene coordinates.
    pub places: &'a [[f32; 3]],
}

impl<'a> Glimpse<'a> {
    /// Of splats that are seen at a moment.
    pub fn of((seconds, cloud): &'a (f64, SplatCloud)) -> Self {
        Self { seconds: *seconds, places: &cloud.means }
    }
}

/// The velocity at each place, in units a second: by how much the middle of all places within `reach` has shifted (mean shift,
/// Comaniciu and Meer, 2002). Zero where the others show nothing.
pub fn velocities(now: Glimpse<'_>, others: &[Glimpse<'_>], reach: f32) -> Vec<[f32; 3]> {
    let velocity = |place: &[f32; 3]| {
        let place = Vector3::from(*place);
        let Some(from) = middle(now.places, place, reach) else { return [0.0; 3] };
        let mut sum = Vector3::zeros();
        let mut found = 0.0;
        for other in others {
            let Some(shift) = shift(other.places, place, from, reach) else { continue };
            sum += shift / (other.seconds - now.seconds) as f32;
            found += 1.0;
        }
        (sum / f32::max(found, 1.0)).into()
    };
    now.places.par_iter().map(velocity).collect()
}

/// How far the places around `place`, whose middle is `from`, have gone.
fn shift(places: &[[f32; 3]], place: Vector3<f32>, from: Vector3<f32>, reach: f32) -> Option<Vector3<f32>> {
    let mut shift = Vector3::zeros();
    for _ in 0..ROUNDS {
        shift = middle(places, place + shift, reach)? - from;
    }
    Some(shift)
}

/// The mean of the places around one.
fn middle(places: &[[f32; 3]], around: Vector3<f32>, reach: f32) -> Option<Vector3<f32>> {
    let near = places.iter().map(|p| Vector3::from(*p)).filter(|p| (p - around).norm_squared() < reach * reach);
    let (count, sum) = near.fold((0, Vector3::zeros()), |(count, sum), p| (count + 1, sum + p));
    (count >= ENOUGH).then(|| sum / count as f32)
}

/// A Gaussian that is at any moment a ball of standard deviation `radius`, lasts for `spread` seconds (a standard deviation) and
/// has a velocity.
pub fn moving_ball(radius: f64, spread: f64, velocity: [f64; 3]) -> SpacetimeShape<f64> {
    let velocity = Vector3::from(velocity);
    let speed = velocity.norm();
    let along = Unit::try_new(velocity, 1e-12).unwrap_or_else(Vector3::x_axis);
    // Along the velocity and time its covariance is [[r² + w² s², w s²], [w s², s²]], across them r².
    let (space, time) = (radius * radius, spread * spread);
    let (along_variance, covariance) = (space + speed * speed * time, speed * time);
    let angle = 0.5 * (2.0 * covariance).atan2(along_variance - time);
    let larger = 0.5 * (along_variance + time) + (0.5 * (along_variance - time)).hypot(covariance);
    let smaller = space * time / larger;
    // The fourth axis is the one nearer to time.
    let (sin, cos) = angle.sin_cos();
    let ([sin, cos], [first, fourth]) =
        if sin * sin > cos * cos { ([-cos, sin], [smaller, larger]) } else { ([sin, cos], [larger, smaller]) };
    let turn = UnitQuaternion::rotation_between(&Vector3::x(), &along)
        .unwrap_or_else(|| UnitQuaternion::from_axis_angle(&Vector3::z_axis(), std::f64::consts::PI));
    let [x, y, z] = [Vector3::x(), Vector3::y(), Vector3::z()].map(|axis| turn * axis);
    let column = |space: Vector3<f64>, time: f64| Vector4::new(space.x, space.y, space.z, time);
    let rotation =
        Matrix4::from_columns(&[column(x * cos, sin), column(y, 0.0), column(z, 0.0), column(x * -sin, cos)]);
    let (left, right) = quaternions(&rotation);
    SpacetimeShape {
        log_scale: [0.5 * first.ln(), radius.ln(), radius.ln()],
        log_time_scale: 0.5 * fourth.ln(),
        left,
        right,
    }
}

/// The two quaternions of a rotation of four dimensions. Its inner products with `L(eᵢ) M(eⱼ)`, divided by 4, are the products of
/// their components.
fn quaternions(rotation: &Matrix4<f64>) -> ([f64; 4], [f64; 4]) {
    let unit = |i: usize| std::array::from_fn(|k| if k == i { 1.0 } else { 0.0 });
    let matrix = |rows: [[f64; 4]; 4]| Matrix4::from_fn(|i, j| rows[i][j]);
    let products =
        Matrix4::from_fn(|i, j| (matrix(left_matrix(unit(i))) * matrix(right_matrix(unit(j)))).dot(rotation) / 4.0);
    let longest = (0..4).fold(0, |best, i| if products.row(i).norm() > products.row(best).norm() { i } else { best });
    let right = products.row(longest).transpose().normalize();
    let left = products * right;
    (left.into(), right.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;
    use tessera_datasets::camera::spacetime::condition;

    #[test]
    fn a_moving_ball_is_a_ball_at_any_moment_and_has_its_velocity() {
        let mut rng = Pcg64::seed_from_u64(5);
        for _ in 0..200 {
            let (radius, spread) = (rng.random_range(0.01..1.0), rng.random_range(0.02..2.0));
            let velocity: [f64; 3] = std::array::from_fn(|_| rng.random_range(-3.0..3.0));
            for velocity in [velocity, [0.0; 3], [-2.0, 0.0, 0.0]] {
                let seen = condition(&moving_ball(radius, spread, velocity));
                let ([xx, xy, xz, yy, yz, zz], variance) = (seen.covariance(), radius * radius);
                // The larger of the two variances that are told apart bounds what rounding loses.
                let largest = (variance + 27.0 * spread * spread).max(spread * spread);
                for (got, wanted) in [(xx, variance), (yy, variance), (zz, variance), (xy, 0.0), (xz, 0.0), (yz, 0.0)] {
                    assert!((got - wanted).abs() < 1e-12 * largest, "{velocity:?}: {got} instead of {wanted}");
                }
                assert!((seen.time_variance.sqrt() - spread).abs() < 1e-9 * spread);
                for (got, wanted) in seen.velocity.iter().zip(velocity) {
                    assert!((got - wanted).abs() < 1e-9, "{:?} instead of {velocity:?}", seen.velocity);
                }
            }
        }
    }

    #[test]
    fn velocities_are_those_of_the_things_that_move() {
        let mut rng = Pcg64::seed_from_u64(6);
        // Two balls, each sampled anew at every moment.
        let things = [([0.0, 0.0, 0.0], [1.0, 0.0, 0.5]), ([2.0, 0.0, 0.0], [0.0, -1.5, 0.0])];
        let mut sampled = |seconds: f32| -> Vec<[f32; 3]> {
            let mut place = |i: usize| {
                let (centre, velocity): ([f32; 3], [f32; 3]) = things[i % 2];
                std::array::from_fn(|k| centre[k] + seconds * velocity[k] + 0.2 * rng.random_range(-1.0..1.0))
            };
            (0..400).map(&mut place).collect()
        };
        let (before, now, after) = (sampled(-0.1), sampled(0.0), sampled(0.1));
        let glimpse = |seconds, places| Glimpse { seconds, places };
        let found =
            velocities(glimpse(0.0, &now), &[glimpse(-0.1, before.as_slice()), glimpse(0.1, after.as_slice())], 0.6);
        // The difference of the middles of 200 places with a deviation of 0.2 / √3, over 0.2 s.
        let deviation = 0.2 / 3f32.sqrt() * (2.0f32 / 200.0).sqrt() / 0.2;
        for (i, found) in found.iter().enumerate() {
            for (got, wanted) in found.iter().zip(things[i % 2].1) {
                assert!((got - wanted).abs() < 6.0 * deviation, "{found:?} instead of {:?}", things[i % 2].1);
            }
        }
        assert_eq!(velocities(glimpse(0.0, &now), &[glimpse(0.1, &[])], 0.6)[0], [0.0; 3], "nothing else is seen");
    }
}
