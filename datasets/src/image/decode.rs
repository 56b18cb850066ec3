//! Bytes of image files to pixels: the right way up, one clear sentence when they are damaged.

use super::{DepthImage, Image8, MAX_PIXELS, Mask8, exr, srgb_from_linear};
use crate::files::Files;
use crate::{DataError, Result};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use std::path::Path;

/// The size of a header that holds the dimensions of almost every photo: EXIF data with a thumbnail is smaller.
const HEADER_BYTES: u64 = 256 * 1024;
/// What ends a JPEG image.
const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];

/// Decodes a photo or render: PNG (8 and 16 bits, grey, palette), JPEG, WebP, TIFF, BMP, or EXR (linear light, sRGB-
/// encoded here and clamped). EXIF orientation is applied. `path` is for messages only.
///
/// # Errors
/// When the bytes are no such image, are truncated or damaged, or the image has more than [`MAX_PIXELS`].
pub fn decode(bytes: &[u8], path: &Path) -> Result<Image8> {
    match format_of(bytes, path)? {
        ImageFormat::OpenExr => exr::decode(bytes, path),
        format => Ok(image8(decode_dynamic(bytes, format, path, MAX_PIXELS)?)),
    }
}

/// Decodes a mask: the luminance of any image that [`decode`] reads, times its alpha where it has one.
///
/// # Errors
/// As [`decode`].
pub fn decode_mask(bytes: &[u8], path: &Path) -> Result<Mask8> {
    let image = match format_of(bytes, path)? {
        ImageFormat::OpenExr => rgb_or_rgba(exr::decode(bytes, path)?, path)?,
        format => decode_dynamic(bytes, format, path, MAX_PIXELS)?,
    };
    let (width, height) = (image.width(), image.height());
    let data = if image.color().has_alpha() {
        let opaque = |pixel: &[u8]| ((u16::from(pixel[0]) * u16::from(pixel[1]) + 127) / 255) as u8;
        image.into_luma_alpha8().as_raw().chunks_exact(2).map(opaque).collect()
    } else {
        image.into_luma8().into_raw()
    };
    Ok(Mask8 { width, height, data })
}

/// Decodes depth: a 16-bit grey PNG or TIFF, or an EXR or TIFF of floats, times `scale`. Values that are not positive and
/// finite become 0, which means unknown.
///
/// # Errors
/// As [`decode`], and when the image has 8 bits per channel, which is a picture of depth rather than depth.
pub fn decode_depth(bytes: &[u8], path: &Path, scale: f64) -> Result<DepthImage> {
    let (width, height, mut data) = match format_of(bytes, path)? {
        ImageFormat::OpenExr => exr::decode_depth(bytes, path)?,
        format => {
            let image = decode_dynamic(bytes, format, path, MAX_PIXELS)?;
            let (width, height) = (image.width(), image.height());
            let values = match image {
                DynamicImage::ImageLuma16(pixels) => pixels.as_raw().iter().map(|&v| f32::from(v)).collect(),
                DynamicImage::ImageRgb32F(pixels) => pixels.pixels().map(|p| p.0[0]).collect(),
                other => {
                    let reason = format!("cannot hold depth: it has the pixel type {:?}", other.color());
                    return Err(DataError::new(path, reason).remedy("store depth as a 16-bit grey PNG or an EXR"));
                }
            };
            (width, height, values)
        }
    };
    for value in &mut data {
        let scaled = (f64::from(*value) * scale) as f32;
        *value = if scaled.is_finite() && scaled > 0.0 { scaled } else { 0.0 };
    }
    Ok(DepthImage { width, height, data })
}

/// Width and height of an image, upright, from its header. `bytes` may be the beginning of a file.
///
/// # Errors
/// As [`decode`], and when `bytes` ends before the header does.
pub fn dimensions(bytes: &[u8], path: &Path) -> Result<(u32, u32)> {
    let format = format_of(bytes, path)?;
    if format == ImageFormat::OpenExr {
        return exr::dimensions(bytes, path);
    }
    let mut decoder = open(bytes, format, path, MAX_PIXELS)?;
    let (width, height) = decoder.dimensions();
    let sideways = is_quarter_turn(orientation(&mut decoder, bytes, format));
    Ok(if sideways { (height, width) } else { (width, height) })
}

