//! One training step: slice the moment of a photo, render, compare, differentiate, descend.

use super::VideoTraining;
use super::density::Evolving;
use super::init::seconds;
use super::machine::{Shot, State};
use super::model::Rates;
use crate::Result;
use crate::frames::TrainingFrame;
use crate::splats::density::{DensityControl, Population};
use crate::train::StepReport;
use tessera_kernels::image_loss::psnr;

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
        let shot = Shot { frame, seconds, settings: &self.training_settings(frame, step) };
        let rates = self.rates(step);
        self.machine.draw(&self.state, &shot)?;
        self.machine.compare(&shot)?;
        self.machine.descend(&mut self.state, &shot, &rates)?;
        let values = self.machine.values(step + 1 == self.config.steps)?;
        self.refine(step + 1)?;
        Ok(StepReport {
            loss: f64::from(values.loss),
            psnr: f64::from(psnr(values.mse)),
            count: self.state.model.total() as u64,
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
            opacity_decay: config.opacity_decay,
            scale_decay: config.scale_decay,
            // Nothing is relocated any more: which have harmonics is settled.
            only_given_harmonics: step as f64 >= config.relocate_until * config.steps as f64,
        }
    }

    /// After `done` steps: relocation and growth if it is time to, and places in the hierarchy of what has moved.
    fn refine(&mut self, done: u64) -> Result<()> {
        if !done.is_multiple_of(self.growth.refine_interval()) {
            return Ok(());
        }
        self.machine.settle(&mut self.state)?;
        self.machine.changed();
        self.weigh_levels(done);
        let State { model, density, .. } = &mut self.state;
        let mut population = Evolving {
            model,
            duration: self.timeline.duration(),
            frame: 1.0 / self.timeline.frame_rate,
            extent: self.extent,
        };
        // What rests is in every window, and so are its errors: it would be split in all of them. Once there are as many Gaussians
        // for it as a still scene has, the others are for what moves.
        let resting = population.resting();
        let target = DensityControl::target(&population, &self.growth, self.first_count, done);
        let wanted = target.saturating_sub(population.count()) + population.dead();
        density.limit(&resting, self.most_resting.saturating_sub(resting.len()), wanted);
        let refined = density.refine(&mut population, &self.growth, self.first_count, done)?;
        if let Some(refined) = refined {
            tracing::debug!(done, relocated = refined.relocated, added = refined.added, splats = model.len());
        }
        if done as f64 >= self.config.relocate_until * self.config.steps as f64 {
            model.thin_harmonics(self.config.harmonics_threshold);
        }
        model.place();
        // Rows have other numbers now.
        density.restore(Vec::new());
        // Some may have moved to where nothing is in memory.
        self.state.held = None;
        self.hold(done - 1)
    }
}
