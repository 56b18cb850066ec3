//! The settings of surface training.

use super::guide::fusion::RESOLUTION;
use crate::frames::Split;
use crate::rays::BoxSettings;
use tessera_kernels::hash_grid::{GridSpec, Interpolation, LevelScale};

crate::config! {
    /// Surfaces: photos with poses become a signed distance function on a hash grid, and that a closed mesh.
    ///
    /// All schedules are shares of `steps`, so another number of steps stretches every one of them.
    pub struct SurfaceConfig {
        /// Steps in which the surface learns from photos; those of `guide_steps` and `fit_steps` come before them.
        steps: u64 = 4000,
        /// Steps of the splats that are trained first: the surface begins with what they find out, and they are what lies behind it in photos
        /// without masks. 0 begins with a sphere, before nothing.
        guide_steps: u64 = 1500,
        /// How many splats those are.
        guide_splats: usize = 40_000,
        /// Steps in which the surface becomes what the splats found, before it learns from photos itself.
        fit_steps: u64 = 300,
        /// Steps for each moment after the first of a capture with times: every moment gets a surface, which begins with that of the one
        /// before. 0 takes all photos for one moment.
        frame_steps: u64 = 400,
        /// Find how the object as a whole has moved before its surface learns from the photos of a moment; only where photos are cut out.
        whole_motion: bool = true,
        /// Samples along rays that a step aims at; the number of rays follows from it.
        samples: usize = 65_536,
        /// Longest side, in pixels, to which photos are reduced; 0 keeps their size.
        resolution: u32 = 1600,
        /// Hold out every so many photos for testing; 0 trains on all that the capture does not itself hold out.
        test_every: usize = 0,
        /// Start of all random numbers. The same seed gives the same bits, whatever the number of threads.
        seed: u64 = 0,
        /// Lowest corner of the box in which the surface lies, in the capture's coordinates; found from masks, points or cameras when
        /// it is not set.
        box_min: Option<[f32; 3]> = None,
        /// Highest corner of that box.
        box_max: Option<[f32; 3]> = None,
        /// Turn all cameras by 180 degrees about their x axis: for poses that are written in the other of the two usual axis conventions
        /// (OpenCV: y down, z forward; OpenGL: y up, z backward) than the capture's layout says.
        flip_cameras: bool = false,
        /// What black in the masks means: auto (as is usual for the capture's layout), ignore, foreground or off.
        masks: crate::splats::MaskUse = crate::splats::MaskUse::Auto,
        /// Colour behind the surface, on which photos with transparency are also evaluated.
        background: [f32; 3] = [1.0, 1.0, 1.0],
        /// Levels of the hash grid.
        levels: usize = 14,
        /// Base-2 logarithm of the most entries of a level.
        log2_table: u32 = 18,
        /// Corners per side of the coarsest level.
        base_resolution: u32 = 16,
        /// Corners per side of the finest level for distances.
        finest_resolution: u32 = 1024,
        /// Corners per side of the finest level for colours, which have a grid of their own with as many levels.
        finest_colour_resolution: u32 = 2048,
        /// Levels at the first step, or those that splats' distances need, if more; the others join one after the other.
        first_levels: usize = 4,
        /// Share of the steps at which all levels have joined.
        levels_until: f64 = 0.25,
        /// Units of the hidden layer of the distance network.
        distance_width: usize = 64,
        /// Units of each of the two hidden layers of the colour network.
        colour_width: usize = 64,
        /// Correct the cameras' poses while the splats are trained that come first; the surface learns from the corrected ones.
        refine_poses: bool = false,
        /// Numbers of a code for each photo on which colours depend, for photos whose exposure or white balance differ; 0 for none. Pictures
        /// and meshes show the average of the photos.
        appearance: usize = 0,
        /// Radius of the sphere that training begins with, as a share of the box's side.
        initial_radius: f64 = 0.3,
        /// Learning rate of grid and networks at the first step.
        rate: f64 = 1e-2,
        /// Share of it that grid and distance network learn with where splats came first: what they found should be mended, not forgotten.
        guided_rate: f64 = 0.3,
        /// The same at the last step, as a share of the first.
        rate_decay: f64 = 0.03,
        /// Learning rate of the variance, whose tenfold is the logarithm of the sharpness.
        variance_rate: f64 = 1e-3,
        /// Sharpness of the surface at the first step: the inverse width of its density, in sides of the box.
        sharpness: f64 = 20.0,
        /// The same where splats have found out about where the surface is.
        guided_sharpness: f64 = 128.0,
        /// The same for moments after the first, at most: the less sharp they begin, the farther parts are followed that move by themselves.
        moment_sharpness: f64 = 64.0,
        /// The least sharpness at the last step; before it, the least one grows from the first.
        final_sharpness: f64 = 800.0,
        /// Share of the steps until opacity follows from the cosine alone.
        anneal_until: f64 = 0.1,
        /// Weight of the condition that the gradient of a distance has length 1.
        eikonal_weight: f32 = 0.1,
        /// Weight of the condition that neighbouring normals of the surface are alike.
        smoothness_weight: f32 = 0.01,
        /// Weight of the difference between opacity and mask, for photos with transparency or foreground masks.
        mask_weight: f32 = 0.1,
        /// Cells per side of the grid that says where rays need not be looked at.
        occupancy_resolution: usize = 256,
        /// Show only what some photo shows that was trained on, and nothing where the surface is a guess; meshes are closed all the same.
        only_seen: bool = true,
        /// Photos whose details a picture of something still shows, those that were taken nearest; 0 for none.
        detail_photos: usize = 4,
        /// Steps of a ray through the box's diagonal, at most.
        ray_steps: usize = 768,
        /// Cells per side of the mesh that is written at the end of training; 0 for none.
        mesh_resolution: usize = 256,
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

/// Learning rates of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Of grid and distance network.
    pub distance: f64,
    /// Of the colour network.
    pub colour: f64,
    /// Of the variance.
    pub variance: f64,
}

/// Settings that differ from the defaults under a name.
///
/// # Errors
/// When there is no such preset.
pub fn preset(name: &str) -> crate::Result<&'static str> {
    match name {
        "fast" => Ok(
            "guide_steps = 1000\nsteps = 1500\nsamples = 32768\nresolution = 800\nfinest_resolution = 512\ncolour_width = 32\n",
        ),
        "balanced" => Ok(""),
        "quality" => {
            Ok("steps = 15000\nsamples = 131072\nlog2_table = 19\nfinest_resolution = 2048\nray_steps = 1024\n")
        }
        _ => Err(crate::Error::setting(format!("there is no preset '{name}'; known are fast, balanced and quality"))),
    }
}

