//! Reading SPZ: the streams are unpacked to at most 65 bytes per splat, which become splats chunk by chunk.

use super::decode::Streams;
use super::{FLAG_ANTIALIASED, FLAG_EXTENSIONS, HEADER, Header, LEGACY_HEADER, MAGIC, extension};
use crate::camera::Similarity;
use crate::format::input::{Input, bad_splat, truncated};
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSource};
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use flate2::read::MultiGzDecoder;
use rayon::prelude::*;
use ruzstd::decoding::StreamingDecoder;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Scenes up to this size may be compressed without limit, larger ones to [`MAX_SPLATS_PER_BYTE`] only. Constant streams
/// shrink to nothing, so that a small file could ask for any amount of memory; real scenes have 5 to 30 bytes per splat.
const UNSUSPICIOUS_SPLATS: u64 = 1 << 20;
const MAX_SPLATS_PER_BYTE: u64 = 4;
/// More than extensions need.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;
/// The last version that is known.
const LAST_VERSION: u32 = 4;
/// Bits that numbers of 24 bits can have behind the point.
const MAX_FRACTIONAL_BITS: u8 = 24;

/// Opens an SPZ file of any version.
///
/// # Errors
/// When it is none, of an unknown version, damaged, or says more than its length can hold.
pub(in crate::format) fn open_splats(mut input: Input) -> Result<Box<dyn SplatSource>> {
    let (path, length) = (input.path().to_owned(), input.length());
    let bytes = input.rest()?;
    let (header, streams, extensions) = match bytes.as_slice() {
        [0x1f, 0x8b, ..] => legacy(MultiGzDecoder::new(bytes.as_slice()), length, &path)?,
        [b'N', b'G', b'S', b'P', version, ..] if u32::from(*version) < LAST_VERSION => {
            legacy(&bytes[..], length, &path)?
        }
        [b'N', b'G', b'S', b'P', ..] => version_4(&bytes, &path)?,
        _ => return Err(DataError::new(&path, "is not an SPZ file")),
    };
    drop(bytes);
    if header.sh_degree > 3 {
        tracing::warn!("{}: the spherical harmonics above degree 3 are left out", path.display());
    }
    let splat_header = SplatHeader {
        count: u64::from(header.count),
        sh_degree: header.sh_degree.min(3),
        antialiased: header.flags & FLAG_ANTIALIASED != 0,
        scene_from_world: extension::find(&extensions).unwrap_or_else(Similarity::identity),
    };
    Ok(Box::new(Source { path, header: splat_header, streams: Streams::new(header, streams), next: 0 }))
}

struct Source {
    path: PathBuf,
    header: SplatHeader,
    streams: Streams,
    next: usize,
}

impl SplatSource for Source {
    fn header(&self) -> &SplatHeader {
        &self.header
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        let end = (self.header.count as usize).min(self.next + CHUNK_SPLATS);
        let decoded = self.streams.decode(self.next..end, chunk);
        decoded.map_err(|splat| bad_splat(&self.path, splat as u64, "a position that is not finite"))?;
        self.next = end;
        Ok(!chunk.is_empty())
    }
}

/// A header, the six streams, and the extensions.
type Parts = (Header, [Vec<u8>; 6], Vec<u8>);

/// Understands what all headers begin with, of a file that is `length` bytes long.
fn parse_header(bytes: &[u8; LEGACY_HEADER], length: u64, path: &Path) -> Result<Header> {
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let header =
        Header { version: word(4), count: word(8), sh_degree: bytes[12], fractional_bits: bytes[13], flags: bytes[14] };
    let fault = |what: String| Err(DataError::new(path, what).remedy("export it again, as version 2, 3 or 4"));
    if word(0) != MAGIC {
        return Err(DataError::new(path, "is not an SPZ file"));
    }
    if !(1..=LAST_VERSION).contains(&header.version) {
        return fault(format!("is of SPZ version {}, and only 1 to {LAST_VERSION} are known", header.version));
    }
    if header.sh_degree > if header.version < LAST_VERSION { 3 } else { 4 } {
        return fault(format!("has spherical harmonics of degree {}", header.sh_degree));
    }
    if header.fractional_bits > MAX_FRACTIONAL_BITS {
        return fault(format!("has positions with {} bits behind the point", header.fractional_bits));
    }
    let count = u64::from(header.count);
    if count > UNSUSPICIOUS_SPLATS && count / MAX_SPLATS_PER_BYTE > length {
        return fault(format!("claims {count} splats, which {length} bytes cannot hold"));
    }
    Ok(header)
}

