//! From depth maps to points: what several views agree on, and a guess for what lies between.
//!
//! A pixel's depth is believed when the depth maps of at least two other views show the same surface at its place.
//! What no two views agree on (a blank wall, the sky) is filled in from what surrounds it in the picture, since an area
//! without texture is usually one surface; it gets fewer points.

use super::ColouredPoint;
use super::hull;
use super::sweep::DepthMap;
use super::views::{Content, WorkingView, WorkingViews};
use nalgebra::Vector3;
use rand::RngExt;
use rand_pcg::Pcg64;
use rayon::prelude::*;

/// Relative difference of depths that are the same surface.
const SAME_SURFACE: f32 = 0.015;
/// How well patches must agree, and by how much better than at other depths.
const MIN_SCORE: f32 = 0.5;
const MIN_MARGIN: f32 = 0.02;
/// Other views that must agree (one, if there is only one).
const MIN_AGREEING: usize = 2;
/// Other views that are asked.
const ASKED: usize = 8;
/// A filled-in pixel's chance of becoming a point beside that of a believed one.
const FILLED_SHARE: f32 = 0.35;

/// About `count` points drawn from what the depth maps agree on, and some from what lies between.
pub(super) fn fused_points(
    views: &WorkingViews,
    maps: &[DepthMap],
    count: usize,
    rng: &mut Pcg64,
) -> Vec<ColouredPoint> {
    let masked = views.have_masks();
    let believed: Vec<Vec<f32>> = (0..maps.len()).into_par_iter().map(|k| agreed_depths(views, maps, k)).collect();
    let candidates: Vec<Vec<Candidate>> = (0..maps.len())
        .into_par_iter()
        .map(|k| {
            let filled = fill(&believed[k], views.views[k].width, views.views[k].height);
            candidates(views, &believed, &filled, k, masked)
        })
        .collect();
    draw(views, candidates.into_iter().flatten().collect(), count, rng)
}

struct Candidate {
    point: ColouredPoint,
    weight: f32,
}

/// Inverse depths of one view that others confirm; 0 elsewhere.
fn agreed_depths(views: &WorkingViews, maps: &[DepthMap], k: usize) -> Vec<f32> {
    let (view, map) = (&views.views[k], &maps[k]);
    let others = asked_views(views, maps, k);
    let needed = MIN_AGREEING.min(others.len()).max(1);
    let confirmed = |pixel: usize| {
        let inverse = map.inverse[pixel];
        if inverse <= 0.0 || map.score[pixel] < MIN_SCORE || map.margin[pixel] < MIN_MARGIN {
            return 0.0;
        }
        let point = point_of(view, pixel, 1.0 / inverse);
        let agrees = |&other: &usize| {
            let Some(([x, y], z)) = views.views[other].project(&point) else { return false };
            let theirs = maps[other].inverse[y * views.views[other].width + x];
            (theirs * z - 1.0).abs() < SAME_SURFACE
        };
        if others.iter().filter(|o| agrees(o)).count() >= needed { inverse } else { 0.0 }
    };
    (0..map.inverse.len()).map(confirmed).collect()
}

/// The sources of a view, and the views that it is a source of.
fn asked_views(views: &WorkingViews, maps: &[DepthMap], k: usize) -> Vec<usize> {
    let mut asked = maps[k].sources.clone();
    let users = (0..views.views.len()).filter(|&o| maps[o].sources.contains(&k));
    for user in users {
        if asked.len() < ASKED && !asked.contains(&user) {
            asked.push(user);
        }
    }
    asked
}

fn point_of(view: &WorkingView, pixel: usize, z: f32) -> Vector3<f32> {
    view.unproject((pixel % view.width) as f32 + 0.5, (pixel / view.width) as f32 + 0.5, z)
}

