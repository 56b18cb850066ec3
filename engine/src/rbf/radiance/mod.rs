//! Radiance: photos with poses become a field of density and colours.
//!
//! For a place `u` in the unit cube (see [`space`]) the field has `1 + 3 (degree + 1)²` numbers:
//!
//! ```text
//! σ = e^min(y_0, 12)                            density, for a way of 1 in box coordinates
//! rgb_c = sigmoid(Σ_k Y_k(d) y_(1 + cK + k))    d: direction of looking, Y: real harmonics, K = (degree + 1)²
//! α = 1 - e^(-σ δ)                              of a step of length δ
//! ```
//!
//! Steps are blended front to back as [`tessera_kernels::sdf_render`] states it; training descends along the squared difference from pixels.
//!
//! - [`config`]: all settings. [`space`]: what the unit cube is. [`trace`]: from rays to samples.
//! - `step`: one training step. `occupied`: which cells rays need not visit.
//! - [`Radiance`]: what a finished training leaves; `painter`: pictures of it; `stored`: its file; [`mesh`]: its baked form.

pub mod config;
pub mod mesh;
mod occupied;
mod painter;
pub mod space;
mod step;
mod stored;
pub mod trace;

pub use config::{RadianceConfig, preset};
pub use painter::RadiancePainter;
pub use stored::Stored;

use super::descent::Descent;
use super::field::Field;
use super::learner::Learner;
use crate::Result;
use crate::config::Config;
use crate::evaluate::{EvalReport, evaluate_painter};
use crate::frames::{FrameSet, Sampler, SamplerState, Split};
use crate::rays::{Pace, prepared, scene_box};
use crate::render::{Painter, to_image};
use crate::train::{CheckpointReader, CheckpointWriter, MemoryPlan, Method, StepReport};
use occupied::Cells;
use rand::SeedableRng;
use rand_pcg::Pcg64;
use space::Space;
use std::path::{Path, PathBuf};
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::Capture;
use tessera_datasets::format::Existing;
use tessera_datasets::image::Image8;
use tessera_kernels::hash_grid::FEATURES;
use tessera_kernels::occupancy::OccupancyGrid;
use tessera_kernels::splat::spherical_harmonics::{self, Y0};

/// The file in a run folder that holds the field.
pub const RADIANCE_FILE: &str = "scene.rbf";

/// Harmonics up to degree 3.
pub const BASIS: usize = 16;
/// Longest side of preview pictures.
const PREVIEW_SIDE: u32 = 400;

/// Numbers that a field has for a place.
pub fn outputs(sh_degree: u8) -> usize {
    1 + 3 * spherical_harmonics::count(sh_degree)
}

/// Harmonics in a direction of length 1; those above `degree` are zero.
pub fn harmonics(degree: u8, direction: [f32; 3]) -> [f32; BASIS] {
    let above = spherical_harmonics::basis(degree, direction);
    std::array::from_fn(|k| if k == 0 { Y0 as f32 } else { above[k - 1] })
}

/// Density and colours everywhere in a scene.
#[derive(Clone, Debug)]
pub struct Radiance {
    /// Over the unit cube.
    pub field: Field,
    /// Where rays are looked along.
    pub occupancy: OccupancyGrid,
    /// What the unit cube is.
    pub space: Space,
    /// From the capture's world to the scene.
    pub scene_from_world: Similarity,
    /// How it was trained.
    pub config: RadianceConfig,
}

/// Radiance being learned from a capture.
#[derive(Debug)]
pub struct RadianceTraining {
    config: RadianceConfig,
    frames: FrameSet,
    held_out: FrameSet,
    sampler: Sampler,
    radiance: Radiance,
    descent: Descent,
    cells: Cells,
    pace: Pace,
    groups: Vec<step::Group>,
    warnings: Vec<String>,
}

