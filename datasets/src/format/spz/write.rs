//! Writing SPZ. A stream ends before the next begins, so all are kept until the end, compressed as they come; positions, whose
//! precision depends on all of them, as they are.

use super::{
    FLAG_ANTIALIASED, FLAG_EXTENSIONS, FRACTIONAL_BITS, Header, SpzVersion, encode, extension, gzip, zstandard,
};
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
/// When there is no memory for it.
pub(in crate::format) fn create_splats(
    file: AtomicFile,
    header: &SplatHeader,
    options: &WriteOptions,
) -> Result<Box<dyn SplatSink>> {
    let version = options.spz_version;
    let SplatHeader { sh_degree, antialiased, scene_from_world, .. } = *header;
    let streams = Streams::new(version).map_err(|e| file.unwritable(&e))?;
    let (means, scales) = (Vec::new(), [0; 256]);
    Ok(Box::new(Writer { file, version, sh_degree, antialiased, scene_from_world, means, scales, streams }))
}

struct Writer {
    file: AtomicFile,
    version: SpzVersion,
    sh_degree: u8,
    antialiased: bool,
    scene_from_world: Similarity,
    means: Vec<[f32; 3]>,
    /// How often each byte occurs in the stream of scales.
    scales: [u64; 256],
    streams: Streams,
}

/// What comes after the positions: alphas, colours, scales, rotations, harmonics.
enum Streams {
    Gzip(Vec<gzip::Part>),
    Zstandard(Vec<zstandard::Part>),
}

impl Streams {
    fn new(version: SpzVersion) -> io::Result<Self> {
        Ok(match version {
            SpzVersion::V4 => Self::Zstandard((0..5).map(|_| zstandard::Part::new()).collect::<io::Result<_>>()?),
            _ => Self::Gzip((0..5).map(|_| gzip::Part::default()).collect()),
        })
    }

    /// Appends what these functions make of a chunk, each to its stream.
    fn append(&mut self, chunk: &SplatCloud, encode: [fn(&SplatCloud, &mut Vec<u8>); 5]) -> io::Result<()> {
        match self {
            Self::Gzip(parts) => {
                let parts = parts.par_iter_mut().zip(encode);
                parts.try_for_each(|(part, encode)| part.append(|out| encode(chunk, out)))
            }
            Self::Zstandard(parts) => {
                let parts = parts.par_iter_mut().zip(encode);
                parts.try_for_each(|(part, encode)| part.append(|out| encode(chunk, out)))
            }
        }
    }
}

impl SplatSink for Writer {
    fn put(&mut self, chunk: &SplatCloud) -> Result<()> {
        check_chunk(chunk, self.sh_degree, self.file.path())?;
        self.means.extend_from_slice(&chunk.means);
        let rotations = match self.version {
            SpzVersion::V1 | SpzVersion::V2 => encode::first_three,
            SpzVersion::V3 | SpzVersion::V4 => encode::rotations,
        };
        chunk.log_scales.as_flattened().iter().for_each(|&s| self.scales[usize::from(encode::scale(s))] += 1);
        let encode = [encode::alphas, encode::colours, encode::scales, rotations, encode::harmonics];
        self.streams.append(chunk, encode).map_err(|e| self.file.unwritable(&e))
    }

    fn ranges(&self) -> ValueRanges {
        encode::RANGES
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let fractional_bits = self.fractional_bits()?;
        let Self { mut file, version, sh_degree, antialiased, scene_from_world, means, streams, .. } = *self;
        let Ok(count) = u32::try_from(means.len()) else {
            return Err(DataError::new(file.path(), "would hold more splats than SPZ can count (4,294,967,295)")
                .remedy("write fewer splats"));
        };
        let extensions = match scene_from_world == Similarity::identity() {
            true => Vec::new(),
            false => extension::record(&scene_from_world),
        };
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let header = Header {
            version: version.number(),
            count,
            sh_degree,
            fractional_bits: fractional_bits as u8,
            flags: flag(antialiased, FLAG_ANTIALIASED) | flag(!extensions.is_empty(), FLAG_EXTENSIONS),
        };
        let positions = |out: &mut Vec<u8>| match version {
            SpzVersion::V1 => encode::half_positions(&means, out),
            _ => encode::positions(&means, fractional_bits, out),
        };
        match streams {
            Streams::Gzip(parts) => gzip::write(&mut file, &header.start(), positions, parts, &extensions)?,
            Streams::Zstandard(parts) => zstandard::write(&mut file, &header, positions, parts, &extensions)?,
        }
        file.commit()
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
        let mut below = 0;
        let median = self.scales.iter().position(|count| {
            below += count;
            2 * below > 3 * self.means.len() as u64
        });
        (median.unwrap_or(255) as f32 / 16.0 - 10.0).exp()
    }
}
