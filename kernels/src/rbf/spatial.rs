//! Kernels in space.

use crate::dispatch;
use crate::mlp::{BLOCK, Rows};
use crate::simd::{Lanes, cos, sin};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Added to the sum that responses are divided by.
const LEAST_SUM: f32 = 1e-8;
/// Kernels that one task differentiates at a time.
const KERNELS_AT_A_TIME: usize = 64;
/// Most neighbours of a place.
const MOST_NEIGHBOURS: usize = 16;

/// How a kernel falls off around its centre.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelShape {
    /// `1 / (1 + dᵀ P d)` with a symmetric precision `P`, stored as its upper triangle row by row: `xx, xy, yy`, or `xx, xy, xz, yy, yz, zz`.
    #[default]
    InverseQuadric,
    /// `Π_a max(0, 1 - s |d_a|)` with one inverse width `s`.
    ProductHat,
}

/// What all kernels have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialKernels {
    /// `D`: 2 or 3.
    pub dimensions: usize,
    /// `F`, features of a kernel: a multiple of eight.
    pub features: usize,
    /// `K`, how many kernels a place sums up: at most 16.
    pub neighbours: usize,
    /// How a kernel falls off.
    pub shape: KernelShape,
    /// Divide responses by their sum.
    pub normalised: bool,
    /// `m`, `[F]`; empty for `Σ φ̃ w`.
    pub frequencies: Vec<f32>,
}

/// The `M` kernels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KernelParameters {
    /// `[M, D]`.
    pub centres: Vec<f32>,
    /// `[M, D (D + 1) / 2]` precisions, or `[M]` inverse widths.
    pub shapes: Vec<f32>,
    /// `w`, `[M, F]`.
    pub weights: Vec<f32>,
}

/// Gradients of [`KernelParameters`], of the same sizes.
pub type KernelGradient = KernelParameters;

/// Which kernels each place sums up, and the other way round.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    /// `[Q, K]`.
    kernels: Vec<u32>,
    /// Where the pairs of each kernel begin in `pairs`; `M + 1` numbers.
    starts: Vec<u32>,
    /// Numbers `q K + k`, kernel after kernel.
    pairs: Vec<u32>,
}

impl Neighbours {
    /// From the kernels of each place, `[Q, K]`, of which there are `count`.
    ///
    /// # Panics
    /// When a kernel's number is not below `count`.
    pub fn new(kernels: Vec<u32>, count: usize) -> Self {
        let mut starts = vec![0u32; count + 1];
        kernels.iter().for_each(|&k| starts[k as usize + 1] += 1);
        for k in 0..count {
            starts[k + 1] += starts[k];
        }
        let mut next = starts.clone();
        let mut pairs = vec![0u32; kernels.len()];
        for (pair, &kernel) in kernels.iter().enumerate() {
            let at = &mut next[kernel as usize];
            pairs[*at as usize] = pair as u32;
            *at += 1;
        }
        Self { kernels, starts, pairs }
    }

    /// `[Q, K]`.
    pub fn kernels(&self) -> &[u32] {
        &self.kernels
    }
}

impl SpatialKernels {
    /// Numbers that describe a kernel's shape.
    pub fn shape_numbers(&self) -> usize {
        match self.shape {
            KernelShape::InverseQuadric => self.dimensions * (self.dimensions + 1) / 2,
            KernelShape::ProductHat => 1,
        }
    }

    /// Floating-point operations of one place, a sine counted as 20.
    pub fn operations(&self) -> usize {
        let response = 4 * self.shape_numbers() + 4 * self.dimensions;
        let of_feature = if self.frequencies.is_empty() { 2 } else { 23 };
        self.neighbours * (response + of_feature * self.features)
    }

