//! Formats that have no rows before their end, and unusual kinds of others: decoded at the first row that is asked for.

use super::{Opened, Source, encode_colours, unreadable};
use crate::Result;
use crate::image::decode::{self, decode_dynamic};
use image::{DynamicImage, ImageFormat};
use std::path::{Path, PathBuf};

/// The most pixels: as many as a JPEG file can have. Whether they fit into memory is for the caller to ask.
const MOST_PIXELS: u64 = 65_535 * 65_535;

struct Whole {
    path: PathBuf,
    format: ImageFormat,
    held_bytes: u64,
    row: usize,
    picture: Picture,
}

enum Picture {
    /// The bytes of the file.
    Encoded(Vec<u8>),
    Bytes(Vec<u8>),
    Words(Vec<u16>),
    /// In linear light.
    Linear(Vec<f32>, usize),
}

pub(super) fn open(path: &Path, format: ImageFormat) -> Result<Opened> {
    let bytes = std::fs::read(path).map_err(|e| unreadable(path, &e))?;
    let header = decode::header(&bytes, format, path, MOST_PIXELS)?;
    let channels = match (header.colour.has_alpha(), header.colour.has_color()) {
        (true, _) => 4,
        (false, true) => 3,
        (false, false) => 1,
    };
    // Decoders of some formats keep a copy of the file.
    let held_bytes = 2 * bytes.len() as u64 + header.decoding_bytes;
    let [width, _] = header.size;
    let row = width as usize * channels;
    let picture = Picture::Encoded(bytes);
    let source = Whole { path: path.to_owned(), format, held_bytes, row, picture };
    Ok(Opened { size: header.size, channels, source: Box::new(source) })
}

impl Source for Whole {
    fn append(&mut self, first: u32, count: u32, out: &mut Vec<f32>) -> Result<()> {
        if let Picture::Encoded(bytes) = &self.picture {
            self.picture = Picture::of(decode_dynamic(bytes, self.format, &self.path, MOST_PIXELS)?);
        }
        let range = first as usize * self.row..(first + count) as usize * self.row;
        match &self.picture {
            Picture::Encoded(_) => {}
            Picture::Bytes(values) => out.extend(values[range].iter().map(|v| f32::from(*v) / 255.0)),
            Picture::Words(values) => out.extend(values[range].iter().map(|v| f32::from(*v) / 65_535.0)),
            Picture::Linear(values, channels) => {
                let start = out.len();
                out.extend_from_slice(&values[range]);
                encode_colours(&mut out[start..], *channels);
            }
        }
        Ok(())
    }

    fn held_bytes(&self) -> u64 {
        self.held_bytes
    }
}

impl Picture {
    fn of(image: DynamicImage) -> Self {
        match image {
            DynamicImage::ImageLuma8(pixels) => Self::Bytes(pixels.into_raw()),
            DynamicImage::ImageRgb8(pixels) => Self::Bytes(pixels.into_raw()),
            DynamicImage::ImageRgba8(pixels) => Self::Bytes(pixels.into_raw()),
            DynamicImage::ImageLumaA8(_) => Self::Bytes(image.into_rgba8().into_raw()),
            DynamicImage::ImageLuma16(pixels) => Self::Words(pixels.into_raw()),
            DynamicImage::ImageRgb16(pixels) => Self::Words(pixels.into_raw()),
            DynamicImage::ImageRgba16(pixels) => Self::Words(pixels.into_raw()),
            DynamicImage::ImageLumaA16(_) => Self::Words(image.into_rgba16().into_raw()),
            other if other.color().has_alpha() => Self::Linear(other.into_rgba32f().into_raw(), 4),
            other => Self::Linear(other.into_rgb32f().into_raw(), 3),
        }
    }
}
