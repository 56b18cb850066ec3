//! Attention over lists of ranges, and its gradients.

use crate::scenes::fresh_rng;
use crate::stream;
use rand::{RngExt, rngs::StdRng};
use tessera_kernels::device::{Device, Precision};
use tessera_kernels::sparse_attention::cuda::{Attention, DeviceBlocks, DevicePattern, Inputs, Selector};
use tessera_kernels::sparse_attention::{
    Attended, Blocks, Gradients, Heads, NONE, Pattern, Patterns, Selection, backward, forward, select,
};

/// Random runs of queries and ranges of keys, among them queries that see nothing.
struct Case {
    heads: Heads,
    patterns: Vec<Pattern>,
    /// For each pattern the keys that each query sees.
    seen: Vec<Vec<Vec<usize>>>,
    keys: usize,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    by_out: Vec<f32>,
}

impl Case {
    fn random(width: usize, rng: &mut StdRng) -> Self {
        let groups = rng.random_range(1..=3);
        let heads = Heads { queries: groups * rng.random_range(1..=5), keys: groups, width };
        let (tokens, keys) = (rng.random_range(1..=60), rng.random_range(1..=200));
        Self::of_size(heads, tokens, keys, rng)
    }

    fn of_size(heads: Heads, tokens: usize, keys: usize, rng: &mut StdRng) -> Self {
        // One for all groups, or one for each.
        let count = if rng.random_bool(0.5) { 1 } else { heads.keys };
        let (patterns, seen) = (0..count).map(|_| random_pattern(tokens, keys, rng)).unzip();
        let mut random = |len: usize| (0..len).map(|_| rng.random_range(-1.0..1.0f32)).collect::<Vec<f32>>();
        let (of_queries, of_keys) = (tokens * heads.queries * heads.width, keys * heads.keys * heads.width);
        let (q, by_out) = (random(of_queries), random(of_queries));
        Self { heads, patterns, seen, keys, q, k: random(of_keys), v: random(of_keys), by_out }
    }

    /// All numbers rounded to bf16.
    fn rounded(mut self) -> Self {
        for values in [&mut self.q, &mut self.k, &mut self.v, &mut self.by_out] {
            values.iter_mut().for_each(|x| *x = half::bf16::from_f32(*x).to_f32());
        }
        self
    }

    fn on_the_cpu(&self) -> (Attended, Gradients) {
        let patterns = match &self.patterns[..] {
            [one] => Patterns::Shared(one),
            each => Patterns::OfGroups(each),
        };
        let attended = forward(self.heads, patterns, &self.q, &self.k, &self.v);
        let gradients = backward(self.heads, patterns, [&self.q, &self.k, &self.v], &attended, &self.by_out);
        (attended, gradients)
    }

    fn on_a_device(&self, device: &Device, precision: Precision) -> (Attended, Gradients) {
        let stream = stream(device);
        let upload = |values: &[f32]| device.upload(values, "a test").expect("memory");
        let [q, k, v, by_out] = [&self.q, &self.k, &self.v, &self.by_out].map(|values| upload(values));
        let patterns: Vec<DevicePattern> = self
            .patterns
            .iter()
            .map(|pattern| DevicePattern::new(device, self.heads, pattern, self.keys).expect("memory"))
            .collect();
        let patterns: Vec<&DevicePattern> = patterns.iter().collect();
        let (attention, inputs) = (Attention::new(device, precision).expect("kernels"), Inputs { q: &q, k: &k, v: &v });
        let attended = attention.forward(&stream, self.heads, &patterns, inputs).expect("attention");
        let gradients =
            attention.backward(&stream, self.heads, &patterns, inputs, &attended, &by_out).expect("gradients");
        let read = |buffer: &tessera_kernels::device::Buffer<f32>| buffer.read(&stream).expect("numbers");
        let attended = Attended { out: read(&attended.out), log_sums: read(&attended.log_sums) };
        (attended, Gradients { q: read(&gradients.q), k: read(&gradients.k), v: read(&gradients.v) })
    }
}

fn random_pattern(tokens: usize, keys: usize, rng: &mut StdRng) -> (Pattern, Vec<Vec<usize>>) {
    let (mut pattern, mut seen) = (Pattern::new(), Vec::new());
    while seen.len() < tokens {
        let end = (seen.len() + rng.random_range(1..=70)).min(tokens);
        let mut cuts: Vec<usize> = (0..2 * rng.random_range(0..=4)).map(|_| rng.random_range(0..=keys)).collect();
        cuts.sort_unstable();
        let ranges = cuts.as_chunks::<2>().0.iter().map(|[a, b]| *a..*b);
        seen.resize(end, ranges.clone().flatten().collect());
        pattern.push(end, ranges);
    }
    (pattern, seen)
}

