//! Surfaces of signed distance functions as semi-transparent samples along rays (Wang et al., "NeuS", 2021).
//!
//! For a sample with distance `f`, cosine `cos = ⟨direction, ∇f⟩`, step `δ` and sharpness `s`:
//!
//! ```text
//! c = -((1 - a) relu(½ - ½ cos) + a relu(-cos))         a: annealing, 1 when done
//! p = σ(s (f - c δ/2))      q = σ(s (f + c δ/2))        the surface's density passed before and after the step
//! α = clamp((p - q + 1e-5) / (p + 1e-5), 0, 1)
//! ```
//!
//! Samples are blended front to back: `w = T α`, `C += w rgb`, `T ← T (1 - α)`; a ray ends after the sample that brings `T` below `1e-4`, and
//! else what is left of it sees the background. Gradients are those of exactly this, also while `a < 1`.
//! [`cuda`] does so on a device.

mod alpha;
mod composite;
pub mod cuda;

pub use alpha::{AlphaPartials, alpha};
pub use composite::{Blended, Ray, RayGradient, blend, blend_backward, weights};

/// A ray ends when less than this passes.
pub const STOP: f32 = 1e-4;
