//! The same steps on a device: `adam.cu`, `listed.cu`, `pairs.cu`.

use super::sparse::{CORRECTED, SparseMoments, corrections};
use super::{AdamSettings, Update};
use crate::device::{Buffer, Device, DeviceError, Joined, Kernel, Launch, Source, Stream};
use crate::device_struct;
use bytemuck::{Pod, Zeroable};

/// `adam.cu`
pub static ADAM: Source = Source::new("adam/adam.cu", include_str!("adam.cu"));
/// `listed.cu`
pub static LISTED: Source = Source::new("adam/listed.cu", include_str!("listed.cu"));
/// `pairs.cu`
pub static PAIRS: Source = Source::new("adam/pairs.cu", include_str!("pairs.cu"));

/// The constants of one step, as `adam.cuh` has them.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct AdamUpdate {
    /// β1.
    pub beta1: f32,
    /// β2.
    pub beta2: f32,
    /// ε.
    pub epsilon: f32,
    /// Learning rate / (1 - β1^t).
    pub rate: f32,
    /// 1 / sqrt(1 - β2^t).
    pub root_correction: f32,
}
device_struct!(AdamUpdate);

impl AdamUpdate {
    /// Those of step number `step`, counted from 1.
    pub fn new(settings: &AdamSettings, learning_rate: f32, step: u64) -> Self {
        let Update { beta1, beta2, epsilon, rate, root_correction } = Update::new(settings, learning_rate, step);
        Self { beta1, beta2, epsilon, rate, root_correction }
    }
}

/// [`super::Moments`] on a device.
pub struct Moments {
    /// `m`, the running mean of gradients.
    pub first: Buffer<f32>,
    /// `v`, the running mean of squared gradients.
    pub second: Buffer<f32>,
}

impl Moments {
    /// Zeros for a tensor of `len` elements.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn zeros(device: &Device, len: usize) -> Result<Self, DeviceError> {
        Ok(Self { first: device.zeros(len, "Adam's moments")?, second: device.zeros(len, "Adam's moments")? })
    }
}

/// Adam on a device.
pub struct Adam {
    kernel: Kernel,
}

impl Adam {
    /// Prepares the kernel.
    ///
    /// # Errors
    /// When it cannot be compiled.
    pub fn new(device: &Device) -> Result<Self, DeviceError> {
        Ok(Self { kernel: device.kernel(&ADAM, "adam_step")? })
    }

    /// As [`super::step_rows`].
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// If the tensors differ in size, or are not whole rows.
    pub fn step_rows(
        &self,
        stream: &Stream,
        params: &mut Buffer<f32>,
        gradient: &Buffer<f32>,
        moments: &mut Moments,
        update: AdamUpdate,
        row_factors: Option<&Buffer<f32>>,
    ) -> Result<(), DeviceError> {
        let len = params.len();
        assert_eq!(gradient.len(), len, "the gradient has another size than the parameters");
        assert_eq!(moments.first.len(), len, "the first moments have another size than the parameters");
        assert_eq!(moments.second.len(), len, "the second moments have another size than the parameters");
        let columns = row_factors.map_or(1, |f| (len / f.len().max(1)).max(1));
        assert!(row_factors.is_none_or(|f| f.len() * columns == len), "the parameters are not one row for each factor");
        let (columns, count) = (columns as u32, len as u64);
        let arguments =
            (params, gradient, &mut moments.first, &mut moments.second, row_factors, columns, count, update);
        self.kernel.launch(stream, Launch::linear(len.div_ceil(4), 256), arguments)
    }
}

/// Adam for listed rows of tensors, each of which counts its own steps, on a device.
pub struct ListedAdam {
    kernel: Kernel,
    settings: AdamSettings,
    /// `[2, CORRECTED]`
    corrections: Buffer<f32>,
}

/// The rows that a step changes.
#[derive(Clone, Copy)]
pub struct Listed<'a> {
    /// `[M]`, which rows.
    pub rows: &'a Buffer<u32>,
    /// `[M]`, how many steps each has taken, this one included; 0 leaves it as it is.
    pub steps: &'a Buffer<u32>,
    /// `M`.
    pub count: usize,
}

impl ListedAdam {
    /// Prepares the kernel.
    ///
    /// # Errors
    /// When it cannot be compiled, or there is not enough memory.
    pub fn new(device: &Device, settings: AdamSettings) -> Result<Self, DeviceError> {
        Ok(Self { kernel: device.kernel(&LISTED, "step_listed")?, settings, corrections: uploaded(device, &settings)? })
    }

