//! What layers do to whole rows, on a device.

use super::{BLOCK, PURPOSE, ROWS};
use crate::device::{Buffer, Device, DeviceError, Kernel, Launch, Stream};
use crate::device_struct;
use bytemuck::{Pod, Zeroable};

/// As `rows.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct RowShape {
    rows: u32,
    columns: u32,
    width: u32,
    first: u32,
}
device_struct!(RowShape);

/// For each of many rows one of few others, such as its sample: a gather one way, a sum the other.
pub struct DeviceRows {
    few: usize,
    /// `[many]`
    of_each: Buffer<u32>,
    /// `[few + 1]`
    starts: Buffer<u32>,
    /// The many in the order of the few, `[many]`.
    list: Buffer<u32>,
    /// One over how many each of the few has, `[few]`.
    shares: Buffer<f32>,
}

impl DeviceRows {
    /// How many the many are.
    pub fn many(&self) -> usize {
        self.of_each.len()
    }

    /// `of_each` names one of `few` rows for each of many.
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// When it names one that is not there.
    pub fn new(device: &Device, of_each: &[u32], few: usize) -> Result<Self, DeviceError> {
        let mut starts = vec![0u32; few + 1];
        of_each.iter().for_each(|row| starts[*row as usize + 1] += 1);
        let shares: Vec<f32> = starts[1..].iter().map(|count| 1.0 / (*count).max(1) as f32).collect();
        (0..few).for_each(|i| starts[i + 1] += starts[i]);
        let (mut next, mut list) = (starts.clone(), vec![0u32; of_each.len()]);
        for (i, row) in of_each.iter().enumerate() {
            let place = &mut next[*row as usize];
            list[*place as usize] = i as u32;
            *place += 1;
        }
        Ok(Self {
            few,
            of_each: device.upload(of_each, PURPOSE)?,
            starts: device.upload(&starts, PURPOSE)?,
            list: device.upload(&list, PURPOSE)?,
            shares: device.upload(&shares, PURPOSE)?,
        })
    }
}

/// Columns of a matrix from `first` on, of rows of `width` numbers.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// `[rows, width]`
    pub values: &'a Buffer<f32>,
    /// Numbers of a row.
    pub width: usize,
    /// Where the part begins.
    pub first: usize,
}

/// Operations on rows.
pub struct Rows {
    device: Device,
    gather: Kernel,
    sum: Kernel,
    take_columns: Kernel,
    scale_columns: Kernel,
    modulate: Kernel,
    modulate_backward: Kernel,
    add_gated: Kernel,
    sum_samples: Kernel,
    scale_rows: Kernel,
    row_products: Kernel,
    normalise_lengths: Kernel,
    draw: Kernel,
    draw_backward: Kernel,
}

