//! Gaussians in space and time, sliced at a moment, and the gradient of the slice.
//!
//! [`tessera_camera::spacetime`] has the mathematics: of each of `N` Gaussians (17 numbers: mean 3, time 1, scales 4, two
//! quaternions of 4, opacity 1) a moment shows a mean, a covariance and an opacity, 10 numbers, which
//! [`crate::splat::Rasterizer`] draws as [`crate::splat::Ellipsoids`]. Below a share of [`MIN_TIME_WEIGHT`] of its opacity a
//! Gaussian is not there: its opacity is zero, and so is its gradient.
//!
//! - [`slice()`]: reads 68 bytes and writes 40 for each Gaussian, about 260 operations, most of them for the rotation of four
//!   dimensions.
//! - [`slice_backward`]: reads 108 bytes and writes 68, about 700 operations, those of the slice again among them.
//!
//! On a device [`cuda::Trained4d`] does both, and descends.
//!
//! Both take the Gaussians that may be there as a list of rows and answer in the order of the list, so that their cost is
//! that of the list, however many there are. Nothing is summed over Gaussians: results do not depend on the number of threads.

mod backward;
mod cpu;
pub mod cuda;

pub use backward::{SeenGradient, ShapeGradient, condition_backward};
pub use cpu::{slice, slice_backward};
pub use tessera_camera::spacetime::MIN_TIME_WEIGHT;

use crate::splat::{Ellipsoids, SplatGradients};

/// Numbers of a [`Slice`] for each Gaussian.
pub(crate) const SLICED: usize = 10;

/// The geometry of `N` Gaussians, borrowed from whoever trains or shows them.
#[derive(Clone, Copy, Debug)]
pub struct Gaussians4d<'a> {
    /// `[N, 3]`, world units, at the Gaussian's own time.
    pub means: &'a [f32],
    /// `[N]`, seconds.
    pub times: &'a [f32],
    /// `[N, 3]`, natural logarithm of the standard deviations along the first three axes.
    pub log_scales: &'a [f32],
    /// `[N]`, the same along the fourth; from [`tessera_camera::spacetime::FOREVER`] on the Gaussian is static.
    pub log_time_scales: &'a [f32],
    /// `[N, 4]`, normalised inside.
    pub left_quats: &'a [f32],
    /// `[N, 4]`, normalised inside.
    pub right_quats: &'a [f32],
    /// `[N]`, opacity before the sigmoid.
    pub opacity_logits: &'a [f32],
}

/// What `M` Gaussians look like at a moment.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// `[M, 3]`, world units.
    pub means: Vec<f32>,
    /// `[M, 6]`, xx, xy, xz, yy, yz, zz.
    pub covariances: Vec<f32>,
    /// `[M]`, 0 to 1; zero for what is not there.
    pub opacities: Vec<f32>,
}

impl Slice {
    /// With colours, as the rasteriser takes them.
    pub fn ellipsoids<'a>(&'a self, sh0: &'a [f32], sh_rest: &'a [f32], sh_degree: u8) -> Ellipsoids<'a> {
        let Self { means, covariances, opacities } = self;
        Ellipsoids { means, covariances, opacities, sh0, sh_rest, sh_degree }
    }
}

/// The gradient of a loss with respect to a [`Slice`].
#[derive(Clone, Copy, Debug)]
pub struct SliceGradient<'a> {
    /// `[M, 3]`
    pub means: &'a [f32],
    /// `[M, 6]`, off-diagonals counted once.
    pub covariances: &'a [f32],
    /// `[M]`
    pub opacities: &'a [f32],
}

impl<'a> From<&'a SplatGradients> for SliceGradient<'a> {
    fn from(gradients: &'a SplatGradients) -> Self {
        let SplatGradients { means, covariances, opacities, .. } = gradients;
        Self { means, covariances, opacities }
    }
}

/// The gradient with respect to the listed rows of [`Gaussians4d`], in the order of the list.
#[derive(Clone, Debug, Default)]
pub struct Gradients4d {
    /// `[M, 3]`
    pub means: Vec<f32>,
    /// `[M]`
    pub times: Vec<f32>,
    /// `[M, 3]`
    pub log_scales: Vec<f32>,
    /// `[M]`, zero for static ones.
    pub log_time_scales: Vec<f32>,
    /// `[M, 4]`, with respect to the unnormalised quaternion.
    pub left_quats: Vec<f32>,
    /// `[M, 4]`, the same; zero for static ones.
    pub right_quats: Vec<f32>,
    /// `[M]`
    pub opacity_logits: Vec<f32>,
}
