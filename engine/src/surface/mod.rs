//! Neural surfaces: photos with poses become a signed distance function on a hash grid with colours, and that a closed mesh.
//!
//! The formulation is that of NeuS2 (Wang et al. 2023), as the kernels `hash_grid`, `mlp` and `sdf_render` state it.
//!
//! - [`config`]: all settings.
//! - [`guide`]: splats that find out about where it is, first; `fit`: becoming that.
//! - [`field`]: grid and networks; `optimiser`: how they descend.
//! - [`trace`]: from rays ([`crate::rays`]) to samples; `occupied`: which cells these need not visit.
//! - `step`: one training step; `smooth`: the condition on neighbouring normals; `appearance`: how photos differ; `painter`: pictures; [`mesh`]: the mesh.
//! - `device`: the same steps on a GPU.
//! - [`sequence`]: moving surfaces, one moment after the other.
//! - [`Surface`]: what a finished training leaves.

mod appearance;
pub mod config;
mod device;
pub mod field;
mod fit;
pub mod guide;
pub mod mesh;
mod occupied;
mod optimiser;
mod painter;
pub mod sequence;
mod smooth;
mod step;
mod surface_file;
pub mod trace;

pub use config::{SurfaceConfig, preset};
pub use painter::SurfacePainter;
pub use surface_file::{SURFACE_FILE, Surface};

use crate::config::Config;
use crate::evaluate::{EvalReport, evaluate_painter};
use crate::frames::{FrameSet, Sampler, SamplerState};
use crate::meshing::MeshOptions;
use crate::rays::{Pace, prepared, scene_box};
use crate::render::{DetailedPainter, Painter, PhotoDetails, to_image};
use crate::splats::SplatTraining;
use crate::splats::model::SplatModel;
use crate::train::{CheckpointReader, CheckpointWriter, MemoryPlan, Method, StepReport};
use crate::{Error, Result};
use appearance::Appearance;
use device::{DeviceSurface, Size};
use field::Field;
use guide::backdrop::{Backdrop, BackdropPictures};
use guide::fusion::DistanceGrid;
use optimiser::Optimiser;
use std::path::{Path, PathBuf};
use tessera_datasets::camera::Pose;
use tessera_datasets::capture::Capture;
use tessera_datasets::format::{Existing, write_mesh};
use tessera_datasets::image::Image8;
use tessera_kernels::camera_projection::View;
use tessera_kernels::device::Device;
use tessera_kernels::occupancy::OccupancyGrid;
use tessera_kernels::splat::cuda::Precision;

/// The mesh that training writes into its run folder.
pub const MESH_FILE: &str = "mesh.glb";

/// Longest side of preview pictures.
const PREVIEW_SIDE: u32 = 400;

/// How far a training is.
#[derive(Debug)]
enum Stage {
    /// Splats find out about where the surface is. They are not there before their first step.
    Guide(Option<Box<SplatTraining>>),
    /// The field becomes what they found.
    Fit(fit::Pattern),
    /// It learns from rays.
    Learn,
}

/// A surface being trained on a capture.
#[derive(Debug)]
pub struct SurfaceTraining {
    config: SurfaceConfig,
    capture: Capture,
    frames: FrameSet,
    held_out: FrameSet,
    stage: Stage,
    /// What is behind the box in the photos, if they have no masks.
    backdrops: Option<BackdropPictures>,
    sampler: Sampler,
    surface: Surface,
    optimiser: Optimiser,
    appearance: Appearance,
    pace: Pace,
    groups: Vec<step::Group>,
    /// Where it is trained, if not on the CPU, and what is there once the surface is.
    device: Option<Device>,
    machine: Option<DeviceSurface>,
    warnings: Vec<String>,
}

impl SurfaceTraining {
    /// Prepares training on the CPU.
    ///
    /// # Errors
    /// When a setting is impossible, the capture has no photos to train on, no box around the surface can be found, or a photo cannot be
    /// read.
    pub fn new(capture: &Capture, config: &SurfaceConfig) -> Result<Self> {
        Self::on(None, capture, config)
    }

