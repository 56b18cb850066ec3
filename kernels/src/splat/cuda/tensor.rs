//! A tensor that is trained on a device, with Adam's moments in one of the ways in which they are kept.

use super::data::Harmonics;
use crate::adam::packed::StoredMoments;
use crate::adam::{Moments, packed};
use crate::device::{At, AtMut, Buffer, Device, DeviceError, Element, Stream};
use half::f16;

/// How much room a splat's training state has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats everywhere.
    #[default]
    Full,
    /// [`crate::adam::packed`]: moments in codes, harmonics above degree 0 as 16-bit floats.
    Compact,
}

impl Precision {
    /// Bytes of a splat's parameters with Adam's moments, with `rest` coefficients above degree 0.
    pub fn bytes(self, rest: usize) -> usize {
        match self {
            Self::Full => 12 * (14 + rest),
            Self::Compact => 8 * 14 + 4 * rest,
        }
    }
}

/// A tensor on the host, `[N, columns]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostTensor {
    /// The parameters.
    pub values: Vec<f32>,
    /// Adam's moments.
    pub moments: StoredMoments,
}

/// One tensor `[N, columns]` with Adam's moments.
pub(super) struct Tensor {
    pub columns: usize,
    /// Empty when values are in words with their moments.
    pub values: Buffer<f32>,
    pub moments: DeviceMoments,
}

/// Adam's moments of a tensor on a device.
pub(super) enum DeviceMoments {
    /// First and second.
    Full([Buffer<f32>; 2]),
    /// Codes of 32 bits.
    Wide(Buffer<u32>),
    /// Words: the value as a 16-bit float in the lower half, the code of 16 bits in the upper one.
    Words(Buffer<u32>),
}

/// Bits of a word that are the value.
const VALUE_BITS: u32 = 0xffff;

impl Tensor {
    /// Zeros for `rows` rows.
    pub fn zeros(device: &Device, columns: usize, rows: usize, kind: Kind) -> Result<Self, DeviceError> {
        let len = columns * rows;
        let floats = |len: usize, purpose: &str| device.zeros::<f32>(len, purpose);
        let moments = match kind {
            Kind::Full => DeviceMoments::Full([floats(len, MOMENTS)?, floats(len, MOMENTS)?]),
            Kind::Wide => DeviceMoments::Wide(device.zeros(len, MOMENTS)?),
            Kind::Words => DeviceMoments::Words(device.zeros(len, "packed parameters")?),
        };
        let in_words = matches!(moments, DeviceMoments::Words(_));
        Ok(Self { columns, values: floats(if in_words { 0 } else { len }, "parameters")?, moments })
    }

    /// As harmonics for the rasteriser.
    pub fn harmonics(&self) -> Harmonics<'_> {
        match &self.moments {
            DeviceMoments::Words(words) => Harmonics::Words(words),
            _ => Harmonics::Floats(&self.values),
        }
    }

    /// Everything that moves with a row, as words.
    pub fn planes(&mut self) -> impl Iterator<Item = &mut dyn Words> {
        let values: &mut dyn Words = &mut self.values;
        let [first, second]: [Option<&mut dyn Words>; 2] = match &mut self.moments {
            DeviceMoments::Full([first, second]) => [Some(first), Some(second)],
            DeviceMoments::Wide(codes) | DeviceMoments::Words(codes) => [Some(codes), None],
        };
        [Some(values), first, second].into_iter().flatten().filter(|plane| plane.is_there())
    }

    /// The plane that has the values.
    pub fn value_plane(&mut self) -> &mut dyn Words {
        match &mut self.moments {
            DeviceMoments::Words(words) => words,
            _ => &mut self.values,
        }
    }

    /// The planes that have moments, and the bits of theirs that are none.
    pub fn moment_planes(&mut self) -> impl Iterator<Item = (&mut dyn Words, u32)> {
        let [first, second]: [Option<(&mut dyn Words, u32)>; 2] = match &mut self.moments {
            DeviceMoments::Full([first, second]) => [Some((first, 0)), Some((second, 0))],
            DeviceMoments::Wide(codes) => [Some((codes, 0)), None],
            DeviceMoments::Words(words) => [Some((words, VALUE_BITS)), None],
        };
        [first, second].into_iter().flatten()
    }

    /// Takes over `values` and `moments` of the host; moments that are kept in another way are converted.
    pub fn write(&mut self, values: &[f32], moments: &StoredMoments, stream: &Stream) -> Result<(), DeviceError> {
        assert_eq!(values.len(), moments.len(), "a tensor has another size than its moments");
        match (&mut self.moments, moments) {
            (DeviceMoments::Full([first, second]), StoredMoments::Full(host)) => {
                first.write(0, &host.first, stream)?;
                second.write(0, &host.second, stream)?;
            }
            (DeviceMoments::Wide(codes), StoredMoments::Wide(host)) => codes.write(0, host, stream)?,
            (DeviceMoments::Words(words), StoredMoments::Narrow(host)) => {
                words.write(0, &join(values, host), stream)?;
                return Ok(());
            }
            (kept, host) => {
                let like = match kept {
                    DeviceMoments::Full(_) => StoredMoments::Full(Moments::default()),
                    DeviceMoments::Wide(_) => StoredMoments::Wide(Vec::new()),
                    DeviceMoments::Words(_) => StoredMoments::Narrow(Vec::new()),
                };
                return self.write(values, &host.clone().converted(&like), stream);
            }
        }
        self.values.write(0, values, stream)
    }

    /// The first `rows` rows.
    pub fn read(&self, rows: usize, stream: &Stream) -> Result<HostTensor, DeviceError> {
        let len = self.columns * rows;
        let moments = match &self.moments {
            DeviceMoments::Full([first, second]) => StoredMoments::Full(Moments {
                first: first.read_part(0, len, stream)?,
                second: second.read_part(0, len, stream)?,
            }),
            DeviceMoments::Wide(codes) => StoredMoments::Wide(codes.read_part(0, len, stream)?),
            DeviceMoments::Words(words) => {
                let (values, codes) = words.read_part(0, len, stream)?.into_iter().map(split).unzip();
                return Ok(HostTensor { values, moments: StoredMoments::Narrow(codes) });
            }
        };
        Ok(HostTensor { values: self.values.read_part(0, len, stream)?, moments })
    }
}

/// How a tensor is kept.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Full,
    Wide,
    Words,
}

/// Values, which are those of 16-bit floats or become so, with their codes.
fn join(values: &[f32], codes: &[u16]) -> Vec<u32> {
    values.iter().zip(codes).map(|(&value, &code)| word(value, code)).collect()
}

pub(super) fn word(value: f32, code: u16) -> u32 {
    u32::from(f16::from_f32(packed::nearest_half(value)).to_bits()) | u32::from(code) << 16
}

pub(super) fn split(word: u32) -> (f32, u16) {
    (f16::from_bits(word as u16).to_f32(), (word >> 16) as u16)
}

/// A buffer of 32-bit numbers for kernels that move them without looking at them.
pub(super) trait Words {
    fn is_there(&self) -> bool;
    fn words(&self) -> At<'_, u32>;
    fn words_mut(&mut self) -> AtMut<'_, u32>;
}

impl<T: Element> Words for Buffer<T> {
    fn is_there(&self) -> bool {
        !self.is_empty()
    }

    fn words(&self) -> At<'_, u32> {
        Self::words(self)
    }

    fn words_mut(&mut self) -> AtMut<'_, u32> {
        Self::words_mut(self)
    }
}

const MOMENTS: &str = "Adam's moments";
