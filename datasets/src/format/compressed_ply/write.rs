//! Writing compressed PLY. Which splats share a chunk depends on all of them, so that they are kept until the end: 44
//! bytes each and one per coefficient, a third of what a scene needs in memory.

use super::{BITS, CHUNK, HARMONICS_RANGE, PACKED, RANGES};
use crate::Result;
use crate::format::pieces::PIECE;
use crate::format::ply::comments;
use crate::format::quantise::{colour_of_sh0, component_to_unorm, sigmoid, smallest_three, unorm};
use crate::format::stream::{SplatHeader, SplatSink, ValueRanges, check_chunk};
use crate::format::{AtomicFile, WriteOptions};
use crate::scene::{SplatCloud, morton_order};
use rayon::prelude::*;

/// The logarithms of scales are clamped to this: a splat without any thickness would make its chunk's range useless.
const LOG_SCALE_RANGE: f32 = 20.0;
/// Chunks that are packed at once.
const PACKED_AT_ONCE: usize = 64;

/// Begins a compressed PLY file.
pub(in crate::format) fn create_splats(
    file: AtomicFile,
    header: &SplatHeader,
    WriteOptions { keep_order, .. }: &WriteOptions,
) -> Box<dyn SplatSink> {
    let (header, keep_order) = (SplatHeader { count: 0, ..header.clone() }, *keep_order);
    Box::new(Writer { file, header, keep_order, means: Vec::new(), rest: Vec::new(), harmonics: Vec::new() })
}

struct Writer {
    file: AtomicFile,
    /// Its count is of what has come.
    header: SplatHeader,
    keep_order: bool,
    means: Vec<[f32; 3]>,
    rest: Vec<Rest>,
    /// Bytes as they are in the file.
    harmonics: Vec<u8>,
}

/// A splat without its position.
#[derive(Clone, Copy)]
struct Rest {
    log_scales: [f32; 3],
    colour: [f32; 3],
    opacity: u8,
    rotation: u32,
}

impl SplatSink for Writer {
    fn put(&mut self, chunk: &SplatCloud) -> Result<()> {
        check_chunk(chunk, self.header.sh_degree, self.file.path())?;
        self.header.count += chunk.len() as u64;
        self.means.extend_from_slice(&chunk.means);
        self.rest.par_extend((0..chunk.len()).into_par_iter().with_min_len(PIECE).map(|i| Rest {
            log_scales: chunk.log_scales[i].map(|s| s.clamp(-LOG_SCALE_RANGE, LOG_SCALE_RANGE)),
            colour: chunk.sh0[i].map(colour_of_sh0),
            opacity: unorm(sigmoid(chunk.opacity_logits[i]), 8) as u8,
            rotation: packed_rotation(chunk.quats[i]),
        }));
        let width = 3 * SplatCloud::rest_coefficients(chunk.sh_degree);
        if width > 0 {
            let start = self.harmonics.len();
            self.harmonics.resize(start + chunk.sh_rest.len(), 0);
            let bytes = self.harmonics[start..].par_chunks_mut(PIECE * width);
            bytes.zip(chunk.sh_rest.par_chunks(PIECE * width)).for_each(|(bytes, rows)| {
                bytes.chunks_exact_mut(width).zip(rows.chunks_exact(width)).for_each(harmonics_row);
            });
        }
        Ok(())
    }

    fn ranges(&self) -> ValueRanges {
        ValueRanges {
            log_scales: [-LOG_SCALE_RANGE, LOG_SCALE_RANGE],
            sh_rest: [-HARMONICS_RANGE, HARMONICS_RANGE],
            ..ValueRanges::ALL
        }
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let order = if self.keep_order { (0..self.means.len() as u32).collect() } else { morton_order(&self.means) };
        let ranges: Vec<Ranges> = order.par_chunks(CHUNK).map(|run| self.ranges(run)).collect();
        let text = header_text(&self.header);
        self.file.put(text.as_bytes())?;
        for ranges in &ranges {
            self.file.put(&ranges.bytes())?;
        }
        for (runs, ranges) in order.chunks(PACKED_AT_ONCE * CHUNK).zip(ranges.chunks(PACKED_AT_ONCE)) {
            let packed: Vec<Vec<u8>> =
                runs.par_chunks(CHUNK).zip(ranges).map(|(run, ranges)| self.packed(run, ranges)).collect();
            packed.iter().try_for_each(|bytes| self.file.put(bytes))?;
        }
        let width = 3 * SplatCloud::rest_coefficients(self.header.sh_degree);
        for &i in order.iter().filter(|_| width > 0) {
            self.file.put(&self.harmonics[i as usize * width..][..width])?;
        }
        self.file.commit()
    }
}