    /// Responses `φ`, `[Q, K]`, and sums over neighbours, in the rows of `out` that `rows` means, at places `[Q, D]`.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn forward(
        &self,
        parameters: &KernelParameters,
        places: &[f32],
        neighbours: &[u32],
        responses: &mut [f32],
        (out, rows): (&mut [f32], Rows),
    ) {
        let count = self.check(parameters, places, neighbours);
        assert_eq!(responses.len(), count * self.neighbours, "room for responses");
        assert!(rows.first + self.features <= rows.rows, "rows for {} features", self.features);
        assert!(out.len() >= count.div_ceil(BLOCK) * rows.rows * BLOCK, "room for features");
        sum_up(self, parameters, places, neighbours, responses, out, rows);
    }

    /// The gradient of the kernels into `gradient`, and that of places into `of_places`, `[Q, D]`, from that of the sums in the rows of
    /// `of_sums` that are meant, after [`SpatialKernels::forward`]. One task takes some kernels and goes through their places in order, so
    /// the bits do not depend on the number of threads.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn backward(
        &self,
        parameters: &KernelParameters,
        places: &[f32],
        neighbours: &Neighbours,
        responses: &[f32],
        (of_sums, rows): (&[f32], Rows),
        (gradient, of_places): (&mut KernelGradient, Option<&mut [f32]>),
    ) {
        let count = self.check(parameters, places, &neighbours.kernels);
        assert_eq!(responses.len(), count * self.neighbours, "responses of these places");
        assert!(of_sums.len() >= count.div_ceil(BLOCK) * rows.rows * BLOCK, "gradients of these places");
        assert_eq!(neighbours.starts.len(), parameters.centres.len() / self.dimensions + 1, "pairs of these kernels");
        let by_place = rows_of_places(of_sums, rows, self.features, count);
        let scales = self.scales(responses);
        let (d, s, f) = (self.dimensions, self.shape_numbers(), self.features);
        gradient.centres.resize(parameters.centres.len(), 0.0);
        gradient.shapes.resize(parameters.shapes.len(), 0.0);
        gradient.weights.resize(parameters.weights.len(), 0.0);
        let chunks = gradient
            .centres
            .par_chunks_mut(KERNELS_AT_A_TIME * d)
            .zip(gradient.shapes.par_chunks_mut(KERNELS_AT_A_TIME * s))
            .zip(gradient.weights.par_chunks_mut(KERNELS_AT_A_TIME * f))
            .enumerate();
        let batch = Batch { parameters, places, neighbours, responses, scales: &scales, of_sums: &by_place };
        let slopes: Vec<Vec<f32>> = chunks
            .map(|(chunk, ((centres, shapes), weights))| {
                let mut of_pairs = Vec::new();
                differentiate(self, &batch, chunk * KERNELS_AT_A_TIME, centres, shapes, weights, &mut of_pairs);
                of_pairs
            })
            .collect();
        if let Some(out) = of_places {
            assert_eq!(out.len(), places.len(), "room for the gradient of places");
            out.fill(0.0);
            // Pairs are in the order of kernels, which is fixed.
            for (&pair, slope) in neighbours.pairs.iter().zip(slopes.concat().chunks_exact(d)) {
                let place = pair as usize / self.neighbours;
                (0..d).for_each(|a| out[place * d + a] += slope[a]);
            }
        }
    }

    /// What each response is multiplied with, `[Q]`.
    fn scales(&self, responses: &[f32]) -> Vec<f32> {
        responses.chunks_exact(self.neighbours).map(|phi| self.scale(phi)).collect()
    }

    #[inline(always)]
    fn scale(&self, phi: &[f32]) -> f32 {
        if self.normalised { 1.0 / (phi.iter().sum::<f32>() + LEAST_SUM) } else { 1.0 }
    }

    /// The number of places.
    fn check(&self, parameters: &KernelParameters, places: &[f32], neighbours: &[u32]) -> usize {
        let (d, f) = (self.dimensions, self.features);
        assert!(matches!(d, 2 | 3) && f > 0 && f.is_multiple_of(8), "{f} features in {d} dimensions");
        assert!((1..=MOST_NEIGHBOURS).contains(&self.neighbours), "{} neighbours", self.neighbours);
        let kernels = parameters.centres.len() / d;
        let fits = parameters.centres.len() == kernels * d
            && parameters.shapes.len() == kernels * self.shape_numbers()
            && parameters.weights.len() == kernels * f;
        assert!(fits, "parameters of {kernels} kernels");
        assert!(self.frequencies.is_empty() || self.frequencies.len() == f, "a frequency for each feature");
        let count = places.len() / d;
        assert_eq!(neighbours.len(), count * self.neighbours, "{} neighbours of each place", self.neighbours);
        count
    }
}

