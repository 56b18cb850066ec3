//! The same networks on a device: `mlp.cu`.
//!
//! Samples lie in rows, `[rows, stride]` ([`Batch`]); weights are those of the CPU. All five passes are products on tensor cores of 16-bit floats, two for
//! each number and three products for one (`mlp.cu` says how exact that is), with sums in single precision.
//!
//! Counted for a sample and a layer of `o` by `i`: forward and back `6 o i` operations on the cores and `4 (o + i)` bytes, `4 o` more where a gate is
//! looked at; gradients of weights `6 o i` operations and `4 (o i / 32 + o i / 16)` bytes, most of them from the caches. Weights cost 8 bytes for each
//! of at most 128 parts of the samples.

use super::Mlp as Shape;
use crate::device::{At, Buffer, Device, DeviceError, Kernel, Launch, Source, Stream};
use crate::device_struct;
use crate::hash_grid::cuda::Batch;
use bytemuck::{Pod, Zeroable};

/// The kernels of this folder.
pub static MLP: Source = Source::new("mlp/mlp.cu", include_str!("mlp.cu"));

/// Samples and outputs of a block of a layer, rows of the sides of a block of outer products.
const SAMPLES: usize = 64;
const OUTPUTS: usize = 64;
const LEFT: usize = 64;
const RIGHT: usize = 32;
/// Sums over samples are made of at most so many parts, of at least so many samples, whole steps of them.
const MOST_PARTS: usize = 128;
const LEAST_PART: usize = 256;
const STEP: usize = 16;

/// As `mlp.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct LayerShape {
    outputs: u32,
    inputs: u32,
    output_stride: u32,
    input_stride: u32,
    gate: u32,
    samples: u32,
    stride: u32,
    scale: f32,
    unscale: f32,
}

/// As `mlp.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct OuterShape {
    left: u32,
    right: u32,
    samples: u32,
    stride: u32,
    chunk: u32,
    weights: u32,
    first: u32,
    left_scale: f32,
    right_scale: f32,
    unscale: f32,
}
device_struct!(LayerShape, OuterShape);

/// What happens to the sums of a layer.
enum Gate<'a> {
    Open,
    Relu,
    /// They become zero where this is not positive.
    Where(&'a Buffer<f32>),
}

/// What a pass computes: `[width, stride]` for the input and each layer.
pub struct Activations {
    /// The input first.
    pub layers: Vec<Buffer<f32>>,
}

impl Activations {
    /// Room for so many samples and the first `layers` layers, the input among them; the others stay empty.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn new(device: &Device, of: &Shape, layers: usize, samples: usize) -> Result<Self, DeviceError> {
        let widths = of.widths().iter().enumerate();
        let room = widths.map(|(k, width)| device.zeros(if k < layers { width * samples } else { 0 }, PURPOSE));
        Ok(Self { layers: room.collect::<Result<_, _>>()? })
    }
}

/// [`super::Mlp`] on a device, with the buffers of its weights' gradient. Keep one and use it again.
pub struct Mlp {
    of: Shape,
    device: Device,
    layer: Kernel,
    gated_broadcast: Kernel,
    outer_products: Kernel,
    row_sums: Kernel,
    add_parts: Kernel,
    /// `[parts, weights]`.
    partials: Buffer<f32>,
}

/// A pass of samples, and the power of two that brings gradients near 1 on the way.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// The samples.
    pub batch: Batch,
    /// A power of two.
    pub scale: f32,
}

