//! The settings of training anchors.

use crate::blocks::{Division, MAX_BLOCKS};
use crate::splats::MaskUse;
use crate::splats::appearance::AppearanceModel;
use serde::{Deserialize, Serialize};
use tessera_kernels::anchor_decoder::AnchorDecoder;

/// Steps of the decoder for which the published weight of consistency is meant: 60,000 of each of eight blocks.
const PUBLISHED_STEPS: f64 = 480_000.0;

/// What blocks have in common while they are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// One decoder, held to a slow average of itself, with more weight for blocks that are reconstructed worse.
    #[default]
    Momentum,
    /// One decoder.
    Shared,
    /// Nothing: each has a decoder of its own.
    Independent,
}

/// The way that sums of gradients take between processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exchange {
    /// Between GPUs where all ranks can, and else as `Link`.
    #[default]
    Auto,
    /// With all else that processes tell each other, through rank 0.
    Link,
    /// Between GPUs, by NCCL, or not at all.
    Nccl,
}

crate::config! {
    /// Anchors: points whose features a small network decodes into Gaussians for each view. Blocks of a large scene share the network.
    ///
    /// Schedules are shares of `steps`.
    pub struct AnchorsConfig {
        /// Training steps of each block; each renders one photo.
        steps: u64 = 7000,
        /// Number of blocks; 0 takes one for every 60 photos.
        blocks: usize = 0,
        /// How far a block's photos are chosen beyond its cell, as a share of the cell's sides.
        overlap: f64 = 0.1,
        /// A photo is trained on by every block in which at least this share of the points that it sees lies.
        min_share: f64 = 0.15,
        /// Also write the scene as a streamed scene of many levels of detail.
        tiles: bool = true,
        /// What blocks share: momentum (a decoder that is held to a slow average of itself, and weights of blocks), shared (a decoder) or
        /// independent (nothing).
        sharing: Sharing = Sharing::Momentum,
        /// Steps that a block takes before it is the next one's turn.
        visit: u64 = 10,
        /// Blocks that take a step at the same time, with the mean of their gradients for the network; 0 takes as many as there are processes
        /// when the run begins. The run is the same on any number of processes up to that.
        together: usize = 0,
        /// Rounds of steps after which blocks that take them at the same time bring their networks together: after each by the mean of the
        /// gradients, after several by the mean of the networks, which are trained apart in between.
        sync_every: u64 = 1,
        /// How gradients, or networks that are averaged, go from process to process: nccl (between GPUs, where every process has one of its own
        /// and NCCL), link (over TCP or MPI) or auto (nccl where all can, and else link). The run is the same, bit for bit.
        exchange: Exchange = Exchange::Auto,
        /// Weight of the difference to what the average decoder makes, with momentum, when the network takes 480,000 steps or more; with fewer
        /// steps it is smaller in proportion.
        consistency: f32 = 50.0,
        /// How much weaker than the best, in dB of PSNR, a block is whose loss counts 1.39 times, with momentum.
        weight_scale: f64 = 10.0,
        /// The most anchors of a block.
        max_anchors: usize = 20_000,
        /// Numbers of an anchor's feature.
        features: usize = 32,
        /// Gaussians that an anchor can become.
        offsets: usize = 10,
        /// Side of the voxels in which anchors stand, in units of the capture; 0 takes the median distance between neighbouring points.
        voxel: f64 = 0.0,
        /// Degree of the spherical harmonics to which colours are fitted when the scene is written as splats, 0 to 3.
        sh_degree: u8 = 2,
        /// Longest side, in pixels, to which photos are reduced; 0 keeps their size.
        resolution: u32 = 1600,
        /// Hold out every so many photos for testing; 0 trains on all that the capture does not itself hold out.
        test_every: usize = 0,
        /// Start of all random numbers. The same seed gives the same bits, whatever the number of threads.
        seed: u64 = 0,
        /// Begin at a quarter of the resolution, then half, then all of it.
        resolution_schedule: bool = true,
        /// Give the sky anchors of its own, a shell far around all that is near, where photos show it.
        sky: bool = false,
        /// Colour behind the scene, on which photos with transparency are also evaluated.
        background: [f32; 3] = [1.0, 1.0, 1.0],
        /// What black in the masks means: auto (as is usual for the capture's layout), ignore, foreground or off.
        masks: MaskUse = MaskUse::Auto,
        /// Share of SSIM in the loss; the rest is L1.
        ssim_weight: f32 = 0.2,
        /// Weight of the mean volume of the Gaussians, in scene units, of which cameras and points span a few.
        volume_weight: f32 = 0.01,
        /// Learning rate of the offsets at the first step.
        offsets_rate: f64 = 0.01,
        /// Learning rate of the features.
        features_rate: f64 = 0.0075,
        /// Learning rate of the logarithms of the scales.
        scaling_rate: f64 = 0.007,
        /// Learning rate of the network of opacity at the first step.
        opacity_net_rate: f64 = 0.002,
        /// Learning rate of the network of scales and rotations.
        covariance_net_rate: f64 = 0.004,
        /// Learning rate of the network of colour at the first step.
        colour_net_rate: f64 = 0.008,
        /// Learning rates of offsets and of the networks of opacity and colour at the last step, as a share of the first.
        rate_decay: f64 = 0.01,
        /// Steps of a block between changes of its anchors; runs of few steps have at least twenty such changes.
        refine_every: u64 = 100,
        /// Share of the steps at which growth begins.
        grow_from: f64 = 0.03,
        /// Share of the steps at which it ends.
        grow_until: f64 = 0.5,
        /// Anchors grow where the loss changes by at least this much with the place of a Gaussian, in halves of the picture.
        grow_threshold: f32 = 2e-4,
        /// Anchors are removed whose Gaussians' opacities sum up to less than this.
        min_opacity: f32 = 0.005,
        /// Colour differences between photos that are learned beside the scene: none, exposure or bilateral_grid.
        appearance: AppearanceModel = AppearanceModel::None,
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

/// Learning rates of one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    pub offsets: f32,
    pub features: f32,
    pub scaling: f32,
    /// Of the networks of opacity, covariance and colour.
    pub networks: [f32; 3],
}

/// Settings that differ from the defaults under a name.
///
/// # Errors
/// When there is no such preset.
pub fn preset(name: &str) -> crate::Result<&'static str> {
    match name {
        "fast" => Ok("steps = 2000\nmax_anchors = 10000\nresolution = 800\n"),
        "balanced" => Ok(""),
        "quality" => Ok("steps = 30000\nmax_anchors = 60000\n"),
        _ => Err(crate::Error::setting(format!("there is no preset '{name}'; known are fast, balanced and quality"))),
    }
}

