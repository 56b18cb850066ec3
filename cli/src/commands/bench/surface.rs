//! `tessera bench surface`: how fast a surface learns from photos.

use super::arithmetic;
use super::training::{STEPS, peak_memory};
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
use tessera_engine::datasets::synthetic::{Options, SceneKind};
use tessera_engine::surface::{SurfaceConfig, SurfaceTraining};
use tessera_engine::train::Method;
use tessera_kernels::device::Device;

/// Settings that differ from the defaults: a surface to learn with is there soon.
const SETTINGS: [&str; 5] =
    ["guide_steps=300", "guide_splats=20000", "fit_steps=100", "only_seen=false", "mesh_resolution=0"];

/// What was measured.
struct Measurement {
    capture: String,
    photos: usize,
    steps: u64,
    seconds: f64,
    rays: f64,
    samples: f64,
    /// Of the networks, for a sample.
    operations: usize,
    /// The most that the device's buffers held.
    device_memory: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// When the capture cannot be read, the device cannot be used, or training fails.
pub fn run(args: &Bench, console: &Console) -> Result<()> {
    let device = reconstruct::chosen(args.device.unwrap_or_default(), console)?;
    let mut config = SurfaceConfig { steps: args.steps.unwrap_or(STEPS), ..SurfaceConfig::default() };
    let settings = SETTINGS.into_iter().chain(args.settings.iter().map(String::as_str));
    settings.into_iter().try_for_each(|setting| config.set(setting)).map_err(|e| UsageError(e.to_string()))?;
    let made = tempfile::tempdir().context("there is no room for temporary files")?;
    let capture = match &args.capture {
        Some(path) => open_capture(path, Skipping::default(), console)?,
        None => made_still_life(&made.path().join("still-life-512x512"), console)?,
    };
    let mut measured = measure(device.as_ref(), &capture, &config, console)?;
    measured.capture = if args.json { capture.name.clone() } else { describe(&capture) };
    let limit = device.is_none().then(arithmetic::operations);
    if args.json {
        let report = measured.json(device.as_ref(), limit);
        return console.result(serde_json::to_string_pretty(&report).context("the report is no JSON")?);
    }
    console.result(measured.facts(device.as_ref(), limit))
}

/// A still life that is cut out, seen by 24 cameras.
fn made_still_life(folder: &Path, console: &Console) -> Result<Capture> {
    let options = Options { width: 512, height: 512, views: Some(24), rgba: true, ..Options::default() };
    synth::write(SceneKind::StillLife, &options, folder, false, console)?;
    let capture = Capture::open(folder)?;
    console.note(describe(&capture));
    Ok(capture)
}

/// Measures the steps in which the surface learns from rays; those of splats and of becoming what they found come before the clock starts.
fn measure(
    device: Option<&Device>,
    capture: &Capture,
    config: &SurfaceConfig,
    console: &Console,
) -> Result<Measurement> {
    let mut training = SurfaceTraining::on(device, capture, config)?;
    let (before, total) = (training.steps_before(), training.total_steps());
    let mut progress = Progress::new(console, "training");
    let (mut begin, mut rays, mut samples) = (Instant::now(), 0.0, 0.0);
    for step in 0..total {
        if step == before {
            begin = Instant::now();
        }
        let report = training.step(step)?;
        if step >= before {
            rays += report.count as f64;
            samples += report.count as f64 * training.samples_per_ray();
        }
        progress.count(step as usize + 1, total as usize);
    }
    // Steps of a GPU overlap: only the whole has a time.
    training.settle()?;
    Ok(Measurement {
        capture: String::new(),
        photos: capture.frames.len(),
        steps: config.steps,
        seconds: begin.elapsed().as_secs_f64(),
        rays,
        samples,
        operations: training.surface().field.operations(),
        device_memory: device.map(Device::most_used_memory),
    })
}

impl Measurement {
    /// Steps, rays, samples and operations of networks a second.
    fn rates(&self) -> [f64; 4] {
        let operations = self.samples * self.operations as f64;
        [self.steps as f64, self.rays, self.samples, operations].map(|number| number / self.seconds)
    }

    fn json(&self, device: Option<&Device>, limit: Option<f64>) -> serde_json::Value {
        let [steps, rays, samples, operations] = self.rates();
        json!({
            "capture": self.capture, "photos": self.photos, "threads": rayon::current_num_threads(),
            "device": device.map_or("cpu", |device| &device.properties().name),
            "steps": self.steps, "steps_per_second": steps, "rays_per_second": rays, "samples_per_second": samples,
            "operations_per_second": operations, "limit_operations_per_second": limit,
            "peak_memory_bytes": peak_memory(), "peak_device_memory_bytes": self.device_memory,
        })
    }

    fn facts(&self, device: Option<&Device>, limit: Option<f64>) -> Facts {
        let ([steps, rays, samples, operations], mut facts) = (self.rates(), Facts::default());
        facts.add("capture", &self.capture);
        facts.add_some("device", device.map(|device| device.properties().name.clone()));
        facts.add("threads", rayon::current_num_threads().to_string());
        facts.add("measured", format!("{} steps in {}", count(self.steps), duration(self.seconds)));
        facts.add("training", format!("{steps:.2} steps/s, {:.1} thousand rays/s", rays / 1e3));
        facts.add("samples", format!("{:.1} thousand/s, {:.1} a ray", samples / 1e3, samples / rays));
        let share = limit.map_or_else(String::new, |limit| {
            format!(
                ", {:.0} % of the {:.1} that this machine's arithmetic allows",
                100.0 * operations / limit,
                limit / 1e9
            )
        });
        facts.add("networks", format!("{:.1} billion operations/s{share}", operations / 1e9));
        facts.add_some("peak memory", peak_memory().map(bytes));
        facts.add_some("peak device memory", self.device_memory.map(bytes));
        facts
    }
}
