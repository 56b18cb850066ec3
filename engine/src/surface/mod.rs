//! Neural surfaces: photos with poses become a signed distance function on a hash grid with colours, and that a closed mesh.
//!
//! The formulation is that of NeuS2 (Wang et al. 2023), as the kernels `hash_grid`, `mlp` and `sdf_render` state it.
//!
//! - [`config`]: all settings. [`scene_box`]: where the surface is looked for.
//! - [`field`]: grid and networks; `optimiser`: how they descend.
//! - [`rays`], [`trace`]: from pixels to rays to samples; `occupied`: which cells these need not visit.
//! - `step`: one training step; `painter`: pictures; [`mesh`]: the mesh.
//! - [`Surface`]: what a finished training leaves.

pub mod config;
pub mod field;
pub mod mesh;
mod occupied;
mod optimiser;
mod painter;
pub mod rays;
pub mod scene_box;
mod step;
mod surface_file;
pub mod trace;

pub use config::{SurfaceConfig, preset};
pub use surface_file::{SURFACE_FILE, Surface};

use crate::Result;
use crate::config::Config;
use crate::evaluate::{EvalReport, evaluate_frames};
use crate::frames::{FrameSet, Sampler, SamplerState, Split};
use crate::splats::MaskUse;
use crate::train::{CheckpointReader, CheckpointWriter, MemoryPlan, Method, StepReport};
use field::Field;
use optimiser::Optimiser;
use std::path::{Path, PathBuf};
use tessera_datasets::camera::Pose;
use tessera_datasets::capture::{Capture, MaskKind};
use tessera_datasets::format::{Existing, write_mesh};
use tessera_datasets::image::Image8;
use tessera_kernels::occupancy::OccupancyGrid;

/// The mesh that training writes into its run folder.
pub const MESH_FILE: &str = "mesh.glb";

/// Longest side of preview pictures.
const PREVIEW_SIDE: u32 = 400;

/// A surface being trained on a capture.
#[derive(Debug)]
pub struct SurfaceTraining {
    config: SurfaceConfig,
    frames: FrameSet,
    held_out: FrameSet,
    sampler: Sampler,
    surface: Surface,
    optimiser: Optimiser,
    /// Rays of the next step.
    rays: usize,
    /// As it was in the last steps.
    samples_per_ray: f64,
    groups: Vec<step::Group>,
    warnings: Vec<String>,
}

/// What is kept between steps besides parameters.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Pace {
    rays: usize,
    samples_per_ray: f64,
}

impl SurfaceTraining {
    /// Prepares training.
    ///
    /// # Errors
    /// When a setting is impossible, the capture has no photos to train on, no box around the surface can be found, or a photo cannot be
    /// read.
    pub fn new(capture: &Capture, config: &SurfaceConfig) -> Result<Self> {
        config.check()?;
        let capture = &prepared(capture, config);
        let split = Split {
            test_every: config.test_every,
            resolution: config.resolution,
            image_cache_mb: config.image_cache_mb,
        };
        let (frames, held_out) = FrameSet::split(capture, &split)?;
        let (scene_box, warnings) = scene_box::find(capture, &frames, config)?;
        let field = Field::new(config);
        Ok(Self {
            optimiser: Optimiser::new(&field),
            surface: Surface {
                sharpness: field.sharpness(),
                field,
                occupancy: OccupancyGrid::full(config.occupancy_resolution),
                scene_box,
                scene_from_world: capture.scene_from_world,
                config: config.clone(),
            },
            sampler: Sampler::new(frames.len(), config.seed),
            rays: 512,
            samples_per_ray: 64.0,
            groups: Vec::new(),
            config: config.clone(),
            frames,
            held_out,
            warnings,
        })
    }

    /// The surface as it is.
    pub fn surface(&self) -> &Surface {
        &self.surface
    }
}

impl Method for SurfaceTraining {
    fn name(&self) -> &'static str {
        "surface"
    }

    fn total_steps(&self) -> u64 {
        self.config.steps
    }

    fn memory_plan(&self) -> MemoryPlan {
        let field = &self.surface.field;
        let values = field.parameters.table.len();
        let per_sample = 4 * (6 + 2 * field.distance.widths()[0]) as u64;
        let photos: usize = self.frames.views().map(|v| 3 * v.width * v.height).sum();
        let cache = photos.min(self.config.image_cache_mb << 20);
        let samples = self.config.samples as u64;
        MemoryPlan::default()
            .with("parameters", 4 * values as u64, format!("{} entries of the hash grid", field.grid.entries()))
            .with("optimiser", 14 * values as u64, "gradients, moments and steps of the entries")
            .with("samples", 2 * samples * per_sample, format!("{samples} samples a step"))
            .with("photos", cache as u64, format!("{} photos, 8 bits a channel", self.frames.len()))
    }

    fn step(&mut self, step: u64) -> Result<StepReport> {
        self.train_step(step)
    }

    fn evaluate(&mut self) -> Result<Option<EvalReport>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let (surface, background) = (&self.surface, self.config.background);
        let mut draw = |_: usize, view: &_, out: &mut Vec<f32>| {
            surface.paint(view, background, out);
            Ok(())
        };
        evaluate_frames(&self.held_out, "test", background, &mut draw, &mut |_, _| {}).map(Some)
    }

    fn preview(&mut self) -> Result<Option<Image8>> {
        let frames = if self.held_out.is_empty() { &self.frames } else { &self.held_out };
        let (width, height) = frames.size(0, 1);
        let view = frames.view(0, width.max(height).div_ceil(PREVIEW_SIDE));
        let mut planes = Vec::new();
        self.surface.paint(&view, self.config.background, &mut planes);
        Ok(Some(crate::render::from_planes(&planes, view.width, view.height)))
    }

    fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        self.surface.save(checkpoint)?;
        self.optimiser.save(checkpoint);
        checkpoint.state("sampler", &self.sampler.state())?;
        checkpoint.state("pace", &Pace { rays: self.rays, samples_per_ray: self.samples_per_ray })
    }

    fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        self.surface.load(checkpoint)?;
        self.optimiser.load(checkpoint)?;
        let sampler: SamplerState = checkpoint.state("sampler")?;
        self.sampler = Sampler::restore(self.frames.len(), sampler);
        Pace { rays: self.rays, samples_per_ray: self.samples_per_ray } = checkpoint.state("pace")?;
        Ok(())
    }

    fn export(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let path = folder.join(SURFACE_FILE);
        self.surface.write(&path, self.config.steps)?;
        let mut files = vec![path];
        if self.config.mesh_resolution > 0 {
            let options = mesh::MeshOptions { resolution: self.config.mesh_resolution, ..mesh::MeshOptions::default() };
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

/// The capture with its masks and axes as the settings say.
pub fn prepared(capture: &Capture, config: &SurfaceConfig) -> Capture {
    let mut capture = capture.clone();
    for frame in &mut capture.frames {
        match (config.masks, &mut frame.mask) {
            (MaskUse::Off, mask) => *mask = None,
            (MaskUse::Ignore, Some(mask)) => mask.kind = MaskKind::Ignore,
            (MaskUse::Foreground, Some(mask)) => mask.kind = MaskKind::Foreground,
            _ => {}
        }
        if config.flip_cameras {
            frame.camera_from_world =
                Pose::rotation(nalgebra::Vector3::x() * std::f64::consts::PI) * frame.camera_from_world;
        }
    }
    capture
}

#[cfg(test)]
mod tests;
