//! How fast splats are trained: at the size that a capture leads to, or at sizes that are asked for.

use super::arithmetic;
use crate::args::{Bench, Skipping};
use crate::commands::{reconstruct, synth};
use crate::console::{Console, UsageError};
use crate::inputs::{describe, open_capture};
use crate::progress::Progress;
use crate::report::{Facts, Table, bytes, count, duration};
use anyhow::{Context, Result};
use serde_json::json;
use std::path::Path;
use std::time::Instant;
use tessera_engine::config::Config;
use tessera_engine::datasets::capture::Capture;
use tessera_engine::datasets::synthetic::{Options, SceneKind};
use tessera_engine::splats::init::InitSource;
use tessera_engine::splats::{SplatTraining, SplatsConfig};
use tessera_engine::train::Method;
use tessera_kernels::device::Device;

/// Steps before the clock starts: photos are decoded, buffers grow to their size, and a GPU no longer waits for the number of pairs.
pub(super) const WARM_UP_STEPS: u64 = 20;
/// Steps that are measured unless another number is asked for.
pub(super) const STEPS: u64 = 200;
/// Points of the made room where no number of splats is asked for.
const POINTS: usize = 26_000;

/// What was measured.
#[derive(Debug)]
struct Measurement {
    capture: String,
    photos: usize,
    steps: u64,
    seconds: f64,
    splats: u64,
    /// Of the last step.
    tile_pairs: usize,
    /// Bytes that a splat has from step to step.
    state_bytes: usize,
    pixels: u64,
    /// (splat, pixel) pairs of the forward passes; the backward passes go through the same again. CPUs count them.
    evaluations: Option<u64>,
    /// The most that the device's buffers held.
    device_memory: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// When the capture cannot be read, the device cannot be used, or training fails.
pub fn run(args: &Bench, console: &Console) -> Result<()> {
    let device = reconstruct::chosen(args.device.unwrap_or_default(), console)?;
    let mut config = SplatsConfig { resolution_schedule: false, resolution: 0, ..SplatsConfig::default() };
    args.settings.iter().try_for_each(|setting| config.set(setting)).map_err(|e| UsageError(e.to_string()))?;
    let made = tempfile::tempdir().context("there is no room for temporary files")?;
    let most = args.splats.iter().max().map(|&most| most as usize);
    let capture = match &args.capture {
        Some(path) => open_capture(path, Skipping::default(), console)?,
        None => made_scene(&made.path().join("room-640x480"), most.unwrap_or(POINTS), console)?,
    };
    if let Some(most) = most.filter(|&most| most > capture.points.len()) {
        let points = count(capture.points.len() as u128);
        anyhow::bail!(
            "{} has {points} points, too few for {} splats; ask for fewer",
            capture.name,
            count(most as u128)
        );
    }
    let sizes = if args.splats.is_empty() { vec![None] } else { args.splats.iter().copied().map(Some).collect() };
    let mut measurements = Vec::new();
    for size in sizes {
        let mut config = config.clone();
        if let Some(size) = size {
            (config.max_splats, config.init) = (size as usize, InitSource::Points);
        }
        let mut training = SplatTraining::on(device.as_ref(), &capture, &config)?;
        let mut measured = measure(&mut training, args.steps.unwrap_or(STEPS), device.as_ref(), console)?;
        measured.capture = if args.json { capture.name.clone() } else { describe(&capture) };
        (measured.photos, measured.state_bytes) = (capture.frames.len(), training.state_bytes());
        if args.json {
            let report = measured.json(device.as_ref());
            console.result(serde_json::to_string_pretty(&report).context("the report is no JSON")?)?;
        }
        measurements.push(measured);
    }
    match &measurements[..] {
        _ if args.json => Ok(()),
        [one] => console.result(one.facts(device.as_ref())),
        several => console.result(table(several)),
    }
}

/// A room of 60 photos of 640x480 with so many sparse points.
fn made_scene(folder: &Path, points: usize, console: &Console) -> Result<Capture> {
    let options = Options { width: 640, height: 480, points, samples_per_pixel: 4, ..Options::default() };
    synth::write(SceneKind::Room, &options, folder, false, console)?;
    let capture = Capture::open(folder)?;
    console.note(describe(&capture));
    Ok(capture)
}

fn measure(
    training: &mut SplatTraining,
    steps: u64,
    device: Option<&Device>,
    console: &Console,
) -> Result<Measurement> {
    let mut progress = Progress::new(console, "training");
    let (mut seconds, mut splats, mut evaluations, mut pixels) = (0.0, 0, 0, 0);
    let mut begin = Instant::now();
    for step in 0..WARM_UP_STEPS + steps {
        // Steps of a GPU overlap, and asking it what one did waits for it: only the whole has a time.
        if device.is_none() || step == WARM_UP_STEPS {
            training.counts()?;
            begin = Instant::now();
        }
        let report = training.step(step)?;
        splats = report.count;
        if step >= WARM_UP_STEPS && device.is_none() {
            seconds += begin.elapsed().as_secs_f64();
            let counts = training.counts()?;
            evaluations += counts.evaluations;
            pixels += counts.pixels as u64;
        }
        progress.count(step as usize + 1, (WARM_UP_STEPS + steps) as usize);
    }
    let last = training.counts()?;
    if device.is_some() {
        seconds = begin.elapsed().as_secs_f64();
        pixels = steps * last.pixels as u64;
    }
    Ok(Measurement {
        capture: String::new(),
        photos: 0,
        steps,
        seconds,
        splats,
        tile_pairs: last.instances,
        state_bytes: 0,
        pixels,
        evaluations: device.is_none().then_some(evaluations),
        device_memory: device.map(Device::most_used_memory),
    })
}

impl Measurement {
    fn rate(&self) -> f64 {
        self.steps as f64 / self.seconds
    }

