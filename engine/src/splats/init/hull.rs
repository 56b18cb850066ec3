//! Points on the visual hull: the largest shape that fits all masks.
//!
//! Laurentini, "The visual hull concept for silhouette-based image understanding", 1994. The hull contains the object
//! and touches it along every silhouette, so the first point of a pixel's ray inside of it is close to what the pixel
//! shows.

use super::ColouredPoint;
use super::views::{Content, WorkingView, WorkingViews};
use nalgebra::Vector3;
use rand::RngExt;
use rand_pcg::Pcg64;
use rayon::prelude::*;

/// Share of the views that see a point which must show the object there; masks have errors at their edges.
pub(super) const AGREEMENT: f32 = 0.95;
/// Views that must see a point for it to be inside.
const MIN_VIEWS: usize = 2;
/// Steps along a ray through the depth range.
const STEPS: usize = 192;

/// Whether the masks leave room for the object at `point`: a share of the views that see it must show the object there.
pub(super) fn is_inside(views: &[WorkingView], point: &Vector3<f32>, agreement: f32) -> bool {
    let (mut seen, mut scene) = (0, 0);
    for view in views {
        let Some((pixel, _)) = view.project(point) else { continue };
        match view.content_at(pixel) {
            Content::Unknown => {}
            Content::Empty => seen += 1,
            Content::Scene => {
                seen += 1;
                scene += 1;
            }
        }
    }
    seen >= MIN_VIEWS && scene as f32 >= agreement * seen as f32
}

/// Up to `count` points where rays of random object pixels enter the hull, in the colours of those pixels.
pub(super) fn surface_points(
    views: &WorkingViews,
    agreement: f32,
    count: usize,
    rng: &mut Pcg64,
) -> Vec<ColouredPoint> {
    let pixels: Vec<Vec<u32>> = views.views.iter().map(object_pixels).collect();
    let usable: Vec<usize> = (0..pixels.len()).filter(|&v| !pixels[v].is_empty()).collect();
    if usable.is_empty() {
        return Vec::new();
    }
    let rays: Vec<(usize, u32, f32)> = (0..count)
        .map(|_| {
            let view = usable[rng.random_range(0..usable.len())];
            (view, pixels[view][rng.random_range(0..pixels[view].len())], rng.random())
        })
        .collect();
    let enter = |&(v, pixel, jitter): &(usize, u32, f32)| {
        let view = &views.views[v];
        let (x, y) = (pixel as usize % view.width, pixel as usize / view.width);
        let inside = |step: &usize| {
            let t = (*step as f32 + jitter) / STEPS as f32;
            let z = view.near + t * (view.far - view.near);
            is_inside(&views.views, &view.unproject(x as f32 + 0.5, y as f32 + 0.5, z), agreement)
        };
        let step = (0..STEPS).find(inside)?;
        let t = (step as f32 + jitter) / STEPS as f32;
        let z = view.near + t * (view.far - view.near);
        let position = view.unproject(x as f32 + 0.5, y as f32 + 0.5, z).into();
        Some(ColouredPoint { position, colour: view.rgb[pixel as usize] })
    };
    rays.par_iter().filter_map(enter).collect()
}

fn object_pixels(view: &WorkingView) -> Vec<u32> {
    let scene = view.content.iter().enumerate().filter(|(_, c)| **c == Content::Scene);
    scene.map(|(i, _)| i as u32).collect()
}
