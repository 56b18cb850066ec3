//! The autoencoder of distances on sparse voxels.
//!
//! A block of 4³ distances becomes one token of a few numbers, and those become distances again. Both ways go through voxels of half the resolution:
//! `[8 N, 8]` distances, convolution, mean of children, convolution and windows for `N` tokens; and windows, convolution, copies for children,
//! two convolutions back.

use super::super::tape::{Compressed, Parameters, Tape, Var};
use super::layers::{Conv, Linear, Maker, WindowBlock};
use super::tokens::Window;
use rand_pcg::Pcg64;
use std::sync::Arc;
use tessera_kernels::dense::Activation;
use tessera_kernels::sparse_conv::{CHILDREN, Neighbours, Sites};

/// Added to variances of rows.
const EPSILON: f32 = 1e-6;
/// Windows along a side of what is cut into rotated sets.
const SET_WINDOW: usize = 3;
/// Heads of windows.
const HEADS: usize = 4;
/// Logarithms of variances stay between these.
const LOG_VARIANCE: [f32; 2] = [-30.0, 20.0];

/// Sizes of an autoencoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoencoderShape {
    /// Numbers of a token.
    pub latent: usize,
    /// Channels of voxels at half the resolution.
    pub fine: usize,
    /// Channels of tokens inside.
    pub coarse: usize,
    /// Voxels a side of a window.
    pub window: usize,
    /// Tokens of a rotated set, in windows three times as wide; 0 for windows themselves.
    pub set: usize,
}

/// Blocks of several samples, and what layers need to know of them.
#[derive(Clone, Debug)]
pub struct Grid {
    coarse: Arc<Neighbours>,
    fine: Arc<Neighbours>,
    /// Which child comes when in the order of the voxels at half the resolution.
    order: Arc<Vec<u32>>,
    /// When each child comes.
    back: Arc<Vec<u32>>,
    parents: Arc<Compressed>,
    windows: [Window; 2],
}

/// The layers.
#[derive(Clone, Debug)]
pub struct Autoencoder {
    shape: AutoencoderShape,
    encode: [Conv; 2],
    encode_window: WindowBlock,
    mean: Linear,
    log_variance: Linear,
    input: Linear,
    decode_windows: [WindowBlock; 2],
    decode: [Conv; 3],
    output: Linear,
}

impl Grid {
    /// Of blocks (sample, x, y, z), ascending, for an autoencoder of this shape.
    pub fn new(blocks: Vec<[i32; 4]>, shape: AutoencoderShape) -> Self {
        let sites = Sites::new(blocks);
        let children = sites.children();
        let mut order: Vec<u32> = (0..children.len() as u32).collect();
        order.sort_unstable_by_key(|i| children[*i as usize]);
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, child)| back[*child as usize] = i as u32);
        let parents = order.iter().map(|child| child / CHILDREN as u32).collect();
        Self {
            coarse: Arc::new(sites.neighbours()),
            fine: Arc::new(Sites::new(children).neighbours()),
            order: Arc::new(order),
            back: Arc::new(back),
            parents: Arc::new(Compressed { parents, count: sites.len() }),
            windows: match shape.set {
                0 => Window::both(sites.coordinates(), shape.window),
                size => Window::rotated(sites.coordinates(), SET_WINDOW * shape.window, size),
            },
        }
    }
}

