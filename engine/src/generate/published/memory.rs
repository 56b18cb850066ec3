//! How much memory each stage will need, from the shapes of its tensors.

use super::config::SparseDit;
use super::sparse_vae::{DISTANCES, most_in_a_piece};
use crate::train::MemoryPlan;

/// Rows as wide as a token that are there at once while tokens look at each other, and while they are taken one part at a time.
const ROWS_OF_ATTENTION: u64 = 18;
const ROWS_OF_PART: u64 = 24;
/// Numbers as wide as channels that decoding windows keeps of a latent voxel.
const ROWS_OF_WINDOWS: u64 = 12;
/// Numbers of a fine voxel of a piece: neighbours, found twice, coordinates, and four rows of channels.
const OF_FINE_VOXEL: u64 = 72;

/// Rows of the first level's channels, a sixteenth of the last one's, that encoding keeps of a voxel, with those of the levels above it; and coordinates,
/// parents and neighbours.
const ROWS_OF_ENCODED: u64 = 8;
const FEWEST_CHANNELS: u64 = 16;
const OF_ENCODED: u64 = 24;

/// What a transformer with so many weights needs for so many tokens of `width` numbers; `looks_at` are the condition's tokens.
/// `part` is how many are taken at a time.
pub(super) fn transformer(weights: usize, [tokens, width, looks_at]: [usize; 3], part: usize) -> MemoryPlan {
    let [weights, tokens, width, looks_at, part] = [weights, tokens, width, looks_at, part].map(|x| x as u64);
    let rows = ROWS_OF_ATTENTION * tokens + ROWS_OF_PART * tokens.min(part) + 6 * looks_at;
    MemoryPlan::default().with("weights", bytes(weights), format!("{weights} weights")).with(
        "tokens",
        bytes(rows.saturating_mul(width)),
        format!("{tokens} tokens of {width} numbers"),
    )
}

/// What the details need: the larger of the transformer's and the decoder's needs.
pub(super) fn details(
    config: &SparseDit,
    weights: [usize; 2],
    channels: usize,
    looks_at: usize,
    voxels: &[[i32; 4]],
    part: usize,
) -> MemoryPlan {
    let tokens = voxels.len();
    let made = transformer(weights[0], [tokens, config.model_channels, looks_at], part);
    let piece = most_in_a_piece(voxels) as u64 * DISTANCES as u64;
    let [tokens, channels] = [tokens, channels].map(|x| x as u64);
    let decoded = MemoryPlan::default()
        .with("weights", bytes(weights[1] as u64), format!("{} weights", weights[1]))
        .with("tokens", bytes(tokens * channels * ROWS_OF_WINDOWS), format!("{tokens} tokens of {channels} numbers"))
        .with("distances", bytes(tokens * DISTANCES as u64), format!("{tokens} tokens x {DISTANCES} distances"))
        .with("a piece", bytes(piece * (OF_FINE_VOXEL + channels / 4)), format!("{piece} voxels and their neighbours"));
    if made.total() >= decoded.total() { made } else { decoded }
}

/// What the encoder with so many weights needs for so many voxels near a surface; `channels` are those of its latent voxels.
pub(super) fn encoder(weights: usize, voxels: usize, channels: usize) -> MemoryPlan {
    let [weights, voxels, channels] = [weights, voxels, channels].map(|x| x as u64);
    MemoryPlan::default().with("weights", bytes(weights), format!("{weights} weights")).with(
        "voxels",
        bytes(voxels.saturating_mul(OF_ENCODED + ROWS_OF_ENCODED * channels / FEWEST_CHANNELS)),
        format!("{voxels} voxels near the surface"),
    )
}

fn bytes(numbers: u64) -> u64 {
    numbers.saturating_mul(size_of::<f32>() as u64)
}