/// How the pixels of an image are turned by a quarter to be upright, mirrored or not; `None` when they keep their shape.
///
/// # Errors
/// As [`dimensions`].
pub(super) fn quarter_turn(bytes: &[u8], path: &Path) -> Result<Option<Orientation>> {
    let format = format_of(bytes, path)?;
    if format == ImageFormat::OpenExr {
        return Ok(None);
    }
    let mut decoder = open(bytes, format, path, MAX_PIXELS)?;
    Ok(Some(orientation(&mut decoder, bytes, format)).filter(|&orientation| is_quarter_turn(orientation)))
}

fn is_quarter_turn(orientation: Orientation) -> bool {
    match orientation {
        Orientation::NoTransforms | Orientation::Rotate180 => false,
        Orientation::FlipHorizontal | Orientation::FlipVertical => false,
        Orientation::Rotate90 | Orientation::Rotate270 => true,
        Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => true,
    }
}

/// [`dimensions`] of a file, of which only the beginning is read when that is enough.
///
/// # Errors
/// As [`dimensions`], and when the file is missing or unreadable.
pub fn file_dimensions(files: &Files, rel: &str) -> Result<(u32, u32)> {
    let path = files.display_path(rel);
    let header = files.read_prefix(rel, HEADER_BYTES)?;
    match dimensions(&header, &path) {
        Err(_) if header.len() as u64 == HEADER_BYTES => dimensions(&files.read(rel)?, &path),
        result => result,
    }
}

pub(super) fn too_large(path: &Path, width: u64, height: u64, most: u64) -> DataError {
    let reason = format!("claims to have {width}x{height} pixels, more than {} million", most / 1_000_000);
    DataError::new(path, reason).remedy("split or downscale it if that is true")
}

pub(super) fn format_of(bytes: &[u8], path: &Path) -> Result<ImageFormat> {
    use ImageFormat::{Bmp, Jpeg, OpenExr, Png, Tiff, WebP};
    if bytes.is_empty() {
        return Err(DataError::new(path, "is empty").remedy("copy it again from its source"));
    }
    match image::guess_format(bytes) {
        Ok(format @ (Png | Jpeg | WebP | Tiff | Bmp | OpenExr)) => Ok(format),
        _ => Err(DataError::new(path, "is not an image in a supported format or is damaged at its beginning")
            .remedy("use PNG, JPEG, WebP, TIFF, BMP or EXR")),
    }
}

/// A decoder whose image has at most so many pixels.
fn open<'a>(bytes: &'a [u8], format: ImageFormat, path: &Path, most: u64) -> Result<impl ImageDecoder + 'a> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    // 16 bits of four channels for the largest image, and the same again for the decoder's own buffers.
    limits.max_alloc = Some(most * 8 * 2);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|e| undecodable(path, format, &e))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > most {
        return Err(too_large(path, width.into(), height.into(), most));
    }
    if width == 0 || height == 0 {
        return Err(DataError::new(path, "has no pixels").remedy("replace or remove it"));
    }
    Ok(decoder)
}

/// What the header of an image tells.
pub(super) struct Header {
    /// Width and height, upright.
    pub(super) size: [u32; 2],
    pub(super) colour: ColorType,
    /// What decoding needs beside the bytes of the file.
    pub(super) decoding_bytes: u64,
}

/// Reads the header of an image other than EXR with at most so many pixels.
///
/// # Errors
/// As [`decode`].
pub(super) fn header(bytes: &[u8], format: ImageFormat, path: &Path, most: u64) -> Result<Header> {
    let mut decoder = open(bytes, format, path, most)?;
    let ((width, height), pixels) = (decoder.dimensions(), decoder.total_bytes());
    let orientation = orientation(&mut decoder, bytes, format);
    let size = if is_quarter_turn(orientation) { [height, width] } else { [width, height] };
    // A turned picture is made beside the one that was decoded; progressive files keep 16 bits for each number until their end.
    let turned = if orientation == Orientation::NoTransforms { 0 } else { pixels };
    let is_progressive = format == ImageFormat::Jpeg && jpeg_scan(bytes).is_some_and(|(progressive, _)| progressive);
    let coefficients = if is_progressive { 2 * pixels } else { 0 };
    Ok(Header { size, colour: decoder.color_type(), decoding_bytes: pixels + turned + coefficients })
}

