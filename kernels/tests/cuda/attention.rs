//! Attention over lists of ranges, and its gradients.

use crate::scenes::fresh_rng;
use crate::stream;
use rand::{RngExt, rngs::StdRng};
use tessera_kernels::device::Device;
use tessera_kernels::sparse_attention::cuda::{Attention, DevicePattern, Inputs};
use tessera_kernels::sparse_attention::{Attended, Gradients, Heads, Pattern, Patterns, backward, forward};

/// Random runs of queries and ranges of keys, among them queries that see nothing.
struct Case {
    heads: Heads,
    patterns: Vec<Pattern>,
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
        // One for all groups, or one for each.
        let count = if rng.random_bool(0.5) { 1 } else { groups };
        let patterns = (0..count).map(|_| random_pattern(tokens, keys, rng)).collect();
        let mut random = |len: usize| (0..len).map(|_| rng.random_range(-1.0..1.0f32)).collect::<Vec<f32>>();
        let (of_queries, of_keys) = (tokens * heads.queries * width, keys * groups * width);
        let (q, by_out) = (random(of_queries), random(of_queries));
        Self { heads, patterns, keys, q, k: random(of_keys), v: random(of_keys), by_out }
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

    fn on_a_device(&self, device: &Device) -> (Attended, Gradients) {
        let stream = stream(device);
        let upload = |values: &[f32]| device.upload(values, "a test").expect("memory");
        let [q, k, v, by_out] = [&self.q, &self.k, &self.v, &self.by_out].map(|values| upload(values));
        let patterns: Vec<DevicePattern> = self
            .patterns
            .iter()
            .map(|pattern| DevicePattern::new(device, self.heads, pattern, self.keys).expect("memory"))
            .collect();
        let patterns: Vec<&DevicePattern> = patterns.iter().collect();
        let (attention, inputs) = (Attention::new(device).expect("kernels"), Inputs { q: &q, k: &k, v: &v });
        let attended = attention.forward(&stream, self.heads, &patterns, inputs).expect("attention");
        let gradients =
            attention.backward(&stream, self.heads, &patterns, inputs, &attended, &by_out).expect("gradients");
        let read = |buffer: &tessera_kernels::device::Buffer<f32>| buffer.read(&stream).expect("numbers");
        let attended = Attended { out: read(&attended.out), log_sums: read(&attended.log_sums) };
        (attended, Gradients { q: read(&gradients.q), k: read(&gradients.k), v: read(&gradients.v) })
    }
}

fn random_pattern(tokens: usize, keys: usize, rng: &mut StdRng) -> Pattern {
    let (mut pattern, mut t) = (Pattern::new(), 0);
    while t < tokens {
        let end = (t + rng.random_range(1..=70)).min(tokens);
        let mut cuts: Vec<usize> = (0..2 * rng.random_range(0..=4)).map(|_| rng.random_range(0..=keys)).collect();
        cuts.sort_unstable();
        pattern.push(end, cuts.as_chunks::<2>().0.iter().map(|[a, b]| *a..*b));
        t = end;
    }
    pattern
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
        let ((attended, gradients), (expected, expected_gradients)) = (case.on_a_device(device), case.on_the_cpu());
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
    assert!(case.on_a_device(device) == case.on_a_device(device), "blocks in another order gave other bits");
}
