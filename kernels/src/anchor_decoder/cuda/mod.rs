//! Decoding and learning on a device: `decode.cu`, `learn.cu`, and the network's products by [`crate::mlp::cuda`].
//!
//! A step is: [`Decoding::see`] lists the anchors that a view sees and waits for their number; [`Decoding::decode`] makes splats of them;
//! the rasteriser draws and differentiates; [`Decoding::differentiate`] goes back to anchors and network, with the pull towards what a teacher makes.
//! Gaussians that are not kept are splats that no pixel sees, so their number is never needed on the host.
//!
//! Places of anchors are not learned, so there is no gradient by them, nor by directions.

mod network;

use super::AnchorDecoder;
use crate::camera_projection::View;
use crate::device::{Buffer, Device, DeviceError, Joined, Kernel, Launch, Pinned, Source, Stream};
use crate::device_struct;
use crate::hash_grid::cuda::Batch;
use crate::mlp::cuda::{Activations, Mlp, Pass};
use crate::sort::cuda::Scan;
use crate::splat::cuda::{Harmonics, Rasterizer, SplatGradients, Splats};
use bytemuck::{Pod, Zeroable};
use network::Network;

/// `decode.cu`
pub static DECODE: Source = Source::new("anchor_decoder/cuda/decode.cu", include_str!("decode.cu"));
/// `learn.cu`
pub static LEARN: Source = Source::new("anchor_decoder/cuda/learn.cu", include_str!("learn.cu"));

const BLOCK: u32 = 256;
/// Threads of a block that goes through the Gaussians of anchors.
const SMALL_BLOCK: u32 = 128;
/// Sums that `learn.cu` makes.
const LOSSES: usize = 5;
/// Brings gradients near 1 on their way through the network: they are means over pixels.
const SCALE: f32 = 1024.0;

/// From where anchors are looked at, and the picture's edges, as `decode.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Sight {
    /// Of the camera, row major.
    pub rotation: [[f32; 3]; 3],
    /// Of the camera.
    pub translation: [f32; 3],
    /// Unit normals, outwards, of the planes through the camera and an edge each.
    pub edges: [[f32; 3]; 4],
    /// What is nearer than this is not seen.
    pub near: f32,
}

/// As `anchors.cuh` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct AnchorShape {
    count: u32,
    stride: u32,
    features: u32,
    gaussians: u32,
    centre: [f32; 3],
}

/// What is added to the loss of a picture, as `learn.cu` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Pull {
    /// Weight of the mean volume of the Gaussians.
    pub volume: f32,
    /// Weight of the difference to what the teacher makes: [`super::consistency()`].
    pub consistency: f32,
}
device_struct!(Sight, AnchorShape, Pull);

/// `A` anchors on a device; buffers may be larger. [`super::Anchors`] has the shapes.
#[derive(Clone, Copy)]
pub struct Anchors<'a> {
    /// `A`.
    pub len: usize,
    /// `[A, 3]`
    pub positions: &'a Buffer<f32>,
    /// `[A, k, 3]`
    pub offsets: &'a Buffer<f32>,
    /// `[A, 6]`
    pub log_scaling: &'a Buffer<f32>,
    /// `[A, F]`
    pub features: &'a Buffer<f32>,
}

/// Gradients by what is learned of anchors, of the size of the tensors; zero for those that were not decoded.
pub struct AnchorGradients {
    /// `[A, k, 3]`
    pub offsets: Buffer<f32>,
    /// `[A, 6]`
    pub log_scaling: Buffer<f32>,
    /// `[A, F]`
    pub features: Buffer<f32>,
}

impl AnchorGradients {
    /// Room for so many anchors.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn new(device: &Device, decoder: AnchorDecoder, anchors: usize) -> Result<Self, DeviceError> {
        let tensor = |columns: usize| device.zeros(columns * anchors, PURPOSE);
        let AnchorDecoder { features, offsets } = decoder;
        Ok(Self { offsets: tensor(3 * offsets)?, log_scaling: tensor(6)?, features: tensor(features)? })
    }

    fn clear(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        [&mut self.offsets, &mut self.log_scaling, &mut self.features].into_iter().try_for_each(|t| t.clear(stream))
    }
}

