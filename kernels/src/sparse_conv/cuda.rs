//! The same on a device: `convolution.cu`. Means of children and copies for them are sums and gathers of rows ([`crate::dense::cuda::Rows`]).

use super::{Convolution, Neighbours};
use crate::dense::cuda::{Dense, TILE, TILE_THREADS, parts_of};
use crate::device::{Buffer, Device, DeviceError, Kernel, Launch, Precision, Source, Stream};
use crate::device_struct;
use bytemuck::{Pod, Zeroable};

/// The kernels of this folder.
pub static CONVOLUTION: Source = Source::new("sparse_conv/convolution.cu", include_str!("convolution.cu"));

const PURPOSE: &str = "a convolution";

/// As `convolution.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct ConvolutionShape {
    sites: u32,
    of_each: u32,
    inputs: u32,
    outputs: u32,
    part: u32,
}
device_struct!(ConvolutionShape);

/// [`Neighbours`] on a device.
pub struct DeviceNeighbours {
    rows: Buffer<i32>,
    of_each: usize,
    sites: usize,
}

impl DeviceNeighbours {
    /// A copy.
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    pub fn new(device: &Device, neighbours: &Neighbours) -> Result<Self, DeviceError> {
        let rows = device.upload(neighbours.rows(), PURPOSE)?;
        Ok(Self { rows, of_each: neighbours.of_each(), sites: neighbours.sites() })
    }
}

/// Convolutions on a device.
pub struct Convolutions {
    device: Device,
    /// In single precision and in bf16.
    forward: [Kernel; 2],
    backward: [Kernel; 2],
    by_kernel: [Kernel; 2],
}

impl Convolutions {
    /// Prepares the kernels.
    ///
    /// # Errors
    /// When they cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&CONVOLUTION, name);
        Ok(Self {
            forward: [kernel("convolve")?, kernel("convolve_bf16")?],
            backward: [kernel("convolve_backward")?, kernel("convolve_backward_bf16")?],
            by_kernel: [kernel("convolution_by_kernel")?, kernel("convolution_by_kernel_bf16")?],
            device: device.clone(),
        })
    }

    /// As [`Convolution::forward`].
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// When a buffer has another length, or neighbours are of another kind.
    pub fn forward(
        &self,
        stream: &Stream,
        precision: Precision,
        of: &Convolution,
        neighbours: &DeviceNeighbours,
        [x, kernel, bias]: [&Buffer<f32>; 3],
    ) -> Result<Buffer<f32>, DeviceError> {
        assert!(kernel.len() == of.weights() && bias.len() == of.outputs, "a kernel and a bias of this shape");
        let shape = shape(of, neighbours, [of.inputs, of.outputs], x);
        let mut out = self.device.buffer(neighbours.sites * of.outputs, PURPOSE)?;
        let arguments = (shape, &neighbours.rows, x, kernel, bias, &mut out);
        self.forward[precision as usize].launch(stream, tiles(shape), arguments)?;
        Ok(out)
    }

    /// The gradient by the input, as [`Convolution::backward`] has it.
    ///
    /// # Errors
    /// As [`Self::forward`].
    ///
    /// # Panics
    /// As [`Self::forward`].
    pub fn by_input(
        &self,
        stream: &Stream,
        precision: Precision,
        of: &Convolution,
        neighbours: &DeviceNeighbours,
        [kernel, by_out]: [&Buffer<f32>; 2],
    ) -> Result<Buffer<f32>, DeviceError> {
        assert_eq!(kernel.len(), of.weights(), "a kernel of this shape");
        let shape = shape(of, neighbours, [of.outputs, of.inputs], by_out);
        let mut by_x = self.device.buffer(neighbours.sites * of.inputs, PURPOSE)?;
        let arguments = (shape, &neighbours.rows, by_out, kernel, &mut by_x);
        self.backward[precision as usize].launch(stream, tiles(shape), arguments)?;
        Ok(by_x)
    }

    /// The gradient by the kernel, as [`Convolution::backward`] has it; that by the bias is a sum of columns.
    ///
    /// # Errors
    /// As [`Self::forward`].
    ///
    /// # Panics
    /// As [`Self::forward`].
    pub fn by_kernel(
        &self,
        stream: &Stream,
        dense: &Dense,
        precision: Precision,
        of: &Convolution,
        neighbours: &DeviceNeighbours,
        [x, by_out]: [&Buffer<f32>; 2],
    ) -> Result<Buffer<f32>, DeviceError> {
        let sites = neighbours.sites;
        assert_eq!(by_out.len(), sites * of.outputs, "a gradient for each site");
        let blocks = of.inputs.div_ceil(TILE) * of.outputs.div_ceil(TILE);
        let parts = parts_of(blocks * of.of_each, sites);
        let mut shape = shape(of, neighbours, [of.inputs, of.outputs], x);
        shape.part = sites.div_ceil(parts) as u32;
        let mut out = self.device.buffer(parts * of.weights(), PURPOSE)?;
        let launch = Launch::grid([blocks, of.of_each, parts].map(|n| n as u32), [TILE_THREADS, 1, 1]);
        let arguments = (shape, &neighbours.rows, x, by_out, &mut out);
        self.by_kernel[precision as usize].launch(stream, launch, arguments)?;
        if parts == 1 { Ok(out) } else { dense.sum_of_parts(stream, &out, parts) }
    }
}

fn shape(
    of: &Convolution,
    neighbours: &DeviceNeighbours,
    [inputs, outputs]: [usize; 2],
    x: &Buffer<f32>,
) -> ConvolutionShape {
    let sites = neighbours.sites;
    assert!(neighbours.of_each == of.of_each && x.len() == sites * inputs, "a row for each site");
    let [sites, of_each, inputs, outputs] = [sites, of.of_each, inputs, outputs].map(|n| n as u32);
    ConvolutionShape { sites, of_each, inputs, outputs, part: sites }
}

fn tiles(shape: ConvolutionShape) -> Launch {
    let grid = [shape.sites, shape.outputs].map(|n| n.div_ceil(TILE as u32));
    Launch::grid([grid[0], grid[1], 1], [TILE_THREADS, 1, 1])
}
