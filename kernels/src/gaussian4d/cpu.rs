//! SIMD and threads: eight Gaussians at a time.

use super::{Gaussians4d, Gradients4d, MIN_TIME_WEIGHT, SeenGradient, Slice, SliceGradient, condition_backward};
use crate::simd::{Lanes, flush_denormals};
use rayon::prelude::*;
use tessera_camera::each;
use tessera_camera::spacetime::{SpacetimeShape, condition};

/// Gaussians that one task takes.
const CHUNK: usize = 1024;

/// What the Gaussians `rows` look like at `seconds`.
///
/// # Panics
/// When the lengths of the tensors disagree, or a row is not there.
pub fn slice(gaussians: &Gaussians4d<'_>, rows: &[u32], seconds: f32, out: &mut Slice) {
    gaussians.check(rows);
    let m = rows.len();
    out.means.resize(3 * m, 0.0);
    out.covariances.resize(6 * m, 0.0);
    out.opacities.resize(m, 0.0);
    rows.par_chunks(CHUNK)
        .zip(out.means.par_chunks_mut(3 * CHUNK))
        .zip(out.covariances.par_chunks_mut(6 * CHUNK).zip(out.opacities.par_chunks_mut(CHUNK)))
        .for_each(|((rows, means), (covariances, opacities))| {
            flush_denormals(|| slice_chunk(gaussians, rows, seconds, means, covariances, opacities));
        });
}

/// The gradient with respect to the Gaussians `rows`, from that with respect to their [`slice()`] at `seconds`.
///
/// # Panics
/// When the lengths of the tensors disagree, or a row is not there.
pub fn slice_backward(
    gaussians: &Gaussians4d<'_>,
    rows: &[u32],
    seconds: f32,
    v: &SliceGradient<'_>,
    out: &mut Gradients4d,
) {
    gaussians.check(rows);
    let m = rows.len();
    assert_eq!([v.means.len(), v.covariances.len(), v.opacities.len()], [3 * m, 6 * m, m], "one gradient for each row");
    let columns = [
        (&mut out.means, 3),
        (&mut out.times, 1),
        (&mut out.log_scales, 3),
        (&mut out.log_time_scales, 1),
        (&mut out.left_quats, 4),
        (&mut out.right_quats, 4),
        (&mut out.opacity_logits, 1),
    ];
    columns.into_iter().for_each(|(tensor, width)| tensor.resize(width * m, 0.0));
    let spaces = out.means.par_chunks_mut(3 * CHUNK).zip(out.log_scales.par_chunks_mut(3 * CHUNK));
    let times = out.times.par_chunks_mut(CHUNK).zip(out.log_time_scales.par_chunks_mut(CHUNK));
    let quats = out.left_quats.par_chunks_mut(4 * CHUNK).zip(out.right_quats.par_chunks_mut(4 * CHUNK));
    let targets = spaces.zip(times).zip(quats.zip(out.opacity_logits.par_chunks_mut(CHUNK)));
    rows.par_chunks(CHUNK).zip(targets).enumerate().for_each(|(chunk, (rows, targets))| {
        let (((means, log_scales), (times, log_time_scales)), ((left_quats, right_quats), opacity_logits)) = targets;
        let mut out = Targets { means, times, log_scales, log_time_scales, left_quats, right_quats, opacity_logits };
        let part = chunk * CHUNK..chunk * CHUNK + rows.len();
        let v = SliceGradient {
            means: &v.means[3 * part.start..3 * part.end],
            covariances: &v.covariances[6 * part.start..6 * part.end],
            opacities: &v.opacities[part],
        };
        flush_denormals(|| backward_chunk(gaussians, rows, seconds, &v, &mut out));
    });
}