/// What a backward pass is about.
struct Batch<'a> {
    parameters: &'a KernelParameters,
    places: &'a [f32],
    neighbours: &'a Neighbours,
    responses: &'a [f32],
    scales: &'a [f32],
    /// `[Q, F]`.
    of_sums: &'a [f32],
}

/// `[Q, F]` from rows of blocks.
fn rows_of_places(values: &[f32], rows: Rows, features: usize, count: usize) -> Vec<f32> {
    let mut out = vec![0.0; count * features];
    out.par_chunks_mut(BLOCK * features).enumerate().for_each(|(block, out)| {
        for f in 0..features {
            let row = &values[rows.at(block, f)..][..BLOCK];
            out.iter_mut().skip(f).step_by(features).zip(row).for_each(|(out, value)| *out = *value);
        }
    });
    out
}

/// `φ` of a kernel at an offset from its centre.
#[inline(always)]
fn response(shape: KernelShape, numbers: &[f32], offset: [f32; 3], dimensions: usize) -> f32 {
    match shape {
        KernelShape::InverseQuadric => {
            let along = times(numbers, offset, dimensions);
            1.0 / (1.0 + (offset[0] * along[0] + offset[1] * along[1] + offset[2] * along[2]))
        }
        KernelShape::ProductHat => hats(numbers[0], offset, dimensions).into_iter().product(),
    }
}

/// `P d`.
#[inline(always)]
fn times(p: &[f32], [x, y, z]: [f32; 3], dimensions: usize) -> [f32; 3] {
    if dimensions == 2 {
        return [p[0] * x + p[1] * y, p[1] * x + p[2] * y, 0.0];
    }
    [p[0] * x + p[1] * y + p[2] * z, p[1] * x + p[3] * y + p[4] * z, p[2] * x + p[4] * y + p[5] * z]
}

/// The hat along each axis; one along a third that is not there.
#[inline(always)]
fn hats(inverse_width: f32, offset: [f32; 3], dimensions: usize) -> [f32; 3] {
    let mut hats = [1.0; 3];
    for a in 0..dimensions {
        hats[a] = (1.0 - offset[a].abs() * inverse_width).max(0.0);
    }
    hats
}

/// From a place to a kernel's centre and back.
#[inline(always)]
fn offset(places: &[f32], place: usize, centres: &[f32], kernel: usize, dimensions: usize) -> [f32; 3] {
    let mut offset = [0.0; 3];
    for a in 0..dimensions {
        offset[a] = places[place * dimensions + a] - centres[kernel * dimensions + a];
    }
    offset
}

dispatch! {
    fn sum_up(
        of: &SpatialKernels, parameters: &KernelParameters, places: &[f32], neighbours: &[u32], responses: &mut [f32],
        out: &mut [f32], rows: Rows,
    ) = sum_up_kernel;
    fn differentiate(
        of: &SpatialKernels, batch: &Batch<'_>, first: usize, centres: &mut [f32], shapes: &mut [f32], weights: &mut [f32],
        of_pairs: &mut Vec<f32>,
    ) = differentiate_kernel;
}

#[inline(always)]
fn eight<V: Lanes>(values: &[f32], at: usize) -> V {
    let values = &values[at..at + 8];
    // SAFETY: there are eight numbers.
    unsafe { V::load(values.as_ptr()) }
}

#[inline(always)]
fn sum_up_kernel<V: Lanes>(
    of: &SpatialKernels,
    parameters: &KernelParameters,
    places: &[f32],
    neighbours: &[u32],
    responses: &mut [f32],
    out: &mut [f32],
    rows: Rows,
) {
    let (d, s, k) = (of.dimensions, of.shape_numbers(), of.neighbours);
    for (q, (phi, kernels)) in responses.chunks_exact_mut(k).zip(neighbours.chunks_exact(k)).enumerate() {
        for (phi, &kernel) in phi.iter_mut().zip(kernels) {
            let kernel = kernel as usize;
            let offset = offset(places, q, &parameters.centres, kernel, d);
            *phi = response(of.shape, &parameters.shapes[kernel * s..][..s], offset, d);
        }
        let scale = of.scale(phi);
        for f in (0..of.features).step_by(8) {
            let mut sum = V::all(0.0);
            for (phi, &kernel) in phi.iter().zip(kernels) {
                let w = eight::<V>(&parameters.weights, kernel as usize * of.features + f);
                let phi = V::all(phi * scale);
                let factor = if of.frequencies.is_empty() { phi } else { sin(phi * eight::<V>(&of.frequencies, f)) };
                sum = factor.mul_add(w, sum);
            }
            let sum = sum.to_array();
            let at = rows.at(q / BLOCK, f) + q % BLOCK;
            for i in 0..8 {
                out[at + i * BLOCK] = sum[i];
            }
        }
    }
}

