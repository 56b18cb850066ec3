//! Quarter turns of masks and depth images, which carry no EXIF data of their own.

use super::{DepthImage, Mask8};
use image::metadata::Orientation;
use image::{ImageBuffer, Luma, Primitive, imageops};

impl Mask8 {
    /// The mask turned as a photo with this orientation is.
    pub(super) fn turned(self, orientation: Orientation) -> Self {
        let (width, height, data) = turned(self.width, self.height, self.data, orientation);
        Self { width, height, data }
    }
}

impl DepthImage {
    /// The depth turned as a photo with this orientation is.
    pub(super) fn turned(self, orientation: Orientation) -> Self {
        let (width, height, data) = turned(self.width, self.height, self.data, orientation);
        Self { width, height, data }
    }
}

/// Anything but a quarter turn leaves the pixels where they are.
fn turned<T: Primitive + 'static>(
    width: u32,
    height: u32,
    data: Vec<T>,
    orientation: Orientation,
) -> (u32, u32, Vec<T>) {
    let stored = ImageBuffer::<Luma<T>, _>::from_raw(width, height, data).unwrap_or_default();
    let upright = match orientation {
        Orientation::Rotate90 => imageops::rotate90(&stored),
        Orientation::Rotate270 => imageops::rotate270(&stored),
        Orientation::Rotate90FlipH => imageops::flip_horizontal(&imageops::rotate90(&stored)),
        Orientation::Rotate270FlipH => imageops::flip_horizontal(&imageops::rotate270(&stored)),
        _ => stored,
    };
    (upright.width(), upright.height(), upright.into_raw())
}