/// Fills zeros with a smooth continuation of the values around them: averages at ever coarser scales, taken back where
/// the finer ones have none (push and pull, Gortler et al., "The lumigraph", 1996). All zeros stay zeros.
fn fill(values: &[f32], width: usize, height: usize) -> Vec<f32> {
    if width <= 1 && height <= 1 || values.iter().all(|v| *v > 0.0) {
        return values.to_vec();
    }
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let mut sums = vec![(0.0_f32, 0.0_f32); half_width * half_height];
    for (i, &value) in values.iter().enumerate().filter(|(_, v)| **v > 0.0) {
        let (sum, count) = &mut sums[i / width / 2 * half_width + i % width / 2];
        *sum += value;
        *count += 1.0;
    }
    let coarse: Vec<f32> = sums.iter().map(|(sum, count)| if *count > 0.0 { sum / count } else { 0.0 }).collect();
    let coarse = fill(&coarse, half_width, half_height);
    let interpolated = |i: usize| {
        let position = |k: usize, limit: usize| {
            let p = (0.5 * k as f32 - 0.25).clamp(0.0, (limit - 1) as f32);
            (p as usize, (p as usize + 1).min(limit - 1), p.fract())
        };
        let (x0, x1, tx) = position(i % width, half_width);
        let (y0, y1, ty) = position(i / width, half_height);
        let row = |y: usize| coarse[y * half_width + x0] * (1.0 - tx) + coarse[y * half_width + x1] * tx;
        row(y0) * (1.0 - ty) + row(y1) * ty
    };
    values.iter().enumerate().map(|(i, &v)| if v > 0.0 { v } else { interpolated(i) }).collect()
}

/// Points of one view with their weights.
fn candidates(views: &WorkingViews, believed: &[Vec<f32>], filled: &[f32], k: usize, masked: bool) -> Vec<Candidate> {
    let view = &views.views[k];
    let mut out = Vec::new();
    for (pixel, &inverse) in filled.iter().enumerate() {
        if inverse <= 0.0 || view.content[pixel] != Content::Scene {
            continue;
        }
        let known = believed[k][pixel] > 0.0;
        let position = point_of(view, pixel, 1.0 / inverse);
        let outside = masked && !hull::is_inside(&views.views, &position, hull::AGREEMENT);
        if outside || (!known && hides_something(views, believed, k, &position)) {
            continue;
        }
        let point = ColouredPoint { position: position.into(), colour: view.rgb[pixel] };
        out.push(Candidate { point, weight: if known { 1.0 } else { FILLED_SHARE } });
    }
    out
}

/// Whether a point would stand in front of what other views see.
fn hides_something(views: &WorkingViews, believed: &[Vec<f32>], k: usize, point: &Vector3<f32>) -> bool {
    /// Relative depth by which it must be in front.
    const MARGIN: f32 = 0.03;
    views.views.iter().zip(believed).enumerate().filter(|(other, _)| *other != k).any(|(_, (view, depths))| {
        view.project(point).is_some_and(|([x, y], z)| {
            depths[y * view.width + x] * z > 0.0 && depths[y * view.width + x] * z < 1.0 - MARGIN
        })
    })
}

/// Draws `count` of the candidates without repetition. What many views show has many candidates; dividing by the root
/// of that number keeps the middle of the scene from taking all.
fn draw(views: &WorkingViews, mut candidates: Vec<Candidate>, count: usize, rng: &mut Pcg64) -> Vec<ColouredPoint> {
    if candidates.len() <= count {
        return candidates.into_iter().map(|c| c.point).collect();
    }
    candidates.par_iter_mut().for_each(|c| {
        let point = Vector3::from(c.point.position);
        let seeing = views.views.iter().filter(|v| v.project(&point).is_some()).count();
        c.weight /= (seeing.max(1) as f32).sqrt();
    });
    // Efraimidis and Spirakis, 2006: the largest u^(1/w) are a weighted sample.
    let mut keys: Vec<(f32, u32)> = (0..candidates.len())
        .map(|i| {
            let u: f32 = rng.random::<f32>().max(1e-12);
            (-u.ln() / candidates[i].weight, i as u32)
        })
        .collect();
    keys.select_nth_unstable_by(count, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut kept: Vec<u32> = keys[..count].iter().map(|k| k.1).collect();
    kept.sort_unstable();
    kept.into_iter().map(|i| candidates[i as usize].point).collect()
}