    /// As [`super::step_listed`], and no value becomes less than `lowest`. Buffers may be larger than needed.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// If the gradient is shorter than the list.
    pub fn step(
        &self,
        stream: &Stream,
        (params, moments, columns): (&mut Buffer<f32>, &mut Moments, usize),
        listed: Listed<'_>,
        gradient: &Buffer<f32>,
        rate: f32,
        lowest: f32,
    ) -> Result<(), DeviceError> {
        let Listed { rows, steps, count } = listed;
        assert!(gradient.len() >= count * columns, "one gradient for each listed row");
        let AdamSettings { beta1, beta2, epsilon } = self.settings;
        let tensor = Joined((params, &mut moments.first, &mut moments.second, columns as u32));
        let constants = Joined((&self.corrections, CORRECTED as u32, beta1, beta2, epsilon, rate, lowest));
        let arguments = (tensor, rows, steps, count as u32, gradient, constants);
        self.kernel.launch(stream, Launch::linear(count * columns, 256), arguments)
    }
}

/// Adam for the rows of tensors `[rows, 2]` that have a gradient, each of which counts its own steps, on a device.
pub struct PairsAdam {
    kernel: Kernel,
    settings: AdamSettings,
    /// `[2, CORRECTED]`
    corrections: Buffer<f32>,
}

/// [`SparseMoments`] of a tensor `[rows, 2]` on a device.
pub struct PairMoments {
    first: Buffer<f32>,
    second: Buffer<f32>,
    steps: Buffer<u32>,
}

impl PairMoments {
    /// Zeros for so many rows.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn zeros(device: &Device, rows: usize) -> Result<Self, DeviceError> {
        let pairs = || device.zeros(2 * rows, "Adam's moments");
        Ok(Self { first: pairs()?, second: pairs()?, steps: device.zeros(rows, "Adam's moments")? })
    }

    /// Bytes for so many rows.
    pub fn bytes(rows: usize) -> usize {
        20 * rows
    }

    /// Takes over `moments`, and waits until that is done.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When they have more rows.
    pub fn write(&mut self, moments: &SparseMoments, stream: &Stream) -> Result<(), DeviceError> {
        self.first.write(0, &moments.first, stream)?;
        self.second.write(0, &moments.second, stream)?;
        self.steps.write(0, &moments.steps, stream)
    }

    /// As the CPU has them.
    ///
    /// # Errors
    /// When the device fails.
    pub fn read(&self, stream: &Stream) -> Result<SparseMoments, DeviceError> {
        let (first, second) = (self.first.read(stream)?, self.second.read(stream)?);
        Ok(SparseMoments { first, second, steps: self.steps.read(stream)? })
    }
}

impl PairsAdam {
    /// Prepares the kernel.
    ///
    /// # Errors
    /// When it cannot be compiled, or there is not enough memory.
    pub fn new(device: &Device, settings: AdamSettings) -> Result<Self, DeviceError> {
        Ok(Self { kernel: device.kernel(&PAIRS, "step_pairs")?, settings, corrections: uploaded(device, &settings)? })
    }

    /// As [`super::step_pairs`], but the gradient is not changed.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// If the tensors differ in size.
    pub fn step(
        &self,
        stream: &Stream,
        params: &mut Buffer<f32>,
        gradient: &Buffer<f32>,
        moments: &mut PairMoments,
        rate: f32,
    ) -> Result<(), DeviceError> {
        let rows = moments.steps.len();
        assert!([params.len(), gradient.len(), moments.first.len()] == [2 * rows; 3], "tensors of {rows} rows");
        let AdamSettings { beta1, beta2, epsilon } = self.settings;
        let tensor = Joined((params, &mut moments.first, &mut moments.second, &mut moments.steps, gradient));
        let constants = Joined((&self.corrections, CORRECTED as u32, beta1, beta2, epsilon, rate));
        self.kernel.launch(stream, Launch::linear(rows, 256), (tensor, rows as u32, constants))
    }
}

/// What moments are corrected with by the number of steps, `[2, CORRECTED]`.
fn uploaded(device: &Device, settings: &AdamSettings) -> Result<Buffer<f32>, DeviceError> {
    let pairs = corrections(settings, 1.0);
    let [first, second] = [0, 1].map(|which| pairs.iter().map(move |pair| pair[which]));
    device.upload(&first.chain(second).collect::<Vec<f32>>(), "Adam's corrections")
}
