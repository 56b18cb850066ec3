//! Depth maps by a plane sweep: for each small photo, fronto-parallel planes from far to near, each seen through a few
//! other photos and compared with it patch by patch.
//!
//! Collins, "A space-sweep approach to true multi-image matching", 1996; Gallup et al., 2007. The comparison is zero-mean
//! normalised cross-correlation over 7x7 pixels, which does not mind exposure; the mean of the two best photos
//! counts, so that a point may be hidden in others. Planes lie evenly in inverse depth, about a pixel of parallax
//! apart.

use super::patches::{NONE, Patches, Picture, RADIUS};
use super::views::{Content, WorkingView, WorkingViews};
use nalgebra::{Matrix3, Vector3};
use rayon::prelude::*;
use tessera_kernels::dispatch;
use tessera_kernels::simd::Lanes;

/// Photos with which each one is compared.
const SOURCES: usize = 4;
/// Fewest and most planes.
const PLANES: (usize, usize) = (32, 160);
/// The angle between two views of the subject, radians, at which depth is both found and measured well.
const BEST_ANGLE: f32 = 0.17;

/// What one photo says about depth.
#[derive(Clone, Debug)]
pub(super) struct DepthMap {
    /// `[H, W]`, 1 / depth of the best plane, refined between planes; 0 where there is none.
    pub inverse: Vec<f32>,
    /// `[H, W]`, how well the patches agree there, at most 1.
    pub score: Vec<f32>,
    /// `[H, W]`, by how much it agrees better than anywhere else along the ray.
    pub margin: Vec<f32>,
    /// Indices of the photos with which it was compared.
    pub sources: Vec<usize>,
}

/// The depth maps of all views.
pub(super) fn depth_maps(views: &WorkingViews) -> Vec<DepthMap> {
    let luminance: Vec<Picture> = views.views.par_iter().map(luminance).collect();
    let sweep = |reference: usize| {
        let sources = choose_sources(views, reference);
        sweep_view(&views.views, &luminance, reference, sources)
    };
    (0..views.views.len()).into_par_iter().map(sweep).collect()
}

/// Luminance about zero, so that sums of squares lose no digits.
fn luminance(view: &WorkingView) -> Picture {
    let mut picture = Picture::new(view.width, view.height);
    for (row, colours) in picture.rows_mut().zip(view.rgb.chunks_exact(view.width)) {
        for (value, [r, g, b]) in row.iter_mut().zip(colours) {
            *value = 0.299 * r + 0.587 * g + 0.114 * b - 0.5;
        }
    }
    picture
}

/// The photos that see the same from well-chosen other places, the best first.
fn choose_sources(views: &WorkingViews, reference: usize) -> Vec<usize> {
    let view = &views.views[reference];
    let subject = view.position() + view.axis() * views.distance.max(view.near);
    let towards = (view.position() - subject).normalize();
    let mut candidates: Vec<(usize, f32, Vector3<f32>)> = (0..views.views.len())
        .filter(|&k| k != reference && views.views[k].width > 1 && views.views[k].height > 1)
        .filter_map(|k| {
            let other = &views.views[k];
            let direction = (other.position() - subject).normalize();
            let angle = towards.dot(&direction).clamp(-1.0, 1.0).acos();
            let turned = view.axis().dot(&other.axis()).clamp(-1.0, 1.0).acos();
            let apart = (angle.max(1e-4) / BEST_ANGLE).ln() / 0.6;
            let score = (-0.5 * apart * apart - 0.5 * (turned / 0.35).powi(2)).exp();
            (score > 1e-6).then_some((k, score, other.position() - view.position()))
        })
        .collect();
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < SOURCES {
        let by_score = |a: &&(usize, f32, Vector3<f32>), b: &&(usize, f32, Vector3<f32>)| a.1.total_cmp(&b.1);
        let Some(&(best, _, side)) = candidates.iter().max_by(by_score) else { break };
        chosen.push(best);
        candidates.retain(|c| c.0 != best);
        // What lies on the same side sees the same parts hidden.
        for candidate in &mut candidates {
            let cosine = candidate.2.normalize().dot(&side.normalize()).max(0.0);
            candidate.1 *= 1.0 - 0.6 * cosine * cosine;
        }
    }
    chosen
}

