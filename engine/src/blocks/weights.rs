//! How the steps are shared out once the blocks can be compared: more to those that are reconstructed worse.
//!
//! The weight of a block is that of Fan et al., "Momentum-GS: Momentum Gaussian Self-Distillation for High-Quality Large Scene
//! Reconstruction", 2025: `2 - exp(-(dP² + (10 dS)²) / (2 σ²))`, where dP and dS are what it lacks to the best block in PSNR and
//! in SSIM. There it scales the loss, as it does here where blocks share a decoder ([`crate::anchors`]); where they share nothing, it
//! scales the steps that are left.

use serde::{Deserialize, Serialize};

/// How well a block shows the photos that it is trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// In dB.
    pub psnr: f64,
    /// At most 1.
    pub ssim: f64,
}

impl Quality {
    /// Takes a running mean a step towards what was measured last.
    pub fn follow(&mut self, last: Self) {
        /// How much of the mean stays.
        const MOMENTUM: f64 = 0.9;
        let mixed = |mean: f64, last: f64| MOMENTUM * mean + (1.0 - MOMENTUM) * last;
        *self = Self { psnr: mixed(self.psnr, last.psnr), ssim: mixed(self.ssim, last.ssim) };
    }
}

/// The weight of each block, from 1 for the best to nearly 2. `scale` is σ, in dB.
pub fn weights(qualities: &[Quality], scale: f64) -> Vec<f64> {
    let best = |of: fn(&Quality) -> f64| qualities.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
    let (psnr, ssim) = (best(|q| q.psnr), best(|q| q.ssim));
    let weight = |quality: &Quality| {
        let lacking = (psnr - quality.psnr).powi(2) + (10.0 * (ssim - quality.ssim)).powi(2);
        2.0 - (-lacking / (2.0 * scale * scale)).exp()
    };
    qualities.iter().map(weight).collect()
}

/// How many steps each block takes in all: `done`, which all have taken, and of what is left to `each` on average a share by its
/// weight. Together they are as many as if all took `each`.
pub fn share_out(weights: &[f64], done: u64, each: u64) -> Vec<u64> {
    let sum: f64 = weights.iter().sum();
    let left = (each.saturating_sub(done) * weights.len() as u64) as f64;
    let mut passed = 0.0;
    let mut given = 0;
    let steps = |weight: &f64| {
        passed += weight;
        let until = (left * passed / sum).round() as u64;
        let steps = until - given;
        given = until;
        done.min(each) + steps
    };
    weights.iter().map(steps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_blocks_get_more_and_the_sum_stays() {
        let qualities = [(28.0, 0.9), (24.0, 0.8), (28.0, 0.7)].map(|(psnr, ssim)| Quality { psnr, ssim });
        let weights = weights(&qualities, 4.0);
        // 4 dB and a tenth of SSIM are (16 + 1) / 32 in the exponent, two tenths 4 / 32.
        let expected = [1.0, 2.0 - (-17.0f64 / 32.0).exp(), 2.0 - (-4.0f64 / 32.0).exp()];
        assert!(weights.iter().zip(expected).all(|(got, wanted)| (got - wanted).abs() < 1e-12), "{weights:?}");
        let steps = share_out(&weights, 300, 1000);
        assert_eq!(steps.iter().sum::<u64>(), 3000, "{steps:?}");
        assert!(steps[1] > steps[2] && steps[2] > steps[0] && steps[0] >= 300, "{steps:?}");
    }

    #[test]
    fn equal_blocks_take_equal_steps() {
        for count in [1, 3, 7] {
            assert_eq!(share_out(&vec![1.0; count], 0, 1000), vec![1000; count]);
            assert_eq!(share_out(&vec![1.3; count], 333, 1000), vec![1000; count]);
        }
    }
}
