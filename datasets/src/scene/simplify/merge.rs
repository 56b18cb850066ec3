//! Several splats as one, by their moments in double precision.

use super::clusters::Clusters;
use crate::scene::SplatCloud;
use nalgebra::{Matrix3, Quaternion, Rotation3, UnitQuaternion, Vector3};
use rayon::prelude::*;

/// Clusters that one thread merges at a time.
const PIECE: usize = 4096;
/// What is smaller or larger than this counts as this, so that areas of covariances stay within `f32`.
const LOG_SCALES: [f64; 2] = [-20.0, 20.0];

/// Opacity from its logit.
pub(super) fn opacity(logit: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(logit)).exp())
}

/// Opacity times projected area, the area over 2π as root mean square over all directions.
pub(super) fn mass(cloud: &SplatCloud, i: usize) -> f64 {
    let [a, b, c] = scales(cloud, i).map(|s| s * s).into();
    opacity(cloud.opacity_logits[i]) * ((a * b + a * c + b * c) / 3.0).sqrt()
}

/// The covariance of a splat.
pub(super) fn covariance(cloud: &SplatCloud, i: usize) -> Matrix3<f64> {
    let [w, x, y, z] = cloud.quats[i].map(f64::from);
    let turn = UnitQuaternion::try_new(Quaternion::new(w, x, y, z), 0.0).unwrap_or_default();
    let axes = turn.to_rotation_matrix().into_inner() * Matrix3::from_diagonal(&scales(cloud, i));
    axes * axes.transpose()
}

fn scales(cloud: &SplatCloud, i: usize) -> Vector3<f64> {
    cloud.log_scales[i].map(|s| f64::from(s).clamp(LOG_SCALES[0], LOG_SCALES[1]).exp()).into()
}

/// What all splats cover.
pub(crate) fn total_mass(cloud: &SplatCloud) -> f64 {
    (0..cloud.len()).map(|i| mass(cloud, i)).sum()
}

/// One splat for each cluster, and how far that moved what they show, as root mean square by mass.
pub(super) fn merge_all(cloud: &SplatCloud, clusters: &Clusters) -> (SplatCloud, f64) {
    let empty = |n: usize| {
        let mut empty = SplatCloud::with_capacity(n, cloud.sh_degree);
        (empty.antialiased, empty.scene_from_world) = (cloud.antialiased, cloud.scene_from_world);
        empty
    };
    let pieces = (0..clusters.len().div_ceil(PIECE)).into_par_iter().map(|piece| {
        let range = piece * PIECE..clusters.len().min((piece + 1) * PIECE);
        let mut merged = empty(range.len());
        let moved = range.map(|c| push(&mut merged, cloud, clusters.members(c), clusters.shown(c)));
        let moved = moved.fold(Moved::default(), Moved::and);
        (merged, moved)
    });
    let pieces: Vec<(SplatCloud, Moved)> = pieces.collect();
    let mut out = empty(clusters.len());
    let moved = pieces.into_iter().fold(Moved::default(), |all, (piece, moved)| {
        out.append(&piece);
        all.and(moved)
    });
    (out, if moved.mass > 0.0 { (moved.squares / moved.mass).sqrt() } else { 0.0 })
}

/// Mass, and mass times squared distance from where it was.
#[derive(Clone, Copy, Default)]
struct Moved {
    mass: f64,
    squares: f64,
}

impl Moved {
    fn and(self, other: Self) -> Self {
        Self { mass: self.mass + other.mass, squares: self.squares + other.squares }
    }
}

/// Adds the splat that stands for `members` of `cloud` to `out`: a single one as it is, others with an opacity and a covariance
/// that is so many times theirs.
fn push(out: &mut SplatCloud, cloud: &SplatCloud, members: &[u32], (opacity, growth): (f32, f32)) -> Moved {
    if let &[only] = members {
        out.append_range(cloud, only as usize..only as usize + 1);
        return Moved { mass: mass(cloud, only as usize), squares: 0.0 };
    }
    let (weights, mass) = weights(cloud, members);
    let position = |i: u32| Vector3::from(cloud.means[i as usize].map(f64::from));
    let weighted = || members.iter().copied().zip(weights.iter().copied());
    let mean: Vector3<f64> = weighted().map(|(i, w)| w * position(i)).sum();
    let spread = |i: u32| (position(i) - mean) * (position(i) - mean).transpose();
    let moments: Matrix3<f64> = weighted().map(|(i, w)| w * (covariance(cloud, i as usize) + spread(i))).sum();
    let (log_scales, quat) = ellipsoid(moments * f64::from(growth));
    out.means.push(mean.cast::<f32>().into());
    out.log_scales.push(log_scales);
    out.quats.push(quat);
    out.opacity_logits.push((opacity / (1.0 - opacity)).ln());
    let mean_of = |value: &dyn Fn(usize) -> f32| -> f32 {
        weighted().map(|(i, w)| w * f64::from(value(i as usize))).sum::<f64>() as f32
    };
    out.sh0.push(std::array::from_fn(|k| mean_of(&|i| cloud.sh0[i][k])));
    let rest = 3 * SplatCloud::rest_coefficients(cloud.sh_degree);
    out.sh_rest.extend((0..rest).map(|k| mean_of(&|i| cloud.sh_rest[i * rest + k])));
    Moved { mass, squares: mass * weighted().map(|(i, w)| w * (position(i) - mean).norm_squared()).sum::<f64>() }
}

/// The share of each member in their mass, equal shares when there is no mass; and the mass.
fn weights(cloud: &SplatCloud, members: &[u32]) -> (Vec<f64>, f64) {
    let masses: Vec<f64> = members.iter().map(|&i| mass(cloud, i as usize)).collect();
    let total: f64 = masses.iter().sum();
    let shares = if total > 0.0 {
        masses.iter().map(|m| m / total).collect()
    } else {
        vec![1.0 / members.len() as f64; members.len()]
    };
    (shares, total)
}

/// Logarithms of the standard deviations and axes, (w, x, y, z), of a covariance.
fn ellipsoid(covariance: Matrix3<f64>) -> ([f32; 3], [f32; 4]) {
    // The decomposition's precision is relative to the largest entry, which must not be out of range itself.
    let size = covariance.amax().max(f64::MIN_POSITIVE);
    let eigen = (covariance / size).symmetric_eigen();
    let mut axes = eigen.eigenvectors;
    if axes.determinant() < 0.0 {
        axes.column_mut(0).neg_mut();
    }
    let turn = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(axes));
    let deviation = |variance: f64| (0.5 * (variance.max(1e-14).ln() + size.ln())) as f32;
    let log_scales = [0, 1, 2].map(|k| deviation(eigen.eigenvalues[k]));
    (log_scales, [turn.w, turn.i, turn.j, turn.k].map(|v| v as f32))
}
