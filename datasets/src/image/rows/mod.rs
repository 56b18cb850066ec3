//! Pictures in the precision of their files, some rows at a time: gigapixels pass through little memory.
//!
//! - [`RowReader`] reads them; `png`, `exr` and `tiff` decode what is asked for, `whole` the formats that have no rows before their end.
//! - [`write_rows`] writes PNG and EXR as rows come.

mod exr;
mod png;
mod tiff;
mod whole;
mod write;

use super::{decode, srgb_from_linear};
use crate::{DataError, Result};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use write::write_rows;

/// The widest picture that is believed, in pixels.
const WIDEST: u32 = 4_000_000;

/// Reads a picture from top to bottom. PNG, EXR and TIFF files are decoded as rows are asked for, whatever their size; others, and interlaced PNG,
/// at the first row: [`held_bytes`](Self::held_bytes) tells what that needs.
pub struct RowReader {
    path: PathBuf,
    opened: Opened,
    next: u32,
}

/// A picture of which the header is read.
struct Opened {
    /// Width and height.
    size: [u32; 2],
    /// 1 (grey), 3 (red, green, blue) or 4 (with straight alpha).
    channels: usize,
    source: Box<dyn Source>,
}

/// Where rows come from.
trait Source {
    /// Appends the rows from `first` on, `[count, width, channels]`. Rows are asked for in order; some may be left out.
    fn append(&mut self, first: u32, count: u32, out: &mut Vec<f32>) -> Result<()>;

    /// Bytes that are held beside the rows that were asked for.
    fn held_bytes(&self) -> u64;
}

impl RowReader {
    /// Opens a picture: PNG, JPEG, WebP, TIFF, BMP or EXR.
    ///
    /// # Errors
    /// When the file is missing, no such picture, or damaged at its beginning.
    pub fn open(path: &Path) -> Result<Self> {
        use image::ImageFormat::{OpenExr, Png, Tiff};
        let mut start = Vec::new();
        let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
        read.map_err(|e| unreadable(path, &e))?;
        let format = decode::format_of(&start, path)?;
        let by_rows = match format {
            Png => png::open(path)?,
            OpenExr => Some(exr::open(path)?),
            Tiff => tiff::open(path)?,
            _ => None,
        };
        let opened = by_rows.map_or_else(|| whole::open(path, format), Ok)?;
        check_width(opened.size[0], path)?;
        Ok(Self { path: path.to_owned(), opened, next: 0 })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [u32; 2] {
        self.opened.size
    }

    /// 1 (grey), 3 (red, green, blue) or 4 (with straight alpha).
    pub fn channels(&self) -> usize {
        self.opened.channels
    }

    /// Bytes of memory that are held while rows are read, beside the rows themselves: the whole picture where its format must be decoded at once.
    pub fn held_bytes(&self) -> u64 {
        self.opened.source.held_bytes()
    }

    /// Leaves out the next `count` rows.
    pub fn skip(&mut self, count: u32) {
        self.next = self.opened.size[1].min(self.next.saturating_add(count));
    }

    /// The next `count` rows, `[count, width, channels]`: sRGB-encoded colours, 1 for white; what is brighter follows the same curve. Fewer at the
    /// end of the picture.
    ///
    /// # Errors
    /// When the file is damaged or ends too early, or a pixel is not a number.
    pub fn rows(&mut self, count: u32) -> Result<Vec<f32>> {
        let Opened { size: [width, height], channels, source } = &mut self.opened;
        let count = count.min(*height - self.next);
        let per_row = *width as usize * *channels;
        let mut out = Vec::with_capacity(count as usize * per_row);
        if count > 0 {
            source.append(self.next, count, &mut out)?;
        }
        if out.len() != count as usize * per_row {
            return Err(DataError::new(&self.path, "ends before its last row").remedy("copy it again from its source"));
        }
        if let Some(i) = out.iter().position(|v| !v.is_finite()) {
            let (x, y) = (i / *channels % *width as usize, i / per_row + self.next as usize);
            return Err(DataError::new(
                &self.path,
                format!("has a value at pixel ({x}, {y}) that is not a finite number"),
            )
            .remedy("replace such values, for example by 0"));
        }
        self.next += count;
        Ok(out)
    }
}

fn check_width(width: u32, path: &Path) -> Result<()> {
    if width <= WIDEST {
        return Ok(());
    }
    Err(DataError::new(path, format!("claims to be {width} pixels wide")).remedy("cut it into pieces"))
}

/// Linear light to sRGB as [`srgb_from_linear`], and on above white; below black as a mirror.
fn srgb_beyond_white(linear: f32) -> f32 {
    let magnitude = linear.abs();
    let encoded = if magnitude > 1.0 { 1.055 * magnitude.powf(1.0 / 2.4) - 0.055 } else { srgb_from_linear(magnitude) };
    encoded.copysign(linear)
}

/// Encodes the colours of pixels of 1, 3 or 4 channels in place; alpha stays.
fn encode_colours(pixels: &mut [f32], channels: usize) {
    for pixel in pixels.chunks_exact_mut(channels) {
        pixel[..channels.min(3)].iter_mut().for_each(|v| *v = srgb_beyond_white(*v));
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> DataError {
    DataError::new(path, format!("cannot be read ({error})")).remedy("check that the file is there and may be read")
}

fn damaged(path: &Path, kind: &str, error: &dyn std::fmt::Display) -> DataError {
    DataError::new(path, format!("is a damaged or truncated {kind} image ({error})"))
        .remedy("copy it again from its source")
}

#[cfg(test)]
mod tests;
