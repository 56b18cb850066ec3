//! The same on a device: products, norms and activations by `dense.cu`, and what layers do to whole rows by `rows.cu` ([`Rows`]).
//!
//! Each operation makes the buffer that it returns, in the order of a stream. Sizes are said by the buffers and by `columns`.

mod rows;

pub use rows::{DeviceRows, Part, Rows};

use super::Activation;
use crate::device::{Buffer, Device, DeviceError, Kernel, Launch, Precision, Source, Stream};
use crate::device_struct;
use bytemuck::{Pod, Zeroable};

/// `dense.cu`
pub static DENSE: Source = Source::new("dense/cuda/dense.cu", include_str!("dense.cu"));
/// `rows.cu`
pub static ROWS: Source = Source::new("dense/cuda/rows.cu", include_str!("rows.cu"));

/// Threads of a block that goes through numbers.
const BLOCK: u32 = 256;
/// Rows and columns of a tile of a product, and threads of the block that makes it.
pub(crate) const TILE: usize = 64;
pub(crate) const TILE_THREADS: u32 = 128;
/// A product has about so many blocks, if its sums are long enough to be shared: two for each processor of a large device.
const BLOCKS: usize = 264;
/// The fewest inner indices of a part of a product, and rows of a part of sums of columns.
const PART: usize = 512;
const PURPOSE: &str = "layers";

/// As `dense.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct ProductShape {
    rows: u32,
    inner: u32,
    columns: u32,
    part: u32,
    left_strides: [u64; 2],
    right_strides: [u64; 2],
}
device_struct!(ProductShape);

/// A matrix on a device: its element (i, j) is `values[i * strides[0] + j * strides[1]]`.
#[derive(Clone, Copy)]
pub struct DeviceMatrix<'a> {
    /// All numbers.
    pub values: &'a Buffer<f32>,
    /// From row to row, and from column to column.
    pub strides: [usize; 2],
}

impl<'a> DeviceMatrix<'a> {
    /// A matrix of so many columns, row by row.
    pub fn new(values: &'a Buffer<f32>, columns: usize) -> Self {
        Self { values, strides: [columns, 1] }
    }

    /// The same with rows for columns.
    pub fn turned(self) -> Self {
        Self { strides: [self.strides[1], self.strides[0]], ..self }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        let last = |count: usize, stride: usize| (count.max(1) - 1) * stride;
        rows * columns == 0 || last(rows, self.strides[0]) + last(columns, self.strides[1]) < self.values.len()
    }
}

/// Dense layers on a device.
pub struct Dense {
    device: Device,
    product: Kernel,
    product_bf16: Kernel,
    sum_parts: Kernel,
    sum_columns: Kernel,
    activate: Kernel,
    activate_backward: Kernel,
    add: Kernel,
    normalise: Kernel,
    normalise_backward: Kernel,
    normalise_groups: Kernel,
    normalise_groups_backward: Kernel,
}

