//! The decoder of details: from latent numbers of voxels near the surface to signed distances on voxels an eighth as long.
//!
//! Each latent voxel becomes 8³ distances; nothing is left out. Convolutions reach less than three latent voxels far, so the grid is decoded piece by
//! piece, each with as many voxels around it, to the same numbers as all at once.

use super::super::model::{Conv, Linear, Maker, Mlp, Window, waves_of_place};
use super::super::tape::{Parameters, Tape, Var};
use super::config::{FINER, SparseVae};
use super::layers::{Norm, SelfAttention, by_rows};
use super::weights::Wanted;
use std::sync::Arc;
use tessera_kernels::dense::Activation;
use tessera_kernels::sparse_conv::{CHILDREN, Sites};

/// Added to variances of rows, and of groups of the encoder.
const EPSILON: f32 = 1e-6;
const GROUP_EPSILON: f32 = 1e-5;
/// Voxels a side of a window.
const WINDOW: usize = 8;
/// Channels become fewer by these factors from level to level.
const FEWER: [usize; 4] = [1, 4, 8, 16];
/// Latent voxels a side of a piece, and around it.
const PIECE: i32 = 16;
const AROUND: i32 = 3;
/// Distances of a latent voxel.
pub const DISTANCES: usize = FINER * FINER * FINER;

struct WindowBlock {
    attention: SelfAttention,
    mlp: Mlp,
}

/// A convolution, voxels of half the size, and another convolution.
struct Subdivide([Conv; 2]);

/// The decoder.
pub struct SparseDecoder {
    latent: usize,
    width: usize,
    input: Linear,
    blocks: Vec<WindowBlock>,
    up: Vec<Subdivide>,
    output: Linear,
}

impl WindowBlock {
    fn new(maker: &mut Maker<'_>, width: usize, heads: usize) -> Self {
        let attention = SelfAttention::new(&mut maker.part("attn"), ["to_qkv", "to_out"], width, heads, false);
        Self { attention, mlp: Mlp::new(&mut maker.part("mlp"), width) }
    }

    fn run(&self, parameters: &Parameters, x: Vec<f32>, width: usize, window: &Window) -> Vec<f32> {
        let mut tape = Tape::without_gradients(parameters);
        let x = tape.constant(x, width);
        let h = tape.layer_norm(x, EPSILON);
        let h = tape.gather(h, &window.order);
        let h = self.attention.run(&mut tape, h, &window.pattern);
        let h = tape.gather(h, &window.back);
        let x = tape.add(x, h);
        let x = tape.take(x);
        by_rows(parameters, x, width, |tape, x| {
            let h = tape.layer_norm(x, EPSILON);
            let h = self.mlp.run(tape, h);
            tape.add(x, h)
        })
    }
}

impl SparseDecoder {
    /// With what its file must hold.
    pub(super) fn new(config: &SparseVae) -> (Self, Wanted) {
        let mut wanted = Wanted { prefix: "vae.", ..Wanted::default() };
        declare_encoder(config, &mut wanted.unread);
        let maker = &mut Maker { parameters: &mut wanted.parameters, rng: None, prefix: "decoder.".to_owned() };
        let (latent, width) = (config.embed_dim, config.model_channels_decoder);
        let input = Linear::new(maker, "input_layer", [latent, width]);
        let block = |i| WindowBlock::new(&mut maker.part(&format!("blocks.{i}")), width, config.num_heads_decoder);
        let blocks = (0..config.num_blocks_decoder).map(block).collect();
        let mut up = Vec::new();
        for level in 0..FEWER.len() - 1 {
            let maker = &mut maker.part(&format!("upsample.{level}"));
            let [inputs, outputs] = [width / FEWER[level], width / FEWER[level + 1]];
            let first = Conv::of_neighbours(maker, "act_layers.0.conv", [inputs, outputs]);
            up.push(Subdivide([first, Conv::of_neighbours(maker, "out_layers.0.conv", [outputs; 2])]));
        }
        let output = Linear::new(maker, "out_layer", [width / FEWER[FEWER.len() - 1], config.out_channels]);
        (Self { latent, width, input, blocks, up, output }, wanted)
    }

