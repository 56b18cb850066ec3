//! How photos differ from each other though they show the same surface: a code for each, which the colour network is given.
//!
//! Codes are kept at a mean of zero, so pictures that are drawn without one look as the photos do on average.

use crate::Result;
use crate::train::{CheckpointReader, CheckpointWriter};
use tessera_kernels::adam::{self, AdamSettings, Moments};

/// The codes of all photos, and what descending remembers of them.
#[derive(Clone, Debug)]
pub(super) struct Appearance {
    width: usize,
    /// `[photos, width]`.
    codes: Vec<f32>,
    moments: Moments,
}

impl Appearance {
    /// Codes of `width` zeros for so many photos; 0 for none.
    pub fn new(photos: usize, width: usize) -> Self {
        Self { width, codes: vec![0.0; photos * width], moments: Moments::zeros(photos * width) }
    }

    /// The code of a photo.
    pub fn of(&self, photo: usize) -> &[f32] {
        &self.codes[self.range_of(photo)]
    }

    /// Where the code of a photo lies among all.
    pub fn range_of(&self, photo: usize) -> std::ops::Range<usize> {
        photo * self.width..(photo + 1) * self.width
    }

    /// All of them, `[photos, width]`.
    pub fn codes(&self) -> &[f32] {
        &self.codes
    }

    /// Numbers of all codes together.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Step number `t`, counted from 1, against a gradient of all codes.
    pub fn step(&mut self, gradient: &[f32], settings: &AdamSettings, rate: f32, t: u64) {
        adam::step(&mut self.codes, gradient, &mut self.moments, settings, rate, t);
        for k in 0..self.width {
            let of_all = self.codes.iter().skip(k).step_by(self.width);
            let mean =
                (of_all.map(|x| f64::from(*x)).sum::<f64>() * self.width as f64 / self.codes.len() as f64) as f32;
            self.codes.iter_mut().skip(k).step_by(self.width).for_each(|x| *x -= mean);
        }
    }

    pub fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) {
        if let Some(photos) = self.codes.len().checked_div(self.width) {
            let shape = [photos, self.width];
            checkpoint.f32("codes", &shape, &self.codes[..]);
            checkpoint.f32("codes.first", &shape, &self.moments.first[..]);
            checkpoint.f32("codes.second", &shape, &self.moments.second[..]);
        }
    }

    pub fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        if self.width > 0 {
            checkpoint.f32_into("codes", &mut self.codes)?;
            checkpoint.f32_into("codes.first", &mut self.moments.first)?;
            checkpoint.f32_into("codes.second", &mut self.moments.second)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stay_at_a_mean_of_zero() {
        let mut appearance = Appearance::new(3, 2);
        let settings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-15 };
        for t in 1..5 {
            appearance.step(&[1.0, -1.0, 1.0, 0.0, -3.0, 0.5], &settings, 0.1, t);
        }
        for k in 0..2 {
            let sum: f32 = (0..3).map(|photo| appearance.of(photo)[k]).sum();
            assert!(sum.abs() < 1e-6, "the codes' mean is {}", sum / 3.0);
        }
        assert!(appearance.of(0)[0] < 0.0 && appearance.of(2)[0] > 0.0, "codes go down their gradients");
    }
}
