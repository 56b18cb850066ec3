//! What training on a device does with a photo, whatever it trains: send it, draw its view, compare, and say later what was
//! found. Nothing comes back within a step: findings are fetched every [`RING`] steps without waiting.

use crate::Result;
use crate::frames::TrainingFrame;
use tessera_datasets::capture::MaskKind;
use tessera_kernels::camera_projection::View;
use tessera_kernels::device::{Buffer, Device, DeviceError, Element, Pinned, Stream};
use tessera_kernels::image_loss::cuda::{ImageLoss, ImagePair, Outputs, loss_values};
use tessera_kernels::image_loss::{LossSettings, LossValues};
use tessera_kernels::splat::RenderSettings;
use tessera_kernels::splat::cuda::{MaskMeaning, PhotoBytes, Photos, Primitives, Rasterizer, RenderingGradient};

/// Steps whose findings are fetched together.
const RING: usize = 16;

/// The photo of a step, what a rendering is like compared with it, and what the last steps found.
pub(crate) struct Comparison {
    device: Device,
    stream: Stream,
    settings: LossSettings,
    photos: Photos,
    loss: ImageLoss,
    /// ∂L/∂ of the picture that was compared, `[3, H, W]`.
    pub v_rgb: Buffer<f32>,
    /// `[H, W]`
    errors: Buffer<f32>,
    findings: Findings,
    /// Pixels of the largest picture so far, and how many steps there were since.
    most_pixels: usize,
    steps_at_size: usize,
}

impl Comparison {
    pub fn new(device: &Device, stream: &Stream, settings: LossSettings) -> Result<Self> {
        Ok(Self {
            photos: Photos::new(device)?,
            loss: ImageLoss::new(device)?,
            v_rgb: device.buffer(0, PURPOSE)?,
            errors: device.buffer(0, PURPOSE)?,
            findings: Findings::new(device)?,
            most_pixels: 0,
            steps_at_size: 0,
            settings,
            device: device.clone(),
            stream: stream.clone(),
        })
    }

    /// The photo with its mask goes to the device.
    pub fn send(&mut self, frame: &TrainingFrame, background: [f32; 3]) -> Result<()> {
        Ok(self.photos.put(&self.stream, &photo_of(frame, background))?)
    }

