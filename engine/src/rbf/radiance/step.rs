//! One training step: rays through random pixels, compared with them, differentiated.

use super::space::Space;
use super::trace::{Traced, grows};
use super::{Radiance, RadianceTraining};
use crate::Result;
use crate::rays::{RayDraw, TracedRay, TrainingRay};
use crate::train::StepReport;
use rand::SeedableRng;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use tessera_kernels::hash_grid::SampleGradients;
use tessera_kernels::image_loss::psnr;
use tessera_kernels::sdf_render::{Ray, RayGradient, blend, blend_backward};

/// Sums of gradients are kept for so many groups of rays, whatever the number of threads.
const GROUPS: usize = 32;
/// Rays that are looked along together.
const RAYS: usize = 128;
/// Cells are looked at every so many steps, and all of them in the first ones.
const LOOK_EVERY: u64 = 32;
const FORMING: u64 = 256;

/// The buffers of a group of rays, and what was summed over it.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    traced: Traced,
    rays: Vec<TracedRay>,
    d_alphas: Vec<f32>,
    d_colours: Vec<[f32; 3]>,
    weights: Vec<f32>,
    /// Whether gradients are evened out by distance: [`super::space::Space::evened`].
    evens: bool,
    /// `[blocks, 3, 16]` and `[blocks, rows, 16]` of all samples.
    positions: Vec<f32>,
    of_features: Vec<f32>,
    pub(super) of_decoder: Vec<f32>,
    samples: usize,
    pub(super) squared_error: f64,
}

impl RadianceTraining {
    /// Takes the step number `step`, counted from 0.
    pub(super) fn train_step(&mut self, step: u64) -> Result<StepReport> {
        let seed = self.config.seed ^ (step + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if step > 0 && step.is_multiple_of(LOOK_EVERY) {
            self.cells.update(&mut self.radiance, step <= FORMING, seed);
        }
        let mut rng = Pcg64::seed_from_u64(seed);
        let rays = self.draw_rays(&mut rng)?;
        let per_group = rays.len().div_ceil(GROUPS).max(1);
        let share = 1.0 / (3 * rays.len().max(1)) as f32;
        let radiance = &self.radiance;
        self.groups.resize_with(GROUPS, Group::default);
        self.groups.par_iter_mut().enumerate().with_max_len(1).for_each(|(g, group)| {
            let range = (g * per_group).min(rays.len())..((g + 1) * per_group).min(rays.len());
            group.clear(radiance);
            group.evens = radiance.space.unbounded;
            rays[range].chunks(RAYS).for_each(|rays| group.learn(radiance, rays, share));
        });
        self.descend(step);
        let samples = self.groups.iter().map(|g| g.samples).sum();
        self.pace.adapt(rays.len(), samples, self.config.samples);
        let mse = self.groups.iter().map(|g| g.squared_error).sum::<f64>() * f64::from(share);
        Ok(StepReport { loss: mse, psnr: f64::from(psnr(mse as f32)), count: rays.len() as u64, count_name: "rays" })
    }

    /// Rays through random pixels of a few photos.
    fn draw_rays(&mut self, rng: &mut Pcg64) -> Result<Vec<TrainingRay>> {
        let space = self.radiance.space;
        let draw = RayDraw {
            frames: &self.frames,
            scene_box: &space.scene_box,
            ray: &|maker, pixel, jitter| space.ray(maker, pixel, jitter),
            behind: &|_, _| self.config.background,
        };
        draw.rays(&mut self.sampler, self.pace.rays, rng)
    }

    /// Adds up what the groups found and changes the field.
    fn descend(&mut self, step: u64) {
        let samples: Vec<SampleGradients<'_>> = self.groups.iter().map(|g| g.samples_of(&self.radiance)).collect();
        let of_decoder: Vec<&[f32]> = self.groups.iter().map(|group| &group.of_decoder[..]).collect();
        self.descent.step(&mut self.radiance.field, &samples, &of_decoder, self.config.rates(step));
    }
}

impl Group {
    /// Where samples are, and the gradient by their features.
    pub(super) fn samples_of(&self, radiance: &Radiance) -> SampleGradients<'_> {
        let encoding = (&self.of_features[..], radiance.field.rows().0);
        SampleGradients { positions: &self.positions, encoding, through_jacobian: None }
    }

