//! What simplifying promises.

use super::*;
use nalgebra::{Matrix3, Vector3};
use proptest::prelude::*;

/// Adds a round splat; its coefficients of higher degree are up to 2.4 times those of degree 0.
fn push(cloud: &mut SplatCloud, mean: [f32; 3], deviation: f32, opacity: f32, sh0: [f32; 3]) {
    cloud.means.push(mean);
    cloud.log_scales.push([deviation.ln(); 3]);
    cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
    cloud.opacity_logits.push((opacity / (1.0 - opacity)).ln());
    cloud.sh0.push(sh0);
    let rest = 3 * SplatCloud::rest_coefficients(cloud.sh_degree);
    cloud.sh_rest.extend((0..rest).map(|k| sh0[k % 3] * 0.1 * k as f32));
}

fn pseudo_random(i: usize) -> f32 {
    let mixed = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 40) as f32 / (1u64 << 24) as f32
}

/// The opacity of [`scattered`] splats: just drawn, so that hardly anything hides anything.
const FAINT: f32 = 0.005;

/// Faint splats of many shapes.
fn scattered(n: usize) -> SplatCloud {
    let mut cloud = SplatCloud::with_capacity(n, 2);
    for i in 0..n {
        let r = |k: usize| pseudo_random(8 * i + k);
        push(&mut cloud, [r(0), r(1), r(2)].map(|v| 100.0 * v), 0.05, FAINT, [r(4), r(5), r(6)]);
        cloud.log_scales[i] = [r(1), r(3), r(5)].map(|v| -4.0 + v);
        cloud.quats[i] = [r(2) + 0.1, r(4), -r(6), r(7)];
    }
    cloud
}

/// Total mass, and by mass: mean position, second moments about the origin, mean of every coefficient.
fn moments(cloud: &SplatCloud) -> (f64, Vector3<f64>, Matrix3<f64>, Vec<f64>) {
    let rest = 3 * SplatCloud::rest_coefficients(cloud.sh_degree);
    let mut total = (0.0, Vector3::zeros(), Matrix3::zeros(), vec![0.0; 3 + rest]);
    for i in 0..cloud.len() {
        let (m, p) = (merge::mass(cloud, i), Vector3::from(cloud.means[i].map(f64::from)));
        total.0 += m;
        total.1 += m * p;
        total.2 += m * (merge::covariance(cloud, i) + p * p.transpose());
        let coefficients = cloud.sh0[i].iter().chain(&cloud.sh_rest[i * rest..][..rest]);
        total.3.iter_mut().zip(coefficients).for_each(|(sum, c)| *sum += m * f64::from(*c));
    }
    total.1 /= total.0;
    total.2 /= total.0;
    total.3.iter_mut().for_each(|sum| *sum /= total.0);
    total
}

#[test]
fn mass_moments_and_colour_of_the_scene_stay() {
    let cloud = scattered(3000);
    let before = moments(&cloud);
    // A pair hides at most a quarter of its opacity, relatively: ∫ α²G² / ∫ 2αG. Groups of up to 3000 are made in some
    // 12 steps, and opacities do not grow on the way where splats are scattered.
    let hidden = 12.0 * f64::from(FAINT) / 4.0;
    for count in [2999, 1500, 100, 1] {
        let simple = simplify_to(&cloud, count);
        let after = moments(&simple);
        let lost = 1.0 - after.0 / before.0;
        assert!((-1e-5..hidden).contains(&lost), "{count}: mass {} became {}", before.0, after.0);
        // Means weigh groups by their mass, which may be off by what is hidden; places are up to 100.
        assert!((after.1 - before.1).amax() < 100.0 * hidden, "{count}: mean {} became {}", before.1, after.1);
        assert!((after.2 - before.2).amax() < 1e4 * hidden, "{count}: moments {} became {}", before.2, after.2);
        for (a, b) in before.3.iter().zip(&after.3) {
            // Coefficients are up to 2.4.
            assert!((a - b).abs() < 2.4 * hidden, "{count}: coefficient {a} became {b}");
        }
    }
}

