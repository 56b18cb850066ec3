//! Random points when nothing better can be had: along the rays of random pixels, log-uniform in depth.

use super::ColouredPoint;
use super::views::{Content, WorkingViews};
use rand::RngExt;
use rand_pcg::Pcg64;

/// `count` points within the depth ranges of the views, each in the colour of the pixel through which it was cast. None
/// when the photos show nothing.
pub(super) fn frustum_points(views: &WorkingViews, count: usize, rng: &mut Pcg64) -> Vec<ColouredPoint> {
    /// Rays through masked-out pixels are tried again so often.
    const ATTEMPTS: usize = 20;
    let mut points = Vec::with_capacity(count.min(1 << 20));
    if views.views.is_empty() {
        return points;
    }
    for _ in 0..ATTEMPTS.saturating_mul(count) {
        if points.len() == count {
            break;
        }
        let view = &views.views[rng.random_range(0..views.views.len())];
        let (x, y) = (rng.random_range(0..view.width), rng.random_range(0..view.height));
        let t: f32 = rng.random();
        if view.content_at([x, y]) != Content::Scene {
            continue;
        }
        // Beyond a few times the subject's distance there is one background, however far.
        let far = view.far.min(8.0 * views.distance);
        let z = view.near * (far / view.near).max(1.0).powf(t);
        points.push(ColouredPoint {
            position: view.unproject(x as f32 + 0.5, y as f32 + 0.5, z).into(),
            colour: view.rgb[y * view.width + x],
        });
    }
    points
}
