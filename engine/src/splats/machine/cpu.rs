//! Training on the CPU.

use super::super::appearance::{Appearance, Planes};
use super::super::config::SplatsConfig;
use super::super::density::{Refinement, add_decay, add_noise};
use super::super::model::{Rates, SplatModel};
use super::{DEPTH_COVERED, Machine, Shot, State};
use crate::Result;
use crate::frames::FrameTarget;
use crate::train::MemoryPlan;
use tessera_kernels::camera_projection::View;
use tessera_kernels::image_loss::{ImageLoss, ImagePair, LossSettings, LossValues, Padding};
use tessera_kernels::splat::cuda::Precision;
use tessera_kernels::splat::{Counts, Rasterizer, RenderSettings, Rendering, RenderingGradient, SplatGradients};

/// Splats that are trained with SIMD and threads.
#[derive(Debug)]
pub struct CpuMachine {
    config: SplatsConfig,
    state: State,
    rasterizer: Rasterizer,
    gradients: SplatGradients,
    loss: ImageLoss,
    values: LossValues,
    target: FrameTarget,
    pictures: Pictures,
}

/// Buffers of the size of a picture that steps use again and again.
#[derive(Debug, Default)]
struct Pictures {
    /// The rendering after the photo's own colour transform.
    transformed: Vec<f32>,
    /// ∂L/∂ of the picture that was compared.
    v_compared: Vec<f32>,
    /// ∂L/∂rendering, where the picture that was compared is another.
    v_rgb: Vec<f32>,
    v_alpha: Vec<f32>,
    v_depth: Vec<f32>,
    errors: Vec<f32>,
    with_appearance: bool,
}

impl CpuMachine {
    /// Begins with these splats.
    pub fn new(state: State, config: &SplatsConfig) -> Self {
        Self {
            config: config.clone(),
            state,
            rasterizer: Rasterizer::new(),
            gradients: SplatGradients::default(),
            loss: ImageLoss::new(),
            values: LossValues { loss: 0.0, l1: 0.0, ssim: None, mse: 0.0 },
            target: FrameTarget::default(),
            pictures: Pictures::default(),
        }
    }

    /// L1 between the expected depth Σ w z / alpha and the measured one, over pixels that have both.
    fn differentiate_depth(&mut self) {
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
            if measured[i] <= 0.0 || alpha < DEPTH_COVERED {
                continue;
            }
            let expected = rendering.depth[i] / alpha;
            let v_expected = weight * (expected - measured[i]).signum();
            pictures.v_depth[i] = v_expected / alpha;
            pictures.v_alpha[i] = -v_expected * expected / alpha;
        }
    }

    /// From the gradient of the picture to that of the parameters.
    fn differentiate(&mut self, shot: &Shot<'_>) {
        let &Shot { frame, view, settings } = shot;
        if settings.depth {
            self.differentiate_depth();
        }
        let pictures = &self.pictures;
        let gradient = RenderingGradient {
            rgb: if pictures.with_appearance { &pictures.v_rgb } else { &pictures.v_compared },
            alpha: settings.depth.then_some(&pictures.v_alpha),
            depth: settings.depth.then_some(&pictures.v_depth),
            score: Some(&pictures.errors),
        };
        let filter = self.config.filter_3d.then_some(self.state.filter.as_slice());
        debug_assert_eq!(frame.view.width, view.width, "a refined pose keeps the size");
        let splats = self.state.model.splats(filter);
        self.rasterizer.backward(&splats, view, settings, &gradient, &mut self.gradients);
    }
}

impl Machine for CpuMachine {
    fn count(&self) -> usize {
        self.state.model.len()
    }

    fn draw(&mut self, shot: &Shot<'_>) -> Result<()> {
        self.target.fill(shot.frame, shot.settings.background);
        let filter = self.config.filter_3d.then_some(self.state.filter.as_slice());
        self.rasterizer.forward(&self.state.model.splats(filter), shot.view, shot.settings);
        Ok(())
    }

