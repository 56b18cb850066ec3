use super::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

fn rng() -> Pcg64 {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    Pcg64::seed_from_u64(seed)
}

fn random(rng: &mut Pcg64, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

#[test]
fn products_of_any_size_and_direction_are_sums_of_products() {
    let mut rng = rng();
    for _ in 0..12 {
        let [m, k, n] = [rng.random_range(1..=110), rng.random_range(1..=600), rng.random_range(1..=70)];
        let (a, b) = (random(&mut rng, m * k), random(&mut rng, k * n));
        let before = random(&mut rng, m * n);
        let (turn_a, turn_b) = (rng.random_bool(0.5), rng.random_bool(0.5));
        let left = if turn_a { Matrix::new(&a, m).turned() } else { Matrix::new(&a, k) };
        let right = if turn_b { Matrix::new(&b, k).turned() } else { Matrix::new(&b, n) };
        let mut out = before.clone();
        product(left, right, k, n, &mut out);
        for i in 0..m {
            for j in 0..n {
                let exact: f64 = (0..k).map(|l| f64::from(left.at(i, l)) * f64::from(right.at(l, j))).sum();
                let off = (f64::from(out[i * n + j]) - f64::from(before[i * n + j]) - exact).abs();
                // A rounding of a sum below k for each of its k terms would be k² ε; terms of both signs stay below √k of that.
                assert!(
                    off < f64::from(f32::EPSILON) * (k as f64 + 1.0),
                    "{m} x {k} x {n} at ({i}, {j}) is off by {off}"
                );
            }
        }
    }
}

const ALL: [Activation; 5] =
    [Activation::Sigmoid, Activation::Silu, Activation::Gelu, Activation::GeluExact, Activation::Tanh];

/// Sums of Taylor's series: exact enough for differences.
fn exact(of: Activation, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match of {
        Activation::Sigmoid => sigmoid(x),
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x.powi(3))).tanh()),
        Activation::GeluExact => {
            let (mut term, mut sum) = (x, x);
            for n in 1..200 {
                term *= -x * x / (2.0 * f64::from(n));
                sum += term / (2.0 * f64::from(n) + 1.0);
            }
            x * (0.5 + sum / std::f64::consts::TAU.sqrt())
        }
        Activation::Tanh => x.tanh(),
    }
}

#[test]
fn activations_and_their_slopes_are_exact() {
    for of in ALL {
        let x: Vec<f32> = (-397..=397).map(|i| i as f32 / 100.0).collect();
        let values = activate(of, &x);
        let slopes = activate_backward(of, &x, &vec![1.0; x.len()]);
        for (i, &x) in x.iter().enumerate() {
            let x = f64::from(x);
            let slope = (exact(of, x + 1e-5) - exact(of, x - 1e-5)) / 2e-5;
            let off = (f64::from(values[i]) - exact(of, x)).abs().max((f64::from(slopes[i]) - slope).abs());
            // Values up to 4 with a few roundings, and the approximation of the error function.
            assert!(off < 3e-6, "{of:?} at {x} is off by {off}");
        }
    }
}

#[test]
fn normalised_rows_have_mean_zero_and_the_gradient_of_differences() {
    let mut rng = rng();
    let (columns, rows) = (37, 70);
    let (x, d) = (random(&mut rng, columns * rows), random(&mut rng, columns * rows));
    let normalised = normalise(&x, columns, 1e-5);
    let gradient = normalise_backward([&normalised.values, &normalised.scales], columns, &d);
    let row = rng.random_range(0..rows);
    let loss = |at: usize, step: f64| -> f64 {
        let mut own: Vec<f64> = x[row * columns..][..columns].iter().map(|x| f64::from(*x)).collect();
        own[at] += step;
        let mean = own.iter().sum::<f64>() / columns as f64;
        let variance = own.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / columns as f64;
        let values = own.iter().map(|x| (x - mean) / (variance + 1e-5).sqrt());
        values.zip(&d[row * columns..]).map(|(x, d)| x * f64::from(*d)).sum()
    };
    for at in 0..columns {
        let expected = (loss(at, 1e-4) - loss(at, -1e-4)) / 2e-4;
        let off = (f64::from(gradient[row * columns + at]) - expected).abs();
        assert!(off < 2e-5, "column {at}: {} and not {expected}", gradient[row * columns + at]);
    }
    for values in normalised.values.chunks_exact(columns) {
        let mean: f32 = values.iter().sum::<f32>() / columns as f32;
        assert!(mean.abs() < 1e-6, "the mean is {mean}");
    }
}
