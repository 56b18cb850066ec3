//! Gaussian splats: photos with poses become a set of coloured 3D Gaussians.
//!
//! - [`config`]: all settings, which are the command line, the TOML file and the documentation at once.
//! - [`init`]: the first splats, from sparse points, depth, a plane sweep, masks or nothing.
//! - [`model`] and [`parameter`]: parameters and their optimiser; [`schedule`]: what changes over time.
//! - `step`: one training step, and [`machine`]: the CPU or the device that computes it; [`density`]: growth, relocation, decay and noise.
//! - [`appearance`], [`pose_refinement`], [`filter_3d`]: what can be learned or kept beside the splats.

pub mod appearance;
pub mod config;
pub mod density;
pub mod filter_3d;
pub mod init;
pub mod machine;
pub mod model;
pub mod parameter;
pub mod pose_refinement;
pub mod schedule;
mod step;

pub use config::{FarPlace, MaskUse, OnOom, SplatsConfig, preset};

use crate::config::Config;
use crate::evaluate::{EvalReport, evaluate_frames};
use crate::frames::{FrameSet, Sampler, SamplerState};
use crate::target::with_masks;
use crate::train::{CheckpointReader, CheckpointWriter, MemoryPlan, Method, StepReport};
use crate::{Error, Result};
use appearance::Appearance;
use density::DensityControl;
use filter_3d::SamplingLimits;
use init::sky::Shell;
use init::{InitSettings, initial_splats};
use machine::cpu::CpuMachine;
use machine::device::DeviceMachine;
use machine::{Machine, State};
use model::SplatModel;
use pose_refinement::{PoseRefinement, PoseRefinementSettings};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tessera_datasets::camera::{Pose, Similarity};
use tessera_datasets::capture::Capture;
use tessera_datasets::format::write_splats;
use tessera_datasets::image::{Image8, ImageCache};
pub use tessera_datasets::scene::NEAR;
use tessera_datasets::scene::SplatCloud;
use tessera_kernels::device::Device;
use tessera_kernels::splat::{Counts, RenderSettings};

/// Gaussian splats being trained on a capture.
#[derive(Debug)]
pub struct SplatTraining {
    config: SplatsConfig,
    frames: FrameSet,
    held_out: FrameSet,
    scene_from_world: Similarity,
    /// Size of the cameras' region in scene units, by which the means' learning rate is scaled.
    extent: f64,
    sampler: Sampler,
    /// Has the splats, and computes.
    machine: Box<dyn Machine>,
    /// Number of splats at the start, from which growth counts.
    first_count: usize,
    appearance: Option<Appearance>,
    poses: Option<PoseRefinement>,
    warnings: Vec<String>,
    /// Seconds that steps took, but for reading photos.
    busy_seconds: f64,
}

impl SplatTraining {
    /// Prepares training on the CPU: reads what the first splats come from.
    ///
    /// # Errors
    /// When a setting is impossible, the capture has no photos to train on, or one of them cannot be read.
    pub fn new(capture: &Capture, config: &SplatsConfig) -> Result<Self> {
        Self::on(None, capture, config)
    }

    /// As [`SplatTraining::new`], on a device if one is given.
    ///
    /// # Errors
    /// Also when the device has too little memory or fails.
    pub fn on(device: Option<&Device>, capture: &Capture, config: &SplatsConfig) -> Result<Self> {
        let (sky, photos) = (config.sky.then(|| Shell::of(capture)), config.split().cache(capture));
        Self::of_part(capture, (sky, &photos), device, config)
    }

