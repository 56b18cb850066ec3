//! A picture as the image encoder wants it: the object alone, on white, in the middle of a square.
//!
//! Alpha says where the object is. The picture is cut to it, put on white, made square, resized, given a border and resized again; sizes change by
//! weights that fall off linearly, over the area of a new pixel where pictures become smaller. All this is as the models were trained, with pixels
//! rounded to 8 bits in between.

use crate::{Error, Result};
use tessera_datasets::image::Image8;

/// The border, in pixels of the encoder's size.
const BORDER: usize = 16;
/// Mean and deviation of colours that the encoder was trained on.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
const WHITE: u8 = 255;

/// A picture for the encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// Normalised colours, `[3, size, size]`.
    pub colours: Vec<f32>,
    /// Alpha, `[size, size]`.
    pub mask: Vec<u8>,
}

/// Some channels of a picture.
struct Plane {
    size: [usize; 2],
    channels: usize,
    data: Vec<u8>,
}

impl Prepared {
    /// Of `size` pixels a side.
    ///
    /// # Errors
    /// When the picture does not say where the object is, or there is none.
    pub fn new(picture: &Image8, size: usize, path: &std::path::Path) -> Result<Self> {
        let remedy = "cut the object out, and save it as a PNG with a transparent background";
        let [width, height] = [picture.width, picture.height].map(|x| x as usize);
        let pixel = |x: usize, y: usize| &picture.data[4 * (y * width + x)..][..4];
        if !picture.has_alpha() || picture.data.iter().skip(3).step_by(4).all(|alpha| *alpha == WHITE) {
            return Err(Error::file(path, "has no transparency, so nothing says where the object is", remedy));
        }
        let there = (0..width * height).filter(|i| pixel(i % width, i / width)[3] > 0);
        let bounds = there.fold([usize::MAX, usize::MAX, 0, 0], |[x0, y0, x1, y1], i| {
            let [x, y] = [i % width, i / width];
            [x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + 1)]
        });
        let [x0, y0, x1, y1] = bounds;
        if x0 >= x1 {
            return Err(Error::file(path, "is transparent everywhere, so there is no object", remedy));
        }
        let cut = (y0..y1).flat_map(|y| (x0..x1).map(move |x| [x, y]));
        let [mut colours, mut mask] = [Vec::new(), Vec::new()];
        for [x, y] in cut {
            let [rgb @ .., alpha] = <[u8; 4]>::try_from(pixel(x, y)).unwrap_or([0; 4]);
            let share = f64::from(alpha) / 255.0;
            colours.extend(rgb.map(|c| ((f64::from(c) / 255.0 * share + (1.0 - share)) * 255.0) as u8));
            mask.push(alpha);
        }
        let cut = [x1 - x0, y1 - y0];
        let colours = Plane { size: cut, channels: 3, data: colours }.squared(WHITE).linear(size);
        let colours = colours.bordered(BORDER, WHITE).linear(size);
        let mask = Plane { size: cut, channels: 1, data: mask }.squared(0).nearest(size);
        let mask = mask.bordered(BORDER, 0).nearest(size);
        let normal = |c: usize| {
            let values = colours.data.iter().skip(c).step_by(3);
            values.map(move |x| (f32::from(*x) / 255.0 - MEAN[c]) / DEVIATION[c])
        };
        Ok(Self { colours: (0..3).flat_map(normal).collect(), mask: mask.data })
    }

    /// Which patches of `patch` pixels a side show something of the object, row by row.
    pub fn patches(&self, [side, patch]: [usize; 2]) -> Vec<bool> {
        let size = side * patch;
        let shows = |i: usize| {
            let [x, y] = [i % side * patch, i / side * patch];
            (y..y + patch).any(|y| self.mask[y * size + x..][..patch].iter().any(|alpha| *alpha > 0))
        };
        (0..side * side).map(shows).collect()
    }
}

impl Plane {
    fn row(&self, y: usize) -> &[u8] {
        let length = self.size[0] * self.channels;
        &self.data[y * length..][..length]
    }

    /// With as much around it as these are wide: left, above, right, below.
    fn padded(&self, [left, above, right, below]: [usize; 4], value: u8) -> Self {
        let size = [left + self.size[0] + right, above + self.size[1] + below];
        let mut data = vec![value; size[0] * size[1] * self.channels];
        for y in 0..self.size[1] {
            let row = ((above + y) * size[0] + left) * self.channels;
            data[row..][..self.size[0] * self.channels].copy_from_slice(self.row(y));
        }
        Self { size, channels: self.channels, data }
    }

    fn squared(self, value: u8) -> Self {
        let [width, height] = self.size;
        let side = width.max(height);
        let [left, above] = [(side - width) / 2, (side - height) / 2];
        self.padded([left, above, side - width - left, side - height - above], value)
    }

    fn bordered(self, border: usize, value: u8) -> Self {
        self.padded([border; 4], value)
    }

    /// A square at another size, the nearest pixel taken.
    fn nearest(self, size: usize) -> Self {
        let from = self.size[0];
        let at = |i: usize| (2 * i + 1) * from / (2 * size);
        let data = (0..size * size).map(|i| self.data[at(i / size) * from + at(i % size)]).collect();
        Self { size: [size; 2], channels: self.channels, data }
    }

    /// A square at another size, with linear weights.
    fn linear(self, size: usize) -> Self {
        let taps = taps(self.size[0], size);
        let [from, n] = [self.size[0], self.channels];
        let along = |data: &[u8], rows: usize, stride: [usize; 2], out: &mut [u8]| {
            for row in 0..rows {
                for (i, (first, weights)) in taps.iter().enumerate() {
                    for c in 0..n {
                        let value = |(k, weight): (usize, &f64)| {
                            weight * f64::from(data[row * stride[0] + (first + k) * stride[1] + c])
                        };
                        let sum: f64 = weights.iter().enumerate().map(value).sum();
                        out[(row * size + i) * n + c] = sum.round().clamp(0.0, 255.0) as u8;
                    }
                }
            }
        };
        // Along rows, then along columns, for which the picture is turned.
        let mut wide = vec![0; from * size * n];
        along(&self.data, from, [from * n, n], &mut wide);
        let mut turned = vec![0; size * size * n];
        along(&wide, size, [n, size * n], &mut turned);
        let mut data = vec![0; size * size * n];
        for x in 0..size {
            for y in 0..size {
                data[(y * size + x) * n..][..n].copy_from_slice(&turned[(x * size + y) * n..][..n]);
            }
        }
        Self { size: [size; 2], channels: n, data }
    }
}

/// For each new pixel the first one that it covers, and the weights of it and those behind it, which sum to 1.
fn taps(from: usize, to: usize) -> Vec<(usize, Vec<f64>)> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    (0..to)
        .map(|i| {
            let middle = (i as f64 + 0.5) * scale;
            let first = (middle - reach + 0.5).floor().max(0.0) as usize;
            let end = ((middle + reach + 0.5).floor() as usize).min(from);
            let weight = |k: usize| (1.0 - ((k as f64 + 0.5 - middle) / reach).abs()).max(0.0);
            let sum: f64 = (first..end).map(weight).sum();
            (first, (first..end).map(|k| weight(k) / sum).collect())
        })
        .collect()
}
