//! Training anchors on a device: a GPU, or the emulator in tests.
//!
//! Anchors stay there with what Adam remembers of them, what growth and removal have seen, and the colour transforms of photos: all blocks of this process. A step sends a
//! photo and the decoder, and everything between them and the gradients is done there. When a block's anchors are to grow, or for
//! checkpoints and pictures, the host gets them and does what it does for the CPU.
//!
//! The decoder is learned on the host, as ranks exchange its gradient: it has few numbers, and so it has the same bits on all ranks, whatever each of them
//! trains on. A step waits for three small copies: how many anchors the view sees, how many (splat, tile) pairs that makes, and the decoder's gradient with
//! the losses.
//!
//! - `block`: a block's anchors there; `step`: one step.

mod block;
mod step;

use super::Block;
use super::config::AnchorsConfig;
use super::model::AnchorModel;
use crate::splats::appearance::Appearance;
use crate::train::{MemoryPlan, in_units};
use crate::{Error, Result};
use block::DeviceBlock;
use tessera_kernels::adam::cuda::Adam;
use tessera_kernels::anchor_decoder::cuda::{AnchorGradients, Decoding};
use tessera_kernels::device::{Buffer, Device, Pinned, Stream};
use tessera_kernels::image_loss::cuda::ImageLoss;
use tessera_kernels::splat::cuda::{Photos, Rasterizer, SplatGradients};

/// (splat, tile) pairs that are expected for each splat.
const PAIRS_EACH: usize = 4;
/// Bytes of the gradients of a splat.
const SPLAT_GRADIENT: usize = 64;

/// What a run will need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Blocks of this process, and how many anchors each may have.
    blocks: usize,
    anchors: usize,
    /// Of the largest photo.
    pixels: usize,
    /// Bytes of transforms of photos.
    appearance: usize,
    /// Bytes of what ranks gather.
    gathered: usize,
}

impl Size {
    pub fn new(blocks: &[Block], config: &AnchorsConfig) -> Self {
        let views = blocks.iter().flat_map(|block| block.frames.views());
        let photos = blocks.iter().map(|block| block.frames.len());
        Self {
            blocks: blocks.len(),
            anchors: blocks.iter().map(|block| block.model.len()).chain([config.max_anchors]).max().unwrap_or(0),
            pixels: views.map(|view| view.width * view.height).max().unwrap_or(0),
            appearance: photos.map(|photos| Appearance::device_bytes(config.appearance, photos)).sum(),
            gathered: 0,
        }
    }

    /// With so many bytes of what ranks gather from each other.
    pub fn with_gathered(self, bytes: usize) -> Self {
        Self { gathered: bytes, ..self }
    }

    /// Bytes on the device: anchors, what a step makes of those of a block, pictures.
    fn bytes(&self, config: &AnchorsConfig) -> [usize; 3] {
        let Self { blocks, anchors, pixels, appearance, .. } = *self;
        let decoder = config.decoder();
        let splats = anchors * decoder.offsets;
        // Gradients are there once, not for each block.
        let gradients = Decoding::gradient_bytes(decoder, anchors);
        let state = anchors * AnchorModel::bytes(decoder) - gradients;
        let passes = Decoding::bytes(decoder, anchors) + Rasterizer::bytes(splats, PAIRS_EACH * splats, 0);
        let step = gradients + passes + SPLAT_GRADIENT * splats;
        // The gradient of the picture, and the picture as the photo would have taken it.
        let planes = 24 * pixels + Rasterizer::bytes(0, 0, pixels) + ImageLoss::bytes(pixels) + Photos::bytes(pixels);
        [blocks * state, step, planes + appearance]
    }

