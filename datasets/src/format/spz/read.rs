//! Reading SPZ, chunk by chunk: of version 4 all streams at the same time; up to version 3, where one follows the other, the
//! last alone, after at most 20 bytes per splat were unpacked that come before it.

use super::decode::Tables;
use super::{FLAG_ANTIALIASED, FLAG_EXTENSIONS, HEADER, Header, LEGACY_HEADER, MAGIC, extension};
use crate::camera::Similarity;
use crate::format::input::{Input, bad_splat, truncated};
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSource};
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use flate2::bufread::MultiGzDecoder;
use rayon::prelude::*;
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
/// When it is none, of an unknown version, damaged as far as its beginning tells, or says more than its length can hold.
pub(in crate::format) fn open_splats(mut input: Input) -> Result<Box<dyn SplatSource>> {
    let (path, length) = (input.path().to_owned(), input.length());
    let mut start = [0; 5];
    let there = start.len().min(usize::try_from(length).unwrap_or(start.len()));
    input.fill(&mut start[..there])?;
    input.go_to(0)?;
    let (header, streams, extensions) = match start {
        [0x1f, 0x8b, ..] => legacy(MultiGzDecoder::new(input), length, &path)?,
        [b'N', b'G', b'S', b'P', version] if u32::from(version) < LAST_VERSION => legacy(input, length, &path)?,
        [b'N', b'G', b'S', b'P', _] => version_4(input)?,
        _ => return Err(no_spz(&path)),
    };
    if header.sh_degree > 3 {
        tracing::warn!("{}: the spherical harmonics above degree 3 are left out", path.display());
    }
    let splat_header = SplatHeader {
        count: u64::from(header.count),
        sh_degree: header.sh_degree.min(3),
        antialiased: header.flags & FLAG_ANTIALIASED != 0,
        scene_from_world: extension::find(&extensions).unwrap_or_else(Similarity::identity),
    };
    let (bytes, tables) = (Default::default(), Tables::new());
    Ok(Box::new(Source { path, header: splat_header, format: header, tables, streams, bytes, next: 0 }))
}

/// What gives the unpacked bytes of a stream.
type Unpacked = Box<dyn Read + Send>;

struct Source {
    path: PathBuf,
    header: SplatHeader,
    /// As the file has it.
    format: Header,
    tables: Tables,
    streams: [Unpacked; 6],
    /// Of the splats that are being read.
    bytes: [Vec<u8>; 6],
    next: usize,
}

impl SplatSource for Source {
    fn header(&self) -> &SplatHeader {
        &self.header
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        let n = (self.format.count as usize - self.next).min(CHUNK_SPLATS);
        let widths = self.format.widths();
        let streams = self.streams.par_iter_mut().zip(&mut self.bytes).zip(widths);
        let read = streams.map(|((stream, bytes), width)| {
            bytes.resize(n * width, 0);
            stream.read_exact(bytes)
        });
        read.collect::<io::Result<()>>().map_err(|e| undecodable(&self.path, &e))?;
        let decoded = self.tables.decode(&self.format, &self.bytes, chunk);
        let first = self.next;
        decoded.map_err(|i| bad_splat(&self.path, (first + i) as u64, "a position that is not finite"))?;
        self.next += n;
        Ok(!chunk.is_empty())
    }
}

/// A header, the six streams, and the extensions.
type Parts = (Header, [Unpacked; 6], Vec<u8>);