    /// Draws a view.
    pub fn draw<'a>(
        &mut self,
        rasterizer: &mut Rasterizer,
        primitives: impl Into<Primitives<'a>>,
        view: &View,
        settings: &RenderSettings,
    ) -> Result<()> {
        let pixels = view.width * view.height;
        if pixels > self.most_pixels {
            (self.most_pixels, self.steps_at_size) = (pixels, 0);
        }
        // At first it is not known how many pairs there are at this size; later a look now and then is enough.
        self.steps_at_size += 1;
        if self.steps_at_size <= RING {
            rasterizer.render(primitives, view, settings)?;
        } else {
            rasterizer.forward(primitives, view, settings)?;
        }
        Ok(())
    }

    /// What is drawn next may be very different from what was.
    pub fn look_anew(&mut self) {
        self.steps_at_size = 0;
    }

    /// Pixels of the largest picture so far.
    pub fn most_pixels(&self) -> usize {
        self.most_pixels
    }

    /// Compares a picture `[3, H, W]` with the photo.
    pub fn compare(&mut self, image: &Buffer<f32>, width: usize, height: usize) -> Result<()> {
        let pixels = width * height;
        fit(&self.device, &mut self.v_rgb, 3 * pixels)?;
        fit(&self.device, &mut self.errors, pixels)?;
        let pair = ImagePair { image, target: &self.photos.rgb, weight: self.photos.weight(), width, height };
        let outputs = Outputs { gradient: Some(&mut self.v_rgb), errors: Some(&mut self.errors), ..Outputs::default() };
        let values = self.findings.values.at_mut(4 * (self.findings.steps % RING));
        Ok(self.loss.compare(&self.stream, &pair, &self.settings, outputs, values)?)
    }

    /// What the last comparison says of the picture, as its gradient.
    pub fn gradient(&self) -> RenderingGradient<'_> {
        RenderingGradient { rgb: &self.v_rgb, alpha: None, depth: None, score: Some(&self.errors) }
    }

    /// What the last comparison found, or an earlier one unless `now` is set; also makes room for (splat, tile) pairs when it
    /// runs short. To be called once in every step, at its end.
    pub fn values(&mut self, rasterizer: &mut Rasterizer, now: bool) -> Result<LossValues> {
        let place = self.findings.steps % RING;
        rasterizer.copy_wanted_instances(&mut self.findings.wanted, place)?;
        self.findings.steps += 1;
        if now {
            let values = self.findings.values.read_part(4 * place, 4, &self.stream)?;
            self.findings.latest = loss_values(&values, &self.settings);
        } else if place == RING - 1 {
            self.take_fetched(rasterizer)?;
            let Findings { values, wanted, fetched_values, fetched_wanted, under_way, .. } = &mut self.findings;
            values.read_into(fetched_values, &self.stream)?;
            wanted.read_into(fetched_wanted, &self.stream)?;
            *under_way = true;
        }
        Ok(self.findings.latest)
    }

    /// Looks at what was fetched: values, and whether room for (splat, tile) pairs runs short.
    fn take_fetched(&mut self, rasterizer: &mut Rasterizer) -> Result<()> {
        if !std::mem::take(&mut self.findings.under_way) {
            return Ok(());
        }
        let last = &self.findings.fetched_values.values()?[4 * (RING - 1)..];
        self.findings.latest = loss_values(last, &self.settings);
        let wanted = self.findings.fetched_wanted.values()?.iter().copied().max().unwrap_or(0) as usize;
        let room = rasterizer.instance_capacity();
        if wanted > room {
            tracing::debug!(wanted, room, "steps without room for all pairs were left out");
        }
        // A little before it is too late.
        if wanted > room - room / 10 {
            rasterizer.make_room(wanted)?;
        }
        Ok(())
    }
}

/// A photo with its mask as it is sent to the device.
pub(crate) fn photo_of(frame: &TrainingFrame, background: [f32; 3]) -> PhotoBytes<'_> {
    let TrainingFrame { pixels, mask_kind, .. } = frame;
    let mask = pixels.mask.as_ref().zip(*mask_kind).map(|(mask, kind)| {
        let meaning = match kind {
            MaskKind::Ignore => MaskMeaning::Ignore,
            MaskKind::Foreground => MaskMeaning::Foreground,
        };
        (mask.data.as_slice(), meaning)
    });
    let image = &pixels.image;
    PhotoBytes { pixels: &image.data, channels: image.channels, mask, background }
}

/// What the last [`RING`] steps found, on the device, and what is known of it.
struct Findings {
    values: Buffer<f32>,
    wanted: Buffer<u32>,
    fetched_values: Pinned<f32>,
    fetched_wanted: Pinned<u32>,
    under_way: bool,
    steps: usize,
    latest: LossValues,
}

impl Findings {
    fn new(device: &Device) -> std::result::Result<Self, DeviceError> {
        Ok(Self {
            values: device.zeros(4 * RING, PURPOSE)?,
            wanted: device.zeros(RING, PURPOSE)?,
            fetched_values: device.pinned(4 * RING)?,
            fetched_wanted: device.pinned(RING)?,
            under_way: false,
            steps: 0,
            latest: LossValues { loss: 0.0, l1: 0.0, ssim: None, mse: 1.0 },
        })
    }
}

/// Makes a buffer as large as needed; what is in it is lost.
pub(crate) fn fit<T: Element>(device: &Device, buffer: &mut Buffer<T>, len: usize) -> Result<()> {
    if buffer.len() < len {
        *buffer = device.buffer(len, PURPOSE)?;
    }
    Ok(())
}

const PURPOSE: &str = "training";
