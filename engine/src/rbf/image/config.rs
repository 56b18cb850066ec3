//! The settings of fitting a picture.

use super::super::encoding::{EncoderKind, Encoding};
use super::super::field::DecoderKind;
use tessera_kernels::hash_grid::FEATURES;

crate::config! {
    /// Pictures: pixels become a function of their place.
    ///
    /// Large pictures are fitted tile by tile, each with a function of its own. Schedules are shares of `steps`.
    pub struct ImageConfig {
        /// Training steps of each tile.
        steps: u64 = 1500,
        /// Pixels of a step.
        batch: usize = 32_768,
        /// Longest side of a tile, in pixels.
        tile: u32 = 1024,
        /// Start of all random numbers. The same seed gives the same bits, whatever the number of threads.
        seed: u64 = 0,
        /// Numbers that are learned for each pixel; grids get them, and kernels by their share.
        numbers_per_pixel: f64 = 1.0,
        /// Share of these numbers that kernels in space get, which lie where the picture has detail; 0 for grids alone.
        kernel_share: f64 = 0.0,
        /// Features of a kernel, a multiple of 8.
        kernel_features: usize = 16,
        /// The highest frequency of kernels' responses; features have frequencies from 1/8 to this.
        highest_frequency: f64 = 512.0,
        /// Grids: hash (levels share entries by a hash) or factor (small grids that repeat).
        encoder: EncoderKind = EncoderKind::Hash,
        /// What decodes features: rbf (Gaussians in the space of features) or network (two hidden layers of 64, to compare with).
        decoder: DecoderKind = DecoderKind::Rbf,
        /// Centres of the decoder's radial basis functions.
        centres: usize = 32,
        /// Levels of grids.
        levels: usize = 8,
        /// Corners per side of the coarsest level.
        base_resolution: u32 = 16,
        /// Learning rate of grids and kernels at the first step.
        rate: f64 = 2e-2,
        /// Learning rate of the decoder at the first step.
        decoder_rate: f64 = 1e-2,
        /// Both at the last step, as a share of the first.
        rate_decay: f64 = 0.01,
        /// Bits of a stored number: 32, 16 or 8.
        bits: u32 = 16,
    }
}

/// Settings that differ from the defaults under a name.
///
/// # Errors
/// When there is no such preset.
pub fn preset(name: &str) -> crate::Result<&'static str> {
    match name {
        "fast" => Ok(""),
        "compact" => Ok("bits = 8\nsteps = 3000\n"),
        _ => Err(crate::Error::setting(format!("there is no preset '{name}'; known are compact and fast"))),
    }
}

/// How the numbers of a tile are spent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Kernels in space.
    pub kernels: usize,
    /// Grids and decoder.
    pub encoding: Encoding,
}

impl ImageConfig {
    /// How a tile's numbers are spent, for so many pixels in a square of so many a side.
    pub fn budget(&self, pixels: usize, side: u32) -> Budget {
        let numbers = self.numbers_per_pixel * pixels as f64;
        let of_kernel = (self.kernel_features + 2 + 3) as f64;
        let kernels = (self.kernel_share * numbers / of_kernel) as usize;
        // Fewer than a place sums up are no use.
        let kernels = if kernels < 4 * super::kernels::NEIGHBOURS { 0 } else { kernels };
        let of_grids = numbers - kernels as f64 * of_kernel;
        // The coarsest level has a corner for each of its entries, however few there are.
        let fitting = (of_grids / (FEATURES * self.levels) as f64).sqrt() as u32;
        let base_resolution = self.base_resolution.min(side).min(fitting).max(2);
        let encoding = Encoding {
            dimensions: 2,
            encoder: self.encoder,
            levels: self.levels,
            most_entries: 16,
            base_resolution,
            finest_resolution: side.max(base_resolution),
            smooth: false,
            decoder: self.decoder,
            centres: self.centres,
        };
        Budget { kernels, encoding: encoding.within((of_grids / FEATURES as f64) as usize) }
    }

    /// Checks what a type cannot say.
    ///
    /// # Errors
    /// When a setting has a value that it cannot have.
    pub fn check(&self) -> crate::Result<()> {
        let require = |good: bool, message: &str| {
            if good { Ok(()) } else { Err(crate::Error::setting(message)) }
        };
        require(self.steps > 0, "steps must be at least 1")?;
        require((256..=1 << 22).contains(&self.batch), "batch must lie between 256 and 4194304")?;
        require((64..=8192).contains(&self.tile), "tile must lie between 64 and 8192")?;
        let numbers = self.numbers_per_pixel;
        require(numbers > 0.0 && numbers <= 16.0, "numbers_per_pixel must lie between 0 and 16")?;
        require((0.0..=1.0).contains(&self.kernel_share), "kernel_share must lie between 0 and 1")?;
        let features = (8..=128).contains(&self.kernel_features) && self.kernel_features.is_multiple_of(8);
        require(features, "kernel_features must be a multiple of 8, at most 128")?;
        let frequency = self.highest_frequency;
        require((1.0..=4096.0).contains(&frequency), "highest_frequency must lie between 1 and 4096")?;
        let rates = [self.rate, self.decoder_rate, self.rate_decay];
        require(rates.iter().all(|r| *r > 0.0 && *r <= 1.0), "rates and their decay must lie between 0 and 1")?;
        require(matches!(self.bits, 8 | 16 | 32), "bits must be 8, 16 or 32")?;
        self.budget(1 << 20, 1 << 10).encoding.check()
    }
}
