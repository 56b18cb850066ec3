//! The training loop.

use super::checkpoint::CheckpointStore;
use super::metrics_log::{Content, Line, MetricsLog};
use super::{CheckpointWriter, Event, Method, RunFolder, StepReport, available_memory};
use crate::evaluate::EvalReport;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tessera_datasets::image::save_png;

/// Step events come no faster than this.
const EVENT_INTERVAL: Duration = Duration::from_millis(100);
/// The rate that is reported forgets what was so many seconds ago.
const RATE_MEMORY_SECONDS: f64 = 5.0;

/// What [`run`] does around the steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunOptions {
    /// The capture, for `config.toml`.
    pub capture: PathBuf,
    /// Whether what is damaged in it is left out, for `config.toml`.
    pub skip_bad: bool,
    /// A checkpoint after every so many steps; 0 for only at the end and when interrupted.
    pub checkpoint_every: u64,
    /// An evaluation after every so many steps; 0 for only at the end.
    pub eval_every: u64,
    /// A preview after every so many steps; 0 for only at the end.
    pub preview_every: u64,
    /// A line in `metrics.jsonl` after every so many steps, and after the last.
    pub log_every: u64,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            capture: PathBuf::new(),
            skip_bad: false,
            checkpoint_every: 1000,
            eval_every: 0,
            preview_every: 1000,
            log_every: 10,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All steps are done.
    Finished {
        /// Steps, those before a resume included.
        steps: u64,
        /// Seconds of training, those before a resume included.
        seconds: f64,
        /// The files of the result.
        outputs: Vec<PathBuf>,
        /// The last evaluation, when there are held-out photos.
        report: Option<EvalReport>,
        /// What the method says beside ([`Method::facts`]).
        facts: Vec<(&'static str, String)>,
    },
    /// It was asked to stop and can be resumed.
    Interrupted {
        /// Steps done, all of them in the checkpoint.
        step: u64,
    },
}

/// Trains `method` to its end, from the newest checkpoint in `folder` if there is one. When `stop` becomes true, a
/// checkpoint is written after the current step and the loop ends.
///
/// # Errors
/// When a step fails, the loss is no longer a number, the checkpoint does not fit the method, or the disk refuses. The
/// last good checkpoint stays.
pub fn run(
    method: &mut dyn Method,
    options: &RunOptions,
    folder: &RunFolder,
    events: &mut dyn FnMut(Event),
    stop: &AtomicBool,
) -> Result<Outcome> {
    let memory = method.memory_plan();
    let memory_warning = memory.check(available_memory(), method.memory_remedy())?;
    let (step, seconds_before) = restore(method, &folder.checkpoints(), events)?;
    folder.write_config(method.name(), &options.capture, options.skip_bad, &method.config_toml())?;
    let total = method.total_steps();
    events(Event::Started { method: method.name().to_owned(), step, total, memory });
    memory_warning.into_iter().for_each(|message| events(Event::Warning { message }));
    let log = MetricsLog::open(folder.metrics_path(), step)?;
    let progress = Progress::new(seconds_before);
    Loop { method, options, folder, events, log, step, total, saved: step, progress }.run(stop)
}

/// Steps done and seconds spent according to the newest checkpoint, which the method takes over.
fn restore(method: &mut dyn Method, store: &CheckpointStore, events: &mut dyn FnMut(Event)) -> Result<(u64, f64)> {
    let (checkpoint, warnings) = store.newest()?;
    warnings.into_iter().for_each(|message| events(Event::Warning { message }));
    let Some(checkpoint) = checkpoint else { return Ok((0, 0.0)) };
    if checkpoint.method() != method.name() {
        return Err(Error::setting(format!(
            "the run to resume was trained with --method {}, not {}; resume it with that, or start again with --force",
            checkpoint.method(),
            method.name()
        )));
    }
    method.load(&checkpoint)?;
    Ok((checkpoint.step(), checkpoint.seconds()))
}

struct Loop<'a> {
    method: &'a mut dyn Method,
    options: &'a RunOptions,
    folder: &'a RunFolder,
    events: &'a mut dyn FnMut(Event),
    log: MetricsLog,
    /// Steps done.
    step: u64,
    total: u64,
    /// Steps done at the last checkpoint.
    saved: u64,
    progress: Progress,
}

