//! Progress on standard error: a bar that redraws itself on a terminal, a plain line every few seconds elsewhere.

use crate::console::Console;
use crate::report::{count, count_of, duration};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};
use tessera_engine::datasets::capture::photos::{self, Stage};
use tessera_engine::train::Event;

/// How often plain lines are written.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// How much of the PSNR shown is that of earlier steps: single training pictures differ widely.
const PSNR_MEMORY: f64 = 0.9;

/// Something that is counted towards an end.
#[derive(Debug)]
pub struct Progress {
    console: Console,
    what: &'static str,
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Progress {
    /// Progress of `what`, without an end as yet.
    pub fn new(console: &Console, what: &'static str) -> Self {
        let bar = (console.interactive && !console.is_quiet()).then(|| {
            let style = ProgressStyle::with_template("{prefix} {bar:28} {percent:>3}%  {wide_msg}");
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(what);
            bar
        });
        Self { console: *console, what, bar, last_line: Instant::now() }
    }

    /// `done` of `total` are done; `message` says the rest.
    pub fn update(&mut self, done: u64, total: u64, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(message());
        } else if self.last_line.elapsed() >= LINE_INTERVAL || done == total {
            self.last_line = Instant::now();
            self.console.note(format_args!("{} {}", self.what, message()));
        }
    }

    /// [`Progress::update`] where the count says it all.
    pub fn count(&mut self, done: usize, total: usize) {
        self.update(done as u64, total as u64, || format!("{} of {}", count(done as u128), count(total as u128)));
    }

    /// Runs `say`, which writes to the console, with the bar out of its way.
    pub fn aside(&self, say: impl FnOnce(&Console)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(&self.console)),
            None => say(&self.console),
        }
    }

    /// Leaves the bar as it is and goes to the next line.
    pub fn finish(&self) {
        if let Some(bar) = self.bar.as_ref().filter(|bar| bar.length().unwrap_or(0) > 0) {
            bar.abandon();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What is shown of the events of a run.
#[derive(Debug)]
pub struct TrainingProgress {
    progress: Progress,
    psnr: Option<f64>,
    /// "block 3 of 8, ", where there are blocks.
    part: String,
}

impl TrainingProgress {
    /// Progress of a run that is about to begin.
    pub fn new(console: &Console) -> Self {
        Self { progress: Progress::new(console, "training"), psnr: None, part: String::new() }
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Started { step, memory, .. } => self.progress.aside(|console| {
                console.note(format_args!("memory, at most:\n{memory}"));
                if *step > 0 {
                    console.note(format_args!("continuing after step {}", count(*step)));
                }
            }),
            Event::Block { block, blocks, photos, step, total } => {
                self.part = format!("block {block} of {blocks}, ");
                self.psnr = None;
                self.progress.aside(|console| {
                    let [step, total] = [*step, *total].map(count);
                    let photos = count_of(*photos, "photo", "photos");
                    console.note(format_args!("block {block} of {blocks}: {photos}, from step {step} to {total}"));
                });
            }
            Event::Step { psnr, .. } => {
                let before = self.psnr.unwrap_or(*psnr);
                // A picture that is met exactly has infinite PSNR.
                if psnr.is_finite() {
                    self.psnr = Some(PSNR_MEMORY * before + (1.0 - PSNR_MEMORY) * psnr);
                }
                self.show_step(event);
            }
            Event::Evaluated { step, report } => self.progress.aside(|console| {
                let (part, step, images, split) = (&self.part, count(*step), report.images, &report.split);
                let quality = format!("PSNR {:.2} dB, SSIM {:.4}", report.psnr, report.ssim);
                console.note(format_args!("{part}step {step}: {quality} on {images} {split} images"));
            }),
            Event::Warning { message } => self.progress.aside(|console| console.warn(message)),
            Event::Checkpointed { path, .. } | Event::Preview { path, .. } => {
                tracing::debug!("wrote {}", path.display())
            }
            Event::Interrupted { .. } | Event::Finished { .. } => self.progress.finish(),
        }
    }

    fn show_step(&mut self, event: &Event) {
        let Event::Step { step, total, count: grown, count_name, steps_per_second, seconds_left, .. } = event else {
            return;
        };
        let psnr = self.psnr.map_or_else(String::new, |psnr| format!("PSNR {psnr:.1} dB, "));
        let ending = if step == total { "done".to_owned() } else { format!("{} left", duration(*seconds_left)) };
        self.progress.update(*step, *total, || {
            let (step, total, grown) = (count(*step), count(*total), count(*grown));
            let part = &self.part;
            format!("{part}{step}/{total}, {steps_per_second:.1} steps/s, {psnr}{grown} {count_name}, {ending}")
        });
    }
}

/// What is shown while poses are found for photos: one bar for each stage.
#[derive(Debug)]
pub struct PhotosProgress {
    console: Console,
    stage: Option<(Stage, Progress)>,
}

impl PhotosProgress {
    /// Progress of a search that is about to begin.
    pub fn new(console: &Console) -> Self {
        Self { console: *console, stage: None }
    }

    /// Shows how far it has come.
    pub fn show(&mut self, event: photos::Progress) {
        if self.stage.as_ref().is_none_or(|(stage, _)| *stage != event.stage) {
            // The bar before it ends first.
            self.stage = None;
            self.stage = Some((event.stage, Progress::new(&self.console, event.stage.name())));
        }
        if let Some((_, progress)) = &mut self.stage {
            progress.count(event.done as usize, event.total as usize);
        }
    }
}