/// What has been seen of anchors: the sums that growth and removal look at.
pub struct Observed {
    /// `[A, k]`, lengths of gradients by the projected mean, in halves of the picture.
    pub gradients: Buffer<f32>,
    /// `[A, k]`, in how many steps.
    pub counts: Buffer<f32>,
    /// `[A]`, opacities of all Gaussians.
    pub opacities: Buffer<f32>,
    /// `[A]`, in how many steps the anchor was decoded.
    pub seen: Buffer<f32>,
}

/// What [`Decoding::differentiate`] found beside gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PullValues {
    /// [`super::consistency()`], without its weight.
    pub consistency: f64,
    /// The mean volume of the Gaussians.
    pub volume: f64,
}

struct Kernels {
    find_anchors: Kernel,
    list_anchors: Kernel,
    input: Kernel,
    splats: Kernel,
    gradients: Kernel,
    add_losses: Kernel,
    features: Kernel,
    observe: Kernel,
    scale: Kernel,
}

impl Kernels {
    fn new(device: &Device) -> Result<Self, DeviceError> {
        let [decode, learn] = [&DECODE, &LEARN].map(|source| move |name| device.kernel(source, name));
        Ok(Self {
            find_anchors: decode("find_anchors")?,
            list_anchors: decode("list_anchors")?,
            input: decode("decoder_input")?,
            splats: decode("decoded_splats")?,
            gradients: learn("decoded_gradients")?,
            add_losses: learn("add_losses")?,
            features: learn("feature_gradients")?,
            observe: learn("observe_anchors")?,
            scale: learn("scale_all")?,
        })
    }
}

/// The splats of decoded anchors.
struct Decoded {
    means: Buffer<f32>,
    log_scales: Buffer<f32>,
    quats: Buffer<f32>,
    opacity_logits: Buffer<f32>,
    sh0: Buffer<f32>,
    sh_rest: Buffer<f32>,
}

/// Weights of a network on their way to the device, and there.
struct Weights {
    sent: Pinned<f32>,
    there: Buffer<f32>,
}

/// Decodes anchors of a device and differentiates what came out. All its memory is there from the start.
pub struct Decoding {
    stream: Stream,
    decoder: AnchorDecoder,
    network: Network,
    mlp: Mlp,
    kernels: Kernels,
    scan: Scan,
    capacity: usize,
    student: Weights,
    teacher: Weights,
    /// `[A]`, flags; counts of blocks; the numbers of those that are decoded, and how many they are.
    seen: Buffer<u32>,
    block_counts: Buffer<u32>,
    chosen: Buffer<u32>,
    total: Buffer<u32>,
    counted: Pinned<u32>,
    /// Gaussians that are kept: of blocks, and all.
    kept_counts: Buffer<u32>,
    kept: Buffer<u32>,
    kept_counted: Pinned<u32>,
    shape: AnchorShape,
    h: Activations,
    d: Activations,
    /// Of the teacher: it has the student's input.
    taught: Activations,
    decoded: Decoded,
    parts: Buffer<f32>,
    losses: Buffer<f32>,
    found: Pinned<f32>,
    gradient: Buffer<f32>,
    gradient_found: Pinned<f32>,
}

