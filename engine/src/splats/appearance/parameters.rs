//! Parameters of which each image has a block of its own, with the optimiser that steps one block at a time.

use super::IDENTITY;

/// Adam's usual numbers.
const BETAS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-15;
/// How strongly the mean transform is drawn to the identity, beside a loss of order one.
const MEAN_PULL: f32 = 0.1;

/// `[images, cells, 12]` affine transforms with their Adam moments. Only the block of the image that was looked at is
/// stepped, so an image that is not seen does not move.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageParameters {
    block: usize,
    values: Vec<f32>,
    /// `[images, 12]`, the mean transform of each image.
    image_means: Vec<[f32; 12]>,
    mean: Vec<f32>,
    square: Vec<f32>,
    /// How often each image was stepped.
    steps: Vec<f32>,
}

impl ImageParameters {
    /// Identity transforms.
    pub(super) fn new(images: usize, cells: usize) -> Self {
        let values = IDENTITY.repeat(images * cells);
        let zeros = vec![0.0; values.len()];
        Self {
            block: 12 * cells,
            values,
            image_means: vec![IDENTITY; images],
            mean: zeros.clone(),
            square: zeros,
            steps: vec![0.0; images],
        }
    }

    /// `[cells, 12]` of one image.
    pub(super) fn block(&self, image: usize) -> &[f32] {
        &self.values[image * self.block..][..self.block]
    }

    #[cfg(test)]
    pub(super) fn block_mut(&mut self, image: usize) -> &mut [f32] {
        &mut self.values[image * self.block..][..self.block]
    }

    /// Adds to `gradient` (`[cells, 12]`) what draws the mean transform of all images to the identity.
    pub(super) fn add_mean_pull(&self, gradient: &mut [f32]) {
        let mut mean = [0.0_f64; 12];
        for affine in &self.image_means {
            mean.iter_mut().zip(affine).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let count = self.image_means.len() as f64;
        let cells = (self.block / 12) as f32;
        let pull: [f32; 12] = std::array::from_fn(|k| MEAN_PULL * ((mean[k] / count) as f32 - IDENTITY[k]) / cells);
        for affine in gradient.chunks_exact_mut(12) {
            affine.iter_mut().zip(pull).for_each(|(g, p)| *g += p);
        }
    }

    /// One Adam step of the block of `image`. A gradient that is not finite is skipped.
    pub(super) fn step(&mut self, image: usize, gradient: &[f32], rate: f32) {
        if !gradient.iter().all(|g| g.is_finite()) {
            return;
        }
        self.steps[image] += 1.0;
        let correct = BETAS.map(|b| 1.0 / (1.0 - b.powf(self.steps[image])));
        let range = image * self.block..(image + 1) * self.block;
        let moments = self.mean[range.clone()].iter_mut().zip(&mut self.square[range.clone()]);
        for ((value, (mean, square)), &g) in self.values[range].iter_mut().zip(moments).zip(gradient) {
            *mean += (1.0 - BETAS[0]) * (g - *mean);
            *square += (1.0 - BETAS[1]) * (g * g - *square);
            *value -= rate * *mean * correct[0] / ((*square * correct[1]).sqrt() + EPSILON);
        }
        self.image_means[image] = mean_affine(self.block(image));
    }

    pub(super) fn state(&self) -> Vec<f32> {
        [&self.values, &self.mean, &self.square, &self.steps].into_iter().flatten().copied().collect()
    }

    pub(super) fn restore(&mut self, state: &[f32]) -> bool {
        let size = self.values.len();
        if state.len() != 3 * size + self.steps.len() || !state.iter().all(|v| v.is_finite()) {
            return false;
        }
        let (values, rest) = state.split_at(size);
        let (mean, rest) = rest.split_at(size);
        let (square, steps) = rest.split_at(size);
        self.values.copy_from_slice(values);
        self.mean.copy_from_slice(mean);
        self.square.copy_from_slice(square);
        self.steps.copy_from_slice(steps);
        for (mean, block) in self.image_means.iter_mut().zip(self.values.chunks_exact(self.block)) {
            *mean = mean_affine(block);
        }
        true
    }
}

fn mean_affine(block: &[f32]) -> [f32; 12] {
    let mut sum = [0.0_f32; 12];
    for affine in block.chunks_exact(12) {
        sum.iter_mut().zip(affine).for_each(|(s, v)| *s += v);
    }
    sum.map(|s| s / (block.len() / 12) as f32)
}
