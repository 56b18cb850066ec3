//! The decoder of structure: from latent numbers on a small grid to occupancy on one four times as fine. It is that of TRELLIS (Xiang et al., 2024).
//!
//! Convolutions on a full grid are the sparse ones' kernels with all sites there; beyond the border there is none, which is their padding with zeros.

use super::super::model::Maker;
use super::super::tape::{Initial, Parameter, Parameters, Tape, Var};
use super::config::DenseVae;
use super::layers::{Norm, alone};
use super::weights::Wanted;
use crate::Result;
use std::sync::Arc;
use tessera_kernels::dense::Activation;
use tessera_kernels::sparse_conv::{CHILDREN, Neighbours, Sites};

/// Added to variances.
const EPSILON: f32 = 1e-5;
/// Children along a side.
const TWO: usize = 2;

/// A convolution of 3³ on a full grid.
#[derive(Clone, Copy, Debug)]
struct Conv {
    weight: Parameter,
    bias: Parameter,
}

#[derive(Clone, Copy, Debug)]
struct ResBlock {
    norms: [Norm; 2],
    convs: [Conv; 2],
}

#[derive(Clone, Copy, Debug)]
enum Layer {
    Res(ResBlock),
    /// To twice the resolution and so many channels.
    Up(Conv, usize),
}

/// The decoder.
pub struct DenseDecoder {
    latent: usize,
    input: Conv,
    layers: Vec<Layer>,
    norm: Norm,
    output: Conv,
}

impl Conv {
    fn new(maker: &mut Maker<'_>, name: &str, [inputs, outputs]: [usize; 2], side: usize) -> Self {
        let shape = [outputs, inputs, side, side, side];
        let weight = maker.add(&format!("{name}.weight"), &shape, Initial::Zeros);
        Self { weight, bias: maker.add(&format!("{name}.bias"), &[outputs], Initial::Zeros) }
    }

    /// The weights as the sparse convolution wants them: by neighbour, x fastest, then input, then output.
    fn turn(self, parameters: &mut Parameters) {
        let &[outputs, inputs, side, ..] = parameters.shape(self.weight) else { return };
        let values = parameters.values(self.weight);
        let mut turned = vec![0.0; values.len()];
        for (row, values) in values.chunks_exact(side.pow(3)).enumerate() {
            let (output, input) = (row / inputs, row % inputs);
            for (k, value) in values.iter().enumerate() {
                let [x, y, z] = [k / (side * side), k / side % side, k % side];
                let neighbour = x + side * (y + side * z);
                turned[(neighbour * inputs + input) * outputs + output] = *value;
            }
        }
        parameters.replace(self.weight, &[side.pow(3), inputs, outputs], turned);
    }

    fn run(self, tape: &mut Tape<'_>, x: Var, neighbours: &Arc<Neighbours>) -> Var {
        tape.convolution(x, neighbours, self.weight, self.bias)
    }
}

impl ResBlock {
    fn new(maker: &mut Maker<'_>, channels: usize) -> Self {
        let norms = ["norm1", "norm2"].map(|name| Norm::new(maker, name, channels, EPSILON));
        let convs = ["conv1", "conv2"].map(|name| Conv::new(maker, name, [channels; 2], 3));
        Self { norms, convs }
    }

    fn run(&self, tape: &mut Tape<'_>, x: Var, neighbours: &Arc<Neighbours>) -> Var {
        let mut h = x;
        for (norm, conv) in self.norms.iter().zip(self.convs) {
            h = norm.run(tape, h);
            h = tape.activation(h, Activation::Silu);
            h = conv.run(tape, h, neighbours);
        }
        tape.add(x, h)
    }
}

impl DenseDecoder {
    /// With what its file must hold.
    pub(super) fn new(config: &DenseVae) -> (Self, Wanted) {
        let mut wanted = Wanted { prefix: "vae.", ..Wanted::default() };
        declare_encoder(config, &mut wanted.unread);
        let maker = &mut Maker { parameters: &mut wanted.parameters, rng: None, prefix: "decoder.".to_owned() };
        let levels = &config.model_channels_decoder;
        let input = Conv::new(maker, "input_layer", [config.embed_dim, levels[0]], 3);
        let middle = config.num_res_blocks_middle_decoder;
        let mut layers: Vec<Layer> = (0..middle)
            .map(|i| Layer::Res(ResBlock::new(&mut maker.part(&format!("middle_block.{i}")), levels[0])))
            .collect();
        let mut number = 0;
        for (level, channels) in levels.iter().enumerate() {
            for _ in 0..config.num_res_blocks_decoder {
                layers.push(Layer::Res(ResBlock::new(&mut maker.part(&format!("blocks.{number}")), *channels)));
                number += 1;
            }
            if let Some(next) = levels.get(level + 1) {
                let conv = Conv::new(maker, &format!("blocks.{number}.conv"), [*channels, CHILDREN * next], 3);
                layers.push(Layer::Up(conv, *next));
                number += 1;
            }
        }
        let last = levels[levels.len() - 1];
        let norm = Norm::new(maker, "out_layer.0", last, EPSILON);
        let output = Conv::new(maker, "out_layer.2", [last, config.out_channels], 3);
        (Self { latent: config.embed_dim, input, layers, norm, output }, wanted)
    }