impl Decoding {
    /// Room for decoding up to `capacity` anchors.
    ///
    /// # Errors
    /// When there is not enough memory, or kernels cannot be compiled.
    pub fn new(device: &Device, stream: &Stream, decoder: AnchorDecoder, capacity: usize) -> Result<Self, DeviceError> {
        let network = Network::new(decoder);
        let slots = capacity * decoder.offsets;
        let floats = |len: usize| device.zeros::<f32>(len, PURPOSE);
        let numbers = |len: usize| device.zeros::<u32>(len, PURPOSE);
        let activations = || Activations::new(device, &network.mlp, 3, capacity);
        let weights = || -> Result<Weights, DeviceError> {
            let len = network.mlp.weights();
            Ok(Weights { sent: device.pinned(len)?, there: device.zeros(len, PURPOSE)? })
        };
        let mut taught = activations()?;
        taught.layers[0] = floats(0)?;
        Ok(Self {
            mlp: Mlp::new(device, &network.mlp)?,
            kernels: Kernels::new(device)?,
            scan: Scan::new(device)?,
            student: weights()?,
            teacher: weights()?,
            seen: numbers(capacity)?,
            block_counts: numbers(capacity.div_ceil(BLOCK as usize))?,
            chosen: numbers(capacity)?,
            total: numbers(1)?,
            counted: device.pinned(1)?,
            kept_counts: numbers(capacity.div_ceil(SMALL_BLOCK as usize) * decoder.offsets)?,
            kept: numbers(1)?,
            kept_counted: device.pinned(1)?,
            shape: AnchorShape::zeroed(),
            h: activations()?,
            d: activations()?,
            taught,
            decoded: Decoded {
                means: floats(3 * slots)?,
                log_scales: floats(3 * slots)?,
                quats: floats(4 * slots)?,
                opacity_logits: floats(slots)?,
                sh0: floats(3 * slots)?,
                sh_rest: floats(0)?,
            },
            parts: floats(LOSSES * capacity.div_ceil(SMALL_BLOCK as usize))?,
            losses: floats(LOSSES)?,
            found: device.pinned(LOSSES)?,
            gradient: floats(network.mlp.weights())?,
            gradient_found: device.pinned(network.mlp.weights())?,
            stream: stream.clone(),
            decoder,
            network,
            capacity,
        })
    }

    /// Bytes on the device for decoding up to `anchors` anchors; those of their gradients are [`Decoding::gradient_bytes`].
    pub fn bytes(decoder: AnchorDecoder, anchors: usize) -> usize {
        let network = Network::new(decoder).mlp;
        let [inputs, hidden, outputs] = [0, 1, 2].map(|layer| network.widths()[layer]);
        // Activations, their gradients, and those of the teacher, which shares the input; splats; two numbers of the list.
        let row = 2 * (inputs + hidden + outputs) + hidden + outputs + 14 * decoder.offsets + 2;
        4 * (row * anchors + 3 * network.weights()) + Mlp::bytes(&network, anchors)
    }

    /// Bytes of [`AnchorGradients`].
    pub fn gradient_bytes(decoder: AnchorDecoder, anchors: usize) -> usize {
        4 * (3 * decoder.offsets + 6 + decoder.features) * anchors
    }

    /// Sends the parameters of the decoder, and those of its teacher if there is one, without waiting.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When there are less than a decoder of this shape has.
    pub fn send(&mut self, student: &[f32], teacher: Option<&[f32]>) -> Result<(), DeviceError> {
        let pairs = [(&mut self.student, Some(student)), (&mut self.teacher, teacher)];
        for (Weights { sent, there }, parameters) in pairs {
            if let Some(parameters) = parameters {
                self.network.pack(parameters, sent.values()?);
                there.write_from(sent, &self.stream)?;
            }
        }
        Ok(())
    }