impl Autoencoder {
    /// A new one with its parameters.
    pub fn new(shape: AutoencoderShape, rng: &mut Pcg64) -> (Self, Parameters) {
        let mut parameters = Parameters::default();
        let AutoencoderShape { latent, fine, coarse, .. } = shape;
        let mut encoder = Maker { parameters: &mut parameters, rng: Some(&mut *rng), prefix: "encoder.".to_owned() };
        let maker = &mut encoder;
        let encode = [
            Conv::of_neighbours(maker, "conv.0", [CHILDREN, fine]),
            Conv::of_neighbours(maker, "conv.1", [fine, coarse]),
        ];
        let encode_window = WindowBlock::new(&mut maker.part("blocks.0"), coarse, HEADS, false);
        let mean = Linear::new(maker, "mean", [coarse, latent]);
        let log_variance = Linear::zeros(maker, "log_variance", [coarse, latent]);
        let mut decoder = Maker { parameters: &mut parameters, rng: Some(rng), prefix: "decoder.".to_owned() };
        let maker = &mut decoder;
        let input = Linear::new(maker, "input_layer", [latent, coarse]);
        let decode_windows =
            [0, 1].map(|i| WindowBlock::new(&mut maker.part(&format!("blocks.{i}")), coarse, HEADS, i == 1));
        let decode = [("conv.0", [coarse; 2]), ("conv.1", [coarse, fine]), ("conv.2", [fine; 2])]
            .map(|(name, shape)| Conv::of_neighbours(maker, name, shape));
        let output = Linear::new(maker, "out_layer", [fine, CHILDREN]);
        let own = Self { shape, encode, encode_window, mean, log_variance, input, decode_windows, decode, output };
        (own, parameters)
    }

    /// Its sizes.
    pub fn shape(&self) -> AutoencoderShape {
        self.shape
    }

    /// Means and logarithms of variances, `[N, latent]`, of blocks of distances, `[N, 64]`: child by child, and in each eight.
    pub fn encode(&self, tape: &mut Tape<'_>, grid: &Grid, distances: Vec<f32>) -> [Var; 2] {
        let x = tape.constant(distances, CHILDREN);
        let x = tape.gather(x, &grid.order);
        let h = self.encode[0].run(tape, x, &grid.fine);
        let h = tape.activation(h, Activation::Silu);
        let h = tape.pool(h, &grid.parents);
        let h = self.encode[1].run(tape, h, &grid.coarse);
        let h = tape.activation(h, Activation::Silu);
        let h = self.encode_window.run(tape, h, &grid.windows);
        let h = tape.layer_norm(h, EPSILON);
        [self.mean.run(tape, h), self.log_variance.run(tape, h)]
    }

    /// Distances, `[8 N, 8]` in the order of [`Self::encode`], of tokens, `[N, latent]`.
    pub fn decode(&self, tape: &mut Tape<'_>, grid: &Grid, tokens: Var) -> Var {
        let mut h = self.input.run(tape, tokens);
        for block in &self.decode_windows {
            h = block.run(tape, h, &grid.windows);
        }
        let h = self.decode[0].run(tape, h, &grid.coarse);
        let h = tape.activation(h, Activation::Silu);
        let h = tape.subdivide(h);
        let h = tape.gather(h, &grid.order);
        let h = self.decode[1].run(tape, h, &grid.fine);
        let h = tape.activation(h, Activation::Silu);
        let h = self.decode[2].run(tape, h, &grid.fine);
        let h = tape.activation(h, Activation::Silu);
        let h = self.output.run(tape, h);
        let h = tape.gather(h, &grid.back);
        tape.activation(h, Activation::Tanh)
    }
}

/// The divergence of a normal distribution from the standard one, mean over all numbers, and its gradients by mean and logarithm of variance.
pub fn divergence(mean: &[f32], log_variance: &[f32]) -> (f64, [Vec<f32>; 2]) {
    let share = 1.0 / mean.len() as f32;
    let clamped = log_variance.iter().map(|v| v.clamp(LOG_VARIANCE[0], LOG_VARIANCE[1]));
    let loss = mean.iter().zip(clamped).map(|(m, v)| f64::from(0.5 * (m * m + v.exp() - 1.0 - v))).sum::<f64>();
    let by_mean = mean.iter().map(|m| share * m).collect();
    let by_log = log_variance
        .iter()
        .map(|v| if (LOG_VARIANCE[0]..LOG_VARIANCE[1]).contains(v) { 0.5 * share * (v.exp() - 1.0) } else { 0.0 })
        .collect();
    (loss * f64::from(share), [by_mean, by_log])
}