fn assert_near(name: &str, heads: Heads, actual: &[f32], expected: &[f32], bound: f32) {
    assert_eq!(actual.len(), expected.len(), "{name} has another size");
    // Minus infinity is the logarithm of a sum over nothing.
    let off = |(a, b): (&f32, &f32)| if a == b { 0.0 } else { (a - b).abs() };
    let worst = actual.iter().zip(expected).map(off).fold(0.0, f32::max);
    assert!(worst <= bound, "{name} is off by {worst}, more than {bound}, with {heads:?}");
}

pub fn attention_is_that_of_the_cpu(device: &Device) {
    let mut rng = fresh_rng();
    // Those that fill the kernels' rows, and those that do not.
    for width in [1, 7, 16, 20, 32, 64, 77, 128] {
        let case = Case::random(width, &mut rng);
        let ((attended, gradients), (expected, expected_gradients)) =
            (case.on_a_device(device, Precision::Single), case.on_the_cpu());
        // Means of numbers below 1: a rounding for each of the 200 keys at most, of either side. Products of D numbers below
        // 1, divided by the root of D, have errors of up to D roundings of that, and gradients are sums of as many more
        // terms below 1 as there are queries and heads, 300.
        let rounding = f32::EPSILON * (width as f32).sqrt();
        assert_near("out", case.heads, &attended.out, &expected.out, 400.0 * rounding);
        assert_near("log_sums", case.heads, &attended.log_sums, &expected.log_sums, 400.0 * rounding);
        let pairs = [
            ("q", &gradients.q, &expected_gradients.q),
            ("k", &gradients.k, &expected_gradients.k),
            ("v", &gradients.v, &expected_gradients.v),
        ];
        for (name, actual, expected) in pairs {
            assert_near(name, case.heads, actual, expected, 600.0 * rounding);
        }
    }
}

pub fn attention_has_the_same_bits_each_time(device: &Device) {
    let case = Case::random(32, &mut fresh_rng());
    for precision in [Precision::Single, Precision::Brain] {
        let [first, second] = [(); 2].map(|()| case.on_a_device(device, precision));
        assert!(first == second, "blocks in another order gave other bits, {precision}");
    }
}

/// By how much roundings to bf16 may change what is computed from numbers that are bf16.
struct Bounds {
    out: Vec<f64>,
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
}

/// bf16 has 8 bits of mantissa: a rounding is off by this share of a number at most.
const BF16: f64 = 1.0 / 256.0;

impl Case {
    /// Weights and slopes are rounded before they are multiplied with values, keys and queries, and slopes follow outputs, which are off by the
    /// roundings of weights.
    fn bounds(&self) -> Bounds {
        let Heads { queries, keys: groups, width } = self.heads;
        let zeros = |values: &[f32]| vec![0.0; values.len()];
        let mut bounds = Bounds { out: zeros(&self.q), q: zeros(&self.q), k: zeros(&self.k), v: zeros(&self.v) };
        let root = (width as f64).sqrt();
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        for head in 0..queries {
            let group = head / self.heads.shared();
            let seen = &self.seen[group.min(self.seen.len() - 1)];
            for (t, seen) in seen.iter().enumerate() {
                let of_query = (t * queries + head) * width..(t * queries + head + 1) * width;
                let of_key = |j: usize| (j * groups + group) * width..(j * groups + group + 1) * width;
                let (q, by_out) = (&self.q[of_query.clone()], &self.by_out[of_query.clone()]);
                let mut weights: Vec<f64> = seen.iter().map(|j| (dot(q, &self.k[of_key(*j)]) / root).exp()).collect();
                let total: f64 = weights.iter().sum();
                weights.iter_mut().for_each(|weight| *weight /= total);
                let by_weights: Vec<f64> = seen.iter().map(|j| dot(by_out, &self.v[of_key(*j)])).collect();
                let delta: f64 = weights.iter().zip(&by_weights).map(|(p, d)| p * d).sum();
                let out = &mut bounds.out[of_query.clone()];
                for (j, p) in seen.iter().zip(&weights) {
                    let values = &self.v[of_key(*j)];
                    out.iter_mut().zip(values).for_each(|(bound, v)| *bound += BF16 * p * f64::from(v.abs()));
                }
                let of_delta: f64 = out.iter().zip(by_out).map(|(bound, d)| bound * f64::from(d.abs())).sum();
                for ((j, p), by_weight) in seen.iter().zip(&weights).zip(&by_weights) {
                    let slope = BF16 * p * (by_weight - delta).abs() + (1.0 + BF16) * p * of_delta;
                    for (i, (at, of_q)) in of_key(*j).zip(of_query.clone()).enumerate() {
                        bounds.q[of_q] += slope * f64::from(self.k[at].abs()) / root;
                        bounds.k[at] += slope * f64::from(q[i].abs()) / root;
                        bounds.v[at] += BF16 * p * f64::from(by_out[i].abs());
                    }
                }
            }
        }
        bounds
    }
}

