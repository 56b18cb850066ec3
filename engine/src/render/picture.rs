//! From planes of numbers to pictures.

use rayon::prelude::*;
use tessera_datasets::image::Image8;
use tessera_kernels::splat::Rendering;

/// The colours of a rendering.
pub fn to_image(rendering: &Rendering) -> Image8 {
    from_planes(&rendering.rgb, rendering.width, rendering.height)
}

/// The picture of the planes `[3, H, W]`, clamped to [0, 1].
///
/// # Panics
/// When the planes are not of that size.
pub fn from_planes(rgb: &[f32], width: usize, height: usize) -> Image8 {
    let plane = width * height;
    assert_eq!(rgb.len(), 3 * plane, "the planes of a {width}x{height} picture");
    let mut image = Image8::new(width as u32, height as u32, 3);
    image.data.par_chunks_exact_mut(3).with_min_len(1 << 14).enumerate().for_each(|(i, pixel)| {
        for (channel, value) in pixel.iter_mut().enumerate() {
            *value = to_u8(rgb[channel * plane + i]);
        }
    });
    image
}

/// The picture of one plane `[H, W]` of values in [0, 1], in grey.
pub(super) fn from_plane(values: impl Iterator<Item = f32>, width: usize, height: usize) -> Image8 {
    let mut image = Image8::new(width as u32, height as u32, 3);
    for (pixel, value) in image.data.chunks_exact_mut(3).zip(values) {
        pixel.fill(to_u8(value));
    }
    image
}

/// The absolute difference of two pictures of one size, three times as strong so that it is seen.
pub fn difference(a: &Image8, b: &Image8) -> Image8 {
    let data = a.data.iter().zip(&b.data).map(|(&a, &b)| a.abs_diff(b).saturating_mul(3)).collect();
    Image8 { data, ..*a }
}

/// Pictures of one size side by side, from left to right.
///
/// # Panics
/// When they differ in size.
pub fn beside(pictures: &[Image8]) -> Image8 {
    let Some(first) = pictures.first() else { return Image8::new(0, 0, 3) };
    let row = first.width as usize * usize::from(first.channels);
    assert!(pictures.iter().all(|p| p.data.len() == first.data.len() && p.width == first.width), "of one size");
    let mut data = Vec::with_capacity(pictures.len() * first.data.len());
    for y in 0..first.height as usize {
        pictures.iter().for_each(|p| data.extend_from_slice(&p.data[y * row..(y + 1) * row]));
    }
    Image8 { width: first.width * pictures.len() as u32, data, ..*first }
}

fn to_u8(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8 // NaN becomes 0
}
