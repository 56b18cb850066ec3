//! Codebooks: the 256 numbers that stand for many with the least squared error.
//!
//! In one dimension clusters are intervals, so that the best ones are found exactly by dynamic programming over groups of
//! neighbours (Wu 1991; each layer by divide and conquer), and then moved between single numbers (Lloyd).

use serde_json::{Value, json};

/// Numbers that a codebook is made from; of more, every n-th is taken.
const SAMPLE: usize = 1 << 20;
/// Groups of neighbours among which interval ends are looked for.
const GROUPS: usize = 2048;
/// Steps of Lloyd's algorithm. They are cheap, and few of them change anything.
const LLOYD_STEPS: usize = 32;

/// 256 numbers in ascending order, of which some may be equal.
pub(super) struct Codebook(pub [f32; 256]);

impl Codebook {
    /// The best codebook for `count` finite numbers, of which `value` gives each.
    pub(super) fn new(count: usize, value: impl Fn(usize) -> f32) -> Self {
        let stride = count.div_ceil(SAMPLE).max(1);
        let mut sample: Vec<f32> = (0..count).step_by(stride).map(&value).collect();
        sample.sort_unstable_by(f32::total_cmp);
        let mut distinct = sample.clone();
        distinct.dedup();
        if distinct.len() <= 256 {
            let last = distinct.last().copied().unwrap_or(0.0);
            distinct.resize(256, last);
            return Self(std::array::from_fn(|i| distinct[i]));
        }
        let sums = Sums::new(&sample);
        let ends = best_ends(&sums, sample.len());
        Self(lloyd(&sample, &sums, &ends))
    }

    /// The best codebook for these finite numbers.
    pub(super) fn of(values: &[f32]) -> Self {
        Self::new(values.len(), |i| values[i])
    }

    /// What `meta.json` says.
    pub(super) fn describe(&self) -> Value {
        json!({"codebook": self.0.as_slice()})
    }

    /// The entry that is nearest to a number.
    pub(super) fn nearest(&self, value: f32) -> u8 {
        let above = self.0.partition_point(|&entry| entry < value);
        let below = above.saturating_sub(1);
        let above = above.min(255);
        let is_above = self.0[above] - value < value - self.0[below];
        (if is_above { above } else { below }) as u8
    }
}

/// Sums of numbers and of their squares up to each, relative to their mean.
struct Sums {
    mean: f64,
    values: Vec<f64>,
    squares: Vec<f64>,
}

impl Sums {
    fn new(sample: &[f32]) -> Self {
        let mean = sample.iter().map(|&v| f64::from(v)).sum::<f64>() / sample.len() as f64;
        let (mut values, mut squares) = (vec![0.0], vec![0.0]);
        let (mut value, mut square) = (0.0, 0.0);
        for &v in sample {
            let v = f64::from(v) - mean;
            value += v;
            square += v * v;
            values.push(value);
            squares.push(square);
        }
        Self { mean, values, squares }
    }

    /// The squared error of the numbers from `start` to before `end` when their mean stands for them.
    fn error(&self, start: usize, end: usize) -> f64 {
        let sum = self.values[end] - self.values[start];
        self.squares[end] - self.squares[start] - sum * sum / (end - start) as f64
    }

    fn mean(&self, start: usize, end: usize) -> f32 {
        (self.mean + (self.values[end] - self.values[start]) / (end - start) as f64) as f32
    }
}

/// Where the best 256 intervals of `n` sorted numbers end, among the ends of groups.
fn best_ends(sums: &Sums, n: usize) -> Vec<usize> {
    let groups = GROUPS.min(n);
    let ends: Vec<usize> = (0..=groups).map(|group| group * n / groups).collect();
    // errors[g]: of the groups before g in so many intervals. The last interval starts at from[layer][g].
    let mut errors: Vec<f64> = ends.iter().map(|&end| if end == 0 { 0.0 } else { sums.error(0, end) }).collect();
    let mut from = vec![vec![0; groups + 1]];
    for layer in 1..256 {
        let mut layer_errors = vec![f64::INFINITY; groups + 1];
        let mut starts = vec![0; groups + 1];
        let mut layer_search =
            Layer { sums, ends: &ends, before: &errors, errors: &mut layer_errors, starts: &mut starts };
        layer_search.solve(layer + 1, groups, layer, groups);
        errors = layer_errors;
        from.push(starts);
    }
    let mut at = groups;
    let mut chosen = vec![n];
    for starts in from.iter().rev() {
        at = starts[at];
        chosen.push(ends[at]);
    }
    chosen.reverse();
    chosen
}

