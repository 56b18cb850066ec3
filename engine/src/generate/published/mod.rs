//! Shapes of pictures with the models that were published with Direct3D-S2 (Wu et al., 2025), on the CPU, from their own files.
//!
//! 1. *picture*: the object is cut out by its alpha (`picture`), and DINOv2 makes tokens of it (`dinov2`);
//! 2. *structure*: a diffusion transformer over 16³ latent voxels (`dit`) and a decoder (`dense_vae`) say which of 64³ voxels have something in them;
//! 3. *details*: a sparse diffusion transformer makes latent numbers for those, and a decoder (`sparse_vae`) 8³ signed distances of each;
//! 4. *finer*: the same from the voxels near the surface that came out, at 128³ latent voxels and other weights;
//! 5. *surface*: marching cubes (`surface`).
//!
//! - `config`: `config.yaml`, with which versions 1.0 and 1.1 differ; `weights`: tensors by their published names; `sampler`: the reference's times.
//! - `pipeline`: all of it in order; `give_back`: a mesh through the autoencoder of details; `memory`: what a stage will need, said before it begins.
//!
//! The reference computes with 16-bit floats, here all is in 32 bits. It refines distances by another network before it takes the surface, which is not done
//! here; what is inside is known instead from which voxels cannot be reached from outside.

mod config;
mod dense_vae;
mod dinov2;
mod dit;
mod give_back;
mod layers;
mod memory;
mod picture;
mod pipeline;
mod sampler;
mod settings;
mod sparse_vae;
mod surface;
mod weights;

pub use config::PublishedConfig;
pub use give_back::GivenBack;
pub use pipeline::{Given, ImageEvent, ImageStage, PartReport, Published, Resolution};
pub use settings::ImageConfig;

#[cfg(test)]
mod tests;
