//! Pictures: pixels as a function of their place.
//!
//! A picture is cut into tiles, each of which is fitted by itself: memory is bounded by the tile, whatever the size of the picture. Colours
//! are fitted as they are encoded for sRGB; what is brighter than white follows the same curve.

pub mod config;
mod fit;
mod kernels;
mod picture;

pub use config::{ImageConfig, preset};
pub use fit::fit_tile;
pub use picture::{Crop, ImageProgress, ImageReport, draw_picture, fit, fit_on, write_picture};

use serde::{Deserialize, Serialize};

/// Where a tile lies in its picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TileRect {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// Of the tile.
    pub width: u32,
    /// Of the tile.
    pub height: u32,
    /// Pixels along the unit square of the tile's field.
    pub side: u32,
}

/// Pixels of a tile.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// 1 (grey), 3 (red, green, blue) or 4 (with alpha).
    pub channels: usize,
    /// Pixels along the unit square, in which the tile's top left corner is the origin.
    pub side: u32,
    /// `[height, width, channels]`.
    pub values: Vec<f32>,
}

impl Pixels {
    /// The middle of pixel `i`, counted row by row, in the unit square.
    #[inline(always)]
    pub fn place(&self, i: usize) -> [f32; 2] {
        let (x, y) = (i % self.width as usize, i / self.width as usize);
        [x, y].map(|c| (c as f32 + 0.5) / self.side as f32)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.width as usize * self.height as usize
    }
}
