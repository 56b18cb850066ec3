//! Volumetric video: photos with poses and times become Gaussians in space and time.
//!
//! - [`config`]: all settings, which are the command line, the TOML file and the documentation at once.
//! - [`init`]: the first Gaussians; what does not change is static from the beginning; `motion`: how the others move.
//! - [`model`]: parameters and their optimiser, ordered by the segments of a [`TimeHierarchy`], so that a step touches only
//!   what may be seen at its moment; [`density`]: growth and relocation.
//! - [`windows`]: which photos are trained on when, and so which Gaussians are in memory.
//! - `step`: one training step, and [`machine`]: the CPU or the device that computes it; [`slicer`]: which Gaussians a moment
//!   shows, and their picture.
//! - [`painter`]: pictures at any time.
//!
//! [`TimeHierarchy`]: tessera_datasets::scene::TimeHierarchy

mod backdrop;
pub mod config;
pub mod density;
pub mod init;
mod levels;
pub mod machine;
pub mod model;
mod motion;
pub mod painter;
pub mod slicer;
mod step;
pub mod windows;

pub use config::{VideoConfig, preset};
pub use painter::{TrainedVideo, VideoPainter};

use crate::config::Config;
use crate::evaluate::{EvalReport, evaluate_frames};
use crate::frames::{FrameSet, Split, TrainingFrame};
use crate::splats::SplatsConfig;
use crate::splats::density::DensityControl;
use crate::target::{random_background, with_masks};
use crate::train::{CheckpointReader, CheckpointWriter, MemoryPlan, Method, StepReport};
use crate::{Error, Result};
use machine::cpu::CpuMachine;
use machine::device::{DeviceMachine, Size};
use machine::{Machine, State};
use model::VideoModel;
use painter::like;
use std::path::{Path, PathBuf};
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::Capture;
use tessera_datasets::format::Existing;
use tessera_datasets::format::volumetric::VideoWriter;
use tessera_datasets::image::Image8;
use tessera_datasets::scene::{NEAR, Timeline, VolumetricVideo};
use tessera_kernels::camera_projection::View;
use tessera_kernels::device::Device;
use tessera_kernels::splat::{Counts, RenderSettings};
use windows::Windows;

/// Gaussians in space and time being trained on a capture.
#[derive(Debug)]
pub struct VideoTraining {
    config: VideoConfig,
    /// What the density control of splats is told.
    growth: SplatsConfig,
    frames: FrameSet,
    held_out: FrameSet,
    scene_from_world: Similarity,
    timeline: Timeline,
    extent: f64,
    windows: Windows,
    /// The Gaussians, up to date when the machine has settled.
    state: State,
    machine: Box<dyn Machine>,
    /// As many Gaussians that rest there may be.
    most_resting: usize,
    first_count: usize,
    /// Most Gaussians that have been in memory at once.
    most_held: usize,
}

/// The file in a run folder that holds the moving scene.
pub const MOVING_SCENE: &str = "scene.t4d";

impl VideoTraining {
    /// Prepares training on the CPU: finds the first Gaussians.
    ///
    /// # Errors
    /// When a setting is impossible, the capture has no photos to train on, or one of them cannot be read.
    pub fn new(capture: &Capture, config: &VideoConfig) -> Result<Self> {
        Self::on(None, capture, config)
    }

    /// As [`VideoTraining::new`], on a device if one is given.
    ///
    /// # Errors
    /// Also when the device has too little memory or fails.
    pub fn on(device: Option<&Device>, capture: &Capture, config: &VideoConfig) -> Result<Self> {
        config.check()?;
        let capture = &*with_masks(capture, config.masks);
        let split = Split {
            test_every: config.test_every,
            resolution: config.resolution,
            image_cache_mb: config.image_cache_mb,
        };
        let (frames, held_out) = FrameSet::split(capture, &split)?;
        let timeline = timeline_of(capture)?;
        let follows_length = config.max_splats == 0;
        let mut config = config.for_length(frames.len(), timeline.frames);
        if config.find_background
            && let Some(colour) = backdrop::common_backdrop(&frames)?
        {
            tracing::info!(?colour, "taking the colour of the photos' borders for the background");
            config.background = colour;
        }
        let moments: Vec<f64> = (0..frames.len()).map(|i| init::seconds(&frames, i, &timeline)).collect();
        let visit = config.growth().refine_interval();
        let windows = Windows::new(&moments, &timeline, config.window_frames, visit, config.seed);
        let (mut model, near) = (VideoModel::new(timeline, &config), windows.span(windows.at(0)));
        let moving = init::first_gaussians(capture, &frames, timeline, &config, &mut |gaussians| {
            model.add(gaussians);
            model.hold(near)
        })?;
        let most_resting = config.most_resting(timeline.frames);
        if follows_length {
            config.for_motion(moving, timeline.frames, model.total());
        }
        let mut training = Self {
            growth: config.growth(),
            windows,
            most_resting,
            extent: crate::splats::camera_extent(&frames),
            first_count: model.total(),
            most_held: 0,
            state: State { model, density: DensityControl::default(), held: None },
            machine: Box::new(CpuMachine::new(config.ssim_weight)),
            scene_from_world: capture.scene_from_world,
            timeline,
            frames,
            held_out,
            config,
        };
        if let Some(device) = device {
            let (gaussians, pixels) = (training.expected_most(), training.most_pixels());
            let size = Size { gaussians, pixels, sh_degree: training.config.sh_degree };
            training.machine = Box::new(DeviceMachine::new(device, training.config.ssim_weight, size)?);
        }
        Ok(training)
    }

