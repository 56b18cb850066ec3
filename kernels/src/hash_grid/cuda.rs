//! The same grids on a device: `grid.cu`.
//!
//! Samples lie in rows, `[rows, stride]` ([`Batch`]): number `i` of row `r` is at `r · stride + i`, so that neighbouring threads read and write
//! neighbouring numbers. Tables are those of the CPU.
//!
//! Counted for a sample and level in the cube: an encoding loads eight entries of eight bytes in random places and 12 bytes of position, and writes
//! 8 bytes (24 more for the Jacobian), with about 110 operations; the gradient reads 20 bytes and adds sixteen integers of 8 bytes in random
//! places, 36 with the second order. In the square it is half of both. An entry's gradient costs 40 bytes when sums are turned into it.
//!
//! Gradients of tables are sums of 64-bit integers (`grid.cu` says in what unit), so they have the same bits in whatever order blocks run. A
//! sample whose part is below 2^-(62 - log2 samples) of the level's largest does not count.

use super::{Addressing, FEATURES, HashGrid};
use crate::device::{Buffer, Device, DeviceError, Kernel, Launch, Source, Stream};
use crate::device_struct;
use bytemuck::{Pod, Zeroable};

/// The kernels of this folder.
pub static GRID: Source = Source::new("hash_grid/grid.cu", include_str!("grid.cu"));

/// Samples that are computed together. Matrices of theirs are `[rows, stride]`, row after row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many there are.
    pub samples: usize,
    /// Numbers from a row to the next, at least as many as samples.
    pub stride: usize,
}

/// Rows of a matrix on a device that are meant: those from some row on.
#[derive(Clone, Copy)]
pub struct RowsIn<'a> {
    /// `[rows, stride]`.
    pub matrix: &'a Buffer<f32>,
    /// The first row that is meant.
    pub first: usize,
}

/// As [`RowsIn`], to be written.
pub struct RowsOut<'a> {
    /// `[rows, stride]`.
    pub matrix: &'a mut Buffer<f32>,
    /// The first row that is meant.
    pub first: usize,
}

impl Batch {
    /// Samples without space between rows.
    pub fn of(samples: usize) -> Self {
        Self { samples, stride: samples }
    }

    /// Panics unless `rows` rows from `first` on fit a matrix of `len` numbers.
    pub(crate) fn check(self, len: usize, first: usize, rows: usize, what: &str) {
        assert!(self.samples <= self.stride, "rows of {} samples, {} apart", self.samples, self.stride);
        let needed = (first + rows) * self.stride;
        assert!(len >= needed, "{what}: {rows} rows from {first} on need {needed} numbers, and there are {len}");
    }
}

/// As `grid.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct GridLevel {
    scale: f32,
    resolution: u32,
    size: u32,
    offset: u32,
    addressing: u32,
}

/// As `grid.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct GridShape {
    levels: u32,
    active: u32,
    smooth: u32,
    samples: u32,
    stride: u32,
    sum_bits: u32,
}

/// As `grid.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct ThroughShape {
    first_order: u32,
    most_slope: f32,
}
device_struct!(GridLevel, GridShape, ThroughShape);

/// What samples in the cube say about a table, all `[rows, stride]`: as [`super::SampleGradients`].
pub struct Upstream<'a> {
    /// ∂L/∂e of the first [`Upstream::first_order`] samples.
    pub encoding: RowsIn<'a>,
    /// How many samples have one.
    pub first_order: usize,
    /// `u`.
    pub u: RowsIn<'a>,
    /// `v = ∂L/∂(Jᵀ u)`, `[3, stride]`.
    pub v: &'a Buffer<f32>,
}

/// A grid on a device, with the sums that gradients of its table are made from.
pub struct Grid {
    of: HashGrid,
    encode: Kernel,
    differentiate: Kernel,
    largest_upstream: Kernel,
    accumulate: Kernel,
    table_gradient: Kernel,
    largest_through: Kernel,
    accumulate_through: Kernel,
    transposed_product: Kernel,
    product: Kernel,
    levels: Buffer<GridLevel>,
    /// `[levels]`.
    largest: Buffer<u32>,
    /// `[entries, 2]`, zero between gradients.
    sums: Buffer<u64>,
}

