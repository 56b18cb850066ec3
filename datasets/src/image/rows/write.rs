//! Pictures written as their rows come.

use crate::DataError;
use crate::format::{AtomicFile, Existing};
use ::exr::block::writer::ChunksWriter;
use ::exr::block::{BlockIndex, UncompressedBlock, enumerate_ordered_header_block_indices};
use ::exr::meta::BlockDescription;
use ::exr::meta::attribute::{ChannelDescription, LineOrder, SampleType};
use ::exr::meta::header::{Header, LayerAttributes};
use ::exr::prelude::Compression;
use rayon::prelude::*;
use std::io::Write;
use std::path::Path;

/// Writes a picture of `channels` 1, 3 or 4 from bands of whole rows, as [`RowReader::rows`](super::RowReader::rows) gives
/// them: PNG of 8 or 16 bits, or EXR. The extension names the format.
///
/// # Errors
/// When the extension is neither png nor exr, a band fails, or the file cannot be written. Nothing is left behind then.
pub fn write_rows<E: From<DataError>>(
    path: &Path,
    size: [u32; 2],
    channels: usize,
    sixteen_bits: bool,
    existing: Existing,
    bands: impl Iterator<Item = std::result::Result<Vec<f32>, E>>,
) -> std::result::Result<(), E> {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let mut file = AtomicFile::create(path, existing)?;
    let written = match extension.to_str() {
        Some("png") => write_png(&mut file, size, channels, sixteen_bits, bands),
        Some("exr") => write_exr(&mut file, size, channels, bands),
        _ => {
            let refused = DataError::new(path, "is no picture that can be written").remedy("name a .png or .exr file");
            return Err(refused.into());
        }
    };
    written?.map_err(|e| file.unwritable(&e))?;
    Ok(file.commit()?)
}

/// A failure of a band, or else one of the disk.
type Written<E> = std::result::Result<std::io::Result<()>, E>;

fn write_png<E>(
    out: &mut AtomicFile,
    size: [u32; 2],
    channels: usize,
    sixteen_bits: bool,
    bands: impl Iterator<Item = std::result::Result<Vec<f32>, E>>,
) -> Written<E> {
    let mut encoder = png::Encoder::new(out, size[0], size[1]);
    encoder.set_color(match channels {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    encoder.set_depth(if sixteen_bits { png::BitDepth::Sixteen } else { png::BitDepth::Eight });
    encoder.set_compression(png::Compression::Fast);
    let mut writer = match encoder.write_header() {
        Ok(writer) => writer,
        Err(e) => return Ok(Err(std::io::Error::other(e))),
    };
    let mut stream = match writer.stream_writer() {
        Ok(stream) => stream,
        Err(e) => return Ok(Err(std::io::Error::other(e))),
    };
    for band in bands {
        let band = band?;
        let bytes: Vec<u8> = if sixteen_bits {
            band.iter().flat_map(|v| ((65_535.0 * v.clamp(0.0, 1.0)).round() as u16).to_be_bytes()).collect()
        } else {
            band.iter().map(|v| (255.0 * v.clamp(0.0, 1.0)).round() as u8).collect()
        };
        if let Err(e) = stream.write_all(&bytes) {
            return Ok(Err(e));
        }
    }
    let ended = stream.finish().and_then(|()| writer.finish());
    Ok(ended.map_err(std::io::Error::other))
}

/// EXR keeps linear light, and colours premultiplied.
fn write_exr<E>(
    out: &mut AtomicFile,
    [width, height]: [u32; 2],
    channels: usize,
    bands: impl Iterator<Item = std::result::Result<Vec<f32>, E>>,
) -> Written<E> {
    // In the order of the alphabet, as the format wants them.
    let names: &[&str] = if channels == 4 { &["A", "B", "G", "R"] } else { &["B", "G", "R"] };
    let described = names.iter().map(|name| ChannelDescription::named(*name, SampleType::F32)).collect();
    let header = Header::new("".into(), (width as usize, height as usize), described)
        .with_attributes(LayerAttributes::default())
        .with_encoding(Compression::ZIP16, BlockDescription::ScanLines, LineOrder::Increasing);
    let per_row = width as usize * channels;
    let mut failed = None;
    let written = ::exr::block::write(out, std::iter::once(header).collect(), true, |meta, chunks| {
        let mut blocks = enumerate_ordered_header_block_indices(&meta.headers).peekable();
        let mut rows: Vec<f32> = Vec::new();
        for band in bands {
            match band {
                Ok(band) => rows.extend(band),
                Err(e) => {
                    failed = Some(e);
                    return Err(::exr::error::Error::Aborted);
                }
            }
            let mut ready = Vec::new();
            let mut used = 0;
            while let Some(block) = blocks.next_if(|(_, b)| used + b.pixel_size.height() * per_row <= rows.len()) {
                let start = used;
                used += block.1.pixel_size.height() * per_row;
                ready.push((block, &rows[start..used]));
            }
            let compressed: Vec<_> = ready
                .into_par_iter()
                .map(|((number, place), own)| (number, block(place, &meta.headers[0], own, channels)))
                .map(|(number, block)| Ok((number, block.compress_to_chunk(&meta.headers)?)))
                .collect::<::exr::error::Result<_>>()?;
            for (number, chunk) in compressed {
                chunks.write_chunk(number, chunk)?;
            }
            rows.drain(..used);
        }
        Ok(())
    });
    match failed {
        Some(e) => Err(e),
        None => Ok(written.map_err(std::io::Error::other)),
    }
}

/// Some whole rows, `[height, width, channels]`, as a block of a file.
fn block(place: BlockIndex, header: &Header, rows: &[f32], channels: usize) -> UncompressedBlock {
    let width = place.pixel_size.width();
    let first = place.pixel_position.y();
    // The file's channels, from alpha or blue to red, as those of a row.
    let from = |channel: usize| match channels {
        4 => 3 - channel,
        3 => 2 - channel,
        _ => 0,
    };
    UncompressedBlock::from_lines(&header.channels, place, |line| {
        let source = from(line.location.channel);
        let row = &rows[(line.location.position.y() - first) * width * channels..][..width * channels];
        let values = line.value.as_chunks_mut::<4>().0;
        for (value, pixel) in values.iter_mut().zip(row.chunks_exact(channels)) {
            let alpha = if channels == 4 { pixel[3] } else { 1.0 };
            let number = if source == 3 { alpha } else { linear_from_srgb(pixel[source]) * alpha };
            *value = number.to_ne_bytes();
        }
    })
}

fn linear_from_srgb(encoded: f32) -> f32 {
    let magnitude = encoded.abs();
    let linear = if magnitude <= 0.040_45 { magnitude / 12.92 } else { ((magnitude + 0.055) / 1.055).powf(2.4) };
    linear.copysign(encoded)
}
