//! The anchors of a block on a device, with all that steps change of them.

use super::super::Block;
use super::super::config::Rates;
use super::super::model::Tensor;
use super::PURPOSE;
use crate::Result;
use crate::on_device::{Latest, OnDevice};
use tessera_kernels::adam::AdamSettings;
use tessera_kernels::adam::cuda::{Adam, AdamUpdate, Moments};
use tessera_kernels::anchor_decoder::AnchorDecoder;
use tessera_kernels::anchor_decoder::cuda::{AnchorGradients, Anchors, Observed};
use tessera_kernels::colour_grid::cuda::ColourGrids;
use tessera_kernels::device::{Buffer, Device, Stream};

/// Numbers that are learned, with room for more rows than there are; those are zero, and stay so.
struct Learned {
    values: Buffer<f32>,
    moments: Moments,
}

impl Learned {
    fn new(device: &Device, len: usize) -> OnDevice<Self> {
        Ok(Self { values: device.zeros(len, PURPOSE)?, moments: Moments::zeros(device, len)? })
    }

    fn planes(&mut self) -> [&mut Buffer<f32>; 3] {
        [&mut self.values, &mut self.moments.first, &mut self.moments.second]
    }

    fn write(&mut self, stream: &Stream, tensor: &Tensor) -> OnDevice<()> {
        let host = [&tensor.values, &tensor.moments.first, &tensor.moments.second];
        self.planes().into_iter().zip(host).try_for_each(|(plane, host)| replace(plane, host, stream))
    }

    fn read(&mut self, stream: &Stream, tensor: &mut Tensor) -> OnDevice<()> {
        let len = tensor.values.len();
        let host = [&mut tensor.values, &mut tensor.moments.first, &mut tensor.moments.second];
        for (plane, host) in self.planes().into_iter().zip(host) {
            *host = plane.read_part(0, len, stream)?;
        }
        Ok(())
    }
}

/// Writes `values`, and zeros behind them.
fn replace(buffer: &mut Buffer<f32>, values: &[f32], stream: &Stream) -> OnDevice<()> {
    buffer.clear(stream)?;
    buffer.write(0, values, stream)
}

/// A block on a device.
pub(super) struct DeviceBlock {
    device: Device,
    len: usize,
    positions: Buffer<f32>,
    offsets: Learned,
    log_scaling: Learned,
    features: Learned,
    pub observed: Observed,
    /// The colour transforms of its photos, if there are any.
    pub transforms: Option<ColourGrids>,
    latest: Latest,
}

impl DeviceBlock {
    /// Room for so many anchors.
    pub fn new(device: &Device, decoder: AnchorDecoder, anchors: usize) -> OnDevice<Self> {
        let (k, floats) = (decoder.offsets, |columns: usize| device.zeros::<f32>(columns * anchors, PURPOSE));
        Ok(Self {
            len: 0,
            positions: floats(3)?,
            offsets: Learned::new(device, 3 * k * anchors)?,
            log_scaling: Learned::new(device, 6 * anchors)?,
            features: Learned::new(device, decoder.features * anchors)?,
            observed: Observed { gradients: floats(k)?, counts: floats(k)?, opacities: floats(1)?, seen: floats(1)? },
            transforms: None,
            latest: Latest::Host,
            device: device.clone(),
        })
    }

    /// As kernels take them.
    pub fn anchors(&self) -> Anchors<'_> {
        Anchors {
            len: self.len,
            positions: &self.positions,
            offsets: &self.offsets.values,
            log_scaling: &self.log_scaling.values,
            features: &self.features.values,
        }
    }

    /// The host's are others than before.
    pub fn changed(&mut self) {
        self.latest = Latest::Host;
    }

    /// The device's are others than before.
    pub fn is_learned(&mut self) {
        self.latest = Latest::Device;
    }

    /// Takes over what the host has, if that is the latest.
    pub fn take_over(&mut self, stream: &Stream, block: &Block) -> OnDevice<()> {
        if self.latest != Latest::Host {
            return Ok(());
        }
        let Block { model, statistics, appearance, .. } = block;
        self.len = model.len();
        replace(&mut self.positions, &model.positions, stream)?;
        self.offsets.write(stream, &model.offsets)?;
        self.log_scaling.write(stream, &model.log_scaling)?;
        self.features.write(stream, &model.features)?;
        for (there, here) in self.observed().into_iter().zip(statistics.fields()) {
            replace(there, here, stream)?;
        }
        self.transforms = match appearance {
            Some(appearance) => Some(appearance.on_device(&self.device, stream)?),
            None => None,
        };
        self.latest = Latest::Both;
        Ok(())
    }

    /// Brings what the host has up to date.
    pub fn bring_home(&mut self, stream: &Stream, block: &mut Block) -> Result<()> {
        if self.latest != Latest::Device {
            return Ok(());
        }
        let Block { model, statistics, appearance, .. } = block;
        self.offsets.read(stream, &mut model.offsets)?;
        self.log_scaling.read(stream, &mut model.log_scaling)?;
        self.features.read(stream, &mut model.features)?;
        for (there, here) in self.observed().into_iter().zip(statistics.fields_mut()) {
            *here = there.read_part(0, here.len(), stream)?;
        }
        if let (Some(on_host), Some(transforms)) = (appearance, &self.transforms) {
            let _restored = on_host.restore(&transforms.state()?);
        }
        self.latest = Latest::Both;
        Ok(())
    }

    /// In the order of the host's fields.
    fn observed(&mut self) -> [&mut Buffer<f32>; 4] {
        let Observed { gradients, counts, opacities, seen } = &mut self.observed;
        [gradients, counts, opacities, seen]
    }

    /// One step of Adam, counted from 1.
    pub fn descend(
        &mut self,
        stream: &Stream,
        adam: &Adam,
        gradients: &AnchorGradients,
        rates: &Rates,
        step: u64,
    ) -> OnDevice<()> {
        for (learned, gradient, rate) in [
            (&mut self.offsets, &gradients.offsets, rates.offsets),
            (&mut self.log_scaling, &gradients.log_scaling, rates.scaling),
            (&mut self.features, &gradients.features, rates.features),
        ] {
            let update = AdamUpdate::new(&AdamSettings::default(), rate, step);
            adam.step_rows(stream, &mut learned.values, gradient, &mut learned.moments, update, None)?;
        }
        self.latest = Latest::Device;
        Ok(())
    }
}