impl Grid {
    /// A grid, ready for its table's gradient.
    ///
    /// # Errors
    /// When kernels cannot be compiled, or there is not enough memory.
    ///
    /// # Panics
    /// When the levels have 2^31 entries together, which the device does not count to.
    pub fn new(device: &Device, of: &HashGrid) -> Result<Self, DeviceError> {
        assert!(of.entries() < 1 << 31, "{} entries are too many for a device", of.entries());
        let kernel = |name: &str| device.kernel(&GRID, name);
        let over = |name: &str| kernel(&format!("{name}_{}", if of.dimensions == 2 { "square" } else { "cube" }));
        let level = |l: &super::Level| GridLevel {
            scale: l.scale,
            resolution: l.resolution,
            size: l.size,
            offset: l.offset as u32,
            addressing: match l.addressing {
                Addressing::Dense => 0,
                Addressing::Hashed => 1,
                Addressing::Periodic => 2,
            },
        };
        let levels: Vec<GridLevel> = of.levels.iter().map(level).collect();
        Ok(Self {
            encode: over("encode")?,
            differentiate: over("differentiate")?,
            largest_upstream: kernel("largest_upstream")?,
            accumulate: over("accumulate")?,
            table_gradient: kernel("table_gradient")?,
            largest_through: kernel("largest_through")?,
            accumulate_through: kernel("accumulate_through")?,
            transposed_product: kernel("transposed_product")?,
            product: kernel("product")?,
            largest: device.zeros(levels.len(), PURPOSE)?,
            levels: device.upload(&levels, PURPOSE)?,
            sums: device.zeros(FEATURES * of.entries(), PURPOSE)?,
            of: of.clone(),
        })
    }

    /// Bytes of buffers for a grid, without its table.
    pub fn bytes(of: &HashGrid) -> usize {
        8 * FEATURES * of.entries() + of.levels.len() * (size_of::<GridLevel>() + 4)
    }

