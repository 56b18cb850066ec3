//! Blending, comparing, and the sums over blocks: `blend.cu`.

use super::PURPOSE;
use crate::device::{At, AtMut, Buffer, Device, DeviceError, Kernel, Launch, Source, Stream};
use crate::device_struct;
use crate::sdf_render::STOP;
use bytemuck::{Pod, Zeroable};

/// The kernels of blending.
pub static BLEND: Source = Source::new("sdf_render/cuda/blend.cu", include_str!("blend.cu"));

const THREADS: u32 = 128;
/// Sums of blocks that [`SumParts`] adds up at a time.
const PARTS: usize = 5;

/// What a ray should see, as `target.cuh` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct RayTarget {
    /// With the background where the photo is transparent.
    pub colour: [f32; 3],
    /// How much of the pixel the object covers; negative where that is not known.
    pub opacity: f32,
    /// Behind the surface.
    pub background: [f32; 3],
    /// Of which photo it is.
    pub photo: u32,
}

/// As `blend.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct BlendShape {
    rays: u32,
    stride: u32,
    stop: f32,
}

/// As `blend.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct CompareShape {
    rays: u32,
    huber: f32,
    per_ray: f32,
    mask: f32,
}

/// As `blend.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct SumShape {
    count: [u32; PARTS],
    first: [u32; PARTS],
    sum: [u32; PARTS],
}
device_struct!(RayTarget, BlendShape, CompareShape, SumShape);

/// How rays are compared with what they should see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// From this difference of colours on the loss grows linearly.
    pub huber: f32,
    /// Weight of a ray.
    pub per_ray: f32,
    /// Of its opacity beside that.
    pub mask: f32,
}

/// The samples of some rays.
#[derive(Clone, Copy)]
pub struct RaySamples<'a> {
    /// How many rays there are.
    pub rays: usize,
    /// Where the samples of each begin, `[rays + 1]`.
    pub starts: &'a Buffer<u32>,
    /// Opacities, `[stride]`.
    pub alphas: &'a Buffer<f32>,
    /// Colours, `[3, stride]`.
    pub colours: &'a Buffer<f32>,
    /// From a row of samples to the next.
    pub stride: usize,
    /// What rays should see, and what is behind them.
    pub targets: &'a Buffer<RayTarget>,
}

/// What rays see, for at most so many rays and samples.
pub struct Blended {
    /// `[5, rays]`: colour, opacity, and what passes all samples.
    pub values: Buffer<f32>,
    /// Samples until each ray was stopped, or all.
    pub seen: Buffer<u32>,
    /// `[stride]`.
    pub weights: Buffer<f32>,
    /// Gradients by colour and opacity, `[4, rays]`.
    pub upstream: Buffer<f32>,
}

impl Blended {
    /// Room for so many rays and samples.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn new(device: &Device, rays: usize, samples: usize) -> Result<Self, DeviceError> {
        Ok(Self {
            values: device.buffer(5 * rays, PURPOSE)?,
            seen: device.buffer(rays, PURPOSE)?,
            weights: device.buffer(samples, PURPOSE)?,
            upstream: device.buffer(4 * rays, PURPOSE)?,
        })
    }
}

/// Blends rays, compares them, and differentiates both.
pub struct Blending {
    blend: Kernel,
    compare: Kernel,
    backward: Kernel,
}