/// From a pixel position and an inverse depth of the reference to homogeneous pixel coordinates of a source:
/// `homography · (x, y, 1) + inverse_depth · parallax`, relative to pixel centres.
struct Transfer {
    homography: Matrix3<f32>,
    parallax: Vector3<f32>,
}

fn transfer(reference: &WorkingView, source: &WorkingView) -> Transfer {
    let intrinsics = |v: &WorkingView| {
        Matrix3::new(v.focal[0], 0.0, v.centre[0] - 0.5, 0.0, v.focal[1], v.centre[1] - 0.5, 0.0, 0.0, 1.0)
    };
    let rotation = source.rotation * reference.rotation.transpose();
    let translation = source.translation - rotation * reference.translation;
    let inverse = intrinsics(reference).try_inverse().unwrap_or_else(Matrix3::identity);
    Transfer { homography: intrinsics(source) * rotation * inverse, parallax: intrinsics(source) * translation }
}

/// Planes such that the sources see them about a pixel apart.
fn plane_count(view: &WorkingView, transfers: &[Transfer]) -> usize {
    let middle = Vector3::new(0.5 * view.width as f32, 0.5 * view.height as f32, 1.0);
    let place = |t: &Transfer, inverse_depth: f32| {
        let p = t.homography * middle + t.parallax * inverse_depth;
        [p.x / p.z, p.y / p.z]
    };
    let travel = |t: &Transfer| {
        let (a, b) = (place(t, 1.0 / view.far), place(t, 1.0 / view.near));
        (a[0] - b[0]).hypot(a[1] - b[1])
    };
    let mean = transfers.iter().map(travel).filter(|t| t.is_finite()).sum::<f32>() / transfers.len().max(1) as f32;
    (mean.min(1e6) as usize).clamp(PLANES.0, PLANES.1)
}

fn sweep_view(views: &[WorkingView], luminance: &[Picture], reference: usize, sources: Vec<usize>) -> DepthMap {
    let view = &views[reference];
    let size = view.width * view.height;
    let empty = DepthMap { inverse: vec![0.0; size], score: vec![NONE; size], margin: vec![0.0; size], sources };
    if empty.sources.is_empty() || view.width <= 2 * RADIUS || view.height <= 2 * RADIUS {
        return empty;
    }
    let transfers: Vec<Transfer> = empty.sources.iter().map(|&s| transfer(view, &views[s])).collect();
    let planes = plane_count(view, &transfers);
    let inverse_depth = |plane: f32| {
        let (far, near) = (1.0 / view.far, 1.0 / view.near);
        far + (near - far) * plane / (planes - 1) as f32
    };
    let mut patches = Patches::new(&luminance[reference]);
    let mut warped = Picture::new(view.width, view.height);
    let mut second = vec![NONE; size];
    let mut scores = vec![NONE; size];
    let mut volume = vec![NONE; planes * size];
    for (plane, best) in volume.chunks_exact_mut(size).enumerate() {
        second.fill(NONE);
        for (transfer, &source) in transfers.iter().zip(&empty.sources) {
            let at = transfer.parallax * inverse_depth(plane as f32);
            warp(&luminance[source], &transfer.homography, &at, &mut warped);
            patches.compare(&warped, &mut scores);
            for ((best, second), &score) in best.iter_mut().zip(&mut second).zip(&scores) {
                *second = second.max(best.min(score));
                *best = best.max(score);
            }
        }
        for (best, &second) in best.iter_mut().zip(&second) {
            // One photo alone may agree by chance.
            *best = if second > NONE { 0.5 * (*best + second) } else { *best - 0.1 };
        }
    }
    choose_planes(view, &volume, inverse_depth, empty)
}

