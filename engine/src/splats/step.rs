//! One training step: render a photo's view, compare, differentiate, descend.

use super::SplatTraining;
use super::appearance::Planes;
use super::density::{add_decay, add_noise};
use super::frames::TrainingFrame;
use super::schedule;
use crate::Result;
use crate::train::StepReport;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use tessera_kernels::camera_projection::View;
use tessera_kernels::image_loss::{ImagePair, LossSettings, LossValues, Padding, psnr};
use tessera_kernels::splat::{RenderSettings, RenderingGradient};

/// Buffers of the size of a picture that steps use again and again.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    /// The rendering after the photo's own colour transform.
    transformed: Vec<f32>,
    /// ∂L/∂ of the picture that was compared.
    v_compared: Vec<f32>,
    /// ∂L/∂rendering.
    v_rgb: Vec<f32>,
    v_alpha: Vec<f32>,
    v_depth: Vec<f32>,
    errors: Vec<f32>,
}

impl SplatTraining {
    /// Takes the step number `step`, counted from 0.
    pub(super) fn train_step(&mut self, step: u64) -> Result<StepReport> {
        let camera = self.frames.camera(self.sampler.peek(0));
        let downscale = schedule::downscale(&self.config, step, camera.width.min(camera.height));
        let frame = self.frames.next(&mut self.sampler, downscale)?;
        // Once inside the thread pool, the step's many parallel loops begin without waking anybody.
        Ok(rayon::scope(|_| self.train_on(&frame, step)))
    }

    /// Renders the frame's view, compares, differentiates and descends.
    fn train_on(&mut self, frame: &TrainingFrame, step: u64) -> StepReport {
        let share = schedule::progress(&self.config, step) as f32;
        let settings = self.training_settings(frame, step);
        self.target.fill(frame, settings.background);
        let view = self.poses.as_ref().map_or(frame.view, |poses| poses.apply(frame.index, &frame.view));

        let filter = self.config.filter_3d.then_some(self.filter.as_slice());
        self.rasterizer.forward(&self.model.splats(filter), &view, &settings);
        let values = self.compare(frame, &view);
        self.differentiate(frame, &view, &settings);

        self.density.observe(&self.gradients);
        add_decay(&self.model, &self.config, &self.rasterizer, &mut self.gradients);
        let rates = schedule::rates(&self.config, step, self.extent);
        self.model.descend(&self.gradients, &rates, step + 1);
        add_noise(&mut self.model, &self.config, &rates, step, &self.rasterizer);
        if let Some(appearance) = &mut self.appearance {
            appearance.step(frame.index, share);
        }
        if let Some(poses) = &mut self.poses {
            poses.step(frame.index, &frame.view, &self.gradients.pose, share);
        }
        self.refine(step + 1);
        StepReport {
            loss: f64::from(values.loss),
            psnr: f64::from(psnr(values.mse)),
            count: self.model.len() as u64,
            count_name: "splats",
        }
    }

    fn training_settings(&self, frame: &TrainingFrame, step: u64) -> RenderSettings {
        let mut background = self.config.background;
        if self.config.random_background && frame.is_cut_out() {
            let mut rng = Pcg64::seed_from_u64(self.config.seed.wrapping_add(step.wrapping_mul(0x2545_f491_4f6c_dd1d)));
            background = std::array::from_fn(|_| rng.random_range(0.0..1.0));
        }
        let depth = self.config.depth_weight > 0.0 && frame.pixels.depth.is_some();
        RenderSettings {
            active_sh_degree: schedule::active_sh_degree(&self.config, step),
            background,
            depth,
            ..self.render_settings()
        }
    }

    /// The loss, and its gradient with respect to the rendering in `pictures`.
    fn compare(&mut self, frame: &TrainingFrame, view: &View) -> LossValues {
        let rendering = self.rasterizer.rendering();
        let pictures = &mut self.pictures;
        let planes = Planes { width: view.width, height: view.height, rgb: &rendering.rgb };
        if let Some(appearance) = &mut self.appearance {
            appearance.apply(frame.index, planes, &mut pictures.transformed);
        }
        let image = if self.appearance.is_some() { &pictures.transformed } else { &rendering.rgb };
        let pair = ImagePair {
            image,
            target: &self.target.picture.rgb,
            weight: self.target.picture.weight.as_deref(),
            width: view.width,
            height: view.height,
        };
        pictures.v_compared.resize(image.len(), 0.0);
        pictures.errors.resize(view.width * view.height, 0.0);
        let settings = LossSettings { ssim_weight: self.config.ssim_weight, padding: Padding::Same };
        let values =
            self.loss.loss_and_gradient(&pair, &settings, &mut pictures.v_compared, Some(&mut pictures.errors));
        if let Some(appearance) = &mut self.appearance {
            appearance.backward(frame.index, planes, &pictures.v_compared, &mut pictures.v_rgb);
        }
        values
    }

    /// From the gradient of the picture to that of the parameters.
    fn differentiate(&mut self, frame: &TrainingFrame, view: &View, settings: &RenderSettings) {
        if settings.depth {
            self.differentiate_depth();
        }
        let pictures = &self.pictures;
        let gradient = RenderingGradient {
            rgb: if self.appearance.is_some() { &pictures.v_rgb } else { &pictures.v_compared },
            alpha: settings.depth.then_some(&pictures.v_alpha),
            depth: settings.depth.then_some(&pictures.v_depth),
            score: Some(&pictures.errors),
        };
        let filter = self.config.filter_3d.then_some(self.filter.as_slice());
        debug_assert_eq!(frame.view.width, view.width, "a refined pose keeps the size");
        self.rasterizer.backward(&self.model.splats(filter), view, settings, &gradient, &mut self.gradients);
    }

    /// L1 between the expected depth Σ w z / alpha and the measured one, over pixels that have both.
    fn differentiate_depth(&mut self) {
        /// A pixel that the splats cover less than this has no depth.
        const COVERED: f32 = 0.5;
        let rendering = self.rasterizer.rendering();
        let measured = &self.target.depth;
        let pixels = measured.len();
        let pictures = &mut self.pictures;
        pictures.v_alpha.clear();
        pictures.v_alpha.resize(pixels, 0.0);
        pictures.v_depth.clear();
        pictures.v_depth.resize(pixels, 0.0);
        let valid = measured.iter().filter(|&&z| z > 0.0).count().max(1);
        let weight = self.config.depth_weight / valid as f32;
        for i in 0..pixels {
            let alpha = 1.0 - rendering.transmittance[i];
            if measured[i] <= 0.0 || alpha < COVERED {
                continue;
            }
            let expected = rendering.depth[i] / alpha;
            let v_expected = weight * (expected - measured[i]).signum();
            pictures.v_depth[i] = v_expected / alpha;
            pictures.v_alpha[i] = -v_expected * expected / alpha;
        }
    }

    /// After `done` steps: relocation and growth, and the 3D filter of what has moved.
    fn refine(&mut self, done: u64) {
        let refined = self.density.refine(&mut self.model, &self.config, self.first_count, done);
        if let Some(refined) = refined {
            tracing::debug!(done, relocated = refined.relocated, added = refined.added, splats = self.model.len());
        }
        if refined.is_some() || done.is_multiple_of(self.config.refine_interval()) {
            self.update_filter();
        }
    }
}
