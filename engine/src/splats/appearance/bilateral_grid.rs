//! Affine colour transforms that vary over the picture and with luminance: a bilateral grid for each image.
//!
//! Wang et al., "Bilateral Guided Radiance Field Processing", 2024. Each image has 16x16 cells over the picture and 8 over
//! luminance, with a `[3, 4]` transform at each corner. A pixel's transform is interpolated trilinearly at its position
//! and luminance (Rec. 601, clamped to [0, 1]); the total variation of the grid is penalised.
//!
//! Within one row of pixels the vertical weight is constant, so the two grid rows beside it are blended once and each
//! pixel reads 4 corners instead of 8. Rows of pixels between the same two grid rows form a band; bands run in
//! parallel, each with its own gradient, and are added in order.

use super::{ImageParameters, Planes, planes, planes_mut};
use rayon::prelude::*;
use tessera_kernels::colour_grid::{GridSize, GridStep};
use tessera_kernels::dispatch;
use tessera_kernels::simd::Lanes;

/// Corners down, across and over luminance.
const HEIGHT: usize = 16;
const WIDTH: usize = 16;
const LEVELS: usize = 8;
/// Corners in one row of the grid.
const ROW_CELLS: usize = WIDTH * LEVELS;
/// Intervals between grid rows.
const BANDS: usize = HEIGHT - 1;
/// The same for devices.
pub(super) const SIZE: GridSize = GridSize { rows: HEIGHT, columns: WIDTH, levels: LEVELS };
/// Numbers for each image: `[HEIGHT, WIDTH, LEVELS, 12]`.
pub const PARAMETERS: usize = HEIGHT * ROW_CELLS * 12;
/// Transforms of a blended row are padded to two groups of lanes.
const PADDED: usize = 16;
/// Rec. 601 luma.
const LUMINANCE: [f32; 3] = [0.299, 0.587, 0.114];
/// Weight of the total variation beside a loss of order one.
const TOTAL_VARIATION: f32 = 10.0;
/// Learning rate after the warm-up, and by what it has fallen at the end. Faster grids fit the training photos better and
/// the held-out ones worse: they learn what belongs to the scene.
const RATE: f32 = 2e-3;
const FINAL_RATE: f32 = 0.01;
/// Share of the training in which the rate rises from a hundredth to its full value: 1,000 of 30,000 steps.
const WARM_UP: f32 = 1.0 / 30.0;

/// The grids of all images.
#[derive(Clone, Debug)]
pub struct BilateralGrids {
    parameters: ImageParameters,
    gradient: Vec<f32>,
    bands: Vec<Band>,
}

/// What one band of pixel rows works with.
#[derive(Clone, Debug)]
struct Band {
    /// The two grid rows, blended: `[ROW_CELLS, PADDED]`.
    row: Vec<f32>,
    /// Gradient with respect to `row`.
    d_row: Vec<f32>,
    /// Gradient with respect to the two grid rows: `[2, ROW_CELLS, 12]`.
    d_grid: Vec<f32>,
}