impl SurfaceConfig {
    /// The hash grid for distances.
    pub fn grid(&self) -> GridSpec {
        self.grid_to(self.finest_resolution)
    }

    /// The hash grid for colours.
    pub fn colour_grid(&self) -> GridSpec {
        self.grid_to(self.finest_colour_resolution)
    }

    fn grid_to(&self, finest: u32) -> GridSpec {
        let ratio = f64::from(finest) / f64::from(self.base_resolution);
        GridSpec {
            levels: self.levels,
            log2_table: self.log2_table,
            base: self.base_resolution,
            growth: ratio.powf(1.0 / (self.levels - 1).max(1) as f64),
            level_scale: LevelScale::Integer,
            interpolation: Interpolation::Linear,
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
        require(self.steps > 0, "steps must be at least 1")?;
        require((1024..=1 << 22).contains(&self.samples), "samples must lie between 1024 and 4194304")?;
        require((1..=24).contains(&self.levels), "levels must lie between 1 and 24")?;
        require((1..=self.levels).contains(&self.first_levels), "first_levels must lie between 1 and levels")?;
        require((8..=24).contains(&self.log2_table), "log2_table must lie between 8 and 24")?;
        require((2..=512).contains(&self.base_resolution), "base_resolution must lie between 2 and 512")?;
        let fine = |finest: u32| (self.base_resolution..=16_384).contains(&finest);
        require(
            fine(self.finest_resolution) && fine(self.finest_colour_resolution),
            "finest_resolution and finest_colour_resolution must lie between base_resolution and 16384",
        )?;
        let width = |w: usize| (4..=256).contains(&w) && w.is_multiple_of(4);
        let widths = width(self.distance_width) && width(self.colour_width);
        require(widths, "widths of networks must be multiples of 4, at most 256")?;
        require(
            !self.refine_poses || self.is_guided(),
            "refine_poses needs the splats that come first: leave guide_steps above 0",
        )?;
        require(self.detail_photos <= 64, "detail_photos must be at most 64")?;
        require(self.appearance <= 64, "appearance must be at most 64")?;
        let share = |value: f64| (0.0..=1.0).contains(&value);
        require(share(self.levels_until) && share(self.anneal_until), "shares of the steps must lie between 0 and 1")?;
        require((0.02..0.5).contains(&self.initial_radius), "initial_radius must lie between 0.02 and 0.5")?;
        require(self.guided_rate > 0.0 && self.guided_rate <= 1.0, "guided_rate must be positive and at most 1")?;
        let rates = self.rate > 0.0 && self.variance_rate >= 0.0 && self.rate_decay > 0.0 && self.rate_decay <= 1.0;
        require(rates, "learning rates must be positive, and rate_decay at most 1")?;
        let sharp = |first: f64| first >= 1.0 && self.final_sharpness >= first && self.final_sharpness <= 1e5;
        let sharp = sharp(self.sharpness) && sharp(self.guided_sharpness) && self.moment_sharpness >= 1.0;
        require(
            sharp,
            "sharpness, guided_sharpness and moment_sharpness must be at least 1, and final_sharpness between the larger one of the first two \
             and 100000",
        )?;
        require(self.guide_splats >= 100, "guide_splats must be at least 100")?;
        require((16..=512).contains(&self.occupancy_resolution), "occupancy_resolution must lie between 16 and 512")?;
        require(self.occupancy_resolution.is_multiple_of(16), "occupancy_resolution must be a multiple of 16")?;
        require((64..=8192).contains(&self.ray_steps), "ray_steps must lie between 64 and 8192")?;
        require(self.mesh_resolution <= 4096, "mesh_resolution must be at most 4096")?;
        self.box_settings().check()
    }

    /// Which photos are trained on, and how they are kept.
    pub fn split(&self) -> Split {
        Split { test_every: self.test_every, resolution: self.resolution, image_cache_mb: self.image_cache_mb }
    }

    /// Where the surface is.
    pub fn box_settings(&self) -> BoxSettings {
        BoxSettings { min: self.box_min, max: self.box_max }
    }
}

/// Where the schedules are.
impl SurfaceConfig {
    /// Share of the steps that lies before `step`.
    pub fn progress(&self, step: u64) -> f64 {
        step as f64 / self.steps.max(1) as f64
    }

