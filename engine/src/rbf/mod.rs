//! Fields of radial basis functions: images, shapes and radiance in one small representation that is quick to fit and to ask.
//!
//! Features of grids and, where wanted, of kernels in space are decoded by a few dozen Gaussians in the space of features
//! ([`tessera_kernels::rbf`]) in place of a network's layers.
//!
//! - [`encoding`], [`field`]: where features come from, and what they become.
//! - [`learner`], [`device`]: one step towards what samples want, on the CPU and on a device; [`descent`]: Adam for what all fields have.
//! - [`shape`]: a triangle mesh as a signed distance function.
//! - [`image`]: a picture.
//! - [`radiance`]: what photos of a scene see.
//! - [`file`](mod@file): all of them as files.

pub mod descent;
pub mod device;
pub mod encoding;
pub mod field;
pub mod file;
pub mod image;
pub mod learner;
mod packed;
pub mod radiance;
pub mod shape;

#[cfg(test)]
mod tests;