/// Understands what all headers begin with, of a file that is `length` bytes long.
fn parse_header(bytes: &[u8; LEGACY_HEADER], length: u64, path: &Path) -> Result<Header> {
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let header =
        Header { version: word(4), count: word(8), sh_degree: bytes[12], fractional_bits: bytes[13], flags: bytes[14] };
    let fault = |what: String| Err(DataError::new(path, what).remedy("export it again, as version 2, 3 or 4"));
    if word(0) != MAGIC {
        return Err(no_spz(path));
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

/// Versions 1 to 3. One stream follows the other, so all but the last have to be in memory when splats are put together.
fn legacy(mut reader: impl Read + Send + 'static, length: u64, path: &Path) -> Result<Parts> {
    let mut start = [0; LEGACY_HEADER];
    reader.read_exact(&mut start).map_err(|e| undecodable(path, &e))?;
    let header = parse_header(&start, length, path)?;
    if header.version == LAST_VERSION {
        return Err(DataError::new(path, "is of SPZ version 4 but compressed like version 3").remedy("export it again"));
    }
    let mut streams: [Unpacked; 6] = std::array::from_fn(|_| Box::new(io::empty()) as Unpacked);
    let has_extensions = header.flags & FLAG_EXTENSIONS != 0;
    let kept = if has_extensions { 6 } else { 5 };
    for (stream, width) in streams.iter_mut().zip(header.widths()).take(kept) {
        let bytes = read_stream(&mut reader, header.count as usize * width).map_err(|e| undecodable(path, &e))?;
        *stream = Box::new(io::Cursor::new(bytes));
    }
    let mut extensions = Vec::new();
    if has_extensions {
        let read = reader.take(MAX_EXTENSION_BYTES).read_to_end(&mut extensions);
        read.map_err(|e| undecodable(path, &e))?;
    } else {
        streams[5] = Box::new(reader);
    }
    Ok((header, streams, extensions))
}

/// Exactly so many bytes. Memory grows with those that are really there.
fn read_stream(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Version 4, whose streams are unpacked at the same time, each from its own place in the file.
fn version_4(mut input: Input) -> Result<Parts> {
    let path = input.path().to_owned();
    let damaged = |what: &str| DataError::new(&path, what).remedy("copy it again from its source");
    let mut start = [0; HEADER];
    input.fill(&mut start)?;
    let length = input.length();
    let (&stated, table) = start.split_first_chunk().ok_or_else(|| truncated(&path))?;
    let header = parse_header(&stated, length, &path)?;
    let table = u32::from_le_bytes([table[0], table[1], table[2], table[3]]);
    let between = u64::from(table).checked_sub(HEADER as u64).filter(|_| u64::from(table) <= length);
    let between = between.ok_or_else(|| damaged("has its table of streams at no possible place"))?;
    let mut extensions = vec![0; between.min(MAX_EXTENSION_BYTES) as usize];
    input.fill(&mut extensions)?;
    let stream_count = usize::from(start[15]);
    let widths = header.widths();
    let needed = widths.iter().filter(|&&width| width > 0).count();
    if stream_count < needed {
        return Err(damaged(&format!("has {stream_count} streams instead of {needed}")));
    }
    input.go_to(table.into())?;
    let mut sizes = vec![0; 16 * stream_count];
    input.fill(&mut sizes)?;
    let mut at = u64::from(table) + sizes.len() as u64;
    let mut streams: [Unpacked; 6] = std::array::from_fn(|_| Box::new(io::empty()) as Unpacked);
    for ((size, width), stream) in sizes.as_chunks::<16>().0.iter().zip(widths).zip(&mut streams).take(needed) {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| size[at + i]));
        let unpacked = header.count as usize * width;
        if number(8) != unpacked as u64 {
            return Err(damaged(&format!("has a stream of {} bytes instead of {unpacked}", number(8))));
        }
        let packed = number(0);
        let end = at.checked_add(packed).filter(|&end| end <= length).ok_or_else(|| truncated(&path))?;
        if unpacked > 0 {
            let mut input = input.again()?;
            input.go_to(at)?;
            let decoder = zstd::Decoder::with_buffer(input.take(packed)).map_err(|e| undecodable(&path, &e))?;
            *stream = Box::new(decoder);
        }
        at = end;
    }
    Ok((header, streams, extensions))
}

fn no_spz(path: &Path) -> DataError {
    DataError::new(path, "is not an SPZ file").remedy("name one, or export it again")
}

fn undecodable(path: &Path, error: &io::Error) -> DataError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => truncated(path),
        _ => DataError::new(path, format!("cannot be unpacked ({error})")).remedy("copy it again from its source"),
    }
}
