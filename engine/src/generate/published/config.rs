//! The published models' own settings file, `config.yaml`: what the networks' sizes are, and which of their switches are on.

use super::super::model::Compression;
use crate::{Error, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::path::Path;

/// The largest settings file that is read, in bytes.
const MOST_BYTES: u64 = 1 << 20;
/// No size is larger.
const LARGEST: usize = 1 << 16;
/// Voxels along each side of what a latent voxel becomes.
pub const FINER: usize = 8;
/// Channels that are normalised together in version 1.0's compression are these many groups.
const GROUPS: usize = 32;

/// `config.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedConfig {
    pub(super) dense_vae: Part<DenseVae>,
    pub(super) dense_dit: Part<DenseDit>,
    pub(super) dense_image_encoder: Part<ImageEncoder>,
    pub(super) dense_scheduler: Part<Scheduler>,
    pub(super) sparse_vae_512: Part<SparseVae>,
    pub(super) sparse_dit_512: Part<SparseDit>,
    pub(super) sparse_scheduler_512: Part<Scheduler>,
    pub(super) sparse_image_encoder: Part<ImageEncoder>,
    pub(super) sparse_vae_1024: Option<Part<SparseVae>>,
    pub(super) sparse_dit_1024: Option<Part<SparseDit>>,
    pub(super) sparse_scheduler_1024: Option<Part<Scheduler>>,
    #[serde(default, rename = "refiner")]
    _refiner: IgnoredAny,
    #[serde(default, rename = "refiner_1024")]
    _refiner_1024: IgnoredAny,
}

/// A part: which class makes it in Python, and with what.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part<T> {
    #[serde(default, rename = "target")]
    _target: IgnoredAny,
    pub params: T,
}

/// The autoencoder of occupancy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DenseVae {
    pub embed_dim: usize,
    #[serde(default = "one")]
    pub in_channels: usize,
    #[serde(default = "one")]
    pub out_channels: usize,
    pub model_channels_encoder: Vec<usize>,
    #[serde(default = "two")]
    pub num_res_blocks_encoder: usize,
    #[serde(default = "two")]
    pub num_res_blocks_middle_encoder: usize,
    pub model_channels_decoder: Vec<usize>,
    #[serde(default = "two")]
    pub num_res_blocks_decoder: usize,
    #[serde(default = "two")]
    pub num_res_blocks_middle_decoder: usize,
    #[serde(default = "unscaled")]
    pub latents_scale: f32,
    #[serde(default)]
    pub latents_shift: f32,
    #[serde(default, rename = "use_fp16")]
    _use_fp16: IgnoredAny,
    #[serde(default, rename = "use_checkpoint")]
    _use_checkpoint: IgnoredAny,
}

/// The transformer of structure.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DenseDit {
    pub resolution: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub model_channels: usize,
    pub cond_channels: usize,
    pub num_blocks: usize,
    pub num_heads: Option<usize>,
    #[serde(default = "head_width")]
    pub num_head_channels: usize,
    #[serde(default = "four")]
    pub mlp_ratio: f64,
    #[serde(default = "two")]
    pub patch_size: usize,
    #[serde(default = "ape")]
    pub pe_mode: String,
    #[serde(default)]
    pub qk_rms_norm: bool,
    #[serde(default)]
    pub qk_rms_norm_cross: bool,
    #[serde(default)]
    pub share_mod: bool,
    #[serde(default, rename = "latent_shape")]
    _latent_shape: IgnoredAny,
    #[serde(default, rename = "use_fp16")]
    _use_fp16: IgnoredAny,
    #[serde(default, rename = "use_checkpoint")]
    _use_checkpoint: IgnoredAny,
}

