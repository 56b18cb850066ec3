//! Comparing patches around every pixel of two pictures: zero-mean normalised cross-correlation by sums over boxes.

use tessera_kernels::dispatch;
use tessera_kernels::simd::Lanes;

/// Half the width of a patch.
pub(super) const RADIUS: usize = 3;
const SIDE: usize = 2 * RADIUS + 1;
const PIXELS: f32 = (SIDE * SIDE) as f32;
/// Variance of luminance below which a patch has no texture to compare.
const NOISE_VARIANCE: f32 = 4e-5;
/// A comparison that cannot be made.
pub(super) const NONE: f32 = -1.0;

/// A picture with room around it, so that groups of lanes may read beyond the end of a row. Rows are `stride` apart.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub width: usize,
    pub height: usize,
    pub stride: usize,
    pub values: Vec<f32>,
}

impl Picture {
    pub fn new(width: usize, height: usize) -> Self {
        let stride = width.next_multiple_of(8) + 8;
        Self { width, height, stride, values: vec![0.0; stride * height] }
    }

    pub fn rows_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let width = self.width;
        self.values.chunks_exact_mut(self.stride).map(move |row| &mut row[..width])
    }
}

/// The patches of one picture, ready to be compared with those of others of the same size.
pub(super) struct Patches<'a> {
    picture: &'a Picture,
    sum: Picture,
    /// Variance times the number of pixels.
    variance: Picture,
    /// Vertical sums of one row.
    columns: Columns,
}

/// Of a picture, of its square, of its product with the reference: `[stride]` each.
type Columns = [Vec<f32>; 3];

impl<'a> Patches<'a> {
    pub fn new(picture: &'a Picture) -> Self {
        let (width, height) = (picture.width, picture.height);
        let row = vec![0.0; picture.stride];
        let mut patches = Self {
            picture,
            sum: Picture::new(width, height),
            variance: Picture::new(width, height),
            columns: [row.clone(), row.clone(), row],
        };
        for y in RADIUS..height.saturating_sub(RADIUS) {
            let row = y * picture.stride..(y + 1) * picture.stride;
            let (sum, variance) = (&mut patches.sum.values[row.clone()], &mut patches.variance.values[row]);
            measure(picture, y, &mut patches.columns, sum, variance);
        }
        patches
    }

    /// Writes the correlation of each patch with the same patch of `other` to `scores` (`[H, W]`, untouched near
    /// the border): at most 1, and [`NONE`] where `other` has a NaN.
    pub fn compare(&mut self, other: &Picture, scores: &mut [f32]) {
        let Picture { width, height, stride, .. } = *self.picture;
        for y in RADIUS..height.saturating_sub(RADIUS) {
            let row = y * stride..(y + 1) * stride;
            let (sum, variance) = (&self.sum.values[row.clone()], &self.variance.values[row]);
            let scores = &mut scores[y * width + RADIUS..(y + 1) * width - RADIUS];
            correlate(self.picture, other, y, &mut self.columns, [sum, variance], scores);
        }
    }
}

dispatch! {
    fn measure(picture: &Picture, y: usize, columns: &mut Columns, sum: &mut [f32], variance: &mut [f32])
        = measure_lanes;
    fn correlate(
        picture: &Picture,
        other: &Picture,
        y: usize,
        columns: &mut Columns,
        own: [&[f32]; 2],
        scores: &mut [f32],
    ) = correlate_lanes;
}

#[inline(always)]
fn load<V: Lanes>(values: &[f32], at: usize) -> V {
    let v = &values[at..at + 8];
    V::from_array([v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]])
}

/// Vertical sums around row `y`; both pictures have the same stride.
#[inline(always)]
fn sum_columns<V: Lanes>(picture: &Picture, other: &Picture, y: usize, columns: &mut Columns) {
    for x in (0..picture.stride).step_by(8) {
        let [mut sum, mut square, mut product] = [V::all(0.0); 3];
        for row in y - RADIUS..=y + RADIUS {
            let (a, b) = (
                load::<V>(&picture.values, row * picture.stride + x),
                load::<V>(&other.values, row * picture.stride + x),
            );
            sum = sum + b;
            square = b.mul_add(b, square);
            product = a.mul_add(b, product);
        }
        for (column, value) in columns.iter_mut().zip([sum, square, product]) {
            column[x..x + 8].copy_from_slice(&value.to_array());
        }
    }
}

