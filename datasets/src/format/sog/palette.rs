//! The palette of spherical harmonics: at most 65,536 sets of coefficients that stand for those of all splats.
//!
//! k-means with that many clusters costs (splats x clusters) distances a step. Two levels make it (splats x root of
//! clusters): some 256 coarse clusters first, then every coarse cluster is divided on its own, the more finely the more
//! its members differ. A splat's entry is the nearest among those of its nearest coarse clusters. Every sum is over the
//! members of one cluster in their order, so that the result does not depend on the number of threads.

use super::MAX_PALETTE;
use rayon::prelude::*;

/// Vectors that the palette is made from; of more, every n-th is taken.
const SAMPLE: usize = 1 << 20;
/// Vectors per coarse cluster from which these are made.
const COARSE_SAMPLE: usize = 128;
/// Steps of k-means on each level.
const STEPS: usize = 8;
/// Coarse clusters whose entries are searched for a splat's.
const SEARCHED: usize = 3;
/// How much finer than the average a coarse cluster may be divided, which bounds the time.
const MAX_SHARE: usize = 4;
/// Scenes with fewer splats keep an entry for each.
const SMALL: usize = 1024;
/// Centres whose distances are computed side by side.
const LANES: usize = 8;

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
        let rows = Rows { values: vectors, dimensions };
        let sample: Vec<usize> = (0..n).step_by(n.div_ceil(SAMPLE)).collect();
        let coarse_count = size.isqrt();
        let stride = (sample.len() / (coarse_count * COARSE_SAMPLE)).max(1);
        let coarse_sample: Vec<usize> = sample.iter().copied().step_by(stride).collect();
        let coarse = Centres::new(&k_means(rows, &coarse_sample, coarse_count), dimensions);
        let members = members(rows, &sample, &coarse);
        let shares = shares(rows, &members, &coarse, size);
        let fine: Vec<Vec<f32>> = members
            .par_iter()
            .zip(&shares)
            .map(|(members, &share)| if share == 0 { Vec::new() } else { k_means(rows, members, share) })
            .collect();
        let mut first = 0;
        let fine: Vec<Fine> = fine
            .iter()
            .map(|entries| {
                let fine = Fine { first, centres: Centres::new(entries, dimensions) };
                first += entries.len() / dimensions;
                fine
            })
            .collect();
        let labels = (0..n).into_par_iter().map(|i| label(rows.row(i), &coarse, &fine)).collect();
        Self { entries: fine.iter().flat_map(|fine| fine.centres.rows()).collect(), labels }
    }
}

/// Vectors of one length, one after another.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    dimensions: usize,
}

impl<'a> Rows<'a> {
    fn row(self, i: usize) -> &'a [f32] {
        &self.values[i * self.dimensions..(i + 1) * self.dimensions]
    }
}

/// The entries of a coarse cluster.
struct Fine {
    /// Number of the first in the palette.
    first: usize,
    centres: Centres,
}

/// Cluster centres, laid out so that distances to [`LANES`] of them are computed side by side.
struct Centres {
    count: usize,
    dimensions: usize,
    /// `[blocks, dimensions][LANES]`.
    blocks: Vec<[f32; LANES]>,
    /// `[blocks][LANES]`, half the squared length, and infinity where there is no centre.
    half_squares: Vec<[f32; LANES]>,
}

impl Centres {
    fn new(centres: &[f32], dimensions: usize) -> Self {
        let count = centres.len() / dimensions;
        let blocks = count.div_ceil(LANES);
        let mut all = Self {
            count,
            dimensions,
            blocks: vec![[0.0; LANES]; blocks * dimensions],
            half_squares: vec![[f32::INFINITY; LANES]; blocks],
        };
        for (i, centre) in centres.chunks_exact(dimensions).enumerate() {
            let (block, lane) = (i / LANES, i % LANES);
            centre.iter().enumerate().for_each(|(d, &v)| all.blocks[block * dimensions + d][lane] = v);
            all.half_squares[block][lane] = 0.5 * centre.iter().map(|v| v * v).sum::<f32>();
        }
        all
    }

    fn rows(&self) -> impl Iterator<Item = f32> {
        (0..self.count).flat_map(move |i| {
            let block = &self.blocks[i / LANES * self.dimensions..][..self.dimensions];
            block.iter().map(move |lanes| lanes[i % LANES])
        })
    }