impl Blending {
    /// Prepares the kernels.
    ///
    /// # Errors
    /// When they cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        let kernel = |name| device.kernel(&BLEND, name);
        Ok(Self {
            blend: kernel("blend_rays")?,
            compare: kernel("compare_rays")?,
            backward: kernel("blend_rays_backward")?,
        })
    }

    /// As [`crate::sdf_render::blend`] for each ray.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn blend(&self, stream: &Stream, of: RaySamples<'_>, out: &mut Blended) -> Result<(), DeviceError> {
        of.check(out);
        let (starts, alphas, colours, targets, shape) = (of.starts, of.alphas, of.colours, of.targets, of.shape());
        let arguments = (starts, alphas, colours, targets, shape, &mut out.values, &mut out.seen, &mut out.weights);
        self.blend.launch(stream, Launch::linear(of.rays, THREADS), arguments)
    }

    /// Compares what rays see with what they should: gradients into `out.upstream`, sums of blocks into `parts`, of the loss and of the
    /// colours' squared error ([`SumParts::at`]).
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn compare(
        &self,
        stream: &Stream,
        (targets, rays): (&Buffer<RayTarget>, usize),
        comparison: Comparison,
        out: &mut Blended,
        (room, parts): (u32, AtMut<'_, f32>),
    ) -> Result<(), DeviceError> {
        let Comparison { huber, per_ray, mask } = comparison;
        let shape = CompareShape { rays: rays as u32, huber, per_ray, mask };
        let arguments = (targets, &out.values, shape, &mut out.upstream, room, parts);
        self.compare.launch(stream, Launch::linear(rays, THREADS), arguments)
    }

    /// As [`crate::sdf_render::blend_backward`] for each ray, from `blended.upstream`: gradients by opacities, `[stride]`, and colours, `[3, stride]`.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When buffers are too short.
    pub fn backward(
        &self,
        stream: &Stream,
        of: RaySamples<'_>,
        blended: &Blended,
        (by_alphas, by_colours): (&mut Buffer<f32>, &mut Buffer<f32>),
    ) -> Result<(), DeviceError> {
        of.check(blended);
        assert!(by_alphas.len() >= of.stride && by_colours.len() >= 3 * of.stride, "room for gradients");
        let (starts, alphas, colours, targets, shape) = (of.starts, of.alphas, of.colours, of.targets, of.shape());
        let Blended { values, seen, weights, upstream } = blended;
        let arguments =
            (starts, alphas, colours, targets, shape, values, seen, weights, upstream, by_alphas, by_colours);
        self.backward.launch(stream, Launch::linear(of.rays, THREADS), arguments)
    }

    /// Sums of blocks that [`Blending::compare`] makes of so many rays.
    pub fn parts(rays: usize) -> usize {
        rays.div_ceil(THREADS as usize)
    }
}

impl RaySamples<'_> {
    fn shape(&self) -> BlendShape {
        BlendShape { rays: self.rays as u32, stride: self.stride as u32, stop: STOP }
    }

    fn check(&self, blended: &Blended) {
        let Self { rays, starts, alphas, colours, stride, targets } = *self;
        assert!(starts.len() > rays && targets.len() >= rays, "room for {rays} rays");
        assert!(alphas.len() >= stride && colours.len() >= 3 * stride, "room for samples");
        let fits = blended.values.len() >= 5 * rays && blended.seen.len() >= rays && blended.upstream.len() >= 4 * rays;
        assert!(fits && blended.weights.len() >= stride, "room for what rays see");
    }
}

/// Sums of blocks of several kernels, and what they add up to.
pub struct SumParts {
    kernel: Kernel,
    /// Each kernel's one after the other.
    partials: Buffer<f32>,
    room: usize,
    /// `[sums]`.
    pub sums: Buffer<f32>,
}

impl SumParts {
    /// `sums` sums of at most five kernels' parts, of at most `room` each.
    ///
    /// # Errors
    /// When there is not enough memory, or the kernel cannot be compiled.
    pub fn new(device: &Device, sums: usize, room: usize) -> Result<Self, DeviceError> {
        Ok(Self {
            kernel: device.kernel(&BLEND, "sum_parts")?,
            partials: device.buffer(PARTS * room, PURPOSE)?,
            room,
            sums: device.zeros(sums, PURPOSE)?,
        })
    }

    /// Where a kernel puts the sums of its blocks: place `place`, and the one behind it if it makes two; how far these are apart.
    pub fn at(&mut self, place: usize) -> (u32, AtMut<'_, f32>) {
        (self.room as u32, self.partials.at_mut(place * self.room))
    }

    /// Adds up: `of` says for each place how many parts it has and to which sum they belong.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When there are more parts than places have room for.
    pub fn add(&mut self, stream: &Stream, of: [(usize, usize); PARTS]) -> Result<(), DeviceError> {
        assert!(of.iter().all(|(count, _)| *count <= self.room), "room for sums of blocks");
        let shape = SumShape {
            count: of.map(|(count, _)| count as u32),
            first: std::array::from_fn(|place| (place * self.room) as u32),
            sum: of.map(|(_, sum)| sum as u32),
        };
        let partials: At<'_, f32> = self.partials.at(0);
        self.kernel.launch(stream, Launch::blocks(self.sums.len() as u32, 256), (partials, shape, &mut self.sums))
    }
}
