//! Where layers are computed: on the host (`host.rs`) or on a device (`device.rs`), which have the same operations, forward and backward.

use super::{Compressed, Values};
use crate::Result;
use crate::train::AvailableMemory;
use std::sync::Arc;
use tessera_kernels::dense::Activation;
use tessera_kernels::device::Buffer;
use tessera_kernels::sparse_attention::{self, Blocks, Heads, Pattern};
use tessera_kernels::sparse_conv::{Convolution, Neighbours};

/// A matrix's numbers, row by row, where layers are computed.
#[derive(Clone)]
pub enum Numbers {
    /// On the host.
    Host(Values),
    /// On a device.
    Device(Arc<Buffer<f32>>),
    /// What attention gave on a device.
    Attended(Arc<sparse_attention::cuda::Attended>),
}

/// What attention gave, and what its gradient and scores of blocks are computed from.
#[derive(Clone, Default)]
pub struct Attended {
    /// `[N, H D]`
    pub out: Numbers,
    /// The same with its sums, on the host.
    pub(super) on_host: Option<Arc<sparse_attention::Attended>>,
}

/// A matrix of so many columns, perhaps with rows for columns.
#[derive(Clone, Copy)]
pub struct Turned<'a> {
    pub numbers: &'a Numbers,
    pub columns: usize,
    pub turned: bool,
}

/// Columns from `first` on of rows of `width` numbers.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    pub numbers: &'a Numbers,
    pub width: usize,
    pub first: usize,
}

/// The sample of each row, and how many samples there are.
#[derive(Clone)]
pub struct Samples {
    /// `[N]`
    pub of_rows: Arc<Vec<u32>>,
    /// How many samples there are.
    pub count: usize,
}

impl Default for Numbers {
    fn default() -> Self {
        Self::Host(Values::default())
    }
}

impl From<Vec<f32>> for Numbers {
    fn from(values: Vec<f32>) -> Self {
        Self::Host(Arc::new(values))
    }
}

impl Numbers {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Host(values) => values.len(),
            Self::Device(buffer) => buffer.len(),
            Self::Attended(attended) => attended.out.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> Turned<'a> {
    pub fn new(numbers: &'a Numbers, columns: usize) -> Self {
        Self { numbers, columns, turned: false }
    }

    pub fn turned(self) -> Self {
        Self { turned: !self.turned, ..self }
    }
}

/// The operations. Names say what goes in; shapes are those of the layers of [`super::Tape`].
pub trait Place: Send + Sync {
    /// The memory there, as far as that is known.
    fn memory(&self) -> Result<Option<AvailableMemory>>;
    /// Rows that are taken at a time where rows do not know of each other and nothing is learned.
    fn rows_at_a_time(&self) -> usize;
    /// Numbers of the host.
    fn give(&self, values: Vec<f32>) -> Result<Numbers>;
    /// Numbers of a parameter, which are kept there as long as the host has them.
    fn parameter(&self, values: &Values) -> Result<Numbers>;
    /// Numbers on the host.
    fn read(&self, numbers: &Numbers) -> Result<Values>;

