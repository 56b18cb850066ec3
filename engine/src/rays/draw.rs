//! The rays of a training step: through random pixels of a few photos, as many as give the samples that a step wants.

use super::{RayMaker, SceneBox, TracedRay, TrainingRay, of_pixel};
use crate::Result;
use crate::frames::{FrameSet, Sampler, TrainingFrame};
use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

/// Photos that a step looks at.
const PHOTOS: usize = 8;

/// How rays are drawn.
pub struct RayDraw<'a> {
    /// Photos.
    pub frames: &'a FrameSet,
    /// What the unit cube is.
    pub scene_box: &'a SceneBox,
    /// The ray through a pixel, and the share of a step at which its samples begin.
    pub ray: &'a dyn Fn(&RayMaker, [f64; 2], f32) -> TracedRay,
    /// What is behind a pixel of a photo that is not cut out; behind those that are it is any colour.
    pub behind: &'a dyn Fn(&TrainingFrame, [usize; 2]) -> [f32; 3],
}

impl RayDraw<'_> {
    /// Draws about `count` rays.
    ///
    /// # Errors
    /// When a photo cannot be read.
    pub fn rays(&self, sampler: &mut Sampler, count: usize, rng: &mut Pcg64) -> Result<Vec<TrainingRay>> {
        let photos = PHOTOS.min(self.frames.len());
        let per_photo = count.div_ceil(photos);
        let mut rays = Vec::with_capacity(per_photo * photos);
        for _ in 0..photos {
            let frame = self.frames.next(sampler, 1)?;
            self.of_frame(&frame, per_photo, rng, &mut rays);
        }
        Ok(rays)
    }

    fn of_frame(&self, frame: &TrainingFrame, count: usize, rng: &mut Pcg64, out: &mut Vec<TrainingRay>) {
        let maker = RayMaker::new(&frame.view, self.scene_box);
        let cut_out = frame.is_cut_out();
        for _ in 0..count {
            let pixel = [rng.random_range(0..frame.view.width), rng.random_range(0..frame.view.height)];
            let jitter = rng.random_range(0.0..1.0);
            let background = match cut_out {
                true => std::array::from_fn(|_| rng.random_range(0.0..1.0)),
                false => (self.behind)(frame, pixel),
            };
            out.extend(of_pixel(frame, pixel, |pixel| (self.ray)(&maker, pixel, jitter), background));
        }
    }
}

/// The most rays of a step that wants so many samples.
pub fn most_rays(wanted: usize) -> usize {
    (wanted / 2).max(Pace::default().rays) + PHOTOS
}

/// How many rays a step has, by what earlier steps' rays had of samples.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pace {
    /// Rays of the next step.
    pub rays: usize,
    /// As it was in the last steps.
    pub samples_per_ray: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rays: 512, samples_per_ray: 64.0 }
    }
}

impl Pace {
    /// Chooses the number of rays for `wanted` samples after a step with so many.
    pub fn adapt(&mut self, rays: usize, samples: usize, wanted: usize) {
        let per_ray = samples as f64 / rays.max(1) as f64;
        self.samples_per_ray = 0.8 * self.samples_per_ray + 0.2 * per_ray;
        self.rays = ((wanted as f64 / self.samples_per_ray.max(0.5)) as usize).clamp(PHOTOS * 16, wanted / 2);
    }
}
