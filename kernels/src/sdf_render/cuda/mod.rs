//! The same on a device, and what else a step of training a surface computes for samples, rays and photos between grids and networks.
//!
//! Samples lie in rows, `[rows, stride]` ([`crate::hash_grid::cuda::Batch`]), in the order of rays; `starts`, `[rays + 1]`, says where those of each ray begin.
//! All sums have a fixed order, so results have the same bits in whatever order blocks run. Each `.cu` file counts its bytes.

mod blend;
mod conditions;
mod look;
mod opacity;

pub use blend::{BLEND, Blended, Blending, Comparison, RaySamples, RayTarget, SumParts};
pub use conditions::{CONDITIONS, Conditions, DevicePair, FitWeights, Pairs, SamplesOfRays};
pub use look::{LOOK, LookedAlong, Looks};
pub use opacity::{OPACITY, Opacities, OpacitySettings, Seen};

/// Rows of opacities: the opacity, and its derivatives by distance, cosine, step and sharpness.
pub const OPACITY_ROWS: usize = 5;

const PURPOSE: &str = "samples of rays";
