//! What is asked of distances and normals beside what photos show: `conditions.cu`.

use crate::device::{AtMut, Buffer, Device, DeviceError, Kernel, Launch, Source, Stream};
use crate::device_struct;
use crate::hash_grid::cuda::Batch;
use crate::occupancy::cuda::DeviceRay;
use crate::sdf_render::STOP;
use bytemuck::{Pod, Zeroable};

/// The kernels of conditions.
pub static CONDITIONS: Source = Source::new("sdf_render/cuda/conditions.cu", include_str!("conditions.cu"));

/// Threads of a block for pairs and for samples.
const PAIR_THREADS: usize = 128;
const THREADS: usize = 256;

/// Where a ray meets the surface, two places are compared. As `conditions.cu` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct DevicePair {
    /// Which ray.
    pub ray: u32,
    /// How far from each other.
    pub reach: f32,
    /// A vector that says in which direction.
    pub towards: [f32; 3],
}

/// As `conditions.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct PairShape {
    pairs: u32,
    first: u32,
    stride: u32,
    opaque: f32,
    stop: f32,
}

/// As `conditions.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct ConditionShape {
    of_rays: u32,
    samples: u32,
    stride: u32,
    eikonal: f32,
}

/// As `conditions.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct FitShape {
    samples: u32,
    stride: u32,
    radius: f32,
    huber: f32,
    per_sample: f32,
    eikonal: f32,
}
device_struct!(DevicePair, PairShape, ConditionShape, FitShape);

/// Pairs of a step, whose places are samples from some on.
#[derive(Clone, Copy)]
pub struct Pairs<'a> {
    /// As they were drawn.
    pub pairs: &'a Buffer<DevicePair>,
    /// How many.
    pub count: usize,
    /// The sample at which they begin.
    pub first: usize,
    /// From a row of samples to the next.
    pub stride: usize,
}

/// The samples of rays, and what was found for them.
#[derive(Clone, Copy)]
pub struct SamplesOfRays<'a> {
    /// Rays.
    pub rays: &'a Buffer<DeviceRay>,
    /// The ray of each sample.
    pub ray_of: &'a Buffer<u32>,
    /// `[5, stride]`.
    pub alphas: &'a Buffer<f32>,
    /// Gradients by opacities.
    pub by_alphas: &'a Buffer<f32>,
    /// How many samples there are.
    pub count: usize,
}

/// How places that want distances are compared.
#[derive(Clone, Copy, Debug)]
pub struct FitWeights {
    /// Subtracted from what the network says.
    pub radius: f32,
    /// From this difference on the loss grows linearly.
    pub huber: f32,
    /// Weight of a place.
    pub per_sample: f32,
    /// Weight of its eikonal condition.
    pub eikonal: f32,
}

/// Computes conditions and their gradients.
pub struct Conditions {
    place_samples: Kernel,
    draw_pairs: Kernel,
    sample_gradients: Kernel,
    pair_gradients: Kernel,
    fit_gradients: Kernel,
}

