//! Radiance as a file, and compared with photos.

use super::config::RadianceConfig;
use super::space::Space;
use super::{Radiance, RadiancePainter, outputs};
use crate::config::Config;
use crate::evaluate::{EvalOptions, EvalReport, evaluate_capture};
use crate::rays::prepared;
use crate::rbf::file::{Blob, Content, RbfFile, RbfWriter};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::Capture;
use tessera_datasets::format::Existing;
use tessera_kernels::occupancy::OccupancyGrid;

/// What the index of a file says of radiance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// What the unit cube is.
    pub space: Space,
    /// From the world to the scene.
    pub scene_from_world: Similarity,
    /// Of the harmonics.
    pub sh_degree: u8,
    /// Cells per side of the occupancy grid.
    pub occupancy_resolution: usize,
    /// One bit per cell, x fastest, in little-endian words of 64.
    pub occupancy: Blob,
}

impl Radiance {
    /// Writes it to a file.
    ///
    /// # Errors
    /// When training diverged, or the file cannot be written.
    pub fn write(&self, path: &Path, existing: Existing) -> Result<()> {
        let mut writer = RbfWriter::new(path, existing)?;
        writer.add(&self.field, &self.config.encoding(), self.config.bits)?;
        let bits: Vec<u8> = self.occupancy.bits().iter().flat_map(|word| word.to_le_bytes()).collect();
        let stored = Stored {
            space: self.space,
            scene_from_world: self.scene_from_world,
            sh_degree: self.config.sh_degree,
            occupancy_resolution: self.occupancy.resolution(),
            occupancy: writer.add_blob(&bits)?,
        };
        writer.finish(Content::Radiance(stored), self.config.to_toml())
    }

    /// Reads the radiance in a file.
    ///
    /// # Errors
    /// When it is damaged, or holds something else.
    pub fn read(file: &mut RbfFile) -> Result<Self> {
        let Content::Radiance(stored) = file.index.content.clone() else {
            let reason = "holds a fitted picture or shape, no radiance";
            return Err(Error::file(file.path(), reason, "name a run folder of --method rbf or its scene.rbf"));
        };
        let config = RadianceConfig::from_toml(&file.index.settings, "the file's settings")?;
        let resolution = stored.occupancy_resolution;
        let bytes = file.blob(&stored.occupancy)?;
        let field = file.field(0)?;
        let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let occupancy = (1..=512).contains(&resolution).then(|| OccupancyGrid::from_bits(resolution, words)).flatten();
        let fits = field.decoder.outputs() == outputs(stored.sh_degree) && config.sh_degree == stored.sh_degree;
        let is_possible = fits && field.grid.dimensions() == 3 && stored.space.is_possible();
        let Some(occupancy) = occupancy.filter(|_| is_possible) else { return Err(file.damaged()) };
        Ok(Self { field, occupancy, space: stored.space, scene_from_world: stored.scene_from_world, config })
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
        let mut capture = prepared(capture, self.config.masks, self.config.flip_cameras);
        // Where training had the origin, even if the capture has other points now.
        capture.scene_from_world = self.scene_from_world;
        evaluate_capture(&capture, options, &mut RadiancePainter::new(self, options.background), progress)
    }
}