    /// Turns weights that were read from a file.
    pub fn prepare(&self, parameters: &mut Parameters) {
        let of_layers = self.layers.iter().flat_map(|layer| match layer {
            Layer::Res(block) => block.convs.to_vec(),
            Layer::Up(conv, _) => vec![*conv],
        });
        let all: Vec<Conv> = of_layers.chain([self.input, self.output]).collect();
        all.into_iter().for_each(|conv| conv.turn(parameters));
    }

    /// Logits of occupancy, `[S³]`, and S, from latent numbers `[side³, latent]`; z fastest in both.
    ///
    /// # Errors
    /// When a device fails.
    pub fn decode(&self, parameters: &Parameters, latents: Vec<f32>, side: usize) -> Result<(Vec<f32>, usize)> {
        let place = parameters.place();
        let (mut side, mut neighbours) = (side, neighbours_on(side));
        let (mut channels, x) = (self.latent, place.give(latents)?);
        let mut x = alone(parameters, x, channels, |tape, x| self.input.run(tape, x, &neighbours))?;
        channels = x.len() / side.pow(3);
        for layer in &self.layers {
            match layer {
                Layer::Res(block) => {
                    x = alone(parameters, x, channels, |tape, x| block.run(tape, x, &neighbours))?;
                }
                Layer::Up(conv, next) => {
                    x = alone(parameters, x, channels, |tape, x| conv.run(tape, x, &neighbours))?;
                    x = place.give(spread(&place.read(&x)?, side, *next))?;
                    (side, channels) = (TWO * side, *next);
                    neighbours = neighbours_on(side);
                }
            }
        }
        let logits = alone(parameters, x, channels, |tape, x| {
            let h = self.norm.run(tape, x);
            let h = tape.activation(h, Activation::Silu);
            self.output.run(tape, h, &neighbours)
        })?;
        Ok((place.read(&logits)?.to_vec(), side))
    }
}

fn neighbours_on(side: usize) -> Arc<Neighbours> {
    let side = side as i32;
    let sites = (0..side.pow(3)).map(|i| [0, i / (side * side), i / side % side, i % side]).collect();
    Arc::new(Sites::new(sites).neighbours())
}

/// Channels to the eight children of their voxel: channel `8 c + 4 i + 2 j + k` is channel c of child (i, j, k).
fn spread(x: &[f32], side: usize, channels: usize) -> Vec<f32> {
    let fine = TWO * side;
    let mut out = vec![0.0; x.len()];
    for (i, row) in out.chunks_exact_mut(channels).enumerate() {
        let at = [i / (fine * fine), i / fine % fine, i % fine];
        let child = at.iter().fold(0, |child, x| TWO * child + x % TWO);
        let parent = at.iter().fold(0, |parent, x| parent * side + x / TWO);
        let values = &x[parent * CHILDREN * channels..][..CHILDREN * channels];
        row.iter_mut().zip(values[child..].iter().step_by(CHILDREN)).for_each(|(out, x)| *out = *x);
    }
    out
}

/// The encoder's tensors, of which nothing is needed to make shapes.
fn declare_encoder(config: &DenseVae, unread: &mut Parameters) {
    let maker = &mut Maker { parameters: unread, rng: None, prefix: "encoder.".to_owned() };
    let levels = &config.model_channels_encoder;
    Conv::new(maker, "input_layer", [config.in_channels, levels[0]], 3);
    let mut number = 0;
    for (level, channels) in levels.iter().enumerate() {
        for _ in 0..config.num_res_blocks_encoder {
            ResBlock::new(&mut maker.part(&format!("blocks.{number}")), *channels);
            number += 1;
        }
        if let Some(next) = levels.get(level + 1) {
            Conv::new(maker, &format!("blocks.{number}.conv"), [*channels, *next], TWO);
            number += 1;
        }
    }
    let last = levels[levels.len() - 1];
    for i in 0..config.num_res_blocks_middle_encoder {
        ResBlock::new(&mut maker.part(&format!("middle_block.{i}")), last);
    }
    Norm::new(maker, "out_layer.0", last, EPSILON);
    Conv::new(maker, "out_layer.2", [last, 2 * config.embed_dim], 3);
}
