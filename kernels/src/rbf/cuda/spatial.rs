//! Kernels in space: `spatial.cu`.

use super::THREADS;
use crate::device::{Buffer, Device, DeviceError, Kernel, Launch, Source, Stream};
use crate::device_struct;
use crate::hash_grid::cuda::{Batch, RowsIn, RowsOut};
use crate::rbf::{self, KernelShape};
use crate::sort::cuda::RadixSort;
use bytemuck::{Pod, Zeroable};

/// The kernels of kernels in space.
pub static SPATIAL: Source = Source::new("rbf/cuda/spatial.cu", include_str!("spatial.cu"));

/// Features of a thread in the forward pass.
const EIGHT: usize = 8;
/// The most features that a warp can take.
const MOST_FEATURES: usize = 128;

/// As `spatial.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct SpatialShape {
    dimensions: u32,
    features: u32,
    neighbours: u32,
    kind: u32,
    normalised: u32,
    samples: u32,
    stride: u32,
    kernels: u32,
}
device_struct!(SpatialShape);

/// [`rbf::KernelParameters`] on a device.
pub struct SpatialParameters {
    /// `[M, D]`.
    pub centres: Buffer<f32>,
    /// `[M, D (D + 1) / 2]` precisions, or `[M]` inverse widths.
    pub shapes: Buffer<f32>,
    /// `[M, F]`.
    pub weights: Buffer<f32>,
}

/// Where gradients go.
pub struct SpatialGradient<'a> {
    /// Those of centres, `[M, D]`, and of shapes, if they are wanted.
    pub moving: Option<(&'a mut Buffer<f32>, &'a mut Buffer<f32>)>,
    /// `[M, F]`.
    pub weights: &'a mut Buffer<f32>,
    /// That of places, `[D, stride]`, if it is wanted.
    pub places: Option<&'a mut Buffer<f32>>,
}

/// Places and the kernels near each.
#[derive(Clone, Copy)]
pub struct SpatialPairs<'a> {
    /// `[D, stride]`.
    pub places: &'a Buffer<f32>,
    /// `[Q, K]`, each a kernel's number.
    pub neighbours: &'a Buffer<u32>,
}

/// [`rbf::SpatialKernels`] on a device, with the buffers of a pass. Keep one and use it again.
pub struct SpatialKernels {
    of: rbf::SpatialKernels,
    device: Device,
    forward: Kernel,
    place_gradient: Kernel,
    list_pairs: Kernel,
    find_starts: Kernel,
    kernel_gradient: Kernel,
    sort: RadixSort,
    frequencies: Option<Buffer<f32>>,
    /// `[Q, K]` each.
    responses: Buffer<f32>,
    of_responses: Buffer<f32>,
    /// `[Q, F]`.
    turned: Buffer<f32>,
    /// Kernels of pairs and their numbers, `[Q K]`, sorted by kernel.
    keys: Buffer<u32>,
    pairs: Buffer<u32>,
    total: Buffer<u32>,
    /// `[M + 1]`.
    starts: Buffer<u32>,
}

impl SpatialParameters {
    /// Copies them to a device.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn upload(device: &Device, of: &rbf::KernelParameters) -> Result<Self, DeviceError> {
        Ok(Self {
            centres: device.upload(&of.centres, PURPOSE)?,
            shapes: device.upload(&of.shapes, PURPOSE)?,
            weights: device.upload(&of.weights, PURPOSE)?,
        })
    }
}