impl Gaussians4d<'_> {
    fn check(&self, rows: &[u32]) {
        let n = self.opacity_logits.len();
        assert_eq!(self.means.len(), 3 * n, "means must be [N, 3]");
        assert_eq!(self.times.len(), n, "times must be [N]");
        assert_eq!(self.log_scales.len(), 3 * n, "log_scales must be [N, 3]");
        assert_eq!(self.log_time_scales.len(), n, "log_time_scales must be [N]");
        assert_eq!(self.left_quats.len(), 4 * n, "left_quats must be [N, 4]");
        assert_eq!(self.right_quats.len(), 4 * n, "right_quats must be [N, 4]");
        assert!(rows.iter().all(|&row| (row as usize) < n), "a row beyond the last Gaussian");
        assert!(n < u32::MAX as usize / 4, "more than a thousand million Gaussians in one call");
    }

    #[inline(always)]
    fn load<V: Lanes>(&self, ids: &[u32; 8]) -> Loaded<V> {
        let (threes, fours) = (ids.map(|i| 3 * i), ids.map(|i| 4 * i));
        // SAFETY: `check` has compared the lengths of all tensors with N, and the rows with N.
        unsafe {
            Loaded {
                mean: each!(3, |k| V::gather(self.means.as_ptr(), threes, k as u32)),
                time: V::gather(self.times.as_ptr(), *ids, 0),
                opacity_logit: V::gather(self.opacity_logits.as_ptr(), *ids, 0),
                shape: SpacetimeShape {
                    log_scale: each!(3, |k| V::gather(self.log_scales.as_ptr(), threes, k as u32)),
                    log_time_scale: V::gather(self.log_time_scales.as_ptr(), *ids, 0),
                    left: each!(4, |k| V::gather(self.left_quats.as_ptr(), fours, k as u32)),
                    right: each!(4, |k| V::gather(self.right_quats.as_ptr(), fours, k as u32)),
                },
            }
        }
    }
}

/// Eight Gaussians.
struct Loaded<V> {
    mean: [V; 3],
    time: V,
    opacity_logit: V,
    shape: SpacetimeShape<V>,
}

/// Gradients of a chunk of rows.
struct Targets<'a> {
    means: &'a mut [f32],
    times: &'a mut [f32],
    log_scales: &'a mut [f32],
    log_time_scales: &'a mut [f32],
    left_quats: &'a mut [f32],
    right_quats: &'a mut [f32],
    opacity_logits: &'a mut [f32],
}

crate::dispatch! {
    fn slice_chunk(
        gaussians: &Gaussians4d<'_>, rows: &[u32], seconds: f32, means: &mut [f32], covariances: &mut [f32],
        opacities: &mut [f32],
    ) = slice_kernel;
    fn backward_chunk(
        gaussians: &Gaussians4d<'_>, rows: &[u32], seconds: f32, v: &SliceGradient<'_>, out: &mut Targets<'_>,
    ) = backward_kernel;
}

/// Eight of the rows from `first` on; lanes beyond the last repeat it.
#[inline(always)]
fn group_of(rows: &[u32], first: usize) -> ([u32; 8], usize) {
    let lanes = (rows.len() - first).min(8);
    let mut ids = [rows[first]; 8];
    ids[..lanes].copy_from_slice(&rows[first..first + lanes]);
    (ids, lanes)
}

#[inline(always)]
fn sigmoid<V: Lanes>(x: V) -> V {
    (V::all(1.0) + (-x).exp()).recip()
}

#[inline(always)]
fn slice_kernel<V: Lanes>(
    gaussians: &Gaussians4d<'_>,
    rows: &[u32],
    seconds: f32,
    means: &mut [f32],
    covariances: &mut [f32],
    opacities: &mut [f32],
) {
    for first in (0..rows.len()).step_by(8) {
        let (ids, lanes) = group_of(rows, first);
        let g = gaussians.load::<V>(&ids);
        let seen = condition(&g.shape);
        let since = V::all(seconds) - g.time;
        let weight = seen.time_weight(since);
        let there = V::all(MIN_TIME_WEIGHT as f32).lt(weight);
        let mean = each!(3, |k| seen.velocity[k].mul_add(since, g.mean[k]).to_array());
        let [xx, xy, xz, yy, yz, zz] = seen.covariance();
        let covariance = [xx.to_array(), xy.to_array(), xz.to_array(), yy.to_array(), yz.to_array(), zz.to_array()];
        let opacity = (sigmoid(g.opacity_logit) * weight).masked(there).to_array();
        store(means, first, lanes, &mean);
        store(covariances, first, lanes, &covariance);
        opacities[first..first + lanes].copy_from_slice(&opacity[..lanes]);
    }
}