#[test]
fn a_pair_becomes_the_gaussian_with_its_moments() {
    let cloud = scattered(2);
    let (_, mean, second, _) = moments(&cloud);
    let one = simplify_to(&cloud, 1);
    let expected = second - mean * mean.transpose();
    // Means of up to 100 are stored to within 2^-18.
    assert!((Vector3::from(one.means[0].map(f64::from)) - mean).amax() < 4e-6);
    let error = (merge::covariance(&one, 0) - expected).amax() / expected.amax();
    assert!(error < 1e-5, "covariance off by {error}");
}

#[test]
fn what_lies_on_top_of_each_other_covers_what_both_cover_composed() {
    let (deviations, opacities) = ([0.2, 0.5], [0.6, 0.3]);
    let mut cloud = SplatCloud::with_capacity(2, 0);
    (0..2).for_each(|i| push(&mut cloud, [1.0, 2.0, 3.0], deviations[i], opacities[i], [0.0; 3]));
    let one = simplify_to(&cloud, 1);
    // 1 - (1 - a)(1 - b) over rings about the common centre.
    let step = 1e-4;
    let alpha = |r: f64, i: usize| f64::from(opacities[i]) * (-0.5 * (r / f64::from(deviations[i])).powi(2)).exp();
    let ring = |k: u32| {
        let r = (f64::from(k) + 0.5) * step;
        (1.0 - (1.0 - alpha(r, 0)) * (1.0 - alpha(r, 1))) * r * step
    };
    let composed: f64 = (0..50_000).map(ring).sum();
    let covered = merge::mass(&one, 0);
    // Rings of 1e-4 and f32 arithmetic both err by less than this.
    assert!((covered / composed - 1.0).abs() < 1e-5, "covers {covered} instead of {composed}");
}

#[test]
fn a_surface_stays_closed_however_few_splats_it_has() {
    // A square of 64 x 64 opaque splats that cover it closely.
    let mut cloud = SplatCloud::with_capacity(0, 0);
    for i in 0..64 * 64 {
        let [x, y] = [i % 64, i / 64].map(|v| v as f32 + 0.4 * pseudo_random(2 * v + i));
        push(&mut cloud, [x, y, 0.0], 0.6, 0.95, [0.5; 3]);
        cloud.log_scales[i][2] = -4.0;
    }
    // What passes through its inner half, seen along z.
    let passing = |cloud: &SplatCloud| {
        let through = |x: f64, y: f64| -> f64 {
            (0..cloud.len())
                .map(|i| {
                    let c = merge::covariance(cloud, i).fixed_view::<2, 2>(0, 0).into_owned();
                    let d = nalgebra::Vector2::new(x - f64::from(cloud.means[i][0]), y - f64::from(cloud.means[i][1]));
                    let power = c.try_inverse().map_or(f64::INFINITY, |inverse| d.dot(&(inverse * d)));
                    1.0 - merge::opacity(cloud.opacity_logits[i]) * (-0.5 * power).exp()
                })
                .product()
        };
        let places = (0..400).map(|i| [i % 20, i / 20].map(|v| 16.0 + 1.6 * f64::from(v)));
        places.map(|[x, y]| through(x, y)).sum::<f64>() / 400.0
    };
    let before = passing(&cloud);
    let mut simple = cloud;
    for count in [1024, 256, 64] {
        simple = simplify_to(&simple, count);
        let after = passing(&simple);
        assert!(after < before + 0.08, "{count} splats let {after} pass, all of them {before}");
    }
}

