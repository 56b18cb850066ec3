//! Gaussian splats: photos with poses become a set of coloured 3D Gaussians.
//!
//! - [`config`]: all settings, which are the command line, the TOML file and the documentation at once.
//! - [`init`]: the first splats, from sparse points, depth, a plane sweep, masks or nothing.
//! - [`frames`]: which photo each step looks at, decoded ahead of time.
//! - [`model`]: parameters and their optimiser; [`schedule`]: what changes over time.
//! - `step`: one training step; [`density`]: growth, relocation, decay and noise.
//! - [`appearance`], [`pose_refinement`], [`filter_3d`]: what can be learned or kept beside the splats.

pub mod appearance;
pub mod config;
pub mod density;
pub mod filter_3d;
pub mod frames;
pub mod init;
pub mod model;
pub mod pose_refinement;
pub mod schedule;
mod step;

pub use config::{MaskUse, SplatsConfig, preset};

use crate::config::Config;
use crate::evaluate::{EvalReport, evaluate_frames};
use crate::train::{CheckpointReader, CheckpointWriter, MemoryPlan, Method, StepReport};
use crate::{Error, Result};
use appearance::Appearance;
use density::DensityControl;
use filter_3d::SamplingLimits;
use frames::{FrameSet, FrameTarget, Sampler, SamplerState};
use init::{InitSettings, initial_splats};
use model::SplatModel;
use pose_refinement::{PoseRefinement, PoseRefinementSettings};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::{Capture, MaskKind};
use tessera_datasets::format::write_splats;
use tessera_datasets::image::{Image8, ImageCache};
use tessera_datasets::scene::SplatCloud;
use tessera_kernels::image_loss::ImageLoss;
use tessera_kernels::splat::{Rasterizer, RenderSettings, SplatGradients};

/// Splats nearer to the camera than this, in scene units, are not drawn.
pub const NEAR: f32 = 0.02;

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
    model: SplatModel,
    /// Number of splats at the start, from which growth counts.
    first_count: usize,
    /// `[N]`, the 3D filter's standard deviations.
    filter: Vec<f32>,
    sampling_limits: SamplingLimits,
    density: DensityControl,
    appearance: Option<Appearance>,
    poses: Option<PoseRefinement>,
    rasterizer: Rasterizer,
    gradients: SplatGradients,
    loss: ImageLoss,
    target: FrameTarget,
    pictures: step::Pictures,
}

impl SplatTraining {
    /// Prepares training: reads what the first splats come from.
    ///
    /// # Errors
    /// When a setting is impossible, the capture has no photos to train on, or one of them cannot be read.
    pub fn new(capture: &Capture, config: &SplatsConfig) -> Result<Self> {
        config.check()?;
        let capture = &with_masks(capture, config.masks);
        let test_every = (config.test_every > 0).then_some(config.test_every);
        let (train, test) = capture.split_indices(test_every);
        if train.is_empty() {
            let message = "no photos are left to train on; lower --test-every or give the capture more photos";
            return Err(Error::setting(message));
        }
        let max_side = (config.resolution > 0).then_some(config.resolution);
        let cache = Arc::new(ImageCache::new(capture.files.clone(), config.image_cache_mb << 20, max_side));
        let frames = FrameSet::new(capture, &train, &cache, 1);
        let held_out = FrameSet::new(capture, &test, &cache, 1);
        let settings = InitSettings {
            source: config.init,
            max_splats: config.max_splats,
            count: (config.initial_splats > 0).then_some(config.initial_splats),
            opacity: config.initial_opacity,
            sh_degree: config.sh_degree,
            ..InitSettings::default()
        };
        let cloud = initial_splats(capture, &frames, &settings, config.seed)?;
        let model = SplatModel::new(&cloud, config);
        let mut training = Self {
            extent: camera_extent(&frames),
            sampler: Sampler::new(frames.len(), config.seed),
            first_count: model.len(),
            filter: Vec::new(),
            sampling_limits: SamplingLimits::new(frames.views()),
            density: DensityControl::default(),
            appearance: Appearance::new(config.appearance, frames.len()),
            poses: config.refine_poses.then(|| PoseRefinement::new(frames.len(), PoseRefinementSettings::default())),
            rasterizer: Rasterizer::new(),
            gradients: SplatGradients::default(),
            loss: ImageLoss::new(),
            target: FrameTarget::default(),
            pictures: step::Pictures::default(),
            scene_from_world: capture.scene_from_world,
            config: config.clone(),
            frames,
            held_out,
            model,
        };
        training.update_filter();
        Ok(training)
    }

