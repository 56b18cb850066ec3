//! One tile of the picture and the rows of it that a splat touches.

use super::Record;
use crate::simd::Lanes;

/// Pixels across a tile. A row is processed in groups of eight pixels.
pub(super) const WIDTH: usize = 32;
/// Pixels down a tile. The state of a tile (six planes in the backward pass) fits in 32 KiB.
pub(super) const HEIGHT: usize = 16;
/// Groups of eight pixels in a row.
pub(super) const GROUPS: usize = WIDTH / 8;
/// Pixels of a tile.
pub(super) const PIXELS: usize = WIDTH * HEIGHT;

/// One plane of a tile's state.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Plane(pub [f32; PIXELS]);

impl Plane {
    pub const ZERO: Self = Self([0.0; PIXELS]);

    #[inline(always)]
    pub fn pointer(&mut self) -> *mut f32 {
        self.0.as_mut_ptr()
    }
}

/// Where a tile lies in the picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileRect {
    pub x: usize,
    pub y: usize,
    /// Pixels inside the picture; less than a tile at the right and lower borders.
    pub width: usize,
    pub height: usize,
}

impl TileRect {
    pub fn new(index: usize, across: usize, picture: (usize, usize)) -> Self {
        let (x, y) = (index % across * WIDTH, index / across * HEIGHT);
        Self { x, y, width: (picture.0 - x).min(WIDTH), height: (picture.1 - y).min(HEIGHT) }
    }

    /// For each row a bit for each group of eight pixels that lies in the picture.
    pub fn groups(&self) -> [u32; HEIGHT] {
        let row = (1u32 << self.width.div_ceil(8)) - 1;
        std::array::from_fn(|y| if y < self.height { row } else { 0 })
    }

    /// Copies this tile's part of a picture's plane into `out`, zero outside the picture.
    #[inline(always)]
    pub fn load(&self, plane: &[f32], stride: usize, out: &mut Plane) {
        for row in 0..self.height {
            let source = &plane[(self.y + row) * stride + self.x..][..self.width];
            let target = &mut out.0[row * WIDTH..][..WIDTH];
            target[..self.width].copy_from_slice(source);
            target[self.width..].fill(0.0);
        }
        out.0[self.height * WIDTH..].fill(0.0);
    }
}

/// For each row of the tile the groups of eight pixels in which the splat's alpha can reach 1/255: an exact test of
/// the ellipse against the row, rounded outwards by a hundredth of a pixel.
#[inline(always)]
pub(super) fn touched_groups<V: Lanes>(record: &Record, tile: &TileRect) -> [i32; HEIGHT] {
    const SLACK: f32 = 0.01;
    let mut out = [0; HEIGHT];
    let centre = V::all(record.mean[0] - tile.x as f32 - 0.5);
    let (shear, narrowing) = (V::all(record.shear), V::all(record.narrowing));
    let half_width_squared = V::all(record.half_width_squared);
    let (zero, one) = (V::all(0.0), V::all(1.0));
    for block in 0..HEIGHT / 8 {
        let dy = V::iota() + V::all((tile.y + 8 * block) as f32 + 0.5 - record.mean[1]);
        let squared = half_width_squared - narrowing * dy * dy;
        let half = squared.max(zero).sqrt() + V::all(SLACK);
        let middle = centre - shear * dy;
        let eighth = V::all(0.125);
        let first = ((middle - half).ceil() * eighth).floor().max(zero).min(V::all(GROUPS as f32));
        let last = ((middle + half).floor() * eighth).floor().min(V::all(GROUPS as f32 - 1.0)).max(-one);
        // Bits first..=last, as the float 2^(last + 1) - 2^first.
        let bits = V::power_of_two(last + one) - V::power_of_two(first);
        let touched = bits.masked(V::all(-SLACK).lt(squared) & first.le(last));
        out[8 * block..][..8].copy_from_slice(&touched.to_integers());
    }
    out
}