#[test]
fn different_colours_are_kept_apart_while_alike_ones_merge() {
    let (red, blue) = ([1.0, -1.0, -1.0], [-1.0, -1.0, 1.0]);
    let mut cloud = SplatCloud::with_capacity(0, 0);
    for i in 0..40 {
        for j in 0..40 {
            // Stripes of two columns.
            let colour = if i / 2 % 2 == 0 { red } else { blue };
            push(&mut cloud, [i as f32, j as f32, 0.0], 0.5, 0.5, colour);
        }
    }
    let simple = simplify_to(&cloud, 200);
    assert!(simple.sh0.iter().all(|c| *c == red || *c == blue), "stripes were mixed");
}

#[test]
fn what_is_never_drawn_goes_first() {
    let mut cloud = scattered(100);
    for i in [3, 50, 99] {
        cloud.opacity_logits[i] = -7.0 + 0.01 * i as f32;
    }
    let kept: Vec<u32> = (0..100).filter(|i| ![3, 50, 99].contains(i)).collect();
    assert!(simplify_to(&cloud, 97) == cloud.select(&kept), "a splat that is drawn was changed");
    let kept: Vec<u32> = (0..100).filter(|i| ![3, 50].contains(i)).collect();
    assert!(simplify_to(&cloud, 98) == cloud.select(&kept), "not the most transparent ones went");
}

#[test]
fn what_is_not_merged_is_kept_bit_for_bit() {
    let mut cloud = scattered(500);
    (cloud.antialiased, cloud.scene_from_world) = (true, crate::camera::Similarity::from_scaling(0.5));
    assert!(simplify_to(&cloud, 500) == cloud);
    let simple = simplify_to(&cloud, 499);
    assert!(simple.antialiased && simple.scene_from_world == cloud.scene_from_world);
    let same = simple.means.iter().filter(|mean| cloud.means.contains(mean)).count();
    assert_eq!(same, 498, "one pair is merged");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let cloud = scattered(5000);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| simplify_to(&cloud, 700))
    };
    let one = with(1);
    assert!(one == with(2) && one == with(7));
}

#[test]
fn absurd_scenes_still_come_out_finite_and_exact() {
    let mut cloud = scattered(60);
    for i in 0..cloud.len() {
        match i % 6 {
            0 => cloud.means[i] = [1e30, -1e30, f32::MAX],
            1 => cloud.log_scales[i] = [-40.0, f32::MIN, -40.0],
            2 => cloud.log_scales[i] = [40.0, f32::MAX, 0.0],
            3 => cloud.quats[i] = [0.0; 4],
            4 => cloud.opacity_logits[i] = if i % 4 == 0 { 40.0 } else { -40.0 },
            _ => cloud.means[i] = [7.0; 3],
        }
    }
    for count in [59, 30, 7, 2, 1, 0] {
        let simple = simplify_to(&cloud, count);
        assert!(simple.is_consistent() && simple.len() == count);
        let all = simple.means.iter().chain(&simple.log_scales).chain(&simple.sh0).flatten();
        let all = all.chain(simple.quats.iter().flatten()).chain(&simple.opacity_logits).chain(&simple.sh_rest);
        assert!(all.clone().all(|v| v.is_finite()), "{count}: not finite");
    }
}

proptest! {
    #[test]
    fn the_count_is_exact(
        splats in prop::collection::vec((prop::array::uniform3(0u8..6), 0u8..4, -8f32..8.0), 0..300),
        share in 0.0..1.1,
    ) {
        let mut cloud = SplatCloud::with_capacity(0, 1);
        for (place, colour, logit) in splats {
            // Coarse places, so that many splats share one.
            push(&mut cloud, place.map(f32::from), 0.3, 0.5, [f32::from(colour), 0.0, 0.0]);
            if let Some(last) = cloud.opacity_logits.last_mut() {
                *last = logit;
            }
        }
        let count = (share * cloud.len() as f64) as usize;
        let simple = simplify_to(&cloud, count);
        prop_assert!(simple.is_consistent());
        prop_assert_eq!(simple.len(), count.min(cloud.len()));
        prop_assert!(simple.opacity_logits.iter().all(|o| o.is_finite()));
    }
}