    /// Distances of latent voxels, `[N, 8³]`, z fastest in each, from -1 to 1. Voxels are (0, x, y, z), ascending; `latents` are their numbers.
    pub fn decode(&self, parameters: &Parameters, voxels: &[[i32; 4]], latents: Vec<f32>) -> Vec<f32> {
        let mut tape = Tape::without_gradients(parameters);
        let x = tape.constant(latents, self.latent);
        let x = self.input.run(&mut tape, x);
        let place = |c: &[i32; 4]| waves_of_place([c[1], c[2], c[3]].map(|x| x as f32), self.width);
        let places = tape.constant(voxels.iter().flat_map(place).collect(), self.width);
        let x = tape.add(x, places);
        let mut x = tape.take(x);
        let windows = Window::both(voxels, WINDOW);
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.run(parameters, x, self.width, &windows[i % 2]);
        }
        let mut out = vec![0.0; voxels.len() * DISTANCES];
        for piece in pieces(voxels) {
            self.decode_piece(parameters, piece, voxels, &x, &mut out);
        }
        out
    }

    /// The distances of the voxels in a piece.
    fn decode_piece(&self, parameters: &Parameters, piece: [i32; 3], voxels: &[[i32; 4]], x: &[f32], out: &mut [f32]) {
        let near: Vec<usize> = (0..voxels.len()).filter(|i| is_in(piece, &voxels[*i], AROUND)).collect();
        let mut values: Vec<f32> = near.iter().flat_map(|i| &x[i * self.width..][..self.width]).copied().collect();
        let mut sites = Sites::new(near.iter().map(|i| voxels[*i]).collect());
        let mut columns = self.width;
        for Subdivide([first, second]) in &self.up {
            values = convolved(parameters, first, values, &mut columns, &sites);
            let children = sites.children();
            let mut order: Vec<u32> = (0..children.len() as u32).collect();
            order.sort_unstable_by_key(|i| children[*i as usize]);
            let copied = |i: &u32| &values[(*i as usize / CHILDREN) * columns..][..columns];
            values = order.iter().flat_map(copied).copied().collect();
            sites = Sites::new(children);
            values = convolved(parameters, second, values, &mut columns, &sites);
        }
        let mut tape = Tape::without_gradients(parameters);
        let h = tape.constant(values, columns);
        let h = self.output.run(&mut tape, h);
        let h = tape.activation(h, Activation::Tanh);
        let finer = FINER as i32;
        for (c, value) in sites.coordinates().iter().zip(tape.values(h).iter()) {
            let voxel = [c[0], c[1] / finer, c[2] / finer, c[3] / finer];
            if is_in(piece, &voxel, 0) {
                let row = voxels.partition_point(|other| *other < voxel);
                let at = [c[1], c[2], c[3]].iter().fold(0, |at, x| at * FINER + (x % finer) as usize);
                out[row * DISTANCES + at] = *value;
            }
        }
    }
}

/// The pieces that voxels lie in.
fn pieces(voxels: &[[i32; 4]]) -> Vec<[i32; 3]> {
    let mut pieces: Vec<[i32; 3]> = voxels.iter().map(|c| [c[1], c[2], c[3]].map(|x| x / PIECE)).collect();
    pieces.sort_unstable();
    pieces.dedup();
    pieces
}

/// Whether a voxel lies in a piece, or so far around it.
fn is_in(piece: [i32; 3], voxel: &[i32; 4], around: i32) -> bool {
    (0..3).all(|k| (PIECE * piece[k] - around..PIECE * (piece[k] + 1) + around).contains(&voxel[k + 1]))
}

/// The most voxels that are decoded at once.
pub fn most_in_a_piece(voxels: &[[i32; 4]]) -> usize {
    let count = |piece: [i32; 3]| voxels.iter().filter(|voxel| is_in(piece, voxel, AROUND)).count();
    pieces(voxels).into_iter().map(count).max().unwrap_or(0)
}

fn convolved(parameters: &Parameters, conv: &Conv, values: Vec<f32>, columns: &mut usize, sites: &Sites) -> Vec<f32> {
    let mut tape = Tape::without_gradients(parameters);
    let x = tape.constant(values, *columns);
    let neighbours = Arc::new(sites.neighbours());
    let x: Var = conv.run(&mut tape, x, &neighbours);
    let x = tape.activation(x, Activation::Silu);
    *columns = tape.columns(x);
    tape.take(x)
}

/// The encoder's tensors, of which nothing is needed to make shapes.
fn declare_encoder(config: &SparseVae, unread: &mut Parameters) {
    let maker = &mut Maker { parameters: unread, rng: None, prefix: "encoder.".to_owned() };
    let width = config.model_channels_encoder;
    Linear::new(maker, "input_layer1", [1, width / 16]);
    for (i, [inputs, outputs]) in [[16, 8], [8, 4], [4, 1]].map(|by| by.map(|by| width / by)).into_iter().enumerate() {
        let maker = &mut maker.part(&format!("downsample.{i}"));
        Norm::new(maker, "act_layers.0", inputs, GROUP_EPSILON);
        Conv::of_neighbours(maker, "out_layers.0.conv", [inputs, outputs]);
        Norm::new(maker, "out_layers.1", outputs, GROUP_EPSILON);
        Conv::of_neighbours(maker, "out_layers.3.conv", [outputs; 2]);
        Conv::of_points(maker, "skip_connection.conv", [inputs, outputs]);
    }
    Linear::new(maker, "input_layer", [width; 2]);
    for i in 0..config.num_blocks_encoder {
        WindowBlock::new(&mut maker.part(&format!("blocks.{i}")), width, config.num_heads_encoder);
    }
    Linear::new(maker, "out_layer", [width, 2 * config.embed_dim]);
}