    /// Calls `take` with every centre and half its squared distance from `vector`, less half the vector's square.
    #[inline(always)]
    fn distances(&self, vector: &[f32], mut take: impl FnMut(usize, f32)) {
        for (block, half_squares) in self.half_squares.iter().enumerate() {
            let centres = &self.blocks[block * self.dimensions..(block + 1) * self.dimensions];
            let mut products = [0.0; LANES];
            for (lanes, &v) in centres.iter().zip(vector) {
                for lane in 0..LANES {
                    products[lane] += v * lanes[lane];
                }
            }
            for lane in 0..LANES {
                take(block * LANES + lane, half_squares[lane] - products[lane]);
            }
        }
    }

    /// The nearest centre, the first of several, and its distance as [`Self::distances`] has it.
    fn nearest(&self, vector: &[f32]) -> (usize, f32) {
        let mut best = (0, f32::INFINITY);
        self.distances(vector, |i, distance| {
            if distance < best.1 {
                best = (i, distance);
            }
        });
        best
    }
}

/// Centres of at most `k` clusters of the rows with these indices.
fn k_means(rows: Rows, indices: &[usize], k: usize) -> Vec<f32> {
    let dimensions = rows.dimensions;
    if indices.len() <= k {
        return indices.iter().flat_map(|&i| rows.row(i)).copied().collect();
    }
    // Evenly through the scene, which lies in no order or in that of space.
    let mut centres: Vec<f32> =
        (0..k).flat_map(|c| rows.row(indices[(2 * c + 1) * indices.len() / (2 * k)])).copied().collect();
    for _ in 0..STEPS {
        let blocks = Centres::new(&centres, dimensions);
        let nearest: Vec<usize> =
            indices.par_iter().with_min_len(256).map(|&i| blocks.nearest(rows.row(i)).0).collect();
        let mut counts = vec![0u32; k];
        let mut sums = vec![0f32; k * dimensions];
        for (&i, &cluster) in indices.iter().zip(&nearest) {
            counts[cluster] += 1;
            sums[cluster * dimensions..].iter_mut().zip(rows.row(i)).for_each(|(sum, v)| *sum += v);
        }
        let clusters = centres.chunks_exact_mut(dimensions).zip(sums.chunks_exact(dimensions)).zip(&counts);
        for ((centre, sum), &count) in clusters.filter(|(_, count)| **count > 0) {
            centre.iter_mut().zip(sum).for_each(|(c, s)| *c = s / count as f32);
        }
    }
    centres
}

/// Which rows belong to each coarse cluster.
fn members(rows: Rows, sample: &[usize], coarse: &Centres) -> Vec<Vec<usize>> {
    let nearest: Vec<usize> = sample.par_iter().with_min_len(256).map(|&i| coarse.nearest(rows.row(i)).0).collect();
    let mut members = vec![Vec::new(); coarse.count];
    sample.iter().zip(nearest).for_each(|(&i, cluster)| members[cluster].push(i));
    members
}

/// Entries for each coarse cluster, `size` at most: in high dimensions, in proportion to its squared error.
fn shares(rows: Rows, members: &[Vec<usize>], coarse: &Centres, size: usize) -> Vec<usize> {
    let error = |members: &Vec<usize>| -> f64 {
        let square = |row: &[f32]| 0.5 * row.iter().map(|v| v * v).sum::<f32>();
        let of = |&i: &usize| f64::from((coarse.nearest(rows.row(i)).1 + square(rows.row(i))).max(0.0));
        // Those without error get as much as rounding makes.
        members.iter().map(of).sum::<f64>() + 1e-12 * members.len() as f64
    };
    let errors: Vec<f64> = members.par_iter().map(error).collect();
    let total: f64 = errors.iter().sum();
    let occupied = members.iter().filter(|members| !members.is_empty()).count();
    let most = MAX_SHARE * size.div_ceil(coarse.count);
    let spare = size.saturating_sub(occupied) as f64;
    let share = |(members, error): (&Vec<usize>, f64)| match members.len() {
        0 => 0,
        n => (1 + (spare * error / total) as usize).min(n).min(most),
    };
    members.iter().zip(errors).map(share).collect()
}

/// The entry nearest to a vector.
fn label(vector: &[f32], coarse: &Centres, fine: &[Fine]) -> u16 {
    let mut near = [(0, f32::INFINITY); SEARCHED];
    coarse.distances(vector, |i, distance| {
        if distance < near[SEARCHED - 1].1 && fine[i].centres.count > 0 {
            near[SEARCHED - 1] = (i, distance);
            near.sort_by(|a, b| a.1.total_cmp(&b.1));
        }
    });
    let mut best = (0, f32::INFINITY);
    for (cluster, _) in near.into_iter().filter(|(_, distance)| distance.is_finite()) {
        let (entry, distance) = fine[cluster].centres.nearest(vector);
        if distance < best.1 {
            best = (fine[cluster].first + entry, distance);
        }
    }
    best.0 as u16
}