impl Rows {
    /// Prepares the kernels.
    ///
    /// # Errors
    /// When they cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&ROWS, name);
        Ok(Self {
            gather: kernel("gather_rows")?,
            sum: kernel("sum_rows")?,
            take_columns: kernel("take_columns")?,
            scale_columns: kernel("scale_columns")?,
            modulate: kernel("modulate")?,
            modulate_backward: kernel("modulate_backward")?,
            add_gated: kernel("add_gated")?,
            sum_samples: kernel("sum_samples")?,
            scale_rows: kernel("scale_rows")?,
            row_products: kernel("row_products")?,
            normalise_lengths: kernel("normalise_lengths")?,
            draw: kernel("draw_normal")?,
            draw_backward: kernel("draw_normal_backward")?,
            device: device.clone(),
        })
    }

    /// For each of the many the row of its one of the few, `x` being `[few, columns]`; `shared` divides each by how many take it.
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// When sizes do not agree.
    pub fn gather(
        &self,
        stream: &Stream,
        x: &Buffer<f32>,
        rows: &DeviceRows,
        columns: usize,
        shared: bool,
    ) -> Result<Buffer<f32>, DeviceError> {
        assert_eq!(x.len(), rows.few * columns, "rows of {columns} numbers");
        let shape = shape(rows.of_each.len(), columns, columns, 0);
        let mut out = self.out(shape)?;
        let scales = shared.then_some(&rows.shares);
        self.gather.launch(stream, each(shape), (shape, x, &rows.of_each, scales, &mut out))?;
        Ok(out)
    }

    /// For each of the few the sum of its rows of the many, `x` being `[many, columns]`; their mean where it is `shared`.
    ///
    /// # Errors
    /// As [`Self::gather`].
    ///
    /// # Panics
    /// As [`Self::gather`].
    pub fn sum(
        &self,
        stream: &Stream,
        x: &Buffer<f32>,
        rows: &DeviceRows,
        columns: usize,
        shared: bool,
    ) -> Result<Buffer<f32>, DeviceError> {
        assert_eq!(x.len(), rows.of_each.len() * columns, "rows of {columns} numbers");
        let shape = shape(rows.few, columns, columns, 0);
        let mut out = self.out(shape)?;
        let scales = shared.then_some(&rows.shares);
        self.sum.launch(stream, each(shape), (shape, x, &rows.starts, &rows.list, scales, &mut out))?;
        Ok(out)
    }

    /// `columns` columns of a matrix.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn take_columns(&self, stream: &Stream, part: Part<'_>, columns: usize) -> Result<Buffer<f32>, DeviceError> {
        let shape = shape(part.values.len() / part.width, columns, part.width, part.first);
        let mut out = self.out(shape)?;
        self.take_columns.launch(stream, each(shape), (shape, part.values, &mut out))?;
        Ok(out)
    }

    /// `x w + b`, column by column.
    ///
    /// # Errors
    /// As [`Self::gather`].
    ///
    /// # Panics
    /// When there are no whole rows.
    pub fn scale_columns(
        &self,
        stream: &Stream,
        x: &Buffer<f32>,
        w: &Buffer<f32>,
        b: Option<&Buffer<f32>>,
    ) -> Result<Buffer<f32>, DeviceError> {
        assert!(x.len().is_multiple_of(w.len()), "whole rows");
        let shape = shape(x.len() / w.len(), w.len(), w.len(), 0);
        let mut out = self.out(shape)?;
        self.scale_columns.launch(stream, each(shape), (shape, x, w, b, &mut out))?;
        Ok(out)
    }

    /// `x (1 + scale) + shift`: `by` has them for each sample, shift first.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn modulate(
        &self,
        stream: &Stream,
        x: &Buffer<f32>,
        by: Part<'_>,
        samples: &DeviceRows,
    ) -> Result<Buffer<f32>, DeviceError> {
        let shape = of_samples(x, by, samples);
        let mut out = self.out(shape)?;
        self.modulate.launch(stream, each(shape), (shape, x, by.values, &samples.of_each, &mut out))?;
        Ok(out)
    }

    /// The gradient of [`Self::modulate`] by `x`.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn modulate_backward(
        &self,
        stream: &Stream,
        by_out: &Buffer<f32>,
        by: Part<'_>,
        samples: &DeviceRows,
    ) -> Result<Buffer<f32>, DeviceError> {
        let shape = of_samples(by_out, by, samples);
        let mut by_x = self.out(shape)?;
        self.modulate_backward.launch(stream, each(shape), (shape, by_out, by.values, &samples.of_each, &mut by_x))?;
        Ok(by_x)
    }

    /// `x + gate h`, or `gate h`: `by` has the gate for each sample.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn add_gated(
        &self,
        stream: &Stream,
        x: Option<&Buffer<f32>>,
        h: &Buffer<f32>,
        by: Part<'_>,
        samples: &DeviceRows,
    ) -> Result<Buffer<f32>, DeviceError> {
        let shape = of_samples(h, by, samples);
        let mut out = self.out(shape)?;
        self.add_gated.launch(stream, each(shape), (shape, x, h, by.values, &samples.of_each, &mut out))?;
        Ok(out)
    }

    /// The gradient by columns of `by` from `first` on, zeros in all others: sums over the rows of each sample of `d`, for shifts, and for gates and scales
    /// of `d x`.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn sum_samples(
        &self,
        stream: &Stream,
        d: &Buffer<f32>,
        parts: &[(usize, Option<&Buffer<f32>>)],
        width: usize,
        samples: &DeviceRows,
    ) -> Result<Buffer<f32>, DeviceError> {
        let (rows, count) = (samples.of_each.len(), samples.few);
        let columns = d.len() / rows.max(1);
        let mut out = self.device.buffer(count * width, PURPOSE)?;
        out.clear(stream)?;
        let launch = Launch::grid([(columns as u32).div_ceil(32), count as u32, 1], [BLOCK, 1, 1]);
        for (first, x) in parts {
            let shape = shape(rows, columns, width, *first);
            self.sum_samples.launch(stream, launch, (shape, d, *x, &samples.starts, &samples.list, &mut out))?;
        }
        Ok(out)
    }

    /// Each row of `x` times the number of the same row of `by`.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn scale_rows(&self, stream: &Stream, x: &Buffer<f32>, by: Part<'_>) -> Result<Buffer<f32>, DeviceError> {
        let rows = by.values.len() / by.width;
        let shape = shape(rows, x.len() / rows.max(1), by.width, by.first);
        let mut out = self.out(shape)?;
        self.scale_rows.launch(stream, each(shape), (shape, x, by.values, &mut out))?;
        Ok(out)
    }

    /// The gradient of [`Self::scale_rows`] by `by`, `[rows, width]`: `d · x` of each row in its column `first`, zeros elsewhere.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn row_products(
        &self,
        stream: &Stream,
        [d, x]: [&Buffer<f32>; 2],
        columns: usize,
        [width, first]: [usize; 2],
    ) -> Result<Buffer<f32>, DeviceError> {
        let rows = d.len() / columns;
        let mut out = self.device.buffer(rows * width, PURPOSE)?;
        out.clear(stream)?;
        let launch = Launch::linear(32 * rows, BLOCK);
        self.row_products.launch(stream, launch, (shape(rows, columns, width, first), d, x, &mut out))?;
        Ok(out)
    }

    /// Parts of `width` numbers of each row, brought to the length √width and multiplied by the numbers of a row, `by`. Lengths are at least `shortest`.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn normalise_lengths(
        &self,
        stream: &Stream,
        x: &Buffer<f32>,
        by: &Buffer<f32>,
        width: usize,
        shortest: f32,
    ) -> Result<Buffer<f32>, DeviceError> {
        let shape = shape(x.len() / by.len(), by.len(), width, 0);
        let mut out = self.out(shape)?;
        let launch = Launch::linear(32 * (x.len() / width), BLOCK);
        self.normalise_lengths.launch(stream, launch, (shape, x, by, shortest, &mut out))?;
        Ok(out)
    }

    /// `mean + exp(log_variance / 2) noise`.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn draw(
        &self,
        stream: &Stream,
        [mean, log_variance, noise]: [&Buffer<f32>; 3],
    ) -> Result<Buffer<f32>, DeviceError> {
        let mut out = self.device.buffer(mean.len(), PURPOSE)?;
        let arguments = (mean, log_variance, noise, &mut out, mean.len() as u32);
        self.draw.launch(stream, Launch::linear(mean.len(), BLOCK), arguments)?;
        Ok(out)
    }

    /// The gradient of [`Self::draw`] by `log_variance`; that by `mean` is `by_out`.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn draw_backward(
        &self,
        stream: &Stream,
        [log_variance, noise, by_out]: [&Buffer<f32>; 3],
    ) -> Result<Buffer<f32>, DeviceError> {
        let mut by_log = self.device.buffer(by_out.len(), PURPOSE)?;
        let arguments = (log_variance, noise, by_out, &mut by_log, by_out.len() as u32);
        self.draw_backward.launch(stream, Launch::linear(by_out.len(), BLOCK), arguments)?;
        Ok(by_log)
    }

    fn out(&self, shape: RowShape) -> Result<Buffer<f32>, DeviceError> {
        self.device.buffer(shape.rows as usize * shape.columns as usize, PURPOSE)
    }
}

fn shape(rows: usize, columns: usize, width: usize, first: usize) -> RowShape {
    assert!(u32::try_from(rows * columns).is_ok(), "fewer numbers than 32 bits count");
    RowShape { rows: rows as u32, columns: columns as u32, width: width as u32, first: first as u32 }
}

/// Panics unless there is a sample for each row.
fn of_samples(x: &Buffer<f32>, by: Part<'_>, samples: &DeviceRows) -> RowShape {
    let rows = samples.of_each.len();
    assert!(rows == 0 || x.len().is_multiple_of(rows), "a sample for each row");
    assert!(by.values.len() >= samples.few * by.width, "numbers for each sample");
    shape(rows, x.len() / rows.max(1), by.width, by.first)
}

fn each(shape: RowShape) -> Launch {
    Launch::linear(shape.rows as usize * shape.columns as usize, BLOCK)
}