    /// Lists the anchors whose Gaussians may be in the picture, and waits for their number, which it returns.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When there are more anchors than there is room for.
    pub fn see(&mut self, anchors: Anchors<'_>, sight: Sight) -> Result<usize, DeviceError> {
        let Anchors { len, positions, offsets, log_scaling, .. } = anchors;
        assert!(len <= self.capacity, "{len} anchors do not fit into {}", self.capacity);
        let (stream, grid) = (&self.stream, Launch::linear(len, BLOCK));
        let (count, gaussians) = (len as u32, self.decoder.offsets as u32);
        let (seen, block_counts) = (&mut self.seen, &mut self.block_counts);
        let arguments = (positions, offsets, log_scaling, count, gaussians, sight, &mut *seen, &mut *block_counts);
        self.kernels.find_anchors.launch(stream, grid, arguments)?;
        let blocks = len.div_ceil(BLOCK as usize);
        self.scan.exclusive_sum(stream, block_counts, blocks, self.total.at_mut(0))?;
        self.kernels.list_anchors.launch(stream, grid, (&*seen, &*block_counts, count, &mut self.chosen))?;
        self.total.read_into(&mut self.counted, stream)?;
        let seen = if len == 0 { 0 } else { self.counted.values()?[0] };
        self.shape = AnchorShape {
            count: seen,
            stride: self.capacity as u32,
            features: self.decoder.features as u32,
            gaussians,
            centre: [0.0; 3],
        };
        Ok(seen as usize)
    }

    /// Makes splats of the anchors that were seen, with the student's parameters.
    ///
    /// # Errors
    /// When the device fails.
    pub fn decode(&mut self, anchors: Anchors<'_>, view: &View) -> Result<(), DeviceError> {
        self.shape.centre = view.position();
        let (batch, shape, rows) = (self.batch(), self.shape, self.network.inputs() as u32);
        let Anchors { positions, offsets, log_scaling, features, .. } = anchors;
        let Self { stream, kernels, chosen, h, decoded, kept_counts, .. } = self;
        let count = batch.samples;
        let input = (positions, features, &*chosen, shape, rows, &mut h.layers[0]);
        kernels.input.launch(stream, Launch::linear(count, BLOCK), input)?;
        self.mlp.forward(stream, &self.student.there, h, batch)?;
        let Decoded { means, log_scales, quats, opacity_logits, sh0, .. } = decoded;
        let blocks = count.div_ceil(SMALL_BLOCK as usize);
        let grid = Launch::grid([blocks as u32, shape.gaussians, 1], [SMALL_BLOCK, 1, 1]);
        let of_anchors = Joined((positions, offsets, log_scaling, &*chosen, &h.layers[2], shape));
        let out = Joined((means, log_scales, quats, opacity_logits, sh0, &mut *kept_counts));
        kernels.splats.launch(stream, grid, (of_anchors, out))?;
        let counts = blocks * self.decoder.offsets;
        self.scan.exclusive_sum(stream, kept_counts, counts, self.kept.at_mut(0))
    }

