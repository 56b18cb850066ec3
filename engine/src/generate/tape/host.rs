//! Layers on the CPU.

use super::place::{Attended, Numbers, Part, Place, Samples, Turned};
use super::{CHUNK, Compressed, Values, add_to};
use crate::Result;
use crate::train::{AvailableMemory, available_memory};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use tessera_kernels::dense::{
    Activation, Matrix, Normalised, activate, activate_backward, normalise, normalise_backward, product,
};
use tessera_kernels::sparse_attention::{Blocks, Heads, Pattern, Patterns, backward, forward, select};
use tessera_kernels::sparse_conv::{
    Convolution, Neighbours, copies_for_children, copies_for_children_backward, mean_of_children,
    mean_of_children_backward,
};

/// Rows of a task that copies rows.
const ROWS: usize = 256;
/// Rows of a task that computes rows from rows.
const TASK: usize = 64;
/// So that the widest layers of published models need little memory.
const ROWS_AT_A_TIME: usize = 4096;
/// Columns of a task that sums over rows.
const COLUMNS: usize = 32;
/// Lengths are divided by at least this.
pub(super) const SHORTEST: f32 = 1e-12;

/// The CPU.
pub struct Host;

impl Numbers {
    /// Those of the host.
    fn host(&self) -> &Values {
        match self {
            Self::Host(values) => values,
            Self::Device(_) | Self::Attended(_) => unreachable!("a tape's numbers are all in one place"),
        }
    }

    /// Those of the host, to be changed; a copy where others have them too.
    fn into_host(self) -> Vec<f32> {
        match self {
            Self::Host(values) => Arc::try_unwrap(values).unwrap_or_else(|shared| shared.to_vec()),
            Self::Device(_) | Self::Attended(_) => unreachable!("a tape's numbers are all in one place"),
        }
    }
}

impl<'a> Part<'a> {
    /// The numbers of a row, from `first` on.
    fn row(&self, row: usize) -> &'a [f32] {
        &self.numbers.host()[row * self.width + self.first..]
    }
}

impl Samples {
    fn of(&self, row: usize) -> usize {
        self.of_rows[row] as usize
    }

    /// The columns of a matrix of so many numbers that has a row for each of these.
    fn columns(&self, numbers: usize) -> usize {
        (numbers / self.of_rows.len().max(1)).max(1)
    }

    /// Sums over the rows of each sample, `[samples, columns]`: `add_row` adds what a row has in some columns. Tasks share columns and not
    /// rows, so that sums have one order.
    fn sums(&self, columns: usize, add_row: impl Fn(usize, Range<usize>, &mut [f32]) + Sync) -> Vec<f32> {
        let firsts: Vec<usize> = (0..columns).step_by(COLUMNS).collect();
        let part = |first: &usize| {
            let range = *first..columns.min(first + COLUMNS);
            let mut sums = vec![0.0; self.count * range.len()];
            for row in 0..self.of_rows.len() {
                let own = &mut sums[self.of(row) * range.len()..][..range.len()];
                add_row(row, range.clone(), own);
            }
            sums
        };
        let parts: Vec<Vec<f32>> = firsts.par_iter().map(part).collect();
        let mut sums = vec![0.0; self.count * columns];
        for (first, part) in firsts.iter().zip(&parts) {
            put(&mut sums, columns, *first, part, columns.min(first + COLUMNS) - first);
        }
        sums
    }
}

impl Place for Host {
    fn memory(&self) -> Result<Option<AvailableMemory>> {
        Ok(available_memory())
    }

    fn rows_at_a_time(&self) -> usize {
        ROWS_AT_A_TIME
    }

    fn give(&self, values: Vec<f32>) -> Result<Numbers> {
        Ok(values.into())
    }

    fn parameter(&self, values: &Values) -> Result<Numbers> {
        Ok(Numbers::Host(Arc::clone(values)))
    }

    fn read(&self, numbers: &Numbers) -> Result<Values> {
        Ok(Arc::clone(numbers.host()))
    }

