//! The images of a SOG scene: bytes in pixels, exactly as they were stored. No orientation, no premultiplied alpha.

use crate::files::Files;
use crate::{DataError, Result};
use image::{ColorType, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes that an image may have beside those of its pixels: headers, metadata.
const EXTRA_BYTES: u64 = 1 << 20;

/// An image file that has not been decoded.
pub(super) struct Encoded {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

/// A decoded image.
pub(super) struct Pixels {
    pub path: PathBuf,
    pub width: u32,
    pub height: u32,
    channels: usize,
    data: Vec<u8>,
}

impl Encoded {
    /// Reads an image that should have at most so many pixels.
    pub(super) fn read(files: &Files, name: &str, most_pixels: u64) -> Result<Self> {
        let path = files.display_path(name);
        // Noise in four channels, twice over: no encoder makes more of it.
        let limit = most_pixels.saturating_mul(8).saturating_add(EXTRA_BYTES);
        let bytes = files.read_prefix(name, limit.saturating_add(1))?;
        if bytes.len() as u64 > limit {
            let reason = format!("has more than {limit} bytes, too many for an image of {most_pixels} pixels");
            return Err(DataError::new(path, reason).remedy("export the scene again"));
        }
        Ok(Self { path, bytes })
    }

    /// The pixels, of which there must be `least_pixels` to `most_pixels`.
    pub(super) fn decode(&self, least_pixels: u64, most_pixels: u64) -> Result<Pixels> {
        let path = &self.path;
        let format = match image::guess_format(&self.bytes) {
            Ok(format @ (ImageFormat::WebP | ImageFormat::Png)) => format,
            _ => {
                let reason = "is neither a WebP nor a PNG image, or damaged at its beginning";
                return Err(DataError::new(path, reason).remedy("export the scene again"));
            }
        };
        let undecodable = |e: &dyn std::fmt::Display| {
            DataError::new(path, format!("cannot be decoded ({e})")).remedy("export the scene again")
        };
        let mut reader = ImageReader::with_format(Cursor::new(&self.bytes), format);
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(most_pixels.saturating_mul(16).saturating_add(EXTRA_BYTES));
        reader.limits(limits);
        let decoder = reader.into_decoder().map_err(|e| undecodable(&e))?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        if !(least_pixels..=most_pixels).contains(&pixels) {
            let limit = if pixels < least_pixels { "fewer than the" } else { "far more than the" };
            let reason = format!("has {width}x{height} pixels, {limit} {least_pixels} that are needed");
            return Err(DataError::new(path, reason).remedy("export the scene again"));
        }
        let channels = match decoder.color_type() {
            ColorType::Rgb8 => 3,
            ColorType::Rgba8 => 4,
            other => {
                let reason = format!("has pixels of type {other:?}, not 8-bit RGB or RGBA");
                return Err(DataError::new(path, reason).remedy("export the scene again"));
            }
        };
        let bytes = usize::try_from(decoder.total_bytes()).map_err(|e| undecodable(&e))?;
        let mut data = vec![0; bytes];
        decoder.read_image(&mut data).map_err(|e| undecodable(&e))?;
        Ok(Pixels { path: path.clone(), width, height, channels, data })
    }
}

impl Pixels {
    /// Red, green and blue of the pixels with these indices, row by row. They are within the image.
    pub(super) fn rgb(&self, range: Range<usize>) -> impl Iterator<Item = [u8; 3]> {
        self.pixels(range).map(|pixel| [pixel[0], pixel[1], pixel[2]])
    }

    /// All four channels. An image without alpha is opaque: encoders leave out what is 255 everywhere.
    pub(super) fn rgba(&self, range: Range<usize>) -> impl Iterator<Item = [u8; 4]> {
        self.pixels(range).map(|pixel| [pixel[0], pixel[1], pixel[2], pixel.get(3).copied().unwrap_or(255)])
    }

    fn pixels(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        self.data[range.start * self.channels..range.end * self.channels].chunks_exact(self.channels)
    }
}

/// An error about a splat's pixel in an image.
pub(super) fn bad_pixel(path: &Path, splat: usize, what: &str) -> DataError {
    DataError::new(path, format!("{what} at splat {splat}")).remedy("export the scene again")
}
