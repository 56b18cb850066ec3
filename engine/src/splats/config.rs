//! The settings of Gaussian splat training.

use super::appearance::AppearanceModel;
use super::init::InitSource;
use crate::frames::Split;
use serde::{Deserialize, Serialize};
use tessera_kernels::splat::cuda::Precision;

crate::config! {
    /// Gaussian splats: photos with poses become a set of coloured 3D Gaussians.
    ///
    /// All schedules are shares of `steps`, so another number of steps stretches every one of them.
    pub struct SplatsConfig {
        /// Training steps; each renders one photo.
        steps: u64 = 7000,
        /// How many splats the scene grows to.
        max_splats: usize = 100_000,
        /// Longest side, in pixels, to which photos are reduced; 0 keeps their size.
        resolution: u32 = 1600,
        /// Hold out every so many photos for testing; 0 trains on all that the capture does not itself hold out.
        test_every: usize = 0,
        /// Start of all random numbers. The same seed gives the same bits, whatever the number of threads.
        seed: u64 = 0,
        /// Degree of the spherical harmonics of colour, 0 to 3.
        sh_degree: u8 = 3,
        /// Share of the steps after which the next degree of the harmonics joins in.
        sh_degree_interval: f64 = 0.05,
        /// Begin at a quarter of the resolution, then half, then all of it.
        resolution_schedule: bool = true,
        /// Colour behind the scene, on which photos with transparency are also evaluated.
        background: [f32; 3] = [1.0, 1.0, 1.0],
        /// Put a new random colour behind photos with transparency or foreground masks at every step, so that what is
        /// transparent there becomes so in the scene.
        random_background: bool = true,
        /// What black in the masks means: auto (as is usual for the capture's layout), ignore, foreground or off.
        masks: MaskUse = MaskUse::Auto,
        /// Share of SSIM in the loss; the rest is L1.
        ssim_weight: f32 = 0.2,
        /// Weight of the difference to depth images where the capture has them.
        depth_weight: f32 = 0.1,
        /// Render with opacity that makes up for the screen-space low-pass filter (Mip-Splatting). Viewers must do
        /// the same, and few do.
        antialiased: bool = false,
        /// Keep splats at least as large as the photos can resolve (Mip-Splatting's 3D filter).
        filter_3d: bool = true,
        /// Colour differences between photos that are learned beside the scene: none, exposure or bilateral_grid.
        appearance: AppearanceModel = AppearanceModel::None,
        /// Correct the cameras' poses while training.
        refine_poses: bool = false,
        /// Give the sky splats of its own, a shell far around all that is near, where photos show it.
        sky: bool = false,
        /// What to begin with: auto, points, depth, sweep, both (points and sweep)
        /// or random.
        init: InitSource = InitSource::Auto,
        /// Splats to begin with when the capture has no points; 0 chooses by `max_splats`.
        initial_splats: usize = 0,
        /// Opacity of the first splats.
        initial_opacity: f32 = 0.3,
        /// Learning rate of the means, in units of the cameras' extent, at the first step.
        means_rate: f64 = 1.6e-4,
        /// The same at the last step, as a share of the first.
        means_rate_decay: f64 = 0.01,
        /// Learning rate of the logarithms of the scales.
        scales_rate: f64 = 5e-3,
        /// Learning rate of the rotations.
        quats_rate: f64 = 1e-3,
        /// Learning rate of the opacities before the sigmoid.
        opacity_rate: f64 = 0.05,
        /// Learning rate of the base colour.
        sh0_rate: f64 = 2.5e-3,
        /// Learning rate of the higher harmonics.
        sh_rest_rate: f64 = 1.25e-4,
        /// Pull of the opacity of visible splats towards zero, which frees those that are not needed.
        opacity_decay: f32 = 0.01,
        /// Pull of the scales of visible splats towards zero.
        scale_decay: f32 = 0.01,
        /// Random motion of nearly transparent splats, in units of their covariance and of the means' rate.
        noise: f64 = 5e5,
        /// Steps between changes of the number of splats; runs of few steps have at least twenty such changes.
        refine_every: u64 = 100,
        /// Share of the steps at which growth begins.
        grow_from: f64 = 0.03,
        /// Share of the steps at which the number of splats reaches `max_splats`.
        grow_until: f64 = 0.5,
        /// Share of the steps up to which splats that became transparent are put to use elsewhere.
        relocate_until: f64 = 0.85,
        /// Steps between checkpoints; 0 keeps only the last one.
        checkpoint_every: u64 = 1000,
        /// Steps between evaluations on the held-out photos; 0 evaluates only at the end.
        eval_every: u64 = 0,
        /// Steps between preview pictures; 0 makes only the last one.
        preview_every: u64 = 1000,
        /// Train with less memory: harmonics as 16-bit floats and Adam's moments in codes of 16 and 32 bits, 300 bytes for a
        /// splat of degree 3 on a GPU in place of 716, at some cost of quality and, on a CPU, time.
        compact_state: bool = false,
        /// Where a GPU keeps harmonics above degree 0 with Adam's moments: device, or host, in this machine's memory, from where
        /// those that a photo sees are brought for each step. Leaves room for several times as many splats where photos see
        /// small parts of the scene, and ends in the same scene, later.
        far: FarPlace = FarPlace::Device,
        /// When a GPU's memory does not suffice: stop, or shrink the scene until it does.
        on_oom: OnOom = OnOom::Stop,
        /// Memory for decoded photos, in megabytes.
        image_cache_mb: usize = 2048,
    }
}

