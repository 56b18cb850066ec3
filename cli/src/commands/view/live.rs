//! A window that shows a training as it goes on: `tessera reconstruct --view`.

use super::content::{common_up, photos};
use super::host::Files;
use crate::args::{Skipping, View as Arguments};
use crate::console::Console;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};
use tessera_engine::datasets::camera::Pose;
use tessera_engine::datasets::image::Image8;
use tessera_engine::evaluate::EvalReport;
use tessera_engine::splats::SplatTraining;
use tessera_engine::target::DEFAULT_BACKGROUND;
use tessera_engine::train::{CheckpointReader, CheckpointWriter, MemoryPlan, Method, StepReport};
use tessera_viewer::window::{Content, Options, Update, run as open_window};

/// Splats are sent no more often than this, and take no more than this share of the time of training.
const INTERVAL: Duration = Duration::from_secs(2);
const SHARE: u32 = 20;

/// A training that is watched: it sends its splats now and then and is otherwise what it was.
pub struct Watched<'a> {
    training: &'a mut SplatTraining,
    updates: &'a Sender<Update>,
    next: Instant,
}

impl<'a> Watched<'a> {
    /// Watches `training`.
    pub fn new(training: &'a mut SplatTraining, updates: &'a Sender<Update>) -> Self {
        Self { training, updates, next: Instant::now() }
    }

    fn send(&mut self, step: u64, report: &StepReport) -> tessera_engine::Result<()> {
        let begin = Instant::now();
        self.training.settle()?;
        let total = self.training.total_steps();
        let status =
            format!("step {} of {total}, {} {}, {:.2} dB", step + 1, report.count, report.count_name, report.psnr);
        // A window that was closed listens no more, and training goes on.
        let told = self.updates.send(Update::Status(status)).is_ok();
        if told && self.updates.send(Update::Splats(self.training.cloud().into_world())).is_ok() {
            self.next = Instant::now() + INTERVAL.max(SHARE * begin.elapsed());
        } else {
            self.next = Instant::now() + Duration::from_secs(3600);
        }
        Ok(())
    }
}

impl Method for Watched<'_> {
    fn name(&self) -> &'static str {
        self.training.name()
    }

    fn total_steps(&self) -> u64 {
        self.training.total_steps()
    }

    fn memory_plan(&self) -> MemoryPlan {
        self.training.memory_plan()
    }

    fn step(&mut self, step: u64) -> tessera_engine::Result<StepReport> {
        let report = self.training.step(step)?;
        if Instant::now() >= self.next || step + 1 == self.training.total_steps() {
            self.send(step, &report)?;
        }
        Ok(report)
    }

    fn evaluate(&mut self) -> tessera_engine::Result<Option<EvalReport>> {
        self.training.evaluate()
    }

    fn preview(&mut self) -> tessera_engine::Result<Option<Image8>> {
        self.training.preview()
    }

    fn settle(&mut self) -> tessera_engine::Result<()> {
        self.training.settle()
    }

    fn save<'b>(&'b self, checkpoint: &mut CheckpointWriter<'b>) -> tessera_engine::Result<()> {
        self.training.save(checkpoint)
    }

    fn load(&mut self, checkpoint: &CheckpointReader) -> tessera_engine::Result<()> {
        self.training.load(checkpoint)
    }

    fn export(&self, folder: &Path) -> tessera_engine::Result<Vec<PathBuf>> {
        self.training.export(folder)
    }

    fn config_toml(&self) -> String {
        self.training.config_toml()
    }

    fn take_warnings(&mut self) -> Vec<String> {
        self.training.take_warnings()
    }
}

/// Shows what `updates` bring until the window is closed.
///
/// # Errors
/// When no window can be opened.
pub fn show(capture: &Path, skipping: Skipping, updates: Receiver<Update>, console: &Console) -> Result<()> {
    let args = Arguments::of_window(capture);
    let photos = skipping.open(capture).map_or_else(|_| Vec::new(), photos);
    let first = photos.first();
    let content = Content {
        name: capture.file_name().unwrap_or(capture.as_os_str()).to_string_lossy().into_owned(),
        cloud: None,
        streamed: None,
        moving: None,
        meshes: None,
        mesh: None,
        field: None,
        background: DEFAULT_BACKGROUND,
        start: first.map_or_else(Pose::identity, |photo| photo.camera_from_world),
        fov: first.map_or(0.9, |p| 2.0 * (0.5 * f64::from(p.camera.height) / p.camera.lens.focal[1]).atan()),
        distance: None,
        up: common_up(&photos),
        photos,
    };
    let options = Options { size: args.size, content, updates: Some(updates), sh_degree: args.sh_degree };
    Ok(open_window(options, &mut Files { args: &args, console })?)
}
