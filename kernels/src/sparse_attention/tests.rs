use super::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// A softmax over what is seen, in double precision: the outputs, `[N, H, D]`.
fn reference(heads: Heads, sees: impl Fn(usize, usize, usize) -> bool, [q, k, v]: [&[f64]; 3]) -> Vec<f64> {
    let (h, g, d) = (heads.queries, heads.keys, heads.width);
    let (tokens, keys) = (q.len() / (h * d), k.len() / (g * d));
    let mut out = vec![0.0; q.len()];
    for t in 0..tokens {
        for head in 0..h {
            let group = head / heads.shared();
            let q = &q[(t * h + head) * d..][..d];
            let of = |s: usize, x: &[f64]| -> Vec<f64> { x[(s * g + group) * d..][..d].to_vec() };
            let weight = |s: usize| (q.iter().zip(of(s, k)).map(|(a, b)| a * b).sum::<f64>() / (d as f64).sqrt()).exp();
            let seen: Vec<(usize, f64)> = (0..keys).filter(|s| sees(group, t, *s)).map(|s| (s, weight(s))).collect();
            let total: f64 = seen.iter().map(|(_, w)| w).sum();
            for (s, w) in seen {
                let own = &mut out[(t * h + head) * d..][..d];
                own.iter_mut().zip(of(s, v)).for_each(|(o, x)| *o += w / total * x);
            }
        }
    }
    out
}

