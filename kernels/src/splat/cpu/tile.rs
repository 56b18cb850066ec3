//! One tile of the picture and the rows of it that a splat touches.

use super::Record;
use crate::simd::Lanes;
use tessera_camera::each;

/// Pixels across a tile. A row is processed in groups of eight pixels.
pub(super) const WIDTH: usize = 32;
/// Pixels down a tile.
pub(super) const HEIGHT: usize = 16;
/// Groups of eight pixels in a row.
const GROUPS: usize = WIDTH / 8;
/// Pixels of a tile. The state of a tile (six planes in the backward pass) takes 12 KiB.
pub(super) const PIXELS: usize = WIDTH * HEIGHT;
// The 64 groups of a tile are the bits of one number, row by row.
const _: () = assert!(PIXELS / 8 == u64::BITS as usize && GROUPS == 4);

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

    /// A bit for each group of eight pixels that lies in the picture.
    pub fn groups(&self) -> u64 {
        let row = (1u64 << self.width.div_ceil(8)) - 1;
        (0..self.height).fold(0, |groups, y| groups | row << (GROUPS * y))
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

/// A splat's part in one tile: which groups of eight pixels it touches, and alpha's exponent there.
pub(super) struct Coverage<V> {
    /// A bit for each group in which alpha can reach 1/255: an exact test of the ellipse against every row, rounded
    /// outwards by a hundredth of a pixel.
    pub groups: u64,
    a: V,
    /// Pixel centres relative to the mean, for each of the groups of a row.
    dx: [V; GROUPS],
    /// For each row: its centre relative to the mean, and the exponent's coefficient and constant.
    dy: [f32; HEIGHT],
    b2_dy: [f32; HEIGHT],
    constant: [f32; HEIGHT],
}

/// Eight pixels against one splat.
pub(super) struct Exponent<V> {
    pub dx: V,
    pub dy: V,
    /// log2 of alpha before its cap.
    pub log2_alpha: V,
}

impl<V: Lanes> Coverage<V> {
    #[inline(always)]
    pub fn new(record: &Record, tile: &TileRect) -> Self {
        let left = tile.x as f32 + 0.5 - record.mean[0];
        let first_dx = V::iota() + V::all(left);
        let mut out = Self {
            groups: 0,
            a: V::all(record.a),
            dx: each!(4, |g| first_dx + V::all(8.0 * g as f32)),
            dy: [0.0; HEIGHT],
            b2_dy: [0.0; HEIGHT],
            constant: [0.0; HEIGHT],
        };
        for block in 0..HEIGHT / 8 {
            let dy = V::iota() + V::all((tile.y + 8 * block) as f32 + 0.5 - record.mean[1]);
            out.groups |= u64::from(touched(record, left, dy)) << (32 * block);
            let constant = (V::all(record.c) * dy).neg_mul_add(dy, V::all(record.log2_opacity));
            // SAFETY: each array has room for eight numbers from `8 * block` on.
            unsafe {
                dy.store(out.dy.as_mut_ptr().add(8 * block));
                (V::all(record.b2) * dy).store(out.b2_dy.as_mut_ptr().add(8 * block));
                constant.store(out.constant.as_mut_ptr().add(8 * block));
            }
        }
        out
    }

    /// The exponent in one group: `constant - dx (a dx + b2 dy)`.
    #[inline(always)]
    pub fn exponent(&self, group: usize) -> Exponent<V> {
        let (dx, row) = (self.dx[group % GROUPS], group / GROUPS % HEIGHT);
        let slope = self.a.mul_add(dx, V::all(self.b2_dy[row]));
        Exponent { dx, dy: V::all(self.dy[row]), log2_alpha: slope.neg_mul_add(dx, V::all(self.constant[row])) }
    }
}

/// For eight rows at `dy`, a bit for each group that the ellipse touches: four bits a row. `left` is the first pixel's
/// centre relative to the mean.
#[inline(always)]
fn touched<V: Lanes>(record: &Record, left: f32, dy: V) -> u32 {
    const SLACK: f32 = 0.01;
    let (zero, one, eighth) = (V::all(0.0), V::all(1.0), V::all(0.125));
    let squared = (V::all(record.narrowing) * dy).neg_mul_add(dy, V::all(record.half_width_squared));
    let half = squared.max(zero).sqrt() + V::all(SLACK);
    let middle = V::all(record.shear).neg_mul_add(dy, V::all(-left));
    let first = ((middle - half).ceil() * eighth).floor().max(zero).min(V::all(GROUPS as f32));
    let last = ((middle + half).floor() * eighth).floor().min(V::all(GROUPS as f32 - 1.0)).max(-one);
    // Bits first..=last, as the number 2^(last + 1) - 2^first.
    let bits = V::power_of_two(last + one) - V::power_of_two(first);
    bits.masked(V::all(-SLACK).lt(squared) & first.le(last)).pack_nibbles()
}