    /// Gaussians that wait will do so in a file in this folder, in place of the system's for temporary files.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn wait_in(&mut self, folder: &Path) -> Result<()> {
        self.state.model.wait_in(folder)
    }

    /// Draws the view of a training photo at another size, some `seconds` after the first frame. A device does not wait for it.
    ///
    /// # Errors
    /// When the disk refuses, or a device fails.
    pub fn show(&mut self, photo: usize, seconds: f64, size: (u32, u32)) -> Result<()> {
        let (view, settings) = (self.frames.view_sized(photo, size), self.render_settings());
        self.state.hold(self.windows.of(seconds), &self.windows, self.machine.as_mut())?;
        self.machine.show(&self.state, seconds, &view, &settings)
    }

    /// What the last rendering did; waits for it.
    ///
    /// # Errors
    /// When a device fails.
    pub fn counts(&self) -> Result<Counts> {
        self.machine.counts()
    }

    /// The frames and how fast they follow each other.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// All Gaussians as they were at the last [`Method::settle`] (on the CPU: as they are), in scene coordinates.
    ///
    /// # Errors
    /// When those that wait on disk cannot be read.
    pub fn video(&self) -> Result<VolumetricVideo> {
        self.state.model.to_video(&self.like())
    }

    fn like(&self) -> VolumetricVideo {
        like(&self.state.model, self.timeline, self.config.antialiased, self.scene_from_world)
    }

    /// Brings the Gaussians of a step's window into memory, lets others wait, and has those of the next window read ahead.
    fn hold(&mut self, step: u64) -> Result<()> {
        let (window, next) = (self.windows.at(step), self.windows.after(step));
        if self.state.held != Some(window) {
            self.state.hold(window, &self.windows, self.machine.as_mut())?;
            self.state.model.expect(self.windows.span(next));
            self.most_held = self.most_held.max(self.state.model.len());
        }
        Ok(())
    }

    /// About as many Gaussians as will be in memory at once: those that rest, and those of a window.
    fn expected_most(&self) -> usize {
        let all = self.config.max_splats.max(self.state.model.total());
        let frames = f64::from(self.timeline.frames);
        let window = if self.config.window_frames == 0 { frames } else { f64::from(self.config.window_frames) };
        // On either side one that is seen in it may have its middle a few of the shortest segments away.
        let share = ((window + 4.0 * self.config.segment_frames) / frames).min(1.0);
        let resting = self.most_resting.min(all);
        (resting + (share * (all - resting) as f64).ceil() as usize).max(self.state.model.len())
    }

    /// Pixels of the largest photo.
    fn most_pixels(&self) -> usize {
        self.frames.views().map(|v| v.width * v.height).max().unwrap_or(0)
    }

    fn render_settings(&self) -> RenderSettings {
        render_settings(self.config.sh_degree, self.config.antialiased, self.config.background)
    }

    /// How the photo of a step is drawn.
    fn training_settings(&self, frame: &TrainingFrame, step: u64) -> RenderSettings {
        let settings = self.render_settings();
        match self.config.random_background && frame.is_cut_out() {
            true => RenderSettings { background: random_background(self.config.seed, step), ..settings },
            false => settings,
        }
    }
}

/// How a finished scene is drawn.
fn render_settings(active_sh_degree: u8, antialiased: bool, background: [f32; 3]) -> RenderSettings {
    RenderSettings { active_sh_degree, antialiased, background, near: NEAR, ..RenderSettings::default() }
}

