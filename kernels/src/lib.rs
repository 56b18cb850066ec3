//! The numerical core: one folder per operation.
//!
//! Each folder's `mod.rs` says what the operation computes, with shapes and units; `cpu.rs` (and its parts) is the
//! SIMD and multi-threaded implementation. Forward and backward are explicit functions. Nothing here knows about
//! files or about training.

pub mod adam;
pub mod anchor_decoder;
pub mod camera_projection;
pub mod colour_grid;
pub mod dense;
pub mod device;
pub mod gaussian4d;
pub mod hash_grid;
pub mod image_loss;
pub mod marching_cubes;
pub mod mlp;
pub mod occupancy;
pub mod rbf;
pub mod sdf_render;
pub mod simd;
pub mod sort;
pub mod sparse_attention;
pub mod sparse_conv;
pub mod splat;