/// Decodes an image other than EXR with at most so many pixels, upright.
///
/// # Errors
/// As [`decode`].
pub(super) fn decode_dynamic(bytes: &[u8], format: ImageFormat, path: &Path, most: u64) -> Result<DynamicImage> {
    let mut decoder = open(bytes, format, path, most)?;
    // The decoder fills the missing part of a truncated JPEG with grey, which nobody would want to train on.
    let is_complete = |(_, scan): (bool, &[u8])| scan.windows(2).any(|pair| pair == END_OF_IMAGE);
    if format == ImageFormat::Jpeg && !jpeg_scan(bytes).is_some_and(is_complete) {
        return Err(DataError::new(path, "is a truncated JPEG image").remedy("copy it again from its source"));
    }
    let orientation = orientation(&mut decoder, bytes, format);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| undecodable(path, format, &e))?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// How the stored image must be turned to be upright. Damaged EXIF data counts as none, as it does in viewers.
fn orientation(decoder: &mut impl ImageDecoder, bytes: &[u8], format: ImageFormat) -> Orientation {
    let found = if format == ImageFormat::Tiff {
        // In TIFF the tag belongs to the image itself, where the decoder does not look.
        let exif = ::exif::Reader::new().read_from_container(&mut Cursor::new(bytes)).ok();
        let value = exif.and_then(|e| e.get_field(::exif::Tag::Orientation, ::exif::In::PRIMARY)?.value.get_uint(0));
        value.and_then(|v| Orientation::from_exif(u8::try_from(v).ok()?))
    } else {
        decoder.orientation().ok()
    };
    found.unwrap_or(Orientation::NoTransforms)
}

/// Whether a JPEG image is progressive, and what follows the start of its first scan. Segments before it are stepped over, since thumbnails in them
/// have their own.
fn jpeg_scan(bytes: &[u8]) -> Option<(bool, &[u8])> {
    const PROGRESSIVE_FRAME: u8 = 0xC2;
    const START_OF_SCAN: u8 = 0xDA;
    let mut rest = bytes.get(2..)?;
    let mut is_progressive = false;
    loop {
        match *rest {
            [0xFF, 0xFF, ..] => rest = &rest[1..],
            [0xFF, START_OF_SCAN, ..] => return Some((is_progressive, rest)),
            [0xFF, marker, high, low, ..] => {
                is_progressive |= marker == PROGRESSIVE_FRAME;
                let length = usize::from(u16::from_be_bytes([high, low]));
                rest = rest.get(2 + length..)?;
            }
            // Stray bytes between segments: decoders skip them.
            [_, ..] => rest = &rest[1..],
            [] => return None,
        }
    }
}

fn image8(image: DynamicImage) -> Image8 {
    let (width, height) = (image.width(), image.height());
    let linear = |v: &f32| (255.0 * srgb_from_linear(*v) + 0.5) as u8;
    let (channels, data) = match image {
        DynamicImage::ImageRgb8(pixels) => (3, pixels.into_raw()),
        DynamicImage::ImageRgba8(pixels) => (4, pixels.into_raw()),
        DynamicImage::ImageRgb32F(pixels) => (3, pixels.as_raw().iter().map(linear).collect()),
        DynamicImage::ImageRgba32F(pixels) => {
            let straight = |p: &[f32]| [linear(&p[0]), linear(&p[1]), linear(&p[2]), (255.0 * p[3] + 0.5) as u8];
            (4, pixels.as_raw().chunks_exact(4).flat_map(straight).collect())
        }
        other if other.color().has_alpha() => (4, other.into_rgba8().into_raw()),
        other => (3, other.into_rgb8().into_raw()),
    };
    Image8 { width, height, channels, data }
}

fn rgb_or_rgba(image: Image8, path: &Path) -> Result<DynamicImage> {
    let Image8 { width, height, channels, data } = image;
    let built = if channels == 4 {
        image::RgbaImage::from_raw(width, height, data).map(DynamicImage::from)
    } else {
        image::RgbImage::from_raw(width, height, data).map(DynamicImage::from)
    };
    built.ok_or_else(|| DataError::new(path, "has fewer pixels than its size").remedy("save it again"))
}

fn undecodable(path: &Path, format: ImageFormat, error: &ImageError) -> DataError {
    let name = format.extensions_str().first().map_or_else(String::new, |e| e.to_uppercase());
    // Decoders' own messages may run over several lines.
    let details = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    match error {
        ImageError::Unsupported(_) => {
            DataError::new(path, format!("is a {name} image of a kind that cannot be read ({details})"))
                .remedy("save it as an 8-bit PNG or JPEG")
        }
        ImageError::Limits(_) => {
            DataError::new(path, format!("needs too much memory to decode ({details})")).remedy("split or downscale it")
        }
        _ => DataError::new(path, format!("is a damaged or truncated {name} image ({details})"))
            .remedy("copy it again from its source"),
    }
}