/// The best plane of each pixel. `volume` is `[planes, H, W]` and is read in that order.
fn choose_planes(
    view: &WorkingView,
    volume: &[f32],
    inverse_depth: impl Fn(f32) -> f32,
    mut map: DepthMap,
) -> DepthMap {
    /// Planes around the best one that belong to the same peak.
    const PEAK: usize = 2;
    let size = map.inverse.len();
    let planes = volume.len() / size;
    let mut best = vec![0_usize; size];
    for (plane, scores) in volume.chunks_exact(size).enumerate() {
        for ((best, top), &score) in best.iter_mut().zip(&mut map.score).zip(scores) {
            if score > *top {
                (*best, *top) = (plane, score);
            }
        }
    }
    let mut runner_up = vec![NONE; size];
    for (plane, scores) in volume.chunks_exact(size).enumerate() {
        for ((runner_up, best), &score) in runner_up.iter_mut().zip(&best).zip(scores) {
            if plane.abs_diff(*best) > PEAK {
                *runner_up = runner_up.max(score);
            }
        }
    }
    for pixel in (0..size).filter(|&p| view.content[p] == Content::Scene && map.score[p] > 0.0) {
        let (plane, top) = (best[pixel], map.score[pixel]);
        map.margin[pixel] = top - runner_up[pixel];
        // The top of the parabola through the best plane and its neighbours.
        let mut refined = plane as f32;
        if plane > 0 && plane + 1 < planes {
            let (low, high) = (volume[(plane - 1) * size + pixel], volume[(plane + 1) * size + pixel]);
            let curvature = low + high - 2.0 * top;
            if low > NONE && high > NONE && curvature < -1e-6 {
                refined += (0.5 * (low - high) / curvature).clamp(-0.5, 0.5);
            }
        }
        map.inverse[pixel] = inverse_depth(refined);
    }
    map
}

/// What the source shows at the place of each pixel of the reference (interpolated), NaN where it shows nothing.
fn warp(source: &Picture, homography: &Matrix3<f32>, parallax: &Vector3<f32>, out: &mut Picture) {
    let step: [f32; 3] = homography.column(0).into_owned().into();
    for (y, row) in out.rows_mut().enumerate() {
        let start = homography.column(1) * y as f32 + homography.column(2) + parallax;
        warp_row(source, start.into(), step, row);
    }
}

dispatch! {
    fn warp_row(source: &Picture, start: [f32; 3], step: [f32; 3], row: &mut [f32]) = warp_row_lanes;
}

/// Pixel `x` of the row looks at the homogeneous coordinates `start + x step` of the source.
#[inline(always)]
fn warp_row_lanes<V: Lanes>(source: &Picture, start: [f32; 3], step: [f32; 3], row: &mut [f32]) {
    let (right, bottom) = ((source.width - 1) as f32, (source.height - 1) as f32);
    let zero = V::all(0.0);
    for (group, row) in row.chunks_mut(8).enumerate() {
        let x = V::iota() + V::all(8.0 * group as f32);
        let a = V::all(step[0]).mul_add(x, V::all(start[0]));
        let b = V::all(step[1]).mul_add(x, V::all(start[1]));
        let depth = V::all(step[2]).mul_add(x, V::all(start[2]));
        let inverse = V::all(1.0) / depth.max(V::all(1e-6));
        let (u, v) = (a * inverse, b * inverse);
        let inside = V::all(1e-6).lt(depth) & zero.le(u) & u.lt(V::all(right)) & zero.le(v) & v.lt(V::all(bottom));
        let (u, v) = (V::select(inside, u, zero), V::select(inside, v, zero));
        let (column, line) = (u.floor(), v.floor());
        let offsets = line.mul_add(V::all(source.stride as f32), column).to_array().map(|at| at as i32 as u32);
        // SAFETY: column <= width - 2 and line <= height - 2, so that both texels and those below lie in the picture.
        let [upper, lower] = unsafe {
            let texels = source.values.as_ptr();
            let below = source.stride as u32;
            [
                [V::gather(texels, offsets, 0), V::gather(texels, offsets, 1)],
                [V::gather(texels, offsets, below), V::gather(texels, offsets, below + 1)],
            ]
        };
        let (tx, ty) = (u - column, v - line);
        let (upper, lower) = (mix(upper[0], upper[1], tx), mix(lower[0], lower[1], tx));
        let value = V::select(inside, mix(upper, lower, ty), V::all(f32::NAN)).to_array();
        row.copy_from_slice(&value[..row.len()]);
    }
}

#[inline(always)]
fn mix<V: Lanes>(a: V, b: V, t: V) -> V {
    t.mul_add(b - a, a)
}
