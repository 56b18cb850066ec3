//! The decoder and the kernels in space on a device, and what else a step of a fit needs there.
//!
//! Samples lie in rows, `[rows, stride]` ([`crate::hash_grid::cuda::Batch`]); parameters lie as on the CPU. All sums have a fixed order, so results have the
//! same bits in whatever order blocks run.
//!
//! Counted for a sample, with `F` features, `N` centres and `o` outputs:
//!
//! | kernel | operations | bytes of rows |
//! |---|---|---|
//! | `decoder_forward` | `4 N F + 16 N + 2 N o` | `4 F N / 8` from the first-level cache, `4 (F + N + o)` from and to memory |
//! | `decoder_feature_gradient` | `6 N F + 2 N o` | `4 (2 F + 3 N + o)`, slopes again for every eight features |
//! | `decoder_centre_gradient` | `6 N F` | `4 (F + N)`, again for every 32 centres or features |
//! | `decoder_weight_gradient` | `2 N o` | `4 (N + o)` |
//!
//! With 32 centres of 20 features (`fit sdf`): 10,900 operations and 1.0 kB. Parameters cost `12 · chunks` bytes each, at most 128 chunks of at least 128 samples.
//!
//! Kernels in space with `K` neighbours of `F` features: forwards 32 bytes of weights for eight features of a pair; backwards the same, `8 F` bytes of a
//! sample's upstream rows turned around, `4 F` of them again for each of its pairs, and 80 bytes a pair for the sort (two passes).

mod cost;
mod decoder;
mod spatial;

pub use cost::{COST, Cost, CostKind, Picture, PixelSamples};
pub use decoder::{DECODER, Decoder};
pub use spatial::{SPATIAL, SpatialGradient, SpatialKernels, SpatialPairs, SpatialParameters};

const THREADS: u32 = 128;