/// The transformer of details.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SparseDit {
    pub resolution: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub model_channels: usize,
    pub cond_channels: usize,
    pub num_blocks: usize,
    pub num_heads: Option<usize>,
    #[serde(default = "head_width")]
    pub num_head_channels: usize,
    #[serde(default = "two")]
    pub num_kv_heads: usize,
    #[serde(default = "four_voxels")]
    pub compression_block_size: usize,
    #[serde(default = "eight")]
    pub selection_block_size: usize,
    #[serde(default = "eight")]
    pub topk: usize,
    #[serde(default = "second")]
    pub compression_version: String,
    #[serde(default = "eight")]
    pub window_size: usize,
    #[serde(default = "yes")]
    pub use_shift: bool,
    #[serde(default = "unscaled")]
    pub factor: f32,
    #[serde(default)]
    pub sparse_conditions: bool,
    #[serde(default = "four")]
    pub mlp_ratio: f64,
    #[serde(default = "ape")]
    pub pe_mode: String,
    /// Without meaning in spatial sparse attention, which has no such layer.
    #[serde(default, rename = "qk_rms_norm")]
    _qk_rms_norm: IgnoredAny,
    #[serde(default)]
    pub qk_rms_norm_cross: bool,
    #[serde(default)]
    pub share_mod: bool,
    #[serde(default, rename = "use_fp16")]
    _use_fp16: IgnoredAny,
    #[serde(default, rename = "use_checkpoint")]
    _use_checkpoint: IgnoredAny,
}

/// The autoencoder of signed distances.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SparseVae {
    pub resolution: usize,
    pub embed_dim: usize,
    #[serde(default = "wide")]
    pub model_channels_encoder: usize,
    #[serde(default = "four_voxels")]
    pub num_blocks_encoder: usize,
    #[serde(default = "eight")]
    pub num_heads_encoder: usize,
    #[serde(default, rename = "num_head_channels_encoder")]
    _num_head_channels_encoder: IgnoredAny,
    #[serde(default = "wide")]
    pub model_channels_decoder: usize,
    #[serde(default = "four_voxels")]
    pub num_blocks_decoder: usize,
    #[serde(default = "eight")]
    pub num_heads_decoder: usize,
    #[serde(default, rename = "num_head_channels_decoder")]
    _num_head_channels_decoder: IgnoredAny,
    #[serde(default = "one")]
    pub out_channels: usize,
    #[serde(default = "unscaled")]
    pub latents_scale: f32,
    #[serde(default)]
    pub latents_shift: f32,
    /// How the reference bounds its memory; we bound ours in our own way, to the same result.
    #[serde(default, rename = "chunk_size")]
    _chunk_size: IgnoredAny,
    #[serde(default, rename = "use_fp16")]
    _use_fp16: IgnoredAny,
    #[serde(default, rename = "use_checkpoint")]
    _use_checkpoint: IgnoredAny,
}

/// Which network looks at the picture.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageEncoder {
    #[serde(default)]
    pub model: String,
    pub version: String,
    pub size: usize,
}

/// How times are spaced.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scheduler {
    #[serde(default = "thousand")]
    pub num_train_timesteps: usize,
    pub shift: f64,
}

fn one() -> usize {
    1
}
fn two() -> usize {
    2
}
fn four_voxels() -> usize {
    4
}
fn eight() -> usize {
    8
}
fn head_width() -> usize {
    64
}
fn wide() -> usize {
    512
}
fn thousand() -> usize {
    1000
}
fn four() -> f64 {
    4.0
}
fn unscaled() -> f32 {
    1.0
}
fn yes() -> bool {
    true
}
fn ape() -> String {
    "ape".to_owned()
}
fn second() -> String {
    "v2".to_owned()
}

