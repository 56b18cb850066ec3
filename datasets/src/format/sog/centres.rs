//! Cluster centres, and the search for those nearest to a vector.
//!
//! Distances to [`LANES`] centres are computed side by side, and given up after the first dimensions when what is left cannot
//! make any of them near enough: a product of two vectors is no larger than that of their lengths (Cauchy-Schwarz). Along
//! principal axes ([`Axes`]) the first dimensions say nearly everything.

use nalgebra::DMatrix;

/// Centres whose distances are computed side by side.
const LANES: usize = 16;
/// Dimensions after which centres are given up.
const HEAD: usize = 12;
/// Vectors that principal axes are found by.
const AXES_SAMPLE: usize = 1 << 14;

/// Cluster centres.
pub(super) struct Centres {
    pub count: usize,
    dimensions: usize,
    /// `[groups, dimensions][LANES]`.
    values: Vec<[f32; LANES]>,
    /// `[groups][LANES]`, half the squared length, and infinity where there is no centre.
    half_squares: Vec<[f32; LANES]>,
    /// `[groups][LANES]`, the length of what comes after [`HEAD`].
    tails: Vec<[f32; LANES]>,
}

/// A centre, and half its squared distance from a vector, less half the vector's square.
pub(super) type Found = (usize, f32);

/// No centre yet.
pub(super) const NOTHING: Found = (0, f32::INFINITY);

/// The length of what comes after [`HEAD`].
pub(super) fn tail(vector: &[f32]) -> f32 {
    vector.iter().skip(HEAD).map(|v| v * v).sum::<f32>().sqrt()
}

/// Half a vector's squared length.
pub(super) fn half_square(vector: &[f32]) -> f32 {
    0.5 * vector.iter().map(|v| v * v).sum::<f32>()
}

impl Centres {
    /// Centres `[count, dimensions]` flattened.
    pub(super) fn new(centres: &[f32], dimensions: usize) -> Self {
        let count = centres.len() / dimensions;
        let groups = count.div_ceil(LANES);
        let mut all = Self {
            count,
            dimensions,
            values: vec![[0.0; LANES]; groups * dimensions],
            half_squares: vec![[f32::INFINITY; LANES]; groups],
            tails: vec![[0.0; LANES]; groups],
        };
        for (i, centre) in centres.chunks_exact(dimensions).enumerate() {
            let (group, lane) = (i / LANES, i % LANES);
            centre.iter().enumerate().for_each(|(d, &v)| all.values[group * dimensions + d][lane] = v);
            all.half_squares[group][lane] = half_square(centre);
            all.tails[group][lane] = tail(centre);
        }
        all
    }

    /// Makes a centre one that is never found.
    pub(super) fn forget(&mut self, centre: usize) {
        self.half_squares[centre / LANES][centre % LANES] = f32::INFINITY;
    }

    /// The N nearest centres to a vector with this [`tail`], nearest first, as far as they are nearer than those in `best`.
    pub(super) fn nearest<const N: usize>(&self, vector: &[f32], tail: f32, best: [Found; N]) -> [Found; N] {
        // AVX2 without FMA: the same operations in the same order, so that every machine writes the same file.
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { self.nearest_avx2(vector, tail, best) };
        }
        self.nearest_portable(vector, tail, best)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn nearest_avx2<const N: usize>(&self, vector: &[f32], tail: f32, best: [Found; N]) -> [Found; N] {
        self.nearest_portable(vector, tail, best)
    }

    #[inline(always)]
    fn nearest_portable<const N: usize>(&self, vector: &[f32], tail: f32, mut best: [Found; N]) -> [Found; N] {
        let (first, rest) = vector.split_at(HEAD.min(self.dimensions));
        for (group, centres) in self.values.chunks_exact(self.dimensions).enumerate() {
            let (centres_first, centres_rest) = centres.split_at(first.len());
            let distances = match (<&[[f32; LANES]; HEAD]>::try_from(centres_first), <&[f32; HEAD]>::try_from(first)) {
                (Ok(centres), Ok(first)) => less_products(self.half_squares[group], centres, first),
                _ => less_products(self.half_squares[group], centres_first, first),
            };
            let worst = best[N - 1].1;
            let mut near = 0u32;
            for lane in 0..LANES {
                near |= u32::from(distances[lane] - tail * self.tails[group][lane] < worst);
            }
            if near == 0 {
                continue;
            }
            let distances = less_products(distances, centres_rest, rest);
            let mut near = [0u32; LANES];
            for lane in 0..LANES {
                near[lane] = u32::from(distances[lane] < worst) << lane;
            }
            let mut near: u32 = near.iter().fold(0, |a, b| a | b);
            while near != 0 {
                let lane = near.trailing_zeros() as usize;
                near &= near - 1;
                if distances[lane] < best[N - 1].1 {
                    insert(&mut best, (group * LANES + lane, distances[lane]));
                }
            }
        }
        best
    }
}

/// `start` less the products of a vector with [`LANES`] others.
#[inline(always)]
fn less_products(start: [f32; LANES], others: &[[f32; LANES]], vector: &[f32]) -> [f32; LANES] {
    let mut sums = start;
    for (other, &v) in others.iter().zip(vector) {
        for lane in 0..LANES {
            sums[lane] -= v * other[lane];
        }
    }
    sums
}

/// Puts what is nearer than the last to its place, after those that are as near.
fn insert<const N: usize>(best: &mut [Found; N], found: Found) {
    let at = best.partition_point(|(_, distance)| *distance <= found.1);
    best[at..].rotate_right(1);
    best[at] = found;
}