    /// As [`SplatTraining::on`], of a part of a capture: the sky is that of the whole, and photos are looked at through its cache.
    pub(crate) fn of_part(
        capture: &Capture,
        (sky, photos): (Option<Shell>, &Arc<ImageCache>),
        device: Option<&Device>,
        config: &SplatsConfig,
    ) -> Result<Self> {
        config.check()?;
        if device.is_none() && config.far == FarPlace::Host {
            let message = "far=host is for training on a GPU, and this run is on the CPU, which has all splats in the host's \
                           memory; leave it out, or choose a GPU with --device cuda";
            return Err(Error::setting(message));
        }
        let capture = &*with_masks(capture, config.masks);
        let (frames, held_out) = FrameSet::split_behind(photos, capture, config.test_every)?;
        let settings = InitSettings {
            source: config.init,
            max_splats: config.max_splats,
            count: (config.initial_splats > 0).then_some(config.initial_splats),
            opacity: config.initial_opacity,
            sh_degree: config.sh_degree,
            sky,
            ..InitSettings::default()
        };
        let cloud = initial_splats(capture, &frames, &settings, config.seed)?;
        let state = State {
            model: SplatModel::new(&cloud, config),
            filter: Vec::new(),
            density: DensityControl::default(),
            limits: SamplingLimits::new(frames.views()),
        };
        let mut machine: Box<dyn Machine> = match device {
            None => Box::new(CpuMachine::new(state, config)),
            Some(device) => Box::new(DeviceMachine::new(device, state, config, frames.views())?),
        };
        machine.update_filter()?;
        Ok(Self {
            extent: camera_extent(&frames),
            sampler: Sampler::new(frames.len(), config.seed),
            first_count: machine.count(),
            appearance: Appearance::new(config.appearance, frames.len()),
            poses: config.refine_poses.then(|| PoseRefinement::new(frames.len(), PoseRefinementSettings::default())),
            warnings: Vec::new(),
            busy_seconds: 0.0,
            scene_from_world: capture.scene_from_world,
            config: config.clone(),
            frames,
            held_out,
            machine,
        })
    }

    /// The splats as they were at the last [`Method::settle`] (on the CPU: as they are), in scene coordinates, as any
    /// program draws them.
    pub fn cloud(&self) -> SplatCloud {
        let State { model, filter, .. } = self.machine.state();
        let mut cloud = model.to_cloud(self.config.antialiased, self.scene_from_world);
        if self.config.filter_3d {
            filter_3d::bake(&mut cloud, filter);
        }
        cloud
    }

    /// The corrected pose of the photo at position `i` of those that are trained on, from the scene to the camera, where poses are refined.
    pub fn refined_pose(&self, i: usize, given: &Pose) -> Option<Pose> {
        self.poses.as_ref().map(|poses| poses.corrected(i, given))
    }

    /// What the learned transform of each training photo multiplies a colour by, as it was at the last [`Method::settle`]; none if
    /// none are learned.
    pub fn photo_gains(&self, colour: [f32; 3]) -> Vec<[f64; 3]> {
        self.appearance.as_ref().map_or_else(Vec::new, |appearance| appearance.gains(colour))
    }

    /// Compares the scene with photos, which the report calls `split`.
    ///
    /// # Errors
    /// When a photo cannot be read or a device fails.
    pub fn evaluate_on(&mut self, frames: &FrameSet, split: &str) -> Result<EvalReport> {
        let settings = self.render_settings();
        compare(self.machine.as_mut(), &settings, frames, split)
    }

    /// What the last rendering did, for benchmarks.
    ///
    /// # Errors
    /// When a device fails.
    pub fn counts(&self) -> Result<Counts> {
        self.machine.counts()
    }

    /// How many rows were brought from the host's memory for a step, in the mean, and how many times as long that made steps; none
    /// if none are.
    pub fn brought(&self) -> Option<(u64, f64)> {
        let moved = self.machine.moved()?;
        Some((moved.rows / moved.steps.max(1), self.longer(&moved)))
    }

    /// Bytes that a splat has from step to step, where it is trained.
    pub fn state_bytes(&self) -> usize {
        self.machine.state_bytes()
    }

    /// How a finished scene is drawn.
    fn render_settings(&self) -> RenderSettings {
        RenderSettings {
            active_sh_degree: self.config.sh_degree,
            antialiased: self.config.antialiased,
            background: self.config.background,
            near: NEAR,
            depth: false,
            median_depth: false,
        }
    }
}

