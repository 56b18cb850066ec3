//! Settings of making shapes with published models.

use crate::{Error, Result};

crate::config! {
    /// How a shape is made of a picture with the published models; defaults are those of the reference.
    pub struct ImageConfig {
        /// Steps from noise to the structure.
        structure_steps: usize = 50,
        /// Steps from noise to the details of 512 voxels a side.
        detail_steps: usize = 30,
        /// Steps from noise to the details of 1024 voxels a side.
        fine_steps: usize = 15,
        /// By how much the picture is stressed: 1 not at all, which takes half of the time.
        guidance: f32 = 7.0,
        /// A voxel of the structure is kept where it is occupied with at least this probability.
        occupancy: f32 = 0.1,
        /// The surface is where signed distances, from -1 to 1, have this value.
        level: f32 = 0.2,
        /// Parts of less than this share of the largest part's area are left out.
        least_part: f64 = 0.0005,
        /// Start of all random numbers: the same seed makes the same shape.
        seed: u64 = 1,
    }
}

impl ImageConfig {
    /// Whether all values can be used.
    ///
    /// # Errors
    /// When one cannot.
    pub fn check(&self) -> Result<()> {
        let bad = |message: &str| Err(Error::setting(message));
        let steps = [self.structure_steps, self.detail_steps, self.fine_steps];
        if steps.iter().any(|steps| !(1..=1000).contains(steps)) {
            return bad("structure_steps, detail_steps and fine_steps must be from 1 to 1000");
        }
        if !(self.guidance >= 0.0 && self.guidance <= 1000.0) {
            return bad("guidance must be from 0 to 1000");
        }
        if !(self.occupancy > 0.0 && self.occupancy < 1.0) {
            return bad("occupancy must be between 0 and 1");
        }
        if !(self.level > -1.0 && self.level < 1.0) {
            return bad("level must be between -1 and 1");
        }
        if !(0.0..=1.0).contains(&self.least_part) {
            return bad("least_part must be from 0 to 1");
        }
        Ok(())
    }
}
