//! One training step: slice the moment of a photo, render, compare, differentiate, descend.

use super::VideoTraining;
use super::density::Evolving;
use super::init::seconds;
use super::model::Rates;
use crate::Result;
use crate::frames::TrainingFrame;
use crate::splats::density::{DensityControl, Population};
use crate::train::StepReport;
use tessera_kernels::image_loss::{ImagePair, LossSettings, Padding, psnr};
use tessera_kernels::splat::RenderingGradient;

impl VideoTraining {
    /// Takes the step number `step`, counted from 0.
    pub(super) fn train_step(&mut self, step: u64) -> Result<StepReport> {
        self.hold(step)?;
        let windows = &self.windows;
        let frame = self.frames.load_before(windows.photo(step), step == 0, |ahead| windows.photo(step + ahead), 1)?;
        // Once inside the thread pool, the step's many parallel loops begin without waking anybody.
        rayon::scope(|_| self.train_on(&frame, step))
    }

    fn train_on(&mut self, frame: &TrainingFrame, step: u64) -> Result<StepReport> {
        let seconds = seconds(&self.frames, frame.index, &self.timeline);
        let (view, settings) = (&frame.view, self.render_settings());
        self.target.fill(frame, settings.background);
        let rendering = self.slicer.draw(&self.model, seconds, view, &settings);
        let pair = ImagePair {
            image: &rendering.rgb,
            target: &self.target.picture.rgb,
            weight: self.target.picture.weight.as_deref(),
            width: view.width,
            height: view.height,
        };
        self.v_rgb.resize(rendering.rgb.len(), 0.0);
        self.errors.resize(view.width * view.height, 0.0);
        let loss = LossSettings { ssim_weight: self.config.ssim_weight, padding: Padding::Same };
        let values = self.loss.loss_and_gradient(&pair, &loss, &mut self.v_rgb, Some(&mut self.errors));
        let gradient = RenderingGradient { rgb: &self.v_rgb, alpha: None, depth: None, score: Some(&self.errors) };
        self.slicer.differentiate(&self.model, seconds, view, &settings, &gradient);
        let rows = &self.slicer.active.rows;
        self.density.observe_rows(self.model.len(), rows, &self.slicer.colour.scores);
        self.add_decay();
        let rates = self.rates(step);
        let slicer = &self.slicer;
        let listed = (slicer.active.rows.as_slice(), slicer.touched.as_slice());
        self.model.descend(listed, &slicer.geometry, &slicer.colour, &rates);
        self.refine(step + 1)?;
        Ok(StepReport {
            loss: f64::from(values.loss),
            psnr: f64::from(psnr(values.mse)),
            count: self.model.total() as u64,
            count_name: "splats",
        })
    }

    fn rates(&self, step: u64) -> Rates {
        let config = &self.config;
        let decay = config.means_rate_decay.powf(step as f64 / config.steps.max(1) as f64);
        Rates {
            means: (config.means_rate * self.extent * decay) as f32,
            times: (config.times_rate * decay / self.timeline.frame_rate) as f32,
            log_scales: config.scales_rate as f32,
            quats: config.quats_rate as f32,
            opacity_logits: config.opacity_rate as f32,
            sh0: config.sh0_rate as f32,
            sh_rest: config.sh_rest_rate as f32,
            // Nothing is relocated any more: which have harmonics is settled.
            only_given_harmonics: step as f64 >= config.relocate_until * config.steps as f64,
        }
    }

    /// Adds the gradient of `opacity_decay mean(opacity) + scale_decay mean(scale)`, restricted to what this view saw. The means
    /// are over what may be seen at this moment: how long the scene lasts makes no difference.
    fn add_decay(&mut self) {
        let rows = &self.slicer.active.rows;
        let n = rows.len().max(1) as f32;
        let (opacity_pull, scale_pull) = (self.config.opacity_decay / n, self.config.scale_decay / (3.0 * n));
        let gradient = &mut self.slicer.geometry;
        for &i in &self.slicer.touched {
            let (i, row) = (i as usize, rows[i as usize] as usize);
            let o = 1.0 / (1.0 + (-self.model.opacity_logits.values[row]).exp());
            gradient.opacity_logits[i] += opacity_pull * o * (1.0 - o);
            for k in 0..3 {
                gradient.log_scales[3 * i + k] += scale_pull * self.model.log_scales.row(row)[k].exp();
            }
        }
    }

    /// After `done` steps: relocation and growth if it is time to, and places in the hierarchy of what has moved.
    fn refine(&mut self, done: u64) -> Result<()> {
        if !done.is_multiple_of(self.growth.refine_interval()) {
            return Ok(());
        }
        let mut population = Evolving {
            model: &mut self.model,
            duration: self.timeline.duration(),
            frame: 1.0 / self.timeline.frame_rate,
            extent: self.extent,
        };
        // What rests is in every window, and so are its errors: it would be split in all of them. Once there are as many Gaussians
        // for it as a still scene has, the others are for what moves.
        let resting = population.resting();
        let target = DensityControl::target(&population, &self.growth, self.first_count, done);
        let wanted = target.saturating_sub(population.count()) + population.dead();
        self.density.limit(&resting, self.most_resting.saturating_sub(resting.len()), wanted);
        let refined = self.density.refine(&mut population, &self.growth, self.first_count, done)?;
        if let Some(refined) = refined {
            tracing::debug!(done, relocated = refined.relocated, added = refined.added, splats = self.model.len());
        }
        if done as f64 >= self.config.relocate_until * self.config.steps as f64 {
            self.model.thin_harmonics(self.config.harmonics_threshold);
        }
        self.model.place();
        // Rows have other numbers now.
        self.density.restore(Vec::new());
        // Some may have moved to where nothing is in memory.
        self.held = None;
        self.hold(done - 1)
    }
}
