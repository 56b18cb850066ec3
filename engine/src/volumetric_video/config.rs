//! The settings of volumetric video.

use crate::splats::init::InitSource;
use crate::splats::{MaskUse, SplatsConfig};

/// As many as scenes may have.
const MOST_SPLATS: usize = 60_000_000;

crate::config! {
    /// Volumetric video: photos with poses and times become Gaussians in space and time, kept in a hierarchy of their influence.
    ///
    /// All schedules are shares of `steps`, so another number of steps stretches every one of them.
    pub struct VideoConfig {
        /// Training steps; each renders one photo. 0 takes as many as `passes` and `min_steps` say.
        steps: u64 = 0,
        /// How often each photo is looked at when `steps` is 0.
        passes: f64 = 4.0,
        /// Fewest steps when `steps` is 0.
        min_steps: u64 = 8000,
        /// How many Gaussians the scene grows to, static ones among them; 0 takes `still_splats`, and `frame_splats` for each frame.
        max_splats: usize = 0,
        /// Gaussians that a still scene would have, when `max_splats` is 0.
        still_splats: usize = 30_000,
        /// Gaussians for each frame, when `max_splats` is 0; fewer where little moves.
        frame_splats: usize = 300,
        /// Longest side, in pixels, to which photos are reduced; 0 keeps their size.
        resolution: u32 = 1600,
        /// Hold out every so many photos for testing; 0 trains on all that the capture does not itself hold out.
        test_every: usize = 0,
        /// Start of all random numbers. The same seed gives the same bits, whatever the number of threads.
        seed: u64 = 0,
        /// Degree of the spherical harmonics of colour, 0 to 3.
        sh_degree: u8 = 1,
        /// Colour behind the scene, on which photos with transparency are also evaluated.
        background: [f32; 3] = [1.0, 1.0, 1.0],
        /// Put a new random colour behind photos with transparency or foreground masks at every step, so that what is
        /// transparent there becomes so in the scene.
        random_background: bool = true,
        /// What black in the masks means: auto (as is usual for the capture's layout), ignore, foreground or off.
        masks: MaskUse = MaskUse::Auto,
        /// Where much of the photos' borders has one colour, take that for what is behind the scene, whatever `background` says.
        find_background: bool = true,
        /// Share of SSIM in the loss; the rest is L1.
        ssim_weight: f32 = 0.2,
        /// Render with opacity that makes up for the screen-space low-pass filter. Viewers must do the same, and few do.
        antialiased: bool = false,
        /// What to begin with: auto, points, depth, sweep, both (points and sweep) or random.
        init: InitSource = InitSource::Auto,
        /// Moments of which first Gaussians are made; 0 takes every fourth frame's.
        init_moments: usize = 0,
        /// Gaussians to begin with; 0 chooses by `max_splats`.
        initial_splats: usize = 0,
        /// Opacity of the first Gaussians.
        initial_opacity: f32 = 0.3,
        /// A pixel that changes by no more than this over time, of 1, shows something static.
        static_change: f32 = 0.08,
        /// Frames that are trained on in one stretch; Gaussians that none of them sees wait on disk meanwhile. 0 keeps all in memory.
        window_frames: u32 = 60,
        /// Frames in the shortest segments of the hierarchy.
        segment_frames: f64 = 4.0,
        /// Learning rate of the means, in units of the cameras' extent, at the first step.
        means_rate: f64 = 1.6e-4,
        /// The same at the last step, as a share of the first; also of the times' rate.
        means_rate_decay: f64 = 0.01,
        /// Learning rate of the times, in frames, at the first step.
        times_rate: f64 = 0.02,
        /// Learning rate of the logarithms of the scales, of that along time among them.
        scales_rate: f64 = 5e-3,
        /// Learning rate of the quaternions.
        quats_rate: f64 = 1e-3,
        /// Learning rate of the opacities before the sigmoid.
        opacity_rate: f64 = 0.05,
        /// Learning rate of the base colour.
        sh0_rate: f64 = 2.5e-3,
        /// Learning rate of the higher harmonics.
        sh_rest_rate: f64 = 1.25e-4,
        /// Gaussians whose higher harmonics change their colour by less than this, of 1, from every side give them up after
        /// `relocate_until`, which makes files smaller.
        harmonics_threshold: f32 = 0.01,
        /// Pull of the opacity of visible Gaussians towards zero, which frees those that are not needed.
        opacity_decay: f32 = 0.01,
        /// Pull of the scales of visible Gaussians towards zero.
        scale_decay: f32 = 0.01,
        /// Steps between changes of the number of Gaussians and of their places in the hierarchy.
        refine_every: u64 = 100,
        /// Share of the steps at which growth begins.
        grow_from: f64 = 0.03,
        /// Share of the steps at which their number reaches `max_splats`.
        grow_until: f64 = 0.5,
        /// Share of the steps up to which those that became transparent are put to use elsewhere.
        relocate_until: f64 = 0.85,
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

/// A run that is resumed with a preset takes its lengths from it.
const LENGTHS: &str = "steps = 0\nmax_splats = 0\n";
const FAST: &str = "steps = 0\nmax_splats = 0\npasses = 2\nmin_steps = 2000\nstill_splats = 20000\nframe_splats = 150\n\
                    resolution = 800\n";
const QUALITY: &str = "steps = 0\nmax_splats = 0\npasses = 16\nmin_steps = 40000\nstill_splats = 250000\n\
                       frame_splats = 1000\nsh_degree = 3\n";

/// Settings that differ from the defaults under a name.
///
/// # Errors
/// When there is no such preset.
pub fn preset(name: &str) -> crate::Result<&'static str> {
    match name {
        "fast" => Ok(FAST),
        "balanced" => Ok(LENGTHS),
        "quality" => Ok(QUALITY),
        _ => Err(crate::Error::setting(format!("there is no preset '{name}'; known are fast, balanced and quality"))),
    }
}

impl VideoConfig {
    /// These settings with numbers of steps and Gaussians for a capture of so many photos to train on and frames, where they
    /// are to follow its length.
    #[must_use]
    pub fn for_length(&self, photos: usize, frames: u32) -> Self {
        let mut config = self.clone();
        if config.steps == 0 {
            config.steps = ((self.passes * photos as f64).ceil() as u64).max(self.min_steps).max(1);
        }
        if config.max_splats == 0 {
            // A still scene is one frame.
            let moving = self.frame_splats.saturating_mul(if frames > 1 { frames as usize } else { 0 });
            config.max_splats = self.still_splats.saturating_add(moving).clamp(1, MOST_SPLATS);
        }
        config
    }

    /// Leaves out Gaussians for frames in which nothing moves, of which only a share does (0 to 1), but none of those that there
    /// are.
    pub(super) fn for_motion(&mut self, moving: f64, frames: u32, first: usize) {
        let moving = (1.0 - self.still_share(frames)) * moving.clamp(0.0, 1.0);
        let wanted = self.max_splats as f64 * (self.still_share(frames) + moving);
        self.max_splats = self.max_splats.min((wanted.round() as usize).max(first).max(1));
    }

    /// The share of the Gaussians of a capture of so many frames that is meant for what rests.
    pub(super) fn still_share(&self, frames: u32) -> f64 {
        let (still, moving) = (self.still_splats as f64, self.frame_splats as f64 * f64::from(frames));
        if still + moving > 0.0 { still / (still + moving) } else { 0.5 }
    }

    /// As many Gaussians that rest as there may be in a capture of so many frames, before [`Self::for_motion`].
    pub(super) fn most_resting(&self, frames: u32) -> usize {
        if frames > 1 { (self.max_splats as f64 * self.still_share(frames)).ceil() as usize } else { self.max_splats }
    }

    /// What the density control of splats is told.
    pub(super) fn growth(&self) -> SplatsConfig {
        SplatsConfig {
            steps: self.steps,
            max_splats: self.max_splats,
            seed: self.seed,
            refine_every: self.refine_every,
            grow_from: self.grow_from,
            grow_until: self.grow_until,
            relocate_until: self.relocate_until,
            ..SplatsConfig::default()
        }
    }

    /// Checks what a type cannot say.
    ///
    /// # Errors
    /// When a setting has a value that it cannot have.
    pub fn check(&self) -> crate::Result<()> {
        let require = |good: bool, message: &str| {
            if good { Ok(()) } else { Err(crate::Error::setting(message)) }
        };
        require(self.passes > 0.0 && self.passes.is_finite(), "passes must be above 0")?;
        // What is 0 follows the length.
        let (steps, max_splats) = (self.steps.max(1), self.max_splats.max(1));
        let growth = SplatsConfig { steps, max_splats, ..self.growth() };
        SplatsConfig { sh_degree: self.sh_degree, initial_opacity: self.initial_opacity, ..growth }.check()?;
        require((0.0..=1.0).contains(&self.ssim_weight), "ssim_weight must lie between 0 and 1")?;
        require(self.segment_frames >= 1.0 && self.segment_frames.is_finite(), "segment_frames must be at least 1")?;
        require((0.0..=1.0).contains(&self.static_change), "static_change must lie between 0 and 1")
    }
}