    /// `a b`, `[m, k]` by `[k, n]`, plus a row of numbers.
    fn product(&self, matrices: [Turned<'_>; 2], size: [usize; 3], bias: Option<&Numbers>) -> Result<Numbers>;
    /// The sum of each column, or that of the products with another matrix's numbers.
    fn sum_columns(&self, values: &Numbers, by: Option<&Numbers>, columns: usize) -> Result<Numbers>;
    /// `a + b`.
    fn add(&self, a: Numbers, b: &Numbers) -> Result<Numbers>;
    /// A function of each number.
    fn activate(&self, of: Activation, x: &Numbers) -> Result<Numbers>;
    /// The gradient by `x`.
    fn activate_backward(&self, of: Activation, x: &Numbers, by_out: &Numbers) -> Result<Numbers>;
    /// Normalised rows, and one over the deviation of each.
    fn normalise(&self, x: &Numbers, columns: usize, epsilon: f32) -> Result<[Numbers; 2]>;
    /// The gradient by the rows before.
    fn normalise_backward(&self, normalised: &[Numbers; 2], columns: usize, by_values: &Numbers) -> Result<Numbers>;
    /// Normalised groups of columns of samples, whose rows end at `ends`, and one over the deviation of each.
    fn normalise_groups(
        &self,
        x: &Numbers,
        shape: [usize; 2],
        ends: &Arc<Vec<u32>>,
        epsilon: f32,
    ) -> Result<[Numbers; 2]>;
    /// The gradient by the rows before.
    fn normalise_groups_backward(
        &self,
        normalised: &[Numbers; 2],
        shape: [usize; 2],
        ends: &Arc<Vec<u32>>,
        by_values: &Numbers,
    ) -> Result<Numbers>;
    /// Parts of `width` numbers of each row brought to the length √width, times a row of numbers.
    fn normalise_lengths(&self, x: &Numbers, by: &Numbers, width: usize) -> Result<Numbers>;

    /// `x w + b`, column by column.
    fn scale_columns(&self, x: &Numbers, w: &Numbers, b: Option<&Numbers>) -> Result<Numbers>;
    /// Some columns of rows.
    fn take_columns(&self, part: Part<'_>, columns: usize) -> Result<Numbers>;
    /// `x (1 + scale) + shift`, with the row of `by` of each row's sample: shift, then scale.
    fn modulate(&self, x: &Numbers, by: Part<'_>, samples: &Samples) -> Result<Numbers>;
    /// The gradients by `x` and `by`.
    fn modulate_backward(&self, x: &Numbers, by: Part<'_>, samples: &Samples, by_out: Numbers) -> Result<[Numbers; 2]>;
    /// `x + gate h`, with the row of `by` of each row's sample.
    fn add_gated(&self, x: &Numbers, h: &Numbers, by: Part<'_>, samples: &Samples) -> Result<Numbers>;
    /// The gradients by `h` and `by`; that by `x` is `by_out`.
    fn add_gated_backward(
        &self,
        h: &Numbers,
        by: Part<'_>,
        samples: &Samples,
        by_out: &Numbers,
    ) -> Result<[Numbers; 2]>;
    /// Each row times a number of the same row of `by`.
    fn scale_rows(&self, x: &Numbers, by: Part<'_>) -> Result<Numbers>;
    /// The gradients by `x` and `by`.
    fn scale_rows_backward(&self, x: &Numbers, by: Part<'_>, by_out: Numbers) -> Result<[Numbers; 2]>;
    /// The rows of these numbers.
    fn gather(&self, x: &Numbers, rows: &Arc<Vec<u32>>, columns: usize) -> Result<Numbers>;
    /// The gradient by `x` of so many rows.
    fn gather_backward(&self, by_out: &Numbers, rows: &Arc<Vec<u32>>, columns: usize, count: usize) -> Result<Numbers>;
    /// `mean + exp(log_variance / 2) noise`.
    fn draw(&self, mean: &Numbers, log_variance: &Numbers, noise: &Numbers) -> Result<Numbers>;
    /// The gradient by `log_variance`; that by `mean` is `by_out`.
    fn draw_backward(&self, log_variance: &Numbers, noise: &Numbers, by_out: &Numbers) -> Result<Numbers>;

    /// A convolution of the input with a kernel, plus a bias.
    fn convolve(&self, of: &Convolution, neighbours: &Arc<Neighbours>, inputs: [&Numbers; 3]) -> Result<Numbers>;
    /// The gradients by the input, kernel and bias.
    fn convolve_backward(
        &self,
        of: &Convolution,
        neighbours: &Arc<Neighbours>,
        inputs: [&Numbers; 2],
        by_out: &Numbers,
    ) -> Result<[Numbers; 3]>;
    /// The mean of the rows that share a parent.
    fn pool(&self, x: &Numbers, to: &Arc<Compressed>, columns: usize) -> Result<Numbers>;
    /// The gradient by the rows.
    fn pool_backward(&self, by_out: &Numbers, to: &Arc<Compressed>, columns: usize) -> Result<Numbers>;
    /// Each row for all eight children.
    fn subdivide(&self, x: &Numbers, columns: usize) -> Result<Numbers>;
    /// The gradient by the rows.
    fn subdivide_backward(&self, by_out: &Numbers, columns: usize) -> Result<Numbers>;

    /// Attention of queries to keys and values.
    fn attend(&self, heads: Heads, patterns: &Arc<Vec<Pattern>>, inputs: [&Numbers; 3]) -> Result<Attended>;
    /// The gradients by queries, keys and values.
    fn attend_backward(
        &self,
        heads: Heads,
        patterns: &Arc<Vec<Pattern>>,
        inputs: [&Numbers; 3],
        attended: &Attended,
        by_out: &Numbers,
    ) -> Result<[Numbers; 3]>;
    /// The blocks that queries see, `[G, N, count]`, and the patterns of groups: of queries and means that attention was computed of by `pattern`.
    fn select(
        &self,
        heads: Heads,
        pattern: &Arc<Vec<Pattern>>,
        inputs: [&Numbers; 2],
        attended: &Attended,
        blocks: Blocks<'_>,
    ) -> Result<(Vec<u32>, Arc<Vec<Pattern>>)>;
}
