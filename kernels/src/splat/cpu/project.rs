//! Projection and colour of all splats, eight at a time; the visible ones become [`Record`]s.
//!
//! About 250 floating-point operations for a splat's geometry and 200 for its colour at degree 3.

use super::{CHUNK, Primitives, Record};
use crate::camera_projection::View;
use crate::simd::{Lanes, flush_denormals};
use crate::splat::spherical_harmonics::{Y0, basis, count};
use crate::splat::{MIN_ALPHA, RenderSettings};
use rayon::prelude::*;
use tessera_camera::each;

/// Fills `records` and the number of visible splats of each chunk.
pub(super) fn project_all(
    splats: &Primitives<'_>,
    view: &View,
    settings: &RenderSettings,
    records: &mut Vec<Record>,
    visible: &mut Vec<u32>,
) {
    let chunks = splats.len().div_ceil(CHUNK);
    records.resize(chunks * CHUNK, Record::default());
    visible.resize(chunks, 0);
    let camera = Viewpoint { view, settings, centre: view.position() };
    records.par_chunks_mut(CHUNK).zip(visible.par_iter_mut()).enumerate().for_each(|(chunk, (out, n))| {
        *n = flush_denormals(|| project_chunk(splats, &camera, chunk * CHUNK, out)) as u32;
    });
}

struct Viewpoint<'a> {
    view: &'a View,
    settings: &'a RenderSettings,
    centre: [f32; 3],
}

crate::dispatch! {
    fn project_chunk(splats: &Primitives<'_>, camera: &Viewpoint<'_>, start: usize, out: &mut [Record]) -> usize = chunk_kernel;
}

#[inline(always)]
fn chunk_kernel<V: Lanes>(splats: &Primitives<'_>, camera: &Viewpoint<'_>, start: usize, out: &mut [Record]) -> usize {
    let end = (start + CHUNK).min(splats.len());
    let mut n = 0;
    for first in (start..end).step_by(8) {
        let lanes = (end - first).min(8);
        let ids: [u32; 8] = std::array::from_fn(|lane| (first + lane.min(lanes - 1)) as u32);
        n += project_group::<V>(splats, camera, &ids, lanes, &mut out[n..]);
    }
    colour_kernel::<V>(splats, camera, &mut out[..n]);
    n
}

/// Projects eight splats and appends those that touch the picture to `out`.
#[inline(always)]
fn project_group<V: Lanes>(
    splats: &Primitives<'_>,
    camera: &Viewpoint<'_>,
    ids: &[u32; 8],
    lanes: usize,
    out: &mut [Record],
) -> usize {
    const HALF_LOG2_E: f32 = 0.5 * std::f32::consts::LOG2_E;
    let (view, settings) = (camera.view, camera.settings);
    let f = splats.project::<V>(view, settings, ids);
    let candidates = V::bits(f.in_view & V::all(MIN_ALPHA).lt(f.opacity)) & ((1 << lanes) - 1);
    if candidates == 0 {
        return 0;
    }
    let scale = V::all(HALF_LOG2_E);
    let [a, b, c] = each!(3, |k| f.conic[k] * scale);
    let log2_opacity: [f32; 8] = f.opacity.to_array().map(f32::log2);
    // Where log2(alpha) is above that of 1/255.
    let reach = V::from_array(log2_opacity) - V::all(MIN_ALPHA.log2());
    let mahalanobis_squared = reach / scale;
    let [xx, xy, yy] = f.covariance;
    let (x0, x1) = covered(f.mean2d[0], mahalanobis_squared * xx, view.width);
    let (y0, y1) = covered(f.mean2d[1], mahalanobis_squared * yy, view.height);
    let visible = candidates & V::bits(x0.le(x1) & y0.le(y1));
    if visible == 0 {
        return 0;
    }
    let inv_yy = yy.recip();
    let shear = (-(xy * inv_yy)).to_array();
    let narrowing = (f.determinant * inv_yy * inv_yy).to_array();
    let half_width_squared = (reach / a).to_array();
    let (mean_x, mean_y) = (f.mean2d[0].to_array(), f.mean2d[1].to_array());
    let (a, b2, c) = (a.to_array(), (b + b).to_array(), c.to_array());
    let (x0, x1, y0, y1) = (x0.to_array(), x1.to_array(), y0.to_array(), y1.to_array());
    let z = f.z.to_array();
    let mut n = 0;
    for lane in 0..8 {
        if visible >> lane & 1 == 0 {
            continue;
        }
        out[n] = Record {
            mean: [mean_x[lane], mean_y[lane]],
            a: a[lane],
            b2: b2[lane],
            c: c[lane],
            log2_opacity: log2_opacity[lane],
            rgb: [0.0; 3],
            z: z[lane],
            shear: shear[lane],
            narrowing: narrowing[lane],
            half_width_squared: half_width_squared[lane],
            columns: [x0[lane] as u16, x1[lane] as u16],
            rows: [y0[lane] as u16, y1[lane] as u16],
            splat: ids[lane],
        };
        n += 1;
    }
    n
}

