//! The palette of spherical harmonics: at most 65,536 sets of coefficients that stand for those of all splats.
//!
//! k-means with that many clusters costs (splats x clusters) distances a step. Two levels make it (splats x root of
//! clusters): some 256 coarse clusters first, then every coarse cluster is divided on its own, the more finely the more
//! its members differ. A splat's entry is the nearest among those of its nearest coarse clusters. Vectors are turned to their
//! principal axes on the way, along which most distances need not be computed to the end ([`super::centres`]). Every sum is over the
//! members of one cluster in their order, so that the result does not depend on the number of threads.

use super::MAX_PALETTE;
use super::centres::{Axes, Centres, NOTHING, half_square, tail};
use rayon::prelude::*;

/// Vectors that the palette is made from; of more, every n-th is taken.
const SAMPLE: usize = 1 << 20;
/// Vectors per coarse cluster from which these are made.
const COARSE_SAMPLE: usize = 128;
/// Steps of k-means on each level.
const STEPS: usize = 5;
/// Coarse clusters whose entries are searched for a splat's.
const SEARCHED: usize = 3;
/// How much finer than the average a coarse cluster may be divided, which bounds the time.
const MAX_SHARE: usize = 4;
/// Scenes with fewer splats keep an entry for each.
const SMALL: usize = 1024;
/// Palette entries and which one each splat has.
pub(super) struct Palette {
    /// `[entries, dimensions]` flattened.
    pub entries: Vec<f32>,
    /// `[N]`.
    pub labels: Vec<u16>,
}

/// How many entries a scene gets at most: as many as PlayCanvas's writer gives it.
pub(super) fn size(splats: usize) -> usize {
    let rounded_down = splats.checked_ilog2().map_or(0, |bits| 1 << bits.min(16));
    rounded_down.max(SMALL.min(splats)).min(MAX_PALETTE)
}

impl Palette {
    /// The palette of `vectors`, `[N, dimensions]` flattened.
    pub(super) fn new(vectors: &[f32], dimensions: usize) -> Self {
        let n = vectors.len() / dimensions;
        let size = size(n);
        if n <= size {
            return Self { entries: vectors.to_vec(), labels: (0..n).map(|i| i as u16).collect() };
        }
        let rows = Rows { values: vectors, axes: Axes::of(vectors, dimensions), dimensions };
        let sample: Vec<usize> = (0..n).step_by(n.div_ceil(SAMPLE)).collect();
        let coarse_count = size.isqrt();
        let stride = (sample.len() / (coarse_count * COARSE_SAMPLE)).max(1);
        let coarse_sample: Vec<usize> = sample.iter().copied().step_by(stride).collect();
        let mut coarse = Centres::new(&k_means(&rows.along(&coarse_sample), dimensions, coarse_count), dimensions);
        let clusters = clusters(&rows, &sample, &coarse);
        (0..coarse.count).filter(|&i| clusters[i].members.is_empty()).for_each(|i| coarse.forget(i));
        let shares = shares(&clusters, size);
        let divide = |(cluster, &share): (&Cluster, &usize)| match share {
            0 => Vec::new(),
            share => k_means(&rows.along(&cluster.members), dimensions, share),
        };
        let entries: Vec<Vec<f32>> = clusters.par_iter().zip(&shares).map(divide).collect();
        let mut first = 0;
        let mut fine = Vec::with_capacity(entries.len());
        for entries in &entries {
            fine.push(Fine { first, centres: Centres::new(entries, dimensions) });
            first += entries.len() / dimensions;
        }
        let label = |along: &mut Vec<f32>, i| {
            along.clear();
            rows.append(i, along);
            label(along, &coarse, &fine)
        };
        let labels = (0..n).into_par_iter().with_min_len(256).map_init(Vec::new, label).collect();
        Self { entries: rows.axes.back(&entries.concat()), labels }
    }
}

/// Vectors of one length, one after another.
struct Rows<'a> {
    values: &'a [f32],
    axes: Axes,
    dimensions: usize,
}

impl Rows<'_> {
    /// Appends a vector along its principal axes.
    fn append(&self, i: usize, out: &mut Vec<f32>) {
        self.axes.append(&self.values[i * self.dimensions..(i + 1) * self.dimensions], out);
    }

    /// The vectors with these indices along their principal axes.
    fn along(&self, indices: &[usize]) -> Vec<f32> {
        let mut along = Vec::with_capacity(indices.len() * self.dimensions);
        indices.iter().for_each(|&i| self.append(i, &mut along));
        along
    }
}

/// The entries of a coarse cluster.
struct Fine {
    /// Number of the first in the palette.
    first: usize,
    centres: Centres,
}

