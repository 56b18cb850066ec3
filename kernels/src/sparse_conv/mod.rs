//! Convolutions on voxels of which few are there: features exist at sites only, and a convolution's output has the sites of its input
//! (Graham and van der Maaten, "Submanifold sparse convolutional networks", 2017).
//!
//! - [`Sites`]: which voxels are there, in the order of their coordinates; who is whose neighbour; their parents and children.
//! - [`Convolution`]: `y[p] = bias + Σ_k x[p + o_k] W[k]` over the 27 neighbours or the site alone, forward and backward.
//! - [`mean_of_children`], [`copies_for_children`]: from sites to those of half and of twice the resolution, forward and backward.
//!
//! Features are `[N, C]`, a row for each site. Neighbours are found once for all layers that share their sites.

mod convolution;
pub mod cuda;
mod resample;
mod sites;

pub use convolution::Convolution;
pub use resample::{copies_for_children, copies_for_children_backward, mean_of_children, mean_of_children_backward};
pub use sites::{Neighbours, Sites};

/// Neighbours of a site, itself among them.
pub const NEIGHBOURS: usize = 27;
/// Children of a site.
pub const CHILDREN: usize = 8;