/// A pixel row of three planes.
struct Row<'a> {
    rgb: [&'a [f32]; 3],
    d_out: [&'a [f32]; 3],
    d_in: [&'a mut [f32]; 3],
}

impl BilateralGrids {
    /// Identity transforms.
    pub(super) fn new(images: usize) -> Self {
        let row = vec![0.0; ROW_CELLS * PADDED];
        let band = Band { row: row.clone(), d_row: row, d_grid: vec![0.0; 2 * ROW_CELLS * 12] };
        let parameters = ImageParameters::new(images, HEIGHT * ROW_CELLS);
        Self { parameters, gradient: vec![0.0; PARAMETERS], bands: vec![band; BANDS] }
    }

    pub(super) fn apply(&mut self, image: usize, rendering: Planes<'_>, out: &mut [f32]) {
        let Planes { width, height, rgb } = rendering;
        let rgb = planes(rgb);
        let (grid, shared) = (self.parameters.block(image), self.parameters.shared());
        let outputs = split_into_bands(out, width, height);
        self.bands.par_iter_mut().zip(outputs).enumerate().for_each(|(index, (band, mut out))| {
            for (local, y) in band_rows(index, height).enumerate() {
                blend(grid, shared, index, vertical_weight(y, height, index), &mut band.row);
                let rgb = rgb.map(|plane| &plane[y * width..(y + 1) * width]);
                let out = out.each_mut().map(|plane| &mut plane[local * width..(local + 1) * width]);
                slice_row(&band.row, rgb, out);
            }
        });
    }

    pub(super) fn backward(&mut self, image: usize, rendering: Planes<'_>, d_out: &[f32], d_in: &mut [f32]) {
        let Planes { width, height, rgb } = rendering;
        let (rgb, d_out) = (planes(rgb), planes(d_out));
        let (grid, shared) = (self.parameters.block(image), self.parameters.shared());
        let outputs = split_into_bands(d_in, width, height);
        self.bands.par_iter_mut().zip(outputs).enumerate().for_each(|(index, (band, mut d_in))| {
            band.d_grid.fill(0.0);
            for (local, y) in band_rows(index, height).enumerate() {
                let weight = vertical_weight(y, height, index);
                blend(grid, shared, index, weight, &mut band.row);
                band.d_row.fill(0.0);
                let pixels = y * width..(y + 1) * width;
                let row = Row {
                    rgb: rgb.map(|plane| &plane[pixels.clone()]),
                    d_out: d_out.map(|plane| &plane[pixels.clone()]),
                    d_in: d_in.each_mut().map(|plane| &mut plane[local * width..(local + 1) * width]),
                };
                slice_row_backward(&band.row, row, &mut band.d_row);
                spread(&band.d_row, weight, &mut band.d_grid);
            }
        });
        self.gradient.fill(0.0);
        for (index, band) in self.bands.iter().enumerate() {
            let rows = &mut self.gradient[index * ROW_CELLS * 12..][..2 * ROW_CELLS * 12];
            rows.iter_mut().zip(&band.d_grid).for_each(|(sum, d)| *sum += d);
        }
    }

    pub(super) fn step(&mut self, image: usize, progress: f32) {
        add_total_variation_gradient(self.parameters.block(image), TOTAL_VARIATION, &mut self.gradient);
        self.parameters.step(image, &self.gradient, rate(progress));
    }

    pub(super) fn step_on_device(progress: f32) -> GridStep {
        ImageParameters::on_device(rate(progress), TOTAL_VARIATION)
    }

    pub(super) fn parameters(&self) -> &ImageParameters {
        &self.parameters
    }

    pub(super) fn parameters_mut(&mut self) -> &mut ImageParameters {
        &mut self.parameters
    }

    #[cfg(test)]
    pub(super) fn gradient(&self) -> &[f32] {
        &self.gradient
    }
}

fn rate(progress: f32) -> f32 {
    let progress = progress.clamp(0.0, 1.0);
    let warm = 0.01 + 0.99 * (progress / WARM_UP).min(1.0);
    RATE * warm * FINAL_RATE.powf(progress)
}

/// The first pixel row whose centre lies at or below grid row `index`.
fn first_row(index: usize, height: usize) -> usize {
    // (y + 1/2) / height * BANDS >= index
    (2 * height * index).div_ceil(BANDS).saturating_sub(1).div_ceil(2)
}

fn band_rows(index: usize, height: usize) -> std::ops::Range<usize> {
    let end = if index + 1 == BANDS { height } else { first_row(index + 1, height) };
    first_row(index, height)..end
}

/// How far pixel row `y` lies from grid row `index` towards the next one.
fn vertical_weight(y: usize, height: usize, index: usize) -> f32 {
    ((y as f32 + 0.5) / height as f32 * BANDS as f32 - index as f32).clamp(0.0, 1.0)
}

/// The rows of each band of each plane.
fn split_into_bands(rgb: &mut [f32], width: usize, height: usize) -> [[&mut [f32]; 3]; BANDS] {
    let mut rest = planes_mut(rgb);
    std::array::from_fn(|index| {
        let size = band_rows(index, height).len() * width;
        rest.each_mut().map(|plane| {
            let (band, after) = std::mem::take(plane).split_at_mut(size);
            *plane = after;
            band
        })
    })
}

/// Blends grid rows `index` and `index + 1` into `row` and takes `shared` from each transform.
fn blend(grid: &[f32], shared: &[f32; 12], index: usize, weight: f32, row: &mut [f32]) {
    let (upper, lower) = grid[index * ROW_CELLS * 12..][..2 * ROW_CELLS * 12].split_at(ROW_CELLS * 12);
    for ((out, a), b) in row.chunks_exact_mut(PADDED).zip(upper.chunks_exact(12)).zip(lower.chunks_exact(12)) {
        for k in 0..12 {
            out[k] = a[k] + weight * (b[k] - a[k]) - shared[k];
        }
    }
}

/// The adjoint of [`blend`].
fn spread(d_row: &[f32], weight: f32, d_grid: &mut [f32]) {
    let (upper, lower) = d_grid.split_at_mut(ROW_CELLS * 12);
    for ((d, a), b) in d_row.chunks_exact(PADDED).zip(upper.chunks_exact_mut(12)).zip(lower.chunks_exact_mut(12)) {
        for k in 0..12 {
            a[k] += (1.0 - weight) * d[k];
            b[k] += weight * d[k];
        }
    }
}

dispatch! {
    fn slice_row(row: &[f32], rgb: [&[f32]; 3], out: [&mut [f32]; 3]) = slice_row_lanes;
    fn slice_row_backward(row: &[f32], pixels: Row<'_>, d_row: &mut [f32]) = slice_row_backward_lanes;
}

/// Where in a blended row a pixel looks, and the transform that it finds there.
struct Sliced<V> {
    /// Offset of the corner with the smaller position and luminance.
    corner: usize,
    /// Weights of the next corner across and over luminance.
    across: f32,
    over: f32,
    /// The transform `[3, 4]` and its derivative by `over`, in two groups of lanes.
    affine: [V; 2],
    slope: [V; 2],
    /// Whether the luminance lies inside the grid, so that it has a derivative.
    inside: bool,
}

#[inline(always)]
fn slice<V: Lanes>(row: &[f32], x: usize, inverse_width: f32, colour: [f32; 3]) -> Sliced<V> {
    let position = (x as f32 + 0.5) * inverse_width * (WIDTH - 1) as f32;
    let luminance = LUMINANCE[0] * colour[0] + LUMINANCE[1] * colour[1] + LUMINANCE[2] * colour[2];
    let level = luminance.clamp(0.0, 1.0) * (LEVELS - 1) as f32;
    let column = (position as usize).min(WIDTH - 2);
    let floor = (level as usize).min(LEVELS - 2); // NaN becomes 0
    let (across, over) = (position - column as f32, level - floor as f32);
    let corner = (column * LEVELS + floor) * PADDED;
    // The corner and its neighbour in luminance lie side by side.
    let corners = &row[corner..][..(LEVELS + 2) * PADDED];
    let weight = V::all(across);
    let low = [between(corners, 0, weight), between(corners, 8, weight)];
    let high = [between(corners, PADDED, weight), between(corners, PADDED + 8, weight)];
    let slope = [high[0] - low[0], high[1] - low[1]];
    let affine = [V::all(over).mul_add(slope[0], low[0]), V::all(over).mul_add(slope[1], low[1])];
    Sliced { corner, across, over, affine, slope, inside: luminance > 0.0 && luminance < 1.0 }
}

/// Eight numbers between a corner and the next one across.
#[inline(always)]
fn between<V: Lanes>(corners: &[f32], at: usize, across: V) -> V {
    let (left, right) = (V::from_array(eight(corners, at)), V::from_array(eight(corners, at + LEVELS * PADDED)));
    across.mul_add(right - left, left)
}

#[inline(always)]
fn eight(values: &[f32], at: usize) -> [f32; 8] {
    let v = &values[at..at + 8];
    [v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]]
}

/// (r, g, b, 1, r, g, b, 1)
#[inline(always)]
fn twice<V: Lanes>([r, g, b]: [f32; 3]) -> V {
    V::from_array([r, g, b, 1.0, r, g, b, 1.0])
}

/// The three rows of a transform times (r, g, b, 1).
#[inline(always)]
fn multiply<V: Lanes>(affine: [V; 2], colour: V) -> [f32; 3] {
    let (a, b) = ((affine[0] * colour).to_array(), (affine[1] * colour).to_array());
    [(a[0] + a[1]) + (a[2] + a[3]), (a[4] + a[5]) + (a[6] + a[7]), (b[0] + b[1]) + (b[2] + b[3])]
}

#[inline(always)]
fn slice_row_lanes<V: Lanes>(row: &[f32], rgb: [&[f32]; 3], out: [&mut [f32]; 3]) {
    let width = rgb[0].len();
    let inverse_width = 1.0 / width as f32;
    for x in 0..width {
        let colour = rgb.map(|plane| plane[x]);
        let sliced = slice::<V>(row, x, inverse_width, colour);
        let value = multiply(sliced.affine, twice::<V>(colour));
        for c in 0..3 {
            out[c][x] = value[c];
        }
    }
}

#[inline(always)]
fn slice_row_backward_lanes<V: Lanes>(row: &[f32], pixels: Row<'_>, d_row: &mut [f32]) {
    let Row { rgb, d_out, d_in } = pixels;
    let width = rgb[0].len();
    let inverse_width = 1.0 / width as f32;
    for x in 0..width {
        let colour = rgb.map(|plane| plane[x]);
        let [dr, dg, db] = d_out.map(|plane| plane[x]);
        let sliced = slice::<V>(row, x, inverse_width, colour);
        let colours = twice::<V>(colour);
        let d_first = V::from_array([dr, dr, dr, dr, dg, dg, dg, dg]);
        let d_second = V::from_array([db, db, db, db, 0.0, 0.0, 0.0, 0.0]);

        // Through the transform itself, and through the luminance that chooses it.
        let (a, b) = ((sliced.affine[0] * d_first).to_array(), (sliced.affine[1] * d_second).to_array());
        let by_level = if sliced.inside {
            let along = multiply(sliced.slope, colours);
            (LEVELS - 1) as f32 * (along[0] * dr + along[1] * dg + along[2] * db)
        } else {
            0.0
        };
        for k in 0..3 {
            d_in[k][x] = a[k] + a[4 + k] + b[k] + by_level * LUMINANCE[k];
        }

        let d_affine = [d_first * colours, d_second * colours];
        let (right, high) = (sliced.across, sliced.over);
        let (left, low) = (1.0 - right, 1.0 - high);
        let corners = &mut d_row[sliced.corner..][..(LEVELS + 2) * PADDED];
        add_scaled(corners, 0, left * low, d_affine);
        add_scaled(corners, PADDED, left * high, d_affine);
        add_scaled(corners, LEVELS * PADDED, right * low, d_affine);
        add_scaled(corners, (LEVELS + 1) * PADDED, right * high, d_affine);
    }
}

#[inline(always)]
fn add_scaled<V: Lanes>(values: &mut [f32], at: usize, weight: f32, d: [V; 2]) {
    let weight = V::all(weight);
    for (half, d) in d.into_iter().enumerate() {
        let start = at + 8 * half;
        let sum = weight.mul_add(d, V::from_array(eight(values, start))).to_array();
        values[start..start + 8].copy_from_slice(&sum);
    }
}

/// Adds the gradient of `weight` times the total variation, the sum over the three axes of the mean squared
/// difference of neighbours.
fn add_total_variation_gradient(grid: &[f32], weight: f32, gradient: &mut [f32]) {
    for (length, stride) in [(HEIGHT, ROW_CELLS * 12), (WIDTH, LEVELS * 12), (LEVELS, 12)] {
        let pairs = PARAMETERS / length * (length - 1);
        let scale = 2.0 * weight / pairs as f32;
        for start in (0..PARAMETERS).step_by(length * stride) {
            for low in start..start + (length - 1) * stride {
                let d = scale * (grid[low + stride] - grid[low]);
                gradient[low + stride] += d;
                gradient[low] -= d;
            }
        }
    }
}