#[inline(always)]
fn backward_kernel<V: Lanes>(
    gaussians: &Gaussians4d<'_>,
    rows: &[u32],
    seconds: f32,
    v: &SliceGradient<'_>,
    out: &mut Targets<'_>,
) {
    for first in (0..rows.len()).step_by(8) {
        let (ids, lanes) = group_of(rows, first);
        // Most rows that may be there are not in the picture: they have no gradient.
        let untouched = v.opacities[first..first + lanes].iter().all(|&g| g == 0.0)
            && v.means[3 * first..3 * (first + lanes)].iter().all(|&g| g == 0.0)
            && v.covariances[6 * first..6 * (first + lanes)].iter().all(|&g| g == 0.0);
        if untouched {
            clear(out, first, lanes);
            continue;
        }
        let g = gaussians.load::<V>(&ids);
        let seen = condition(&g.shape);
        let since = V::all(seconds) - g.time;
        let weight = seen.time_weight(since);
        let there = V::all(MIN_TIME_WEIGHT as f32).lt(weight);
        let places: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, 7u32].map(|lane| first as u32 + lane.min(lanes as u32 - 1));
        let (threes, sixes) = (places.map(|i| 3 * i), places.map(|i| 6 * i));
        let sigma = sigmoid(g.opacity_logit);
        // SAFETY: places are below M, and `slice_backward` has compared the gradients' lengths with M.
        let (mean, low, high, opacity) = unsafe {
            (
                each!(3, |k| V::gather(v.means.as_ptr(), threes, k as u32).masked(there)),
                each!(3, |k| V::gather(v.covariances.as_ptr(), sixes, k as u32).masked(there)),
                each!(3, |k| V::gather(v.covariances.as_ptr(), sixes, 3 + k as u32).masked(there)),
                V::gather(v.opacities.as_ptr(), places, 0).masked(there),
            )
        };
        let gradient = SeenGradient {
            mean,
            covariance: [low[0], low[1], low[2], high[0], high[1], high[2]],
            weight: opacity * sigma,
        };
        let shape = condition_backward(&seen, since, &gradient);
        let logit = (opacity * weight * sigma * (V::all(1.0) - sigma)).to_array();
        let [sx, sy, sz, st] = each!(4, |k| shape.log_scale[k].to_array());
        store(out.means, first, lanes, &each!(3, |k| mean[k].to_array()));
        store(out.times, first, lanes, &[shape.time.to_array()]);
        store(out.log_scales, first, lanes, &[sx, sy, sz]);
        store(out.log_time_scales, first, lanes, &[st]);
        store(out.left_quats, first, lanes, &each!(4, |k| shape.left[k].to_array()));
        store(out.right_quats, first, lanes, &each!(4, |k| shape.right[k].to_array()));
        store(out.opacity_logits, first, lanes, &[logit]);
    }
}

fn clear(out: &mut Targets<'_>, first: usize, lanes: usize) {
    let part = first..first + lanes;
    for tensor in [&mut *out.times, &mut *out.log_time_scales, &mut *out.opacity_logits] {
        tensor[part.clone()].fill(0.0);
    }
    for tensor in [&mut *out.means, &mut *out.log_scales] {
        tensor[3 * part.start..3 * part.end].fill(0.0);
    }
    for tensor in [&mut *out.left_quats, &mut *out.right_quats] {
        tensor[4 * part.start..4 * part.end].fill(0.0);
    }
}

/// Writes columns of eight rows.
#[inline(always)]
fn store<const COLUMNS: usize>(tensor: &mut [f32], first: usize, lanes: usize, columns: &[[f32; 8]; COLUMNS]) {
    let rows = &mut tensor[COLUMNS * first..COLUMNS * (first + lanes)];
    for (lane, row) in rows.chunks_exact_mut(COLUMNS).enumerate() {
        for (value, column) in row.iter_mut().zip(columns) {
            *value = column[lane];
        }
    }
}
