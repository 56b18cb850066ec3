//! Depth maps by a plane sweep: for each small photo, fronto-parallel planes from far to near, each seen through a few
//! other photos and compared with it patch by patch.
//!
//! Collins, "A space-sweep approach to true multi-image matching", 1996; Gallup et al., 2007. The comparison is zero-mean
//! normalised cross-correlation over 7x7 pixels, which does not mind exposure; the mean of the two best photos
//! counts, so that a point may be hidden in others. Planes lie evenly in inverse depth, about a pixel of parallax
//! apart.

use super::views::{Content, WorkingView, WorkingViews};
use nalgebra::{Matrix3, Vector3};
use rayon::prelude::*;

/// Photos with which each one is compared.
const SOURCES: usize = 4;
/// Half the width of a patch.
const RADIUS: usize = 3;
const PATCH: f32 = ((2 * RADIUS + 1) * (2 * RADIUS + 1)) as f32;
/// Variance of luminance below which a patch has no texture to compare.
const NOISE_VARIANCE: f32 = 4e-5;
/// Fewest and most planes.
const PLANES: (usize, usize) = (32, 160);
/// The angle between two views of the subject, radians, at which depth is both found and measured well.
const BEST_ANGLE: f32 = 0.17;
/// A comparison that cannot be made.
const NONE: f32 = -1.0;

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
    let luminance: Vec<Vec<f32>> = views.views.par_iter().map(luminance).collect();
    let sweep = |reference: usize| {
        let sources = choose_sources(views, reference);
        sweep_view(&views.views, &luminance, reference, sources)
    };
    (0..views.views.len()).into_par_iter().map(sweep).collect()
}

/// Luminance about zero, so that sums of squares lose no digits.
fn luminance(view: &WorkingView) -> Vec<f32> {
    view.rgb.iter().map(|[r, g, b]| 0.299 * r + 0.587 * g + 0.114 * b - 0.5).collect()
}

