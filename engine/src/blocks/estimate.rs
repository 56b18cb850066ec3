//! What a plan will need: memory and disk from its numbers, time from a few measured steps.

use super::config::BlocksConfig;
use super::plan::Plan;
use crate::splats::density::target_count;
use crate::splats::{SplatTraining, SplatsConfig, schedule};
use crate::train::{MemoryPlan, Method, available_memory, in_units};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;
use tessera_datasets::capture::Capture;
use tessera_datasets::scene::SplatCloud;
use tessera_kernels::device::Device;

/// Steps of a measurement: some with the first splats, then growth to all of them, then some with all.
const STEPS: u64 = 48;
/// The steps that are timed, of both kinds. The first ones still warm caches up.
const TIMED: [std::ops::Range<u64>; 2] = [2..10, 36..48];
/// Where growth begins and ends in between, as shares of the steps.
const GROWTH: [f64; 2] = [0.21, 0.74];
/// Checkpoints that a block keeps.
const CHECKPOINTS: u64 = 2;
/// What the joined scene takes for each byte of its PLY file: the file, its levels of detail, and their making.
const JOINED: f64 = 2.5;
/// Parts into which the schedule is cut to add up its time.
const PARTS: u64 = 200;

/// What training a block costs, measured on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Seconds until a block's first step.
    pub setup: f64,
    /// Splats at first, and seconds of a step with them.
    pub at_first: (usize, f64),
    /// Splats in the end, and seconds of a step with them.
    pub in_the_end: (usize, f64),
    /// The shorter side of the photos that were looked at, in pixels.
    pub side: u32,
    /// How many splats' harmonics were brought from the host's memory for a step, and how many times as long that made steps; none
    /// where all are on the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought: Option<(u64, f64)>,
}

impl Pace {
    /// Seconds for `steps` steps of the whole schedule. A step's time is taken to be a part by the pixels and a part by the splats.
    pub fn seconds(&self, config: &SplatsConfig, steps: u64) -> f64 {
        let ((few, at_first), (many, in_the_end)) = (self.at_first, self.in_the_end);
        let more = many.saturating_sub(few).max(1) as f64;
        let by_splat = ((in_the_end - at_first) / more).max(0.0);
        let by_pixels = (at_first - by_splat * few as f64).max(0.1 * at_first);
        let whole = SplatsConfig { steps: PARTS, ..config.clone() };
        let part = |part: u64| {
            let downscale = f64::from(schedule::downscale(&whole, part, self.side));
            let splats = target_count(&whole, few, schedule::progress(&whole, part));
            by_pixels / (downscale * downscale) + by_splat * splats as f64
        };
        steps as f64 * (0..PARTS).map(part).sum::<f64>() / PARTS as f64
    }
}

/// What a plan will need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// For the block that needs most; blocks are trained one after the other.
    pub memory: MemoryPlan,
    /// For each block, bytes on the disk while and after it is trained.
    pub block_disk: u64,
    /// Bytes on the disk in all, at most.
    pub disk: u64,
    /// Measured, unless that was not wanted.
    pub pace: Option<Pace>,
    /// Seconds for each block.
    pub block_seconds: Option<f64>,
    /// Seconds for all blocks.
    pub seconds: Option<f64>,
}

impl Estimate {
    /// Prepares the block with the most photos and, with `measure`, takes a few steps on it, which takes some seconds.
    ///
    /// # Errors
    /// When memory does not suffice for it, or a photo cannot be read.
    pub fn of(
        capture: &Capture,
        plan: &Plan,
        config: &BlocksConfig,
        device: Option<&Device>,
        measure: bool,
    ) -> Result<Self> {
        let largest = (0..plan.blocks.len()).max_by_key(|&block| plan.blocks[block].photos.len()).unwrap_or(0);
        let part = plan.part(capture, largest)?;
        let [grow_from, grow_until] = GROWTH;
        let short = SplatsConfig {
            steps: STEPS,
            resolution_schedule: false,
            sh_degree_interval: 0.0,
            grow_from,
            grow_until,
            ..config.splats.clone()
        };
        let begin = Instant::now();
        let mut training = SplatTraining::on(device, &part, if measure { &short } else { &config.splats })?;
        let setup = begin.elapsed().as_secs_f64();
        let memory = training.memory_plan();
        memory.check(available_memory(), "choose more blocks (--blocks), or lower --max-splats or --resolution")?;
        let pace = if measure { Some(pace(&mut training, &part, &short, setup)?) } else { None };

        let splats = config.splats.max_splats as u64;
        let values = 17 + 3 * SplatCloud::rest_coefficients(config.splats.sh_degree) as u64;
        let ply = 4 * values * splats;
        let block_disk = CHECKPOINTS * training.state_bytes() as u64 * splats + ply;
        let blocks = plan.blocks.len() as u64;
        // A checkpoint more while it is written.
        let disk = blocks * (block_disk + (JOINED * ply as f64) as u64) + training.state_bytes() as u64 * splats;
        let setups = if config.compared_after() > 0 { 2.0 } else { 1.0 };
        let block_seconds = pace.map(|pace| setups * pace.setup + pace.seconds(&config.splats, config.splats.steps));
        let seconds = block_seconds.map(|seconds| seconds * blocks as f64);
        Ok(Self { memory, block_disk, disk, pace, block_seconds, seconds })
    }

