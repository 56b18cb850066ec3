//! The decoder: `decoder.cu`.

use super::THREADS;
use crate::device::{Buffer, Device, DeviceError, Kernel, Launch, Source, Stream};
use crate::device_struct;
use crate::hash_grid::cuda::Batch;
use crate::rbf;
use bytemuck::{Pod, Zeroable};

/// The kernels of the decoder.
pub static DECODER: Source = Source::new("rbf/cuda/decoder.cu", include_str!("decoder.cu"));

/// Centres that are staged in shared memory, centres and features of a block that differentiates them, outputs likewise.
const STAGED: usize = 32;
const TILE: usize = 32;
const OUTPUTS: usize = 4;
/// Sums over samples are made of at most so many parts, of at least so many samples, with at most so many numbers together.
const MOST_CHUNKS: usize = 128;
const LEAST_CHUNK: usize = 128;
const MOST_PARTIALS: usize = 1 << 22;

/// As `decoder.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct DecoderShape {
    features: u32,
    kernels: u32,
    outputs: u32,
    samples: u32,
    stride: u32,
    chunk: u32,
}
device_struct!(DecoderShape);

/// [`rbf::Decoder`] on a device, with the buffers of a pass. Keep one and use it again.
pub struct Decoder {
    of: rbf::Decoder,
    device: Device,
    forward: Kernel,
    feature_gradient: Kernel,
    centre_gradient: Kernel,
    weight_gradient: Kernel,
    sum_chunks: Kernel,
    /// `[N, stride]` each.
    responses: Buffer<f32>,
    slopes: Buffer<f32>,
    /// `[chunks, parameters]`.
    partials: Buffer<f32>,
}

impl Decoder {
    /// A decoder with room for nothing yet.
    ///
    /// # Errors
    /// When kernels cannot be compiled.
    pub fn new(device: &Device, of: rbf::Decoder) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&DECODER, name);
        Ok(Self {
            of,
            device: device.clone(),
            forward: kernel("decoder_forward")?,
            feature_gradient: kernel("decoder_feature_gradient")?,
            centre_gradient: kernel("decoder_centre_gradient")?,
            weight_gradient: kernel("decoder_weight_gradient")?,
            sum_chunks: kernel("sum_chunks")?,
            responses: device.buffer(0, PURPOSE)?,
            slopes: device.buffer(0, PURPOSE)?,
            partials: device.buffer(0, PURPOSE)?,
        })
    }

    /// Bytes of buffers for so many samples.
    pub fn bytes(of: &rbf::Decoder, samples: usize) -> usize {
        4 * (2 * of.kernels() * samples + chunks(of, samples).1 * of.parameters())
    }

    /// As [`rbf::Decoder::forward`]: from `features`, `[F, stride]`, to `outputs`, `[out, stride]`. Responses are kept for [`Decoder::backward`].
    ///
    /// # Errors
    /// When there is not enough memory, a device's shared memory does not hold 32 centres, or the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn forward(
        &mut self,
        stream: &Stream,
        parameters: &Buffer<f32>,
        features: &Buffer<f32>,
        batch: Batch,
        outputs: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        self.check(parameters, features, outputs, batch);
        let needed = self.of.kernels() * batch.stride;
        if self.responses.len() < needed {
            self.responses = self.device.buffer(needed, PURPOSE)?;
        }
        let arguments = (parameters, features, self.shape(batch), &mut self.responses, outputs);
        let staged = STAGED * self.of.features() * size_of::<[f32; 2]>();
        self.forward.launch(stream, Launch::linear(batch.samples, THREADS).with_shared(staged), arguments)
    }

    /// After [`Decoder::forward`] of the same samples: from the gradient of the outputs, `[out, stride]`, to that of the features, `[F, stride]`, and of all
    /// parameters.
    ///
    /// # Errors
    /// When there is not enough memory, or the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn backward(
        &mut self,
        stream: &Stream,
        (parameters, features, of_outputs): (&Buffer<f32>, &Buffer<f32>, &Buffer<f32>),
        batch: Batch,
        (of_features, gradient): (&mut Buffer<f32>, &mut Buffer<f32>),
    ) -> Result<(), DeviceError> {
        self.check(parameters, features, of_outputs, batch);
        batch.check(of_features.len(), 0, self.of.features(), "gradients of features");
        batch.check(self.responses.len(), 0, self.of.kernels(), "responses");
        assert_eq!(gradient.len(), self.of.parameters(), "room for the gradient of parameters");
        let (parts, (kernels, features_of, outputs)) =
            (chunks(&self.of, batch.samples).1, (self.of.kernels(), self.of.features(), self.of.outputs()));
        for (buffer, needed) in
            [(&mut self.slopes, kernels * batch.stride), (&mut self.partials, parts * self.of.parameters())]
        {
            if buffer.len() < needed {
                *buffer = self.device.buffer(needed, PURPOSE)?;
            }
        }
        let shape = self.shape(batch);
        let arguments = (parameters, features, &self.responses, of_outputs, shape, &mut self.slopes, of_features);
        self.feature_gradient.launch(stream, Launch::linear(batch.samples, THREADS), arguments)?;
        let tiles = |y: usize, z: usize| Launch::grid([parts as u32, y as u32, z as u32], [THREADS, 1, 1]);
        let of_centres = tiles(kernels.div_ceil(TILE), features_of.div_ceil(TILE));
        let arguments = (parameters, features, &self.slopes, shape, &mut self.partials);
        self.centre_gradient.launch(stream, of_centres, arguments)?;
        let of_weights = tiles(kernels.div_ceil(TILE), outputs.div_ceil(OUTPUTS));
        let arguments = (&self.responses, of_outputs, shape, &mut self.partials);
        self.weight_gradient.launch(stream, of_weights, arguments)?;
        let count = self.of.parameters();
        let arguments = (&self.partials, parts as u32, count as u32, gradient);
        self.sum_chunks.launch(stream, Launch::linear(count, 256), arguments)
    }

    /// `φ`, `[N, stride]`, after a forward pass.
    pub fn responses(&self) -> &Buffer<f32> {
        &self.responses
    }

    fn shape(&self, batch: Batch) -> DecoderShape {
        DecoderShape {
            features: self.of.features() as u32,
            kernels: self.of.kernels() as u32,
            outputs: self.of.outputs() as u32,
            samples: batch.samples as u32,
            stride: batch.stride as u32,
            chunk: chunks(&self.of, batch.samples).0 as u32,
        }
    }

    fn check(&self, parameters: &Buffer<f32>, features: &Buffer<f32>, outputs: &Buffer<f32>, batch: Batch) {
        assert_eq!(parameters.len(), self.of.parameters(), "parameters of another decoder");
        batch.check(features.len(), 0, self.of.features(), "features");
        batch.check(outputs.len(), 0, self.of.outputs(), "outputs");
    }
}

/// Samples of a part of the sums over samples, and how many parts there are. It follows from sizes alone, so that sums are the same on all devices.
fn chunks(of: &rbf::Decoder, samples: usize) -> (usize, usize) {
    let most = MOST_CHUNKS.min(MOST_PARTIALS / of.parameters()).max(1);
    let chunk = samples.div_ceil(most).max(LEAST_CHUNK).next_multiple_of(TILE);
    (chunk, samples.div_ceil(chunk))
}

const PURPOSE: &str = "a decoder";