impl Mlp {
    /// A network with room for nothing yet.
    ///
    /// # Errors
    /// When kernels cannot be compiled.
    pub fn new(device: &Device, of: &Shape) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&MLP, name);
        Ok(Self {
            of: of.clone(),
            device: device.clone(),
            layer: kernel("mlp_layer")?,
            gated_broadcast: kernel("mlp_gated_broadcast")?,
            outer_products: kernel("mlp_outer_products")?,
            row_sums: kernel("mlp_row_sums")?,
            add_parts: kernel("mlp_add_parts")?,
            partials: device.buffer(0, PURPOSE)?,
        })
    }

    /// Bytes of buffers for gradients over so many samples.
    pub fn bytes(of: &Shape, samples: usize) -> usize {
        4 * parts(samples).1 * of.weights()
    }

    /// As [`Shape::forward`]: from the input in `h.layers[0]` to all layers.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn forward(
        &self,
        stream: &Stream,
        weights: &Buffer<f32>,
        h: &mut Activations,
        batch: Batch,
    ) -> Result<(), DeviceError> {
        for k in 0..self.of.layers() {
            let (before, after) = h.layers.split_at_mut(k + 1);
            let gate = if k + 1 < self.of.layers() { Gate::Relu } else { Gate::Open };
            self.product(stream, weights, (k, false), (&before[k], &mut after[0]), gate, Pass { batch, scale: 1.0 })?;
        }
        Ok(())
    }

    /// As [`Shape::back`]: from the gradient of the output, in the last of `d.layers`, to those of all layers.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn back(
        &self,
        stream: &Stream,
        weights: &Buffer<f32>,
        h: &Activations,
        d: &mut Activations,
        pass: Pass,
    ) -> Result<(), DeviceError> {
        self.back_from(stream, self.of.layers(), weights, h, d, pass)
    }

    /// As [`Shape::sensitivity`]: the derivative of output `output` by every layer but the last and by the input. For networks with a hidden layer.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other, or there is no hidden layer.
    pub fn sensitivity(
        &self,
        stream: &Stream,
        weights: &Buffer<f32>,
        h: &Activations,
        output: usize,
        b: &mut Activations,
        batch: Batch,
    ) -> Result<(), DeviceError> {
        let last = self.of.layers() - 1;
        assert!(last > 0, "a network without hidden layers");
        let width = self.of.widths()[last];
        batch.check(h.layers[last].len(), 0, width, "activations");
        batch.check(b.layers[last].len(), 0, width, "sensitivities");
        let row = weights.at(self.of.matrix(last).start + output * width);
        let (samples, stride) = (batch.samples as u32, batch.stride as u32);
        let each = Launch::grid([batch.samples.div_ceil(256) as u32, width as u32, 1], [256, 1, 1]);
        let arguments = (row, &h.layers[last], samples, stride, &mut b.layers[last]);
        self.gated_broadcast.launch(stream, each, arguments)?;
        self.back_from(stream, last, weights, h, b, Pass { batch, scale: 1.0 })
    }

    fn back_from(
        &self,
        stream: &Stream,
        from: usize,
        weights: &Buffer<f32>,
        h: &Activations,
        d: &mut Activations,
        pass: Pass,
    ) -> Result<(), DeviceError> {
        for k in (0..from).rev() {
            let (before, after) = d.layers.split_at_mut(k + 1);
            let gate = if k > 0 { Gate::Where(&h.layers[k]) } else { Gate::Open };
            self.product(stream, weights, (k, true), (&after[0], &mut before[k]), gate, pass)?;
        }
        Ok(())
    }

    /// As [`Shape::tangent`]: from `f.layers[0]` through all layers but the last as they are at `h`.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn tangent(
        &self,
        stream: &Stream,
        weights: &Buffer<f32>,
        h: &Activations,
        f: &mut Activations,
        pass: Pass,
    ) -> Result<(), DeviceError> {
        for k in 0..self.of.layers() - 1 {
            let (before, after) = f.layers.split_at_mut(k + 1);
            let gate = Gate::Where(&h.layers[k + 1]);
            self.product(stream, weights, (k, false), (&before[k], &mut after[0]), gate, pass)?;
        }
        Ok(())
    }

    /// The gradient of the weights that follows from [`Mlp::forward`] and [`Mlp::back`].
    ///
    /// # Errors
    /// When there is not enough memory, or the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn weight_gradient(
        &mut self,
        stream: &Stream,
        h: &Activations,
        d: &Activations,
        pass: Pass,
        gradient: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        self.make_room(pass.batch.samples, gradient)?;
        for k in 0..self.of.layers() {
            self.outer(stream, k, (&d.layers[k + 1], pass.scale), (&h.layers[k], 1.0), pass.batch)?;
        }
        self.add(stream, 0..self.of.weights(), pass.batch, false, gradient)
    }

    /// Adds the gradient of the weights that follows from [`Mlp::sensitivity`] of `output` and [`Mlp::tangent`].
    ///
    /// # Errors
    /// When there is not enough memory, or the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn second_order_weight_gradient(
        &mut self,
        stream: &Stream,
        (b, f): (&Activations, &Activations),
        output: usize,
        pass: Pass,
        gradient: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        self.make_room(pass.batch.samples, gradient)?;
        let last = self.of.layers() - 1;
        for k in 0..last {
            self.outer(stream, k, (&b.layers[k + 1], 1.0), (&f.layers[k], pass.scale), pass.batch)?;
        }
        let width = self.of.widths()[last];
        pass.batch.check(f.layers[last].len(), 0, width, "tangents");
        let first = self.of.matrix(last).start + output * width;
        let shape = OuterShape { first: first as u32, ..self.outer_shape(pass.batch) };
        let each = Launch::grid([parts(pass.batch.samples).1 as u32, width.div_ceil(4) as u32, 1], [128, 1, 1]);
        self.row_sums.launch(stream, each, (&f.layers[last], width as u32, shape, &mut self.partials))?;
        self.add(stream, 0..self.of.matrix(last).start, pass.batch, true, gradient)?;
        self.add(stream, first..first + width, pass.batch, true, gradient)
    }

    fn product(
        &self,
        stream: &Stream,
        weights: &Buffer<f32>,
        (k, transposed): (usize, bool),
        (input, output): (&Buffer<f32>, &mut Buffer<f32>),
        gate: Gate<'_>,
        Pass { batch, scale }: Pass,
    ) -> Result<(), DeviceError> {
        assert_eq!(weights.len(), self.of.weights(), "weights of another network");
        let [out, inn] = self.of.shape(k);
        let ([outputs, inputs], [output_stride, input_stride]) =
            if transposed { ([inn, out], [1, inn]) } else { ([out, inn], [inn, 1]) };
        batch.check(input.len(), 0, inputs, "a layer's input");
        batch.check(output.len(), 0, outputs, "a layer's output");
        let (gate, active) = match gate {
            Gate::Open => (0, None),
            Gate::Relu => (1, None),
            Gate::Where(active) => (2, Some(active)),
        };
        if let Some(active) = active {
            batch.check(active.len(), 0, outputs, "activations");
        }
        let shape = LayerShape {
            outputs: outputs as u32,
            inputs: inputs as u32,
            output_stride: output_stride as u32,
            input_stride: input_stride as u32,
            gate,
            samples: batch.samples as u32,
            stride: batch.stride as u32,
            scale,
            unscale: 1.0 / scale,
        };
        let grid = [batch.samples.div_ceil(SAMPLES) as u32, outputs.div_ceil(OUTPUTS) as u32, 1];
        let matrix: At<'_, f32> = weights.at(self.of.matrix(k).start);
        self.layer.launch(stream, Launch::grid(grid, [128, 1, 1]), (matrix, shape, input, active, output))
    }

    fn outer(
        &mut self,
        stream: &Stream,
        k: usize,
        (left, left_scale): (&Buffer<f32>, f32),
        (right, right_scale): (&Buffer<f32>, f32),
        batch: Batch,
    ) -> Result<(), DeviceError> {
        let [out, inn] = self.of.shape(k);
        batch.check(left.len(), 0, out, "a layer's gradients");
        batch.check(right.len(), 0, inn, "a layer's inputs");
        let shape = OuterShape {
            left: out as u32,
            right: inn as u32,
            first: self.of.matrix(k).start as u32,
            left_scale,
            right_scale,
            unscale: 1.0 / (left_scale * right_scale),
            ..self.outer_shape(batch)
        };
        let grid = [parts(batch.samples).1, out.div_ceil(LEFT), inn.div_ceil(RIGHT)].map(|n| n as u32);
        self.outer_products.launch(stream, Launch::grid(grid, [128, 1, 1]), (left, right, shape, &mut self.partials))
    }

    fn outer_shape(&self, batch: Batch) -> OuterShape {
        OuterShape {
            samples: batch.samples as u32,
            stride: batch.stride as u32,
            chunk: parts(batch.samples).0 as u32,
            weights: self.of.weights() as u32,
            ..OuterShape::zeroed()
        }
    }

    fn add(
        &self,
        stream: &Stream,
        range: std::ops::Range<usize>,
        batch: Batch,
        add: bool,
        gradient: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        let (parts, weights) = (parts(batch.samples).1 as u32, self.of.weights() as u32);
        let (first, count) = (range.start as u32, range.len() as u32);
        let arguments = (&self.partials, parts, weights, first, count, u32::from(add), gradient);
        self.add_parts.launch(stream, Launch::linear(range.len(), 256), arguments)
    }

    fn make_room(&mut self, samples: usize, gradient: &Buffer<f32>) -> Result<(), DeviceError> {
        assert_eq!(gradient.len(), self.of.weights(), "room for the gradient of weights");
        let needed = parts(samples).1 * self.of.weights();
        if self.partials.len() < needed {
            self.partials = self.device.buffer(needed, PURPOSE)?;
        }
        Ok(())
    }
}

/// Samples of a part of the sums over samples, and how many parts there are. It follows from sizes alone, so that sums are the same on all devices.
fn parts(samples: usize) -> (usize, usize) {
    let part = samples.div_ceil(MOST_PARTS).max(LEAST_PART).next_multiple_of(STEP);
    (part, samples.div_ceil(part))
}

const PURPOSE: &str = "a network";
