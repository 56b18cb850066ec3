//! Photos on their way to a device: 8 bits a channel, copied while the device still works on the step before.

use super::fit;
use super::kernels::PHOTO;
use crate::device::{Buffer, Device, DeviceError, Event, Kernel, Launch, Pinned, Stream};

/// Photos that can be under way at the same time.
const RING: usize = 3;

/// What black in a mask means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskMeaning {
    /// Nothing is known there: the weight is zero.
    Ignore,
    /// The object is not there: the background is.
    Foreground,
}

/// A photo on the host.
#[derive(Clone, Copy, Debug)]
pub struct PhotoBytes<'a> {
    /// `[H, W, channels]`
    pub pixels: &'a [u8],
    /// 1, 3 or 4, the last one being alpha.
    pub channels: u8,
    /// `[H, W]`, and what its black means.
    pub mask: Option<(&'a [u8], MaskMeaning)>,
    /// Behind what is transparent.
    pub background: [f32; 3],
}

/// A place in the ring.
struct Slot {
    staged: Pinned<u8>,
    bytes: Buffer<u8>,
    arrived: Event,
    /// The device has taken over what `bytes` held before.
    taken: Event,
}

/// A ring of photos and the planes of the last one that was put.
pub struct Photos {
    device: Device,
    kernel: Kernel,
    /// Copies have a stream of their own.
    copies: Stream,
    slots: Vec<Slot>,
    next: usize,
    /// `[3, H, W]`, the photo in front of the background; may be larger.
    pub rgb: Buffer<f32>,
    weight: Buffer<f32>,
    weighted: bool,
}

impl Photos {
    /// A ring with room for nothing yet.
    ///
    /// # Errors
    /// When the kernel cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        let slot = || -> Result<Slot, DeviceError> {
            Ok(Slot {
                staged: device.pinned(0)?,
                bytes: device.buffer(0, PURPOSE)?,
                arrived: device.event()?,
                taken: device.event()?,
            })
        };
        Ok(Self {
            kernel: device.kernel(&PHOTO, "unpack_photo")?,
            copies: device.stream()?,
            slots: (0..RING).map(|_| slot()).collect::<Result<_, _>>()?,
            next: 0,
            rgb: device.buffer(0, PURPOSE)?,
            weight: device.buffer(0, PURPOSE)?,
            weighted: false,
            device: device.clone(),
        })
    }

    /// Bytes on the device for photos of so many pixels.
    pub fn bytes(pixels: usize) -> usize {
        pixels * (RING * 5 + 16)
    }

    /// `[H, W]`, how much each pixel counts; `None` when all count fully.
    pub fn weight(&self) -> Option<&Buffer<f32>> {
        self.weighted.then_some(&self.weight)
    }

    /// Sends a photo to the device and unpacks it there, in the order of `stream` and without waiting for it: copies run
    /// while the device works on what came before, and only when the ring is full does this wait.
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// When the mask has another size than the photo.
    pub fn put(&mut self, stream: &Stream, photo: &PhotoBytes<'_>) -> Result<(), DeviceError> {
        let pixels = photo.pixels.len() / usize::from(photo.channels.max(1));
        let mask = photo.mask.map_or(&[][..], |(mask, _)| mask);
        assert!(mask.is_empty() || mask.len() == pixels, "the mask has another size than the photo");
        let slot = &mut self.slots[self.next];
        self.next = (self.next + 1) % RING;
        let len = photo.pixels.len() + mask.len();
        if slot.bytes.len() < len {
            slot.staged = self.device.pinned(len)?;
            slot.bytes = self.device.buffer(len, PURPOSE)?;
        }
        let staged = slot.staged.values()?;
        staged[..photo.pixels.len()].copy_from_slice(photo.pixels);
        staged[photo.pixels.len()..len].copy_from_slice(mask);
        self.copies.wait_for(&slot.taken)?;
        slot.bytes.write_from(&mut slot.staged, &self.copies)?;
        slot.arrived.record(&self.copies)?;
        stream.wait_for(&slot.arrived)?;

        fit(&self.device, &mut self.rgb, 3 * pixels)?;
        self.weighted = matches!(photo.mask, Some((_, MaskMeaning::Ignore)));
        if self.weighted {
            fit(&self.device, &mut self.weight, pixels)?;
        }
        let kind = match photo.mask {
            None => 0,
            Some((_, MaskMeaning::Ignore)) => 1,
            Some((_, MaskMeaning::Foreground)) => 2,
        };
        let [red, green, blue] = photo.background;
        let channels = i32::from(photo.channels);
        let mask = slot.bytes.at(photo.pixels.len());
        let arguments =
            (&slot.bytes, channels, mask, kind, red, green, blue, pixels as u32, &mut self.rgb, &mut self.weight);
        self.kernel.launch(stream, Launch::linear(pixels, 256), arguments)?;
        slot.taken.record(stream)
    }
}

const PURPOSE: &str = "photos";
