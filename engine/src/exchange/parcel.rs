//! Numbers as bytes, little-endian, and back.

use super::sum::Part;
use crate::{Error, Result};

/// Collects numbers.
#[derive(Debug, Default)]
pub struct Parcel(Vec<u8>);

impl Parcel {
    /// Adds a whole number.
    pub fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    /// Adds a number with all its bits.
    pub fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    /// Adds many numbers.
    pub fn f32s(&mut self, values: &[f32]) {
        self.u64(values.len() as u64);
        self.0.extend_from_slice(bytemuck::cast_slice(values));
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Adds bytes, whatever they mean.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Adds part of a sum.
    pub fn part(&mut self, part: &Part) {
        self.u64(u64::from(part.level));
        self.u64(part.index as u64);
        self.f32s(&part.values);
    }

    /// All that was added.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes numbers out again.
#[derive(Debug)]
pub struct Contents<'a>(&'a [u8]);

impl<'a> Contents<'a> {
    /// Of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let short =
            || Error::Ranks("a message of another rank is too short; use the same version everywhere".to_owned());
        let (taken, left) = self.0.split_at_checked(count).ok_or_else(short)?;
        self.0 = left;
        Ok(taken)
    }

    /// The next whole number.
    ///
    /// # Errors
    /// When there is none, as with all others.
    pub fn u64(&mut self) -> Result<u64> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(std::array::from_fn(|i| bytes[i])))
    }

    /// The next number.
    ///
    /// # Errors
    /// As [`Contents::u64`].
    pub fn f64(&mut self) -> Result<f64> {
        self.u64().map(f64::from_bits)
    }

    /// Many numbers.
    ///
    /// # Errors
    /// As [`Contents::u64`].
    pub fn f32s(&mut self) -> Result<Vec<f32>> {
        let count = self.u64()? as usize;
        let bytes = self.take(count.saturating_mul(4))?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// A text.
    ///
    /// # Errors
    /// As [`Contents::u64`].
    pub fn text(&mut self) -> Result<String> {
        self.bytes().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Bytes, whatever they mean.
    ///
    /// # Errors
    /// As [`Contents::u64`].
    pub fn bytes(&mut self) -> Result<Vec<u8>> {
        let count = self.u64()? as usize;
        self.take(count).map(<[u8]>::to_vec)
    }

    /// Part of a sum.
    ///
    /// # Errors
    /// As [`Contents::u64`].
    pub fn part(&mut self) -> Result<Part> {
        Ok(Part { level: self.u64()? as u32, index: self.u64()? as usize, values: self.f32s()? })
    }
}