impl PublishedConfig {
    /// Reads and checks it.
    ///
    /// # Errors
    /// When it cannot be read, names settings that are not known, or sizes that do not fit each other or cannot be.
    pub fn read(path: &Path) -> Result<Self> {
        let size = std::fs::metadata(path).map_err(|e| tessera_datasets::DataError::unreadable(path, &e))?.len();
        let not_one = |reason: String| {
            Error::file(path, reason, "give the folder with the config.yaml that was published with the weights")
        };
        if size > MOST_BYTES {
            return Err(not_one("is too large for a file of settings".to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(|e| Error::read(path, &e))?;
        let config: Self = serde_saphyr::from_str(&text).map_err(|e| {
            let said = e.to_string();
            let first = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
            not_one(format!("is not what describes these models ({})", first.trim_end_matches('.')))
        })?;
        config.check().map_err(not_one)?;
        Ok(config)
    }

    /// Whether there are models of the higher resolution.
    pub fn is_in_two_steps(&self) -> bool {
        self.sparse_dit_1024.is_some() && self.sparse_vae_1024.is_some() && self.sparse_scheduler_1024.is_some()
    }

    fn check(&self) -> std::result::Result<(), String> {
        let structure = self.dense_dit.params.check().map_err(|e| format!("has a dense_dit {e}"))?;
        self.dense_vae.params.check(self.dense_dit.params.out_channels).map_err(|e| format!("has a dense_vae {e}"))?;
        let encoder = &self.dense_image_encoder.params;
        if !encoder.version.starts_with("dinov2_") || !encoder.version.ends_with("_reg") {
            return Err(format!("has the image encoder {}, and not DINOv2 with registers", encoder.version));
        }
        if *encoder != self.sparse_image_encoder.params {
            return Err("has two different image encoders, which is not supported".to_owned());
        }
        sizes(&[("size", encoder.size)]).map_err(|e| format!("has an image encoder {e}"))?;
        let up = self.dense_vae.params.model_channels_decoder.len() - 1;
        let made = structure.checked_shl(up as u32).unwrap_or(usize::MAX);
        let (dit, vae) = (&self.sparse_dit_512.params, &self.sparse_vae_512.params);
        dit.check(vae).map_err(|e| format!("has a sparse_dit_512 or sparse_vae_512 {e}"))?;
        if made != dit.resolution {
            return Err(format!("makes structure of {made} voxels a side for details of {}", dit.resolution));
        }
        if let (Some(dit), Some(vae)) = (&self.sparse_dit_1024, &self.sparse_vae_1024) {
            dit.params.check(&vae.params).map_err(|e| format!("has a sparse_dit_1024 or sparse_vae_1024 {e}"))?;
        }
        let schedulers = [&self.dense_scheduler, &self.sparse_scheduler_512].into_iter();
        for scheduler in schedulers.chain(&self.sparse_scheduler_1024) {
            let Scheduler { num_train_timesteps, shift } = scheduler.params;
            let possible = (1..=1_000_000).contains(&num_train_timesteps) && shift > 0.0 && shift < 1e6;
            if !possible {
                return Err("has a scheduler without times".to_owned());
            }
        }
        Ok(())
    }
}

/// What settings of a transformer are supported; none of these has been published with another value.
fn transformer(
    [width, cond, blocks]: [usize; 3],
    mlp_ratio: f64,
    pe_mode: &str,
    switches: [bool; 2],
) -> std::result::Result<(), String> {
    sizes(&[("model_channels", width), ("cond_channels", cond), ("num_blocks", blocks)])?;
    if mlp_ratio != 4.0 {
        return Err(format!("with mlp_ratio {mlp_ratio}, and only 4 is supported"));
    }
    if pe_mode != "ape" {
        return Err(format!("with pe_mode {pe_mode}, and only ape is supported"));
    }
    if switches.contains(&true) {
        return Err("with qk_rms_norm_cross or share_mod, which are not supported".to_owned());
    }
    Ok(())
}

fn sizes(all: &[(&str, usize)]) -> std::result::Result<(), String> {
    match all.iter().find(|(_, size)| !(1..=LARGEST).contains(size)) {
        Some((name, size)) => Err(format!("whose {name} cannot be {size}")),
        None => Ok(()),
    }
}

fn divided(width: usize, heads: usize) -> std::result::Result<usize, String> {
    if heads == 0 || !width.is_multiple_of(heads) {
        return Err(format!("whose {width} channels cannot be shared by {heads} heads"));
    }
    Ok(heads)
}

impl DenseDit {
    /// How many heads there are.
    pub fn heads(&self) -> usize {
        self.num_heads.unwrap_or(self.model_channels / self.num_head_channels.max(1))
    }

    /// Voxels a side.
    fn check(&self) -> std::result::Result<usize, String> {
        let all = [self.model_channels, self.cond_channels, self.num_blocks];
        transformer(all, self.mlp_ratio, &self.pe_mode, [self.qk_rms_norm_cross, self.share_mod])?;
        divided(self.model_channels, self.heads())?;
        sizes(&[("in_channels", self.in_channels), ("out_channels", self.out_channels)])?;
        if self.patch_size != 1 {
            return Err(format!("with patch_size {}, and only 1 is supported", self.patch_size));
        }
        if self.in_channels != self.out_channels || !(1..=64).contains(&self.resolution) {
            return Err("whose resolution or channels cannot be".to_owned());
        }
        Ok(self.resolution)
    }
}

impl DenseVae {
    fn check(&self, latent: usize) -> std::result::Result<(), String> {
        let blocks = [self.num_res_blocks_encoder, self.num_res_blocks_middle_encoder];
        let blocks = blocks.into_iter().chain([self.num_res_blocks_decoder, self.num_res_blocks_middle_decoder]);
        let levels = self.model_channels_encoder.iter().chain(&self.model_channels_decoder);
        let all: Vec<(&str, usize)> =
            blocks.map(|x| ("num_res_blocks", x)).chain(levels.map(|x| ("model_channels", *x))).collect();
        sizes(&all)?;
        let levels = [self.model_channels_encoder.len(), self.model_channels_decoder.len()];
        if levels.iter().any(|levels| !(1..=5).contains(levels)) || self.out_channels != 1 || self.in_channels != 1 {
            return Err("whose levels or channels cannot be".to_owned());
        }
        latents([self.embed_dim, latent], [self.latents_scale, self.latents_shift])
    }
}

/// Latent numbers of the autoencoder and of the transformer, and what they are scaled by.
fn latents([own, other]: [usize; 2], [scale, shift]: [f32; 2]) -> std::result::Result<(), String> {
    if own != other {
        return Err(format!("of {own} latent numbers for a transformer of {other}"));
    }
    if !(scale.is_finite() && scale != 0.0 && shift.is_finite()) {
        return Err("whose latents_scale or latents_shift cannot be".to_owned());
    }
    Ok(())
}

impl SparseDit {
    /// How many heads of queries there are.
    pub fn heads(&self) -> usize {
        self.num_heads.unwrap_or(self.model_channels / self.num_head_channels.max(1))
    }

    /// How blocks of tokens become one token.
    pub fn compression(&self) -> Compression {
        if self.compression_version == "v1" { Compression::Points } else { Compression::Neighbours }
    }

    fn check(&self, vae: &SparseVae) -> std::result::Result<(), String> {
        let all = [self.model_channels, self.cond_channels, self.num_blocks];
        transformer(all, self.mlp_ratio, &self.pe_mode, [self.qk_rms_norm_cross, self.share_mod])?;
        let heads = divided(self.model_channels, self.heads())?;
        divided(heads, self.num_kv_heads)?;
        sizes(&[
            ("compression_block_size", self.compression_block_size),
            ("selection_block_size", self.selection_block_size),
            ("topk", self.topk),
            ("window_size", self.window_size),
            ("resolution", self.resolution),
            ("model_channels_encoder", vae.model_channels_encoder),
            ("model_channels_decoder", vae.model_channels_decoder),
            ("num_blocks_encoder", vae.num_blocks_encoder),
            ("num_blocks_decoder", vae.num_blocks_decoder),
            ("in_channels", self.in_channels),
        ])?;
        if !self.selection_block_size.is_multiple_of(self.compression_block_size) {
            return Err("whose selection blocks are not made of compression blocks".to_owned());
        }
        if self.compression_block_size > 64 || self.resolution > 1024 || !self.factor.is_finite() {
            return Err("whose compression_block_size, resolution or factor cannot be".to_owned());
        }
        match self.compression_version.as_str() {
            "v1" => {}
            "v2" if (self.num_kv_heads * (self.model_channels / heads)).is_multiple_of(GROUPS) => {}
            "v2" => return Err(format!("whose keys cannot be normalised in {GROUPS} groups")),
            other => return Err(format!("with compression_version {other}, and only v1 and v2 are supported")),
        }
        divided(vae.model_channels_decoder, vae.num_heads_decoder)?;
        divided(vae.model_channels_encoder, vae.num_heads_encoder)?;
        if [vae.model_channels_decoder, vae.model_channels_encoder].iter().any(|width| !width.is_multiple_of(16)) {
            return Err("whose channels cannot be divided by 16".to_owned());
        }
        if vae.resolution != self.resolution || vae.out_channels != 1 || self.in_channels != self.out_channels {
            return Err("that do not fit each other".to_owned());
        }
        latents([vae.embed_dim, self.out_channels], [vae.latents_scale, vae.latents_shift])
    }
}