fn assert_within(name: &str, heads: Heads, actual: &[f32], expected: &[f32], bounds: &[f64], single: f32) {
    assert_eq!((actual.len(), actual.len()), (expected.len(), bounds.len()), "{name} has another size");
    for (i, ((a, b), bound)) in actual.iter().zip(expected).zip(bounds).enumerate() {
        let bound = bound + f64::from(single);
        assert!(f64::from((a - b).abs()) <= bound, "{name}[{i}] is {a} and not {b}, {bound} apart, with {heads:?}");
    }
}

pub fn attention_in_bf16_is_that_of_the_cpu_but_for_roundings(device: &Device) {
    let mut rng = fresh_rng();
    // One and two heads of a row of keys, as many as a fragment has rows, and some in between; queries with few rows have several warps.
    let shapes = [(16, 1, 60), (32, 16, 3), (64, 2, 12), (77, 3, 20), (7, 5, 40), (128, 16, 2), (20, 1, 60)];
    for (width, shared, tokens) in shapes {
        let groups = rng.random_range(1..=2);
        let heads = Heads { queries: groups * shared, keys: groups, width };
        let (tokens, keys) = (rng.random_range(1..=tokens), rng.random_range(1..=250));
        let case = Case::of_size(heads, tokens, keys, &mut rng).rounded();
        let (attended, gradients) = case.on_a_device(device, Precision::Brain);
        let (expected, expected_gradients) = case.on_the_cpu();
        let bounds = case.bounds();
        // Beside them those of single precision, as above.
        let rounding = f32::EPSILON * (width as f32).sqrt();
        assert_near("log_sums", heads, &attended.log_sums, &expected.log_sums, 400.0 * rounding);
        assert_within("out", heads, &attended.out, &expected.out, &bounds.out, 400.0 * rounding);
        let triples = [
            ("q", &gradients.q, &expected_gradients.q, &bounds.q),
            ("k", &gradients.k, &expected_gradients.k, &bounds.k),
            ("v", &gradients.v, &expected_gradients.v, &bounds.v),
        ];
        for (name, actual, expected, bounds) in triples {
            assert_within(name, heads, actual, expected, bounds, 600.0 * rounding);
        }
    }
}

pub fn attention_in_bf16_rounds_what_it_is_given(device: &Device) {
    let case = Case::random(24, &mut fresh_rng());
    let (given, _) = case.on_a_device(device, Precision::Brain);
    let (rounded, _) = case.rounded().on_a_device(device, Precision::Brain);
    assert!(given == rounded, "numbers and the bf16 next to them are the same");
}

/// Some queries and means, each mean in a block.
struct Means {
    heads: Heads,
    pattern: Pattern,
    seen: Vec<Vec<usize>>,
    q: Vec<f32>,
    means: Vec<f32>,
    of_means: Vec<u32>,
    ends: Vec<usize>,
    count: usize,
}

impl Means {
    fn random(heads: Heads, [tokens, means, blocks, count]: [usize; 4], rng: &mut StdRng) -> Self {
        let (pattern, seen) = random_pattern(tokens, means, rng);
        // A block's means need not follow each other.
        let of_means = (0..means).map(|_| rng.random_range(0..blocks as u32)).collect();
        let mut random = |len: usize| (0..len).map(|_| rng.random_range(-1.0..1.0f32)).collect::<Vec<f32>>();
        let (q, means) = (random(tokens * heads.queries * heads.width), random(means * heads.keys * heads.width));
        Self { heads, pattern, seen, q, means, of_means, ends: (1..=blocks).collect(), count }
    }

