//! The 3D low-pass filter of Mip-Splatting (Yu et al., 2024, section 5.1): no splat is made finer than the finest
//! pixel that any training photo has at its place, so that nothing aliases when a viewer zooms in.
//!
//! A splat at depth `z` in a view of focal length `f` pixels is sampled every `z / f` world units. The filter's standard
//! deviation is `sqrt(0.2)` times the smallest such interval of the views that see it.

use super::NEAR;
use rayon::prelude::*;
use tessera_datasets::scene::SplatCloud;
use tessera_kernels::camera_projection::View;
use tessera_kernels::dispatch;
use tessera_kernels::simd::Lanes;

/// Standard deviation of the filter for a sampling interval of 1, from the paper's code: sqrt(0.2).
pub(super) const DEVIATION: f32 = 0.447_213_6;
/// Splats for one task; a multiple of the lanes.
const CHUNK: usize = 1024;

/// A camera reduced to what decides whether and how finely it sees a point.
#[derive(Debug)]
struct Sampling {
    rotation: [[f32; 3]; 3],
    translation: [f32; 3],
    /// Of normalised coordinates: the picture with a margin of 15 % on each side.
    bounds: [f32; 4],
    max_radius_squared: f32,
    inverse_focal: f32,
}

/// How finely the training photos sample the scene.
#[derive(Debug)]
pub struct SamplingLimits {
    samplings: Vec<Sampling>,
    /// Room for finding a median.
    scratch: Vec<f32>,
}

impl SamplingLimits {
    /// The limits that these views set.
    pub fn new<'a>(views: impl IntoIterator<Item = &'a View>) -> Self {
        Self { samplings: views.into_iter().map(sampling).collect(), scratch: Vec::new() }
    }

    /// The largest share of the points `means` (`[N, 3]`) that lies within a single view or its margin; of many, a sample of each is
    /// looked at.
    pub fn largest_share(&self, means: &[f32]) -> f64 {
        const POINTS: usize = 20_000;
        const VIEWS: usize = 300;
        let points: &[[f32; 3]] = means.as_chunks().0;
        let points: Vec<f32> = points.iter().step_by(points.len().div_ceil(POINTS).max(1)).flatten().copied().collect();
        let seen = |view: &Sampling| {
            let mut intervals = vec![f32::INFINITY; points.len() / 3];
            smallest_intervals(&points, std::slice::from_ref(view), &mut intervals);
            intervals.iter().filter(|interval| interval.is_finite()).count()
        };
        let views = self.samplings.par_iter().step_by(self.samplings.len().div_ceil(VIEWS).max(1));
        views.map(seen).max().unwrap_or(0) as f64 / (points.len() / 3).max(1) as f64
    }

    /// Writes the filter's standard deviation, scene units, of each of the splats at `means` (`[N, 3]`) to `sigmas`
    /// (resized to `[N]`). Splats that no view sees get the median of the others.
    pub fn filter_sigmas(&mut self, means: &[f32], sigmas: &mut Vec<f32>) {
        sigmas.clear();
        sigmas.resize(means.len() / 3, f32::INFINITY);
        let samplings = &self.samplings;
        sigmas
            .par_chunks_mut(CHUNK)
            .zip(means.par_chunks(3 * CHUNK))
            .for_each(|(sigmas, means)| smallest_intervals(means, samplings, sigmas));

        let seen = &mut self.scratch;
        seen.clear();
        seen.extend(sigmas.iter().copied().filter(|s| s.is_finite()));
        let middle = seen.len() / 2;
        let typical = if seen.is_empty() { 0.0 } else { *seen.select_nth_unstable_by(middle, f32::total_cmp).1 };
        sigmas.iter_mut().for_each(|s| *s = DEVIATION * if s.is_finite() { *s } else { typical });
    }
}

fn sampling(view: &View) -> Sampling {
    Sampling {
        rotation: view.rotation,
        translation: view.translation,
        // The range of the projection's Jacobian has that same margin.
        bounds: view.jacobian_bounds,
        max_radius_squared: view.max_radius_squared,
        inverse_focal: 1.0 / view.lens.focal[0].max(view.lens.focal[1]) as f32,
    }
}

dispatch! {
    fn smallest_intervals(means: &[f32], samplings: &[Sampling], sigmas: &mut [f32]) = smallest_intervals_lanes;
}

#[inline(always)]
fn smallest_intervals_lanes<V: Lanes>(means: &[f32], samplings: &[Sampling], sigmas: &mut [f32]) {
    for (sigmas, means) in sigmas.chunks_mut(8).zip(means.chunks(24)) {
        let mut xyz = [[0.0_f32; 8]; 3];
        for (lane, mean) in means.chunks_exact(3).enumerate() {
            for axis in 0..3 {
                xyz[axis][lane] = mean[axis];
            }
        }
        let [x, y, z] = xyz.map(V::from_array);
        let mut best = V::all(f32::INFINITY);
        for s in samplings {
            best = best.min(interval(s, [x, y, z]));
        }
        sigmas.copy_from_slice(&best.to_array()[..sigmas.len()]);
    }
}

/// Coordinate `i` of the points in the camera's frame.
#[inline(always)]
fn row<V: Lanes>(s: &Sampling, i: usize, [x, y, z]: [V; 3]) -> V {
    let [a, b, c] = s.rotation[i];
    V::all(a).mul_add(x, V::all(b).mul_add(y, V::all(c).mul_add(z, V::all(s.translation[i]))))
}

