//! Decoding photos, masks and depth images, behind a bounded cache.
//!
//! - [`decode`], [`decode_mask`], [`decode_depth`]: PNG, JPEG, WebP, TIFF, BMP and EXR bytes to pixels, upright.
//! - [`dimensions`], [`file_dimensions`]: the size from the header alone.
//! - [`read_photo`]: one photo or frame of a video; [`ImageCache`]: the pixels of frames at a requested size, at most so many bytes of them; [`Prefetcher`].
//! - [`RowReader`], [`write_rows`]: pictures in the precision of their files, some rows at a time.
//! - [`save_png`], [`save_depth_png`], [`colour_map`]: pictures for people and other programs.
//!
//! All sizes are (width, height), all data is row-major from the top-left pixel.

mod cache;
mod decode;
mod exr;
mod resize;
mod rows;
mod save;
mod turn;

pub use cache::{FramePixels, ImageCache, Prefetcher, read_photo};
pub use decode::{decode, decode_depth, decode_mask, dimensions, file_dimensions};
pub use rows::{RowReader, write_rows};
pub use save::{colour_map, encode_jpeg, encode_png, save_depth_png, save_png};

/// The most pixels that an image may have; more is taken for a damaged header.
pub const MAX_PIXELS: u64 = 200_000_000;

/// A picture with 8 bits per channel: sRGB-encoded colours, straight (not premultiplied) alpha.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image8 {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// 3 (red, green, blue) or 4 (with alpha).
    pub channels: u8,
    /// `[height, width, channels]`.
    pub data: Vec<u8>,
}

impl Image8 {
    /// A black picture, fully transparent when it has alpha. `channels` is 3 or 4.
    pub fn new(width: u32, height: u32, channels: u8) -> Self {
        debug_assert!(channels == 3 || channels == 4);
        let data = vec![0; width as usize * height as usize * usize::from(channels)];
        Self { width, height, channels, data }
    }

    /// Whether there is an alpha channel.
    pub fn has_alpha(&self) -> bool {
        self.channels == 4
    }

    /// The channels of one pixel. Panics outside of the picture.
    pub fn pixel(&self, x: u32, y: u32) -> &[u8] {
        assert!(x < self.width && y < self.height, "pixel ({x}, {y}) of {}x{}", self.width, self.height);
        let channels = usize::from(self.channels);
        let start = (y as usize * self.width as usize + x as usize) * channels;
        &self.data[start..start + channels]
    }

    /// The picture at another size, each new pixel the mean of the area that it covers, weighted by alpha.
    #[must_use]
    pub fn resized(&self, width: u32, height: u32) -> Self {
        let data = resize::area(&self.data, (self.width, self.height), self.channels, (width, height));
        Self { width, height, channels: self.channels, data }
    }
}

/// A mask: 255 is kept, 0 is masked out, what lies between is a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask8 {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// `[height, width]`.
    pub data: Vec<u8>,
}

impl Mask8 {
    /// The mask at another size, each new pixel the mean of the area that it covers.
    #[must_use]
    pub fn resized(&self, width: u32, height: u32) -> Self {
        Self { width, height, data: resize::area(&self.data, (self.width, self.height), 1, (width, height)) }
    }
}

/// Depth along the camera's z axis, in world units; zero where it is unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthImage {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// `[height, width]`.
    pub data: Vec<f32>,
}

impl DepthImage {
    /// The depth at another size. The nearest value is taken: the mean across an edge lies on neither surface.
    #[must_use]
    pub fn resized(&self, width: u32, height: u32) -> Self {
        Self { width, height, data: resize::nearest(&self.data, (self.width, self.height), (width, height)) }
    }
}

/// Linear light in [0, 1] to the sRGB transfer curve (IEC 61966-2-1); values outside are clamped, NaN becomes 0.
pub fn srgb_from_linear(linear: f32) -> f32 {
    let linear = linear.max(0.0); // also turns NaN into 0
    if linear <= 0.003_130_8 { 12.92 * linear } else { (1.055 * linear.powf(1.0 / 2.4) - 0.055).min(1.0) }
}

#[cfg(test)]
mod tests;