    /// The splats as they are now, in scene coordinates, as any program draws them.
    pub fn cloud(&self) -> SplatCloud {
        let mut cloud = self.model.to_cloud(self.config.antialiased, self.scene_from_world);
        if self.config.filter_3d {
            filter_3d::bake(&mut cloud, &self.filter);
        }
        cloud
    }

    /// The rasteriser, for benchmarks.
    pub fn rasterizer(&self) -> &Rasterizer {
        &self.rasterizer
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

    fn update_filter(&mut self) {
        if self.config.filter_3d {
            self.sampling_limits.filter_sigmas(&self.model.means.values, &mut self.filter);
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
        let n = self.config.max_splats.max(self.model.len());
        let (parameters, optimiser, gradients) = SplatModel::bytes(n, self.config.sh_degree);
        let pixels = self.frames.views().map(|v| v.width * v.height).max().unwrap_or(0);
        let photos: usize = self.frames.views().map(|v| 3 * v.width * v.height).sum();
        let cache = photos.min(self.config.image_cache_mb << 20);
        let mut plan = MemoryPlan::default()
            .with("parameters", parameters as u64, format!("{n} splats"))
            .with("optimiser", optimiser as u64, "two moments for every parameter")
            .with("gradients", gradients as u64, "")
            // A record and three tile entries for each splat; about twenty planes of the picture's size.
            .with("activations", (n * 240 + pixels * 80) as u64, format!("largest photo has {pixels} pixels"))
            .with("photos", cache as u64, format!("{} photos, 8 bits a channel", self.frames.len()));
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
        let filter = self.config.filter_3d.then_some(self.filter.as_slice());
        let splats = self.model.splats(filter);
        let settings = self.render_settings();
        let rasterizer = &mut self.rasterizer;
        let mut draw = |_: usize, view: &_, out: &mut Vec<f32>| {
            out.clear();
            out.extend_from_slice(&rasterizer.forward(&splats, view, &settings).rgb);
            Ok(())
        };
        evaluate_frames(&self.held_out, "test", self.config.background, &mut draw, &mut |_, _| {}).map(Some)
    }

    fn preview(&mut self) -> Result<Option<Image8>> {
        let frames = if self.held_out.is_empty() { &self.frames } else { &self.held_out };
        let view = frames.view(0, 1);
        let filter = self.config.filter_3d.then_some(self.filter.as_slice());
        let settings = self.render_settings();
        let rendering = self.rasterizer.forward(&self.model.splats(filter), &view, &settings);
        Ok(Some(crate::render::to_image(rendering)))
    }

    fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        self.model.save(checkpoint);
        checkpoint.f32("scores", &[self.density.scores().len()], self.density.scores());
        // Means have moved since the filter was made, so it is part of the state.
        checkpoint.f32("filter_3d", &[self.filter.len()], self.filter.as_slice());
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
        self.model.load(checkpoint)?;
        self.density.restore(checkpoint.f32("scores")?);
        self.filter = checkpoint.f32("filter_3d")?;
        if self.model.len() > self.config.max_splats {
            self.model.keep_largest(self.config.max_splats);
            self.density.restore(vec![0.0; self.model.len()]);
        }
        if self.filter.len() != self.model.len() {
            self.update_filter();
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

    fn config_toml(&self) -> String {
        self.config.to_toml()
    }
}

/// The capture with its masks used as the settings say.
fn with_masks(capture: &Capture, masks: MaskUse) -> Capture {
    let mut capture = capture.clone();
    for frame in &mut capture.frames {
        match (masks, &mut frame.mask) {
            (MaskUse::Off, mask) => *mask = None,
            (MaskUse::Ignore, Some(mask)) => mask.kind = MaskKind::Ignore,
            (MaskUse::Foreground, Some(mask)) => mask.kind = MaskKind::Foreground,
            _ => {}
        }
    }
    capture
}

/// 1.1 times the largest distance of a camera from the cameras' centroid, as in the original 3DGS.
fn camera_extent(frames: &FrameSet) -> f64 {
    let centres: Vec<_> = (0..frames.len()).map(|i| frames.camera_from_scene(i).inverse().translation.vector).collect();
    let centroid = centres.iter().sum::<nalgebra::Vector3<f64>>() / centres.len().max(1) as f64;
    let farthest = centres.iter().map(|c| (c - centroid).norm()).fold(0.0, f64::max);
    if farthest > 1e-6 { 1.1 * farthest } else { 1.0 }
}
