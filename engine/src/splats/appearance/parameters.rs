//! Parameters of which each image has a block of its own, with the optimiser that steps one block at a time.

use super::IDENTITY;
use tessera_kernels::colour_grid::GridStep;

/// Adam's usual numbers.
const BETAS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-15;
/// Share of the mean transform's distance from the identity that is taken back while each image is seen once: slowly
/// enough for the splats to follow.
const DRIFT_REMOVAL: f32 = 0.2;

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
    shared: [f32; 12],
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
            shared: [0.0; 12],
            steps: vec![0.0; images],
        }
    }

    /// `[cells, 12]` of one image, before [`ImageParameters::shared`] is taken from each.
    pub(super) fn block(&self, image: usize) -> &[f32] {
        &self.values[image * self.block..][..self.block]
    }

    #[cfg(test)]
    pub(super) fn block_mut(&mut self, image: usize) -> &mut [f32] {
        &mut self.values[image * self.block..][..self.block]
    }

    /// `[3, 4]`: what is done to colours on the mean over the picture.
    pub(super) fn mean_affine(&self, image: usize) -> [f32; 12] {
        std::array::from_fn(|k| self.image_means[image][k] - self.shared[k])
    }

    /// How many images there are.
    pub(super) fn images(&self) -> usize {
        self.steps.len()
    }

    /// What [`ImageParameters::step`] does, for a device.
    pub(super) fn on_device(rate: f32, total_variation: f32) -> GridStep {
        GridStep { rate, betas: BETAS, epsilon: EPSILON, total_variation, drift_removal: DRIFT_REMOVAL }
    }

    /// What is taken from every transform of every image.
    pub(super) fn shared(&self) -> &[f32; 12] {
        &self.shared
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
        self.remove_drift();
    }

    /// Moves [`ImageParameters::shared`] towards what all images have in common beyond the identity.
    fn remove_drift(&mut self) {
        let count = self.image_means.len() as f32;
        for k in 0..12 {
            let mean = self.image_means.iter().map(|affine| affine[k]).sum::<f32>() / count;
            self.shared[k] += DRIFT_REMOVAL / count * (mean - IDENTITY[k] - self.shared[k]);
        }
    }

    pub(super) fn state(&self) -> Vec<f32> {
        [&self.values[..], &self.mean, &self.square, &self.steps, &self.shared[..]]
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    pub(super) fn restore(&mut self, state: &[f32]) -> bool {
        let size = self.values.len();
        if state.len() != 3 * size + self.steps.len() + 12 || !state.iter().all(|v| v.is_finite()) {
            return false;
        }
        let (values, rest) = state.split_at(size);
        let (mean, rest) = rest.split_at(size);
        let (square, rest) = rest.split_at(size);
        let (steps, shared) = rest.split_at(self.steps.len());
        self.values.copy_from_slice(values);
        self.mean.copy_from_slice(mean);
        self.square.copy_from_slice(square);
        self.steps.copy_from_slice(steps);
        self.shared.copy_from_slice(shared);
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