    /// As [`HashGrid::encode`]: encodings of `positions`, `[D, stride]`, into the rows of `out` that are meant. `jacobian`, if wanted, is
    /// `[D · width, stride]`, ∂e_f/∂x_a in row `D f + a`.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn encode(
        &self,
        stream: &Stream,
        (table, positions): (&Buffer<f32>, &Buffer<f32>),
        batch: Batch,
        active: usize,
        out: RowsOut<'_>,
        jacobian: Option<&mut Buffer<f32>>,
    ) -> Result<(), DeviceError> {
        self.check(table, positions, batch);
        let dimensions = self.of.dimensions;
        batch.check(out.matrix.len(), out.first, self.of.width(), "encodings");
        if let Some(jacobian) = &jacobian {
            batch.check(jacobian.len(), 0, dimensions * self.of.width(), "Jacobians");
        }
        let out = out.matrix.at_mut(out.first * batch.stride);
        let arguments = (table, positions, &self.levels, self.shape(batch, active), out, jacobian);
        self.encode.launch(stream, self.each_level(batch.samples), arguments)
    }

    /// `Jᵀ u`: the gradient of positions, `[D, stride]`, from that of encodings of the first `active` levels, without a Jacobian in memory.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn position_gradient(
        &self,
        stream: &Stream,
        (table, positions): (&Buffer<f32>, &Buffer<f32>),
        batch: Batch,
        active: usize,
        upstream: RowsIn<'_>,
        out: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        self.check(table, positions, batch);
        batch.check(upstream.matrix.len(), upstream.first, self.of.width(), "gradients of encodings");
        batch.check(out.len(), 0, self.of.dimensions, "gradients of positions");
        let upstream = upstream.matrix.at(upstream.first * batch.stride);
        let arguments = (table, positions, &self.levels, self.shape(batch, active), upstream, out);
        self.differentiate.launch(stream, Launch::linear(batch.samples, THREADS), arguments)
    }

    /// The gradient of the table, `[entries, 2]`, from that of the encodings of the first `active` levels.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn table_gradient(
        &mut self,
        stream: &Stream,
        positions: &Buffer<f32>,
        batch: Batch,
        active: usize,
        upstream: RowsIn<'_>,
        gradient: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        self.check(gradient, positions, batch);
        batch.check(upstream.matrix.len(), upstream.first, self.of.width(), "gradients of encodings");
        let shape = self.shape(batch, active);
        let start = upstream.first * batch.stride;
        self.largest.clear(stream)?;
        let each = self.each_level(batch.samples.div_ceil(LOOKED_AT));
        self.largest_upstream.launch(stream, each, (upstream.matrix.at(start), shape, &mut self.largest))?;
        let (upstream, each) = (upstream.matrix.at(start), self.each_level(batch.samples));
        let arguments = (positions, &self.levels, shape, upstream, &self.largest, &mut self.sums);
        self.accumulate.launch(stream, each, arguments)?;
        self.finish_gradient(stream, shape, gradient)
    }

    /// The gradient of the table, `[entries, 2]`, from what reaches the encodings of the first `active` levels in the cube and what reaches them through the
    /// Jacobian.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn table_gradient_through(
        &mut self,
        stream: &Stream,
        positions: &Buffer<f32>,
        batch: Batch,
        active: usize,
        upstream: &Upstream<'_>,
        gradient: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        let Upstream { encoding, first_order, u, v } = upstream;
        self.check(gradient, positions, batch);
        assert_eq!(self.of.dimensions, 3, "the second order is that of a grid over the cube");
        assert!(*first_order <= batch.samples, "{first_order} of {} samples", batch.samples);
        batch.check(encoding.matrix.len(), encoding.first, self.of.width(), "gradients of encodings");
        batch.check(u.matrix.len(), u.first, self.of.width(), "sensitivities of encodings");
        batch.check(v.len(), 0, 3, "gradients of slopes");
        let shape = self.shape(batch, active);
        let most_slope = if self.of.smooth { 1.5 } else { 1.0 };
        let through = ThroughShape { first_order: *first_order as u32, most_slope };
        let [encoding, u] = [encoding, u].map(|rows| (rows.matrix, rows.first * batch.stride));
        self.largest.clear(stream)?;
        let each = self.each_level(batch.samples.div_ceil(LOOKED_AT));
        let arguments = (&self.levels, shape, through, encoding.0.at(encoding.1), u.0.at(u.1), *v, &mut self.largest);
        self.largest_through.launch(stream, each, arguments)?;
        let (encoding, u) = (encoding.0.at(encoding.1), u.0.at(u.1));
        let each = self.each_level(batch.samples);
        let arguments = (positions, &self.levels, shape, through, encoding, u, *v, &self.largest, &mut self.sums);
        self.accumulate_through.launch(stream, each, arguments)?;
        self.finish_gradient(stream, shape, gradient)
    }

    /// `Jᵀ u` in the cube: `[3, stride]` from a Jacobian of [`Grid::encode`].
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn transposed_product(
        &self,
        stream: &Stream,
        jacobian: &Buffer<f32>,
        u: RowsIn<'_>,
        batch: Batch,
        out: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        let width = self.of.width();
        batch.check(jacobian.len(), 0, 3 * width, "Jacobians");
        batch.check(u.matrix.len(), u.first, width, "what they are multiplied with");
        batch.check(out.len(), 0, 3, "products");
        let (samples, stride) = (batch.samples as u32, batch.stride as u32);
        let arguments = (jacobian, u.matrix.at(u.first * batch.stride), width as u32, samples, stride, out);
        self.transposed_product.launch(stream, Launch::linear(batch.samples, THREADS), arguments)
    }

    /// `J v` in the cube for `v`, `[3, stride]`, into the rows of `out` that are meant.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn product(
        &self,
        stream: &Stream,
        jacobian: &Buffer<f32>,
        v: &Buffer<f32>,
        batch: Batch,
        out: RowsOut<'_>,
    ) -> Result<(), DeviceError> {
        let width = self.of.width();
        batch.check(jacobian.len(), 0, 3 * width, "Jacobians");
        batch.check(v.len(), 0, 3, "what they are multiplied with");
        batch.check(out.matrix.len(), out.first, width, "products");
        let each = Launch::grid([batch.samples.div_ceil(THREADS as usize) as u32, width as u32, 1], [THREADS, 1, 1]);
        let (samples, stride) = (batch.samples as u32, batch.stride as u32);
        let out = out.matrix.at_mut(out.first * batch.stride);
        self.product.launch(stream, each, (jacobian, v, samples, stride, out))
    }

    /// From the sums to the gradient.
    fn finish_gradient(
        &mut self,
        stream: &Stream,
        shape: GridShape,
        gradient: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        let most = self.of.levels.iter().map(|l| l.size as usize).max().unwrap_or(0);
        let each = self.each_level(FEATURES * most);
        let arguments = (&mut self.sums, &self.levels, shape, &self.largest, gradient);
        self.table_gradient.launch(stream, each, arguments)
    }

    /// A thread for each of `count` things of each level.
    fn each_level(&self, count: usize) -> Launch {
        let levels = self.of.levels.len() as u32;
        Launch::grid([count.div_ceil(THREADS as usize) as u32, levels, 1], [THREADS, 1, 1])
    }

    fn shape(&self, batch: Batch, active: usize) -> GridShape {
        GridShape {
            levels: self.of.levels.len() as u32,
            active: active.min(self.of.levels.len()) as u32,
            smooth: self.of.smooth.into(),
            samples: batch.samples as u32,
            stride: batch.stride as u32,
            // A sample's parts of an entry add up to its upstream number at most.
            sum_bits: batch.samples.max(1).next_power_of_two().ilog2(),
        }
    }

    fn check(&self, table: &Buffer<f32>, positions: &Buffer<f32>, batch: Batch) {
        assert_eq!(table.len(), FEATURES * self.of.entries(), "the table has another size than the grid");
        assert!(batch.stride < 1 << 31, "{} samples are too many for a device", batch.samples);
        batch.check(positions.len(), 0, self.of.dimensions, "positions");
    }
}

const THREADS: u32 = 256;
/// Samples that a thread looks at for the largest.
const LOOKED_AT: usize = 4;
const PURPOSE: &str = "grids";