    fn product(
        &self,
        matrices: [Turned<'_>; 2],
        [rows, inner, columns]: [usize; 3],
        bias: Option<&Numbers>,
    ) -> Result<Numbers> {
        let mut out = vec![0.0; rows * columns];
        if let Some(bias) = bias {
            out.par_chunks_mut(columns * ROWS).for_each(|out| {
                out.chunks_exact_mut(columns).for_each(|row| row.copy_from_slice(bias.host()));
            });
        }
        let [a, b] = matrices.map(|matrix| {
            let own = Matrix::new(matrix.numbers.host(), matrix.columns);
            if matrix.turned { own.turned() } else { own }
        });
        product(a, b, inner, columns, &mut out);
        Ok(out.into())
    }

    fn sum_columns(&self, values: &Numbers, by: Option<&Numbers>, columns: usize) -> Result<Numbers> {
        Ok(match by {
            None => column_sums(values.host(), columns),
            Some(by) => {
                let products = values.host().par_iter().zip(by.host().par_iter()).map(|(d, x)| d * x);
                column_sums(&products.collect::<Vec<f32>>(), columns)
            }
        }
        .into())
    }

    fn add(&self, a: Numbers, b: &Numbers) -> Result<Numbers> {
        let mut sum = a.into_host();
        add_to(&mut sum, b.host());
        Ok(sum.into())
    }

    fn activate(&self, of: Activation, x: &Numbers) -> Result<Numbers> {
        Ok(activate(of, x.host()).into())
    }

    fn activate_backward(&self, of: Activation, x: &Numbers, by_out: &Numbers) -> Result<Numbers> {
        Ok(activate_backward(of, x.host(), by_out.host()).into())
    }

    fn normalise(&self, x: &Numbers, columns: usize, epsilon: f32) -> Result<[Numbers; 2]> {
        let Normalised { values, scales } = normalise(x.host(), columns, epsilon);
        Ok([values.into(), scales.into()])
    }

    fn normalise_backward(&self, normalised: &[Numbers; 2], columns: usize, by_values: &Numbers) -> Result<Numbers> {
        let [values, scales] = normalised;
        Ok(normalise_backward([values.host(), scales.host()], columns, by_values.host()).into())
    }

    fn normalise_groups(
        &self,
        x: &Numbers,
        [columns, groups]: [usize; 2],
        ends: &Arc<Vec<u32>>,
        epsilon: f32,
    ) -> Result<[Numbers; 2]> {
        let mut values = x.host().to_vec();
        let mut scales = Vec::with_capacity(ends.len() * groups);
        for (rows, first) in parts_of_groups(columns, groups, ends) {
            let at = || of_group(rows.clone(), first, [columns, columns / groups]);
            let count = (rows.len() * (columns / groups)).max(1) as f64;
            let mean = at().map(|i| f64::from(values[i])).sum::<f64>() / count;
            let variance = at().map(|i| (f64::from(values[i]) - mean).powi(2)).sum::<f64>() / count;
            let scale = 1.0 / (variance + f64::from(epsilon)).sqrt();
            at().for_each(|i| values[i] = ((f64::from(values[i]) - mean) * scale) as f32);
            scales.push(scale as f32);
        }
        Ok([values.into(), scales.into()])
    }

    fn normalise_groups_backward(
        &self,
        normalised: &[Numbers; 2],
        [columns, groups]: [usize; 2],
        ends: &Arc<Vec<u32>>,
        by_values: &Numbers,
    ) -> Result<Numbers> {
        let ([values, scales], by_values) = (normalised.each_ref().map(Numbers::host), by_values.host());
        let mut by_x = vec![0.0; by_values.len()];
        for ((rows, first), scale) in parts_of_groups(columns, groups, ends).zip(scales.iter()) {
            let at = || of_group(rows.clone(), first, [columns, columns / groups]);
            let count = (rows.len() * (columns / groups)).max(1) as f64;
            let mean = at().map(|i| f64::from(by_values[i])).sum::<f64>() / count;
            let along = at().map(|i| f64::from(by_values[i]) * f64::from(values[i])).sum::<f64>() / count;
            at().for_each(|i| {
                let off = f64::from(by_values[i]) - mean - f64::from(values[i]) * along;
                by_x[i] = (f64::from(*scale) * off) as f32;
            });
        }
        Ok(by_x.into())
    }

    fn normalise_lengths(&self, x: &Numbers, by: &Numbers, width: usize) -> Result<Numbers> {
        let (mut values, by) = (x.host().to_vec(), by.host());
        for row in values.chunks_exact_mut(by.len()) {
            for (part, by) in row.chunks_exact_mut(width).zip(by.chunks_exact(width)) {
                let length = part.iter().map(|x| x * x).sum::<f32>().sqrt().max(SHORTEST);
                let scale = (width as f32).sqrt() / length;
                part.iter_mut().zip(by).for_each(|(x, by)| *x *= scale * by);
            }
        }
        Ok(values.into())
    }

    fn scale_columns(&self, x: &Numbers, w: &Numbers, b: Option<&Numbers>) -> Result<Numbers> {
        let (w, b) = (w.host(), b.map(Numbers::host));
        let scaled = |_, out: &mut [f32], x: &[f32]| match b {
            None => (0..w.len()).for_each(|c| out[c] = x[c] * w[c]),
            Some(b) => (0..w.len()).for_each(|c| out[c] = x[c] * w[c] + b[c]),
        };
        Ok(each_row(x.host(), w.len(), scaled).into())
    }

    fn take_columns(&self, part: Part<'_>, columns: usize) -> Result<Numbers> {
        let rows = part.numbers.len() / part.width;
        let values: Vec<f32> = (0..rows).flat_map(|row| &part.row(row)[..columns]).copied().collect();
        Ok(values.into())
    }

    fn modulate(&self, x: &Numbers, by: Part<'_>, samples: &Samples) -> Result<Numbers> {
        let columns = samples.columns(x.len());
        let modulated = |i, out: &mut [f32], x: &[f32]| {
            let (shift, scale) = by.row(samples.of(i))[..2 * columns].split_at(columns);
            for c in 0..columns {
                out[c] = x[c] * (1.0 + scale[c]) + shift[c];
            }
        };
        Ok(each_row(x.host(), columns, modulated).into())
    }

    fn modulate_backward(&self, x: &Numbers, by: Part<'_>, samples: &Samples, by_out: Numbers) -> Result<[Numbers; 2]> {
        let (x, d, columns) = (x.host(), by_out.host(), samples.columns(x.len()));
        let shifts = samples.sums(columns, |i, range, sums| add(sums, &d[i * columns..][range]));
        let scales = samples.sums(columns, |i, range, sums| {
            add_products(sums, &d[i * columns..][range.clone()], &x[i * columns..][range]);
        });
        let mut by_by = vec![0.0; by.numbers.len()];
        for (sums, first) in [(shifts, by.first), (scales, by.first + columns)] {
            put(&mut by_by, by.width, first, &sums, columns);
        }
        let by_x = each_row(d, columns, |i, out, d| {
            let scale = &by.row(samples.of(i))[columns..][..columns];
            (0..columns).for_each(|c| out[c] = d[c] * (1.0 + scale[c]));
        });
        Ok([by_x.into(), by_by.into()])
    }

    fn add_gated(&self, x: &Numbers, h: &Numbers, by: Part<'_>, samples: &Samples) -> Result<Numbers> {
        let (h, columns) = (h.host(), samples.columns(x.len()));
        let added = |i, out: &mut [f32], x: &[f32]| {
            let (gate, h) = (&by.row(samples.of(i))[..columns], &h[i * columns..][..columns]);
            for c in 0..columns {
                out[c] = x[c] + gate[c] * h[c];
            }
        };
        Ok(each_row(x.host(), columns, added).into())
    }

    fn add_gated_backward(
        &self,
        h: &Numbers,
        by: Part<'_>,
        samples: &Samples,
        by_out: &Numbers,
    ) -> Result<[Numbers; 2]> {
        let (h, d, columns) = (h.host(), by_out.host(), samples.columns(by_out.len()));
        let gates = samples.sums(columns, |i, range, sums| {
            add_products(sums, &d[i * columns..][range.clone()], &h[i * columns..][range]);
        });
        let mut by_by = vec![0.0; by.numbers.len()];
        put(&mut by_by, by.width, by.first, &gates, columns);
        let by_h = each_row(d, columns, |i, out, d| {
            let gate = &by.row(samples.of(i))[..columns];
            (0..columns).for_each(|c| out[c] = d[c] * gate[c]);
        });
        Ok([by_h.into(), by_by.into()])
    }

    fn scale_rows(&self, x: &Numbers, by: Part<'_>) -> Result<Numbers> {
        let columns = (x.len() / (by.numbers.len() / by.width).max(1)).max(1);
        let scaled = |i, out: &mut [f32], x: &[f32]| {
            let by = by.row(i)[0];
            out.iter_mut().zip(x).for_each(|(out, x)| *out = x * by);
        };
        Ok(each_row(x.host(), columns, scaled).into())
    }

    fn scale_rows_backward(&self, x: &Numbers, by: Part<'_>, by_out: Numbers) -> Result<[Numbers; 2]> {
        let (mut by_x, mut by_by) = (by_out.into_host(), vec![0.0; by.numbers.len()]);
        let columns = (by_x.len() / (by.numbers.len() / by.width).max(1)).max(1);
        let rows = by_x.par_chunks_exact_mut(columns).zip(x.host().par_chunks_exact(columns));
        rows.zip(by_by.par_chunks_exact_mut(by.width)).enumerate().for_each(|(i, ((d, x), own))| {
            own[by.first] = d.iter().zip(x).map(|(d, x)| d * x).sum();
            let by = by.row(i)[0];
            d.iter_mut().for_each(|d| *d *= by);
        });
        Ok([by_x.into(), by_by.into()])
    }

    fn gather(&self, x: &Numbers, rows: &Arc<Vec<u32>>, columns: usize) -> Result<Numbers> {
        let (xs, mut out) = (x.host(), vec![0.0; rows.len() * columns]);
        out.par_chunks_mut(ROWS * columns).zip(rows.par_chunks(ROWS)).for_each(|(out, rows)| {
            for (out, row) in out.chunks_exact_mut(columns).zip(rows) {
                out.copy_from_slice(&xs[*row as usize * columns..][..columns]);
            }
        });
        Ok(out.into())
    }

    fn gather_backward(&self, by_out: &Numbers, rows: &Arc<Vec<u32>>, columns: usize, count: usize) -> Result<Numbers> {
        let mut by_x = vec![0.0; count * columns];
        for (d, row) in by_out.host().chunks_exact(columns).zip(rows.iter()) {
            let own = &mut by_x[*row as usize * columns..][..columns];
            own.iter_mut().zip(d).for_each(|(own, d)| *own += d);
        }
        Ok(by_x.into())
    }

    fn draw(&self, mean: &Numbers, log_variance: &Numbers, noise: &Numbers) -> Result<Numbers> {
        let scattered = log_variance.host().iter().zip(noise.host().iter()).map(|(v, n)| (0.5 * v).exp() * n);
        Ok(mean.host().iter().zip(scattered).map(|(m, off)| m + off).collect::<Vec<f32>>().into())
    }

    fn draw_backward(&self, log_variance: &Numbers, noise: &Numbers, by_out: &Numbers) -> Result<Numbers> {
        let slopes = log_variance.host().iter().zip(noise.host().iter()).map(|(v, n)| 0.5 * (0.5 * v).exp() * n);
        Ok(by_out.host().iter().zip(slopes).map(|(d, slope)| d * slope).collect::<Vec<f32>>().into())
    }

    fn convolve(
        &self,
        of: &Convolution,
        neighbours: &Arc<Neighbours>,
        [x, kernel, bias]: [&Numbers; 3],
    ) -> Result<Numbers> {
        Ok(of.forward(neighbours, x.host(), kernel.host(), bias.host()).into())
    }

    fn convolve_backward(
        &self,
        of: &Convolution,
        neighbours: &Arc<Neighbours>,
        [x, kernel]: [&Numbers; 2],
        by_out: &Numbers,
    ) -> Result<[Numbers; 3]> {
        Ok(of.backward(neighbours, x.host(), kernel.host(), by_out.host()).map(Numbers::from))
    }

    fn pool(&self, x: &Numbers, to: &Arc<Compressed>, columns: usize) -> Result<Numbers> {
        Ok(mean_of_children(x.host(), &to.parents, columns, to.count).into())
    }

    fn pool_backward(&self, by_out: &Numbers, to: &Arc<Compressed>, columns: usize) -> Result<Numbers> {
        Ok(mean_of_children_backward(by_out.host(), &to.parents, columns).into())
    }

    fn subdivide(&self, x: &Numbers, columns: usize) -> Result<Numbers> {
        Ok(copies_for_children(x.host(), columns).into())
    }

    fn subdivide_backward(&self, by_out: &Numbers, columns: usize) -> Result<Numbers> {
        Ok(copies_for_children_backward(by_out.host(), columns).into())
    }

    fn attend(&self, heads: Heads, patterns: &Arc<Vec<Pattern>>, [q, k, v]: [&Numbers; 3]) -> Result<Attended> {
        let attended = forward(heads, of(patterns), q.host(), k.host(), v.host());
        Ok(Attended { out: attended.out.clone().into(), on_host: Some(Arc::new(attended)) })
    }

    fn attend_backward(
        &self,
        heads: Heads,
        patterns: &Arc<Vec<Pattern>>,
        [q, k, v]: [&Numbers; 3],
        attended: &Attended,
        by_out: &Numbers,
    ) -> Result<[Numbers; 3]> {
        let inputs: [&[f32]; 3] = [q.host(), k.host(), v.host()];
        let by = backward(heads, of(patterns), inputs, kept(attended), by_out.host());
        Ok([by.q.into(), by.k.into(), by.v.into()])
    }

    fn select(
        &self,
        heads: Heads,
        pattern: &Arc<Vec<Pattern>>,
        [q, means]: [&Numbers; 2],
        attended: &Attended,
        blocks: Blocks<'_>,
    ) -> Result<(Vec<u32>, Arc<Vec<Pattern>>)> {
        let selection = select(heads, &pattern[0], [q.host(), means.host()], kept(attended), blocks);
        Ok((selection.blocks, Arc::new(selection.patterns)))
    }
}

fn kept(attended: &Attended) -> &tessera_kernels::sparse_attention::Attended {
    match &attended.on_host {
        Some(kept) => kept,
        None => unreachable!("a tape's numbers are all in one place"),
    }
}

fn of(patterns: &[Pattern]) -> Patterns<'_> {
    match patterns {
        [pattern] => Patterns::Shared(pattern),
        patterns => Patterns::OfGroups(patterns),
    }
}