impl RadianceTraining {
    /// Prepares training.
    ///
    /// # Errors
    /// When a setting is impossible, the capture has no photos to train on, no box around the subject can be found, or a photo cannot be
    /// read.
    pub fn new(capture: &Capture, config: &RadianceConfig) -> Result<Self> {
        config.check()?;
        let capture = prepared(capture, config.masks, config.flip_cameras);
        let split = Split {
            test_every: config.test_every,
            resolution: config.resolution,
            image_cache_mb: config.image_cache_mb,
        };
        let (frames, held_out) = FrameSet::split(&capture, &split)?;
        let (scene_box, warnings) = scene_box::find(&capture, &frames, config.box_settings())?;
        let mut cut_out = true;
        for i in 0..frames.len() {
            cut_out = cut_out && frames.load(i, 1)?.is_cut_out();
        }
        let mut rng = Pcg64::seed_from_u64(config.seed);
        let field = Field::new(&config.encoding(), None, config.outputs(), &mut rng);
        Ok(Self {
            descent: Descent::new(&field),
            cells: Cells::new(config.occupancy_resolution),
            radiance: Radiance {
                field,
                occupancy: OccupancyGrid::full(config.occupancy_resolution),
                space: Space::new(scene_box, cut_out, config),
                scene_from_world: capture.scene_from_world,
                config: config.clone(),
            },
            sampler: Sampler::new(frames.len(), config.seed),
            pace: Pace::default(),
            groups: Vec::new(),
            config: config.clone(),
            frames,
            held_out,
            warnings,
        })
    }

    /// The radiance as it is.
    pub fn radiance(&self) -> &Radiance {
        &self.radiance
    }
}

impl Method for RadianceTraining {
    fn name(&self) -> &'static str {
        "rbf"
    }

    fn total_steps(&self) -> u64 {
        self.config.steps
    }

    fn memory_plan(&self) -> MemoryPlan {
        let photos: usize = self.frames.views().map(|v| 3 * v.width * v.height).sum();
        let cache = photos.min(self.config.image_cache_mb << 20) as u64;
        let cells = self.config.occupancy_resolution.pow(3);
        Learner::plan(&self.config.encoding(), self.radiance.field.parameters.len(), 2 * self.config.samples)
            .with("cells", 4 * cells as u64, format!("{cells} cells of space"))
            .with("photos", cache, format!("{} photos, 8 bits a channel", self.frames.len()))
    }

    fn step(&mut self, step: u64) -> Result<StepReport> {
        self.train_step(step)
    }

    fn evaluate(&mut self) -> Result<Option<EvalReport>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let background = self.config.background;
        let mut painter = RadiancePainter::new(&self.radiance, background);
        evaluate_painter(&self.held_out, "test", background, &mut painter, &mut |_, _| {}).map(Some)
    }

    fn preview(&mut self) -> Result<Option<Image8>> {
        let frames = if self.held_out.is_empty() { &self.frames } else { &self.held_out };
        let (width, height) = frames.size(0, 1);
        let view = frames.view(0, width.max(height).div_ceil(PREVIEW_SIDE));
        Ok(Some(to_image(RadiancePainter::new(&self.radiance, self.config.background).draw(&view, false))))
    }

    fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        let field = &self.radiance.field;
        checkpoint.f32("table", &[field.grid.entries(), FEATURES], &field.table[..]);
        checkpoint.f32("decoder", &[field.parameters.len()], &field.parameters[..]);
        self.descent.save(checkpoint)?;
        checkpoint.f32("cells", &[self.cells.depths.len()], &self.cells.depths[..]);
        checkpoint.u64("occupancy", &[self.radiance.occupancy.bits().len()], self.radiance.occupancy.bits());
        checkpoint.state("space", &self.radiance.space)?;
        checkpoint.state("scene_from_world", &self.radiance.scene_from_world)?;
        checkpoint.state("sampler", &self.sampler.state())?;
        checkpoint.state("pace", &self.pace)
    }

    fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        let radiance = &mut self.radiance;
        checkpoint.f32_into("table", &mut radiance.field.table)?;
        checkpoint.f32_into("decoder", &mut radiance.field.parameters)?;
        self.descent.load(checkpoint)?;
        checkpoint.f32_into("cells", &mut self.cells.depths)?;
        radiance.occupancy = OccupancyGrid::from_bits(self.config.occupancy_resolution, checkpoint.u64("occupancy")?)
            .ok_or_else(|| checkpoint.unfit("occupancy"))?;
        radiance.space = checkpoint.state("space")?;
        radiance.scene_from_world = checkpoint.state("scene_from_world")?;
        let sampler: SamplerState = checkpoint.state("sampler")?;
        self.sampler = Sampler::restore(self.frames.len(), sampler);
        self.pace = checkpoint.state("pace")?;
        Ok(())
    }

    fn export(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let path = folder.join(RADIANCE_FILE);
        self.radiance.write(&path, Existing::Replace)?;
        Ok(vec![path])
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
