//! Gaussians in space and time against golden vectors, in single precision. The hierarchy's cases are in the tests of datasets.

mod common;

use common::{Case, for_each_case_named};
use tessera_camera::spacetime::{Conditional, MIN_TIME_WEIGHT, SpacetimeShape, condition};
use tessera_kernels::gaussian4d::{SeenGradient, condition_backward};

fn row<const N: usize>(values: &[f32], i: usize) -> [f32; N] {
    std::array::from_fn(|k| values[N * i + k])
}

/// What is seen of each Gaussian of a case, with its mean, its time and the moment.
fn seen(case: &Case, inputs: &str) -> Vec<(Conditional<f32>, [f32; 3], f32)> {
    let [mu, mu_t, scales, left, right, time] =
        ["mu", "mu_t", "log_scales", "ql", "qr", "time"].map(|name| case.f32_of(inputs, name));
    (0..mu_t.len())
        .map(|i| {
            let [x, y, z, t] = row::<4>(&scales, i);
            let shape =
                SpacetimeShape { log_scale: [x, y, z], log_time_scale: t, left: row(&left, i), right: row(&right, i) };
            (condition(&shape), row(&mu, i), time[i] - mu_t[i])
        })
        .collect()
}

fn flat<const N: usize>(rows: impl Iterator<Item = [f32; N]>) -> Vec<f32> {
    rows.flatten().collect()
}

fn compare_slice(case: &Case, seen: &[(Conditional<f32>, [f32; 3], f32)]) {
    case.compare("velocity", &flat(seen.iter().map(|(s, _, _)| s.velocity)));
    let mean =
        |(s, mean, since): &(Conditional<f32>, [f32; 3], f32)| std::array::from_fn(|k| mean[k] + s.velocity[k] * since);
    case.compare("mean3", &flat::<3>(seen.iter().map(mean)));
    case.compare("weight", &seen.iter().map(|(s, _, since)| s.time_weight(*since)).collect::<Vec<f32>>());
    let radius = |s: &Conditional<f32>| (-2.0 * MIN_TIME_WEIGHT.ln() * f64::from(s.time_variance)).sqrt() as f32;
    case.compare("radius_t", &seen.iter().map(|(s, _, _)| radius(s)).collect::<Vec<f32>>());
}

#[test]
fn slices_agree() {
    for_each_case_named(
        "gaussian_4d",
        "f32",
        |name| name == "regular",
        |case| {
            let seen = seen(case, "regular");
            compare_slice(case, &seen);
            case.compare("var_t", &seen.iter().map(|(s, _, _)| s.time_variance).collect::<Vec<f32>>());
            case.compare("cov3", &flat(seen.iter().map(|(s, _, _)| s.covariance())));
            let whole = |s: &Conditional<f32>| -> Vec<f32> {
                let entry =
                    |i: usize, j: usize| (0..4).map(|k| s.rotation[i][k] * s.rotation[j][k] * s.scale[k].powi(2)).sum();
                (0..16).map(|n| entry(n / 4, n % 4)).collect()
            };
            case.compare("cov4", &seen.iter().flat_map(|(s, _, _)| whole(s)).collect::<Vec<f32>>());
            let (means, covariances, weights) = (case.f32("v_mean3"), case.f32("v_cov3"), case.f32("v_weight"));
            compare_gradients(case, &seen, &means, &covariances, &weights);
        },
    );
}

fn compare_gradients(
    case: &Case,
    seen: &[(Conditional<f32>, [f32; 3], f32)],
    means: &[f32],
    covariances: &[f32],
    weights: &[f32],
) {
    let gradients: Vec<_> = seen
        .iter()
        .enumerate()
        .map(|(i, (s, _, since))| {
            let v = SeenGradient { mean: row(means, i), covariance: row(covariances, i), weight: weights[i] };
            condition_backward(s, *since, &v)
        })
        .collect();
    case.compare("d_mu", means);
    case.compare("d_mu_t", &gradients.iter().map(|g| g.time).collect::<Vec<f32>>());
    case.compare("d_log_scales", &flat(gradients.iter().map(|g| g.log_scale)));
    case.compare("d_ql", &flat(gradients.iter().map(|g| g.left)));
    case.compare("d_qr", &flat(gradients.iter().map(|g| g.right)));
}

#[test]
fn nearly_degenerate_slices_agree() {
    for_each_case_named(
        "gaussian_4d",
        "f32",
        |name| name == "degenerate",
        |case| {
            let seen = seen(case, "degenerate");
            compare_slice(case, &seen);
            let largest = |s: &Conditional<f32>| s.covariance().iter().fold(0f32, |m, c| m.max(c.abs()));
            case.compare("cov3_scale", &seen.iter().map(|(s, _, _)| largest(s)).collect::<Vec<f32>>());
            case.compare("cov3_relative", &flat(seen.iter().map(|(s, _, _)| s.covariance().map(|c| c / largest(s)))));
            for (i, (s, _, _)) in seen.iter().enumerate() {
                let [xx, xy, xz, yy, yz, zz] = s.covariance().map(f64::from);
                let matrix = nalgebra::Matrix3::new(xx, xy, xz, xy, yy, yz, xz, yz, zz);
                let eigenvalues = matrix.symmetric_eigenvalues();
                assert!(eigenvalues.min() >= -1e-6 * eigenvalues.max(), "row {i} is indefinite: {eigenvalues}");
            }
            // The smallest eigenvalue is beyond single precision; the description calls this tensor informative.
            case.compare("cov3_eigenvalues", &case.f32("cov3_eigenvalues"));
        },
    );
}

#[test]
fn gradients_of_nearly_degenerate_slices_agree() {
    for_each_case_named(
        "gaussian_4d",
        "f32",
        |name| name == "degenerate_gradient",
        |case| {
            let seen = seen(case, "degenerate");
            let relative = case.f32("v_cov3_relative");
            let scale = case.f32_of("degenerate", "cov3_scale");
            let covariances: Vec<f32> = relative.iter().enumerate().map(|(k, v)| v / scale[k / 6]).collect();
            compare_gradients(case, &seen, &case.f32("v_mean3"), &covariances, &case.f32("v_weight"));
        },
    );
}