struct Case {
    heads: Heads,
    patterns: Vec<Pattern>,
    seen: Vec<Vec<bool>>,
    keys: usize,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

/// Random heads, runs and ranges, among them queries that see nothing.
fn case(rng: &mut Pcg64) -> Case {
    let groups = rng.random_range(1..=3);
    let heads = Heads { queries: groups * rng.random_range(1..=5), keys: groups, width: rng.random_range(1..=20) };
    let (tokens, keys) = (rng.random_range(1..=90), rng.random_range(1..=300));
    let (mut patterns, mut seen) = (Vec::new(), Vec::new());
    for _ in 0..groups {
        let (mut pattern, mut sees, mut t) = (Pattern::new(), vec![false; tokens * keys], 0);
        while t < tokens {
            let end = (t + rng.random_range(1..=70)).min(tokens);
            let mut cuts: Vec<usize> = (0..2 * rng.random_range(0..=4)).map(|_| rng.random_range(0..=keys)).collect();
            cuts.sort_unstable();
            let ranges: Vec<_> = cuts.as_chunks::<2>().0.iter().map(|[a, b]| *a..*b).collect();
            for t in t..end {
                ranges.iter().cloned().flatten().for_each(|s| sees[t * keys + s] = true);
            }
            pattern.push(end, ranges);
            t = end;
        }
        patterns.push(pattern);
        seen.push(sees);
    }
    let mut random = |len: usize| (0..len).map(|_| rng.random_range(-1.0..1.0f32)).collect::<Vec<f32>>();
    let (h, g, d) = (heads.queries, heads.keys, heads.width);
    Case { heads, patterns, seen, keys, q: random(tokens * h * d), k: random(keys * g * d), v: random(keys * g * d) }
}

impl Case {
    fn reference(&self, inputs: [&[f64]; 3]) -> Vec<f64> {
        reference(self.heads, |g, t, s| self.seen[g][t * self.keys + s], inputs)
    }
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

/// Means of numbers below 1 in single precision: an error of a rounding for each of the 300 keys at most, all of one sign.
const ROUNDING: f64 = 300.0 * f32::EPSILON as f64;

#[test]
fn any_pattern_gives_what_a_softmax_over_the_seen_keys_gives() {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    let mut rng = Pcg64::seed_from_u64(seed);
    for _ in 0..10 {
        let case = case(&mut rng);
        let attended = forward(case.heads, Patterns::OfGroups(&case.patterns), &case.q, &case.k, &case.v);
        let expected = case.reference([&wide(&case.q), &wide(&case.k), &wide(&case.v)]);
        let worst = attended.out.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(worst < ROUNDING, "off by {worst} with {:?}", case.heads);
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    let mut rng = Pcg64::seed_from_u64(seed);
    for _ in 0..3 {
        let case = case(&mut rng);
        let patterns = Patterns::OfGroups(&case.patterns);
        let attended = forward(case.heads, patterns, &case.q, &case.k, &case.v);
        let by_out: Vec<f32> = case.q.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
        let gradients = backward(case.heads, patterns, [&case.q, &case.k, &case.v], &attended, &by_out);
        for (which, gradient) in [&gradients.q, &gradients.k, &gradients.v].into_iter().enumerate() {
            for _ in 0..4 {
                let at = rng.random_range(0..gradient.len());
                let loss = |step: f64| -> f64 {
                    let mut inputs = [&case.q, &case.k, &case.v].map(|x| wide(x));
                    inputs[which][at] += step;
                    let out = case.reference([&inputs[0], &inputs[1], &inputs[2]]);
                    out.iter().zip(&by_out).map(|(o, d)| o * f64::from(*d)).sum()
                };
                const STEP: f64 = 1e-4;
                let expected = (loss(STEP) - loss(-STEP)) / (2.0 * STEP);
                let off = (f64::from(gradient[at]) - expected).abs();
                // Up to 90 queries of 5 heads add to the gradient of a key, each with a few roundings of numbers below 1.
                assert!(
                    off < 450.0 * 8.0 * f64::from(f32::EPSILON),
                    "input {which}: {} and not {expected}",
                    gradient[at]
                );
            }
        }
    }
}

#[test]
fn selection_takes_the_blocks_that_heads_look_at_most() {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    let mut rng = Pcg64::seed_from_u64(seed);
    let heads = Heads { queries: 6, keys: 2, width: 12 };
    let mut random = |len: usize| (0..len).map(|_| rng.random_range(-1.0..1.0f32)).collect::<Vec<f32>>();
    let (q, means) = (random(20 * 72), random(30 * 24));
    // Two samples, of 12 and of 18 means, of which two each are in a block; blocks have three tokens.
    let pattern = Pattern::of_blocks(&[9, 20], &[12, 30]);
    let of_means: Vec<u32> = (0..30).map(|j| j / 2).collect();
    let ends: Vec<usize> = (1..=15).map(|b| 3 * b).collect();
    let attended = forward(heads, Patterns::Shared(&pattern), &q, &means, &means);
    let blocks = Blocks { ends: &ends, of_means: &of_means, count: 4 };
    let selection = select(heads, &pattern, [&q, &means], &attended, blocks);
    for group in 0..2 {
        for t in 0..20 {
            let own = if t < 9 { 0..12 } else { 12..30 };
            let mut scores = [0.0f64; 15];
            for head in 3 * group..3 * group + 3 {
                let weight = |j: usize| {
                    let product = (0..12)
                        .map(|d| f64::from(q[(t * 6 + head) * 12 + d]) * f64::from(means[(j * 2 + group) * 12 + d]));
                    (product.sum::<f64>() / 12.0f64.sqrt()).exp()
                };
                let total: f64 = own.clone().map(weight).sum();
                own.clone().for_each(|j| scores[j / 2] += weight(j) / total);
            }
            let chosen = &selection.blocks[(group * 20 + t) * 4..][..4];
            assert!(chosen.is_sorted() && chosen[3] != NONE, "four blocks, ascending");
            let least = chosen.iter().map(|b| scores[*b as usize]).fold(f64::MAX, f64::min);
            let others = (0..15u32).filter(|b| !chosen.contains(b)).map(|b| scores[b as usize]).fold(0.0, f64::max);
            // Scores are sums of six shares of one: they may be taken for each other where they differ by less than roundings.
            assert!(least > others - ROUNDING, "query {t}: {least} was taken and {others} was not");
        }
    }
    assert_eq!(selection.patterns[0].queries(), 20, "all queries have a list");
}

#[test]
fn where_there_are_few_blocks_all_are_selected() {
    let heads = Heads::equal(1, 4);
    let (q, means) = (vec![0.5; 4 * 3], vec![0.25; 4 * 2]);
    let pattern = Pattern::of_blocks(&[3], &[2]);
    let attended = forward(heads, Patterns::Shared(&pattern), &q, &means, &means);
    let blocks = Blocks { ends: &[1, 3], of_means: &[0, 1], count: 5 };
    let selection = select(heads, &pattern, [&q, &means], &attended, blocks);
    assert_eq!(selection.blocks, [0, 1, NONE, NONE, NONE].repeat(3));
    assert_eq!(
        selection.patterns,
        [Pattern::of_blocks(&[3], &[3])],
        "neighbouring blocks are one range, equal queries one run"
    );
}

#[test]
fn windows_hold_the_tokens_of_their_voxels_only() {
    let coordinates: Vec<[i32; 4]> = (0..60).map(|i| [i / 30, i * 7 % 11, i * 3 % 5, i % 9]).collect();
    let windows = Windows::new(&coordinates, 4, 2);
    let of = |i: u32| window_of(coordinates[i as usize]);
    fn window_of([b, x, y, z]: [i32; 4]) -> [i32; 4] {
        [b, (x + 2) / 4, (y + 2) / 4, (z + 2) / 4]
    }
    let same: u64 = (0..60).map(|i| (0..60).filter(|j| of(i) == of(*j)).count() as u64).sum();
    assert_eq!(windows.pattern.pairs(), same);
    assert!(windows.order.windows(2).all(|pair| of(pair[0]) <= of(pair[1])), "window by window");
}
