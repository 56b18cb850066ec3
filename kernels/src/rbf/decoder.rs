//! Gaussians in the space of features.

use crate::dispatch;
use crate::mlp::{BLOCK, Rows};
use crate::simd::{Lanes, exp2};
use std::ops::Range;

/// Centres that are summed at a time.
const TOGETHER: usize = 4;
/// Added to a squared radius' exponent, so that responses of far centres are zero and not denormal.
const SMALLEST: f32 = -126.0;

/// The shape of a decoder. Its parameters lie in one vector, in the order of [`Decoder::centres`], [`Decoder::log_precisions`],
/// [`Decoder::weights`] and [`Decoder::biases`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoder {
    features: usize,
    kernels: usize,
    outputs: usize,
}

/// What all samples of a pass share: the parameters, with `e^{β/2}` and `-e^{β/2} c` so that `r²` is a sum of squares, which cannot cancel.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    parameters: Vec<f32>,
    /// `[N / 4, F, 4, 2]`.
    scale_and_shift: Vec<f32>,
}

/// What a forward pass computes for a tile of samples. Kept between tiles.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// `φ`, `[blocks, N, 16]`.
    pub responses: Vec<f32>,
    /// `y`, `[blocks, out, 16]`.
    pub outputs: Vec<f32>,
    /// `γ_j = φ_j ∂L/∂φ_j`, `[blocks, N, 16]`, after a backward pass.
    slopes: Vec<f32>,
}

impl Decoder {
    /// From `features` features through `kernels` centres to `outputs` numbers.
    ///
    /// # Panics
    /// When a number is zero, features are odd, or kernels are no multiple of four.
    pub fn new(features: usize, kernels: usize, outputs: usize) -> Self {
        assert!(features > 0 && features.is_multiple_of(2), "an even number of features, not {features}");
        assert!(kernels > 0 && kernels.is_multiple_of(TOGETHER), "kernels in fours, not {kernels}");
        assert!(outputs > 0, "at least one output");
        Self { features, kernels, outputs }
    }

    /// `F`.
    pub fn features(&self) -> usize {
        self.features
    }

    /// `N`.
    pub fn kernels(&self) -> usize {
        self.kernels
    }

    /// Length of `y`.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// `c`, `[N, F]`.
    pub fn centres(&self) -> Range<usize> {
        0..self.kernels * self.features
    }

    /// `β`, `[N, F]`.
    pub fn log_precisions(&self) -> Range<usize> {
        let first = self.centres().end;
        first..first + self.kernels * self.features
    }

    /// `W`, `[out, N]`.
    pub fn weights(&self) -> Range<usize> {
        let first = self.log_precisions().end;
        first..first + self.outputs * self.kernels
    }

    /// `b`, `[out]`.
    pub fn biases(&self) -> Range<usize> {
        let first = self.weights().end;
        first..first + self.outputs
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.biases().end
    }

    /// Floating-point operations of one sample's forward pass, an exponential counted as 16.
    pub fn operations(&self) -> usize {
        4 * self.kernels * self.features + 16 * self.kernels + 2 * self.outputs * self.kernels
    }

    /// Computes what samples share.
    ///
    /// # Panics
    /// When `parameters` is of another size.
    pub fn prepare(&self, parameters: &[f32], prepared: &mut Prepared) {
        assert_eq!(parameters.len(), self.parameters(), "parameters of another decoder");
        let (centres, betas) = (&parameters[self.centres()], &parameters[self.log_precisions()]);
        prepared.parameters.clear();
        prepared.parameters.extend_from_slice(parameters);
        let out = &mut prepared.scale_and_shift;
        out.clear();
        for group in 0..self.kernels / TOGETHER {
            for d in 0..self.features {
                for j in 0..TOGETHER {
                    let at = (group * TOGETHER + j) * self.features + d;
                    let scale = (0.5 * betas[at]).exp();
                    out.extend([scale, -scale * centres[at]]);
                }
            }
        }
    }