impl AnchorsConfig {
    /// How the scene is divided.
    pub fn division(&self) -> Division {
        let Self { blocks, overlap, min_share, tiles, .. } = *self;
        Division { blocks, overlap, min_share, tiles, ..Division::default() }
    }

    /// The networks.
    pub fn decoder(&self) -> AnchorDecoder {
        AnchorDecoder { features: self.features, offsets: self.offsets }
    }

    /// Steps between changes of a block's anchors.
    pub fn refine_interval(&self) -> u64 {
        self.refine_every.min((self.steps / 20).max(1))
    }

    /// Learning rates after `done` steps of a block.
    pub(super) fn rates(&self, done: u64) -> Rates {
        let decay = self.rate_decay.powf(done as f64 / self.steps as f64);
        Rates {
            offsets: (self.offsets_rate * decay) as f32,
            features: self.features_rate as f32,
            scaling: self.scaling_rate as f32,
            networks: [self.opacity_net_rate * decay, self.covariance_net_rate, self.colour_net_rate * decay]
                .map(|rate| rate as f32),
        }
    }

    /// The weight of the difference to what the average decoder makes, in a run in which a decoder takes so many steps; 0 where there is
    /// no average.
    ///
    /// An average that lags behind by a few steps makes all steps shorter: what a long run does not feel would take most of a short one.
    pub(super) fn consistency_over(&self, steps: u64) -> f32 {
        let share = (steps as f64 / PUBLISHED_STEPS).min(1.0) as f32;
        if self.sharing == Sharing::Momentum { share * self.consistency } else { 0.0 }
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
        require(self.blocks <= MAX_BLOCKS, "blocks must be at most 10,000")?;
        require((0.0..=2.0).contains(&self.overlap), "overlap must lie between 0 and 2")?;
        require((0.0..=1.0).contains(&self.min_share), "min_share must lie between 0 and 1")?;
        require(self.visit > 0, "visit must be at least 1")?;
        require(self.sync_every > 0, "sync_every must be at least 1")?;
        require(
            self.exchange != Exchange::Nccl || self.sharing != Sharing::Independent,
            "exchange=nccl is of no use with sharing=independent, where blocks exchange nothing; leave it out",
        )?;
        require(self.consistency >= 0.0 && self.consistency.is_finite(), "consistency must not be negative")?;
        require(
            self.weight_scale > 0.0 && self.weight_scale.is_finite(),
            "weight_scale must be a positive number of dB",
        )?;
        require((1..=10_000_000).contains(&self.max_anchors), "max_anchors must lie between 1 and 10,000,000")?;
        require((3..=256).contains(&self.features), "features must lie between 3 and 256")?;
        require((1..=64).contains(&self.offsets), "offsets must lie between 1 and 64")?;
        require(self.voxel >= 0.0 && self.voxel.is_finite(), "voxel must not be negative")?;
        require(self.sh_degree <= 3, "sh_degree must be 0, 1, 2 or 3")?;
        require((0.0..=1.0).contains(&self.ssim_weight), "ssim_weight must lie between 0 and 1")?;
        require(self.refine_every > 0, "refine_every must be at least 1")?;
        let shares = [self.grow_from, self.grow_until];
        require(shares.iter().all(|share| (0.0..=1.0).contains(share)), "shares of the steps must lie between 0 and 1")
    }
}