impl Method for SplatTraining {
    fn name(&self) -> &'static str {
        "splats"
    }

    fn total_steps(&self) -> u64 {
        self.config.steps
    }

    fn memory_plan(&self) -> MemoryPlan {
        let n = self.config.max_splats.max(self.machine.count());
        let pixels = self.frames.views().map(|v| v.width * v.height).max().unwrap_or(0);
        let photos: usize = self.frames.views().map(|v| 3 * v.width * v.height).sum();
        // A cache that parts of a capture share holds photos of others already.
        let cache = photos.max(self.frames.cached_bytes()).min(self.config.image_cache_mb << 20);
        let photos = format!("{} photos, 8 bits a channel", self.frames.len());
        let mut plan = self.machine.memory_plan(n, pixels).with("photos", cache as u64, photos);
        let appearance = Appearance::bytes(self.config.appearance, self.frames.len());
        if appearance > 0 {
            plan = plan.with("appearance", appearance as u64, "a colour transform for each photo");
        }
        plan
    }

    fn step(&mut self, step: u64) -> Result<StepReport> {
        self.train_step(step)
    }

    fn evaluate(&mut self) -> Result<Option<EvalReport>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let settings = self.render_settings();
        compare(self.machine.as_mut(), &settings, &self.held_out, "test").map(Some)
    }

    fn preview(&mut self) -> Result<Option<Image8>> {
        let frames = if self.held_out.is_empty() { &self.frames } else { &self.held_out };
        let view = frames.view(0, 1);
        let settings = self.render_settings();
        Ok(Some(crate::render::to_image(self.machine.picture(&view, &settings)?)))
    }

    fn settle(&mut self) -> Result<()> {
        self.machine.settle(self.appearance.as_mut())
    }

    fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        let State { model, filter, density, .. } = self.machine.state();
        model.save(checkpoint);
        checkpoint.f32("scores", &[density.scores().len()], density.scores());
        // Means have moved since the filter was made, so it is part of the state.
        checkpoint.f32("filter_3d", &[filter.len()], filter.as_slice());
        if let Some(appearance) = &self.appearance {
            let state = appearance.state();
            checkpoint.f32("appearance", &[state.len()], state);
        }
        if let Some(poses) = &self.poses {
            let state = poses.state();
            checkpoint.f32("poses", &[state.len()], state);
        }
        checkpoint.state("sampler", &self.sampler.state())?;
        checkpoint.state("first_count", &self.first_count)
    }

    fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        let max_splats = self.config.max_splats;
        self.machine.restore(&mut |state| {
            state.model.load(checkpoint)?;
            state.density.restore(checkpoint.f32("scores")?);
            state.filter = checkpoint.f32("filter_3d")?;
            if state.model.len() > max_splats {
                state.model.keep_largest(max_splats);
                state.density.restore(vec![0.0; state.model.len()]);
            }
            Ok(())
        })?;
        let State { model, filter, .. } = self.machine.state();
        if filter.len() != model.len() {
            self.machine.update_filter()?;
        }
        // A resumed run may change whether these are learned; then they begin anew.
        if let (Some(appearance), Ok(state)) = (&mut self.appearance, checkpoint.f32("appearance")) {
            let _restored = appearance.restore(&state);
        }
        if let (Some(poses), Ok(state)) = (&mut self.poses, checkpoint.f32("poses")) {
            let _restored = poses.restore(&state);
        }
        let sampler: SamplerState = checkpoint.state("sampler")?;
        self.sampler = Sampler::restore(self.frames.len(), sampler);
        self.first_count = checkpoint.state("first_count")?;
        Ok(())
    }

    fn export(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let path = folder.join("scene.ply");
        write_splats(&path, &self.cloud().into_world(), true)?;
        Ok(vec![path])
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let moved = self.machine.moved().filter(|moved| moved.steps > 0);
        let text = moved.map(|moved| self.slow_down(&moved, self.machine.count()));
        text.map(|text| ("out of core", text)).into_iter().collect()
    }

    fn config_toml(&self) -> String {
        self.config.to_toml()
    }

    fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

fn compare(machine: &mut dyn Machine, settings: &RenderSettings, frames: &FrameSet, split: &str) -> Result<EvalReport> {
    let mut draw = |_: usize, view: &_, out: &mut Vec<f32>| {
        out.clear();
        out.extend_from_slice(&machine.picture(view, settings)?.rgb);
        Ok(())
    };
    evaluate_frames(frames, split, settings.background, &mut draw, &mut |_, _| {})
}

/// 1.1 times the largest distance of a camera from the cameras' centroid, as in the original 3DGS.
pub(crate) fn camera_extent(frames: &FrameSet) -> f64 {
    let centres: Vec<_> = (0..frames.len()).map(|i| frames.camera_from_scene(i).inverse().translation.vector).collect();
    let centroid = centres.iter().sum::<nalgebra::Vector3<f64>>() / centres.len().max(1) as f64;
    let farthest = centres.iter().map(|c| (c - centroid).norm()).fold(0.0, f64::max);
    if farthest > 1e-6 { 1.1 * farthest } else { 1.0 }
}