    /// From features, the rows of `[blocks, rows, 16]` that `rows` means, to outputs.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn forward(&self, prepared: &Prepared, (features, rows): (&[f32], Rows), out: &mut Decoded) {
        let blocks = self.check(prepared, features, rows);
        out.responses.resize(blocks * self.kernels * BLOCK, 0.0);
        out.outputs.resize(blocks * self.outputs * BLOCK, 0.0);
        respond(self, &prepared.scale_and_shift, features, rows, &mut out.responses);
        combine(self, &prepared.parameters, &out.responses, &mut out.outputs);
    }

    /// Adds the gradient of the parameters to `gradient`, and writes that of the features into the rows of `of_features` that are meant,
    /// after [`Decoder::forward`], from that of the outputs, `[blocks, out, 16]`.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn backward(
        &self,
        prepared: &Prepared,
        (features, rows): (&[f32], Rows),
        decoded: &mut Decoded,
        of_outputs: &[f32],
        (of_features, of_rows): (&mut [f32], Rows),
        gradient: &mut [f32],
    ) {
        let blocks = self.check(prepared, features, rows);
        assert_eq!(decoded.responses.len(), blocks * self.kernels * BLOCK, "responses of these samples");
        assert_eq!(of_outputs.len(), blocks * self.outputs * BLOCK, "a gradient for each output");
        assert!(of_features.len() >= blocks * of_rows.rows * BLOCK, "room for the gradient of features");
        assert!(of_rows.first + self.features <= of_rows.rows, "rows for the gradient of features");
        assert_eq!(gradient.len(), self.parameters(), "room for the gradient of parameters");
        decoded.slopes.resize(decoded.responses.len(), 0.0);
        weigh(self, &prepared.parameters, &decoded.responses, of_outputs, &mut decoded.slopes, gradient);
        differentiate_features(self, &prepared.scale_and_shift, features, rows, &decoded.slopes, of_features, of_rows);
        differentiate_kernels(self, &prepared.scale_and_shift, features, rows, &decoded.slopes, gradient);
    }

    /// The number of blocks.
    fn check(&self, prepared: &Prepared, features: &[f32], rows: Rows) -> usize {
        assert_eq!(prepared.parameters.len(), self.parameters(), "prepared for another decoder");
        assert_eq!(prepared.scale_and_shift.len(), 2 * self.kernels * self.features, "prepared for another decoder");
        assert!(rows.first + self.features <= rows.rows, "rows of features");
        assert_eq!(features.len() % (rows.rows * BLOCK), 0, "whole blocks");
        features.len() / (rows.rows * BLOCK)
    }
}

dispatch! {
    fn respond(of: &Decoder, prepared: &[f32], features: &[f32], rows: Rows, responses: &mut [f32]) = respond_kernel;
    fn combine(of: &Decoder, parameters: &[f32], responses: &[f32], outputs: &mut [f32]) = combine_kernel;
    fn weigh(
        of: &Decoder, parameters: &[f32], responses: &[f32], of_outputs: &[f32], slopes: &mut [f32], gradient: &mut [f32],
    ) = weigh_kernel;
    fn differentiate_features(
        of: &Decoder, prepared: &[f32], features: &[f32], rows: Rows, slopes: &[f32], out: &mut [f32], out_rows: Rows,
    ) = differentiate_features_kernel;
    fn differentiate_kernels(
        of: &Decoder, prepared: &[f32], features: &[f32], rows: Rows, slopes: &[f32], gradient: &mut [f32],
    ) = differentiate_kernels_kernel;
}

/// Sixteen samples of one row.
#[inline(always)]
fn load<V: Lanes>(values: &[f32], at: usize) -> [V; 2] {
    let row = &values[at..at + BLOCK];
    // SAFETY: there are sixteen numbers.
    unsafe { [V::load(row.as_ptr()), V::load(row.as_ptr().add(8))] }
}

