//! TIFF, strip by strip or tile by tile.

use super::{Opened, Source, damaged, encode_colours, unreadable};
use crate::Result;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffResult};

/// The largest strip or tile that is decoded for the rows in it. Files of larger ones are decoded at once instead of again and again.
const LARGEST_CHUNK: u64 = 64 << 20;
/// The longest list of where chunks lie: enough for 8 million of them.
const LONGEST_LIST: usize = 64 << 20;

struct TiffRows {
    path: PathBuf,
    decoder: Decoder<BufReader<File>>,
    layout: Layout,
}

/// How pixels lie in a file.
#[derive(Clone, Copy)]
struct Layout {
    width: u32,
    /// Width and height of a strip or tile.
    chunk: [u32; 2],
    /// Numbers of a pixel in the file: with grey and alpha two, which become four.
    stored: usize,
    bytes_of_a_number: u64,
}

/// `None` for pictures of a kind that is decoded as a whole, or not at all.
pub(super) fn open(path: &Path) -> Result<Option<Opened>> {
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    // What is wrong with a header is said where files are decoded as a whole.
    let Ok((decoder, height, layout)) = read_header(file) else { return Ok(None) };
    let Some(layout) = layout.filter(|l| l.bytes_of_a_chunk() <= LARGEST_CHUNK) else { return Ok(None) };
    let channels = if layout.stored == 2 { 4 } else { layout.stored };
    let source = Box::new(TiffRows { path: path.to_owned(), decoder, layout });
    Ok(Some(Opened { size: [layout.width, height], channels, source }))
}

/// The decoder, the height, and how pixels lie if that is something that is read by rows.
fn read_header(file: File) -> TiffResult<(Decoder<BufReader<File>>, u32, Option<Layout>)> {
    let mut limits = Limits::default();
    limits.ifd_value_size = LONGEST_LIST;
    let mut decoder = Decoder::new(BufReader::new(file))?.with_limits(limits);
    let (width, height) = decoder.dimensions()?;
    let colour = decoder.colortype()?;
    let is_number = match colour {
        ColorType::Gray(8 | 16) | ColorType::GrayA(8 | 16) => is_of(&mut decoder, Tag::SampleFormat, 1)?,
        ColorType::RGB(8 | 16) | ColorType::RGBA(8 | 16) => is_of(&mut decoder, Tag::SampleFormat, 1)?,
        ColorType::RGB(32) | ColorType::RGBA(32) => is_of(&mut decoder, Tag::SampleFormat, 3)?,
        _ => false,
    };
    let is_plain = is_of(&mut decoder, Tag::PlanarConfiguration, 1)? && is_of(&mut decoder, Tag::Orientation, 1)?;
    let chunk = decoder.chunk_dimensions();
    let is_sound = width > 0 && height > 0 && chunk.0 > 0 && chunk.1 > 0;
    let layout = (is_number && is_plain && is_sound).then(|| Layout {
        width,
        chunk: match decoder.get_chunk_type() {
            ChunkType::Strip => [width, chunk.1.min(height)],
            ChunkType::Tile => chunk.into(),
        },
        stored: usize::from(colour.num_samples()),
        bytes_of_a_number: u64::from(colour.bit_depth() / 8),
    });
    Ok((decoder, height, layout))
}

/// Whether all numbers of a tag are `expected`, which must also be what a missing tag means, or 1.
fn is_of(decoder: &mut Decoder<BufReader<File>>, tag: Tag, expected: u16) -> TiffResult<bool> {
    let found = decoder.find_tag_unsigned_vec::<u16>(tag)?.unwrap_or_else(|| vec![1]);
    Ok(found.iter().all(|v| *v == expected))
}

impl Layout {
    fn bytes_of_a_chunk(&self) -> u64 {
        u64::from(self.chunk[0]) * u64::from(self.chunk[1]) * self.stored as u64 * self.bytes_of_a_number
    }
}

impl Source for TiffRows {
    fn append(&mut self, first: u32, count: u32, out: &mut Vec<f32>) -> Result<()> {
        let Layout { width, chunk: [chunk_width, chunk_height], stored, .. } = self.layout;
        let per_row = width as usize * stored;
        let mut rows = vec![0.0; count as usize * per_row];
        let across = width.div_ceil(chunk_width);
        for down in first / chunk_height..=(first + count - 1) / chunk_height {
            for index in down * across..(down + 1) * across {
                let ([columns, lines], values) = self.chunk(index)?;
                let own = columns as usize * stored;
                let left = (index % across * chunk_width) as usize * stored;
                for line in 0..lines {
                    let y = down * chunk_height + line;
                    if (first..first + count).contains(&y) {
                        rows[(y - first) as usize * per_row + left..][..own]
                            .copy_from_slice(&values[line as usize * own..][..own]);
                    }
                }
            }
        }
        if stored == 2 {
            out.extend(rows.as_chunks::<2>().0.iter().flat_map(|[grey, alpha]| [*grey, *grey, *grey, *alpha]));
        } else {
            out.append(&mut rows);
        }
        Ok(())
    }

    fn held_bytes(&self) -> u64 {
        // A chunk as it lies in the file and as floats.
        self.layout.bytes_of_a_chunk() * (1 + 4 / self.layout.bytes_of_a_number)
    }
}

impl TiffRows {
    /// Width and height of the part of a chunk that lies in the picture, and its numbers.
    fn chunk(&mut self, index: u32) -> Result<([u32; 2], Vec<f32>)> {
        let decoded = self.decoder.read_chunk(index).map_err(|e| damaged(&self.path, "TIFF", &e))?;
        let (columns, lines) = self.decoder.chunk_data_dimensions(index);
        let values: Vec<f32> = match decoded {
            DecodingResult::U8(values) => values.into_iter().map(|v| f32::from(v) / 255.0).collect(),
            DecodingResult::U16(values) => values.into_iter().map(|v| f32::from(v) / 65_535.0).collect(),
            DecodingResult::F32(mut values) => {
                encode_colours(&mut values, self.layout.stored);
                values
            }
            _ => return Err(damaged(&self.path, "TIFF", &"its numbers are not of the kind that its header names")),
        };
        let expected = columns as usize * lines as usize * self.layout.stored;
        if values.len() < expected {
            return Err(damaged(&self.path, "TIFF", &format!("its piece {index} is too short")));
        }
        Ok(([columns, lines], values))
    }
}
