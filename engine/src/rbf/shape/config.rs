//! The settings of fitting a shape.

use super::super::encoding::{EncoderKind, Encoding};
use super::super::field::DecoderKind;

crate::config! {
    /// Shapes: a triangle mesh becomes a signed distance function.
    ///
    /// Schedules are shares of `steps`.
    pub struct ShapeConfig {
        /// Training steps.
        steps: u64 = 4000,
        /// Places of a step.
        batch: usize = 16_384,
        /// Start of all random numbers. The same seed gives the same bits, whatever the number of threads.
        seed: u64 = 0,
        /// Grids: factor (small grids that repeat) or hash (levels share entries by a hash).
        encoder: EncoderKind = EncoderKind::Factor,
        /// What decodes features: rbf (Gaussians in the space of features) or network (two hidden layers of 64, to compare with).
        decoder: DecoderKind = DecoderKind::Rbf,
        /// Centres of the decoder's radial basis functions.
        centres: usize = 32,
        /// Levels of grids.
        levels: usize = 10,
        /// The most entries of a level; hash tables have the power of two below it.
        most_entries: u32 = 32_768,
        /// Corners per side of the coarsest level.
        base_resolution: u32 = 16,
        /// Corners per side of the finest level.
        finest_resolution: u32 = 512,
        /// Interpolate grids so that slopes are continuous too.
        smooth: bool = false,
        /// Learning rate of grids at the first step.
        rate: f64 = 8e-2,
        /// Learning rate of the decoder at the first step.
        decoder_rate: f64 = 1e-2,
        /// Both at the last step, as a share of the first.
        rate_decay: f64 = 0.003,
        /// Places whose distances are known at a time; they are replaced bit by bit.
        pool: usize = 262_144,
        /// How many of them are replaced in a step.
        fresh: usize = 256,
        /// How far places near the surface are from it, as a share of the cube's side.
        near: f64 = 0.01,
        /// Bits of a stored number: 32, 16 or 8.
        bits: u32 = 16,
    }
}

impl ShapeConfig {
    /// Grids and decoder.
    pub fn encoding(&self) -> Encoding {
        Encoding {
            dimensions: 3,
            encoder: self.encoder,
            levels: self.levels,
            most_entries: self.most_entries,
            base_resolution: self.base_resolution,
            finest_resolution: self.finest_resolution,
            smooth: self.smooth,
            decoder: self.decoder,
            centres: self.centres,
        }
    }

    /// Checks what a type cannot say.
    ///
    /// # Errors
    /// When a setting has a value that it cannot have.
    pub fn check(&self) -> crate::Result<()> {
        self.encoding().check()?;
        let require = |good: bool, message: &str| {
            if good { Ok(()) } else { Err(crate::Error::setting(message)) }
        };
        require(self.steps > 0, "steps must be at least 1")?;
        require((256..=1 << 22).contains(&self.batch), "batch must lie between 256 and 4194304")?;
        require((1024..=1 << 26).contains(&self.pool), "pool must lie between 1024 and 67108864")?;
        require(self.fresh <= self.pool, "fresh must be at most pool")?;
        require(self.near > 0.0 && self.near <= 0.5, "near must lie between 0 and 0.5")?;
        let rates = [self.rate, self.decoder_rate, self.rate_decay];
        require(rates.iter().all(|r| *r > 0.0 && *r <= 1.0), "rates and their decay must lie between 0 and 1")?;
        require(matches!(self.bits, 8 | 16 | 32), "bits must be 8, 16 or 32")
    }
}

/// Settings that differ from the defaults under a name.
///
/// # Errors
/// When there is no such preset.
pub fn preset(name: &str) -> crate::Result<&'static str> {
    match name {
        "fast" => Ok(""),
        "compact" => Ok("bits = 8\nsteps = 6000\n"),
        _ => Err(crate::Error::setting(format!("there is no preset '{name}'; known are compact and fast"))),
    }
}