#[inline(always)]
fn store<V: Lanes>(value: [V; 2], values: &mut [f32], at: usize) {
    let row = &mut values[at..at + BLOCK];
    // SAFETY: there is room for sixteen numbers.
    unsafe {
        value[0].store(row.as_mut_ptr());
        value[1].store(row.as_mut_ptr().add(8));
    }
}

#[inline(always)]
fn respond_kernel<V: Lanes>(of: &Decoder, prepared: &[f32], features: &[f32], rows: Rows, responses: &mut [f32]) {
    // φ = 2^(half r²)
    let half = V::all(-0.5 * std::f32::consts::LOG2_E);
    for (block, out) in responses.chunks_exact_mut(of.kernels * BLOCK).enumerate() {
        for (group, constants) in prepared.chunks_exact(of.features * TOGETHER * 2).enumerate() {
            let mut squares = [[V::all(0.0); 2]; TOGETHER];
            for (d, constants) in constants.as_chunks::<{ 2 * TOGETHER }>().0.iter().enumerate() {
                let f = load::<V>(features, rows.at(block, d));
                for j in 0..TOGETHER {
                    let (scale, shift) = (V::all(constants[2 * j]), V::all(constants[2 * j + 1]));
                    for half in 0..2 {
                        let t = f[half].mul_add(scale, shift);
                        squares[j][half] = t.mul_add(t, squares[j][half]);
                    }
                }
            }
            for j in 0..TOGETHER {
                let s = squares[j];
                let phi = [exp2((s[0] * half).max(V::all(SMALLEST))), exp2((s[1] * half).max(V::all(SMALLEST)))];
                store(phi, out, (group * TOGETHER + j) * BLOCK);
            }
        }
    }
}

#[inline(always)]
fn combine_kernel<V: Lanes>(of: &Decoder, parameters: &[f32], responses: &[f32], outputs: &mut [f32]) {
    let (weights, biases) = (&parameters[of.weights()], &parameters[of.biases()]);
    let blocks = responses.chunks_exact(of.kernels * BLOCK);
    for (out, phi) in outputs.chunks_exact_mut(of.outputs * BLOCK).zip(blocks) {
        for (o, weights) in weights.chunks_exact(of.kernels).enumerate() {
            let mut sum = [V::all(biases[o]); 2];
            for (j, &w) in weights.iter().enumerate() {
                let phi = load::<V>(phi, j * BLOCK);
                sum = [phi[0].mul_add(V::all(w), sum[0]), phi[1].mul_add(V::all(w), sum[1])];
            }
            store(sum, out, o * BLOCK);
        }
    }
}

/// `γ`, and the gradient of weights and biases.
#[inline(always)]
fn weigh_kernel<V: Lanes>(
    of: &Decoder,
    parameters: &[f32],
    responses: &[f32],
    of_outputs: &[f32],
    slopes: &mut [f32],
    gradient: &mut [f32],
) {
    let weights = &parameters[of.weights()];
    let blocks = responses.len() / (of.kernels * BLOCK);
    for block in 0..blocks {
        for j in 0..of.kernels {
            let mut sum = [V::all(0.0); 2];
            for o in 0..of.outputs {
                let g = load::<V>(of_outputs, (block * of.outputs + o) * BLOCK);
                let w = V::all(weights[o * of.kernels + j]);
                sum = [g[0].mul_add(w, sum[0]), g[1].mul_add(w, sum[1])];
            }
            let at = (block * of.kernels + j) * BLOCK;
            let phi = load::<V>(responses, at);
            store([phi[0] * sum[0], phi[1] * sum[1]], slopes, at);
        }
    }
    for o in 0..of.outputs {
        let mut bias = V::all(0.0);
        for block in 0..blocks {
            let g = load::<V>(of_outputs, (block * of.outputs + o) * BLOCK);
            bias = bias + (g[0] + g[1]);
        }
        gradient[of.biases()][o] += bias.sum();
        for j in 0..of.kernels {
            let mut sum = V::all(0.0);
            for block in 0..blocks {
                let g = load::<V>(of_outputs, (block * of.outputs + o) * BLOCK);
                let phi = load::<V>(responses, (block * of.kernels + j) * BLOCK);
                sum = g[0].mul_add(phi[0], g[1].mul_add(phi[1], sum));
            }
            gradient[of.weights()][o * of.kernels + j] += sum.sum();
        }
    }
}

