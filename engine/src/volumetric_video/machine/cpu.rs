//! Training on the CPU.

use super::super::model::{Rates, VideoModel};
use super::super::slicer::Slicer;
use super::{Machine, Shot, State, loss_settings};
use crate::Result;
use crate::frames::FrameTarget;
use crate::train::MemoryPlan;
use tessera_kernels::camera_projection::View;
use tessera_kernels::image_loss::{ImageLoss, ImagePair, LossSettings, LossValues};
use tessera_kernels::splat::{Counts, RenderSettings, Rendering, RenderingGradient};

/// Gaussians in space and time that are trained with SIMD and threads.
#[derive(Debug)]
pub struct CpuMachine {
    settings: LossSettings,
    slicer: Slicer,
    loss: ImageLoss,
    values: LossValues,
    target: FrameTarget,
    v_rgb: Vec<f32>,
    errors: Vec<f32>,
}

impl CpuMachine {
    /// With room for nothing yet.
    pub fn new(ssim_weight: f32) -> Self {
        Self {
            settings: loss_settings(ssim_weight),
            slicer: Slicer::default(),
            loss: ImageLoss::new(),
            values: LossValues { loss: 0.0, l1: 0.0, ssim: None, mse: 0.0 },
            target: FrameTarget::default(),
            v_rgb: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Adds the gradient of `opacity_decay mean(opacity) + scale_decay mean(scale)`, restricted to what this view saw. The means
    /// are over what may be seen at this moment: how long the scene lasts makes no difference.
    fn add_decay(&mut self, model: &VideoModel, rates: &Rates) {
        let rows = &self.slicer.active.rows;
        let [opacity_pull, scale_pull] = rates.pulls(rows.len());
        let gradient = &mut self.slicer.geometry;
        for &i in &self.slicer.touched {
            let (i, row) = (i as usize, rows[i as usize] as usize);
            let o = 1.0 / (1.0 + (-model.opacity_logits.values[row]).exp());
            gradient.opacity_logits[i] += opacity_pull * o * (1.0 - o);
            for k in 0..3 {
                gradient.log_scales[3 * i + k] += scale_pull * model.log_scales.row(row)[k].exp();
            }
        }
    }
}

impl Machine for CpuMachine {
    fn draw(&mut self, state: &State, shot: &Shot<'_>) -> Result<()> {
        self.target.fill(shot.frame, shot.settings.background);
        self.slicer.draw(&state.model, shot.seconds, &shot.frame.view, shot.settings);
        Ok(())
    }

    fn compare(&mut self, shot: &Shot<'_>) -> Result<()> {
        let View { width, height, .. } = shot.frame.view;
        let rendering = self.slicer.rendering();
        let pair = ImagePair {
            image: &rendering.rgb,
            target: &self.target.picture.rgb,
            weight: self.target.picture.weight.as_deref(),
            width,
            height,
        };
        self.v_rgb.resize(3 * width * height, 0.0);
        self.errors.resize(width * height, 0.0);
        self.values = self.loss.loss_and_gradient(&pair, &self.settings, &mut self.v_rgb, Some(&mut self.errors));
        Ok(())
    }

    fn descend(&mut self, state: &mut State, shot: &Shot<'_>, rates: &Rates) -> Result<()> {
        let gradient = RenderingGradient { rgb: &self.v_rgb, alpha: None, depth: None, score: Some(&self.errors) };
        let State { model, density, .. } = state;
        self.slicer.differentiate(model, shot.seconds, &shot.frame.view, shot.settings, &gradient);
        density.observe_rows(model.len(), &self.slicer.active.rows, &self.slicer.colour.scores);
        self.add_decay(model, rates);
        let Slicer { active, touched, geometry, colour, .. } = &self.slicer;
        model.descend((&active.rows, touched), geometry, colour, rates);
        Ok(())
    }

    fn values(&mut self, _now: bool) -> Result<LossValues> {
        Ok(self.values)
    }

    fn show(&mut self, state: &State, seconds: f64, view: &View, settings: &RenderSettings) -> Result<()> {
        self.slicer.draw(&state.model, seconds, view, settings);
        Ok(())
    }

    fn counts(&self) -> Result<Counts> {
        Ok(self.slicer.counts())
    }

    fn picture(&mut self, state: &State, seconds: f64, view: &View, settings: &RenderSettings) -> Result<&Rendering> {
        Ok(self.slicer.draw(&state.model, seconds, view, settings))
    }

    fn settle(&mut self, _state: &mut State) -> Result<()> {
        Ok(())
    }

    fn changed(&mut self) {}

    fn memory_plan(&self, n: usize, sh_degree: u8, pixels: usize) -> MemoryPlan {
        let (_, _, gradients) = VideoModel::bytes(n, sh_degree);
        MemoryPlan::default().with("gradients", gradients as u64, "and the Gaussians of a moment").with(
            "activations",
            (n * 240 + pixels * 80) as u64,
            format!("largest photo has {pixels} pixels"),
        )
    }
}
