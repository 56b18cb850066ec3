//! The settings of learning radiance.

use super::super::descent::Rates;
use super::super::encoding::{EncoderKind, Encoding};
use super::super::field::DecoderKind;
use super::outputs;
use crate::rays::BoxSettings;
use crate::splats::MaskUse;

/// Where a scene's edge is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bounds {
    /// The box, if all photos are cut out; else nowhere.
    #[default]
    Auto,
    /// The box: nothing is outside.
    Box,
    /// Nowhere: what is outside of the box is learned with growing cells.
    None,
}

crate::config! {
    /// Radiance: photos with poses become a field of density and colours, decoded by Gaussians in the space of features.
    ///
    /// Schedules are shares of `steps`.
    pub struct RadianceConfig {
        /// Training steps.
        steps: u64 = 3000,
        /// Samples along rays that a step aims at; the number of rays follows from it.
        samples: usize = 65_536,
        /// Longest side, in pixels, to which photos are reduced; 0 keeps their size.
        resolution: u32 = 1600,
        /// Hold out every so many photos for testing; 0 trains on all that the capture does not itself hold out.
        test_every: usize = 0,
        /// Start of all random numbers. The same seed gives the same bits, whatever the number of threads.
        seed: u64 = 0,
        /// Where the scene ends: auto (in the box if all photos are cut out), box, or none.
        bounds: Bounds = Bounds::Auto,
        /// Lowest corner of the box in which the subject lies, in the capture's coordinates; found from masks, points or cameras when it
        /// is not set.
        box_min: Option<[f32; 3]> = None,
        /// Highest corner of that box.
        box_max: Option<[f32; 3]> = None,
        /// Turn all cameras by 180 degrees about their x axis: for poses that are written in the other of the two usual axis conventions
        /// (OpenCV: y down, z forward; OpenGL: y up, z backward) than the capture's layout says.
        flip_cameras: bool = false,
        /// What black in the masks means: auto (as is usual for the capture's layout), ignore, foreground or off.
        masks: MaskUse = MaskUse::Auto,
        /// Colour behind the scene, on which photos with transparency are also evaluated.
        background: [f32; 3] = [1.0, 1.0, 1.0],
        /// Grids: hash (levels share entries by a hash) or factor (small grids that repeat).
        encoder: EncoderKind = EncoderKind::Hash,
        /// What decodes features: rbf (Gaussians in the space of features) or network (two hidden layers of 64, to compare with).
        decoder: DecoderKind = DecoderKind::Rbf,
        /// Centres of the decoder's radial basis functions.
        centres: usize = 32,
        /// Degree of the harmonics by which colours depend on the direction: 0 to 3.
        sh_degree: u8 = 2,
        /// Levels of grids.
        levels: usize = 12,
        /// The most entries of a level; hash tables have the power of two below it.
        most_entries: u32 = 131_072,
        /// Corners per side of the coarsest level.
        base_resolution: u32 = 16,
        /// Corners per side of the finest level.
        finest_resolution: u32 = 1024,
        /// Interpolate grids so that slopes are continuous too.
        smooth: bool = false,
        /// Learning rate of grids at the first step.
        rate: f64 = 1e-1,
        /// Learning rate of the decoder at the first step.
        decoder_rate: f64 = 2e-2,
        /// Both at the last step, as a share of the first.
        rate_decay: f64 = 0.02,
        /// Cells per side of the grid that says where rays need not be looked at.
        occupancy_resolution: usize = 128,
        /// Steps of a ray through the box's diagonal.
        ray_steps: usize = 512,
        /// How far from a camera rays begin in scenes without bounds, in halves of the box's side.
        near: f64 = 0.1,
        /// How far they reach, in halves of the box's side.
        far: f64 = 64.0,
        /// Bits of a stored number of the grids: 32, 16 or 8.
        bits: u32 = 16,
        /// Steps between checkpoints; 0 keeps only the last one.
        checkpoint_every: u64 = 1000,
        /// Steps between evaluations on the held-out photos; 0 evaluates only at the end.
        eval_every: u64 = 0,
        /// Steps between preview pictures; 0 makes only the last one.
        preview_every: u64 = 1000,
        /// Memory for decoded photos, in megabytes.
        image_cache_mb: usize = 2048,
    }
}

/// Settings that differ from the defaults under a name.
///
/// # Errors
/// When there is no such preset.
pub fn preset(name: &str) -> crate::Result<&'static str> {
    match name {
        "fast" => Ok("steps = 1500\nresolution = 800\n"),
        "balanced" => Ok(""),
        "quality" => Ok("steps = 12000\nsamples = 131072\nmost_entries = 524288\nfinest_resolution = 2048\n"),
        "compact" => Ok("bits = 8\nmost_entries = 65536\n"),
        _ => Err(crate::Error::setting(format!(
            "there is no preset '{name}'; known are fast, balanced, quality and compact"
        ))),
    }
}

impl RadianceConfig {
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

    /// Numbers that the field has for a place.
    pub fn outputs(&self) -> usize {
        outputs(self.sh_degree)
    }

    /// Where the subject is.
    pub fn box_settings(&self) -> BoxSettings {
        BoxSettings { min: self.box_min, max: self.box_max }
    }

    /// Learning rates of a step: a short rise, and from half of the steps on an exponential fall.
    pub fn rates(&self, step: u64) -> Rates {
        let progress = step as f64 / self.steps as f64;
        let rise = ((step + 1) as f64 / 50.0).min(1.0);
        let factor = rise * self.rate_decay.powf((2.0 * progress - 1.0).max(0.0));
        Rates { features: (factor * self.rate) as f32, decoder: (factor * self.decoder_rate) as f32 }
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
        require((1024..=1 << 22).contains(&self.samples), "samples must lie between 1024 and 4194304")?;
        require(self.sh_degree <= 3, "sh_degree must be at most 3")?;
        let rates = [self.rate, self.decoder_rate, self.rate_decay];
        require(rates.iter().all(|r| *r > 0.0 && *r <= 1.0), "rates and their decay must lie between 0 and 1")?;
        require((16..=512).contains(&self.occupancy_resolution), "occupancy_resolution must lie between 16 and 512")?;
        require((64..=8192).contains(&self.ray_steps), "ray_steps must lie between 64 and 8192")?;
        require(self.near > 0.0 && self.near < self.far, "near must be positive and less than far")?;
        require(self.far <= 1e4, "far must be at most 10000")?;
        require(matches!(self.bits, 8 | 16 | 32), "bits must be 8, 16 or 32")?;
        self.box_settings().check()
    }
}
