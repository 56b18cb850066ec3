//! Making shapes: a small generator in the manner of Direct3D-S2 (Wu et al., 2025), trained from nothing.
//!
//! A shape is a signed distance on 64³ voxels, of which only blocks of 4³ near the surface are kept. Four models make one:
//!
//! 1. *structure*: a diffusion transformer makes a token for each of 4³ pieces of the cube;
//! 2. *structure autoencoder*: its decoder makes 4³ distances of each, so 16³ in all, which say which blocks are near the surface and where inside is;
//! 3. *details*: a sparse diffusion transformer with spatial sparse attention makes a token for each of those blocks;
//! 4. *autoencoder*: its decoder makes 4³ distances of each token, and marching cubes the mesh.
//!
//! - [`data`]: what is learned from; [`tape`]: layers and their gradients; [`model`]: the networks.
//! - [`train`]: learning; [`generator`]: what was learned, as a file, and making shapes with it; [`measure`]: how good they are; [`memory`]: what it takes.
//! - [`published`]: shapes of pictures with the models that were published, which are of the same kind.

pub mod config;
pub mod data;
pub mod generator;
pub mod measure;
pub mod memory;
pub mod model;
pub mod published;
mod sheet;
pub mod tape;
pub mod train;

pub use config::GenerateConfig;
pub use data::Data;
pub use generator::{Generator, Making};
pub use sheet::contact_sheet;
pub use tape::{Host, OnDevice, Place};
pub use train::{Stage, TrainProgress, Trainer};

#[cfg(test)]
mod tests;
