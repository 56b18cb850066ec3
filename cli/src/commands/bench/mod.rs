//! `tessera bench`: how fast this machine trains; with --view, how fast it draws and how scenes stream; `bench rbf`: what small fields reach.

mod arithmetic;
mod fitted;
mod rbf;
mod streaming;
mod view;

use crate::args::{Bench, BenchKind, Skipping};
use crate::commands::synth;
use crate::console::{Console, UsageError};
use crate::inputs::{describe, open_capture};
use crate::progress::Progress;
use crate::report::{Facts, bytes, count, duration};
use anyhow::{Context, Result};
use serde_json::json;
use std::time::Instant;
use tessera_engine::config::Config;
use tessera_engine::datasets::capture::Capture;
use tessera_engine::datasets::synthetic::{Options, SceneKind};
use tessera_engine::rbf::file::RbfFile;
use tessera_engine::splats::{SplatTraining, SplatsConfig};
use tessera_engine::train::Method;

/// Steps before the clock starts: photos are decoded, buffers grow to their size.
const WARM_UP_STEPS: u64 = 20;

/// What was measured.
#[derive(Debug)]
struct Measurement {
    seconds: f64,
    splats: u64,
    /// (splat, pixel) pairs of the forward passes; the backward passes go through the same again.
    evaluations: u64,
    pixels: u64,
}

/// Runs the command.
///
/// # Errors
/// When the capture cannot be read, or training fails.
pub fn run(args: &Bench, console: &Console) -> Result<()> {
    if let Some(path) = args.scene.as_ref().filter(|path| RbfFile::is_named(path)) {
        return fitted::run(path, args, console);
    }
    if let Some(BenchKind::Rbf) = args.kind {
        return rbf::run(args, console);
    }
    if args.view {
        return view::run(args, console);
    }
    let made = tempfile::tempdir().context("there is no room for temporary files")?;
    let capture = match &args.capture {
        Some(path) => open_capture(path, Skipping::default(), console)?,
        None => made_scene(&made.path().join("room-640x480"), console)?,
    };
    let mut config = SplatsConfig { resolution_schedule: false, resolution: 0, ..SplatsConfig::default() };
    args.settings.iter().try_for_each(|setting| config.set(setting)).map_err(|e| UsageError(e.to_string()))?;
    let mut training = SplatTraining::new(&capture, &config)?;
    let measured = measure(&mut training, args.steps, console)?;

    let rate = args.steps as f64 / measured.seconds;
    // Every pair is evaluated in the forward pass and again in the backward pass.
    let pairs_per_second = 2.0 * measured.evaluations as f64 / measured.seconds;
    let threads = rayon::current_num_threads();
    let limit = arithmetic::limit();
    let peak = peak_memory();
    if args.json {
        let report = json!({
            "capture": capture.name, "photos": capture.frames.len(), "threads": threads, "steps": args.steps,
            "seconds": measured.seconds, "steps_per_second": rate, "splats": measured.splats,
            "pairs_per_step": 2.0 * measured.evaluations as f64 / args.steps as f64,
            "pairs_per_second": pairs_per_second, "share_of_arithmetic_limit": pairs_per_second / limit,
            "pixels_per_second": measured.pixels as f64 / measured.seconds, "peak_memory_bytes": peak,
        });
        return console.result(serde_json::to_string_pretty(&report).context("the report is no JSON")?);
    }
    let mut facts = Facts::default();
    facts.add("capture", describe(&capture));
    facts.add("threads", threads.to_string());
    facts.add("measured", format!("{} steps in {}", count(args.steps), duration(measured.seconds)));
    facts
        .add("training", format!("{rate:.2} steps/s at full resolution, {} splats at the end", count(measured.splats)));
    facts.add("evaluated", format!("{:.3} G (splat, pixel) pairs/s, forward and backward", pairs_per_second / 1e9));
    let share = format!("{:.0} % of {:.2} G pairs/s", 100.0 * pairs_per_second / limit, limit / 1e9);
    facts.add("arithmetic limit", format!("{share}, what a loop without memory or sorting reaches here"));
    facts.add_some("peak memory", peak.map(bytes));
    console.result(facts)
}

/// A room of 60 photos of 640x480 with 26,000 sparse points.
fn made_scene(folder: &std::path::Path, console: &Console) -> Result<Capture> {
    let options = Options { width: 640, height: 480, points: 26_000, samples_per_pixel: 4, ..Options::default() };
    synth::write(SceneKind::Room, &options, folder, false, console)?;
    let capture = Capture::open(folder)?;
    console.note(describe(&capture));
    Ok(capture)
}

fn measure(training: &mut SplatTraining, steps: u64, console: &Console) -> Result<Measurement> {
    let mut progress = Progress::new(console, "training");
    let mut measured = Measurement { seconds: 0.0, splats: 0, evaluations: 0, pixels: 0 };
    for step in 0..WARM_UP_STEPS + steps {
        let begin = Instant::now();
        let report = training.step(step)?;
        if step >= WARM_UP_STEPS {
            measured.seconds += begin.elapsed().as_secs_f64();
            let counts = training.counts()?;
            measured.evaluations += counts.evaluations;
            measured.pixels += counts.pixels as u64;
        }
        measured.splats = report.count;
        progress.count(step as usize + 1, (WARM_UP_STEPS + steps) as usize);
    }
    Ok(measured)
}

/// The most memory that this process ever had, in bytes.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
