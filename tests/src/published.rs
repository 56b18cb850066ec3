//! Weights of the published generator at a small fraction of its size, drawn at random: names, shapes, files and settings are as they were published.

use crate::weights::{Stored, Tensor, safetensors, torch};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::path::Path;

/// Which of the published versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Compression with convolutions, and only patches that show the object.
    V10,
    /// Compression of points, and all of the picture's tokens.
    V11,
}

/// Numbers of a token of the picture, and of the transformers.
pub const WIDTH: usize = 64;
/// Heads of the transformers, and such of keys in sparse attention.
pub const HEADS: usize = 4;
/// See [`HEADS`].
pub const KEY_HEADS: usize = 2;
/// Blocks of all transformers.
pub const DEPTH: usize = 2;
/// Latent numbers of structure and of details.
pub const LATENT: [usize; 2] = [3, 5];
/// Latent voxels of structure along a side.
pub const SIDE: usize = 2;
/// Channels of the decoder of structure.
pub const CHANNELS: [usize; 3] = [12, 6, 4];
/// Channels of the autoencoder of details, and its heads.
pub const DETAIL: usize = 32;
/// See [`DETAIL`].
pub const DETAIL_HEADS: usize = 4;
/// Pixels and patches of the picture along a side, and registers.
pub const PICTURE: [usize; 3] = [42, 3, 4];

/// All files.
#[derive(Clone, Debug)]
pub struct Made {
    /// `config.yaml`.
    pub config: String,
    /// Names of files without their endings, with their tensors.
    pub files: Vec<(&'static str, Vec<Tensor>)>,
}

/// Where tensors are drawn.
struct Draw {
    rng: Pcg64,
    prefix: String,
    tensors: Vec<Tensor>,
}

impl Draw {
    fn new(seed: u64, file: u64) -> Self {
        Self { rng: Pcg64::seed_from_u64(seed ^ (file << 32)), prefix: String::new(), tensors: Vec::new() }
    }

    fn within(&mut self, prefix: &str, draw: impl FnOnce(&mut Self)) {
        let before = self.prefix.len();
        self.prefix += prefix;
        self.prefix.push('.');
        draw(self);
        self.prefix.truncate(before);
    }

    /// Numbers between minus and plus `limit`, around `middle`.
    fn add(&mut self, name: &str, shape: &[usize], middle: f32, limit: f32) {
        let count = shape.iter().product();
        let values = (0..count).map(|_| middle + self.rng.random_range(-limit..limit)).collect();
        self.tensors.push((format!("{}{name}", self.prefix), shape.to_vec(), values));
    }

    /// Weights that keep variances as they are.
    fn weight(&mut self, name: &str, shape: &[usize], inputs: usize) {
        self.add(name, shape, 0.0, (3.0 / inputs as f32).sqrt());
    }

    fn linear(&mut self, name: &str, [inputs, outputs]: [usize; 2]) {
        self.weight(&format!("{name}.weight"), &[outputs, inputs], inputs);
        self.add(&format!("{name}.bias"), &[outputs], 0.0, 0.2);
    }

    fn norm(&mut self, name: &str, columns: usize) {
        self.add(&format!("{name}.weight"), &[columns], 1.0, 0.3);
        self.add(&format!("{name}.bias"), &[columns], 0.0, 0.2);
    }

    fn conv3d(&mut self, name: &str, [inputs, outputs]: [usize; 2], side: usize) {
        self.weight(&format!("{name}.weight"), &[outputs, inputs, side, side, side], inputs * side.pow(3));
        self.add(&format!("{name}.bias"), &[outputs], 0.0, 0.2);
    }

    fn sparse_conv(&mut self, name: &str, [inputs, outputs]: [usize; 2], neighbours: usize) {
        let shape = [neighbours, inputs, outputs];
        let shape = if neighbours == 1 { &shape[1..] } else { &shape[..] };
        self.weight(&format!("{name}.kernel"), shape, inputs * neighbours.div_ceil(2));
        self.add(&format!("{name}.bias"), &[outputs], 0.0, 0.2);
    }

    fn res_block(&mut self, name: &str, channels: usize) {
        self.within(name, |d| {
            d.norm("norm1", channels);
            d.norm("norm2", channels);
            d.conv3d("conv1", [channels; 2], 3);
            d.conv3d("conv2", [channels; 2], 3);
        });
    }

    fn mlp(&mut self, width: usize) {
        self.linear("mlp.mlp.0", [width, 4 * width]);
        self.linear("mlp.mlp.2", [4 * width, width]);
    }