    /// Every pair is evaluated in the forward pass and again in the backward pass.
    fn pairs(&self) -> Option<f64> {
        self.evaluations.map(|evaluations| 2.0 * evaluations as f64)
    }

    fn json(&self, device: Option<&Device>) -> serde_json::Value {
        let per_second = self.pairs().map(|pairs| pairs / self.seconds);
        json!({
            "capture": self.capture, "photos": self.photos, "threads": rayon::current_num_threads(),
            "device": device.map_or("cpu", |device| &device.properties().name),
            "steps": self.steps, "seconds": self.seconds, "steps_per_second": self.rate(), "splats": self.splats,
            "state_bytes_per_splat": self.state_bytes, "tile_pairs": self.tile_pairs,
            "pairs_per_step": self.pairs().map(|pairs| pairs / self.steps as f64), "pairs_per_second": per_second,
            "share_of_arithmetic_limit": per_second.map(|pairs| pairs / arithmetic::limit()),
            "pixels_per_second": self.pixels as f64 / self.seconds, "peak_memory_bytes": peak_memory(),
            "peak_device_memory_bytes": self.device_memory,
        })
    }

    fn facts(&self, device: Option<&Device>) -> Facts {
        let mut facts = Facts::default();
        facts.add("capture", &self.capture);
        facts.add_some("device", device.map(|device| device.properties().name.clone()));
        facts.add("threads", rayon::current_num_threads().to_string());
        facts.add("measured", format!("{} steps in {}", count(self.steps), duration(self.seconds)));
        let (rate, splats) = (self.rate(), count(self.splats));
        facts.add("training", format!("{rate:.2} steps/s at full resolution, {splats} splats at the end"));
        facts.add("training state", format!("{} bytes for a splat", self.state_bytes));
        if let Some(pairs) = self.pairs() {
            let (per_second, limit) = (pairs / self.seconds, arithmetic::limit());
            facts.add("evaluated", format!("{:.3} G (splat, pixel) pairs/s, forward and backward", per_second / 1e9));
            let share = format!("{:.0} % of {:.2} G pairs/s", 100.0 * per_second / limit, limit / 1e9);
            facts.add("arithmetic limit", format!("{share}, what a loop without memory or sorting reaches here"));
        }
        facts.add("listed", format!("{} (splat, tile) pairs in the last step", count(self.tile_pairs as u128)));
        facts.add_some("peak memory", peak_memory().map(bytes));
        facts.add_some("peak device memory", self.device_memory.map(bytes));
        facts
    }
}

/// One row for each size.
fn table(measurements: &[Measurement]) -> Table {
    let mut table = Table::new(["splats", "steps/s", "ms/step", "tile pairs", "state/splat", "device memory"]);
    for measured in measurements {
        table.row([
            count(measured.splats),
            format!("{:.2}", measured.rate()),
            format!("{:.2}", 1000.0 / measured.rate()),
            count(measured.tile_pairs as u128),
            bytes(measured.state_bytes as u64),
            measured.device_memory.map_or_else(|| "-".to_owned(), bytes),
        ]);
    }
    table
}

/// The most memory that this process ever had, in bytes.
pub(super) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
