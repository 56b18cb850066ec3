//! Writing pictures: PNG, 16-bit depth PNG, and depth in colours for people to look at. Files appear whole or not at all.

use super::{DepthImage, Image8};
use crate::format::{Existing, write_atomically};
use crate::{DataError, Result};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use std::path::Path;

/// The picture as the bytes of a PNG file.
///
/// # Errors
/// When the picture has no pixels.
pub fn encode_png(image: &Image8) -> std::io::Result<Vec<u8>> {
    let colour = if image.has_alpha() { ExtendedColorType::Rgba8 } else { ExtendedColorType::Rgb8 };
    encode(&image.data, image.width, image.height, colour)
}

/// The picture as the bytes of a JPEG file of a quality from 1 to 100. Alpha is left out.
///
/// # Errors
/// When the picture has no pixels, or more than 65,535 on a side.
pub fn encode_jpeg(image: &Image8, quality: u8) -> std::io::Result<Vec<u8>> {
    let channels = if image.has_alpha() { 4 } else { 3 };
    let rgb: Vec<u8> = image.data.chunks_exact(channels).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .write_image(&rgb, image.width, image.height, ExtendedColorType::Rgb8)
        .map_err(std::io::Error::other)?;
    Ok(bytes)
}

/// Writes a PNG, replacing what is there.
///
/// # Errors
/// When the picture has no pixels or the file cannot be written.
pub fn save_png(path: impl AsRef<Path>, image: &Image8) -> Result<()> {
    save(path.as_ref(), encode_png(image))
}

/// Writes depth as a 16-bit grey PNG in steps of `scale` world units, replacing what is there: what
/// [`decode_depth`](super::decode_depth) reads with the same `scale`. Depth beyond 65535 steps becomes 0, unknown.
///
/// # Errors
/// When `scale` is not positive, the image has no pixels, or the file cannot be written.
pub fn save_depth_png(path: impl AsRef<Path>, depth: &DepthImage, scale: f64) -> Result<()> {
    if !(scale > 0.0 && scale.is_finite()) {
        return Err(
            DataError::new(path, format!("cannot hold depth in steps of {scale}")).remedy("choose steps above zero")
        );
    }
    let step = |&d: &f32| {
        let steps = (f64::from(d) / scale).round();
        if steps >= 1.0 && steps <= f64::from(u16::MAX) { steps as u16 } else { 0 }
    };
    let steps: Vec<u16> = depth.data.iter().map(step).collect();
    let encoded = encode(bytemuck::cast_slice(&steps), depth.width, depth.height, ExtendedColorType::L16);
    save(path.as_ref(), encoded)
}

fn save(path: &Path, encoded: std::io::Result<Vec<u8>>) -> Result<()> {
    let bytes = encoded
        .map_err(|e| DataError::new(path, format!("cannot be encoded as PNG ({e})")).remedy("give it pixels"))?;
    write_atomically(path, Existing::Replace, |out| out.write_all(&bytes))
}

fn encode(data: &[u8], width: u32, height: u32, colour: ExtendedColorType) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(data, width, height, colour)
        .map_err(std::io::Error::other)?;
    Ok(bytes)
}

/// Values in the Turbo colours (Mikhailov 2019), blue for `near` to red for `far`; black where they are 0 or not
/// finite. Without a range, the 2nd to the 98th percentile of what is there.
pub fn colour_map(values: &DepthImage, range: Option<[f32; 2]>) -> Image8 {
    let known = |v: f32| v.is_finite() && v != 0.0;
    let [near, far] = range.unwrap_or_else(|| {
        let mut sorted: Vec<f32> = values.data.iter().copied().filter(|&v| known(v)).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let at = |share: usize| sorted.get(sorted.len().saturating_sub(1) * share / 100).copied().unwrap_or(0.0);
        [at(2), at(98)]
    });
    let scale = if far > near { 1.0 / (far - near) } else { 0.0 };
    let colour = |&v: &f32| if known(v) { turbo(((v - near) * scale).clamp(0.0, 1.0)) } else { [0; 3] };
    let data = values.data.iter().flat_map(colour).collect();
    Image8 { width: values.width, height: values.height, channels: 3, data }
}

/// Polynomial fit of the Turbo map, `x` in [0, 1], by its author (Google, Apache-2.0).
fn turbo(x: f32) -> [u8; 3] {
    const COEFFICIENTS: [[f32; 6]; 3] = [
        [0.135_721_38, 4.615_392_60, -42.660_322_58, 132.131_082_34, -152.942_393_96, 59.286_379_43],
        [0.091_402_61, 2.194_188_39, 4.842_966_58, -14.185_033_33, 4.277_298_57, 2.829_566_04],
        [0.106_673_30, 12.641_946_08, -60.582_048_36, 110.362_767_71, -89.903_109_12, 27.348_249_73],
    ];
    COEFFICIENTS.map(|c| {
        let value = c.iter().rev().fold(0.0, |sum, c| sum * x + c);
        (255.0 * value + 0.5) as u8
    })
}