/// Centres of at most `k` clusters of vectors, `[N, dimensions]` flattened like these.
fn k_means(vectors: &[f32], dimensions: usize, k: usize) -> Vec<f32> {
    let n = vectors.len() / dimensions;
    if n <= k {
        return vectors.to_vec();
    }
    let row = |i: usize| &vectors[i * dimensions..(i + 1) * dimensions];
    let tails: Vec<f32> = vectors.chunks_exact(dimensions).map(tail).collect();
    // Evenly through the scene, which lies in no order or in that of space.
    let mut centres: Vec<f32> = (0..k).flat_map(|c| row((2 * c + 1) * n / (2 * k))).copied().collect();
    let mut nearest: Vec<usize> = (0..n).map(|i| i * k / n).collect();
    for _ in 0..STEPS {
        let searched = Centres::new(&centres, dimensions);
        let search = |(i, before): (usize, &usize)| {
            // Most vectors stay where they are: little is nearer.
            let centre = &centres[before * dimensions..(before + 1) * dimensions];
            let product: f32 = centre.iter().zip(row(i)).map(|(c, v)| c * v).sum();
            let [(found, _)] = searched.nearest(row(i), tails[i], [(*before, half_square(centre) - product)]);
            found
        };
        let found: Vec<usize> = nearest.par_iter().enumerate().with_min_len(256).map(search).collect();
        let settled = found == nearest;
        nearest = found;
        let mut counts = vec![0u32; k];
        let mut sums = vec![0f32; k * dimensions];
        for (i, &cluster) in nearest.iter().enumerate() {
            counts[cluster] += 1;
            sums[cluster * dimensions..].iter_mut().zip(row(i)).for_each(|(sum, v)| *sum += v);
        }
        let clusters = centres.chunks_exact_mut(dimensions).zip(sums.chunks_exact(dimensions)).zip(&counts);
        for ((centre, sum), &count) in clusters.filter(|(_, count)| **count > 0) {
            centre.iter_mut().zip(sum).for_each(|(c, s)| *c = s / count as f32);
        }
        if settled {
            break;
        }
    }
    centres
}

/// What belongs to a coarse centre.
#[derive(Clone, Default)]
struct Cluster {
    members: Vec<usize>,
    /// Half the sum of their squared distances.
    error: f64,
}

/// The rows of a sample by their coarse centre.
fn clusters(rows: &Rows, sample: &[usize], coarse: &Centres) -> Vec<Cluster> {
    let search = |along: &mut Vec<f32>, &i: &usize| {
        along.clear();
        rows.append(i, along);
        let [(cluster, distance)] = coarse.nearest(along, tail(along), [NOTHING]);
        (cluster, (distance + half_square(along)).max(0.0))
    };
    let nearest: Vec<_> = sample.par_iter().with_min_len(256).map_init(Vec::new, search).collect();
    let mut clusters = vec![Cluster::default(); coarse.count];
    for (&i, (cluster, error)) in sample.iter().zip(nearest) {
        clusters[cluster].members.push(i);
        // Those without error get as much as rounding makes.
        clusters[cluster].error += f64::from(error) + 1e-12;
    }
    clusters
}

/// Entries for each coarse cluster, `size` at most: in high dimensions, in proportion to its squared error.
fn shares(clusters: &[Cluster], size: usize) -> Vec<usize> {
    let total: f64 = clusters.iter().map(|cluster| cluster.error).sum();
    let occupied = clusters.iter().filter(|cluster| !cluster.members.is_empty()).count();
    let most = MAX_SHARE * size.div_ceil(clusters.len());
    let spare = size.saturating_sub(occupied) as f64;
    let share = |cluster: &Cluster| match cluster.members.len() {
        0 => 0,
        n => (1 + (spare * cluster.error / total) as usize).min(n).min(most),
    };
    clusters.iter().map(share).collect()
}

/// The entry nearest to a vector.
fn label(vector: &[f32], coarse: &Centres, fine: &[Fine]) -> u16 {
    let tail = tail(vector);
    let near = coarse.nearest(vector, tail, [NOTHING; SEARCHED]);
    let mut best = NOTHING;
    for (cluster, _) in near.into_iter().filter(|(_, distance)| distance.is_finite()) {
        let Fine { first, centres } = &fine[cluster];
        // An entry that is no nearer than the best so far is none of this cluster's.
        let [(entry, distance)] = centres.nearest(vector, tail, [(usize::MAX, best.1)]);
        if entry != usize::MAX {
            best = (first + entry, distance);
        }
    }
    best.0 as u16
}