/// The photos that see the same from well-chosen other places, the best first.
fn choose_sources(views: &WorkingViews, reference: usize) -> Vec<usize> {
    let view = &views.views[reference];
    let subject = view.position() + view.axis() * views.distance.max(view.near);
    let towards = (view.position() - subject).normalize();
    let mut candidates: Vec<(usize, f32, Vector3<f32>)> = (0..views.views.len())
        .filter(|&k| k != reference)
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

fn sweep_view(views: &[WorkingView], luminance: &[Vec<f32>], reference: usize, sources: Vec<usize>) -> DepthMap {
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
    let mut patches = Patches::new(&luminance[reference], view.width, view.height);
    let mut warped = vec![0.0; size];
    let mut scores = vec![NONE; size];
    let mut volume = vec![NONE; planes * size];
    for (plane, best) in volume.chunks_exact_mut(size).enumerate() {
        let mut second = vec![NONE; size];
        for (transfer, &source) in transfers.iter().zip(&empty.sources) {
            let at = transfer.parallax * inverse_depth(plane as f32);
            warp(&luminance[source], &views[source], &transfer.homography, &at, view.width, &mut warped);
            patches.compare(&luminance[reference], &warped, &mut scores);
            for ((best, second), &score) in best.iter_mut().zip(&mut second).zip(&scores) {
                *second = second.max(best.min(score));
                *best = best.max(score);
            }
        }
        for (best, second) in best.iter_mut().zip(second) {
            // One photo alone may agree by chance.
            *best = if second > NONE { 0.5 * (*best + second) } else { *best - 0.1 };
        }
    }
    choose_planes(view, &volume, planes, inverse_depth, empty)
}

/// The best plane of each pixel.
fn choose_planes(
    view: &WorkingView,
    volume: &[f32],
    planes: usize,
    inverse_depth: impl Fn(f32) -> f32,
    mut map: DepthMap,
) -> DepthMap {
    /// Planes around the best one that belong to the same peak.
    const PEAK: usize = 2;
    let size = map.inverse.len();
    for pixel in (0..size).filter(|&p| view.content[p] == Content::Scene) {
        let at = |plane: usize| volume[plane * size + pixel];
        let best = (0..planes).fold(0, |best, plane| if at(plane) > at(best) { plane } else { best });
        if at(best) <= 0.0 {
            continue;
        }
        let others = (0..planes).filter(|p| p.abs_diff(best) > PEAK);
        map.score[pixel] = at(best);
        map.margin[pixel] = at(best) - others.map(at).fold(NONE, f32::max);
        // The top of the parabola through the best plane and its neighbours.
        let mut refined = best as f32;
        if best > 0 && best + 1 < planes {
            let (low, high) = (at(best - 1), at(best + 1));
            let curvature = low + high - 2.0 * at(best);
            if low > NONE && high > NONE && curvature < -1e-6 {
                refined += (0.5 * (low - high) / curvature).clamp(-0.5, 0.5);
            }
        }
        map.inverse[pixel] = inverse_depth(refined);
    }
    map
}

/// What the source shows at the place of each pixel of the reference (interpolated), NaN where it shows nothing.
fn warp(
    luminance: &[f32],
    source: &WorkingView,
    homography: &Matrix3<f32>,
    parallax: &Vector3<f32>,
    width: usize,
    out: &mut [f32],
) {
    let (right, bottom) = ((source.width - 1) as f32, (source.height - 1) as f32);
    let step = homography.column(0);
    for (y, row) in out.chunks_exact_mut(width).enumerate() {
        let start = homography.column(1) * y as f32 + homography.column(2) + parallax;
        for (x, out) in row.iter_mut().enumerate() {
            let x = x as f32;
            let depth = start.z + x * step.z;
            let inverse = 1.0 / depth;
            let (u, v) = ((start.x + x * step.x) * inverse, (start.y + x * step.y) * inverse);
            let inside = depth > 1e-6 && u >= 0.0 && v >= 0.0 && u < right && v < bottom;
            *out = if inside { bilinear(luminance, source.width, u, v) } else { f32::NAN };
        }
    }
}

#[inline(always)]
fn bilinear(values: &[f32], width: usize, u: f32, v: f32) -> f32 {
    let (x, y) = (u as usize, v as usize);
    let (tx, ty) = (u - x as f32, v - y as f32);
    let at = y * width + x;
    let (upper, lower) = (&values[at..at + 2], &values[at + width..at + width + 2]);
    let top = upper[0] + tx * (upper[1] - upper[0]);
    let bottom = lower[0] + tx * (lower[1] - lower[0]);
    top + ty * (bottom - top)
}

/// Sums over the patches of the reference, and room for those of a warped source.
struct Patches {
    width: usize,
    height: usize,
    sum: Vec<f32>,
    /// Variance times the number of pixels.
    variance: Vec<f32>,
    /// Vertical sums of one row: the source, its square, its product with the reference.
    columns: [Vec<f32>; 3],
}

impl Patches {
    fn new(reference: &[f32], width: usize, height: usize) -> Self {
        let row = vec![0.0; width];
        let mut patches = Self {
            width,
            height,
            sum: vec![0.0; width * height],
            variance: vec![0.0; width * height],
            columns: [row.clone(), row.clone(), row],
        };
        for y in RADIUS..height - RADIUS {
            patches.sum_columns(reference, reference, y);
            for x in RADIUS..width - RADIUS {
                let [sum, square, _] = patches.patch(x);
                patches.sum[y * width + x] = sum;
                patches.variance[y * width + x] = square - sum * sum / PATCH;
            }
        }
        patches
    }

    fn sum_columns(&mut self, reference: &[f32], source: &[f32], y: usize) {
        let [sums, squares, products] = &mut self.columns;
        sums.fill(0.0);
        squares.fill(0.0);
        products.fill(0.0);
        for row in y - RADIUS..=y + RADIUS {
            let range = row * self.width..(row + 1) * self.width;
            let columns = sums.iter_mut().zip(squares.iter_mut()).zip(products.iter_mut());
            for (((sum, square), product), (b, a)) in columns.zip(source[range.clone()].iter().zip(&reference[range])) {
                *sum += b;
                *square += b * b;
                *product += a * b;
            }
        }
    }

    #[inline(always)]
    fn patch(&self, x: usize) -> [f32; 3] {
        self.columns.each_ref().map(|c| c[x - RADIUS..=x + RADIUS].iter().sum())
    }

    /// Normalised cross-correlation of each patch with the same patch of `source`; [`NONE`] where the source is
    /// not known everywhere, which NaN sees to by itself.
    fn compare(&mut self, reference: &[f32], source: &[f32], scores: &mut [f32]) {
        const FLOOR: f32 = PATCH * NOISE_VARIANCE;
        for y in RADIUS..self.height - RADIUS {
            self.sum_columns(reference, source, y);
            let row = y * self.width;
            for x in RADIUS..self.width - RADIUS {
                let [sum, square, product] = self.patch(x);
                let covariance = product - self.sum[row + x] * sum * (1.0 / PATCH);
                let variance = square - sum * sum * (1.0 / PATCH);
                let score = covariance / ((self.variance[row + x] + FLOOR) * (variance + FLOOR)).sqrt();
                scores[row + x] = score.max(NONE); // of NaN: NONE
            }
        }
    }
}
