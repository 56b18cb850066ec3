//! Whether the borders between blocks are seen: the error of pictures near borders against that elsewhere.
//!
//! Each pixel that a scene covers has a place on the ground, by its median depth. It lies near a border when the ground there is
//! no farther from a neighbouring cell than a share of the cells' sides.

use super::plan::Plan;
use crate::Result;
use crate::frames::FrameSet;
use crate::metrics::{MAX_PSNR, quantise};
use crate::render::Painter;
use crate::target::Target;
use nalgebra::{Isometry3, Point3};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tessera_datasets::camera::{Lens, Similarity};
use tessera_datasets::capture::Capture;
use tessera_datasets::image::ImageCache;

use crate::evaluate::{CACHE_BYTES, EvalOptions, split_indices};

/// What counts as near a border, as a share of the mean side of a cell.
const NEAR_SHARE: f64 = 0.05;

/// The error near borders and elsewhere, over all pixels of all pictures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BorderReport {
    /// PSNR of the pixels near borders, in dB.
    pub near_psnr: f64,
    /// PSNR of all other pixels that show the scene, in dB.
    pub elsewhere_psnr: f64,
    /// Which share of these pixels is near a border.
    pub near_share: f64,
    /// What counts as near, in units of the capture's world.
    pub width: f64,
}

/// Squared errors and how many there are.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    squared: f64,
    weight: f64,
}

impl Sum {
    fn add(&mut self, squared: f64, weight: f64) {
        self.squared += weight * squared;
        self.weight += weight;
    }

    fn joined(self, other: Self) -> Self {
        Self { squared: self.squared + other.squared, weight: self.weight + other.weight }
    }

    fn psnr(self) -> f64 {
        if self.squared > 0.0 { (-10.0 * (self.squared / self.weight).log10()).min(MAX_PSNR) } else { MAX_PSNR }
    }
}

/// Measures what `painter` draws of the photos that `options` choose. `None` when there are no borders in them.
///
/// # Errors
/// When a photo cannot be read.
pub fn evaluate_borders(
    painter: &mut dyn Painter,
    plan: &Plan,
    capture: &Capture,
    options: &EvalOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Option<BorderReport>> {
    let indices = split_indices(capture, options.split, options.test_every);
    let cache = Arc::new(ImageCache::new(capture.files.clone(), CACHE_BYTES, options.max_side));
    let frames = FrameSet::new(capture, &indices, &cache, 1);
    let width = NEAR_SHARE * mean_side(plan);
    let (mut target, mut sums) = (Target::default(), [Sum::default(); 2]);
    for i in 0..frames.len() {
        let frame = frames.load(i, 1)?;
        target.fill(&frame.pixels, frame.mask_kind, options.background);
        let drawn = painter.draw(&frame.view, true);
        let mut rgb = drawn.rgb.clone();
        quantise(&mut rgb);
        let pixels = Pixels {
            rgb: &rgb,
            depth: &drawn.median_depth,
            target: &target,
            lens: &frame.view.lens,
            scene_from_camera: frames.camera_from_scene(i).inverse(),
            world_from_scene: capture.scene_from_world.inverse(),
        };
        let found = pixels.sums(plan, width);
        sums = [0, 1].map(|k| sums[k].joined(found[k]));
        progress(i + 1, frames.len());
    }
    let [elsewhere, near] = sums;
    let report = BorderReport {
        near_psnr: near.psnr(),
        elsewhere_psnr: elsewhere.psnr(),
        near_share: near.weight / (near.weight + elsewhere.weight),
        width,
    };
    Ok((near.weight > 0.0).then_some(report))
}

/// The root of the mean area of a cell.
fn mean_side(plan: &Plan) -> f64 {
    let [low, high] = plan.bounds;
    ((high[0] - low[0]) * (high[1] - low[1]) / plan.blocks.len() as f64).abs().sqrt()
}

struct Pixels<'a> {
    rgb: &'a [f32],
    depth: &'a [f32],
    target: &'a Target,
    lens: &'a Lens,
    scene_from_camera: Isometry3<f64>,
    world_from_scene: Similarity,
}

impl Pixels<'_> {
    /// Of the pixels elsewhere, and of those near borders.
    fn sums(&self, plan: &Plan, width: f64) -> [Sum; 2] {
        let rows: Vec<[Sum; 2]> = (0..self.target.height).into_par_iter().map(|y| self.row(y, plan, width)).collect();
        // In a fixed order, so that the sum does not depend on the threads.
        rows.into_iter().fold([Sum::default(); 2], |all, row| [0, 1].map(|k| all[k].joined(row[k])))
    }

    fn row(&self, y: usize, plan: &Plan, width: f64) -> [Sum; 2] {
        let plane = self.target.width * self.target.height;
        let radius = self.lens.max_valid_radius_squared();
        let mut sums = [Sum::default(); 2];
        for x in 0..self.target.width {
            let pixel = y * self.target.width + x;
            let depth = f64::from(self.depth[pixel]);
            let weight = self.target.weight.as_ref().map_or(1.0, |weight| f64::from(weight[pixel]));
            if depth <= 0.0 || weight == 0.0 {
                continue;
            }
            let [u, v] = self.lens.unproject_within([x as f64 + 0.5, y as f64 + 0.5], radius);
            let scene = self.scene_from_camera * Point3::new(u * depth, v * depth, depth);
            let world = self.world_from_scene * scene;
            let is_near = plan.distance_to_border(world.coords.into()) <= width;
            let errors = (0..3).map(|c| f64::from(self.rgb[c * plane + pixel] - self.target.rgb[c * plane + pixel]));
            let squared = errors.map(|error| error * error).sum::<f64>() / 3.0;
            sums[usize::from(is_near)].add(squared, weight);
        }
        sums
    }
}
