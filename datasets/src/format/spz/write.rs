//! Writing SPZ. A stream ends before the next begins, so that all bytes are kept until the end: 68 per splat at degree 3.

use super::{FLAG_ANTIALIASED, FLAG_EXTENSIONS, FRACTIONAL_BITS, HEADER, Header, SpzVersion, encode, extension, gzip};
use crate::camera::Similarity;
use crate::format::stream::{SplatHeader, SplatSink, ValueRanges, check_chunk};
use crate::format::{AtomicFile, WriteOptions};
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use half::f16;
use rayon::prelude::*;
use std::io;

/// The largest integer of 24 bits.
const MAX_INTEGER: f32 = 8_388_607.0;
/// More bits behind the point would be lost in `f32`.
const MAX_FRACTIONAL_BITS: u32 = 20;
/// Steps of positions that a splat of middling size should be wide.
const STEPS_PER_SPLAT: f32 = 8.0;

/// Begins an SPZ file.
///
/// # Errors
/// When this build cannot write the version.
pub(in crate::format) fn create_splats(
    file: AtomicFile,
    header: &SplatHeader,
    options: &WriteOptions,
) -> Result<Box<dyn SplatSink>> {
    let version = options.spz_version;
    if version == SpzVersion::V4 && cfg!(not(feature = "zstd")) {
        return Err(DataError::new(
            file.path(),
            "cannot be written as SPZ version 4 by this build, which has no Zstandard",
        )
        .remedy("write version 3, or build with the feature 'zstd'"));
    }
    let SplatHeader { sh_degree, antialiased, scene_from_world, .. } = *header;
    let (means, streams) = Default::default();
    Ok(Box::new(Writer { file, version, sh_degree, antialiased, scene_from_world, means, streams }))
}

struct Writer {
    file: AtomicFile,
    version: SpzVersion,
    sh_degree: u8,
    antialiased: bool,
    scene_from_world: Similarity,
    means: Vec<[f32; 3]>,
    /// What comes after the positions: alphas, colours, scales, rotations, harmonics.
    streams: [Vec<u8>; 5],
}

impl SplatSink for Writer {
    fn put(&mut self, chunk: &SplatCloud) -> Result<()> {
        check_chunk(chunk, self.sh_degree, self.file.path())?;
        self.means.extend_from_slice(&chunk.means);
        let rotations = match self.version {
            SpzVersion::V1 | SpzVersion::V2 => encode::first_three,
            SpzVersion::V3 | SpzVersion::V4 => encode::rotations,
        };
        let append = [encode::alphas, encode::colours, encode::scales, rotations, encode::harmonics];
        self.streams.par_iter_mut().zip(append).for_each(|(stream, append)| append(chunk, stream));
        Ok(())
    }

    fn ranges(&self) -> ValueRanges {
        encode::RANGES
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let path = self.file.path();
        let Ok(count) = u32::try_from(self.means.len()) else {
            return Err(DataError::new(path, "would hold more splats than SPZ can count (4,294,967,295)"));
        };
        let extensions = match self.scene_from_world == Similarity::identity() {
            true => Vec::new(),
            false => extension::record(&self.scene_from_world),
        };
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let fractional_bits = self.fractional_bits()?;
        let header = Header {
            version: self.version.number(),
            count,
            sh_degree: self.sh_degree,
            fractional_bits: fractional_bits as u8,
            flags: flag(self.antialiased, FLAG_ANTIALIASED) | flag(!extensions.is_empty(), FLAG_EXTENSIONS),
        };
        let positions = match self.version {
            SpzVersion::V1 => encode::half_positions(&self.means),
            _ => encode::positions(&self.means, fractional_bits),
        };
        let [alphas, colours, scales, rotations, harmonics] = self.streams.each_ref().map(Vec::as_slice);
        let mut streams = vec![&positions[..], alphas, colours, scales, rotations];
        if self.sh_degree > 0 {
            streams.push(harmonics);
        }
        let bytes = match self.version {
            SpzVersion::V1 | SpzVersion::V2 | SpzVersion::V3 => {
                let start = header.start();
                let parts = [&[&start[..]], &streams[..], &[&extensions]].concat();
                gzip::compress(&parts)
            }
            SpzVersion::V4 => version_4(header, &extensions, &streams),
        };
        let bytes = bytes.map_err(|e| self.file.unwritable(&e))?;
        self.file.put(&bytes)?;
        self.file.commit()
    }
}

impl Writer {
    /// 12 bits, as everybody writes them, unless splats are too small or too far away for that.
    fn fractional_bits(&self) -> Result<u32> {
        let farthest = self.means.as_flattened().iter().fold(0f32, |most, v| most.max(v.abs()));
        let too_far = |end: f32, of: &str| {
            let reason = format!("cannot be written, because SPZ{of} has no positions beyond {end} units");
            DataError::new(self.file.path(), reason).remedy("crop or scale the scene, or write another format")
        };
        if self.version == SpzVersion::V1 {
            // Halves need none; programs expect what they always see.
            let holds = farthest <= f16::MAX.to_f32();
            return if holds { Ok(FRACTIONAL_BITS) } else { Err(too_far(f16::MAX.to_f32(), " version 1")) };
        }
        let holds = |bits: &u32| farthest * 2f32.powi(*bits as i32) <= MAX_INTEGER;
        let Some(most) = (0..=MAX_FRACTIONAL_BITS).rev().find(holds) else { return Err(too_far(MAX_INTEGER, "")) };
        let fine_enough = |bits: &u32| 2f32.powi(-(*bits as i32)) * STEPS_PER_SPLAT <= self.middling_scale();
        let wanted = (FRACTIONAL_BITS..MAX_FRACTIONAL_BITS).find(fine_enough).unwrap_or(MAX_FRACTIONAL_BITS);
        Ok(wanted.min(most))
    }

    /// The median of the standard deviations along all axes.
    fn middling_scale(&self) -> f32 {
        let scales = &self.streams[2];
        let mut counts = [0usize; 256];
        scales.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
        let mut below = 0;
        let median = counts.iter().position(|count| {
            below += count;
            2 * below > scales.len()
        });
        (median.unwrap_or(255) as f32 / 16.0 - 10.0).exp()
    }
}

/// The file of version 4.
#[cfg(feature = "zstd")]
fn version_4(header: Header, extensions: &[u8], streams: &[&[u8]]) -> io::Result<Vec<u8>> {
    /// Fast, and within a few percent of the smallest.
    const LEVEL: i32 = 7;
    let compressed: Vec<Vec<u8>> =
        streams.par_iter().map(|stream| zstd::bulk::compress(stream, LEVEL)).collect::<io::Result<_>>()?;
    let mut out = header.start().to_vec();
    out[15] = streams.len() as u8;
    let table = HEADER + extensions.len();
    out.extend_from_slice(&(table as u32).to_le_bytes());
    out.resize(HEADER, 0);
    out.extend_from_slice(extensions);
    for (stream, compressed) in streams.iter().zip(&compressed) {
        out.extend_from_slice([compressed.len() as u64, stream.len() as u64].map(u64::to_le_bytes).as_flattened());
    }
    compressed.iter().for_each(|stream| out.extend_from_slice(stream));
    Ok(out)
}

#[cfg(not(feature = "zstd"))]
fn version_4(_: Header, _: &[u8], _: &[&[u8]]) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::Unsupported.into())
}
