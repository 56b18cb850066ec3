//! One brightness for what several blocks show, where photos have learned colour transforms.
//!
//! Each block learns transforms of its own for its photos, so that blocks can be trained anywhere and at any time. It can tell the
//! exposures of its photos from each other, and not from its own brightness: the mean of them is the identity, so a block of darker
//! photos becomes darker than its neighbours. What photos that belong to several blocks are multiplied by in each says how much:
//! of photo i in block b, `ln gain(b, i) = e(i) + g(b)` for each channel, by least squares, where the mean of e is 0. A block's colours
//! are multiplied by `exp g(b)` when blocks are joined.

use std::collections::HashMap;

/// What the colours of a block are multiplied by.
pub type Tint = [f64; 3];

/// Gains beyond this, up or down, are those of photos that a block hardly sees.
const MOST: f64 = 8.0;
/// Pull towards 1 of blocks that share no photos with others, beside one for each photo.
const PULL: f64 = 1e-3;
/// Steps of the solver, which ends long before.
const STEPS: usize = 1000;

/// The photos of a block, and what each of their transforms multiplies a typical colour by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gains<'a> {
    pub photos: &'a [String],
    pub gains: &'a [[f64; 3]],
}

/// The tint of each block. Blocks in which no gains were learned keep their colours.
pub(crate) fn tints(blocks: &[Gains<'_>]) -> Vec<Tint> {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut pairs = Vec::new();
    for (block, Gains { photos, gains }) in blocks.iter().enumerate() {
        for (photo, gain) in photos.iter().zip(*gains) {
            let next = numbers.len();
            pairs.push((block, *numbers.entry(photo).or_insert(next), gain.map(|g| g.clamp(1.0 / MOST, MOST).ln())));
        }
    }
    let shared =
        Shared { blocks: blocks.len(), photos: numbers.len(), pairs: pairs.iter().map(|p| (p.0, p.1)).collect() };
    let channels: [Vec<f64>; 3] =
        std::array::from_fn(|c| shared.solve(&pairs.iter().map(|pair| pair.2[c]).collect::<Vec<_>>()));
    (0..blocks.len()).map(|block| std::array::from_fn(|c| channels[c][block].exp())).collect()
}

/// Which photos belong to which blocks.
struct Shared {
    blocks: usize,
    photos: usize,
    /// (block, photo)
    pairs: Vec<(usize, usize)>,
}

impl Shared {
    /// g of each block, for one number of each pair.
    fn solve(&self, of_pairs: &[f64]) -> Vec<f64> {
        if self.photos == 0 {
            return vec![0.0; self.blocks];
        }
        let mut g = vec![0.0; self.blocks];
        // Conjugate gradients of the normal equations, from which the photos are eliminated.
        let mut residual = self.beyond_photos(of_pairs);
        let mut direction = residual.clone();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut size = dot(&residual, &residual);
        let enough = 1e-20 * size.max(1e-20);
        for _ in 0..STEPS {
            if size <= enough {
                break;
            }
            let spread: Vec<f64> = self.pairs.iter().map(|&(block, _)| direction[block]).collect();
            let mut image = self.beyond_photos(&spread);
            image.iter_mut().zip(&direction).for_each(|(image, d)| *image += PULL * d);
            let step = size / dot(&direction, &image);
            g.iter_mut().zip(&direction).for_each(|(g, d)| *g += step * d);
            residual.iter_mut().zip(&image).for_each(|(r, image)| *r -= step * image);
            let before = std::mem::replace(&mut size, dot(&residual, &residual));
            direction.iter_mut().zip(&residual).for_each(|(d, r)| *d = r + size / before * *d);
        }
        let left: Vec<f64> = of_pairs.iter().zip(&self.pairs).map(|(k, &(block, _))| k - g[block]).collect();
        let mean = self.of_photos(&left).iter().sum::<f64>() / self.photos as f64;
        g.iter().map(|g| g + mean).collect()
    }

    /// The mean of each photo's numbers.
    fn of_photos(&self, of_pairs: &[f64]) -> Vec<f64> {
        let mut sums = vec![(0.0, 0.0); self.photos];
        for (value, &(_, photo)) in of_pairs.iter().zip(&self.pairs) {
            sums[photo] = (sums[photo].0 + value, sums[photo].1 + 1.0);
        }
        sums.into_iter().map(|(sum, count)| sum / count).collect()
    }

    /// For each block the sum of what its photos' numbers are beyond the means of the photos.
    fn beyond_photos(&self, of_pairs: &[f64]) -> Vec<f64> {
        let means = self.of_photos(of_pairs);
        let mut sums = vec![0.0; self.blocks];
        for (value, &(block, photo)) in of_pairs.iter().zip(&self.pairs) {
            sums[block] += value - means[photo];
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    /// Blocks in a row, each with photos of its own and some of the next one. Each takes the mean of its photos for 1.
    #[test]
    fn blocks_that_share_photos_become_equally_bright() {
        let mut rng = rand_pcg::Pcg64::seed_from_u64(tessera_test_seed::test_seed());
        let exposures: Vec<[f64; 3]> = (0..60).map(|_| std::array::from_fn(|_| rng.random_range(-0.5..0.5))).collect();
        let blocks: Vec<Vec<usize>> = (0..9).map(|block| (6 * block..(6 * block + 10).min(60)).collect()).collect();
        let names: Vec<Vec<String>> =
            blocks.iter().map(|b| b.iter().map(|photo| format!("{photo}.jpg")).collect()).collect();
        let means: Vec<[f64; 3]> = blocks
            .iter()
            .map(|b| std::array::from_fn(|c| b.iter().map(|&photo| exposures[photo][c]).sum::<f64>() / b.len() as f64))
            .collect();
        let gain = |block: usize, photo: usize| std::array::from_fn(|c| (exposures[photo][c] - means[block][c]).exp());
        let gains: Vec<Vec<[f64; 3]>> =
            blocks.iter().enumerate().map(|(b, photos)| photos.iter().map(|&photo| gain(b, photo)).collect()).collect();
        let of_blocks: Vec<Gains<'_>> =
            names.iter().zip(&gains).map(|(photos, gains)| Gains { photos, gains }).collect();
        let found = tints(&of_blocks);
        // A block as dark as its photos are: it takes so much to make up for that, up to what all have in common.
        for c in 0..3 {
            let left: Vec<f64> = found.iter().zip(&means).map(|(tint, mean)| tint[c].ln() + mean[c]).collect();
            let spread = left.iter().fold(f64::MIN, |a, b| a.max(*b)) - left.iter().fold(f64::MAX, |a, b| a.min(*b));
            assert!(spread < 0.02, "blocks differ by {spread} of the logarithm");
        }
    }

    #[test]
    fn blocks_without_gains_keep_their_colours() {
        let photos = ["a.jpg".to_owned()];
        let none = Gains { photos: &photos, gains: &[] };
        assert_eq!(tints(&[none, none]), [[1.0; 3]; 2]);
        assert_eq!(tints(&[none, Gains { photos: &photos, gains: &[[1.0; 3]] }]), [[1.0; 3]; 2]);
    }
}