impl Conditions {
    /// Prepares the kernels.
    ///
    /// # Errors
    /// When they cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&CONDITIONS, name);
        Ok(Self {
            place_samples: kernel("place_samples")?,
            draw_pairs: kernel("draw_pairs")?,
            sample_gradients: kernel("sample_gradients")?,
            pair_gradients: kernel("pair_gradients")?,
            fit_gradients: kernel("fit_gradients")?,
        })
    }

    /// `places`, `[count, 3]`, become samples from `first` on of `positions`, `[3, stride]`.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn place(
        &self,
        stream: &Stream,
        (places, count): (&Buffer<f32>, usize),
        (first, stride): (usize, usize),
        positions: &mut Buffer<f32>,
    ) -> Result<(), DeviceError> {
        Batch { samples: first + count, stride }.check(positions.len(), 0, 3, "positions");
        assert!(places.len() >= 3 * count, "{count} places");
        let arguments = (places, count as u32, first as u32, stride as u32, positions);
        self.place_samples.launch(stream, Launch::linear(count, THREADS as u32), arguments)
    }

    /// Places of pairs, into `places`, `[3, stride]`, and which of them lie on the surface, from the kept samples' `starts` and `alphas`, and from the `positions` and
    /// `normals` of all samples, of which `kept` says which are kept. Rays less opaque than `opaque` meet no surface.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn draw_pairs(
        &self,
        stream: &Stream,
        pairs: Pairs<'_>,
        opaque: f32,
        (starts, alphas, kept): (&Buffer<u32>, &Buffer<f32>, &Buffer<u32>),
        (positions, normals): (&Buffer<f32>, &Buffer<f32>),
        (places, met): (&mut Buffer<f32>, &mut Buffer<u32>),
    ) -> Result<(), DeviceError> {
        pairs.check(places.len(), met.len());
        let shape = PairShape { opaque, ..pairs.shape() };
        let arguments = (pairs.pairs, starts, alphas, kept, positions, normals, shape, places, met);
        self.draw_pairs.launch(stream, Launch::linear(pairs.count, PAIR_THREADS as u32), arguments)
    }

    /// Gradients by the distances, `[stride]`, of the samples of rays, and by the normals, `v` `[3, stride]`, of these and of the places behind them, `batch` in all.
    /// Two sums of blocks: the eikonal condition, which has the weight `eikonal` for a sample, and the gradient by the sharpness.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn sample_gradients(
        &self,
        stream: &Stream,
        of_rays: SamplesOfRays<'_>,
        (normals, batch, eikonal): (&Buffer<f32>, Batch, f32),
        (by_distances, v): (&mut Buffer<f32>, &mut Buffer<f32>),
        (room, parts): (u32, AtMut<'_, f32>),
    ) -> Result<(), DeviceError> {
        let SamplesOfRays { rays, ray_of, alphas, by_alphas, count } = of_rays;
        batch.check(normals.len(), 0, 3, "normals");
        batch.check(v.len(), 0, 3, "gradients of normals");
        assert!(count <= batch.samples && by_distances.len() >= count, "{count} samples of rays");
        let [of_rays, samples, stride] = [count, batch.samples, batch.stride].map(|n| n as u32);
        let shape = ConditionShape { of_rays, samples, stride, eikonal };
        let arguments = (rays, ray_of, alphas, by_alphas, normals, shape, by_distances, v, room, parts);
        self.sample_gradients.launch(stream, Launch::linear(batch.samples, THREADS as u32), arguments)
    }

    /// Sums of blocks that [`Conditions::sample_gradients`] and [`Conditions::fit_gradients`] make of so many samples.
    pub fn parts(samples: usize) -> usize {
        samples.div_ceil(THREADS)
    }

    /// Gradients by the normals of pairs, into their samples of `v`, `[3, stride]`, and a sum of blocks: the loss, which has a `weight` for each pair.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn pair_gradients(
        &self,
        stream: &Stream,
        pairs: Pairs<'_>,
        (normals, met, weight): (&Buffer<f32>, &Buffer<u32>, f32),
        v: &mut Buffer<f32>,
        (_, parts): (u32, AtMut<'_, f32>),
    ) -> Result<(), DeviceError> {
        pairs.check(v.len(), met.len());
        let arguments = (normals, met, pairs.shape(), weight, v, parts);
        self.pair_gradients.launch(stream, Launch::linear(pairs.count, PAIR_THREADS as u32), arguments)
    }

    /// Sums of blocks that [`Conditions::pair_gradients`] makes of so many pairs.
    pub fn pair_parts(pairs: usize) -> usize {
        pairs.div_ceil(PAIR_THREADS)
    }

    /// Of places with distances, `[stride]`, that want others: gradients by these, by normals, `[3, stride]`, and a sum of blocks, the loss.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn fit_gradients(
        &self,
        stream: &Stream,
        (distances, wanted, normals): (&Buffer<f32>, &Buffer<f32>, &Buffer<f32>),
        (batch, weights): (Batch, FitWeights),
        (by_distances, v): (&mut Buffer<f32>, &mut Buffer<f32>),
        (_, parts): (u32, AtMut<'_, f32>),
    ) -> Result<(), DeviceError> {
        for (rows, count, what) in [(distances, 1, "distances"), (normals, 3, "normals"), (&*v, 3, "gradients")] {
            batch.check(rows.len(), 0, count, what);
        }
        assert!(wanted.len() >= batch.samples && by_distances.len() >= batch.samples, "{} places", batch.samples);
        let FitWeights { radius, huber, per_sample, eikonal } = weights;
        let (samples, stride) = (batch.samples as u32, batch.stride as u32);
        let shape = FitShape { samples, stride, radius, huber, per_sample, eikonal };
        let arguments = (distances, wanted, normals, shape, by_distances, v, parts);
        self.fit_gradients.launch(stream, Launch::linear(batch.samples, THREADS as u32), arguments)
    }
}

impl Pairs<'_> {
    fn shape(&self) -> PairShape {
        let [pairs, first, stride] = [self.count, self.first, self.stride].map(|n| n as u32);
        PairShape { pairs, first, stride, opaque: 0.0, stop: STOP }
    }

    fn check(&self, rows: usize, met: usize) {
        let samples = self.first + 2 * self.count;
        Batch { samples, stride: self.stride }.check(rows, 0, 3, "places of pairs");
        assert!(self.pairs.len() >= self.count && met >= self.count, "{} pairs", self.count);
    }
}