/// The least and the largest of positions, scales and colours, three axes each.
struct Ranges([[f32; 3]; 6]);

impl Ranges {
    fn bytes(&self) -> Vec<u8> {
        self.0.as_flattened().iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    /// Where numbers lie in one of the three ranges: from 0 to 1.
    fn places(&self, range: usize, values: [f32; 3]) -> [f32; 3] {
        let (least, largest) = (self.0[2 * range], self.0[2 * range + 1]);
        // Halves, because the difference of two large numbers may have no place in `f32`.
        [0, 1, 2].map(|axis| {
            let width = largest[axis] * 0.5 - least[axis] * 0.5;
            if width > 0.0 { (values[axis] * 0.5 - least[axis] * 0.5) / width } else { 0.0 }
        })
    }
}

impl Writer {
    fn ranges(&self, run: &[u32]) -> Ranges {
        let mut ranges =
            Ranges(std::array::from_fn(|i| [if i % 2 == 0 { f32::INFINITY } else { f32::NEG_INFINITY }; 3]));
        for &i in run {
            let rest = &self.rest[i as usize];
            for (pair, values) in [self.means[i as usize], rest.log_scales, rest.colour].into_iter().enumerate() {
                for axis in 0..3 {
                    let [least, largest] = [2 * pair, 2 * pair + 1];
                    ranges.0[least][axis] = ranges.0[least][axis].min(values[axis]);
                    ranges.0[largest][axis] = ranges.0[largest][axis].max(values[axis]);
                }
            }
        }
        ranges
    }

    fn packed(&self, run: &[u32], ranges: &Ranges) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 * run.len());
        for &i in run {
            let rest = &self.rest[i as usize];
            let position = packed_three(ranges.places(0, self.means[i as usize]));
            let scale = packed_three(ranges.places(1, rest.log_scales));
            let [r, g, b] = ranges.places(2, rest.colour).map(|c| unorm(c, 8) as u8);
            let colour = u32::from_be_bytes([r, g, b, rest.opacity]);
            bytes.extend_from_slice([position, rest.rotation, scale, colour].map(u32::to_le_bytes).as_flattened());
        }
        bytes
    }
}

fn packed_three(places: [f32; 3]) -> u32 {
    unorm(places[0], BITS[0]) << 21 | unorm(places[1], BITS[1]) << 11 | unorm(places[2], BITS[2])
}

fn packed_rotation(quat: [f32; 4]) -> u32 {
    let (largest, rest) = smallest_three(quat);
    rest.iter().fold(largest as u32, |packed, &c| packed << 10 | component_to_unorm(c, 10))
}

/// The bytes of a splat's coefficients: all of one channel before those of the next.
fn harmonics_row((bytes, row): (&mut [u8], &[f32])) {
    let coefficients = row.len() / 3;
    for (i, colour) in row.as_chunks::<3>().0.iter().enumerate() {
        for channel in 0..3 {
            bytes[channel * coefficients + i] = harmonics_byte(colour[channel]);
        }
    }
}

/// The byte whose value is nearest: its cell is the 256th part of the range.
fn harmonics_byte(coefficient: f32) -> u8 {
    // The cast cuts off, saturates, and makes 0 of what is no number.
    ((coefficient / (2.0 * HARMONICS_RANGE) + 0.5) * 256.0) as u8
}

fn header_text(header: &SplatHeader) -> String {
    let lines = |kind: &str, names: &[String]| -> String {
        names.iter().map(|name| format!("property {kind} {name}\n")).collect()
    };
    let (count, chunks) = (header.count, header.count.div_ceil(CHUNK as u64));
    let mut text = format!("ply\nformat binary_little_endian 1.0\n{}", comments::lines(header));
    text += &format!("element chunk {chunks}\n{}", lines("float", &RANGES.map(str::to_owned)));
    text += &format!("element vertex {count}\n{}", lines("uint", &PACKED.map(str::to_owned)));
    let rest = 3 * SplatCloud::rest_coefficients(header.sh_degree);
    if rest > 0 {
        let names: Vec<String> = (0..rest).map(|i| format!("f_rest_{i}")).collect();
        text += &format!("element sh {count}\n{}", lines("uchar", &names));
    }
    text + "end_header\n"
}