    /// Refuses a run that does not fit.
    ///
    /// # Errors
    /// When the device has too little memory, or fails.
    pub fn check(&self, device: &Device, config: &AnchorsConfig) -> Result<()> {
        let needed = (self.bytes(config).iter().sum::<usize>() + self.gathered) as u64;
        let free = device.free_memory()?;
        if needed <= free {
            return Ok(());
        }
        Err(Error::Memory(format!(
            "this run needs {} of GPU memory, but {} has {} free; lower --resolution or --set max_anchors, train with more processes on more \
             GPUs, or use --device cpu",
            in_units(needed),
            device.properties().name,
            in_units(free)
        )))
    }

    /// Adds what the device will hold.
    pub fn add_to(&self, plan: MemoryPlan, config: &AnchorsConfig) -> MemoryPlan {
        let [state, step, pictures] = self.bytes(config);
        let plan = match self.gathered {
            0 => plan,
            bytes => plan.with_on_device("gradients", bytes as u64, "of all processes, without what NCCL itself takes"),
        };
        plan.with_on_device("anchors", state as u64, format!("{} in each of {} blocks", self.anchors, self.blocks))
            .with_on_device("Gaussians", step as u64, "of the block whose turn it is")
            .with_on_device("pictures", pictures as u64, format!("largest photo has {} pixels", self.pixels))
    }
}

/// Anchors that are trained with CUDA kernels.
pub(super) struct DeviceAnchors {
    device: Device,
    stream: Stream,
    decoding: Decoding,
    rasterizer: Rasterizer,
    photos: Photos,
    loss: ImageLoss,
    adam: Adam,
    of_splats: SplatGradients,
    of_anchors: AnchorGradients,
    /// `[3, H, W]`: the gradient of the picture, and the picture as the photo would have taken it.
    v_rgb: Buffer<f32>,
    taken: Buffer<f32>,
    /// Loss, L1, SSIM and mean squared difference.
    values: Buffer<f32>,
    found: Pinned<f32>,
    /// As those of the training.
    blocks: Vec<DeviceBlock>,
}

impl DeviceAnchors {
    /// Room for training these blocks, and the kernels.
    ///
    /// # Errors
    /// When the device has too little memory, or fails.
    pub fn new(device: &Device, blocks: &[Block], config: &AnchorsConfig) -> Result<Self> {
        let size = Size::new(blocks, config);
        let decoder = config.decoder();
        let stream = device.stream()?;
        let there = blocks.iter().map(|_| DeviceBlock::new(device, decoder, size.anchors));
        let mut rasterizer = Rasterizer::new(device, &stream)?;
        rasterizer.reserve(size.anchors * decoder.offsets)?;
        Ok(Self {
            decoding: Decoding::new(device, &stream, decoder, size.anchors)?,
            rasterizer,
            photos: Photos::new(device)?,
            loss: ImageLoss::new(device)?,
            adam: Adam::new(device)?,
            of_splats: SplatGradients::new(device)?,
            of_anchors: AnchorGradients::new(device, decoder, size.anchors)?,
            v_rgb: device.buffer(3 * size.pixels, PURPOSE)?,
            taken: device.buffer(if size.appearance > 0 { 3 * size.pixels } else { 0 }, PURPOSE)?,
            values: device.zeros(step::VALUES, PURPOSE)?,
            found: device.pinned(step::VALUES)?,
            blocks: there.collect::<std::result::Result<_, _>>()?,
            stream,
            device: device.clone(),
        })
    }

    /// The host's anchors of a block are others than before.
    pub fn changed(&mut self, index: usize) {
        self.blocks[index].changed();
    }

    /// Brings what the host has of a block up to date.
    ///
    /// # Errors
    /// When the device fails.
    pub fn bring_home(&mut self, index: usize, block: &mut Block) -> Result<()> {
        self.blocks[index].bring_home(&self.stream, block)
    }
}

impl std::fmt::Debug for DeviceAnchors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceAnchors").field("device", &self.device).finish_non_exhaustive()
    }
}

const PURPOSE: &str = "anchors";

#[cfg(test)]
mod tests;