/// The three sums over the patches that begin at `x` to `x + 7`.
#[inline(always)]
fn sum_patch<V: Lanes>(columns: &Columns, x: usize) -> [V; 3] {
    let mut sums = [V::all(0.0); 3];
    for k in 0..SIDE {
        for (sum, column) in sums.iter_mut().zip(columns) {
            *sum = *sum + load::<V>(column, x + k);
        }
    }
    sums
}

/// The patch centred at `x` has its sums at index `x - RADIUS` of `sum` and `variance`.
#[inline(always)]
fn measure_lanes<V: Lanes>(picture: &Picture, y: usize, columns: &mut Columns, sum: &mut [f32], variance: &mut [f32]) {
    sum_columns::<V>(picture, picture, y, columns);
    for x in (0..picture.stride - 8).step_by(8) {
        let [total, square, _] = sum_patch::<V>(columns, x);
        let spread = square - total * total * V::all(1.0 / PIXELS);
        sum[x..x + 8].copy_from_slice(&total.to_array());
        variance[x..x + 8].copy_from_slice(&spread.to_array());
    }
}

#[inline(always)]
fn correlate_lanes<V: Lanes>(
    picture: &Picture,
    other: &Picture,
    y: usize,
    columns: &mut Columns,
    [own_sum, own_variance]: [&[f32]; 2],
    scores: &mut [f32],
) {
    let floor = V::all(PIXELS * NOISE_VARIANCE);
    let mean = V::all(1.0 / PIXELS);
    sum_columns::<V>(picture, other, y, columns);
    for (group, scores) in scores.chunks_mut(8).enumerate() {
        let x = 8 * group;
        let [sum, square, product] = sum_patch::<V>(columns, x);
        let covariance = product - load::<V>(own_sum, x) * sum * mean;
        let variance = square - sum * sum * mean;
        let score = covariance / ((load::<V>(own_variance, x) + floor) * (variance + floor)).sqrt();
        for (out, value) in scores.iter_mut().zip(score.to_array()) {
            *out = value.max(NONE); // of NaN: NONE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    #[test]
    fn the_sums_agree_with_the_definition_of_correlation() {
        let seed = tessera_test_seed::test_seed();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let (width, height) = (45, 17);
        let mut random = || {
            let mut picture = Picture::new(width, height);
            picture.rows_mut().for_each(|row| row.iter_mut().for_each(|v| *v = rng.random_range(-0.5..0.5)));
            picture
        };
        let (a, mut b) = (random(), random());
        for (b, a) in b.values.iter_mut().zip(&a.values) {
            *b = 0.6 * a + 0.4 * *b + 0.1;
        }
        b.values[8 * b.stride + 20] = f32::NAN;
        let mut scores = vec![0.0; width * height];
        Patches::new(&a).compare(&b, &mut scores);
        for y in RADIUS..height - RADIUS {
            for x in RADIUS..width - RADIUS {
                let got = scores[y * width + x];
                if y.abs_diff(8) <= RADIUS && x.abs_diff(20) <= RADIUS {
                    assert_eq!(got, NONE, "the patch at ({x}, {y}) holds a NaN");
                    continue;
                }
                let patch = |p: &Picture| -> Vec<f64> {
                    let offsets = (0..SIDE * SIDE).map(|k| (y + k / SIDE - RADIUS) * p.stride + x + k % SIDE - RADIUS);
                    let values: Vec<f64> = offsets.map(|i| f64::from(p.values[i])).collect();
                    let mean = values.iter().sum::<f64>() / values.len() as f64;
                    values.iter().map(|v| v - mean).collect()
                };
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let (pa, pb) = (patch(&a), patch(&b));
                let floor = f64::from(PIXELS * NOISE_VARIANCE);
                let want = dot(&pa, &pb) / ((dot(&pa, &pa) + floor) * (dot(&pb, &pb) + floor)).sqrt();
                assert!((f64::from(got) - want).abs() < 1e-4, "at ({x}, {y}): {got} instead of {want}");
            }
        }
    }
}
