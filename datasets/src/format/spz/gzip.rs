//! Writing gzip on all threads: blocks are compressed apart and joined to one stream, as `pigz` does.

use crate::Result;
use crate::format::AtomicFile;
use flate2::{Compress, Compression, FlushCompress};
use rayon::prelude::*;
use std::io;

/// Bytes that one thread compresses at a time.
const BLOCK: usize = 1 << 20;
/// What zlib calls level 4: nearly as small as its default here, in a fraction of the time.
const LEVEL: u32 = 4;

/// A part of what a gzip file holds, compressed while it comes.
#[derive(Default)]
pub(super) struct Part {
    waiting: Vec<u8>,
    blocks: Vec<Block>,
}

/// Compressed bytes that end on a whole byte, so that others can follow, and the checksum of what they stand for.
struct Block {
    bytes: Vec<u8>,
    checksum: crc32fast::Hasher,
}

impl Part {
    /// Adds what `append` appends.
    pub(super) fn append(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        append(&mut self.waiting);
        let whole = self.waiting.len() / BLOCK * BLOCK;
        self.compress(whole)
    }

    fn compress(&mut self, length: usize) -> io::Result<()> {
        let blocks = self.waiting[..length].par_chunks(BLOCK).map(deflate);
        let blocks: Vec<Block> = blocks.collect::<io::Result<_>>()?;
        self.blocks.extend(blocks);
        self.waiting.drain(..length);
        Ok(())
    }
}

/// Writes a file of versions 1 to 3: `positions` appends the first stream, `parts` are the others.
///
/// # Errors
/// When the disk refuses.
pub(super) fn write(
    file: &mut AtomicFile,
    start: &[u8],
    positions: impl FnOnce(&mut Vec<u8>),
    parts: Vec<Part>,
    extensions: &[u8],
) -> Result<()> {
    let mut first = Part { waiting: start.to_vec(), ..Part::default() };
    positions(&mut first.waiting);
    let last = Part { waiting: extensions.to_vec(), ..Part::default() };
    let mut all: Vec<Part> = std::iter::once(first).chain(parts).chain([last]).collect();
    all.par_iter_mut().try_for_each(|part| part.compress(part.waiting.len())).map_err(|e| file.unwritable(&e))?;
    joined(&all, |bytes| file.put(bytes))
}

/// A gzip file of parts of which nothing waits.
fn joined(parts: &[Part], mut put: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    // Deflate, no name, no time, no system.
    put(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])?;
    let mut checksum = crc32fast::Hasher::new();
    let mut length = 0u64;
    for block in parts.iter().flat_map(|part| &part.blocks) {
        put(&block.bytes)?;
        checksum.combine(&block.checksum);
        length += block.checksum.total_len();
    }
    // A last block of nothing, then the checksum and the length modulo 2^32, as the format says.
    put(&[3, 0])?;
    put(&checksum.finalize().to_le_bytes())?;
    put(&(length as u32).to_le_bytes())
}

fn deflate(block: &[u8]) -> io::Result<Block> {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(block);
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    let mut bytes = Vec::with_capacity(block.len() / 2 + 1024);
    loop {
        let read = usize::try_from(compress.total_in()).unwrap_or(block.len());
        compress.compress_vec(&block[read..], &mut bytes, FlushCompress::Sync).map_err(io::Error::other)?;
        // With room left, everything has been flushed.
        if compress.total_in() == block.len() as u64 && bytes.len() < bytes.capacity() {
            bytes.shrink_to_fit();
            return Ok(Block { bytes, checksum });
        }
        bytes.reserve(block.len() / 4 + 1024);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::made::cloud;
    use std::io::Read;

    #[test]
    fn streams_that_come_in_pieces_are_one_gzip_member() {
        // Several blocks that do not compress, nothing, a few bytes, and blocks that do compress.
        let noise = cloud(100_000, 0, 1.0, 3).means;
        let noise: Vec<u8> = noise.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
        let streams = [&noise[..], &[], &noise[..7], &[0; 3 << 20]];
        let mut parts: Vec<Part> = Vec::new();
        for stream in streams {
            let mut part = Part::default();
            for piece in stream.chunks(BLOCK / 3) {
                part.append(|out| out.extend_from_slice(piece)).expect("in memory");
            }
            part.compress(part.waiting.len()).expect("in memory");
            parts.push(part);
        }
        for (parts, expected) in [(&parts[..], streams.concat()), (&[], Vec::new())] {
            let (mut packed, mut unpacked) = (Vec::new(), Vec::new());
            let put = |bytes: &[u8]| {
                packed.extend_from_slice(bytes);
                Ok(())
            };
            joined(parts, put).expect("in memory");
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("one gzip member");
            assert!(unpacked == expected, "{} bytes instead of {}", unpacked.len(), expected.len());
        }
    }
}
