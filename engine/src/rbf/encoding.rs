//! What a field's features come from: the part of the settings that images, shapes and radiance have in common.

use super::field::DecoderKind;
use serde::{Deserialize, Serialize};
use tessera_kernels::hash_grid::{FactorLevel, GridSpec, HashGrid, Interpolation, LevelScale};

/// Which grids features are interpolated from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderKind {
    /// Levels of growing resolution; the fine ones share entries by a hash.
    #[default]
    Hash,
    /// Small grids that repeat, the finer the more often.
    Factor,
}

/// Entries of a level, at least and at most.
const LEAST_ENTRIES: u32 = 16;
const MOST_ENTRIES: u32 = 1 << 24;

/// Grids and decoder of a field.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encoding {
    /// 2 or 3.
    pub dimensions: usize,
    /// Which grids.
    pub encoder: EncoderKind,
    /// How many.
    pub levels: usize,
    /// The most entries of a level; hash tables have the power of two below it.
    pub most_entries: u32,
    /// Corners per side of the coarsest.
    pub base_resolution: u32,
    /// Corners per side of the finest, over the whole square or cube.
    pub finest_resolution: u32,
    /// Smooth interpolation, whose slopes are continuous.
    pub smooth: bool,
    /// What decodes.
    pub decoder: DecoderKind,
    /// Centres of the decoder's radial basis functions.
    pub centres: usize,
}

impl Encoding {
    /// The grids.
    pub fn grid(&self) -> HashGrid {
        let ratio = f64::from(self.finest_resolution) / f64::from(self.base_resolution);
        let growth = ratio.powf(1.0 / (self.levels - 1).max(1) as f64);
        let interpolation = if self.smooth { Interpolation::Smoothstep } else { Interpolation::Linear };
        match self.encoder {
            EncoderKind::Hash => HashGrid::over(
                self.dimensions,
                &GridSpec {
                    levels: self.levels,
                    log2_table: self.most_entries.ilog2(),
                    base: self.base_resolution,
                    growth,
                    level_scale: LevelScale::Integer,
                    interpolation,
                },
            ),
            EncoderKind::Factor => {
                // As many corners as fit the table; finer levels repeat them.
                let most = f64::from(self.most_entries).powf(1.0 / self.dimensions as f64).floor() as u32;
                let level = |l: usize| {
                    let wanted = f64::from(self.base_resolution) * growth.powi(l as i32);
                    let resolution = (wanted.round() as u32).clamp(1, most);
                    FactorLevel { resolution, frequency: (wanted / f64::from(resolution)) as f32 }
                };
                let levels: Vec<FactorLevel> = (0..self.levels).map(level).collect();
                HashGrid::factor(self.dimensions, &levels, interpolation)
            }
        }
    }

    /// The same with tables as large as fit so many entries of all levels together: coarse levels take what they need, the others share the
    /// rest.
    #[must_use]
    pub fn within(mut self, entries: usize) -> Self {
        let (mut low, mut high) = (LEAST_ENTRIES, MOST_ENTRIES);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            self.most_entries = middle;
            if self.grid().entries() <= entries { low = middle } else { high = middle }
        }
        self.most_entries = low;
        self
    }

    /// Checks what a type cannot say.
    ///
    /// # Errors
    /// When a setting has a value that it cannot have.
    pub fn check(&self) -> crate::Result<()> {
        let require = |good: bool, message: &str| {
            if good { Ok(()) } else { Err(crate::Error::setting(message)) }
        };
        require((1..=24).contains(&self.levels), "levels must lie between 1 and 24")?;
        let entries = (LEAST_ENTRIES..=MOST_ENTRIES).contains(&self.most_entries);
        require(entries, "most_entries must lie between 16 and 16777216")?;
        require((2..=512).contains(&self.base_resolution), "base_resolution must lie between 2 and 512")?;
        require(
            (self.base_resolution..=1 << 16).contains(&self.finest_resolution),
            "finest_resolution must lie between base_resolution and 65536",
        )?;
        let centres = (4..=512).contains(&self.centres) && self.centres.is_multiple_of(4);
        require(centres, "centres must be a multiple of 4 between 4 and 512")
    }
}