    fn compare(&mut self, shot: &Shot<'_>, mut appearance: Option<&mut Appearance>) -> Result<()> {
        let &Shot { frame, view, .. } = shot;
        let rendering = self.rasterizer.rendering();
        let pictures = &mut self.pictures;
        let planes = Planes { width: view.width, height: view.height, rgb: &rendering.rgb };
        pictures.with_appearance = appearance.is_some();
        if let Some(appearance) = &mut appearance {
            appearance.apply(frame.index, planes, &mut pictures.transformed);
        }
        let image = if pictures.with_appearance { &pictures.transformed } else { &rendering.rgb };
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
        self.values =
            self.loss.loss_and_gradient(&pair, &settings, &mut pictures.v_compared, Some(&mut pictures.errors));
        if let Some(appearance) = appearance {
            appearance.backward(frame.index, planes, &pictures.v_compared, &mut pictures.v_rgb);
        }
        Ok(())
    }

    fn descend(&mut self, shot: &Shot<'_>, rates: &Rates, step: u64) -> Result<[f32; 6]> {
        self.differentiate(shot);
        let State { model, density, .. } = &mut self.state;
        density.observe(&self.gradients);
        add_decay(model, &self.config, &self.rasterizer, &mut self.gradients);
        model.descend(&self.gradients, rates, self.config.seed, step + 1);
        add_noise(model, &self.config, rates, step, &self.rasterizer);
        Ok(self.gradients.pose)
    }

    fn adapt(&mut self, image: usize, appearance: &mut Appearance, progress: f32) -> Result<()> {
        appearance.step(image, progress);
        Ok(())
    }

    fn values(&mut self, _: bool) -> Result<LossValues> {
        Ok(self.values)
    }

    fn refine(&mut self, first_count: usize, done: u64) -> Result<Option<Refinement>> {
        let State { model, density, .. } = &mut self.state;
        density.refine(model, &self.config, first_count, done)
    }

    fn update_filter(&mut self) -> Result<()> {
        if self.config.filter_3d {
            let State { model, filter, limits, .. } = &mut self.state;
            limits.filter_sigmas(&model.means.values, filter);
        }
        Ok(())
    }

    fn picture(&mut self, view: &View, settings: &RenderSettings) -> Result<&Rendering> {
        let filter = self.config.filter_3d.then_some(self.state.filter.as_slice());
        Ok(self.rasterizer.forward(&self.state.model.splats(filter), view, settings))
    }

    fn counts(&self) -> Result<Counts> {
        Ok(self.rasterizer.counts())
    }

    fn settle(&mut self, _: Option<&mut Appearance>) -> Result<()> {
        Ok(())
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn restore(&mut self, change: &mut dyn FnMut(&mut State) -> Result<()>) -> Result<()> {
        change(&mut self.state)
    }

    fn state_bytes(&self) -> usize {
        let (parameters, optimiser, _) = SplatModel::bytes(1, self.config.sh_degree, self.config.precision());
        // Score and 3D filter.
        parameters + optimiser + 8
    }

    fn memory_plan(&self, splats: usize, pixels: usize) -> MemoryPlan {
        let precision = self.config.precision();
        let (parameters, optimiser, gradients) = SplatModel::bytes(splats, self.config.sh_degree, precision);
        let moments = match precision {
            Precision::Full => "two moments for every parameter",
            Precision::Compact => "two moments for every parameter, in codes of 32 and 16 bits",
        };
        MemoryPlan::default()
            .with("parameters", parameters as u64, format!("{splats} splats"))
            .with("optimiser", optimiser as u64, moments)
            .with("gradients", gradients as u64, "")
            // A record and three tile entries for each splat; about twenty planes of the picture's size.
            .with("activations", (splats * 240 + pixels * 80) as u64, format!("largest photo has {pixels} pixels"))
    }
}
