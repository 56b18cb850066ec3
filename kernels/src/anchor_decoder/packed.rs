//! A network's parameters as the layers of [`Mlp`] take them: biases are the weights of an input, and of a hidden unit, that is 1.

use super::{AnchorDecoder, HIDDEN, Head};
use crate::mlp::Mlp;
use std::ops::Range;

/// Units of the hidden layer with the one that is 1, and zeros up to a multiple of four.
const PADDED: usize = (HIDDEN + 1).next_multiple_of(4);

/// The layers of a network and how its parameters lie in them.
#[derive(Clone, Debug)]
pub(super) struct Packing {
    pub mlp: Mlp,
    tensors: [Range<usize>; 4],
    inputs: usize,
}

impl Packing {
    pub fn new(decoder: &AnchorDecoder, head: Head) -> Self {
        let widths = [input_width(decoder), PADDED, decoder.outputs(head).next_multiple_of(4)];
        Self { mlp: Mlp::new(&widths), tensors: decoder.tensors(head), inputs: decoder.inputs() }
    }

    /// Rows of the last layer.
    pub fn rows(&self) -> usize {
        self.mlp.widths()[2]
    }

    /// The layers' weights.
    pub fn pack(&self, parameters: &[f32], weights: &mut Vec<f32>) {
        weights.clear();
        weights.resize(self.mlp.weights(), 0.0);
        self.for_each(&mut |parameter, weight| weights[weight] = parameters[parameter]);
        // The hidden unit that is 1.
        weights[HIDDEN * self.mlp.widths()[0] + self.inputs] = 1.0;
    }

    /// The gradient of the parameters, from that of the layers' weights.
    pub fn unpack(&self, weights: &[f32], parameters: &mut [f32]) {
        self.for_each(&mut |parameter, weight| parameters[parameter] = weights[weight]);
    }

    /// Every parameter with the weight that it is.
    fn for_each(&self, pair: &mut dyn FnMut(usize, usize)) {
        let second = self.mlp.matrix(1).start;
        let layers = [(0, self.inputs, self.mlp.widths()[0]), (second, HIDDEN, PADDED)];
        for ((start, columns, stride), [matrix, bias]) in layers.into_iter().zip(self.tensors.as_chunks::<2>().0) {
            for row in 0..bias.len() {
                for column in 0..columns {
                    pair(matrix.start + row * columns + column, start + row * stride + column);
                }
                pair(bias.start + row, start + row * stride + columns);
            }
        }
    }
}

/// Numbers of the input: feature, direction, 1, and zeros up to a multiple of four.
pub(super) fn input_width(decoder: &AnchorDecoder) -> usize {
    (decoder.inputs() + 1).next_multiple_of(4)
}