/// `∂L/∂f_d = -Σ_j γ_j √a_jd t_jd` with `t = √a (f - c)`.
#[inline(always)]
fn differentiate_features_kernel<V: Lanes>(
    of: &Decoder,
    prepared: &[f32],
    features: &[f32],
    rows: Rows,
    slopes: &[f32],
    out: &mut [f32],
    out_rows: Rows,
) {
    for (block, slopes) in slopes.chunks_exact(of.kernels * BLOCK).enumerate() {
        for d in (0..of.features).step_by(2) {
            let f = [load::<V>(features, rows.at(block, d)), load::<V>(features, rows.at(block, d + 1))];
            let mut sums = [[V::all(0.0); 2]; 2];
            for (group, constants) in prepared.chunks_exact(of.features * TOGETHER * 2).enumerate() {
                let constants = &constants[d * TOGETHER * 2..][..4 * TOGETHER];
                for j in 0..TOGETHER {
                    let gamma = load::<V>(slopes, (group * TOGETHER + j) * BLOCK);
                    for k in 0..2 {
                        let at = 2 * (k * TOGETHER + j);
                        let (scale, shift) = (V::all(constants[at]), V::all(constants[at + 1]));
                        for half in 0..2 {
                            let t = f[k][half].mul_add(scale, shift);
                            sums[k][half] = (gamma[half] * t).neg_mul_add(scale, sums[k][half]);
                        }
                    }
                }
            }
            for k in 0..2 {
                store(sums[k], out, out_rows.at(block, d + k));
            }
        }
    }
}

/// `∂L/∂c_jd = √a_jd Σ γ_j t_jd` and `∂L/∂β_jd = -½ Σ γ_j t_jd²`, summed over samples.
#[inline(always)]
fn differentiate_kernels_kernel<V: Lanes>(
    of: &Decoder,
    prepared: &[f32],
    features: &[f32],
    rows: Rows,
    slopes: &[f32],
    gradient: &mut [f32],
) {
    let (centres, betas) = gradient.split_at_mut(of.log_precisions().start);
    let blocks = slopes.len() / (of.kernels * BLOCK);
    for (group, constants) in prepared.chunks_exact(of.features * TOGETHER * 2).enumerate() {
        for (d, constants) in constants.as_chunks::<{ 2 * TOGETHER }>().0.iter().enumerate() {
            let mut sums = [V::all(0.0); 2 * TOGETHER];
            for block in 0..blocks {
                let f = load::<V>(features, rows.at(block, d));
                for j in 0..TOGETHER {
                    let gamma = load::<V>(slopes, (block * of.kernels + group * TOGETHER + j) * BLOCK);
                    let (scale, shift) = (V::all(constants[2 * j]), V::all(constants[2 * j + 1]));
                    for half in 0..2 {
                        let t = f[half].mul_add(scale, shift);
                        let weighted = gamma[half] * t;
                        sums[2 * j] = sums[2 * j] + weighted;
                        sums[2 * j + 1] = weighted.mul_add(t, sums[2 * j + 1]);
                    }
                }
            }
            let sums = V::sum_each(sums);
            for j in 0..TOGETHER {
                let at = (group * TOGETHER + j) * of.features + d;
                centres[at] += constants[2 * j] * sums[2 * j];
                betas[at] -= 0.5 * sums[2 * j + 1];
            }
        }
    }
}
