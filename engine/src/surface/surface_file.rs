//! What a finished training leaves: a file with grid and networks, from which pictures and meshes of any resolution are made.

use super::config::SurfaceConfig;
use super::field::Field;
use super::guide::backdrop::Backdrop;
use super::painter::SurfacePainter;
use crate::config::Config;
use crate::evaluate::{EvalOptions, EvalReport, evaluate_capture};
use crate::rays::{SceneBox, prepared};
use crate::render::{DetailedPainter, PhotoDetails};
use crate::train::{CheckpointReader, CheckpointWriter};
use crate::{Error, Result};
use std::path::Path;
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::Capture;
use tessera_kernels::hash_grid::FEATURES;
use tessera_kernels::occupancy::OccupancyGrid;

/// Its name in a run folder.
pub const SURFACE_FILE: &str = "surface.safetensors";

/// A surface: distances and colours everywhere in a box.
#[derive(Clone, Debug)]
pub struct Surface {
    /// Grid and networks.
    pub field: Field,
    /// Inverse width of the density, in sides of the cube.
    pub sharpness: f32,
    /// Where rays are looked along.
    pub occupancy: OccupancyGrid,
    /// What the unit cube is.
    pub scene_box: SceneBox,
    /// From the capture's world to the scene.
    pub scene_from_world: Similarity,
    /// The moment that it is of, in the capture's own time; none when it does not move.
    pub time: Option<f64>,
    /// What is behind the box, where photos have no masks.
    pub backdrop: Option<Backdrop>,
    /// How it was trained.
    pub config: SurfaceConfig,
}

impl Surface {
    /// The distance between samples along rays: the density's width within limits.
    pub fn step_length(&self, sharpness: f32) -> f32 {
        let diagonal = 3.0f32.sqrt();
        (1.0 / sharpness).clamp(diagonal / self.config.ray_steps as f32, diagonal / 64.0)
    }

    /// Adds all of it to a checkpoint.
    ///
    /// # Errors
    /// When some state cannot be written.
    pub(super) fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        let parameters = &self.field.parameters;
        checkpoint.f32("table", &[self.field.grid.entries(), FEATURES], &parameters.table[..]);
        checkpoint.f32("colour_table", &[self.field.colour_grid.entries(), FEATURES], &parameters.colour_table[..]);
        checkpoint.f32("distance", &[parameters.distance.len()], &parameters.distance[..]);
        checkpoint.f32("colour", &[parameters.colour.len()], &parameters.colour[..]);
        if let Some(backdrop) = &self.backdrop {
            backdrop.save(checkpoint);
        }
        checkpoint.u64("occupancy", &[self.occupancy.bits().len()], self.occupancy.bits());
        checkpoint.u64("solid", &[self.occupancy.solid().len()], self.occupancy.solid());
        checkpoint.state("variance", &parameters.variance)?;
        checkpoint.state("sharpness", &self.sharpness)?;
        checkpoint.state("active_levels", &self.field.active_levels)?;
        checkpoint.state("scene_box", &self.scene_box)?;
        checkpoint.state("scene_from_world", &self.scene_from_world)?;
        checkpoint.state("time", &self.time)?;
        checkpoint.state("settings", &self.config.to_toml())
    }

    /// Takes back what [`Surface::save`] handed over; settings stay as they are.
    ///
    /// # Errors
    /// When something is missing or does not fit.
    pub(super) fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        let parameters = &mut self.field.parameters;
        checkpoint.f32_into("table", &mut parameters.table)?;
        checkpoint.f32_into("colour_table", &mut parameters.colour_table)?;
        checkpoint.f32_into("distance", &mut parameters.distance)?;
        checkpoint.f32_into("colour", &mut parameters.colour)?;
        parameters.variance = checkpoint.state("variance")?;
        self.sharpness = checkpoint.state("sharpness")?;
        self.field.active_levels = checkpoint.state("active_levels")?;
        self.scene_box = checkpoint.state("scene_box")?;
        self.scene_from_world = checkpoint.state("scene_from_world")?;
        // Files from before surfaces could move have none.
        self.time = checkpoint.state("time").unwrap_or_default();
        self.backdrop = Backdrop::load(checkpoint, &self.scene_from_world)?;
        let bits = checkpoint.u64("occupancy")?;
        // Files from before rays ended in what is solid have none.
        let solid = if checkpoint.shape("solid").is_some() { checkpoint.u64("solid")? } else { Vec::new() };
        self.occupancy = OccupancyGrid::from_bits(self.config.occupancy_resolution, bits)
            .and_then(|grid| grid.with_solid(solid))
            .ok_or_else(|| checkpoint.unfit("occupancy"))?;
        Ok(())
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// When the disk refuses, or it holds what is not a number.
    pub(super) fn write(&self, path: &Path, steps: u64) -> Result<()> {
        let mut writer = CheckpointWriter::default();
        self.save(&mut writer)?;
        writer.write(path, "surface", steps, 0.0)
    }

    /// Reads a file that training left.
    ///
    /// # Errors
    /// When it is missing, damaged, or not such a file.
    pub fn read(path: &Path) -> Result<Self> {
        let checkpoint = CheckpointReader::open(path)?;
        if checkpoint.method() != "surface" {
            return Err(Error::file(path, "holds no surface", "name the run folder of a surface"));
        }
        let settings: String = checkpoint.state("settings")?;
        let config = SurfaceConfig::from_toml(&settings, &path.display().to_string())?;
        config.check()?;
        let field = Field::new(&config);
        let mut surface = Self {
            sharpness: 1.0,
            field,
            occupancy: OccupancyGrid::empty(config.occupancy_resolution),
            scene_box: SceneBox { corners: [[0.0; 3], [1.0; 3]] },
            scene_from_world: Similarity::identity(),
            time: None,
            backdrop: None,
            config,
        };
        surface.load(&checkpoint)?;
        Ok(surface)
    }

    /// The capture as training took it, in the surface's scene.
    pub fn prepared(&self, capture: &Capture) -> Capture {
        let mut capture = prepared(capture, self.config.masks, self.config.flip_cameras);
        // Where training had the origin, even if the capture has other points now.
        capture.scene_from_world = self.scene_from_world;
        capture
    }

    /// Whether pictures of it show details of photos. Those of something that moves do not, nor those of a surface whose cameras were corrected: the capture
    /// has the photos elsewhere.
    pub fn has_details(&self) -> bool {
        self.config.detail_photos > 0 && self.time.is_none() && !self.config.refine_poses
    }

    /// The photos of a capture, as [`Surface::prepared`] gave it, whose details pictures show, if they do.
    ///
    /// # Errors
    /// When the capture has no photos that were trained on.
    pub fn details(&self, capture: &Capture, background: [f32; 3]) -> Result<Option<PhotoDetails>> {
        let photos = || PhotoDetails::new(capture, &self.config.split(), self.config.detail_photos, background);
        self.has_details().then(photos).transpose()
    }

    /// Compares it with the photos of a capture. `progress` is told how many of how many are done.
    ///
    /// # Errors
    /// When the part has no photos or a photo cannot be read.
    pub fn evaluate(
        &self,
        capture: &Capture,
        options: &EvalOptions,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<EvalReport> {
        let mut capture = self.prepared(capture);
        capture.frames.retain(|frame| self.time.is_none() || frame.time == self.time);
        let mut painter = SurfacePainter::new(self, options.background);
        let details = self.details(&capture, options.background)?;
        evaluate_capture(&capture, options, &mut DetailedPainter::new(&mut painter, details), progress)
    }
}
