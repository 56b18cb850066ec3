//! How much memory training will need, said before it starts.

use super::config::GenerateConfig;
use super::data::{COARSE, PIECES, VOXELS};
use super::train::Stage;
use crate::train::MemoryPlan;
use tessera_kernels::sparse_conv::CHILDREN;

/// Numbers of weights, averages and moments for each weight, with a gradient and its scaled copy.
const OF_WEIGHT: u64 = 6;
/// A layer's numbers are kept with their gradients.
const WITH_GRADIENT: u64 = 2;
/// Rows as wide as a token that a block of a transformer keeps: norms, modulation, projections, parts of attention and the network.
const ROWS_OF_BLOCK: u64 = 34;
/// Rows as wide as channels that the autoencoder keeps of a block of voxels, at a quarter of the resolution and at half of it.
const COARSE_ROWS: u64 = 81;
const FINE_ROWS: u64 = 49;

/// The most that training by `config` needs for so many shapes of up to `blocks` blocks near the surface, with models of so many weights.
pub fn plan(config: &GenerateConfig, shapes: usize, blocks: usize, weights: [usize; Stage::COUNT]) -> MemoryPlan {
    let wide = |values: [usize; 3]| values.map(|x| x as u64);
    let [shapes, blocks, latent] = wide([shapes, blocks, config.latent]);
    // Coarse distances twice: as they are, and as their autoencoder gives them back.
    let of_shape = 2 * COARSE.pow(3) as u64 + blocks * (VOXELS as u64 + latent);
    let sizes = config.autoencoder();
    let [fine, coarse, children] = wide([sizes.fine, sizes.coarse, CHILDREN]);
    let of_block = children * 40 + FINE_ROWS * fine + COARSE_ROWS * coarse;
    let [first, third, fourth] = wide([config.autoencoder_batch, config.structure_batch, config.detail_batch]);
    let second = config.structure_autoencoder_batch as u64;
    let tokens = PIECES.pow(3) as u64;
    let rows = |width: usize, depth: usize| width as u64 * (2 + ROWS_OF_BLOCK * depth as u64);
    let stages = [
        ("autoencoder", first * blocks * of_block),
        ("structure_autoencoder", second * tokens * of_block),
        ("structure", third * tokens * rows(config.structure_width, config.structure_depth)),
        ("details", fourth * blocks * rows(config.detail_width, config.detail_depth)),
    ];
    let (name, largest) = stages.into_iter().max_by_key(|(_, numbers)| *numbers).unwrap_or(("", 0));
    let weights = weights.iter().map(|x| *x as u64).sum::<u64>();
    let bytes = |numbers: u64| numbers.saturating_mul(size_of::<f32>() as u64);
    MemoryPlan::default()
        .with("shapes", bytes(shapes.saturating_mul(of_shape)), format!("{shapes} of up to {blocks} blocks"))
        .with("weights", bytes(OF_WEIGHT * weights), format!("{weights} weights with averages and moments"))
        .with("a step", bytes(WITH_GRADIENT * largest), format!("of the {name}"))
}
