//! Small fully connected networks without biases: `h_k = relu(W_k h_{k-1})`, the last layer without the relu.
//!
//! Weights are `[out, in]` matrices, one after the other; widths are multiples of four (zeros pad). Samples come in blocks of sixteen,
//! `[blocks, width, 16]`: a layer is a matrix product whose inner loop takes four outputs of sixteen samples, eight registers of sums
//! for six loads, and rows of one block fill whole cache lines. Callers take tiles of blocks that fit the second-level cache and give each tile to
//! one thread.
//!
//! Five passes are all that training needs, each a sum of `out · in` products per layer and sample:
//!
//! ```text
//! forward           h_k = relu(W_k h_{k-1})
//! back              d_{k-1} = D_{k-1} W_kᵀ d_k                       D_k: where h_k > 0
//! sensitivity       b_k, as back from the unit vector of one output y_o; b_0 = ∂y_o/∂h_0
//! tangent           f_k = D_k W_k f_{k-1}                            from f_0 = ∂L/∂b_0
//! weight gradient   ∂L/∂W_k += d_k h_{k-1}ᵀ (first order) or b_k f_{k-1}ᵀ (second order)
//! ```
//!
//! The second order is what a loss of the gradient of a network needs. The relu is linear almost everywhere, so nothing else
//! flows back.
//!
//! [`cuda`] has the same passes on a device.

mod blocks;
pub mod cuda;
mod passes;

pub use blocks::{BLOCK, Rows, blocks_for, from_blocks, to_blocks};

use std::ops::Range;

/// The shape of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mlp {
    widths: Vec<usize>,
}

/// What a pass computes for a tile: `[blocks, width, 16]` for the input and each layer. Kept between tiles.
#[derive(Clone, Debug, Default)]
pub struct Activations {
    /// The input first.
    pub layers: Vec<Vec<f32>>,
}

impl Mlp {
    /// A network whose input and layers have these widths.
    ///
    /// # Panics
    /// When there are less than two, or one is not a multiple of four.
    pub fn new(widths: &[usize]) -> Self {
        assert!(widths.len() >= 2 && widths.iter().all(|w| *w > 0 && w % 4 == 0), "widths must be multiples of four");
        Self { widths: widths.to_vec() }
    }

    /// Widths of input and layers.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.widths.len() - 1
    }

    /// Number of weights.
    pub fn weights(&self) -> usize {
        self.matrix(self.layers() - 1).end
    }

    /// Where the matrix of layer `k`, counted from 0, lies among the weights.
    pub fn matrix(&self, k: usize) -> Range<usize> {
        let before: usize = self.widths.windows(2).take(k).map(|w| w[0] * w[1]).sum();
        before..before + self.widths[k] * self.widths[k + 1]
    }

    /// Makes room for so many blocks.
    pub fn make_room(&self, blocks: usize, activations: &mut Activations) {
        activations.layers.resize_with(self.widths.len(), Vec::new);
        for (layer, width) in activations.layers.iter_mut().zip(&self.widths) {
            layer.resize(blocks * width * BLOCK, 0.0);
        }
    }

    /// From the input in `h.layers[0]` to all layers.
    pub fn forward(&self, weights: &[f32], h: &mut Activations) {
        for k in 0..self.layers() {
            let (before, after) = h.layers.split_at_mut(k + 1);
            let relu = if k + 1 < self.layers() { passes::Gate::Relu } else { passes::Gate::Open };
            passes::layer(&weights[self.matrix(k)], self.shape(k), &before[k], &mut after[0], relu, &[]);
        }
    }

    /// From the gradient of the output, in the last of `d.layers`, to those of all layers; that of the input only if `to_input`.
    pub fn back(&self, weights: &[f32], h: &Activations, d: &mut Activations, to_input: bool) {
        self.back_from(self.layers(), weights, h, d, to_input);
    }

    /// The derivative of output `output` by every layer but the last and by the input.
    pub fn sensitivity(&self, weights: &[f32], h: &Activations, output: usize, b: &mut Activations) {
        let last = self.layers() - 1;
        let row = &weights[self.matrix(last)][output * self.widths[last]..][..self.widths[last]];
        let active = if last > 0 { h.layers[last].as_slice() } else { &[] };
        passes::gated_broadcast(row, active, &mut b.layers[last]);
        self.back_from(last, weights, h, b, true);
    }

    fn back_from(&self, from: usize, weights: &[f32], h: &Activations, d: &mut Activations, to_input: bool) {
        for k in (usize::from(!to_input)..from).rev() {
            let (before, after) = d.layers.split_at_mut(k + 1);
            let (gate, active) =
                if k > 0 { (passes::Gate::Where, &h.layers[k][..]) } else { (passes::Gate::Open, &[][..]) };
            passes::transposed_layer(&weights[self.matrix(k)], self.shape(k), &after[0], &mut before[k], gate, active);
        }
    }

    /// From `f.layers[0]` through all layers but the last as they are at `h`.
    pub fn tangent(&self, weights: &[f32], h: &Activations, f: &mut Activations) {
        for k in 0..self.layers() - 1 {
            let (before, after) = f.layers.split_at_mut(k + 1);
            let active = &h.layers[k + 1];
            passes::layer(
                &weights[self.matrix(k)],
                self.shape(k),
                &before[k],
                &mut after[0],
                passes::Gate::Where,
                active,
            );
        }
    }

    /// Adds the gradient of the weights that follows from [`Mlp::forward`] and [`Mlp::back`].
    pub fn weight_gradient(&self, h: &Activations, d: &Activations, gradient: &mut [f32]) {
        for k in 0..self.layers() {
            passes::outer_product(&d.layers[k + 1], &h.layers[k], self.shape(k), &mut gradient[self.matrix(k)]);
        }
    }

    /// Adds the gradient of the weights that follows from [`Mlp::sensitivity`] of `output` and [`Mlp::tangent`].
    pub fn second_order_weight_gradient(&self, b: &Activations, f: &Activations, output: usize, gradient: &mut [f32]) {
        let last = self.layers() - 1;
        for k in 0..last {
            passes::outer_product(&b.layers[k + 1], &f.layers[k], self.shape(k), &mut gradient[self.matrix(k)]);
        }
        let row = &mut gradient[self.matrix(last)][output * self.widths[last]..][..self.widths[last]];
        passes::add_sums(&f.layers[last], row);
    }

    /// `[out, in]` of layer `k`.
    fn shape(&self, k: usize) -> [usize; 2] {
        [self.widths[k + 1], self.widths[k]]
    }
}

#[cfg(test)]
mod tests;
