//! The convolution, as matrix products of gathered rows.
//!
//! Sites are taken four at a time and outputs sixteen at a time: eight registers of sums, to which each input channel of each neighbour adds
//! with two loads of weights and four of features. Rows of neighbours that are not there are zeros. The gradient by the input is the same
//! product with the kernel turned around; that by the kernel sums outer products of rows. `2 N K C_in C_out` operations each, for
//! `K` neighbours of which about a third are there on a surface.

use super::Neighbours;
use crate::dispatch;
use crate::simd::Lanes;
use rayon::prelude::*;

/// Sites that are summed at a time.
const SITES: usize = 4;
/// Outputs that are summed at a time, two registers.
const OUTPUTS: usize = 16;
/// Sites of a piece of work.
const PIECE: usize = 64 * SITES;

/// A convolution's kernel, `[K, C_in, C_out]`, and its bias, `[C_out]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) of_each: usize,
}

dispatch! {
    /// Rows of `out`, `[sites, padded outputs]`, from sites' rows of neighbours.
    fn gathered(neighbours: &[i32], of_each: usize, x: &[f32], kernel: &[f32], shape: [usize; 2], out: &mut [f32]) = gathered_kernel;
    /// Adds the outer products of neighbours' rows of `x` and of sites' rows of `d`, padded, to `sum`, `[C_in, padded outputs]`.
    fn outer(neighbours: &[i32], of_each: usize, k: usize, x: &[f32], d: &[f32], shape: [usize; 2], sum: &mut [f32]) = outer_kernel;
}

impl Convolution {
    /// A convolution over 27 neighbours.
    pub fn of_neighbours(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, of_each: super::NEIGHBOURS }
    }

    /// A convolution of each site alone.
    pub fn of_points(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, of_each: 1 }
    }

    /// Channels of what comes out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Numbers of the kernel.
    pub fn weights(&self) -> usize {
        self.of_each * self.inputs * self.outputs
    }

    /// `[N, C_out]` from `[N, C_in]`.
    ///
    /// # Panics
    /// When a slice has another length, or neighbours are of another kind.
    pub fn forward(&self, neighbours: &Neighbours, x: &[f32], kernel: &[f32], bias: &[f32]) -> Vec<f32> {
        assert!(kernel.len() == self.weights() && bias.len() == self.outputs, "a kernel and a bias of this shape");
        let kernel = padded(kernel, self.outputs);
        let mut y = self.products(neighbours, x, [self.inputs, self.outputs], &kernel);
        y.par_chunks_exact_mut(self.outputs).for_each(|row| row.iter_mut().zip(bias).for_each(|(y, b)| *y += b));
        y
    }

    /// The gradients by input, kernel and bias, from that by the output.
    ///
    /// # Panics
    /// As [`Self::forward`].
    pub fn backward(&self, neighbours: &Neighbours, x: &[f32], kernel: &[f32], by_output: &[f32]) -> [Vec<f32>; 3] {
        assert_eq!(kernel.len(), self.weights(), "a kernel of this shape");
        let turned = padded(&self.turned(kernel), self.inputs);
        let by_input = self.products(neighbours, by_output, [self.outputs, self.inputs], &turned);
        let mut by_bias = vec![0.0; self.outputs];
        for row in by_output.chunks_exact(self.outputs) {
            by_bias.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        [by_input, self.by_kernel(neighbours, x, by_output), by_bias]
    }

    fn products(&self, neighbours: &Neighbours, x: &[f32], [inn, out]: [usize; 2], kernel: &[f32]) -> Vec<f32> {
        let sites = neighbours.sites();
        assert!(neighbours.of_each() == self.of_each && x.len() == sites * inn, "a row for each site");
        let mut y = vec![0.0; sites * out];
        let width = out.next_multiple_of(OUTPUTS);
        let pieces = y.par_chunks_mut(PIECE * out).zip(neighbours.rows().par_chunks(PIECE * self.of_each));
        pieces.for_each_init(Vec::new, |wide, (y, neighbours)| {
            wide.clear();
            wide.resize(y.len() / out * width, 0.0);
            gathered(neighbours, self.of_each, x, kernel, [inn, width], wide);
            y.chunks_exact_mut(out).zip(wide.chunks_exact(width)).for_each(|(y, wide)| y.copy_from_slice(&wide[..out]));
        });
        y
    }

    fn by_kernel(&self, neighbours: &Neighbours, x: &[f32], by_output: &[f32]) -> Vec<f32> {
        let (width, shape) = (self.outputs.next_multiple_of(OUTPUTS), self.inputs * self.outputs);
        let d = padded(by_output, self.outputs);
        let mut gradient = vec![0.0; self.weights()];
        gradient.par_chunks_exact_mut(shape).enumerate().for_each(|(k, gradient)| {
            let mut sum = vec![0.0; self.inputs * width];
            outer(neighbours.rows(), self.of_each, k, x, &d, [self.inputs, width], &mut sum);
            let rows = gradient.chunks_exact_mut(self.outputs).zip(sum.chunks_exact(width));
            rows.for_each(|(own, sum)| own.copy_from_slice(&sum[..self.outputs]));
        });
        gradient
    }

    /// The kernel that the gradient by the input is a convolution with: where a site is the neighbour of another at an offset, that one is its
    /// neighbour at the opposite offset.
    fn turned(&self, kernel: &[f32]) -> Vec<f32> {
        let mut turned = Vec::with_capacity(kernel.len());
        for matrix in kernel.chunks_exact(self.inputs * self.outputs).rev() {
            turned.extend((0..self.outputs).flat_map(|o| matrix[o..].iter().step_by(self.outputs)));
        }
        turned
    }
}