    /// What was decoded, as the rasteriser takes it: number `g` of decoded anchor `i` is at `g` times their number, plus `i`.
    pub fn splats(&self) -> Splats<'_> {
        let Decoded { means, log_scales, quats, opacity_logits, sh0, sh_rest } = &self.decoded;
        Splats {
            len: self.slots(),
            means,
            log_scales,
            quats,
            opacity_logits,
            sh0,
            sh_rest: Harmonics::Floats(sh_rest),
            sh_degree: 0,
            filter_3d: None,
        }
    }

    /// Anchors that were decoded last, on the host; waits for them.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn read_chosen(&self) -> Result<Vec<u32>, DeviceError> {
        self.chosen.read_part(0, self.shape.count as usize, &self.stream)
    }

    /// Takes the gradient by splats back to anchors and network. Nothing is waited for: [`Decoding::found`] does.
    ///
    /// # Errors
    /// When there is not enough memory, or the device fails.
    pub fn differentiate(
        &mut self,
        anchors: Anchors<'_>,
        v: &SplatGradients,
        pull: Pull,
        out: &mut AnchorGradients,
    ) -> Result<(), DeviceError> {
        let (batch, shape) = (self.batch(), self.shape);
        let is_taught = pull.consistency > 0.0;
        if is_taught {
            self.teach(batch)?;
        }
        out.clear(&self.stream)?;
        let Self { stream, kernels, chosen, h, d, taught, parts, .. } = self;
        let blocks = Launch::linear(batch.samples, SMALL_BLOCK);
        let teacher = is_taught.then_some(&taught.layers[2]);
        let of_anchors = Joined((anchors.offsets, anchors.log_scaling, &*chosen, &h.layers[2], teacher, shape));
        let by_splats = Joined((&v.means, &v.log_scales, &v.quats, &v.opacity_logits, &v.sh0));
        let to = Joined((&mut d.layers[2], &mut out.offsets, &mut out.log_scaling, &mut *parts));
        kernels.gradients.launch(stream, blocks, (of_anchors, pull, &self.kept, by_splats, to))?;
        let columns = Launch::blocks(LOSSES as u32, SMALL_BLOCK);
        kernels.add_losses.launch(stream, columns, (&*parts, blocks.grid[0], &mut self.losses))?;
        let pass = Pass { batch, scale: SCALE };
        self.mlp.back(stream, &self.student.there, h, d, pass)?;
        let features = (&d.layers[0], &*chosen, shape, &mut out.features);
        kernels.features.launch(stream, Launch::linear(batch.samples, BLOCK), features)?;
        self.mlp.weight_gradient(stream, h, d, pass, &mut self.gradient)?;
        self.gradient.read_into(&mut self.gradient_found, stream)?;
        self.losses.read_into(&mut self.found, stream)?;
        self.kept.read_into(&mut self.kept_counted, stream)
    }

    /// Decodes with the teacher's parameters.
    fn teach(&mut self, batch: Batch) -> Result<(), DeviceError> {
        std::mem::swap(&mut self.taught.layers[0], &mut self.h.layers[0]);
        let taught = self.mlp.forward(&self.stream, &self.teacher.there, &mut self.taught, batch);
        std::mem::swap(&mut self.taught.layers[0], &mut self.h.layers[0]);
        taught
    }

    /// What [`Decoding::differentiate`] found, once it is there; the gradient by the decoder's parameters goes to `decoder`.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn found(&mut self, decoder: &mut Vec<f32>) -> Result<PullValues, DeviceError> {
        self.network.unpack(self.gradient_found.values()?, decoder);
        let kept = f64::from(self.kept_counted.values()?[0].max(1));
        let slots = self.slots().max(1) as f64;
        let sums = self.found.values()?;
        let [colours, quats, scales, opacities, volumes] = std::array::from_fn(|place| f64::from(sums[place]));
        let consistency = (colours + scales) / (3.0 * kept) + quats / (4.0 * kept) + opacities / slots;
        Ok(PullValues { consistency, volume: volumes / kept })
    }

    /// Adds what the last picture saw of the anchors. `pixels` is half of its longer side.
    ///
    /// # Errors
    /// When the device fails.
    pub fn observe(
        &self,
        rasterizer: &Rasterizer,
        v: &SplatGradients,
        pixels: f32,
        to: &mut Observed,
    ) -> Result<(), DeviceError> {
        let (touched, _) = rasterizer.seen();
        let grid = Launch::linear(self.shape.count as usize, SMALL_BLOCK);
        let given = Joined((&self.h.layers[2], &self.chosen, self.shape, touched, &v.mean2d_norms, pixels));
        let sums = Joined((&mut to.seen, &mut to.opacities, &mut to.gradients, &mut to.counts));
        self.kernels.observe.launch(&self.stream, grid, (given, sums))
    }

    /// Multiplies the first `count` numbers by `factor`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn scale(&self, values: &mut Buffer<f32>, count: usize, factor: f32) -> Result<(), DeviceError> {
        self.kernels.scale.launch(&self.stream, Launch::linear(count, BLOCK), (values, count as u32, factor))
    }

    fn batch(&self) -> Batch {
        Batch { samples: self.shape.count as usize, stride: self.capacity }
    }

    fn slots(&self) -> usize {
        self.shape.count as usize * self.decoder.offsets
    }
}

const PURPOSE: &str = "anchors";
