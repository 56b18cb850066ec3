//! One affine colour transform for each image: `out = A rgb + b`, as in the INRIA implementation of 3D Gaussian
//! splatting, whose learning rate this takes.

use super::{ImageParameters, Planes, load_padded, planes, planes_mut, store_clipped};
use rayon::prelude::*;
use tessera_kernels::colour_grid::GridStep;
use tessera_kernels::dispatch;
use tessera_kernels::simd::Lanes;

/// Numbers for each image: `[3, 4]`.
pub const PARAMETERS: usize = 12;
/// Learning rates at the start and at the end, falling exponentially between them.
const RATES: [f32; 2] = [0.01, 0.001];
/// Pixels for one task. Partial sums are added in the order of the chunks, whichever thread made them.
const CHUNK: usize = 16 * 1024;

/// The transforms of all images.
#[derive(Clone, Debug)]
pub struct Exposures {
    parameters: ImageParameters,
    gradient: [f32; 12],
    partial: Vec<[f32; 12]>,
}

impl Exposures {
    /// Identity transforms.
    pub(super) fn new(images: usize) -> Self {
        Self { parameters: ImageParameters::new(images, 1), gradient: [0.0; 12], partial: Vec::new() }
    }

    fn affine(&self, image: usize) -> [f32; 12] {
        std::array::from_fn(|k| self.parameters.block(image)[k] - self.parameters.shared()[k])
    }

    pub(super) fn apply(&self, image: usize, rendering: Planes<'_>, out: &mut [f32]) {
        let affine = self.affine(image);
        let [r, g, b] = planes(rendering.rgb).map(|p| p.par_chunks(CHUNK));
        let [r_out, g_out, b_out] = planes_mut(out).map(|p| p.par_chunks_mut(CHUNK));
        let inputs = r.zip(g).zip(b);
        let outputs = r_out.zip(g_out).zip(b_out);
        inputs.zip(outputs).for_each(|(((r, g), b), ((ro, go), bo))| transform(&affine, [r, g, b], [ro, go, bo]));
    }

    pub(super) fn backward(&mut self, image: usize, rendering: Planes<'_>, d_out: &[f32], d_in: &mut [f32]) {
        let affine = self.affine(image);
        let chunks = (rendering.rgb.len() / 3).div_ceil(CHUNK);
        self.partial.resize(chunks, [0.0; 12]);
        let [r, g, b] = planes(rendering.rgb).map(|p| p.par_chunks(CHUNK));
        let [dr, dg, db] = planes(d_out).map(|p| p.par_chunks(CHUNK));
        let [r_in, g_in, b_in] = planes_mut(d_in).map(|p| p.par_chunks_mut(CHUNK));
        let inputs = r.zip(g).zip(b).zip(dr.zip(dg).zip(db));
        let outputs = r_in.zip(g_in).zip(b_in).zip(&mut self.partial);
        inputs.zip(outputs).for_each(|((((r, g), b), ((dr, dg), db)), (((ri, gi), bi), sums))| {
            transform_backward(&affine, [r, g, b], [dr, dg, db], [ri, gi, bi], sums);
        });
        self.gradient = [0.0; 12];
        for partial in &self.partial {
            self.gradient.iter_mut().zip(partial).for_each(|(sum, p)| *sum += p);
        }
    }

    pub(super) fn step(&mut self, image: usize, progress: f32) {
        self.parameters.step(image, &self.gradient, rate(progress));
    }

    pub(super) fn step_on_device(progress: f32) -> GridStep {
        ImageParameters::on_device(rate(progress), 0.0)
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
    RATES[0] * (RATES[1] / RATES[0]).powf(progress.clamp(0.0, 1.0))
}

dispatch! {
    fn transform(affine: &[f32; 12], rgb: [&[f32]; 3], out: [&mut [f32]; 3]) = transform_lanes;
    fn transform_backward(
        affine: &[f32; 12],
        rgb: [&[f32]; 3],
        d_out: [&[f32]; 3],
        d_in: [&mut [f32]; 3],
        sums: &mut [f32; 12],
    ) = transform_backward_lanes;
}

#[inline(always)]
fn transform_lanes<V: Lanes>(affine: &[f32; 12], rgb: [&[f32]; 3], out: [&mut [f32]; 3]) {
    let a = affine.map(V::all);
    for at in (0..rgb[0].len()).step_by(8) {
        let [r, g, b] = rgb.map(|plane| V::from_array(load_padded(plane, at)));
        for c in 0..3 {
            let row = &a[4 * c..4 * c + 4];
            let value = row[0].mul_add(r, row[1].mul_add(g, row[2].mul_add(b, row[3])));
            store_clipped(out[c], at, value.to_array());
        }
    }
}

#[inline(always)]
fn transform_backward_lanes<V: Lanes>(
    affine: &[f32; 12],
    rgb: [&[f32]; 3],
    d_out: [&[f32]; 3],
    d_in: [&mut [f32]; 3],
    sums: &mut [f32; 12],
) {
    let a = affine.map(V::all);
    let mut total = [V::all(0.0); 12];
    for at in (0..rgb[0].len()).step_by(8) {
        let colour = rgb.map(|plane| V::from_array(load_padded(plane, at)));
        let d = d_out.map(|plane| V::from_array(load_padded(plane, at)));
        for c in 0..3 {
            for k in 0..3 {
                total[4 * c + k] = d[c].mul_add(colour[k], total[4 * c + k]);
            }
            total[4 * c + 3] = total[4 * c + 3] + d[c];
        }
        for k in 0..3 {
            let value = a[k].mul_add(d[0], a[4 + k].mul_add(d[1], a[8 + k] * d[2]));
            store_clipped(d_in[k], at, value.to_array());
        }
    }
    *sums = total.map(V::sum);
}
