//! `tessera bench video`: how fast volumetric video is trained, and how fast its moments are drawn.

use super::training::{STEPS, WARM_UP_STEPS, peak_memory};
use crate::args::{Bench, Skipping};
use crate::commands::{reconstruct, synth};
use crate::console::{Console, UsageError};
use crate::inputs::{describe, open_capture};
use crate::progress::Progress;
use crate::report::{Facts, bytes, count, duration};
use anyhow::{Context, Result};
use serde_json::json;
use std::path::Path;
use std::time::Instant;
use tessera_engine::config::Config;
use tessera_engine::datasets::capture::Capture;
use tessera_engine::datasets::synthetic::MovingOptions;
use tessera_engine::train::Method;
use tessera_engine::volumetric_video::{VideoConfig, VideoTraining};
use tessera_kernels::device::Device;

/// Pictures that are drawn, at moments over the whole length.
const PICTURES: usize = 120;
/// Pictures before the clock starts, at the same moments: enough for a GPU to know its numbers of pairs.
const WARM_UP_PICTURES: usize = 16;
/// Size of the pictures that are drawn.
const SIZE: (u32, u32) = (1920, 1080);

/// What was measured.
struct Measurement {
    capture: String,
    photos: usize,
    steps: u64,
    /// Of the steps, and of the pictures.
    seconds: [f64; 2],
    gaussians: u64,
    /// Of the last picture.
    visible: usize,
    /// The most that the device's buffers held.
    device_memory: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// When the capture cannot be read, the device cannot be used, or training fails.
pub fn run(args: &Bench, console: &Console) -> Result<()> {
    let device = reconstruct::chosen(args.device.unwrap_or_default(), console)?;
    let mut config = VideoConfig { resolution: 0, ..VideoConfig::default() };
    args.settings.iter().try_for_each(|setting| config.set(setting)).map_err(|e| UsageError(e.to_string()))?;
    let made = tempfile::tempdir().context("there is no room for temporary files")?;
    let capture = match &args.capture {
        Some(path) => open_capture(path, Skipping::default(), console)?,
        None => made_stage(&made.path().join("stage-640x360"), console)?,
    };
    let mut training = VideoTraining::on(device.as_ref(), &capture, &config)?;
    let steps = args.steps.unwrap_or(STEPS);
    let (train_seconds, gaussians) = train(&mut training, steps, console)?;
    let draw_seconds = draw(&mut training, console)?;
    let measured = Measurement {
        capture: if args.json { capture.name.clone() } else { describe(&capture) },
        photos: capture.frames.len(),
        steps,
        seconds: [train_seconds, draw_seconds],
        gaussians,
        visible: training.counts()?.visible,
        device_memory: device.as_ref().map(Device::most_used_memory),
    };
    if args.json {
        let report = measured.json(device.as_ref());
        return console.result(serde_json::to_string_pretty(&report).context("the report is no JSON")?);
    }
    console.result(measured.facts(device.as_ref()))
}

/// A stage of 60 moments, seen by 8 cameras.
fn made_stage(folder: &Path, console: &Console) -> Result<Capture> {
    let options = MovingOptions { size: [640, 360], cameras: 8, frames: 60, ..MovingOptions::default() };
    synth::film(&options, folder, false, console)?;
    let capture = Capture::open(folder)?;
    console.note(describe(&capture));
    Ok(capture)
}

/// The seconds that steps took, and how many Gaussians there were then.
fn train(training: &mut VideoTraining, steps: u64, console: &Console) -> Result<(f64, u64)> {
    let mut progress = Progress::new(console, "training");
    let (mut begin, mut gaussians) = (Instant::now(), 0);
    for step in 0..WARM_UP_STEPS + steps {
        if step == WARM_UP_STEPS {
            training.counts()?;
            begin = Instant::now();
        }
        gaussians = training.step(step)?.count;
        progress.count(step as usize + 1, (WARM_UP_STEPS + steps) as usize);
    }
    // Steps of a GPU overlap: only the whole has a time.
    training.counts()?;
    Ok((begin.elapsed().as_secs_f64(), gaussians))
}

/// The seconds that pictures took.
fn draw(training: &mut VideoTraining, console: &Console) -> Result<f64> {
    let mut progress = Progress::new(console, "drawing");
    let duration = training.timeline().duration();
    let mut begin = Instant::now();
    for picture in 0..WARM_UP_PICTURES + PICTURES {
        if picture == WARM_UP_PICTURES {
            training.counts()?;
            begin = Instant::now();
        }
        let share = (picture % PICTURES) as f64 / PICTURES as f64;
        training.show(0, share * duration, SIZE)?;
        progress.count(picture + 1, WARM_UP_PICTURES + PICTURES);
    }
    training.counts()?;
    Ok(begin.elapsed().as_secs_f64())
}

impl Measurement {
    /// Steps and pictures a second.
    fn rates(&self) -> [f64; 2] {
        [self.steps as f64 / self.seconds[0], PICTURES as f64 / self.seconds[1]]
    }

    fn json(&self, device: Option<&Device>) -> serde_json::Value {
        let [steps, pictures] = self.rates();
        json!({
            "capture": self.capture, "photos": self.photos, "threads": rayon::current_num_threads(),
            "device": device.map_or("cpu", |device| &device.properties().name),
            "steps": self.steps, "steps_per_second": steps, "gaussians": self.gaussians,
            "pictures": PICTURES, "width": SIZE.0, "height": SIZE.1, "pictures_per_second": pictures,
            "visible": self.visible, "peak_memory_bytes": peak_memory(), "peak_device_memory_bytes": self.device_memory,
        })
    }

    fn facts(&self, device: Option<&Device>) -> Facts {
        let ([steps, pictures], mut facts) = (self.rates(), Facts::default());
        facts.add("capture", &self.capture);
        facts.add_some("device", device.map(|device| device.properties().name.clone()));
        facts.add("threads", rayon::current_num_threads().to_string());
        facts.add("measured", format!("{} steps in {}", count(self.steps), duration(self.seconds[0])));
        facts.add("training", format!("{steps:.2} steps/s, {} Gaussians at the end", count(self.gaussians)));
        let (width, height) = SIZE;
        let visible = count(self.visible as u128);
        facts.add(
            "drawing",
            format!("{pictures:.2} pictures of {width}x{height} a second, {visible} Gaussians visible"),
        );
        facts.add_some("peak memory", peak_memory().map(bytes));
        facts.add_some("peak device memory", self.device_memory.map(bytes));
        facts
    }
}