    /// As [`SurfaceTraining::new`], on a device if one is given.
    ///
    /// # Errors
    /// Also when the device has too little memory or fails.
    pub fn on(device: Option<&Device>, capture: &Capture, config: &SurfaceConfig) -> Result<Self> {
        config.check()?;
        let capture = prepared(capture, config.masks, config.flip_cameras);
        let (frames, held_out) = FrameSet::split(&capture, &config.split())?;
        let (scene_box, warnings) = scene_box::find(&capture, &frames, config.box_settings())?;
        let field = Field::new(config);
        if let Some(device) = device {
            Size::new(config, frames.len()).check(device, &field, config)?;
        }
        Ok(Self {
            optimiser: Optimiser::new(&field),
            appearance: Appearance::new(frames.len(), config.appearance),
            surface: Surface {
                sharpness: field.sharpness(),
                field,
                occupancy: OccupancyGrid::full(config.occupancy_resolution),
                scene_box,
                scene_from_world: capture.scene_from_world,
                time: None,
                backdrop: None,
                config: config.clone(),
            },
            sampler: Sampler::new(frames.len(), config.seed),
            pace: Pace::default(),
            groups: Vec::new(),
            device: device.cloned(),
            machine: None,
            stage: if config.is_guided() { Stage::Guide(None) } else { Stage::Learn },
            backdrops: None,
            capture,
            config: config.clone(),
            frames,
            held_out,
            warnings,
        })
    }

    /// Prepares training that goes on with a surface, on the photos of a capture in whose scene it lies.
    ///
    /// # Errors
    /// When the capture has no photos to train on.
    fn continued(capture: &Capture, config: &SurfaceConfig, mut surface: Surface) -> Result<Self> {
        let capture = prepared(capture, config.masks, config.flip_cameras);
        let (frames, held_out) = FrameSet::split(&capture, &config.split())?;
        surface.scene_from_world = capture.scene_from_world;
        let backdrop = surface.backdrop.take();
        let mut training = Self {
            optimiser: Optimiser::new(&surface.field),
            appearance: Appearance::new(frames.len(), config.appearance),
            surface,
            sampler: Sampler::new(frames.len(), config.seed),
            pace: Pace::default(),
            groups: Vec::new(),
            device: None,
            machine: None,
            stage: Stage::Learn,
            backdrops: None,
            capture,
            config: config.clone(),
            frames,
            held_out,
            warnings: Vec::new(),
        };
        if let Some(backdrop) = backdrop {
            training.set_backdrop(backdrop);
        }
        Ok(training)
    }

    /// Goes on where `before` is trained, with what it has there.
    fn move_to_device_of(&mut self, before: &mut Self) {
        (self.device, self.machine) = (before.device.take(), before.machine.take());
        if let Some(machine) = &mut self.machine {
            machine.changed();
        }
    }

    /// What the device needs before a step.
    fn ready_device(&mut self) -> Result<()> {
        let Self { device: Some(device), surface, .. } = self else { return Ok(()) };
        let machine = match &mut self.machine {
            Some(machine) => machine,
            none => {
                let size = Size::new(&self.config, self.frames.len());
                none.insert(DeviceSurface::new(device, &surface.field, &self.config, size)?)
            }
        };
        machine.take_over(&surface.field, &self.optimiser, &surface.occupancy)
    }

    /// The surface as it was at the last [`Method::settle`] (on the CPU: as it is).
    pub fn surface(&self) -> &Surface {
        &self.surface
    }

    /// Samples of a ray as it was in the last steps, each that is only looked at as a third of one that is learned from.
    pub fn samples_per_ray(&self) -> f64 {
        self.pace.samples_per_ray
    }

    /// Steps before those in which the surface learns from rays.
    pub fn steps_before(&self) -> u64 {
        self.config.guide_steps + self.config.fitted()
    }

    fn splats(&self) -> Result<Box<SplatTraining>> {
        let config = guide::splats_config(&self.config);
        let mut capture = self.capture.clone();
        capture.frames.iter_mut().for_each(|frame| frame.depth = None);
        Ok(Box::new(SplatTraining::on(self.device.as_ref(), &capture, &config)?))
    }

    /// From splats to what the field becomes, and to what is behind it.
    fn take_over(&mut self, splats: &mut SplatTraining) -> Result<()> {
        splats.settle()?;
        for i in 0..self.frames.len() {
            if let Some(pose) = splats.refined_pose(i, self.frames.camera_from_scene(i)) {
                self.frames.move_camera(i, pose);
            }
        }
        let (cloud, scene_box) = (splats.cloud(), &self.surface.scene_box);
        let grid = guide::distances(&cloud, &self.frames, scene_box).ok_or_else(|| {
            Error::setting(
                "the splats that are trained first show no surface in the box: set box_min and box_max to where the object is, train more \
                 of them (--set guide_steps=3000), or begin with a sphere (--set guide_steps=0)",
            )
        })?;
        self.stage = Stage::Fit(fit::Pattern::new(grid));
        let mut cut_out = true;
        for i in 0..self.frames.len() {
            cut_out &= self.frames.load(i, 1)?.is_cut_out();
        }
        if !cut_out {
            self.set_backdrop(Backdrop::outside(cloud, scene_box));
        }
        Ok(())
    }