/// One more interval, for all numbers of groups.
struct Layer<'a> {
    sums: &'a Sums,
    ends: &'a [usize],
    before: &'a [f64],
    errors: &'a mut [f64],
    starts: &'a mut [usize],
}

impl Layer<'_> {
    /// For the ends `first..=last`, whose last interval starts in `least..=most`: the start never falls as the end rises.
    fn solve(&mut self, first: usize, last: usize, least: usize, most: usize) {
        if first > last {
            return;
        }
        let middle = first.midpoint(last);
        let mut best = (f64::INFINITY, least);
        for start in least..=most.min(middle - 1) {
            let error = self.before[start] + self.sums.error(self.ends[start], self.ends[middle]);
            if error < best.0 {
                best = (error, start);
            }
        }
        (self.errors[middle], self.starts[middle]) = best;
        self.solve(first, middle - 1, least, best.1);
        self.solve(middle + 1, last, best.1, most);
    }
}

/// Moves the ends of intervals to halfway between their means until they stay.
fn lloyd(sample: &[f32], sums: &Sums, ends: &[usize]) -> [f32; 256] {
    let mut ends = ends.to_vec();
    let mut means = [0.0; 256];
    for _ in 0..LLOYD_STEPS {
        for i in 0..256 {
            // An empty interval keeps its mean.
            if ends[i + 1] > ends[i] {
                means[i] = sums.mean(ends[i], ends[i + 1]);
            }
        }
        let before = ends.clone();
        for i in 1..256 {
            let halfway = 0.5 * (means[i - 1] + means[i]);
            ends[i] = sample.partition_point(|&v| v < halfway).max(ends[i - 1]);
        }
        if ends == before {
            break;
        }
    }
    means.sort_unstable_by(f32::total_cmp);
    means
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(codebook: &Codebook, values: &[f32]) -> f64 {
        let off = |&v: &f32| f64::from(v - codebook.0[usize::from(codebook.nearest(v))]).powi(2);
        values.iter().map(off).sum::<f64>() / values.len() as f64
    }

    #[test]
    fn few_values_are_kept_exactly() {
        for n in [0, 1, 2, 256] {
            let values: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin() * 1e3).collect();
            let codebook = Codebook::new(3 * n, |i| values[i % n]);
            assert!(values.iter().all(|&v| codebook.0[usize::from(codebook.nearest(v))] == v), "{n} values");
        }
    }

    #[test]
    fn evenly_spread_values_get_even_steps() {
        let values: Vec<f32> = (0..100_000).map(|i| i as f32 / 99_999.0).collect();
        let codebook = Codebook::new(values.len(), |i| values[i]);
        // The error of a step of 1/256 is its square over 12.
        let best = 1.0 / 256f64.powi(2) / 12.0;
        assert!(error(&codebook, &values) < 1.01 * best, "{} times the best", error(&codebook, &values) / best);
    }

    #[test]
    fn normal_values_get_the_steps_that_theory_gives() {
        // Sums of 12 even numbers. Panter and Dite: an error of sqrt(3) pi / 2 sigma² / 256² for a normal distribution.
        let even = |i: usize| ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1 << 24) as f32;
        let values: Vec<f32> = (0..60_000).map(|i| (0..12).map(|k| even(12 * i + k + 1)).sum::<f32>() - 6.0).collect();
        let variance = values.iter().map(|v| f64::from(v * v)).sum::<f64>() / values.len() as f64;
        let codebook = Codebook::new(values.len(), |i| values[i]);
        let best = 3f64.sqrt() * std::f64::consts::FRAC_PI_2 * variance / 256f64.powi(2);
        assert!(error(&codebook, &values) < 1.05 * best, "{} times the best", error(&codebook, &values) / best);
    }

    proptest! {
        #[test]
        fn every_value_gets_the_nearest_entry(values in prop::collection::vec(-1e3f32..1e3, 1..2000), probe in -2e3f32..2e3) {
            let codebook = Codebook::new(values.len(), |i| values[i]);
            prop_assert!(codebook.0.is_sorted());
            let nearest = (codebook.0[usize::from(codebook.nearest(probe))] - probe).abs();
            let least = codebook.0.iter().map(|entry| (entry - probe).abs()).fold(f32::INFINITY, f32::min);
            prop_assert_eq!(nearest, least);
        }
    }
}