/// The rows of each sample with the first column of each group.
fn parts_of_groups(columns: usize, groups: usize, ends: &[u32]) -> impl Iterator<Item = (Range<usize>, usize)> {
    let starts = std::iter::once(&0).chain(ends);
    let samples = starts.zip(ends).map(|(first, end)| *first as usize..*end as usize);
    samples.flat_map(move |rows| (0..groups).map(move |group| (rows.clone(), group * (columns / groups))))
}

/// Places of the numbers of a group.
fn of_group(rows: Range<usize>, first: usize, [columns, width]: [usize; 2]) -> impl Iterator<Item = usize> {
    rows.flat_map(move |row| row * columns + first..row * columns + first + width)
}

/// A row of numbers from each row of `x`: tasks fill what `each` gets with the row's number and numbers.
fn each_row(x: &[f32], columns: usize, each: impl Fn(usize, &mut [f32], &[f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    let tasks = out.par_chunks_mut(TASK * columns).zip(x.par_chunks(TASK * columns));
    tasks.enumerate().for_each(|(task, (out, x))| {
        for (i, (out, x)) in out.chunks_exact_mut(columns).zip(x.chunks_exact(columns)).enumerate() {
            each(task * TASK + i, out, x);
        }
    });
    out
}

fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
}

fn add_products(sums: &mut [f32], a: &[f32], b: &[f32]) {
    sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
}

/// Writes rows of `columns` numbers into rows of `width`, from column `first` on.
fn put(out: &mut [f32], width: usize, first: usize, values: &[f32], columns: usize) {
    for (out, row) in out.chunks_exact_mut(width).zip(values.chunks_exact(columns)) {
        out[first..first + columns].copy_from_slice(row);
    }
}

/// The sum of each column.
fn column_sums(values: &[f32], columns: usize) -> Vec<f32> {
    let part = |values: &[f32]| {
        let mut sums = vec![0.0f32; columns];
        for row in values.chunks_exact(columns) {
            add(&mut sums, row);
        }
        sums
    };
    let parts: Vec<Vec<f32>> = values.par_chunks(CHUNK.next_multiple_of(columns)).map(part).collect();
    let mut sums = vec![0.0; columns];
    parts.iter().for_each(|part| add(&mut sums, part));
    sums
}
