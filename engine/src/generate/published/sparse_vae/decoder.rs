//! The decoder of details: from latent numbers of voxels near the surface to signed distances on voxels an eighth as long.
//!
//! Each latent voxel becomes 8³ distances; nothing is left out. Convolutions reach less than three latent voxels far, so the grid is decoded piece by
//! piece, each with as many voxels around it, to the same numbers as all at once.

use super::super::super::model::{Conv, Linear, Maker, Window, waves_of_place};
use super::super::super::tape::{Numbers, Parameters, Tape};
use super::super::config::{FINER, SparseVae};
use super::super::layers::alone;
use super::super::weights::Wanted;
use super::{DISTANCES, FEWER, SparseEncoder, WINDOW, WindowBlock};
use crate::Result;
use std::sync::Arc;
use tessera_kernels::dense::Activation;
use tessera_kernels::sparse_conv::{CHILDREN, Sites};

/// Latent voxels a side of a piece, and around it.
const PIECE: i32 = 16;
const AROUND: i32 = 3;

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

impl SparseDecoder {
    /// With what its file must hold.
    pub fn new(config: &SparseVae) -> (Self, Wanted) {
        let mut wanted = Wanted { prefix: "vae.", ..Wanted::default() };
        SparseEncoder::declared(config, &mut wanted.unread);
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
    ///
    /// # Errors
    /// When a device fails.
    pub fn decode(&self, parameters: &Parameters, voxels: &[[i32; 4]], latents: Vec<f32>) -> Result<Vec<f32>> {
        let mut tape = Tape::without_gradients(parameters);
        let x = tape.constant(latents, self.latent);
        let x = self.input.run(&mut tape, x);
        let place = |c: &[i32; 4]| waves_of_place([c[1], c[2], c[3]].map(|x| x as f32), self.width);
        let places = tape.constant(voxels.iter().flat_map(place).collect(), self.width);
        let x = tape.add(x, places);
        let mut x = tape.hand_on(x)?;
        drop(tape);
        let windows = Window::both(voxels, WINDOW);
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.run(parameters, x, self.width, &windows[i % 2])?;
        }
        let mut out = vec![0.0; voxels.len() * DISTANCES];
        for piece in pieces(voxels) {
            self.decode_piece(parameters, piece, voxels, &x, &mut out)?;
        }
        Ok(out)
    }

    /// The distances of the voxels in a piece.
    fn decode_piece(
        &self,
        parameters: &Parameters,
        piece: [i32; 3],
        voxels: &[[i32; 4]],
        x: &Numbers,
        out: &mut [f32],
    ) -> Result<()> {
        let is_near = |i: &u32| is_in(piece, &voxels[*i as usize], AROUND);
        let near: Arc<Vec<u32>> = Arc::new((0..voxels.len() as u32).filter(is_near).collect());
        let mut sites = Sites::new(near.iter().map(|i| voxels[*i as usize]).collect());
        let (mut x, mut columns, mut rows) = (x.clone(), self.width, Some(near));
        for Subdivide([first, second]) in &self.up {
            x = convolved(parameters, first, (x, &mut columns), rows.as_ref(), &sites)?;
            let children = sites.children();
            let mut order: Vec<u32> = (0..children.len() as u32).collect();
            order.sort_unstable_by_key(|i| children[*i as usize]);
            rows = Some(Arc::new(order.iter().map(|i| i / CHILDREN as u32).collect()));
            sites = Sites::new(children);
            x = convolved(parameters, second, (x, &mut columns), rows.as_ref(), &sites)?;
            rows = None;
        }
        let mut tape = Tape::without_gradients(parameters);
        let h = tape.continued(x, columns);
        let h = self.output.run(&mut tape, h);
        let h = tape.activation(h, Activation::Tanh);
        let finer = FINER as i32;
        for (c, value) in sites.coordinates().iter().zip(tape.read(h)?.iter()) {
            let voxel = [c[0], c[1] / finer, c[2] / finer, c[3] / finer];
            if is_in(piece, &voxel, 0) {
                let row = voxels.partition_point(|other| *other < voxel);
                let at = [c[1], c[2], c[3]].iter().fold(0, |at, x| at * FINER + (x % finer) as usize);
                out[row * DISTANCES + at] = *value;
            }
        }
        Ok(())
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

/// A convolution of sites, whose rows are these of `x` or all of them, and how many columns it has.
fn convolved(
    parameters: &Parameters,
    conv: &Conv,
    (x, columns): (Numbers, &mut usize),
    rows: Option<&Arc<Vec<u32>>>,
    sites: &Sites,
) -> Result<Numbers> {
    let neighbours = Arc::new(sites.neighbours());
    let out = alone(parameters, x, *columns, |tape, x| {
        let x = rows.map_or(x, |rows| tape.gather(x, rows));
        let x = conv.run(tape, x, &neighbours);
        tape.activation(x, Activation::Silu)
    })?;
    *columns = out.len() / sites.len().max(1);
    Ok(out)
}
