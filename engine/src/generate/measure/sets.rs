//! How two sets of shapes compare: minimum matching distance, coverage, and the accuracy of the nearest neighbour.

use super::cloud::Cloud;
use rayon::prelude::*;
use serde::Serialize;

/// How two sets of shapes, as many of each, compare.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SetReport {
    /// Minimum matching distance; the cube's side is 1, and Chamfer distances are squares.
    pub mmd: f64,
    /// Its standard error.
    pub mmd_error: f64,
    /// Coverage, from 0 to 1.
    pub coverage: f64,
    /// Its standard error, as that of a share of independent shapes.
    pub coverage_error: f64,
    /// Accuracy of the nearest neighbour, from 0 to 1.
    pub nearest_neighbour: f64,
    /// Its standard error, as that of a share of independent shapes.
    pub nearest_neighbour_error: f64,
}

/// How two sets of shapes compare by both distances of points that PointFlow takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// By the Chamfer distance.
    pub chamfer: SetReport,
    /// By the earth mover's distance, of the first [`EARTH_MOVER_POINTS`].
    pub earth_mover: SetReport,
}

/// Points of a shape of which the shortest assignment is looked for.
pub const EARTH_MOVER_POINTS: usize = 512;

impl Comparison {
    /// Of a set of made shapes with as many references.
    ///
    /// # Panics
    /// As [`compare`].
    pub fn of(made: &[Cloud], references: &[Cloud]) -> Self {
        let [few, few_references] = [made, references]
            .map(|set| -> Vec<Cloud> { set.iter().map(|cloud| cloud.first(EARTH_MOVER_POINTS)).collect() });
        Self {
            chamfer: compare(made, references, Cloud::chamfer),
            earth_mover: compare(&few, &few_references, Cloud::earth_mover),
        }
    }
}

/// Compares a set of made shapes with as many references.
///
/// # Panics
/// When there are not as many, or less than two.
pub fn compare(made: &[Cloud], references: &[Cloud], distance: impl Fn(&Cloud, &Cloud) -> f64 + Sync) -> SetReport {
    let n = made.len();
    assert!(n == references.len() && n > 1, "as many made shapes as references");
    let all: Vec<&Cloud> = made.iter().chain(references).collect();
    let pairs: Vec<(usize, usize)> = (0..2 * n).flat_map(|i| (i + 1..2 * n).map(move |j| (i, j))).collect();
    let found: Vec<f64> = pairs.par_iter().map(|(i, j)| distance(all[*i], all[*j])).collect();
    let mut distances = vec![f64::INFINITY; 4 * n * n];
    for ((i, j), distance) in pairs.into_iter().zip(found) {
        distances[i * 2 * n + j] = distance;
        distances[j * 2 * n + i] = distance;
    }
    let nearest = |i: usize, among: std::ops::Range<usize>| {
        let by = |a: &usize, b: &usize| distances[i * 2 * n + a].total_cmp(&distances[i * 2 * n + b]);
        among.min_by(by).unwrap_or(0)
    };
    let matched: Vec<f64> = (n..2 * n).map(|r| distances[r * 2 * n + nearest(r, 0..n)]).collect();
    let mmd = matched.iter().sum::<f64>() / n as f64;
    let variance = matched.iter().map(|d| (d - mmd).powi(2)).sum::<f64>() / (n - 1) as f64;
    let covered: std::collections::HashSet<usize> = (0..n).map(|i| nearest(i, n..2 * n)).collect();
    let coverage = covered.len() as f64 / n as f64;
    let own = (0..2 * n).filter(|i| (nearest(*i, 0..2 * n) < n) == (*i < n)).count();
    let accuracy = own as f64 / (2 * n) as f64;
    let of_share = |share: f64, count: usize| (share * (1.0 - share) / count as f64).sqrt();
    SetReport {
        mmd,
        mmd_error: (variance / n as f64).sqrt(),
        coverage,
        coverage_error: of_share(coverage, n),
        nearest_neighbour: accuracy,
        nearest_neighbour_error: of_share(accuracy, 2 * n),
    }
}