/// The frames of a capture: times that photos have in common, and the rate that most of them are apart.
///
/// # Errors
/// When some photos have times and others do not.
pub fn timeline_of(capture: &Capture) -> Result<Timeline> {
    let mut times: Vec<f64> = capture.frames.iter().filter_map(|frame| frame.time).collect();
    if !times.is_empty() && times.len() < capture.frames.len() {
        return Err(Error::setting(format!(
            "{}: {} of {} photos have no time; give all of them one, or none for a still scene",
            capture.files.root().display(),
            capture.frames.len() - times.len(),
            capture.frames.len()
        )));
    }
    times.sort_by(f64::total_cmp);
    let (Some(&start), Some(&end)) = (times.first(), times.last()) else {
        return Ok(Timeline { start: 0.0, frame_rate: 1.0, frames: 1 });
    };
    let same = 1e-6 * (end - start);
    let mut gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).filter(|&gap| gap > same).collect();
    gaps.sort_by(f64::total_cmp);
    let Some(&gap) = gaps.get(gaps.len() / 2) else {
        return Ok(Timeline { start, frame_rate: 1.0, frames: 1 });
    };
    let frames = ((end - start) / gap).round().min(f64::from(u32::MAX - 1)) as u32 + 1;
    Ok(Timeline { start, frame_rate: 1.0 / gap, frames })
}

impl Method for VideoTraining {
    fn name(&self) -> &'static str {
        "video"
    }

    fn total_steps(&self) -> u64 {
        self.config.steps
    }

    fn memory_plan(&self) -> MemoryPlan {
        let n = self.expected_most();
        let photos: usize = self.frames.views().map(|v| 3 * v.width * v.height).sum();
        let cache = photos.min(self.config.image_cache_mb << 20);
        let (parameters, optimiser, _) = VideoModel::bytes(n, self.config.sh_degree);
        self.machine
            .memory_plan(n, self.config.sh_degree, self.most_pixels())
            .with("parameters", parameters as u64, format!("{n} Gaussians at once, of {}", self.config.max_splats))
            .with("optimiser", optimiser as u64, "two moments for every parameter")
            .with("photos", cache as u64, format!("{} photos, 8 bits a channel", self.frames.len()))
    }

    fn step(&mut self, step: u64) -> Result<StepReport> {
        self.train_step(step)
    }

    fn evaluate(&mut self) -> Result<Option<EvalReport>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let settings = self.render_settings();
        let Self { held_out, timeline, state, machine, windows, .. } = self;
        let mut draw = |i: usize, view: &View, out: &mut Vec<f32>| {
            let seconds = init::seconds(held_out, i, timeline);
            // The next photos are of the same window.
            state.hold(windows.of(seconds), windows, machine.as_mut())?;
            out.clear();
            out.extend_from_slice(&machine.picture(state, seconds, view, &settings)?.rgb);
            Ok(())
        };
        evaluate_frames(held_out, "test", settings.background, &mut draw, &mut |_, _| {}).map(Some)
    }

    fn preview(&mut self) -> Result<Option<Image8>> {
        let frames = if self.held_out.is_empty() { &self.frames } else { &self.held_out };
        let middle = frames.len() / 2;
        let (view, seconds) = (frames.view(middle, 1), init::seconds(frames, middle, &self.timeline));
        self.state.hold(self.windows.of(seconds), &self.windows, self.machine.as_mut())?;
        let settings = self.render_settings();
        Ok(Some(crate::render::to_image(self.machine.picture(&self.state, seconds, &view, &settings)?)))
    }

    fn settle(&mut self) -> Result<()> {
        self.machine.settle(&mut self.state)
    }

    fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        let State { model, density, .. } = &self.state;
        model.save(checkpoint);
        checkpoint.f32("scores", &[density.scores().len()], density.scores());
        checkpoint.state("first_count", &self.first_count)?;
        checkpoint.state("most_held", &self.most_held)?;
        checkpoint.state("scene_from_world", &self.scene_from_world)?;
        let Timeline { start, frame_rate, frames } = self.timeline;
        checkpoint.state("timeline", &(start, frame_rate, frames))
    }

    fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        self.machine.changed();
        self.state.model.load(checkpoint)?;
        self.state.density.restore(checkpoint.f32("scores")?);
        self.state.held = None;
        self.first_count = checkpoint.state("first_count")?;
        self.most_held = checkpoint.state("most_held")?;
        Ok(())
    }

    fn export(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let path = folder.join(MOVING_SCENE);
        let like = self.like();
        let model = &self.state.model;
        let mut writer = VideoWriter::create(&path, &like, &model.hierarchy, Existing::Replace)?;
        let mut write = |place, part: &VolumetricVideo| Ok(writer.segment(place, &part.moving_splats())?);
        model.each_segment(&like, folder, &mut write)?;
        writer.finish()?;
        Ok(vec![path])
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let (most, all) = (self.most_held, self.state.model.total());
        let (parameters, optimiser, gradients) = VideoModel::bytes(most, self.config.sh_degree);
        let megabytes = (parameters + optimiser + gradients) as f64 / 1e6;
        vec![(
            "in memory",
            format!("at most {most} of {all} Gaussians, with optimiser and gradients {megabytes:.1} MB"),
        )]
    }

    fn config_toml(&self) -> String {
        self.config.to_toml()
    }
}

#[cfg(test)]
mod tests;
