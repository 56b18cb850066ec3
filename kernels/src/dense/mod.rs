//! What dense layers are made of: products of matrices, normalisation, activations.
//!
//! Matrices are row by row, a row for each token. [`product`] multiplies two of them, either of which may be taken turned around:
//! pieces of both are packed so that the inner loop takes six rows of one and sixteen columns of the other, twelve registers of sums for two loads
//! and six broadcasts. Sums run over pieces of [`INNER`] in order, so results do not depend on the number of threads.
//! [`cuda`] does the same on a device, and what layers do to whole rows.

mod activation;
pub mod cuda;
mod norm;
mod product;

pub use activation::{Activation, activate, activate_backward};
pub use norm::{Normalised, normalise, normalise_backward};
pub use product::{INNER, Matrix, product};

#[cfg(test)]
mod tests;