    fn window_blocks(&mut self) {
        for i in 0..DEPTH {
            self.within(&format!("blocks.{i}"), |d| {
                d.linear("attn.to_qkv", [DETAIL, 3 * DETAIL]);
                d.linear("attn.to_out", [DETAIL; 2]);
                d.mlp(DETAIL);
            });
        }
    }

    /// What both transformers have.
    fn transformer(&mut self, latent: usize, mut attention: impl FnMut(&mut Self)) {
        self.linear("t_embedder.mlp.0", [256, WIDTH]);
        self.linear("t_embedder.mlp.2", [WIDTH; 2]);
        self.linear("input_layer", [latent, WIDTH]);
        for i in 0..DEPTH {
            self.within(&format!("blocks.{i}"), |d| {
                d.norm("norm2", WIDTH);
                d.within("self_attn", &mut attention);
                d.within("cross_attn", |d| {
                    d.linear("to_q", [WIDTH; 2]);
                    d.linear("to_kv", [WIDTH, 2 * WIDTH]);
                    d.linear("to_out", [WIDTH; 2]);
                });
                d.mlp(WIDTH);
                d.linear("adaLN_modulation.1", [WIDTH, 6 * WIDTH]);
            });
        }
        self.linear("out_layer", [WIDTH, latent]);
    }
}

fn dense(seed: u64) -> Vec<Tensor> {
    let mut draw = Draw::new(seed, 1);
    draw.within("vae", |d| {
        d.within("encoder", |d| {
            d.conv3d("input_layer", [1, 4], 3);
            d.res_block("blocks.0", 4);
            d.conv3d("blocks.1.conv", [4, 6], 2);
            d.res_block("blocks.2", 6);
            d.res_block("middle_block.0", 6);
            d.norm("out_layer.0", 6);
            d.conv3d("out_layer.2", [6, 2 * LATENT[0]], 3);
        });
        d.within("decoder", |d| {
            d.conv3d("input_layer", [LATENT[0], CHANNELS[0]], 3);
            d.res_block("middle_block.0", CHANNELS[0]);
            d.res_block("blocks.0", CHANNELS[0]);
            d.conv3d("blocks.1.conv", [CHANNELS[0], 8 * CHANNELS[1]], 3);
            d.res_block("blocks.2", CHANNELS[1]);
            d.conv3d("blocks.3.conv", [CHANNELS[1], 8 * CHANNELS[2]], 3);
            d.res_block("blocks.4", CHANNELS[2]);
            d.norm("out_layer.0", CHANNELS[2]);
            d.conv3d("out_layer.2", [CHANNELS[2], 1], 3);
        });
    });
    draw.within("dit", |d| {
        d.add("pos_emb", &[SIDE.pow(3), WIDTH], 0.0, 1.0);
        d.transformer(LATENT[0], |d| {
            d.linear("to_qkv", [WIDTH, 3 * WIDTH]);
            d.add("q_rms_norm.gamma", &[HEADS, WIDTH / HEADS], 1.0, 0.3);
            d.add("k_rms_norm.gamma", &[HEADS, WIDTH / HEADS], 1.0, 0.3);
            d.linear("to_out", [WIDTH; 2]);
        });
    });
    draw.tensors
}

fn sparse(version: Version, seed: u64, file: u64) -> Vec<Tensor> {
    let mut draw = Draw::new(seed, file);
    draw.within("vae", |d| {
        d.within("encoder", |d| {
            d.linear("input_layer1", [1, DETAIL / 16]);
            for (i, [from, to]) in [[16, 8], [8, 4], [4, 1]].into_iter().enumerate() {
                let [from, to] = [DETAIL / from, DETAIL / to];
                d.within(&format!("downsample.{i}"), |d| {
                    d.norm("act_layers.0", from);
                    d.sparse_conv("out_layers.0.conv", [from, to], 27);
                    d.norm("out_layers.1", to);
                    d.sparse_conv("out_layers.3.conv", [to; 2], 27);
                    d.sparse_conv("skip_connection.conv", [from, to], 1);
                });
            }
            d.linear("input_layer", [DETAIL; 2]);
            d.window_blocks();
            d.linear("out_layer", [DETAIL, 2 * LATENT[1]]);
        });
        d.within("decoder", |d| {
            d.linear("input_layer", [LATENT[1], DETAIL]);
            d.window_blocks();
            for (i, [from, to]) in [[1, 4], [4, 8], [8, 16]].into_iter().enumerate() {
                let [from, to] = [DETAIL / from, DETAIL / to];
                d.within(&format!("upsample.{i}"), |d| {
                    d.sparse_conv("act_layers.0.conv", [from, to], 27);
                    d.sparse_conv("out_layers.0.conv", [to; 2], 27);
                });
            }
            d.linear("out_layer", [DETAIL / 16, 1]);
        });
    });
    let keys = KEY_HEADS * WIDTH / HEADS;
    let block = if version == Version::V10 { 2 } else { 4 };
    draw.within("dit", |d| {
        if version == Version::V10 {
            d.linear("cond_proj", [WIDTH; 2]);
        }
        d.transformer(LATENT[1], |d| {
            d.weight("proj_q.weight", &[WIDTH, WIDTH], WIDTH);
            d.weight("proj_k.weight", &[keys, WIDTH], WIDTH);
            d.weight("proj_v.weight", &[keys, WIDTH], WIDTH);
            d.weight("proj_o.weight", &[WIDTH, WIDTH], WIDTH);
            d.add("intra_block_pe", &[block, block, block, keys], 0.0, 0.5);
            for part in ["compression_key", "compression_value"] {
                d.within(part, |d| match version {
                    Version::V11 => d.sparse_conv("act_layers.0.conv", [keys; 2], 1),
                    Version::V10 => {
                        d.norm("act_layers.0", keys);
                        d.sparse_conv("out_layers.0.conv", [keys; 2], 27);
                        d.norm("out_layers.1", keys);
                        d.sparse_conv("out_layers.3.conv", [keys; 2], 27);
                    }
                });
            }
            d.weight("gate.0.weight", &[3, WIDTH], WIDTH);
        });
    });
    draw.tensors
}

fn encoder(seed: u64) -> Vec<Tensor> {
    let [size, side, registers] = PICTURE;
    let patch = size / side;
    let mut draw = Draw::new(seed, 4);
    draw.add("cls_token", &[1, 1, WIDTH], 0.0, 1.0);
    draw.add("pos_embed", &[1, side * side + 1, WIDTH], 0.0, 1.0);
    draw.add("register_tokens", &[1, registers, WIDTH], 0.0, 1.0);
    draw.add("mask_token", &[1, WIDTH], 0.0, 1.0);
    draw.weight("patch_embed.proj.weight", &[WIDTH, 3, patch, patch], 3 * patch * patch);
    draw.add("patch_embed.proj.bias", &[WIDTH], 0.0, 0.2);
    for i in 0..DEPTH {
        draw.within(&format!("blocks.{i}"), |d| {
            d.norm("norm1", WIDTH);
            d.linear("attn.qkv", [WIDTH, 3 * WIDTH]);
            d.linear("attn.proj", [WIDTH; 2]);
            d.add("ls1.gamma", &[WIDTH], 0.5, 0.5);
            d.norm("norm2", WIDTH);
            d.linear("mlp.fc1", [WIDTH, 4 * WIDTH]);
            d.linear("mlp.fc2", [4 * WIDTH, WIDTH]);
            d.add("ls2.gamma", &[WIDTH], 0.5, 0.5);
        });
    }
    draw.norm("norm", WIDTH);
    draw.tensors
}

/// `config.yaml`, with as many of the published settings as there are.
fn config(version: Version) -> String {
    let detail = |name: &str, resolution: usize, factor: f64, topk: usize, shift: f64| {
        let switches = match version {
            Version::V10 => format!(
                "compression_block_size: 2\n    selection_block_size: 4\n    topk: {topk}\n    compression_version: v2\n    sparse_conditions: true"
            ),
            Version::V11 => format!(
                "compression_block_size: 4\n    selection_block_size: 4\n    topk: {topk}\n    compression_version: v1\n    sparse_conditions: false"
            ),
        };
        let chunks = if name == "1024" { "\n    chunk_size: 4" } else { "" };
        format!(
            "sparse_vae_{name}:
  target: direct3d_s2.models.autoencoders.ss_vae.SparseSDFVAE
  params:
    use_checkpoint: true
    embed_dim: {latent}
    num_head_channels_encoder: 64
    model_channels_encoder: {DETAIL}
    num_heads_encoder: {DETAIL_HEADS}
    num_blocks_encoder: {DEPTH}
    num_head_channels_decoder: 64
    model_channels_decoder: {DETAIL}
    num_heads_decoder: {DETAIL_HEADS}
    num_blocks_decoder: {DEPTH}
    resolution: {resolution}
    out_channels: 1
    use_fp16: true
    latents_scale: 1.0
    latents_shift: 0.0{chunks}

sparse_dit_{name}:
  target: direct3d_s2.models.transformers.sparse_dit.SparseDiT
  params:
    resolution: {resolution}
    in_channels: {latent}
    out_channels: {latent}
    model_channels: {WIDTH}
    cond_channels: {WIDTH}
    num_blocks: {DEPTH}
    num_heads: {HEADS}
    num_kv_heads: {KEY_HEADS}
    {switches}
    pe_mode: ape
    factor: {factor:?}
    qk_rms_norm: true
    use_shift: true
    use_checkpoint: true
    use_fp16: true

sparse_scheduler_{name}:
  target: diffusers.schedulers.FlowMatchEulerDiscreteScheduler
  params:
    num_train_timesteps: 1000
    shift: {shift:?}
",
            latent = LATENT[1]
        )
    };
    let encoder = |name: &str| {
        format!(
            "{name}_image_encoder:
  target: direct3d_s2.models.conditioner.DinoEncoder
  params:
    model: facebookresearch/dinov2
    version: dinov2_vitl14_reg
    size: {}
",
            PICTURE[0]
        )
    };
    let structure = format!(
        "dense_vae:
  target: direct3d_s2.models.autoencoders.dense_vae.DenseShapeVAE
  params:
    use_checkpoint: true
    embed_dim: {latent}
    in_channels: 1
    out_channels: 1
    model_channels_encoder: [4, 6]
    num_res_blocks_encoder: 1
    num_res_blocks_middle_encoder: 1
    model_channels_decoder: {CHANNELS:?}
    num_res_blocks_decoder: 1
    num_res_blocks_middle_decoder: 1
    use_fp16: true
    latents_scale: 1.0
    latents_shift: 0.0

dense_dit:
  target: direct3d_s2.models.transformers.dense_dit.DenseDiT
  params:
    resolution: {SIDE}
    in_channels: {latent}
    out_channels: {latent}
    model_channels: {WIDTH}
    cond_channels: {WIDTH}
    num_blocks: {DEPTH}
    num_heads: {HEADS}
    mlp_ratio: 4
    patch_size: 1
    pe_mode: ape
    qk_rms_norm: true
    use_checkpoint: true
    use_fp16: true
    latent_shape: [{latent}, {SIDE}, {SIDE}, {SIDE}]

dense_scheduler:
  target: diffusers.schedulers.FlowMatchEulerDiscreteScheduler
  params:
    num_train_timesteps: 1000
    shift: 6.0
",
        latent = LATENT[0]
    );
    let fine = SIDE << CHANNELS.len();
    let parts = [
        structure,
        encoder("dense"),
        detail("512", fine / 2, 1.0, 2, 6.0),
        detail("1024", fine, 0.5, 3, 8.0),
        encoder("sparse"),
    ];
    parts.join("\n")
}

impl Made {
    /// Weights drawn from a seed.
    pub fn new(version: Version, seed: u64) -> Self {
        let files = vec![
            ("model_dense", dense(seed)),
            ("model_sparse_512", sparse(version, seed, 2)),
            ("model_sparse_1024", sparse(version, seed, 3)),
            ("dinov2_vitl14_reg4_pretrain", encoder(seed)),
        ];
        Self { config: config(version), files }
    }

    /// The tensors of a file.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn tensors(&self, file: &str) -> &[Tensor] {
        &self.files.iter().find(|(name, _)| *name == file).expect("a file").1
    }

    /// The same, to be changed.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn tensors_mut(&mut self, file: &str) -> &mut Vec<Tensor> {
        &mut self.files.iter_mut().find(|(name, _)| *name == file).expect("a file").1
    }

    /// Writes all files as they are published: checkpoints of PyTorch, or the same as safetensors.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn write(&self, folder: &Path, as_safetensors: bool, stored: Stored) {
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(folder.join("config.yaml"), &self.config).expect("a file");
        for (name, tensors) in &self.files {
            let is_encoder = name.starts_with("dinov2");
            let (ending, bytes) = match (as_safetensors, is_encoder) {
                (true, _) => ("safetensors", safetensors(tensors, stored)),
                (false, true) => ("pth", torch(tensors, &[], stored)),
                (false, false) => ("ckpt", torch(tensors, &["vae", "dit"], stored)),
            };
            std::fs::write(folder.join(format!("{name}.{ending}")), bytes).expect("a file");
        }
    }
}