impl SpatialKernels {
    /// Kernels in space with room for nothing yet.
    ///
    /// # Errors
    /// When kernels cannot be compiled.
    ///
    /// # Panics
    /// When they have more than 128 features, no multiple of eight, or another number of dimensions than 2 or 3.
    pub fn new(device: &Device, of: &rbf::SpatialKernels) -> Result<Self, DeviceError> {
        let (d, f) = (of.dimensions, of.features);
        let fits = matches!(d, 2 | 3) && f.is_multiple_of(EIGHT) && (EIGHT..=MOST_FEATURES).contains(&f);
        assert!(fits, "{f} features in {d} dimensions");
        let kernel = |name| device.kernel(&SPATIAL, name);
        let (numbers, integers) = (|| device.buffer(0, PURPOSE), || device.buffer(0, PURPOSE));
        let frequencies = &of.frequencies;
        Ok(Self {
            forward: kernel("spatial_forward")?,
            place_gradient: kernel("spatial_place_gradient")?,
            list_pairs: kernel("list_pairs")?,
            find_starts: kernel("find_starts")?,
            kernel_gradient: kernel("spatial_kernel_gradient")?,
            sort: RadixSort::new(device)?,
            frequencies: if frequencies.is_empty() { None } else { Some(device.upload(frequencies, PURPOSE)?) },
            responses: numbers()?,
            of_responses: numbers()?,
            turned: numbers()?,
            keys: integers()?,
            pairs: integers()?,
            total: device.buffer(1, PURPOSE)?,
            starts: integers()?,
            of: of.clone(),
            device: device.clone(),
        })
    }

    /// Bytes of buffers for so many samples and kernels.
    pub fn bytes(of: &rbf::SpatialKernels, samples: usize, kernels: usize) -> usize {
        let pairs = samples * of.neighbours;
        16 * pairs + 4 * samples * of.features + RadixSort::bytes(pairs) + 4 * (kernels + 1)
    }