impl Dense {
    /// Prepares the kernels.
    ///
    /// # Errors
    /// When they cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&DENSE, name);
        Ok(Self {
            product: kernel("dense_product")?,
            product_bf16: kernel("dense_product_bf16")?,
            sum_parts: kernel("sum_parts")?,
            sum_columns: kernel("sum_columns")?,
            activate: kernel("activate")?,
            activate_backward: kernel("activate_backward")?,
            add: kernel("add_numbers")?,
            normalise: kernel("normalise")?,
            normalise_backward: kernel("normalise_backward")?,
            normalise_groups: kernel("normalise_groups")?,
            normalise_groups_backward: kernel("normalise_groups_backward")?,
            device: device.clone(),
        })
    }

    /// `a b`, `[m, k]` by `[k, n]`, plus a row of numbers, as [`super::product`].
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// When the matrices are smaller than that.
    pub fn product(
        &self,
        stream: &Stream,
        precision: Precision,
        [a, b]: [DeviceMatrix<'_>; 2],
        [rows, inner, columns]: [usize; 3],
        bias: Option<&Buffer<f32>>,
    ) -> Result<Buffer<f32>, DeviceError> {
        assert!(a.holds(rows, inner) && b.holds(inner, columns), "matrices of {rows}, {inner} and {columns}");
        assert!(bias.is_none_or(|bias| bias.len() >= columns), "a number to add for each column");
        let tiles = rows.div_ceil(TILE) * columns.div_ceil(TILE);
        let parts = if bias.is_some() { 1 } else { parts_of(tiles, inner) };
        let shape = ProductShape {
            rows: rows as u32,
            inner: inner as u32,
            columns: columns as u32,
            part: inner.div_ceil(parts) as u32,
            left_strides: a.strides.map(|stride| stride as u64),
            right_strides: b.strides.map(|stride| stride as u64),
        };
        let mut out = self.device.buffer(parts * rows * columns, PURPOSE)?;
        let grid = [rows.div_ceil(TILE), columns.div_ceil(TILE), parts].map(|n| n as u32);
        let launch = Launch::grid(grid, [TILE_THREADS, 1, 1]);
        let kernel = if precision == Precision::Brain { &self.product_bf16 } else { &self.product };
        kernel.launch(stream, launch, (shape, a.values, b.values, bias, &mut out))?;
        if parts == 1 { Ok(out) } else { self.sum_of_parts(stream, &out, parts) }
    }

    /// The sum of `parts` arrays that follow each other.
    ///
    /// # Errors
    /// As [`Self::product`].
    pub fn sum_of_parts(
        &self,
        stream: &Stream,
        values: &Buffer<f32>,
        parts: usize,
    ) -> Result<Buffer<f32>, DeviceError> {
        let count = values.len() / parts;
        let mut out = self.device.buffer(count, PURPOSE)?;
        let arguments = (values, &mut out, count as u32, parts as u32);
        self.sum_parts.launch(stream, Launch::linear(count, BLOCK), arguments)?;
        Ok(out)
    }

    /// The sum of each column, or that of the products with another matrix's numbers.
    ///
    /// # Errors
    /// As [`Self::product`].
    ///
    /// # Panics
    /// When there are no whole rows, or not as many of both.
    pub fn sum_columns(
        &self,
        stream: &Stream,
        values: &Buffer<f32>,
        by: Option<&Buffer<f32>>,
        columns: usize,
    ) -> Result<Buffer<f32>, DeviceError> {
        assert!(values.len().is_multiple_of(columns) && by.is_none_or(|by| by.len() == values.len()), "whole rows");
        let rows = values.len() / columns;
        let parts = rows.div_ceil(PART).clamp(1, BLOCKS);
        let mut out = self.device.buffer(parts * columns, PURPOSE)?;
        let grid = [(columns as u32).div_ceil(BLOCK), parts as u32, 1];
        let arguments = (values, by, &mut out, rows as u32, columns as u32, rows.div_ceil(parts) as u32);
        self.sum_columns.launch(stream, Launch::grid(grid, [BLOCK, 1, 1]), arguments)?;
        if parts == 1 { Ok(out) } else { self.sum_of_parts(stream, &out, parts) }
    }

    /// As [`super::activate`].
    ///
    /// # Errors
    /// As [`Self::product`].
    pub fn activate(&self, stream: &Stream, of: Activation, x: &Buffer<f32>) -> Result<Buffer<f32>, DeviceError> {
        let mut out = self.device.buffer(x.len(), PURPOSE)?;
        let arguments = (of as u32, x, &mut out, x.len() as u32);
        self.activate.launch(stream, Launch::linear(x.len(), BLOCK), arguments)?;
        Ok(out)
    }

    /// As [`super::activate_backward`].
    ///
    /// # Errors
    /// As [`Self::product`].
    ///
    /// # Panics
    /// When sizes differ.
    pub fn activate_backward(
        &self,
        stream: &Stream,
        of: Activation,
        x: &Buffer<f32>,
        by_out: &Buffer<f32>,
    ) -> Result<Buffer<f32>, DeviceError> {
        assert_eq!(x.len(), by_out.len(), "a gradient for each number");
        let mut by_x = self.device.buffer(x.len(), PURPOSE)?;
        let arguments = (of as u32, x, by_out, &mut by_x, x.len() as u32);
        self.activate_backward.launch(stream, Launch::linear(x.len(), BLOCK), arguments)?;
        Ok(by_x)
    }

    /// `a + b`.
    ///
    /// # Errors
    /// As [`Self::product`].
    ///
    /// # Panics
    /// When sizes differ.
    pub fn add(&self, stream: &Stream, a: &Buffer<f32>, b: &Buffer<f32>) -> Result<Buffer<f32>, DeviceError> {
        assert_eq!(a.len(), b.len(), "numbers of one size");
        let mut out = self.device.buffer(a.len(), PURPOSE)?;
        self.add.launch(stream, Launch::linear(a.len(), BLOCK), (a, b, &mut out, a.len() as u32))?;
        Ok(out)
    }

    /// As [`super::normalise`]: normalised rows, and one over the standard deviation of each.
    ///
    /// # Errors
    /// As [`Self::product`].
    pub fn normalise(
        &self,
        stream: &Stream,
        x: &Buffer<f32>,
        columns: usize,
        epsilon: f32,
    ) -> Result<[Buffer<f32>; 2], DeviceError> {
        let rows = x.len() / columns;
        let mut values = self.device.buffer(x.len(), PURPOSE)?;
        let mut scales = self.device.buffer(rows, PURPOSE)?;
        let arguments = (x, &mut values, &mut scales, rows as u32, columns as u32, epsilon);
        self.normalise.launch(stream, Launch::linear(32 * rows, BLOCK), arguments)?;
        Ok([values, scales])
    }

    /// As [`super::normalise_backward`].
    ///
    /// # Errors
    /// As [`Self::product`].
    ///
    /// # Panics
    /// When sizes differ.
    pub fn normalise_backward(
        &self,
        stream: &Stream,
        [values, scales]: [&Buffer<f32>; 2],
        columns: usize,
        by_values: &Buffer<f32>,
    ) -> Result<Buffer<f32>, DeviceError> {
        assert_eq!(values.len(), by_values.len(), "a gradient for each number");
        let rows = by_values.len() / columns;
        let mut by_x = self.device.buffer(by_values.len(), PURPOSE)?;
        let arguments = (values, scales, by_values, &mut by_x, rows as u32, columns as u32);
        self.normalise_backward.launch(stream, Launch::linear(32 * rows, BLOCK), arguments)?;
        Ok(by_x)
    }

    /// Each of `groups` groups of columns of each sample with mean 0 and variance 1; `ends` says where the samples' rows end. And one over the
    /// standard deviation of each, `[samples, groups]`.
    ///
    /// # Errors
    /// As [`Self::product`].
    pub fn normalise_groups(
        &self,
        stream: &Stream,
        x: &Buffer<f32>,
        [columns, groups]: [usize; 2],
        ends: &Buffer<u32>,
        epsilon: f32,
    ) -> Result<[Buffer<f32>; 2], DeviceError> {
        let mut values = self.device.buffer(x.len(), PURPOSE)?;
        let mut scales = self.device.buffer(ends.len() * groups, PURPOSE)?;
        let launch = Launch::grid([groups as u32, ends.len() as u32, 1], [BLOCK, 1, 1]);
        let width = (columns / groups) as u32;
        let arguments = (x, ends, &mut values, &mut scales, columns as u32, width, epsilon);
        self.normalise_groups.launch(stream, launch, arguments)?;
        Ok([values, scales])
    }

    /// The gradient by the numbers before [`Self::normalise_groups`].
    ///
    /// # Errors
    /// As [`Self::product`].
    ///
    /// # Panics
    /// When sizes differ.
    pub fn normalise_groups_backward(
        &self,
        stream: &Stream,
        [values, scales]: [&Buffer<f32>; 2],
        [columns, groups]: [usize; 2],
        ends: &Buffer<u32>,
        by_values: &Buffer<f32>,
    ) -> Result<Buffer<f32>, DeviceError> {
        assert_eq!(values.len(), by_values.len(), "a gradient for each number");
        let mut by_x = self.device.buffer(by_values.len(), PURPOSE)?;
        let launch = Launch::grid([groups as u32, ends.len() as u32, 1], [BLOCK, 1, 1]);
        let arguments = (values, scales, ends, by_values, &mut by_x, columns as u32, (columns / groups) as u32);
        self.normalise_groups_backward.launch(stream, launch, arguments)?;
        Ok(by_x)
    }
}

/// In how many parts a sum of `inner` products is made, where there are so many tiles.
pub(crate) fn parts_of(tiles: usize, inner: usize) -> usize {
    (BLOCKS / tiles.max(1)).clamp(1, inner.div_ceil(PART).max(1))
}
