//! Rendering Gaussian splats and its gradient.
//!
//! A set of `N` 3D Gaussians is projected through a lens (EWA, [`crate::camera_projection`]), coloured by spherical
//! harmonics, sorted by depth and composited front to back:
//!
//! - `alpha_i = min(0.999, opacity_i exp(-½ dᵀ conic d))`, contributions below 1/255 are skipped;
//! - a pixel stops before the splat that would take its transmittance below 1e-4;
//! - `rgb = Σ w_i c_i + T background` with `w_i = T_i alpha_i`, `depth = Σ w_i z_i`.
//!
//! Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering", 2023; the antialiased variant is
//! Yu et al., "Mip-Splatting", 2024. Gradients are the true derivatives of this function: nothing is detached.
//!
//! How the CPU computes it:
//!
//! 1. `project`: eight splats at a time to 64-byte records, visible ones compacted;
//! 2. `tiles`: radix sort by depth, exact ellipse-against-tile culling, one depth-ordered list for each tile;
//! 3. `rasterize`: a tile at a time in L1 cache, each splat row by row over just the pixels that it touches;
//! 4. `backward`: the tiles again, front to back, nine sums for each (splat, tile), then back through the projection.
//!
//! Every sum is taken in an order that does not depend on the number of threads.

mod cpu;
pub mod cuda;
pub mod spherical_harmonics;

pub use crate::camera_projection::View;
pub use cpu::{Counts, Primitives, Rasterizer};

/// Contributions with less opacity than this are skipped.
pub const MIN_ALPHA: f32 = 1.0 / 255.0;
/// No splat covers a pixel more than this.
pub const MAX_ALPHA: f32 = 0.999;
/// A pixel is finished before its transmittance would fall below this.
pub const MIN_TRANSMITTANCE: f32 = 1e-4;

/// The parameters of `N` splats, borrowed from whoever trains or shows them.
#[derive(Clone, Copy, Debug)]
pub struct Splats<'a> {
    /// `[N, 3]`, world units.
    pub means: &'a [f32],
    /// `[N, 3]`, natural logarithm of the standard deviations.
    pub log_scales: &'a [f32],
    /// `[N, 4]`, (w, x, y, z), normalised inside.
    pub quats: &'a [f32],
    /// `[N]`, opacity before the sigmoid.
    pub opacity_logits: &'a [f32],
    /// `[N, 3]`, degree-0 coefficients.
    pub sh0: &'a [f32],
    /// `[N, K - 1, 3]` with `K = (sh_degree + 1)²`.
    pub sh_rest: &'a [f32],
    /// Degree that `sh_rest` has room for, 0 to 3.
    pub sh_degree: u8,
    /// `[N]`, standard deviation in world units of a 3D low-pass filter (Mip-Splatting): every scale becomes
    /// `sqrt(s² + f²)` and the opacity shrinks by the ratio of volumes.
    pub filter_3d: Option<&'a [f32]>,
}

impl Splats<'_> {
    /// Number of splats.
    pub fn len(&self) -> usize {
        self.opacity_logits.len()
    }

    /// True when there are no splats.
    pub fn is_empty(&self) -> bool {
        self.opacity_logits.is_empty()
    }
}

/// `N` Gaussians by their covariances, with their harmonics: what is seen of Gaussians in space and time at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Ellipsoids<'a> {
    /// `[N, 3]`, world units.
    pub means: &'a [f32],
    /// `[N, 6]`, xx, xy, xz, yy, yz, zz, square world units.
    pub covariances: &'a [f32],
    /// `[N]`, 0 to 1.
    pub opacities: &'a [f32],
    /// As in [`Splats`].
    pub sh0: &'a [f32],
    /// As in [`Splats`].
    pub sh_rest: &'a [f32],
    /// As in [`Splats`].
    pub sh_degree: u8,
}

/// How splats are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RenderSettings {
    /// Harmonics above this degree are ignored; at most `Splats::sh_degree`.
    pub active_sh_degree: u8,
    /// Scale opacity so that the screen-space low-pass filter keeps a splat's total light.
    pub antialiased: bool,
    /// Colour behind everything.
    pub background: [f32; 3],
    /// Splats nearer than this along the camera's axis are dropped, world units.
    pub near: f32,
    /// Also accumulate depth, and allow its gradient.
    pub depth: bool,
    /// Also find the depth at which transmittance crosses one half.
    pub median_depth: bool,
}

impl Default for RenderSettings {
    fn default() -> Self {
        Self {
            active_sh_degree: 3,
            antialiased: false,
            background: [0.0; 3],
            near: 0.2,
            depth: false,
            median_depth: false,
        }
    }
}

/// A rendered picture. Planes are row-major.
#[derive(Clone, Debug, Default)]
pub struct Rendering {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `[3, H, W]`, not clamped.
    pub rgb: Vec<f32>,
    /// `[H, W]`, what is left of the light from behind: 1 - alpha.
    pub transmittance: Vec<f32>,
    /// `[H, W]`, Σ w z; empty unless asked for. Divide by alpha for the expected depth.
    pub depth: Vec<f32>,
    /// `[H, W]`, zero where transmittance never falls below one half; empty unless asked for.
    pub median_depth: Vec<f32>,
}

/// The gradient of a loss with respect to a [`Rendering`].
#[derive(Clone, Copy, Debug)]
pub struct RenderingGradient<'a> {
    /// `[3, H, W]`
    pub rgb: &'a [f32],
    /// `[H, W]`, with respect to alpha = 1 - transmittance.
    pub alpha: Option<&'a [f32]>,
    /// `[H, W]`, with respect to the accumulated depth; needs [`RenderSettings::depth`].
    pub depth: Option<&'a [f32]>,
    /// `[H, W]`, an image of errors: each splat's [`SplatGradients::scores`] is its sum weighted by `w`.
    pub score: Option<&'a [f32]>,
}

/// Gradients with respect to [`Splats`] or [`Ellipsoids`], and what else one backward pass finds out. The tensors that the
/// other kind has are empty.
#[derive(Clone, Debug, Default)]
pub struct SplatGradients {
    /// `[N, 3]`
    pub means: Vec<f32>,
    /// `[N, 3]`
    pub log_scales: Vec<f32>,
    /// `[N, 4]`, with respect to the unnormalised quaternion.
    pub quats: Vec<f32>,
    /// `[N]`
    pub opacity_logits: Vec<f32>,
    /// `[N, 6]`, off-diagonals counted once.
    pub covariances: Vec<f32>,
    /// `[N]`
    pub opacities: Vec<f32>,
    /// `[N, 3]`
    pub sh0: Vec<f32>,
    /// `[N, K - 1, 3]`
    pub sh_rest: Vec<f32>,
    /// `[N]`, Σ w score over the pixels; zero without a score image.
    pub scores: Vec<f32>,
    /// `[N]`, length of the gradient with respect to the projected mean, in pixels.
    pub mean2d_norms: Vec<f32>,
    /// With respect to a left perturbation (ρ, φ) of `camera_from_world`.
    pub pose: [f32; 6],
}