/// Rows of `columns` numbers with zeros behind them, so that registers are full.
fn padded(rows: &[f32], columns: usize) -> Vec<f32> {
    let width = columns.next_multiple_of(OUTPUTS);
    let mut out = vec![0.0; rows.len() / columns * width];
    out.chunks_exact_mut(width)
        .zip(rows.chunks_exact(columns))
        .for_each(|(out, row)| out[..columns].copy_from_slice(row));
    out
}

#[inline(always)]
fn gathered_kernel<V: Lanes>(
    neighbours: &[i32],
    of_each: usize,
    x: &[f32],
    kernel: &[f32],
    [inn, width]: [usize; 2],
    out: &mut [f32],
) {
    assert!(width % OUTPUTS == 0 && kernel.len() == of_each * inn * width, "a kernel of padded rows");
    assert!(out.len() / width * of_each == neighbours.len(), "a row for each site");
    let known = (x.len() / inn) as i32;
    assert!(neighbours.iter().all(|n| (-1..known).contains(n)), "neighbours are rows of the input");
    let nothing = vec![0.0; inn];
    let groups = out.chunks_mut(SITES * width).zip(neighbours.chunks(SITES * of_each));
    for (out, neighbours) in groups {
        let sites = out.len() / width;
        for first in (0..width).step_by(OUTPUTS) {
            let mut sums = [[V::all(0.0); 2]; SITES];
            for k in 0..of_each {
                let row = |s: usize| (s < sites).then(|| neighbours[s * of_each + k]).filter(|n| *n >= 0);
                let rows: [Option<i32>; SITES] = std::array::from_fn(row);
                if rows.iter().all(Option::is_none) {
                    continue;
                }
                let rows = rows.map(|n| n.map_or(nothing.as_ptr(), |n| x[n as usize * inn..][..inn].as_ptr()));
                for i in 0..inn {
                    // SAFETY: the assertions above bound the kernel, and rows have `inn` numbers.
                    unsafe {
                        let w = kernel.as_ptr().add((k * inn + i) * width + first);
                        let (w0, w1) = (V::load(w), V::load(w.add(8)));
                        for s in 0..SITES {
                            let value = V::all(*rows[s].add(i));
                            sums[s][0] = value.mul_add(w0, sums[s][0]);
                            sums[s][1] = value.mul_add(w1, sums[s][1]);
                        }
                    }
                }
            }
            for (s, sums) in sums.iter().enumerate().take(sites) {
                let own = &mut out[s * width + first..][..OUTPUTS];
                // SAFETY: sixteen numbers, as the slice has.
                unsafe {
                    sums[0].store(own.as_mut_ptr());
                    sums[1].store(own.as_mut_ptr().add(8));
                }
            }
        }
    }
}

#[inline(always)]
fn outer_kernel<V: Lanes>(
    neighbours: &[i32],
    of_each: usize,
    k: usize,
    x: &[f32],
    d: &[f32],
    [inn, width]: [usize; 2],
    sum: &mut [f32],
) {
    assert!(width % OUTPUTS == 0 && sum.len() == inn * width, "a sum of padded rows");
    let pairs: Vec<(usize, usize)> = neighbours
        .iter()
        .skip(k)
        .step_by(of_each)
        .enumerate()
        .filter_map(|(site, n)| usize::try_from(*n).ok().map(|n| (n * inn, site * width)))
        .collect();
    assert!(
        pairs.iter().all(|(from, to)| from + inn <= x.len() && to + width <= d.len()),
        "rows of input and gradient"
    );
    for i in (0..inn).step_by(SITES) {
        let channels = SITES.min(inn - i);
        for first in (0..width).step_by(OUTPUTS) {
            let mut sums = [[V::all(0.0); 2]; SITES];
            for &(from, to) in &pairs {
                // SAFETY: the assertion above bounds all rows; channels beyond the last one read that one again.
                unsafe {
                    let d = d.as_ptr().add(to + first);
                    let (d0, d1) = (V::load(d), V::load(d.add(8)));
                    for s in 0..SITES {
                        let value = V::all(*x.get_unchecked(from + i + s.min(channels - 1)));
                        sums[s][0] = value.mul_add(d0, sums[s][0]);
                        sums[s][1] = value.mul_add(d1, sums[s][1]);
                    }
                }
            }
            for (s, sums) in sums.iter().enumerate().take(channels) {
                let own = &mut sum[(i + s) * width + first..][..OUTPUTS];
                // SAFETY: sixteen numbers, as the slice has.
                unsafe {
                    sums[0].store(own.as_mut_ptr());
                    sums[1].store(own.as_mut_ptr().add(8));
                }
            }
        }
    }
}
