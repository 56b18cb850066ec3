//! One training step: render a photo's view, compare, differentiate, descend. Where that is computed is the machine's
//! business.

use super::machine::Shot;
use super::schedule;
use super::{OnOom, SplatTraining};
use crate::Result;
use crate::frames::TrainingFrame;
use crate::target::random_background;
use crate::train::StepReport;
use std::time::Instant;
use tessera_kernels::image_loss::psnr;
use tessera_kernels::splat::RenderSettings;
use tessera_kernels::splat::cuda::Moved;

/// Steps after which it is said what bringing harmonics costs.
const SLOW_DOWN_STEPS: u64 = 48;

impl SplatTraining {
    /// Takes the step number `step`, counted from 0.
    pub(super) fn train_step(&mut self, step: u64) -> Result<StepReport> {
        let camera = self.frames.camera(self.sampler.peek(0));
        let downscale = schedule::downscale(&self.config, step, camera.width.min(camera.height));
        let frame = self.frames.next(&mut self.sampler, downscale)?;
        loop {
            // Once inside the thread pool, the step's many parallel loops begin without waking anybody.
            match rayon::scope(|_| self.train_on(&frame, step)) {
                Err(error) if error.is_out_of_memory() && self.config.on_oom == OnOom::Shrink => {
                    let Some(room) = self.machine.shrink()? else { return Err(error) };
                    self.first_count = self.first_count.min(room);
                    self.warnings.push(format!("the GPU's memory is full: going on with at most {room} splats"));
                }
                Err(error) if error.is_out_of_memory() => return Err(error.with_room_for(self.machine.room())),
                outcome => return outcome,
            }
        }
    }

    /// Renders the frame's view, compares, differentiates and descends.
    fn train_on(&mut self, frame: &TrainingFrame, step: u64) -> Result<StepReport> {
        let share = schedule::progress(&self.config, step) as f32;
        let settings = &self.training_settings(frame, step);
        let view = &self.poses.as_ref().map_or(frame.view, |poses| poses.apply(frame.index, &frame.view));
        let rates = schedule::rates(&self.config, step, self.extent);
        let shot = Shot { frame, view, settings };
        let begin = Instant::now();

        self.machine.draw(&shot)?;
        self.machine.compare(&shot, self.appearance.as_mut())?;
        let pose_gradient = self.machine.descend(&shot, &rates, step)?;
        if let Some(appearance) = &mut self.appearance {
            self.machine.adapt(frame.index, appearance, share)?;
        }
        if let Some(poses) = &mut self.poses {
            poses.step(frame.index, &frame.view, &pose_gradient, share);
        }
        let values = self.machine.values(step + 1 == self.config.steps)?;
        self.busy_seconds += begin.elapsed().as_secs_f64();
        self.tell_slow_down();
        self.refine(step + 1)?;
        Ok(StepReport {
            loss: f64::from(values.loss),
            psnr: f64::from(psnr(values.mse)),
            count: self.machine.count() as u64,
            count_name: "splats",
        })
    }

    /// Says once, after some steps, what it costs to bring harmonics from the host's memory.
    fn tell_slow_down(&mut self) {
        let is_known = |moved: &Moved| moved.steps == SLOW_DOWN_STEPS;
        if let Some(moved) = self.machine.moved().filter(is_known) {
            let splats = self.machine.count();
            let message = format!("harmonics lie in the host's memory: {}", self.slow_down(&moved, splats));
            self.warnings.push(message);
        }
    }

    /// How many rows were brought for a step, and by what that made steps slower.
    pub(super) fn slow_down(&self, moved: &Moved, splats: usize) -> String {
        let rows = moved.rows / moved.steps.max(1);
        format!(
            "{rows} of {splats} splats are brought for a step, which makes it {:.1} times as long",
            self.longer(moved)
        )
    }

    /// How many times as long steps are as they would be without bringing rows.
    pub(super) fn longer(&self, moved: &Moved) -> f64 {
        self.busy_seconds / (self.busy_seconds - moved.seconds).max(1e-3 * self.busy_seconds).max(1e-9)
    }

    fn training_settings(&self, frame: &TrainingFrame, step: u64) -> RenderSettings {
        let mut background = self.config.background;
        if self.config.random_background && frame.is_cut_out() {
            background = random_background(self.config.seed, step);
        }
        let depth = self.config.depth_weight > 0.0 && frame.pixels.depth.is_some();
        RenderSettings {
            active_sh_degree: schedule::active_sh_degree(&self.config, step),
            background,
            depth,
            ..self.render_settings()
        }
    }

    /// After `done` steps: relocation and growth, and the 3D filter of what has moved.
    fn refine(&mut self, done: u64) -> Result<()> {
        let refined = self.machine.refine(self.first_count, done)?;
        if let Some(refined) = refined {
            let splats = self.machine.count();
            tracing::debug!(done, relocated = refined.relocated, added = refined.added, splats);
        }
        if refined.is_some() || done.is_multiple_of(self.config.refine_interval()) {
            self.machine.update_filter()?;
        }
        Ok(())
    }
}
