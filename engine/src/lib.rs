//! The methods: what is learned, how it is trained, evaluated, saved and resumed.
//!
//! - [`train`]: the loop that all methods share, its events, checkpoints and run folder. A method implements
//!   [`train::Method`] and says how one step is computed.
//! - [`config`](mod@config): settings that are command-line flags, TOML file and documentation at once.
//! - [`target`]: photos and masks as the planes that losses and metrics compare with.
//! - [`metrics`]: PSNR, SSIM and their colour-corrected and masked variants.
//! - [`evaluate`]: a scene against the held-out photos of a capture.
//! - [`frames`]: which photo each step looks at, decoded ahead of time.
//! - [`splats`]: Gaussian splats, the first method.
//! - [`surface`]: neural surfaces, the second, and the meshes that they become.
//! - [`blocks`]: large scenes, divided and trained block by block.
//! - [`anchors`]: large scenes whose blocks share a network that decodes anchors into splats.
//! - [`exchange`]: what several processes that train one thing tell each other.
//! - [`volumetric_video`]: Gaussians in space and time for captures that move.
//! - [`rbf`]: fields of radial basis functions: images, shapes and radiance.
//! - [`generate`]: making shapes: what is learned from, models, training, how good they are.
//! - [`rays`]: rays of photos through the box that a field fills.
//! - [`mesh_distance`], [`meshing`]: from meshes to signed distances, and back.
//! - [`fusion`]: from normal maps with outlines to a closed mesh.
//! - [`render`]: camera paths, pictures and videos of a scene.
//! - [`verify`]: whether a converted scene still looks as it did.

pub mod anchors;
pub mod blocks;
pub mod config;
mod error;
pub mod evaluate;
pub mod exchange;
pub mod frames;
pub mod fusion;
pub mod generate;
pub mod mesh_distance;
pub mod meshing;
pub mod metrics;
mod on_device;
pub mod rays;
pub mod rbf;
pub mod render;
pub mod splats;
pub mod surface;
pub mod target;
pub mod train;
pub mod verify;
pub mod volumetric_video;

pub use error::{Error, Result};
pub use tessera_datasets as datasets;
