//! The layout of samples in batches: blocks of sixteen, features as rows.

/// Samples in a block: two groups of SIMD lanes.
pub const BLOCK: usize = 16;

/// Rows of a batch `[blocks, rows, 16]`: those from `first` on are meant. How an encoding lands in the middle of a network's
/// input without a copy.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Rows of a block.
    pub rows: usize,
    /// The first row that is meant.
    pub first: usize,
}

impl Rows {
    /// All of a block's `rows` rows.
    pub fn all(rows: usize) -> Self {
        Self { rows, first: 0 }
    }

    /// Where the row `row` of those that are meant begins in block `block`.
    #[inline(always)]
    pub fn at(self, block: usize, row: usize) -> usize {
        (block * self.rows + self.first + row) * BLOCK
    }
}

/// Blocks for so many samples.
pub fn blocks_for(samples: usize) -> usize {
    samples.div_ceil(BLOCK)
}

/// `[N, C]` as `[blocks, C, 16]`; zeros behind the last sample.
pub fn to_blocks(values: &[f32], columns: usize) -> Vec<f32> {
    let samples = values.len() / columns;
    let mut out = vec![0.0; blocks_for(samples) * columns * BLOCK];
    for (sample, row) in values.chunks_exact(columns).enumerate() {
        for (column, &value) in row.iter().enumerate() {
            out[Rows::all(columns).at(sample / BLOCK, column) + sample % BLOCK] = value;
        }
    }
    out
}

/// The `columns` rows that are meant of each of `samples` samples, as `[N, C]`.
pub fn from_blocks(values: &[f32], rows: Rows, columns: usize, samples: usize) -> Vec<f32> {
    let one = |sample: usize| (0..columns).map(move |column| rows.at(sample / BLOCK, column) + sample % BLOCK);
    (0..samples).flat_map(one).map(|at| values[at]).collect()
}
