//! Rows of samples, as devices have them.
#![allow(dead_code, reason = "each test program uses a part")]

use tessera_kernels::device::{Buffer, Device, Element};
use tessera_kernels::hash_grid::cuda::Batch;

/// `[N, C]` as rows `first..` of `[first + C, stride]`; zeros elsewhere.
pub fn rows(values: &[f32], columns: usize, batch: Batch, first: usize) -> Vec<f32> {
    let mut out = vec![0.0; (first + columns) * batch.stride];
    for (i, row) in values.chunks_exact(columns).enumerate() {
        row.iter().enumerate().for_each(|(c, value)| out[(first + c) * batch.stride + i] = *value);
    }
    out
}

/// `[N, C]` from the first rows of `[rows, stride]`.
pub fn columns(rows: &[f32], columns: usize, batch: Batch) -> Vec<f32> {
    let one = |i: usize| (0..columns).map(move |c| c * batch.stride + i);
    (0..batch.samples).flat_map(one).map(|at| rows[at]).collect()
}

/// A copy on the device.
pub fn upload<T: Element>(device: &Device, values: &[T]) -> Buffer<T> {
    device.upload(values, "a test").expect("memory")
}