/// Where a device keeps what a photo does not need of splats that it does not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FarPlace {
    /// In its own memory.
    #[default]
    Device,
    /// In that of the host.
    Host,
}

/// What is done when a GPU has too little memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnOom {
    /// Say what would fit, and stop with a checkpoint.
    #[default]
    Stop,
    /// Go on with fewer splats.
    Shrink,
}

/// What a capture's masks are used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskUse {
    /// As is usual for the capture's layout.
    #[default]
    Auto,
    /// Black is not known.
    Ignore,
    /// Black is background.
    Foreground,
    /// Masks are not used.
    Off,
}

/// Settings that differ from the defaults under a name.
///
/// # Errors
/// When there is no such preset.
pub fn preset(name: &str) -> crate::Result<&'static str> {
    match name {
        "fast" => Ok("steps = 2000\nmax_splats = 50000\nresolution = 800\n"),
        "balanced" => Ok(""),
        "quality" => Ok("steps = 30000\nmax_splats = 300000\n"),
        _ => Err(crate::Error::setting(format!("there is no preset '{name}'; known are fast, balanced and quality"))),
    }
}

impl SplatsConfig {
    /// Which photos are for training, and how they are read.
    pub fn split(&self) -> Split {
        let Self { test_every, resolution, image_cache_mb, .. } = *self;
        Split { test_every, resolution, image_cache_mb }
    }

    /// Steps between changes of the number of splats, never so many that growth comes in a few large leaps.
    pub fn refine_interval(&self) -> u64 {
        self.refine_every.min((self.steps / 20).max(1))
    }

    /// How splats are kept while they are trained.
    pub fn precision(&self) -> Precision {
        if self.compact_state { Precision::Compact } else { Precision::Full }
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
        require((1..=60_000_000).contains(&self.max_splats), "max_splats must lie between 1 and 60,000,000")?;
        require(self.sh_degree <= 3, "sh_degree must be 0, 1, 2 or 3")?;
        require(self.refine_every > 0, "refine_every must be at least 1")?;
        require((0.0..=1.0).contains(&self.ssim_weight), "ssim_weight must lie between 0 and 1")?;
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let shares = [self.grow_from, self.grow_until, self.relocate_until, self.sh_degree_interval];
        require(shares.into_iter().all(share), "shares of the steps must lie between 0 and 1")?;
        require(
            self.initial_opacity > 0.0 && self.initial_opacity < 1.0,
            "initial_opacity must lie between 0 and 1, both excluded",
        )
    }
}
