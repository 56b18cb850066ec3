//! What samples cost, and samples of pictures: `cost.cu`.

use crate::device::{AtMut, Buffer, Device, DeviceError, Kernel, Launch, Source, Stream};
use crate::device_struct;
use crate::hash_grid::cuda::Batch;
use bytemuck::{Pod, Zeroable};

/// The kernels of costs and pictures.
pub static COST: Source = Source::new("rbf/cuda/cost.cu", include_str!("cost.cu"));

const THREADS: u32 = 256;

/// How a sample's outputs are compared with what is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CostKind {
    /// `(y - w)²`, the mean over outputs.
    Squared,
    /// `|y - w| / (|w| + nearest)`, the mean over outputs.
    Relative {
        /// In the unit of outputs.
        nearest: f32,
    },
}

/// As `cost.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct CostShape {
    outputs: u32,
    samples: u32,
    stride: u32,
    kind: u32,
    nearest: f32,
}

/// As `cost.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct PictureShape {
    width: u32,
    side: u32,
    channels: u32,
    samples: u32,
    stride: u32,
    neighbours: u32,
}
device_struct!(CostShape, PictureShape);

/// Compares outputs with what is wanted.
pub struct Cost {
    device: Device,
    sample_cost: Kernel,
    mean_cost: Kernel,
    /// `[blocks]`.
    partials: Buffer<f32>,
}

impl Cost {
    /// Prepares the kernels.
    ///
    /// # Errors
    /// When they cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        Ok(Self {
            sample_cost: device.kernel(&COST, "sample_cost")?,
            mean_cost: device.kernel(&COST, "mean_cost")?,
            partials: device.buffer(0, PURPOSE)?,
            device: device.clone(),
        })
    }

    /// The mean cost of all samples into `mean`, and its gradient by `values` into `of_values`. All matrices are `[outputs, stride]`.
    ///
    /// # Errors
    /// When there is not enough memory, or the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn compare(
        &mut self,
        stream: &Stream,
        kind: CostKind,
        (values, wanted): (&Buffer<f32>, &Buffer<f32>),
        (batch, outputs): (Batch, usize),
        of_values: &mut Buffer<f32>,
        mean: AtMut<'_, f32>,
    ) -> Result<(), DeviceError> {
        for (len, what) in
            [(values.len(), "outputs"), (wanted.len(), "what is wanted"), (of_values.len(), "gradients of outputs")]
        {
            batch.check(len, 0, outputs, what);
        }
        let grid = Launch::linear(batch.samples, THREADS);
        if self.partials.len() < grid.grid[0] as usize {
            self.partials = self.device.buffer(grid.grid[0] as usize, PURPOSE)?;
        }
        let (kind, nearest) = match kind {
            CostKind::Squared => (0, 0.0),
            CostKind::Relative { nearest } => (1, nearest),
        };
        let (samples, stride) = (batch.samples as u32, batch.stride as u32);
        let shape = CostShape { outputs: outputs as u32, samples, stride, kind, nearest };
        self.sample_cost.launch(stream, grid, (values, wanted, shape, of_values, &mut self.partials))?;
        self.mean_cost.launch(stream, Launch::blocks(1, THREADS), (&self.partials, grid.grid[0], samples, mean))
    }
}

/// A picture that stays on the device.
pub struct Picture {
    take: Kernel,
    /// `[height, width, channels]`.
    pixels: Buffer<f32>,
    /// `[pixels, K]`, where there are kernels in space.
    near: Option<Buffer<u32>>,
    shape: PictureShape,
}

/// What is known of chosen pixels.
pub struct PixelSamples<'a> {
    /// Their middles in the unit square, `[2, stride]`.
    pub positions: &'a mut Buffer<f32>,
    /// What they are, `[channels, stride]`.
    pub wanted: &'a mut Buffer<f32>,
    /// The kernels near them, `[samples, K]`.
    pub neighbours: Option<&'a mut Buffer<u32>>,
}

impl Picture {
    /// Uploads `pixels`, `[height, width, channels]`, with `side` pixels along the unit square; `near` are the kernels near each, `[pixels, K]`, empty where there are
    /// none.
    ///
    /// # Errors
    /// When the kernel cannot be compiled, or there is not enough memory.
    ///
    /// # Panics
    /// When there are not as many pixels as `near` says, or no whole rows of them.
    pub fn new(
        device: &Device,
        (pixels, channels): (&[f32], usize),
        (width, side): (u32, u32),
        near: &[u32],
    ) -> Result<Self, DeviceError> {
        let count = pixels.len() / channels;
        assert!(count * channels == pixels.len() && count.is_multiple_of(width as usize), "whole rows of pixels");
        let neighbours = near.len() / count.max(1);
        assert_eq!(near.len(), neighbours * count, "kernels near each pixel");
        let (channels, neighbours) = (channels as u32, neighbours as u32);
        Ok(Self {
            take: device.kernel(&COST, "take_pixels")?,
            pixels: device.upload(pixels, PURPOSE)?,
            near: if near.is_empty() { None } else { Some(device.upload(near, PURPOSE)?) },
            shape: PictureShape { width, side, channels, samples: 0, stride: 0, neighbours },
        })
    }

    /// Takes pixels by their numbers, counted row by row; they must be numbers of pixels.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn take(
        &self,
        stream: &Stream,
        chosen: &Buffer<u32>,
        batch: Batch,
        samples: PixelSamples<'_>,
    ) -> Result<(), DeviceError> {
        assert!(chosen.len() >= batch.samples, "{} pixels are chosen of {}", chosen.len(), batch.samples);
        batch.check(samples.positions.len(), 0, 2, "positions");
        batch.check(samples.wanted.len(), 0, self.shape.channels as usize, "what is wanted");
        let room = samples.neighbours.as_ref().map_or(0, |n| n.len());
        assert!(room >= batch.samples * self.shape.neighbours as usize, "room for the kernels near each sample");
        let shape = PictureShape { samples: batch.samples as u32, stride: batch.stride as u32, ..self.shape };
        let PixelSamples { positions, wanted, neighbours } = samples;
        let arguments = (chosen, &self.pixels, self.near.as_ref(), shape, positions, wanted, neighbours);
        self.take.launch(stream, Launch::linear(batch.samples, THREADS), arguments)
    }
}

const PURPOSE: &str = "samples";
