//! Writing the streams of version 4 with Zstandard, each compressed while it comes.

use super::{HEADER, Header};
use crate::Result;
use crate::format::AtomicFile;
use std::io::{self, Write};
use zstd::Encoder;

/// A quarter of the time of level 7, and within 3 % of its size.
const LEVEL: i32 = 3;

/// A stream in the making.
pub(super) struct Part {
    encoder: Encoder<'static, Vec<u8>>,
    waiting: Vec<u8>,
    /// Bytes that came.
    length: u64,
}

impl Part {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { encoder: Encoder::new(Vec::new(), LEVEL)?, waiting: Vec::new(), length: 0 })
    }

    /// Adds what `append` appends.
    pub(super) fn append(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.waiting.clear();
        append(&mut self.waiting);
        self.length += self.waiting.len() as u64;
        self.encoder.write_all(&self.waiting)
    }

    /// Its length, and its compressed bytes.
    fn finish(self) -> io::Result<(u64, Vec<u8>)> {
        Ok((self.length, self.encoder.finish()?))
    }
}

/// Writes a file of version 4: `positions` appends the first stream, `parts` are the others.
///
/// # Errors
/// When the disk refuses.
pub(super) fn write(
    file: &mut AtomicFile,
    header: &Header,
    positions: impl FnOnce(&mut Vec<u8>),
    parts: Vec<Part>,
    extensions: &[u8],
) -> Result<()> {
    let packed = || -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut first = Part::new()?;
        first.append(positions)?;
        // Harmonics of degree 0 have no stream.
        let streams = std::iter::once(first).chain(parts).zip(header.widths()).filter(|(_, width)| *width > 0);
        streams.map(|(part, _)| part.finish()).collect()
    };
    let streams = packed().map_err(|e| file.unwritable(&e))?;
    let mut start = header.start().to_vec();
    start[15] = streams.len() as u8;
    start.extend_from_slice(&((HEADER + extensions.len()) as u32).to_le_bytes());
    start.resize(HEADER, 0);
    start.extend_from_slice(extensions);
    for (length, packed) in &streams {
        start.extend_from_slice([packed.len() as u64, *length].map(u64::to_le_bytes).as_flattened());
    }
    file.put(&start)?;
    streams.iter().try_for_each(|(_, packed)| file.put(packed))
}