    /// As [`rbf::SpatialKernels::forward`]: sums over neighbours into the rows of `out` that are meant. Responses are kept for [`SpatialKernels::backward`].
    ///
    /// # Errors
    /// When there is not enough memory, or the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn forward(
        &mut self,
        stream: &Stream,
        parameters: &SpatialParameters,
        at: SpatialPairs<'_>,
        batch: Batch,
        out: RowsOut<'_>,
    ) -> Result<(), DeviceError> {
        let shape = self.shape(parameters, at, batch);
        batch.check(out.matrix.len(), out.first, self.of.features, "sums");
        let pairs = batch.samples * self.of.neighbours;
        if self.responses.len() < pairs {
            self.responses = self.device.buffer(pairs, PURPOSE)?;
        }
        let SpatialParameters { centres, shapes, weights } = parameters;
        let out = out.matrix.at_mut(out.first * batch.stride);
        let frequencies = self.frequencies.as_ref();
        let arguments =
            (centres, shapes, weights, frequencies, at.places, at.neighbours, shape, &mut self.responses, out);
        let blocks = batch.samples.div_ceil(THREADS as usize) as u32;
        let grid = Launch::grid([blocks, (self.of.features / EIGHT) as u32, 1], [THREADS, 1, 1]);
        self.forward.launch(stream, grid, arguments)
    }

    /// After [`SpatialKernels::forward`] of the same samples: gradients, from that of the sums in the rows that are meant.
    ///
    /// # Errors
    /// When there is not enough memory, or the device fails.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn backward(
        &mut self,
        stream: &Stream,
        parameters: &SpatialParameters,
        at: SpatialPairs<'_>,
        batch: Batch,
        of_sums: RowsIn<'_>,
        gradient: SpatialGradient<'_>,
    ) -> Result<(), DeviceError> {
        let shape = self.shape(parameters, at, batch);
        batch.check(of_sums.matrix.len(), of_sums.first, self.of.features, "gradients of sums");
        self.make_room(batch.samples, shape.kernels as usize)?;
        let SpatialParameters { centres, shapes, weights } = parameters;
        let upstream = of_sums.matrix.at(of_sums.first * batch.stride);
        let SpatialGradient { moving, weights: of_weights, places: of_places } = gradient;
        if let Some(places) = &of_places {
            batch.check(places.len(), 0, self.of.dimensions, "gradients of places");
        }
        let arguments = (
            centres,
            shapes,
            weights,
            self.frequencies.as_ref(),
            at.places,
            at.neighbours,
            &self.responses,
            upstream,
            shape,
            &mut self.of_responses,
            of_places,
            &mut self.turned,
        );
        self.place_gradient.launch(stream, Launch::linear(batch.samples, THREADS), arguments)?;

        self.sort_pairs(stream, at.neighbours, shape)?;
        let (of_centres, of_shapes) = moving.unzip();
        let fits = of_weights.len() == weights.len()
            && of_centres.as_ref().is_none_or(|b| b.len() == centres.len())
            && of_shapes.as_ref().is_none_or(|b| b.len() == shapes.len());
        assert!(fits, "room for the gradients of {} kernels", shape.kernels);
        let arguments = (
            centres,
            shapes,
            self.frequencies.as_ref(),
            at.places,
            &self.responses,
            &self.of_responses,
            &self.turned,
            &self.starts,
            &self.pairs,
            shape,
            of_centres,
            of_shapes,
            of_weights,
        );
        let warps = Launch::linear(32 * shape.kernels as usize, THREADS);
        self.kernel_gradient.launch(stream, warps, arguments)
    }

    /// `φ`, `[Q, K]`, after a forward pass.
    pub fn responses(&self) -> &Buffer<f32> {
        &self.responses
    }

    /// Pairs in the order of kernels, and where those of each begin.
    fn sort_pairs(
        &mut self,
        stream: &Stream,
        neighbours: &Buffer<u32>,
        shape: SpatialShape,
    ) -> Result<(), DeviceError> {
        let count = shape.samples * shape.neighbours;
        let arguments = (neighbours, count, &mut self.keys, &mut self.pairs, &mut self.total);
        self.list_pairs.launch(stream, Launch::linear(count.max(1) as usize, 256), arguments)?;
        let bits = u32::BITS - shape.kernels.leading_zeros();
        self.sort.sort_pairs(stream, &mut self.keys, &mut self.pairs, (&self.total, 0), bits)?;
        let arguments = (&self.keys, count, shape.kernels, &mut self.starts);
        self.find_starts.launch(stream, Launch::linear(count as usize + 1, 256), arguments)
    }

    fn make_room(&mut self, samples: usize, kernels: usize) -> Result<(), DeviceError> {
        let pairs = samples * self.of.neighbours;
        assert!(self.responses.len() >= pairs, "responses of these places");
        if self.keys.len() < pairs {
            self.of_responses = self.device.buffer(pairs, PURPOSE)?;
            self.turned = self.device.buffer(samples * self.of.features, PURPOSE)?;
            self.keys = self.device.buffer(pairs, PURPOSE)?;
            self.pairs = self.device.buffer(pairs, PURPOSE)?;
        }
        if self.starts.len() < kernels + 1 {
            self.starts = self.device.buffer(kernels + 1, PURPOSE)?;
        }
        Ok(())
    }

    fn shape(&self, parameters: &SpatialParameters, at: SpatialPairs<'_>, batch: Batch) -> SpatialShape {
        let of = &self.of;
        let kernels = parameters.centres.len() / of.dimensions;
        let fits = parameters.centres.len() == kernels * of.dimensions
            && parameters.shapes.len() == kernels * of.shape_numbers()
            && parameters.weights.len() == kernels * of.features;
        assert!(fits, "parameters of {kernels} kernels");
        batch.check(at.places.len(), 0, of.dimensions, "places");
        assert!(at.neighbours.len() >= batch.samples * of.neighbours, "{} neighbours of each place", of.neighbours);
        SpatialShape {
            dimensions: of.dimensions as u32,
            features: of.features as u32,
            neighbours: of.neighbours as u32,
            kind: match of.shape {
                KernelShape::InverseQuadric => 0,
                KernelShape::ProductHat => 1,
            },
            normalised: of.normalised.into(),
            samples: batch.samples as u32,
            stride: batch.stride as u32,
            kernels: kernels as u32,
        }
    }
}

const PURPOSE: &str = "kernels in space";
