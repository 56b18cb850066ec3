//! Products of matrices.

use crate::dispatch;
use crate::simd::Lanes;
use rayon::prelude::*;

/// Products that are summed before sums are written.
pub const INNER: usize = 256;
/// Rows of a tile.
const ROWS: usize = 6;
/// Columns of a tile, two registers.
const COLUMNS: usize = 16;
/// Rows of a task.
const TASK: usize = 8 * ROWS;

/// A matrix in memory: its element (i, j) is `values[i * strides[0] + j * strides[1]]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// All numbers.
    pub values: &'a [f32],
    /// From row to row, and from column to column.
    pub strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// A matrix of so many columns, row by row.
    pub fn new(values: &'a [f32], columns: usize) -> Self {
        Self { values, strides: [columns, 1] }
    }

    /// The same with rows for columns.
    pub fn turned(self) -> Self {
        Self { strides: [self.strides[1], self.strides[0]], ..self }
    }

    pub(super) fn at(self, i: usize, j: usize) -> f32 {
        self.values[i * self.strides[0] + j * self.strides[1]]
    }
}

dispatch! {
    /// Adds the products of packed rows and packed columns to rows of `out`.
    fn tiles(rows: &[f32], columns: &[f32], inner: usize, width: usize, out: &mut [f32]) = tiles_kernel;
}

/// Adds `a b`, `[m, k]` by `[k, n]`, to `out`, `[m, n]`.
///
/// # Panics
/// When the matrices are smaller than that.
pub fn product(a: Matrix<'_>, b: Matrix<'_>, inner: usize, columns: usize, out: &mut [f32]) {
    if out.is_empty() || inner == 0 {
        return;
    }
    let mut packed = vec![0.0; INNER.min(inner) * columns.next_multiple_of(COLUMNS)];
    for first in (0..inner).step_by(INNER) {
        let depth = INNER.min(inner - first);
        let packed = &mut packed[..depth * columns.next_multiple_of(COLUMNS)];
        packed.par_chunks_mut(depth * COLUMNS).enumerate().for_each(|(panel, packed)| {
            let begin = panel * COLUMNS;
            let count = COLUMNS.min(columns - begin);
            for (k, row) in packed.chunks_exact_mut(COLUMNS).enumerate() {
                if b.strides[1] == 1 {
                    copy::<COLUMNS>(&b.values[(first + k) * b.strides[0] + begin..][..count], row);
                } else {
                    row.iter_mut().take(count).enumerate().for_each(|(j, x)| *x = b.at(first + k, begin + j));
                }
            }
        });
        let packed = &*packed;
        out.par_chunks_mut(TASK * columns).enumerate().for_each_init(Vec::new, |rows, (task, out)| {
            let rows = pack_rows(a, [task * TASK, first], [out.len() / columns, depth], rows);
            tiles(rows, packed, depth, columns, out);
        });
    }
}

/// Copies numbers to the front of `out`: all of them at once where there are as many as usual.
#[inline(always)]
fn copy<const USUAL: usize>(values: &[f32], out: &mut [f32]) {
    match <&[f32; USUAL]>::try_from(values) {
        Ok(values) => out[..USUAL].copy_from_slice(values),
        Err(_) => out[..values.len()].copy_from_slice(values),
    }
}

/// Groups of six rows, column by column; any numbers where there are fewer. The buffer is used again and again.
fn pack_rows<'o>(
    a: Matrix<'_>,
    [row, first]: [usize; 2],
    [count, depth]: [usize; 2],
    buffer: &'o mut Vec<f32>,
) -> &'o [f32] {
    let length = count.next_multiple_of(ROWS) * depth;
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    let out = &mut buffer[..length];
    for (group, out) in out.chunks_exact_mut(ROWS * depth).enumerate() {
        let rows = ROWS.min(count - group * ROWS);
        let begin = row + group * ROWS;
        if a.strides[0] == 1 {
            for (k, out) in out.chunks_exact_mut(ROWS).enumerate() {
                copy::<ROWS>(&a.values[(first + k) * a.strides[1] + begin..][..rows], out);
            }
        } else {
            for r in 0..rows {
                let values = &a.values[(begin + r) * a.strides[0] + first * a.strides[1]..];
                let values = values.iter().step_by(a.strides[1]).take(depth);
                out[r..].iter_mut().step_by(ROWS).zip(values).for_each(|(out, x)| *out = *x);
            }
        }
    }
    out
}

#[inline(always)]
fn tiles_kernel<V: Lanes>(rows: &[f32], columns: &[f32], inner: usize, width: usize, out: &mut [f32]) {
    let count = out.len() / width;
    assert!(rows.len() >= count.div_ceil(ROWS) * ROWS * inner, "packed rows");
    assert!(columns.len() >= width.div_ceil(COLUMNS) * COLUMNS * inner, "packed columns");
    for first in (0..width).step_by(COLUMNS) {
        let panel = &columns[first * inner..][..COLUMNS * inner];
        for row in (0..count).step_by(ROWS) {
            let group = &rows[row * inner..][..ROWS * inner];
            let mut sums = [[V::all(0.0); 2]; ROWS];
            for k in 0..inner {
                // SAFETY: groups and panels have `inner` rows.
                unsafe {
                    let b = panel.as_ptr().add(k * COLUMNS);
                    let (b0, b1) = (V::load(b), V::load(b.add(8)));
                    let a = group.as_ptr().add(k * ROWS);
                    for r in 0..ROWS {
                        let x = V::all(*a.add(r));
                        sums[r][0] = x.mul_add(b0, sums[r][0]);
                        sums[r][1] = x.mul_add(b1, sums[r][1]);
                    }
                }
            }
            let columns = COLUMNS.min(width - first);
            for (r, sums) in sums.iter().enumerate().take(ROWS.min(count - row)) {
                let own = &mut out[(row + r) * width + first..][..columns];
                if columns == COLUMNS {
                    for (half, sum) in sums.iter().enumerate() {
                        // SAFETY: sixteen numbers, as the slice has.
                        unsafe {
                            let own = own.as_mut_ptr().add(8 * half);
                            (V::load(own) + *sum).store(own);
                        }
                    }
                } else {
                    let values = sums[0].to_array().into_iter().chain(sums[1].to_array());
                    own.iter_mut().zip(values).for_each(|(own, value)| *own += value);
                }
            }
        }
    }
}