    /// Levels that are looked up.
    pub fn active_levels(&self, step: u64) -> usize {
        let share = if self.levels_until > 0.0 { (self.progress(step) / self.levels_until).min(1.0) } else { 1.0 };
        let first = if self.is_guided() { self.first_levels.max(self.fitted_levels()) } else { self.first_levels };
        first + (share * (self.levels - first) as f64).round() as usize
    }

    /// Levels that are no finer than the distances that splats give.
    pub fn fitted_levels(&self) -> usize {
        let grid = self.grid();
        let corners = |level: usize| f64::from(grid.base) * grid.growth.powi(level as i32);
        (1..=self.levels).rev().find(|&n| corners(n - 1) < 1.2 * RESOLUTION as f64).unwrap_or(1)
    }

    /// Whether splats come first.
    pub fn is_guided(&self) -> bool {
        self.guide_steps > 0
    }

    /// Steps in which the surface becomes what the splats found.
    pub fn fitted(&self) -> u64 {
        if self.is_guided() { self.fit_steps } else { 0 }
    }

    /// The sharpness of the first step.
    pub fn first_sharpness(&self) -> f64 {
        if self.is_guided() { self.guided_sharpness } else { self.sharpness }
    }

    /// The learning rates of a step.
    pub fn rates(&self, step: u64) -> Rates {
        let factor = self.rate_factor(step);
        let share = if self.is_guided() { self.guided_rate } else { 1.0 };
        Rates {
            distance: factor * share * self.rate,
            colour: factor * self.rate,
            variance: factor * self.variance_rate,
        }
    }

    /// The least sharpness. It grows fast at first: a blurred surface needs many samples along each ray.
    pub fn least_sharpness(&self, step: u64) -> f64 {
        let first = self.first_sharpness();
        first * (self.final_sharpness / first).powf(self.progress(step).sqrt())
    }

    /// How far opacity follows from the cosine alone.
    pub fn anneal(&self, step: u64) -> f64 {
        if self.anneal_until > 0.0 { (self.progress(step) / self.anneal_until).min(1.0) } else { 1.0 }
    }

    /// The learning rate's share of its first value: a short rise, and from 30 % on an exponential fall.
    pub fn rate_factor(&self, step: u64) -> f64 {
        let rise = ((step + 1) as f64 / 100.0f64.min(self.steps as f64 / 10.0).max(1.0)).min(1.0);
        let fall = ((self.progress(step) - 0.3) / 0.7).max(0.0);
        rise * self.rate_decay.powf(fall)
    }
}
