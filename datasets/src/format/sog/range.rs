//! Ranges: 256 even steps from the least to the largest number of each channel, as version 1 stores numbers.

use serde_json::{Value, json};

/// The least and the largest number of each of N channels.
pub(super) struct Ranges<const N: usize> {
    mins: [f32; N],
    maxs: [f32; N],
}

impl<const N: usize> Ranges<N> {
    /// Of at least one row of finite numbers.
    pub(super) fn of(rows: impl Iterator<Item = [f32; N]>) -> Self {
        let nothing = Self { mins: [f32::INFINITY; N], maxs: [f32::NEG_INFINITY; N] };
        rows.fold(nothing, |Self { mins, maxs }, row| Self {
            mins: std::array::from_fn(|i| mins[i].min(row[i])),
            maxs: std::array::from_fn(|i| maxs[i].max(row[i])),
        })
    }

    /// The bytes of a row.
    pub(super) fn codes(&self, row: [f32; N]) -> [u8; N] {
        std::array::from_fn(|i| {
            let width = f64::from(self.maxs[i]) - f64::from(self.mins[i]);
            let place = f64::from(row[i]) - f64::from(self.mins[i]);
            if width > 0.0 { (place / width * 255.0).round() as u8 } else { 0 }
        })
    }

    /// What `meta.json` says; a single number when there is one channel.
    pub(super) fn describe(&self) -> [Value; 2] {
        [self.mins, self.maxs].map(|ends| if let [end] = ends[..] { json!(end) } else { json!(ends.as_slice()) })
    }
}
