//! The three networks as one, whose hidden layers lie one below the other: one product for all three.

use super::super::{AnchorDecoder, HIDDEN, Head};
use crate::mlp::Mlp;

/// Hidden units of all three, and the one that is 1.
const UNITS: usize = Head::ALL.len() * HIDDEN;

/// The network and where the parameters of a decoder lie in it; all other weights are 0, but for one that makes the hidden 1.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub mlp: Mlp,
    decoder: AnchorDecoder,
}

impl Network {
    pub fn new(decoder: AnchorDecoder) -> Self {
        let outputs: usize = Head::ALL.iter().map(|&head| decoder.outputs(head)).sum();
        let widths = [decoder.inputs() + 1, UNITS + 1, outputs].map(|width| width.next_multiple_of(4));
        Self { mlp: Mlp::new(&widths), decoder }
    }

    /// Rows of its input.
    pub fn inputs(&self) -> usize {
        self.mlp.widths()[0]
    }

    /// Writes the weights that a decoder's parameters are; the others stay as they are, which is 0 at first.
    pub fn pack(&self, parameters: &[f32], weights: &mut [f32]) {
        self.for_each(&mut |parameter, weight| weights[weight] = parameters[parameter]);
        weights[UNITS * self.inputs() + self.decoder.inputs()] = 1.0;
    }

    /// The gradient of the parameters, from that of the weights.
    pub fn unpack(&self, weights: &[f32], parameters: &mut Vec<f32>) {
        parameters.resize(self.decoder.parameters(), 0.0);
        self.for_each(&mut |parameter, weight| parameters[parameter] = weights[weight]);
    }

    /// Every parameter with the weight that it is.
    fn for_each(&self, pair: &mut dyn FnMut(usize, usize)) {
        let (inputs, second) = (self.decoder.inputs(), self.mlp.matrix(1).start);
        let [width, hidden, _] = [0, 1, 2].map(|layer| self.mlp.widths()[layer]);
        let mut first_output = 0;
        for (number, head) in Head::ALL.into_iter().enumerate() {
            let [w1, b1, w2, b2] = self.decoder.tensors(head);
            let unit = HIDDEN * number;
            for row in 0..HIDDEN {
                let at = (unit + row) * width;
                (0..inputs).for_each(|column| pair(w1.start + row * inputs + column, at + column));
                pair(b1.start + row, at + inputs);
            }
            for row in 0..b2.len() {
                let at = second + (first_output + row) * hidden;
                (0..HIDDEN).for_each(|column| pair(w2.start + row * HIDDEN + column, at + unit + column));
                pair(b2.start + row, at + UNITS);
            }
            first_output += b2.len();
        }
    }
}