    fn blocks(&self) -> Blocks<'_> {
        Blocks { ends: &self.ends, of_means: &self.of_means, count: self.count }
    }

    /// On the CPU and on a device.
    fn selected(&self, device: &Device) -> [Selection; 2] {
        let attended = forward(self.heads, Patterns::Shared(&self.pattern), &self.q, &self.means, &self.means);
        let expected = select(self.heads, &self.pattern, [&self.q, &self.means], &attended, self.blocks());
        let stream = stream(device);
        let [q, means, sums] =
            [&self.q, &self.means, &attended.log_sums].map(|values| device.upload(values, "a test").expect("memory"));
        let blocks = DeviceBlocks::new(device, self.heads, &self.pattern, self.blocks()).expect("memory");
        let selector = Selector::new(device).expect("kernels");
        let chosen = selector.select(&stream, &blocks, [&q, &means, &sums]).expect("blocks");
        let chosen = chosen.read(&stream).expect("numbers");
        [expected, Selection::of(self.heads, chosen, self.blocks())]
    }

    /// The scores of all blocks by a query of a group.
    fn scores(&self, group: usize, t: usize) -> Vec<f64> {
        let Heads { queries, keys, width } = self.heads;
        let mut scores = vec![0.0; self.ends.len()];
        for head in group * self.heads.shared()..(group + 1) * self.heads.shared() {
            let q = &self.q[(t * queries + head) * width..][..width];
            let weight = |j: usize| {
                let products = q.iter().zip(&self.means[(j * keys + group) * width..]).map(|(a, b)| f64::from(a * b));
                (products.sum::<f64>() / (width as f64).sqrt()).exp()
            };
            let total: f64 = self.seen[t].iter().map(|j| weight(*j)).sum();
            self.seen[t].iter().for_each(|j| scores[self.of_means[*j] as usize] += weight(*j) / total);
        }
        scores
    }
}

pub fn selected_blocks_are_those_of_the_cpu(device: &Device) {
    let mut rng = fresh_rng();
    // Less than a tile of means, blocks over several, more blocks than a tile; fewer than are wanted.
    let shapes = [
        (32, 16, [12, 90, 70, 8]),
        (20, 3, [9, 1200, 40, 4]),
        (64, 2, [10, 700, 600, 5]),
        (128, 1, [7, 300, 300, 40]),
        (16, 5, [20, 12, 9, 16]),
        (128, 16, [5, 40, 20, 3]),
    ];
    for (width, shared, sizes) in shapes {
        let groups = rng.random_range(1..=2);
        let case = Means::random(Heads { queries: groups * shared, keys: groups, width }, sizes, &mut rng);
        let [expected, actual] = case.selected(device);
        let rows = |selection: &Selection| selection.blocks.chunks(case.count).map(<[u32]>::to_vec).collect::<Vec<_>>();
        for (row, (expected, actual)) in rows(&expected).into_iter().zip(rows(&actual)).enumerate() {
            if expected == actual {
                continue;
            }
            // Scores are sums of shares of one, which may be taken for each other where they differ by less than their roundings: of products
            // of D numbers, and of a sum over all heads and means.
            let scores = case.scores(row / sizes[0], row % sizes[0]);
            let rounding = f64::from(f32::EPSILON) * (width as f64).sqrt() * 40.0 * shared as f64;
            let known = |blocks: &[u32]| blocks.iter().filter(|b| **b != NONE).count();
            assert_eq!(known(&expected), known(&actual), "as many blocks");
            assert!(actual.is_sorted() && actual.windows(2).all(|b| b[0] < b[1] || b[1] == NONE), "ascending");
            let least = actual.iter().map(|b| scores[*b as usize]).fold(f64::MAX, f64::min);
            let others = (0..scores.len()).filter(|b| !actual.contains(&(*b as u32))).map(|b| scores[b]);
            let most = others.fold(0.0, f64::max);
            assert!(least >= most - rounding, "row {row}: {least} was taken and {most} was not, of {sizes:?}");
        }
        if expected.blocks == actual.blocks {
            assert_eq!(expected, actual, "the same blocks make the same patterns");
        }
    }
}

pub fn of_equal_blocks_the_first_are_selected(device: &Device) {
    let mut case = Means::random(Heads { queries: 4, keys: 2, width: 16 }, [8, 600, 600, 6], &mut fresh_rng());
    case.means.fill(0.25);
    case.of_means = (0..600).collect();
    case.pattern = Pattern::new();
    case.pattern.push(8, [5..9, 100..600]);
    let [expected, actual] = case.selected(device);
    assert_eq!(actual.blocks, [5, 6, 7, 8, 100, 101].repeat(16));
    assert_eq!(expected, actual);
}