/// The sampling interval of one view, infinite where it does not see the points.
#[inline(always)]
fn interval<V: Lanes>(s: &Sampling, [x, y, z]: [V; 3]) -> V {
    let depth = row(s, 2, [x, y, z]);
    let inverse = V::all(1.0) / depth.max(V::all(1e-6));
    let (u, v) = (row(s, 0, [x, y, z]) * inverse, row(s, 1, [x, y, z]) * inverse);
    let [u0, v0, u1, v1] = [V::all(s.bounds[0]), V::all(s.bounds[1]), V::all(s.bounds[2]), V::all(s.bounds[3])];
    let inside = V::all(NEAR).lt(depth)
        & u0.le(u)
        & u.le(u1)
        & v0.le(v)
        & v.le(v1)
        & (u * u + v * v).le(V::all(s.max_radius_squared));
    V::select(inside, depth * V::all(s.inverse_focal), V::all(f32::INFINITY))
}

/// Makes the filter part of the splats, so that programs which do not know of it draw the same: every scale becomes
/// `sqrt(s² + f²)`, and the opacity shrinks by the ratio of volumes. `sigmas` is `[N]`.
pub fn bake(cloud: &mut SplatCloud, sigmas: &[f32]) {
    let splats = cloud.log_scales.iter_mut().zip(&mut cloud.opacity_logits);
    for ((log_scales, logit), &sigma) in splats.zip(sigmas) {
        if sigma.is_nan() || sigma <= 0.0 {
            continue;
        }
        let filter_variance = 2.0 * f64::from(sigma).ln();
        let mut log_ratio = 0.0;
        for log_scale in log_scales {
            // ln(exp(a) + exp(b)) without overflow.
            let variance = 2.0 * f64::from(*log_scale);
            let (low, high) = (variance.min(filter_variance), variance.max(filter_variance));
            let widened = 0.5 * (high + (low - high).exp().ln_1p());
            log_ratio += f64::from(*log_scale) - widened;
            *log_scale = widened as f32;
        }
        let opacity = log_ratio.exp() / (1.0 + (-f64::from(*logit)).exp());
        *logit = (opacity.ln() - (-opacity).ln_1p()).clamp(-30.0, 30.0) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    use tessera_datasets::camera::{Camera, Pose};

    fn view_at(x: f64) -> View {
        let camera = Camera::from_horizontal_fov(200, 100, 1.2);
        View::new(&camera, &Pose::translation(-x, 0.0, 0.0))
    }

    #[test]
    fn the_nearest_view_that_sees_a_splat_decides() {
        let near = View { translation: [0.0, 0.0, -2.0], ..view_at(0.0) };
        let focal = view_at(0.0).lens.focal[0] as f32;
        // In front of both, behind the near one, out of sight to the side.
        let means = [0.0, 0.0, 5.0, 0.0, 0.0, 1.0, 90.0, 0.0, 1.0];
        let mut sigmas = Vec::new();
        SamplingLimits::new([&view_at(0.0), &near]).filter_sigmas(&means, &mut sigmas);
        let expected = [3.0, 1.0, 3.0].map(|z| DEVIATION * z / focal);
        for (i, (got, want)) in sigmas.iter().zip(expected).enumerate() {
            assert!((got / want - 1.0).abs() < 1e-5, "splat {i} has a filter of {got} instead of {want}");
        }
    }

    #[test]
    fn lanes_agree_with_one_number_at_a_time() {
        let seed = tessera_test_seed::test_seed();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let means: Vec<f32> = (0..3 * 1237).map(|_| rng.random_range(-4.0..4.0)).collect();
        let views: Vec<View> = (0..5).map(|i| view_at(0.3 * f64::from(i))).collect();
        let mut sigmas = Vec::new();
        SamplingLimits::new(&views).filter_sigmas(&means, &mut sigmas);
        let mut unseen = 0;
        for (i, mean) in means.chunks_exact(3).enumerate() {
            let sees = |v: &&View| {
                let z = mean[2] + v.translation[2];
                let (u, w) = ((mean[0] + v.translation[0]) / z, mean[1] / z);
                let [u0, v0, u1, v1] = v.jacobian_bounds;
                z > NEAR && u >= u0 && u <= u1 && w >= v0 && w <= v1
            };
            if views.iter().find(sees).is_some() {
                let want = DEVIATION * mean[2] / views[0].lens.focal[0] as f32;
                assert!((sigmas[i] / want - 1.0).abs() < 1e-4, "splat {i} at {mean:?}: {} not {want}", sigmas[i]);
            } else {
                unseen += 1;
                assert!(sigmas[i] > 0.0, "a splat that no view sees has no filter");
            }
        }
        assert!(unseen > 0 && unseen < means.len() / 3, "the test needs both kinds of splats");
    }

    #[test]
    fn without_views_there_is_no_filter() {
        let mut sigmas = Vec::new();
        SamplingLimits::new([]).filter_sigmas(&[0.0; 6], &mut sigmas);
        assert_eq!(sigmas, [0.0, 0.0]);
    }

    #[test]
    fn baking_keeps_the_light_of_a_splat() {
        let mut cloud = SplatCloud::with_capacity(1, 0);
        let scales = [0.1_f32, 0.02, 0.3];
        cloud.means.push([0.0; 3]);
        cloud.log_scales.push(scales.map(f32::ln));
        cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
        cloud.opacity_logits.push(0.7);
        cloud.sh0.push([0.0; 3]);
        let light = |c: &SplatCloud| {
            let volume: f32 = c.log_scales[0].iter().map(|s| s.exp()).product();
            volume / (1.0 + (-c.opacity_logits[0]).exp())
        };
        let before = light(&cloud);
        bake(&mut cloud, &[0.05]);
        assert!((light(&cloud) / before - 1.0).abs() < 1e-5, "{before} became {}", light(&cloud));
        for (got, s) in cloud.log_scales[0].iter().zip(scales) {
            assert!((got.exp() - s.hypot(0.05)).abs() < 1e-6, "{s} became {}", got.exp());
        }
    }
}