    /// Compares what is needed with what is free on the disk of `folder`, which need not be there yet.
    ///
    /// # Errors
    /// When it is not enough.
    pub fn check_disk(&self, folder: &Path) -> Result<()> {
        let Some(free) = free_disk(folder) else { return Ok(()) };
        if self.disk <= free {
            return Ok(());
        }
        let (needed, free) = (in_units(self.disk), in_units(free));
        let reason = format!("is on a disk with {free} free, and the blocks may need {needed}");
        Err(Error::file(folder, reason, "choose a folder on another disk with -o, or lower --max-splats"))
    }
}

/// Times steps with the first splats and with all of them.
fn pace(training: &mut SplatTraining, part: &Capture, config: &SplatsConfig, setup: f64) -> Result<Pace> {
    let mut found = [(0, 0.0); 2];
    let mut done = 0;
    for (timed, found) in TIMED.into_iter().zip(&mut found) {
        for step in done..timed.start {
            training.step(step)?;
        }
        training.settle()?;
        let begin = Instant::now();
        let mut splats = 0;
        for step in timed.clone() {
            splats = training.step(step)?.count as usize;
        }
        training.settle()?;
        *found = (splats, begin.elapsed().as_secs_f64() / (timed.end - timed.start) as f64);
        done = timed.end;
    }
    let [at_first, in_the_end] = found;
    let limit = if config.resolution > 0 { f64::from(config.resolution) } else { f64::INFINITY };
    let shorter = |width: u32, height: u32| {
        let scale = (limit / f64::from(width.max(height))).min(1.0);
        (f64::from(width.min(height)) * scale) as u32
    };
    let side = part.frames.first().map_or(0, |frame| shorter(frame.camera.width, frame.camera.height));
    Ok(Pace { setup, at_first, in_the_end, side, brought: training.brought() })
}

/// Bytes that are free on the disk that holds `folder`, or will; `None` where the system does not tell.
#[cfg(unix)]
fn free_disk(folder: &Path) -> Option<u64> {
    let full = std::path::absolute(folder).ok()?;
    let there = full.ancestors().find(|path| path.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
fn free_disk(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace { setup: 1.0, at_first: (1000, 0.02), in_the_end: (5000, 0.06), side: 480, brought: None }
    }

    #[test]
    fn a_schedule_without_growth_and_reduction_takes_steps_of_one_length() {
        let config = SplatsConfig { max_splats: 1000, resolution_schedule: false, ..SplatsConfig::default() };
        let seconds = pace().seconds(&config, 700);
        assert!((seconds - 700.0 * 0.02).abs() < 1e-9, "{seconds} s");
    }

    #[test]
    fn the_whole_schedule_lies_between_its_first_and_its_last_steps() {
        let config = SplatsConfig { max_splats: 5000, ..SplatsConfig::default() };
        let seconds = pace().seconds(&config, 1000);
        assert!((15.0..60.0).contains(&seconds), "{seconds} s");
    }

    #[test]
    #[cfg(unix)]
    fn a_plan_that_the_disk_cannot_hold_is_refused_with_both_numbers() {
        let estimate = Estimate {
            memory: MemoryPlan::default(),
            block_disk: 0,
            disk: u64::MAX,
            pace: None,
            block_seconds: None,
            seconds: None,
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let said = estimate.check_disk(&folder.path().join("not/yet")).expect_err("no disk is so large").to_string();
        assert!(said.contains("free, and the blocks may need") && said.contains("-o"), "{said}");
        assert!(Estimate { disk: 0, ..estimate }.check_disk(folder.path()).is_ok());
    }
}
