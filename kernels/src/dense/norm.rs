//! Normalisation: numbers that belong together less their mean, by their standard deviation.

use rayon::prelude::*;

/// Rows of a task.
const ROWS: usize = 32;

/// Normalised rows, and what they were divided by.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalised {
    /// As many rows.
    pub values: Vec<f32>,
    /// One over the standard deviation of each row.
    pub scales: Vec<f32>,
}

/// Each row of `[N, C]` with mean 0 and variance 1 (that over C, plus `epsilon`).
pub fn normalise(x: &[f32], columns: usize, epsilon: f32) -> Normalised {
    let rows = x.len() / columns;
    let mut out = Normalised { values: vec![0.0; x.len()], scales: vec![0.0; rows] };
    let parts = out.values.par_chunks_mut(ROWS * columns).zip(out.scales.par_chunks_mut(ROWS));
    parts.zip(x.par_chunks(ROWS * columns)).for_each(|((values, scales), x)| {
        for ((values, scale), x) in values.chunks_exact_mut(columns).zip(scales).zip(x.chunks_exact(columns)) {
            let mean = sum(x.iter().copied()) / columns as f32;
            let variance = sum(x.iter().map(|x| (x - mean) * (x - mean))) / columns as f32;
            *scale = 1.0 / (variance + epsilon).sqrt();
            values.iter_mut().zip(x).for_each(|(value, x)| *value = (x - mean) * *scale);
        }
    });
    out
}

/// The gradient by the rows before, from normalised rows, their scales, and the gradient by them.
pub fn normalise_backward([values, scales]: [&[f32]; 2], columns: usize, by_values: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; by_values.len()];
    let rows = values.par_chunks(ROWS * columns).zip(scales.par_chunks(ROWS));
    let parts = out.par_chunks_mut(ROWS * columns).zip(rows).zip(by_values.par_chunks(ROWS * columns));
    parts.for_each(|((out, (values, scales)), by_values)| {
        let rows = out.chunks_exact_mut(columns).zip(values.chunks_exact(columns)).zip(by_values.chunks_exact(columns));
        for (((out, values), d), scale) in rows.zip(scales) {
            let mean = sum(d.iter().copied()) / columns as f32;
            let along = sum(d.iter().zip(values).map(|(d, x)| d * x)) / columns as f32;
            out.iter_mut().zip(d.iter().zip(values)).for_each(|(out, (d, x))| *out = scale * (d - mean - x * along));
        }
    });
    out
}

/// A sum in eight parts, which compilers turn into lanes.
fn sum(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let mut parts = [0.0f32; 8];
    for (i, value) in values.enumerate() {
        parts[i % 8] += value;
    }
    parts.into_iter().sum()
}