impl Loop<'_> {
    fn run(mut self, stop: &AtomicBool) -> Result<Outcome> {
        let mut last_evaluation = None;
        while self.step < self.total {
            if self.method.agrees_to_stop(stop.load(Ordering::Relaxed)) {
                return self.interrupted();
            }
            self.take_step()?;
            // At the last step all three follow below.
            if self.step == self.total {
                break;
            }
            if self.is_due(self.options.eval_every) {
                last_evaluation = self.evaluate()?;
            }
            if self.is_due(self.options.preview_every) {
                self.preview()?;
            }
            if self.is_due(self.options.checkpoint_every) {
                self.checkpoint()?;
            }
        }
        self.finished(last_evaluation)
    }

    fn is_due(&self, every: u64) -> bool {
        every > 0 && self.step.is_multiple_of(every)
    }

    fn take_step(&mut self) -> Result<()> {
        let begin = Instant::now();
        let report = match self.method.step(self.step) {
            Err(error) if error.is_out_of_memory() => {
                // What is trained is still there: the run can be resumed with less.
                self.checkpoint()?;
                return Err(error);
            }
            outcome => outcome?,
        };
        self.progress.add(begin.elapsed());
        if !report.loss.is_finite() {
            return Err(Error::Diverged(format!(
                "training has diverged: the loss became {} in step {}; the checkpoint of step {} is kept, continue from \
                 it with --resume and a lower learning rate",
                report.loss, self.step, self.saved
            )));
        }
        self.step += 1;
        for message in self.method.take_warnings() {
            (self.events)(Event::Warning { message });
        }
        let last = self.step == self.total;
        if last || self.is_due(self.options.log_every) {
            let StepReport { loss, psnr, count, .. } = report;
            self.write_line(Content::Step { loss, psnr, count })?;
        }
        if self.progress.may_report(last) {
            let event = self.step_event(&report);
            (self.events)(event);
        }
        Ok(())
    }

    fn step_event(&self, report: &StepReport) -> Event {
        let rate = self.progress.steps_per_second();
        Event::Step {
            step: self.step,
            total: self.total,
            loss: report.loss,
            psnr: report.psnr,
            count: report.count,
            count_name: report.count_name.to_owned(),
            steps_per_second: rate,
            seconds_left: (self.total - self.step) as f64 / rate.max(1e-9),
        }
    }

    fn evaluate(&mut self) -> Result<Option<EvalReport>> {
        let report = self.method.evaluate()?;
        if let Some(report) = &report {
            self.write_line(Content::Evaluation { eval: report.into() })?;
            (self.events)(Event::Evaluated { step: self.step, report: report.clone() });
        }
        Ok(report)
    }

    fn preview(&mut self) -> Result<()> {
        if let Some(image) = self.method.preview()? {
            let path = self.folder.preview_path(self.step);
            save_png(&path, &image)?;
            (self.events)(Event::Preview { step: self.step, path });
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.method.settle()?;
        let mut writer = CheckpointWriter::default();
        self.method.save(&mut writer)?;
        let seconds = self.progress.seconds();
        let path = self.folder.checkpoints().write(writer, self.method.name(), self.step, seconds)?;
        self.saved = self.step;
        (self.events)(Event::Checkpointed { step: self.step, path });
        Ok(())
    }

    fn write_line(&mut self, content: Content<'_>) -> Result<()> {
        self.log.append(&Line { step: self.step, seconds: self.progress.seconds(), content })
    }

    fn interrupted(mut self) -> Result<Outcome> {
        if self.saved != self.step {
            self.checkpoint()?;
        }
        (self.events)(Event::Interrupted { step: self.step });
        Ok(Outcome::Interrupted { step: self.step })
    }

    /// The checkpoint comes first: whatever fails after it, the training is not lost.
    fn finished(mut self, earlier: Option<EvalReport>) -> Result<Outcome> {
        if self.saved != self.step {
            self.checkpoint()?;
        }
        self.method.settle()?;
        let outputs = self.method.export(self.folder.path())?;
        let report = self.evaluate()?.or(earlier);
        self.preview()?;
        let seconds = self.progress.seconds();
        (self.events)(Event::Finished { seconds, outputs: outputs.clone() });
        Ok(Outcome::Finished { steps: self.step, seconds, outputs, report, facts: self.method.facts() })
    }
}

/// Clocks for the user. Nothing that is computed may depend on them.
struct Progress {
    started: Instant,
    seconds_before: f64,
    reported: Option<Instant>,
    /// Steps and their seconds, both fading with time.
    recent: [f64; 2],
}

impl Progress {
    fn new(seconds_before: f64) -> Self {
        Self { started: Instant::now(), seconds_before, reported: None, recent: [0.0; 2] }
    }

    fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let fade = (-seconds / RATE_MEMORY_SECONDS).exp();
        self.recent = [self.recent[0] * fade + 1.0, self.recent[1] * fade + seconds];
    }

    fn steps_per_second(&self) -> f64 {
        self.recent[0] / self.recent[1].max(1e-9)
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    fn may_report(&mut self, always: bool) -> bool {
        let due = always || self.reported.is_none_or(|at| at.elapsed() >= EVENT_INTERVAL);
        if due {
            self.reported = Some(Instant::now());
        }
        due
    }
}
