//! Pictures in the precision of their files, some rows at a time.

use super::decode::{FloatImage, decode_float};
use super::srgb_from_linear;
use crate::format::{AtomicFile, Existing};
use crate::{DataError, Result};
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

/// The widest picture that is believed.
const WIDEST: u32 = 4_000_000;

/// Reads a picture from top to bottom. PNG files are decoded as rows are asked for, whatever their size; others at once, up to
/// [`MAX_PIXELS`](super::MAX_PIXELS).
pub struct RowReader {
    path: PathBuf,
    width: u32,
    height: u32,
    channels: usize,
    next: u32,
    source: Source,
}

enum Source {
    Png(Box<png::Reader<BufReader<File>>>),
    Whole(Vec<f32>),
}

impl RowReader {
    /// Opens a picture: PNG, JPEG, WebP, TIFF, BMP or EXR.
    ///
    /// # Errors
    /// When the file is missing, no such picture, or damaged at its beginning.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = || std::fs::read(path).map_err(|e| unreadable(path, &e));
        match png_reader(path)? {
            Some(reader) => Self::of_png(path, reader),
            None => {
                let FloatImage { width, height, channels, values } = decode_float(&bytes()?, path)?;
                let source = Source::Whole(values);
                Ok(Self { path: path.to_owned(), width, height, channels, next: 0, source })
            }
        }
    }

    fn of_png(path: &Path, reader: png::Reader<BufReader<File>>) -> Result<Self> {
        let (width, height) = (reader.info().width, reader.info().height);
        if width > WIDEST {
            return Err(DataError::new(path, format!("claims to be {width} pixels wide")).remedy("cut it into pieces"));
        }
        let channels = match reader.output_color_type().0 {
            png::ColorType::Grayscale => 1,
            png::ColorType::Rgb | png::ColorType::Indexed => 3,
            png::ColorType::GrayscaleAlpha | png::ColorType::Rgba => 4,
        };
        let source = Source::Png(Box::new(reader));
        Ok(Self { path: path.to_owned(), width, height, channels, next: 0, source })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [u32; 2] {
        [self.width, self.height]
    }

    /// 1 (grey), 3 (red, green, blue) or 4 (with straight alpha).
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The next `count` rows, `[count, width, channels]`: sRGB-encoded colours, 1 for white; what is brighter follows the same curve. Fewer at the
    /// end of the picture.
    ///
    /// # Errors
    /// When the file is damaged or ends too early, or a pixel is not a number.
    pub fn rows(&mut self, count: u32) -> Result<Vec<f32>> {
        let count = count.min(self.height - self.next);
        let per_row = self.width as usize * self.channels;
        let mut out = Vec::with_capacity(count as usize * per_row);
        match &mut self.source {
            Source::Whole(values) => {
                let first = self.next as usize * per_row;
                out.extend_from_slice(&values[first..][..count as usize * per_row]);
            }
            Source::Png(reader) => {
                for _ in 0..count {
                    append_row(reader, &mut out).map_err(|e| damaged(&self.path, &e))?;
                }
            }
        }
        if out.len() != count as usize * per_row {
            return Err(DataError::new(&self.path, "ends before its last row").remedy("copy it again from its source"));
        }
        if let Some(i) = out.iter().position(|v| !v.is_finite()) {
            let (x, y) = (i / self.channels % self.width as usize, i / per_row + self.next as usize);
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

/// A reader of rows; `None` for other formats, and for interlaced files, which have no rows before their end.
fn png_reader(path: &Path) -> Result<Option<png::Reader<BufReader<File>>>> {
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let mut file = BufReader::new(file);
    let is_png =
        std::io::BufRead::fill_buf(&mut file).map_err(|e| unreadable(path, &e))?.starts_with(b"\x89PNG\r\n\x1a\n");
    if !is_png {
        return Ok(None);
    }
    let mut decoder = png::Decoder::new(file);
    decoder.set_transformations(png::Transformations::EXPAND);
    let reader = decoder.read_info().map_err(|e| damaged(path, &e))?;
    Ok(Some(reader).filter(|r| !r.info().interlaced))
}

fn append_row(
    reader: &mut png::Reader<BufReader<File>>,
    out: &mut Vec<f32>,
) -> std::result::Result<(), png::DecodingError> {
    let (colour, depth) = reader.output_color_type();
    let Some(row) = reader.next_row()? else { return Ok(()) };
    let values: Vec<f32> = match depth {
        png::BitDepth::Sixteen => {
            row.data().as_chunks::<2>().0.iter().map(|b| f32::from(u16::from_be_bytes(*b)) / 65_535.0).collect()
        }
        _ => row.data().iter().map(|b| f32::from(*b) / 255.0).collect(),
    };
    match colour {
        png::ColorType::GrayscaleAlpha => {
            values.as_chunks::<2>().0.iter().for_each(|[grey, alpha]| out.extend([*grey, *grey, *grey, *alpha]));
        }
        _ => out.extend(values),
    }
    Ok(())
}

/// Writes a picture of `channels` 1, 3 or 4 from bands of whole rows, as [`RowReader::rows`] gives them: PNG of 8 or 16 bits as bands come, or
/// EXR at the end. The extension names the format.
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
        Some("exr") => {
            let values = bands.collect::<std::result::Result<Vec<_>, E>>()?.concat();
            Ok(write_exr(&mut file, size, channels, &values))
        }
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
fn write_exr(out: &mut AtomicFile, [width, height]: [u32; 2], channels: usize, values: &[f32]) -> std::io::Result<()> {
    use ::exr::prelude::{Image, SpecificChannels, WritableImage};
    let pixel = |p: ::exr::math::Vec2<usize>| {
        let at = (p.y() * width as usize + p.x()) * channels;
        let own = &values[at..at + channels];
        let linear = |c: usize| linear_from_srgb(own[if channels == 1 { 0 } else { c }]);
        let alpha = if channels == 4 { own[3] } else { 1.0 };
        (linear(0) * alpha, linear(1) * alpha, linear(2) * alpha, alpha)
    };
    let size = (width as usize, height as usize);
    let written = if channels == 4 {
        Image::from_channels(size, SpecificChannels::rgba(pixel)).write().to_buffered(out)
    } else {
        let opaque = |p| {
            let (r, g, b, _) = pixel(p);
            (r, g, b)
        };
        Image::from_channels(size, SpecificChannels::rgb(opaque)).write().to_buffered(out)
    };
    written.map_err(std::io::Error::other)
}

/// [`srgb_from_linear`] that goes on above white, and below black as a mirror.
pub(super) fn srgb_beyond_white(linear: f32) -> f32 {
    let magnitude = linear.abs();
    let encoded = if magnitude > 1.0 { 1.055 * magnitude.powf(1.0 / 2.4) - 0.055 } else { srgb_from_linear(magnitude) };
    encoded.copysign(linear)
}

fn linear_from_srgb(encoded: f32) -> f32 {
    let magnitude = encoded.abs();
    let linear = if magnitude <= 0.040_45 { magnitude / 12.92 } else { ((magnitude + 0.055) / 1.055).powf(2.4) };
    linear.copysign(encoded)
}

fn unreadable(path: &Path, error: &std::io::Error) -> DataError {
    DataError::new(path, format!("cannot be read ({error})")).remedy("check that the file is there and may be read")
}

fn damaged(path: &Path, error: &png::DecodingError) -> DataError {
    DataError::new(path, format!("is a damaged or truncated PNG image ({error})"))
        .remedy("copy it again from its source")
}