    pub(super) fn clear(&mut self, radiance: &Radiance) {
        self.positions.clear();
        self.of_features.clear();
        self.of_decoder.clear();
        self.of_decoder.resize(radiance.field.parameters.len(), 0.0);
        (self.samples, self.squared_error) = (0, 0.0);
    }

    /// Looks along rays, and adds the gradient of the squared difference from what they should see, times `share`.
    pub(super) fn learn(&mut self, radiance: &Radiance, rays: &[TrainingRay], share: f32) {
        self.rays.clear();
        self.rays.extend(rays.iter().map(|r| r.traced));
        self.traced.trace(radiance, &self.rays);
        self.samples += self.traced.samples();
        self.compare(&radiance.space, rays, share);
        let field = &radiance.field;
        let count = (field.decoder.outputs() - 1) / 3;
        let (waves, traced) = self.traced.waves();
        for wave in waves {
            field.clear_gradients(&mut wave.tile);
            for (i, (&sample, &ray)) in wave.samples.iter().zip(&wave.ray_of).enumerate() {
                let (sample, harmonics) = (sample as usize, &traced.harmonics[ray as usize]);
                // α = 1 - e^-x with x = e^y times the step.
                let x = traced.depths[sample];
                let slope = if grows(field, &wave.tile, i) { (-x).exp() * x } else { 0.0 };
                field.set_gradient(&mut wave.tile, 0, i, self.d_alphas[sample] * slope);
                for c in 0..3 {
                    let value = traced.colours[sample][c];
                    let d = self.d_colours[sample][c] * value * (1.0 - value);
                    for k in 0..count {
                        field.set_gradient(&mut wave.tile, 1 + c * count + k, i, d * harmonics[k]);
                    }
                }
            }
            field.differentiate(&mut wave.tile, &mut self.of_decoder);
            self.positions.extend_from_slice(&wave.tile.positions);
            self.of_features.extend_from_slice(wave.tile.of_features());
        }
    }

    /// Compares rays with their pixels; gradients by the samples' opacities and colours.
    fn compare(&mut self, space: &Space, rays: &[TrainingRay], share: f32) {
        let n = self.traced.alphas.len();
        self.d_alphas.clear();
        self.d_alphas.resize(n, 0.0);
        self.d_colours.clear();
        self.d_colours.resize(n, [0.0; 3]);
        for (training, span) in rays.iter().zip(&self.traced.spans) {
            let (alphas, colours) = (&self.traced.alphas[span.clone()], &self.traced.colours[span.clone()]);
            let ray = Ray { alphas, colours, background: training.background };
            self.weights.resize(span.len(), 0.0);
            let blended = blend(&ray, &mut self.weights);
            let mut upstream = RayGradient::default();
            for k in 0..3 {
                let error = blended.colour[k] - training.colour[k];
                self.squared_error += f64::from(error * error);
                upstream.colour[k] = 2.0 * share * error;
            }
            let (d_alphas, d_colours) = (&mut self.d_alphas[span.clone()], &mut self.d_colours[span.clone()]);
            blend_backward(&ray, &blended, &self.weights, &upstream, d_alphas, d_colours);
            if let (true, Some(ray)) = (self.evens, &training.traced.ray) {
                for ((alpha, colour), t) in d_alphas.iter_mut().zip(d_colours).zip(&self.traced.ts[span.clone()]) {
                    let even = space.evened(ray, *t);
                    *alpha *= even;
                    colour.iter_mut().for_each(|c| *c *= even);
                }
            }
        }
    }
}
