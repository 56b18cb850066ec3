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

/// Rows of a task.
const ROWS: usize = 256;
/// So that the widest layers of published models need little memory.
const ROWS_AT_A_TIME: usize = 4096;
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
        let mut out = bias.map_or_else(|| vec![0.0; rows * columns], |bias| bias.host().repeat(rows));
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
                let products: Vec<f32> = values.host().iter().zip(by.host().iter()).map(|(d, x)| d * x).collect();
                column_sums(&products, columns)
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
        let (mut out, w) = (x.host().to_vec(), w.host());
        out.par_chunks_exact_mut(w.len()).for_each(|row| {
            row.iter_mut().zip(w.iter()).for_each(|(x, w)| *x *= w);
            if let Some(b) = b {
                row.iter_mut().zip(b.host().iter()).for_each(|(x, b)| *x += b);
            }
        });
        Ok(out.into())
    }

    fn take_columns(&self, part: Part<'_>, columns: usize) -> Result<Numbers> {
        let rows = part.numbers.len() / part.width;
        let values: Vec<f32> = (0..rows).flat_map(|row| &part.row(row)[..columns]).copied().collect();
        Ok(values.into())
    }

    fn modulate(&self, x: &Numbers, by: Part<'_>, samples: &Samples) -> Result<Numbers> {
        let mut out = x.host().to_vec();
        let columns = out.len() / samples.of_rows.len().max(1);
        out.par_chunks_exact_mut(columns.max(1)).enumerate().for_each(|(i, out)| {
            let (shift, scale) = by.row(samples.of(i))[..2 * columns].split_at(columns);
            for c in 0..columns {
                out[c] = out[c] * (1.0 + scale[c]) + shift[c];
            }
        });
        Ok(out.into())
    }

    fn modulate_backward(&self, x: &Numbers, by: Part<'_>, samples: &Samples, by_out: Numbers) -> Result<[Numbers; 2]> {
        let (mut by_x, mut by_by) = (by_out.into_host(), vec![0.0; by.numbers.len()]);
        let columns = (by_x.len() / samples.of_rows.len().max(1)).max(1);
        for (i, (d, x)) in by_x.chunks_exact(columns).zip(x.host().chunks_exact(columns)).enumerate() {
            let own = &mut by_by[samples.of(i) * by.width + by.first..][..2 * columns];
            let (shift, scale) = own.split_at_mut(columns);
            for c in 0..columns {
                shift[c] += d[c];
                scale[c] += d[c] * x[c];
            }
        }
        by_x.par_chunks_exact_mut(columns).enumerate().for_each(|(i, row)| {
            let scale = &by.row(samples.of(i))[columns..][..columns];
            row.iter_mut().zip(scale).for_each(|(d, scale)| *d *= 1.0 + scale);
        });
        Ok([by_x.into(), by_by.into()])
    }

    fn add_gated(&self, x: &Numbers, h: &Numbers, by: Part<'_>, samples: &Samples) -> Result<Numbers> {
        let mut out = x.host().to_vec();
        let columns = (out.len() / samples.of_rows.len().max(1)).max(1);
        let rows = out.par_chunks_exact_mut(columns).zip(h.host().par_chunks_exact(columns));
        rows.enumerate().for_each(|(i, (out, h))| {
            let gate = &by.row(samples.of(i))[..columns];
            for c in 0..columns {
                out[c] += gate[c] * h[c];
            }
        });
        Ok(out.into())
    }

    fn add_gated_backward(
        &self,
        h: &Numbers,
        by: Part<'_>,
        samples: &Samples,
        by_out: &Numbers,
    ) -> Result<[Numbers; 2]> {
        let (mut by_h, mut by_by) = (by_out.host().to_vec(), vec![0.0; by.numbers.len()]);
        let columns = (by_h.len() / samples.of_rows.len().max(1)).max(1);
        for (i, (d, h)) in by_h.chunks_exact(columns).zip(h.host().chunks_exact(columns)).enumerate() {
            let own = &mut by_by[samples.of(i) * by.width + by.first..][..columns];
            own.iter_mut().zip(d.iter().zip(h)).for_each(|(own, (d, h))| *own += d * h);
        }
        by_h.par_chunks_exact_mut(columns).enumerate().for_each(|(i, row)| {
            let gate = &by.row(samples.of(i))[..columns];
            row.iter_mut().zip(gate).for_each(|(d, gate)| *d *= gate);
        });
        Ok([by_h.into(), by_by.into()])
    }

    fn scale_rows(&self, x: &Numbers, by: Part<'_>) -> Result<Numbers> {
        let mut out = x.host().to_vec();
        let columns = (out.len() / (by.numbers.len() / by.width).max(1)).max(1);
        out.par_chunks_exact_mut(columns).enumerate().for_each(|(i, row)| {
            let by = by.row(i)[0];
            row.iter_mut().for_each(|x| *x *= by);
        });
        Ok(out.into())
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