    /// Of the photos that are trained on, about as many pixels a side as there are cells.
    fn small_views(&self) -> Vec<View> {
        let view = |i: usize| {
            let (width, height) = self.frames.size(i, 1);
            self.frames.view(i, width.max(height).div_ceil(self.config.occupancy_resolution as u32))
        };
        (0..self.frames.len()).map(view).collect()
    }

    fn set_backdrop(&mut self, backdrop: Backdrop) {
        let SurfaceConfig { background, image_cache_mb, .. } = self.config;
        self.backdrops = Some(BackdropPictures::of(&backdrop, &self.frames, background, image_cache_mb));
        self.surface.backdrop = Some(backdrop);
    }
}

impl Method for SurfaceTraining {
    fn name(&self) -> &'static str {
        "surface"
    }

    fn total_steps(&self) -> u64 {
        self.steps_before() + self.config.steps
    }

    fn memory_plan(&self) -> MemoryPlan {
        let field = &self.surface.field;
        let values = field.parameters.table.len() + field.parameters.colour_table.len();
        let entries = field.grid.entries() + field.colour_grid.entries();
        let per_sample = 4 * (6 + 2 * field.distance.widths()[0] + field.colour.widths()[0]) as u64;
        let photos: usize = self.frames.views().map(|v| 3 * v.width * v.height).sum();
        let cache = photos.min(self.config.image_cache_mb << 20);
        let samples = self.config.samples as u64;
        let plan = MemoryPlan::default()
            .with("parameters", 4 * values as u64, format!("{entries} entries of the hash grids"))
            .with("optimiser", 14 * values as u64, "gradients, moments and steps of the entries")
            .with("samples", 2 * samples * per_sample, format!("{samples} samples a step"))
            .with("photos", cache as u64, format!("{} photos, 8 bits a channel", self.frames.len()));
        let plan = match &self.device {
            Some(_) => Size::new(&self.config, self.frames.len()).add_to(plan, field, &self.config),
            None => plan,
        };
        let plan = match self.surface.has_details() && !self.held_out.is_empty() {
            true => {
                let details = PhotoDetails::bytes(&self.frames, self.config.image_cache_mb);
                plan.with(
                    "details",
                    details as u64,
                    "what photos have beyond pictures, when held-out ones are compared",
                )
            }
            false => plan,
        };
        if !self.config.is_guided() {
            return plan;
        }
        let (values, gradients, moments) =
            SplatModel::bytes(self.config.guide_splats, guide::SH_DEGREE, Precision::Full);
        plan.with(
            "splats",
            (values + gradients + moments) as u64,
            format!("{} splats come first", self.config.guide_splats),
        )
        .with("backdrop", cache as u64, "what is behind, for photos without masks")
    }

    fn step(&mut self, step: u64) -> Result<StepReport> {
        let (guide_steps, before) = (self.config.guide_steps, self.steps_before());
        match std::mem::replace(&mut self.stage, Stage::Learn) {
            Stage::Guide(splats) => {
                let mut splats = splats.map_or_else(|| self.splats(), Ok)?;
                if step < guide_steps {
                    let report = splats.step(step);
                    self.stage = Stage::Guide(Some(splats));
                    return report;
                }
                if let Err(error) = self.take_over(&mut splats) {
                    self.stage = Stage::Guide(Some(splats));
                    return Err(error);
                }
                // A device may have no room for both.
                drop(splats);
                self.step(step)
            }
            Stage::Fit(pattern) if step < before => {
                let report = self.fit_step(&pattern, step - guide_steps);
                self.stage = Stage::Fit(pattern);
                report
            }
            Stage::Fit(_) | Stage::Learn => {
                let report = self.train_step(step - before)?;
                if step + 1 == self.total_steps() && self.config.only_seen {
                    self.settle()?;
                    let views = self.small_views();
                    self.surface.leave_out_unseen(&views);
                }
                Ok(report)
            }
        }
    }

    fn evaluate(&mut self) -> Result<Option<EvalReport>> {
        if let Stage::Guide(Some(splats)) = &mut self.stage {
            return splats.evaluate();
        }
        if self.held_out.is_empty() {
            return Ok(None);
        }
        self.settle()?;
        let background = self.config.background;
        let mut painter = SurfacePainter::new(&self.surface, background);
        let details = self.surface.details(&self.capture, background)?;
        let mut painter = DetailedPainter::new(&mut painter, details);
        evaluate_painter(&self.held_out, "test", background, &mut painter, &mut |_, _| {}).map(Some)
    }

    fn preview(&mut self) -> Result<Option<Image8>> {
        if let Stage::Guide(Some(splats)) = &mut self.stage {
            return splats.preview();
        }
        self.settle()?;
        let frames = if self.held_out.is_empty() { &self.frames } else { &self.held_out };
        let (width, height) = frames.size(0, 1);
        let view = frames.view(0, width.max(height).div_ceil(PREVIEW_SIDE));
        Ok(Some(to_image(SurfacePainter::new(&self.surface, self.config.background).draw(&view, false))))
    }

    fn settle(&mut self) -> Result<()> {
        if let Stage::Guide(Some(splats)) = &mut self.stage {
            return splats.settle();
        }
        let Self { surface, optimiser, .. } = self;
        match &mut self.machine {
            Some(machine) => machine.settle(&mut surface.field, optimiser, &mut surface.occupancy),
            None => Ok(()),
        }
    }

    fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        if let Stage::Guide(Some(splats)) = &self.stage {
            return splats.save(checkpoint);
        }
        if let Stage::Fit(pattern) = &self.stage {
            let n = pattern.grid.resolution();
            checkpoint.f32("pattern", &[n, n, n], pattern.grid.values());
        }
        self.surface.save(checkpoint)?;
        self.optimiser.save(checkpoint);
        self.appearance.save(checkpoint);
        if self.config.refine_poses {
            let poses: Vec<Pose> = (0..self.frames.len()).map(|i| *self.frames.camera_from_scene(i)).collect();
            checkpoint.state("poses", &poses)?;
        }
        checkpoint.state("sampler", &self.sampler.state())?;
        checkpoint.state("pace", &self.pace)
    }

    fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        if self.config.is_guided() && checkpoint.step() <= self.config.guide_steps {
            let mut splats = self.splats()?;
            splats.load(checkpoint)?;
            self.stage = Stage::Guide(Some(splats));
            return Ok(());
        }
        self.stage = Stage::Learn;
        if let Some(&[n, ..]) = checkpoint.shape("pattern") {
            let grid = DistanceGrid::from_values(n, checkpoint.f32("pattern")?);
            self.stage = Stage::Fit(fit::Pattern::new(grid.ok_or_else(|| checkpoint.unfit("pattern"))?));
        }
        self.surface.load(checkpoint)?;
        if self.config.refine_poses {
            let poses: Vec<Pose> = checkpoint.state("poses")?;
            if poses.len() != self.frames.len() {
                return Err(checkpoint.unfit("poses"));
            }
            poses.into_iter().enumerate().for_each(|(i, pose)| self.frames.move_camera(i, pose));
        }
        if let Some(backdrop) = self.surface.backdrop.clone() {
            self.set_backdrop(backdrop);
        }
        self.optimiser.load(checkpoint)?;
        self.appearance.load(checkpoint)?;
        let sampler: SamplerState = checkpoint.state("sampler")?;
        self.sampler = Sampler::restore(self.frames.len(), sampler);
        self.pace = checkpoint.state("pace")?;
        if let Some(machine) = &mut self.machine {
            machine.changed();
        }
        Ok(())
    }

    fn export(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let path = folder.join(SURFACE_FILE);
        self.surface.write(&path, self.config.steps)?;
        let mut files = vec![path];
        if self.config.mesh_resolution > 0 {
            let options = MeshOptions { resolution: self.config.mesh_resolution, ..MeshOptions::default() };
            let path = folder.join(MESH_FILE);
            let mesh = mesh::extract(&self.surface, &options, &mut |_, _| {})?;
            write_mesh(&path, &mesh, Existing::Replace)?;
            files.push(path);
        }
        Ok(files)
    }

    fn config_toml(&self) -> String {
        self.config.to_toml()
    }

    fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

#[cfg(test)]
mod tests;