/// First and last pixel along one axis whose centre lies within an extent of the mean; first > last for none.
#[inline(always)]
fn covered<V: Lanes>(mean: V, extent_squared: V, size: usize) -> (V, V) {
    let extent = extent_squared.sqrt();
    let centre = mean - V::all(0.5);
    let limit = V::all(size as f32);
    let first = (centre - extent).max(V::all(0.0)).min(limit).ceil();
    let last = (centre + extent).max(V::all(-1.0)).min(limit - V::all(1.0)).floor();
    (first, last)
}

/// Colours the visible splats of a chunk.
#[inline(always)]
fn colour_kernel<V: Lanes>(splats: &Primitives<'_>, camera: &Viewpoint<'_>, records: &mut [Record]) {
    for group in records.chunks_mut(8) {
        let ids: [u32; 8] = std::array::from_fn(|lane| group[lane.min(group.len() - 1)].splat);
        let shading = Shading::<V>::new(splats, camera.centre, camera.settings.active_sh_degree, &ids);
        let rgb = each!(3, |k| shading.colour[k].max(V::all(0.0)).to_array());
        for (lane, record) in group.iter_mut().enumerate() {
            record.rgb = [rgb[0][lane], rgb[1][lane], rgb[2][lane]];
        }
    }
}

/// The colour of eight splats and what it came from.
pub(super) struct Shading<V> {
    /// Before the clamp at zero.
    pub colour: [V; 3],
    /// Unit vector from the camera to the mean.
    pub direction: [V; 3],
    /// One over the distance.
    pub inv_distance: V,
    /// Harmonics above degree 0.
    pub basis: [V; 15],
}

impl<V: Lanes> Shading<V> {
    #[inline(always)]
    pub fn new(splats: &Primitives<'_>, camera_centre: [f32; 3], degree: u8, ids: &[u32; 8]) -> Self {
        let threes = ids.map(|i| 3 * i);
        let offset: [V; 3] = each!(3, |k| {
            // SAFETY: ids are below N and `Primitives::check` has compared the lengths of all tensors with N.
            unsafe { V::gather(splats.means.as_ptr(), threes, k as u32) - V::all(camera_centre[k]) }
        });
        let squared = offset[0] * offset[0] + offset[1] * offset[1] + offset[2] * offset[2];
        let inv_distance = squared.max(V::all(1e-30)).sqrt().recip();
        let direction = each!(3, |k| offset[k] * inv_distance);
        let basis = basis(degree, direction);
        let y0 = V::splat(Y0);
        let mut colour: [V; 3] = each!(3, |k| {
            // SAFETY: ids are below N and `Primitives::check` has compared the lengths of all tensors with N.
            unsafe { V::gather(splats.sh0.as_ptr(), threes, k as u32).mul_add(y0, V::all(0.5)) }
        });
        let stride = 3 * (count(splats.sh_degree) - 1) as u32;
        let rows = ids.map(|i| stride * i);
        for k in 0..count(degree) - 1 {
            for channel in 0..3 {
                // SAFETY: `sh_rest` is [N, stride] and degree is at most what it has room for.
                let coefficient = unsafe { V::gather(splats.sh_rest.as_ptr(), rows, (3 * k + channel) as u32) };
                colour[channel] = coefficient.mul_add(basis[k], colour[channel]);
            }
        }
        Self { colour, direction, inv_distance, basis }
    }
}
