//! Anchors and the decoder that turns each of them into a few Gaussians for one view.
//!
//! An anchor has a place `x`, a feature `f` of `F` numbers, `k` offsets `O` and six logarithms of scales `l`. Seen from `c`, along
//! `d = (x - c) / |x - c|`, three small networks decode `v = (f, d)`, each `Linear(F + 3, 32)`, relu, `Linear(32, ·)`:
//!
//! ```text
//! opacity       α_i = tanh(·)                                  k numbers; where α_i ≤ 0 there is no Gaussian
//! covariance    s_i = e^(l_3..6) sigmoid(·),  q_i = · / |·|    7 k numbers, for each Gaussian three and four
//! colour        rgb_i = sigmoid(·)                             3 k numbers
//! mean          μ_i = x + O_i e^(l_0..3)
//! ```
//!
//! Lu et al., "Scaffold-GS: Structured 3D Gaussians for View-Adaptive Rendering", 2024. Gradients are those of these formulas, that of
//! the direction by the place of the anchor included.
//!
//! [`consistency()`] is how far what one decoder makes is from what another makes of the same anchors, and [`follow`] how a teacher
//! follows its student: Fan et al., "Momentum-GS: Momentum Gaussian Self-Distillation for High-Quality Large Scene
//! Reconstruction", 2025.
//!
//! `cpu` is the SIMD and multi-threaded implementation: layers are those of [`crate::mlp`], with biases as weights of an input
//! that is 1. Sums over anchors are taken in an order that does not depend on the number of threads. [`cuda`] has the same on a device.

mod activate;
mod consistency;
mod cpu;
pub mod cuda;
mod packed;
#[cfg(test)]
mod tests;

pub use consistency::{consistency, follow};
pub use cpu::Decoding;

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Units of the hidden layers.
pub const HIDDEN: usize = 32;
/// Numbers for the size of a Gaussian and its rotation.
const COVARIANCE: usize = 7;

/// One of the three networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Of opacity.
    Opacity,
    /// Of scales and rotation.
    Covariance,
    /// Of colour.
    Colour,
}

impl Head {
    /// All of them, in the order of their parameters.
    pub const ALL: [Self; 3] = [Self::Opacity, Self::Covariance, Self::Colour];

    /// Numbers that it makes for each Gaussian.
    pub fn outputs(self) -> usize {
        match self {
            Self::Opacity => 1,
            Self::Covariance => COVARIANCE,
            Self::Colour => 3,
        }
    }
}

/// The shape of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorDecoder {
    /// `F`, numbers of an anchor's feature.
    pub features: usize,
    /// `k`, Gaussians of an anchor.
    pub offsets: usize,
}

impl AnchorDecoder {
    /// Numbers that the networks are given.
    pub fn inputs(&self) -> usize {
        self.features + 3
    }

    /// Numbers that a network makes for an anchor.
    pub fn outputs(&self, head: Head) -> usize {
        head.outputs() * self.offsets
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.head(Head::Colour).end
    }

    /// Where the parameters of a network lie among all: `[32, F + 3]` weights, `[32]` biases, `[out, 32]` weights, `[out]` biases.
    pub fn head(&self, head: Head) -> Range<usize> {
        let [w1, .., b2] = self.tensors(head);
        w1.start..b2.end
    }

    /// Where the four tensors of a network lie among all parameters.
    pub fn tensors(&self, head: Head) -> [Range<usize>; 4] {
        let sizes = |head: Head| {
            let out = self.outputs(head);
            [HIDDEN * self.inputs(), HIDDEN, out * HIDDEN, out]
        };
        let before = Head::ALL.into_iter().take_while(|other| *other != head);
        let mut at: usize = before.map(|head| sizes(head).iter().sum::<usize>()).sum();
        sizes(head).map(|size| {
            at += size;
            at - size..at
        })
    }
}

/// `A` anchors, borrowed from whoever trains them.
#[derive(Clone, Copy, Debug)]
pub struct Anchors<'a> {
    /// `[A, 3]`, world units.
    pub positions: &'a [f32],
    /// `[A, k, 3]`, in units of the first three scales.
    pub offsets: &'a [f32],
    /// `[A, 6]`, natural logarithms, of world units: three for the offsets, three for the Gaussians.
    pub log_scaling: &'a [f32],
    /// `[A, F]`
    pub features: &'a [f32],
}

/// From where anchors are looked at.
#[derive(Clone, Copy, Debug)]
pub enum Gaze<'a> {
    /// All from one place.
    From([f32; 3]),
    /// `[V, 3]`: each along a unit vector of its own.
    Along(&'a [f32]),
}

/// Which Gaussians are made.
#[derive(Clone, Copy, Debug)]
pub enum Keep<'a> {
    /// Those whose opacity is positive.
    Opaque,
    /// These, ascending: what another decoder kept.
    Slots(&'a [u32]),
}

/// What `V` decoded anchors became. A slot is the number of a decoded anchor times `k`, plus the number of the offset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gaussians {
    /// `[V, k]`, those that are not kept included.
    pub opacities: Vec<f32>,
    /// `[M]`, the slots of what is kept, ascending.
    pub kept: Vec<u32>,
    /// `[M, 3]`, world units.
    pub means: Vec<f32>,
    /// `[M, 3]`, standard deviations, world units.
    pub scales: Vec<f32>,
    /// `[M, 4]`, (w, x, y, z), of length 1.
    pub quats: Vec<f32>,
    /// `[M, 3]`, 0 to 1.
    pub colours: Vec<f32>,
}

/// The gradient of a loss with respect to [`Gaussians`].
#[derive(Clone, Debug, Default)]
pub struct GaussianGradients {
    /// `[V, k]`
    pub opacities: Vec<f32>,
    /// `[M, 3]`
    pub means: Vec<f32>,
    /// `[M, 3]`
    pub scales: Vec<f32>,
    /// `[M, 4]`
    pub quats: Vec<f32>,
    /// `[M, 3]`
    pub colours: Vec<f32>,
}

impl GaussianGradients {
    /// Zeros, as many as there are Gaussians.
    pub fn clear(&mut self, gaussians: &Gaussians) {
        let fields = [
            (&mut self.opacities, gaussians.opacities.len()),
            (&mut self.means, gaussians.means.len()),
            (&mut self.scales, gaussians.scales.len()),
            (&mut self.quats, gaussians.quats.len()),
            (&mut self.colours, gaussians.colours.len()),
        ];
        for (field, len) in fields {
            field.clear();
            field.resize(len, 0.0);
        }
    }
}

/// The gradient with respect to what was decoded, a row for each of the `V` decoded anchors, and to the decoder.
#[derive(Clone, Debug, Default)]
pub struct AnchorGradients {
    /// `[V, 3]`
    pub positions: Vec<f32>,
    /// `[V, k, 3]`
    pub offsets: Vec<f32>,
    /// `[V, 6]`
    pub log_scaling: Vec<f32>,
    /// `[V, F]`
    pub features: Vec<f32>,
    /// As [`AnchorDecoder::tensors`] says.
    pub decoder: Vec<f32>,
}
