//! Rows of harmonics on their way between the host and a device: gathered on the host, copied in one piece, and put back.

use super::super::tensor::{DeviceMoments, Precision, Tensor, split, word};
use crate::adam::packed::StoredMoments;
use crate::device::{Buffer, Device, DeviceError, Pinned, Stream};
use rayon::prelude::*;

/// Rows of the host that one task looks at.
const PART: usize = 4096;

/// Harmonics above degree 0 of all splats with Adam's moments, in the host's memory, `[N, columns]`.
pub struct FarRows<'a> {
    /// The coefficients.
    pub values: &'a mut [f32],
    /// Their moments.
    pub moments: &'a mut StoredMoments,
    /// Numbers in a row.
    pub columns: usize,
}

impl FarRows<'_> {
    /// Places get the values of their parents; the optimiser forgets both.
    pub(super) fn split(&mut self, parents: &[u32], places: &[u32]) {
        let columns = self.columns;
        let part = |row: u32| row as usize * columns..(row as usize + 1) * columns;
        for (&parent, &place) in parents.iter().zip(places) {
            self.values.copy_within(part(parent), place as usize * columns);
            for row in [parent, place] {
                match self.moments {
                    StoredMoments::Full(moments) => {
                        moments.first[part(row)].fill(0.0);
                        moments.second[part(row)].fill(0.0);
                    }
                    StoredMoments::Wide(codes) => codes[part(row)].fill(0),
                    StoredMoments::Narrow(codes) => codes[part(row)].fill(0),
                }
            }
        }
    }
}

/// Memory of the host that the device copies by itself.
pub(super) struct Staging {
    columns: usize,
    rows: Rows,
    taken: Pinned<u32>,
}

/// Room for rows, as the device keeps them.
enum Rows {
    /// Values and two moments.
    Full([Pinned<f32>; 3]),
    /// Words.
    Words(Pinned<u32>),
}

impl Staging {
    pub fn new(device: &Device, columns: usize, precision: Precision) -> Result<Self, DeviceError> {
        let rows = match precision {
            Precision::Full => Rows::Full([device.pinned(0)?, device.pinned(0)?, device.pinned(0)?]),
            Precision::Compact => Rows::Words(device.pinned(0)?),
        };
        Ok(Self { columns, rows, taken: device.pinned(0)? })
    }

    /// Bytes for each row.
    pub fn bytes(columns: usize, precision: Precision) -> usize {
        match precision {
            Precision::Full => 12 * columns,
            Precision::Compact => 4 * columns,
        }
    }

    pub fn make_room(&mut self, device: &Device, rows: usize) -> Result<(), DeviceError> {
        let len = rows * self.columns;
        match &mut self.rows {
            Rows::Full(planes) => {
                for plane in planes {
                    *plane = device.pinned(len)?;
                }
            }
            Rows::Words(words) => *words = device.pinned(len)?,
        }
        self.taken = device.pinned(rows)?;
        Ok(())
    }

    /// The listed rows become the first ones of `tensor`, without waiting for the copy.
    pub fn send(
        &mut self,
        far: &FarRows<'_>,
        rows: &[u32],
        tensor: &mut Tensor,
        stream: &Stream,
    ) -> Result<(), DeviceError> {
        let (columns, len) = (self.columns, self.columns * rows.len());
        match (&mut self.rows, &mut tensor.moments, &*far.moments) {
            (Rows::Full(staged), DeviceMoments::Full([first, second]), StoredMoments::Full(moments)) => {
                let from: [&[f32]; 3] = [far.values, &moments.first, &moments.second];
                for ((staged, from), to) in staged.iter_mut().zip(from).zip([&mut tensor.values, first, second]) {
                    let filled = staged.values()?[..len].par_chunks_mut(columns).zip(rows);
                    filled.for_each(|(to, &row)| to.copy_from_slice(&from[row as usize * columns..][..columns]));
                    to.write_first_from(staged, len, stream)?;
                }
                Ok(())
            }
            (Rows::Words(staged), DeviceMoments::Words(to), StoredMoments::Narrow(codes)) => {
                let filled = staged.values()?[..len].par_chunks_mut(columns).zip(rows);
                filled.for_each(|(to, &row)| {
                    let part = row as usize * columns..(row as usize + 1) * columns;
                    let pairs = far.values[part.clone()].iter().zip(&codes[part]);
                    to.iter_mut().zip(pairs).for_each(|(to, (&value, &code))| *to = word(value, code));
                });
                to.write_first_from(staged, len, stream)
            }
            _ => unreachable!("host and device keep moments alike"),
        }
    }

    /// How many steps each of the listed rows has taken.
    pub fn send_taken(
        &mut self,
        taken: &[u32],
        rows: &[u32],
        to: &mut Buffer<u32>,
        stream: &Stream,
    ) -> Result<(), DeviceError> {
        let staged = self.taken.values()?;
        staged.iter_mut().zip(rows).for_each(|(to, &row)| *to = taken[row as usize]);
        to.write_first_from(&mut self.taken, rows.len(), stream)
    }

    /// The first rows of `tensor` set out for the host, without waiting.
    pub fn fetch(&mut self, tensor: &Tensor, rows: usize, stream: &Stream) -> Result<(), DeviceError> {
        let len = self.columns * rows;
        match (&mut self.rows, &tensor.moments) {
            (Rows::Full(staged), DeviceMoments::Full([first, second])) => {
                for (staged, from) in staged.iter_mut().zip([&tensor.values, first, second]) {
                    from.read_first_into(staged, len, stream)?;
                }
                Ok(())
            }
            (Rows::Words(staged), DeviceMoments::Words(from)) => from.read_first_into(staged, len, stream),
            _ => unreachable!("they were sent from here"),
        }
    }

    /// What was fetched comes to its rows, which are in ascending order.
    pub fn put_away(&mut self, far: &mut FarRows<'_>, rows: &[u32]) -> Result<(), DeviceError> {
        let (columns, len) = (self.columns, self.columns * rows.len());
        if len == 0 {
            return Ok(());
        }
        // The rows that lie in a part of the host's, and where they are among those that were fetched.
        let within = |part: usize| {
            let [first, end] = [part, part + 1].map(|p| rows.partition_point(|&row| (row as usize) < p * PART));
            (first..end).map(move |i| (i * columns, (rows[i] as usize - part * PART) * columns))
        };
        match (&mut self.rows, &mut *far.moments) {
            (Rows::Full(staged), StoredMoments::Full(moments)) => {
                let to: [&mut [f32]; 3] = [far.values, &mut moments.first, &mut moments.second];
                for (staged, to) in staged.iter_mut().zip(to) {
                    let from = &staged.values()?[..len];
                    to.par_chunks_mut(PART * columns).enumerate().for_each(|(part, to)| {
                        for (i, place) in within(part) {
                            to[place..place + columns].copy_from_slice(&from[i..i + columns]);
                        }
                    });
                }
            }
            (Rows::Words(staged), StoredMoments::Narrow(codes)) => {
                let from = &staged.values()?[..len];
                let to = far.values.par_chunks_mut(PART * columns).zip(codes.par_chunks_mut(PART * columns));
                to.enumerate().for_each(|(part, (values, codes))| {
                    for (i, place) in within(part) {
                        for (k, &word) in from[i..i + columns].iter().enumerate() {
                            (values[place + k], codes[place + k]) = split(word);
                        }
                    }
                });
            }
            _ => unreachable!("they were sent from here"),
        }
        Ok(())
    }
}
