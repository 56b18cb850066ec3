//! The networks of generation, in the small: an autoencoder of distances, and two diffusion transformers.

mod autoencoder;
mod layers;
mod tokens;
mod transformer;

pub use autoencoder::{Autoencoder, AutoencoderShape, Grid, divergence};
pub use layers::{Compression, Conv, Linear, Looked, Maker, Mlp, SparseAttention};
pub use tokens::{BlockSizes, Tokens, Window};
pub use transformer::{DetailModel, SparseShape, StructureModel, TransformerShape, waves_of_place, waves_of_time};
