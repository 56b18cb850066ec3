//! The autoencoder of details: signed distances on voxels near a surface, and latent numbers of voxels eight times as long.

mod decoder;
mod encoder;

pub use decoder::{SparseDecoder, most_in_a_piece};
pub use encoder::SparseEncoder;

use super::super::model::{Maker, Mlp, Window};
use super::super::tape::{Numbers, Parameters};
use super::config::FINER;
use super::layers::{SelfAttention, alone, by_rows};
use crate::Result;

/// Added to variances of rows.
const EPSILON: f32 = 1e-6;
/// Voxels a side of a window.
const WINDOW: usize = 8;
/// Channels become fewer by these factors from level to level of the decoder, and more by them from level to level of the encoder.
const FEWER: [usize; 4] = [1, 4, 8, 16];
/// Distances of a latent voxel.
pub const DISTANCES: usize = FINER * FINER * FINER;

/// Attention in windows and a small network.
struct WindowBlock {
    attention: SelfAttention,
    mlp: Mlp,
}

impl WindowBlock {
    fn new(maker: &mut Maker<'_>, width: usize, heads: usize) -> Self {
        let attention = SelfAttention::new(&mut maker.part("attn"), ["to_qkv", "to_out"], width, heads, false);
        Self { attention, mlp: Mlp::new(&mut maker.part("mlp"), width) }
    }

    fn run(&self, parameters: &Parameters, x: Numbers, width: usize, window: &Window) -> Result<Numbers> {
        let x = alone(parameters, x, width, |tape, x| {
            let h = tape.layer_norm(x, EPSILON);
            let h = tape.gather(h, &window.order);
            let h = self.attention.run(tape, h, &window.pattern);
            let h = tape.gather(h, &window.back);
            tape.add(x, h)
        })?;
        by_rows(parameters, x, width, |tape, x| {
            let h = tape.layer_norm(x, EPSILON);
            let h = self.mlp.run(tape, h);
            tape.add(x, h)
        })
    }
}