/// Versions 1 to 3, unpacked while they are read.
fn legacy(mut reader: impl Read, length: u64, path: &Path) -> Result<Parts> {
    let mut start = [0; LEGACY_HEADER];
    reader.read_exact(&mut start).map_err(|e| undecodable(path, &e))?;
    let header = parse_header(&start, length, path)?;
    if header.version == LAST_VERSION {
        return Err(DataError::new(path, "is of SPZ version 4 but compressed like version 3").remedy("export it again"));
    }
    let mut streams: [Vec<u8>; 6] = Default::default();
    for (stream, width) in streams.iter_mut().zip(header.widths()) {
        *stream = read_stream(&mut reader, header.count as usize * width).map_err(|e| undecodable(path, &e))?;
    }
    let mut extensions = Vec::new();
    if header.flags & FLAG_EXTENSIONS != 0 {
        let read = reader.take(MAX_EXTENSION_BYTES).read_to_end(&mut extensions);
        read.map_err(|e| undecodable(path, &e))?;
    }
    Ok((header, streams, extensions))
}

/// Exactly so many bytes. Memory grows with those that are really there.
fn read_stream(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn version_4(bytes: &[u8], path: &Path) -> Result<Parts> {
    let damaged = |what: &str| DataError::new(path, what).remedy("copy it again from its source");
    let (start, rest) = bytes.split_first_chunk().ok_or_else(|| truncated(path))?;
    let header = parse_header(start, bytes.len() as u64, path)?;
    let (stream_count, table) = match rest {
        [a, b, c, d, ..] if rest.len() >= HEADER - LEGACY_HEADER => {
            (usize::from(start[15]), u32::from_le_bytes([*a, *b, *c, *d]) as usize)
        }
        _ => return Err(truncated(path)),
    };
    let extensions =
        bytes.get(HEADER..table).ok_or_else(|| damaged("has its table of streams at no possible place"))?;
    let widths = header.widths();
    let needed = widths.iter().filter(|&&width| width > 0).count();
    if stream_count < needed {
        return Err(damaged(&format!("has {stream_count} streams instead of {needed}")));
    }
    let sizes = bytes.get(table..table + 16 * stream_count).ok_or_else(|| truncated(path))?;
    let mut rest = &bytes[table + 16 * stream_count..];
    let mut packed = Vec::with_capacity(needed);
    for (size, width) in sizes.as_chunks::<16>().0.iter().zip(widths) {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| size[at + i]));
        let length = header.count as usize * width;
        if number(8) != length as u64 {
            return Err(damaged(&format!("has a stream of {} bytes instead of {length}", number(8))));
        }
        let taken = usize::try_from(number(0)).ok().and_then(|n| rest.split_at_checked(n));
        let (stream, others) = taken.ok_or_else(|| truncated(path))?;
        packed.push((stream, length));
        rest = others;
    }
    let unpacked = packed.into_par_iter().map(|(stream, length)| inflate(stream, length));
    let mut unpacked = unpacked.collect::<io::Result<Vec<_>>>().map_err(|e| undecodable(path, &e))?.into_iter();
    Ok((header, std::array::from_fn(|_| unpacked.next().unwrap_or_default()), extensions.to_vec()))
}

/// A Zstandard stream of exactly `length` bytes when it is unpacked.
fn inflate(stream: &[u8], length: usize) -> io::Result<Vec<u8>> {
    if length == 0 {
        return Ok(Vec::new());
    }
    let mut decoder = StreamingDecoder::new(stream).map_err(io::Error::other)?;
    read_stream(&mut decoder, length)
}

fn undecodable(path: &Path, error: &io::Error) -> DataError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => truncated(path),
        _ => DataError::new(path, format!("cannot be unpacked ({error})")).remedy("copy it again from its source"),
    }
}