/// Vectors relative to their mean, along their principal axes: that of the largest variance first.
pub(super) struct Axes {
    mean: Vec<f32>,
    /// `[dimensions, dimensions]`: row k is what component k of a vector adds to each component along the axes.
    components: Vec<f32>,
}

impl Axes {
    /// Of finite vectors, `[N, dimensions]` flattened.
    pub(super) fn of(vectors: &[f32], dimensions: usize) -> Self {
        let n = vectors.len() / dimensions;
        let sample: Vec<&[f32]> = vectors.chunks_exact(dimensions).step_by(n.div_ceil(AXES_SAMPLE).max(1)).collect();
        let mut mean = vec![0.0f64; dimensions];
        sample.iter().for_each(|row| mean.iter_mut().zip(*row).for_each(|(m, v)| *m += f64::from(*v)));
        mean.iter_mut().for_each(|m| *m /= sample.len().max(1) as f64);
        let mut covariance = DMatrix::<f64>::zeros(dimensions, dimensions);
        for row in &sample {
            let row: Vec<f64> = row.iter().zip(&mean).map(|(v, m)| f64::from(*v) - m).collect();
            for (i, a) in row.iter().enumerate() {
                row[..=i].iter().enumerate().for_each(|(j, b)| covariance[(i, j)] += a * b);
            }
        }
        covariance.fill_upper_triangle_with_lower_triangle();
        let found = covariance.symmetric_eigen();
        let mut order: Vec<usize> = (0..dimensions).collect();
        order.sort_by(|&a, &b| found.eigenvalues[b].total_cmp(&found.eigenvalues[a]));
        let components = (0..dimensions).flat_map(|k| order.iter().map(move |&axis| (k, axis)));
        let components = components.map(|at| found.eigenvectors[at] as f32).collect();
        Self { mean: mean.iter().map(|&m| m as f32).collect(), components }
    }

    /// Appends a vector, along the axes.
    pub(super) fn append(&self, vector: &[f32], out: &mut Vec<f32>) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { self.append_avx2(vector, out) };
        }
        self.append_portable(vector, out);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn append_avx2(&self, vector: &[f32], out: &mut Vec<f32>) {
        self.append_portable(vector, out);
    }

    #[inline(always)]
    fn append_portable(&self, vector: &[f32], out: &mut Vec<f32>) {
        let dimensions = self.mean.len();
        let start = out.len();
        out.resize(start + dimensions, 0.0);
        let out = &mut out[start..];
        for (k, row) in self.components.chunks_exact(dimensions).enumerate() {
            let v = vector[k] - self.mean[k];
            out.iter_mut().zip(row).for_each(|(sum, component)| *sum += v * component);
        }
    }

    /// What vectors along the axes, one after another, came from.
    pub(super) fn back(&self, along: &[f32]) -> Vec<f32> {
        let dimensions = self.mean.len();
        let value = |vector: &[f32], k: usize| {
            let row = &self.components[k * dimensions..(k + 1) * dimensions];
            self.mean[k] + row.iter().zip(vector).map(|(component, v)| component * v).sum::<f32>()
        };
        along.chunks_exact(dimensions).flat_map(|vector| (0..dimensions).map(move |k| value(vector, k))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::made::cloud;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_nearest_centres_are_found(
            n in 1..200usize, sh_degree in 1..=3u8, seed in any::<u64>(), forgotten in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let (vectors, centres) = (cloud(40, sh_degree, 1.0, seed).sh_rest, cloud(n, sh_degree, 1.0, !seed).sh_rest);
            let dimensions = vectors.len() / 40;
            let mut searched = Centres::new(&centres, dimensions);
            let forgotten = forgotten.map(|index| index.index(n));
            forgotten.iter().for_each(|&centre| searched.forget(centre));
            for vector in vectors.chunks_exact(dimensions) {
                let distance = |centre: &[f32]| centre.iter().zip(vector).map(|(c, v)| f64::from(c - v).powi(2)).sum::<f64>();
                let mut all: Vec<f64> = centres.chunks_exact(dimensions).map(distance).collect();
                forgotten.iter().for_each(|&centre| all[centre] = f64::INFINITY);
                let found = searched.nearest(vector, tail(vector), [NOTHING; 3]);
                prop_assert_eq!(found[0], searched.nearest_portable(vector, tail(vector), [NOTHING; 1])[0]);
                let mut sorted = all.clone();
                sorted.sort_by(f64::total_cmp);
                for ((centre, half), wanted) in found.into_iter().zip(sorted).filter(|(_, wanted)| wanted.is_finite()) {
                    // Single precision, of squares that reach 45.
                    prop_assert!((all[centre] - wanted).abs() < 1e-4, "centre {centre} at {} instead of {wanted}", all[centre]);
                    prop_assert!((2.0 * f64::from(half + half_square(vector)) - wanted).abs() < 1e-4);
                }
            }
        }

        #[test]
        fn axes_keep_distances_and_lead_back(sh_degree in 1..=3u8, seed in any::<u64>()) {
            let vectors = cloud(60, sh_degree, 1.0, seed).sh_rest;
            let dimensions = vectors.len() / 60;
            let axes = Axes::of(&vectors, dimensions);
            let mut along = Vec::new();
            vectors.chunks_exact(dimensions).for_each(|vector| axes.append(vector, &mut along));
            prop_assert!(axes.back(&along).iter().zip(&vectors).all(|(is, was)| (is - was).abs() < 1e-5));
            let rows: Vec<&[f32]> = along.chunks_exact(dimensions).collect();
            let spread = |d: usize| rows.iter().map(|row| f64::from(row[d]).powi(2)).sum::<f64>();
            prop_assert!((1..dimensions).all(|d| spread(d - 1) > spread(d) - 1e-3));
        }
    }
}