#[inline(always)]
fn differentiate_kernel<V: Lanes>(
    of: &SpatialKernels,
    batch: &Batch<'_>,
    first: usize,
    centres: &mut [f32],
    shapes: &mut [f32],
    weights: &mut [f32],
    of_pairs: &mut Vec<f32>,
) {
    let (d, s, features) = (of.dimensions, of.shape_numbers(), of.features);
    centres.fill(0.0);
    shapes.fill(0.0);
    weights.fill(0.0);
    for (i, of_weights) in weights.chunks_exact_mut(features).enumerate() {
        let kernel = first + i;
        let [start, end] = [kernel, kernel + 1].map(|k| batch.neighbours.starts[k] as usize);
        let numbers = &batch.parameters.shapes[kernel * s..][..s];
        for &pair in &batch.neighbours.pairs[start..end] {
            let place = pair as usize / of.neighbours;
            let (phi, scale) = (batch.responses[pair as usize], batch.scales[place]);
            let mut of_phi = V::all(0.0);
            for f in (0..features).step_by(8) {
                let g = eight::<V>(batch.of_sums, place * features + f);
                let w = eight::<V>(&batch.parameters.weights, kernel * features + f);
                let phi = V::all(phi * scale);
                let (factor, slope) = if of.frequencies.is_empty() {
                    (phi, V::all(1.0))
                } else {
                    let m = eight::<V>(&of.frequencies, f);
                    (sin(phi * m), m * cos(phi * m))
                };
                let out = &mut of_weights[f..f + 8];
                let sum = g.mul_add(factor, eight::<V>(out, 0));
                // SAFETY: there is room for eight numbers.
                unsafe { sum.store(out.as_mut_ptr()) };
                of_phi = (slope * w).mul_add(g, of_phi);
            }
            let offset = offset(batch.places, place, &batch.parameters.centres, kernel, d);
            let of_phi = of_phi.sum() * scale;
            let slope = move_kernel(of, numbers, offset, phi, of_phi, &mut shapes[i * s..][..s]);
            for a in 0..d {
                centres[i * d + a] -= slope[a];
                of_pairs.push(slope[a]);
            }
        }
    }
}

/// Adds the gradient of a kernel's shape, and gives that of the place, from that of its response.
#[inline(always)]
fn move_kernel(
    of: &SpatialKernels,
    numbers: &[f32],
    offset: [f32; 3],
    phi: f32,
    of_phi: f32,
    shape: &mut [f32],
) -> [f32; 3] {
    let d = of.dimensions;
    match of.shape {
        KernelShape::InverseQuadric => {
            // φ = 1 / (1 + q): ∂φ/∂q = -φ².
            let of_q = -phi * phi * of_phi;
            let mut n = 0;
            for a in 0..d {
                for b in a..d {
                    // An element off the diagonal stands for two.
                    let twice = if a == b { 1.0 } else { 2.0 };
                    shape[n] += of_q * twice * offset[a] * offset[b];
                    n += 1;
                }
            }
            times(numbers, offset, d).map(|x| 2.0 * of_q * x)
        }
        KernelShape::ProductHat => {
            let (s, hats) = (numbers[0], hats(numbers[0], offset, d));
            let mut slope = [0.0; 3];
            for a in 0..d {
                if hats[a] == 0.0 {
                    continue;
                }
                let others: f32 = (0..3).filter(|b| *b != a).map(|b| hats[b]).product();
                shape[0] -= of_phi * others * offset[a].abs();
                slope[a] = -of_phi * others * s * offset[a].signum();
            }
            slope
        }
    }
}
