//! Layers of single rows.

use super::{CHUNK, Parameter, Tape, Var, add_to};
use rayon::prelude::*;
use std::sync::Arc;
use tessera_kernels::dense::{Activation, Matrix, activate, activate_backward, normalise, normalise_backward, product};

/// Rows of a task where numbers of columns are summed.
const ROWS: usize = 256;

impl Tape<'_> {
    /// `x Wᵀ + b`, with W `[out, in]`.
    pub fn linear(&mut self, x: Var, weight: Parameter, bias: Option<Parameter>) -> Var {
        let (inner, rows) = (self.columns(x), self.rows(x));
        let w = self.parameter(weight);
        let b = bias.map(|bias| self.parameter(bias));
        assert_eq!(self.columns(w), inner, "weights for rows of {inner} numbers");
        let columns = self.rows(w);
        let (xs, ws) = (self.get(x), self.get(w));
        let mut out = match b {
            Some(b) => self.values(b).repeat(rows),
            None => vec![0.0; rows * columns],
        };
        product(Matrix::new(&xs, inner), Matrix::new(&ws, inner).turned(), inner, columns, &mut out);
        let inputs: Vec<Var> = [Some(x), Some(w), b].into_iter().flatten().collect();
        self.computed(out, columns, &inputs, move |by_out, gradients| {
            let d = Matrix::new(&by_out, columns);
            if gradients.wants(x) {
                let mut by_x = vec![0.0; rows * inner];
                product(d, Matrix::new(&ws, inner), columns, inner, &mut by_x);
                gradients.add(x, by_x);
            }
            let mut by_w = vec![0.0; columns * inner];
            product(d.turned(), Matrix::new(&xs, inner), rows, inner, &mut by_w);
            gradients.add(w, by_w);
            if let Some(b) = b {
                gradients.add(b, column_sums(&by_out, columns));
            }
        })
    }

    /// A function of each number.
    pub fn activation(&mut self, x: Var, of: Activation) -> Var {
        let xs = self.get(x);
        let columns = self.columns(x);
        self.computed(activate(of, &xs), columns, &[x], move |by_out, gradients| {
            gradients.add(x, activate_backward(of, &xs, &by_out));
        })
    }

    /// `a + b`.
    pub fn add(&mut self, a: Var, b: Var) -> Var {
        let mut sum = self.values(a).to_vec();
        add_to(&mut sum, self.values(b));
        let columns = self.columns(a);
        self.computed(sum, columns, &[a, b], move |by_out, gradients| {
            if gradients.wants(b) {
                gradients.add(b, by_out.clone());
            }
            gradients.add(a, by_out);
        })
    }

    /// Each row with mean 0 and variance 1.
    pub fn layer_norm(&mut self, x: Var, epsilon: f32) -> Var {
        let columns = self.columns(x);
        let normalised = normalise(self.values(x), columns, epsilon);
        let values = normalised.values.clone();
        self.computed(values, columns, &[x], move |by_out, gradients| {
            gradients.add(x, normalise_backward(&normalised, columns, &by_out));
        })
    }

    /// `x w + b`, column by column.
    pub fn affine(&mut self, x: Var, weight: Parameter, bias: Parameter) -> Var {
        let (w, b) = (self.parameter(weight), self.parameter(bias));
        let (xs, ws, bs) = (self.get(x), self.get(w), self.get(b));
        let columns = self.columns(x);
        let row =
            |row: &[f32]| row.iter().zip(ws.iter().zip(bs.iter())).map(|(x, (w, b))| x * w + b).collect::<Vec<_>>();
        let out = xs.chunks_exact(columns).flat_map(row).collect();
        self.computed(out, columns, &[x, w, b], move |by_out, gradients| {
            let products: Vec<f32> = by_out.iter().zip(xs.iter()).map(|(d, x)| d * x).collect();
            gradients.add(w, column_sums(&products, columns));
            gradients.add(b, column_sums(&by_out, columns));
            let scaled = by_out.chunks_exact(columns).flat_map(|row| row.iter().zip(ws.iter()).map(|(d, w)| d * w));
            gradients.add(x, scaled.collect());
        })
    }

    /// `x (1 + scale) + shift`, where the two are parts `part + 1` and `part` of the row of `by` that belongs to each row's sample.
    pub fn modulate(&mut self, x: Var, by: Var, part: usize, samples: &Arc<Vec<u32>>) -> Var {
        let columns = self.columns(x);
        let (xs, bys, width, samples) = (self.get(x), self.get(by), self.columns(by), Arc::clone(samples));
        let at = move |row: usize, samples: &[u32]| samples[row] as usize * width + part * columns;
        let mut out = vec![0.0; xs.len()];
        out.par_chunks_exact_mut(columns).zip(xs.par_chunks_exact(columns)).enumerate().for_each(|(i, (out, x))| {
            let (shift, scale) = bys[at(i, &samples)..][..2 * columns].split_at(columns);
            for c in 0..columns {
                out[c] = x[c] * (1.0 + scale[c]) + shift[c];
            }
        });
        self.computed(out, columns, &[x, by], move |by_out, gradients| {
            let mut by_by = vec![0.0; bys.len()];
            for (i, (d, x)) in by_out.chunks_exact(columns).zip(xs.chunks_exact(columns)).enumerate() {
                let (shift, scale) = by_by[at(i, &samples)..][..2 * columns].split_at_mut(columns);
                for c in 0..columns {
                    shift[c] += d[c];
                    scale[c] += d[c] * x[c];
                }
            }
            gradients.add(by, by_by);
            let mut by_x = by_out;
            by_x.par_chunks_exact_mut(columns).enumerate().for_each(|(i, row)| {
                let scale = &bys[at(i, &samples) + columns..][..columns];
                row.iter_mut().zip(scale).for_each(|(d, scale)| *d *= 1.0 + scale);
            });
            gradients.add(x, by_x);
        })
    }

    /// `x + gate h`, where the gate is part `part` of the row of `by` that belongs to each row's sample.
    pub fn add_gated(&mut self, x: Var, h: Var, by: Var, part: usize, samples: &Arc<Vec<u32>>) -> Var {
        let columns = self.columns(x);
        let (xs, hs, bys) = (self.get(x), self.get(h), self.get(by));
        let (width, samples) = (self.columns(by), Arc::clone(samples));
        let at = move |row: usize, samples: &[u32]| samples[row] as usize * width + part * columns;
        let mut out = xs.to_vec();
        out.par_chunks_exact_mut(columns).zip(hs.par_chunks_exact(columns)).enumerate().for_each(|(i, (out, h))| {
            let gate = &bys[at(i, &samples)..][..columns];
            for c in 0..columns {
                out[c] += gate[c] * h[c];
            }
        });
        self.computed(out, columns, &[x, h, by], move |by_out, gradients| {
            let mut by_by = vec![0.0; bys.len()];
            let mut by_h = vec![0.0; hs.len()];
            for (i, (d, h)) in by_out.chunks_exact(columns).zip(hs.chunks_exact(columns)).enumerate() {
                let own = &mut by_by[at(i, &samples)..][..columns];
                own.iter_mut().zip(d.iter().zip(h)).for_each(|(own, (d, h))| *own += d * h);
            }
            by_h.par_chunks_exact_mut(columns).zip(by_out.par_chunks_exact(columns)).enumerate().for_each(
                |(i, (by_h, d))| {
                    let gate = &bys[at(i, &samples)..][..columns];
                    for c in 0..columns {
                        by_h[c] = gate[c] * d[c];
                    }
                },
            );
            gradients.add(by, by_by);
            gradients.add(h, by_h);
            gradients.add(x, by_out);
        })
    }

    /// Each row of `x` times the number in column `column` of the same row of `by`.
    pub fn scale_rows(&mut self, x: Var, by: Var, column: usize) -> Var {
        let columns = self.columns(x);
        let (xs, bys, width) = (self.get(x), self.get(by), self.columns(by));
        let mut out = xs.to_vec();
        for (row, by) in out.chunks_exact_mut(columns).zip(bys.chunks_exact(width)) {
            row.iter_mut().for_each(|x| *x *= by[column]);
        }
        self.computed(out, columns, &[x, by], move |by_out, gradients| {
            let mut by_by = vec![0.0; bys.len()];
            let rows = by_out.chunks_exact(columns).zip(xs.chunks_exact(columns));
            for (own, (d, x)) in by_by.chunks_exact_mut(width).zip(rows) {
                own[column] = d.iter().zip(x).map(|(d, x)| d * x).sum();
            }
            gradients.add(by, by_by);
            let mut by_x = by_out;
            for (row, by) in by_x.chunks_exact_mut(columns).zip(bys.chunks_exact(width)) {
                row.iter_mut().for_each(|d| *d *= by[column]);
            }
            gradients.add(x, by_x);
        })
    }

    /// The rows of these numbers.
    pub fn gather(&mut self, x: Var, rows: &Arc<Vec<u32>>) -> Var {
        let (xs, columns, rows) = (self.get(x), self.columns(x), Arc::clone(rows));
        let mut out = vec![0.0; rows.len() * columns];
        out.par_chunks_mut(ROWS * columns).zip(rows.par_chunks(ROWS)).for_each(|(out, rows)| {
            for (out, row) in out.chunks_exact_mut(columns).zip(rows) {
                out.copy_from_slice(&xs[*row as usize * columns..][..columns]);
            }
        });
        let len = xs.len();
        self.computed(out, columns, &[x], move |by_out, gradients| {
            let mut by_x = vec![0.0; len];
            for (d, row) in by_out.chunks_exact(columns).zip(rows.iter()) {
                let own = &mut by_x[*row as usize * columns..][..columns];
                own.iter_mut().zip(d).for_each(|(own, d)| *own += d);
            }
            gradients.add(x, by_x);
        })
    }

    /// Draws from normal distributions: `mean + exp(log_variance / 2) noise`.
    pub fn drawn(&mut self, mean: Var, log_variance: Var, noise: Vec<f32>) -> Var {
        let deviations: Vec<f32> = self.values(log_variance).iter().map(|v| (0.5 * v).exp()).collect();
        let out = self.values(mean).iter().zip(deviations.iter().zip(&noise)).map(|(m, (s, n))| m + s * n).collect();
        let columns = self.columns(mean);
        self.computed(out, columns, &[mean, log_variance], move |by_out, gradients| {
            let by_log = by_out.iter().zip(deviations.iter().zip(&noise)).map(|(d, (s, n))| 0.5 * d * s * n).collect();
            gradients.add(log_variance, by_log);
            gradients.add(mean, by_out);
        })
    }
}

/// The sum of each column.
fn column_sums(values: &[f32], columns: usize) -> Vec<f32> {
    let part = |values: &[f32]| {
        let mut sums = vec![0.0f32; columns];
        for row in values.chunks_exact(columns) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        sums
    };
    let parts: Vec<Vec<f32>> = values.par_chunks(CHUNK.next_multiple_of(columns)).map(part).collect();
    let mut sums = vec![0.0; columns];
    parts.iter().for_each(|part| sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x));
    sums
}
