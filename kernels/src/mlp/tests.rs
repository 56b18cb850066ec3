use super::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

fn random(rng: &mut Pcg64, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// `relu(W h)` layer by layer in double precision, for one sample.
fn reference(mlp: &Mlp, weights: &[f64], input: &[f64]) -> Vec<f64> {
    let mut h = input.to_vec();
    for k in 0..mlp.layers() {
        let matrix = &weights[mlp.matrix(k)];
        let row = |o: usize| matrix[o * h.len()..][..h.len()].iter().zip(&h).map(|(w, x)| w * x).sum::<f64>();
        let relu = |x: f64| if k + 1 < mlp.layers() { x.max(0.0) } else { x };
        h = (0..mlp.widths()[k + 1]).map(|o| relu(row(o))).collect();
    }
    h
}

/// The derivative of output 0 by the input, by following which units are active.
fn sensitivity(mlp: &Mlp, weights: &[f64], input: &[f64]) -> Vec<f64> {
    let mut active: Vec<Vec<bool>> = Vec::new();
    let mut h = input.to_vec();
    for k in 0..mlp.layers() - 1 {
        let matrix = &weights[mlp.matrix(k)];
        let z: Vec<f64> = (0..mlp.widths()[k + 1])
            .map(|o| matrix[o * h.len()..][..h.len()].iter().zip(&h).map(|(w, x)| w * x).sum())
            .collect();
        active.push(z.iter().map(|z| *z > 0.0).collect());
        h = z.iter().map(|z| z.max(0.0)).collect();
    }
    let mut b = vec![0.0; mlp.widths()[mlp.layers()]];
    b[0] = 1.0;
    for k in (0..mlp.layers()).rev() {
        let matrix = &weights[mlp.matrix(k)];
        let width = mlp.widths()[k];
        let column = |i: usize| (0..b.len()).map(|o| matrix[o * width + i] * b[o]).sum::<f64>();
        b = (0..width).map(|i| if k == 0 || active[k - 1][i] { column(i) } else { 0.0 }).collect();
    }
    b
}

/// `⟨u, y⟩ + ⟨v, ∂y_0/∂h_0⟩` summed over samples.
fn loss(mlp: &Mlp, weights: &[f64], inputs: &[f32], u: &[f32], v: &[f32]) -> f64 {
    let (n_in, n_out) = (mlp.widths()[0], mlp.widths()[mlp.layers()]);
    let dot = |a: &[f64], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * f64::from(*b)).sum::<f64>();
    let samples = inputs.chunks(n_in).zip(u.chunks(n_out)).zip(v.chunks(n_in));
    samples
        .map(|((input, u), v)| {
            let input: Vec<f64> = input.iter().map(|x| f64::from(*x)).collect();
            dot(&reference(mlp, weights, &input), u) + dot(&sensitivity(mlp, weights, &input), v)
        })
        .sum()
}

#[test]
fn all_gradients_are_those_of_central_differences() {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    let mut rng = Pcg64::seed_from_u64(seed);
    for widths in [&[8, 16, 4][..], &[12, 8, 20, 8]] {
        let mlp = Mlp::new(widths);
        let (n_in, n_out, n) = (widths[0], widths[widths.len() - 1], 37);
        let weights = random(&mut rng, mlp.weights());
        let (inputs, u, v) = (random(&mut rng, n * n_in), random(&mut rng, n * n_out), random(&mut rng, n * n_in));

        let [mut h, mut d, mut b, mut f] = std::array::from_fn(|_| Activations::default());
        [&mut h, &mut d, &mut b, &mut f].into_iter().for_each(|a| mlp.make_room(blocks_for(n), a));
        h.layers[0] = to_blocks(&inputs, n_in);
        mlp.forward(&weights, &mut h);
        d.layers[mlp.layers()] = to_blocks(&u, n_out);
        mlp.back(&weights, &h, &mut d, true);
        mlp.sensitivity(&weights, &h, 0, &mut b);
        f.layers[0] = to_blocks(&v, n_in);
        mlp.tangent(&weights, &h, &mut f);
        let mut gradient = vec![0.0; mlp.weights()];
        mlp.weight_gradient(&h, &d, &mut gradient);
        mlp.second_order_weight_gradient(&b, &f, 0, &mut gradient);

        let exact: Vec<f64> = weights.iter().map(|w| f64::from(*w)).collect();
        let output = from_blocks(&h.layers[mlp.layers()], Rows::all(n_out), n_out, n);
        let expected = reference(&mlp, &exact, &inputs[..n_in].iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
        for (got, want) in output.iter().zip(&expected) {
            assert!((f64::from(*got) - want).abs() < 1e-5, "{got} instead of {want}");
        }
        let step = 1e-7;
        for at in (0..mlp.weights()).step_by(7) {
            let moved = |by: f64| {
                let mut weights = exact.clone();
                weights[at] += by;
                loss(&mlp, &weights, &inputs, &u, &v)
            };
            let want = (moved(step) - moved(-step)) / (2.0 * step);
            let got = f64::from(gradient[at]);
            // Sums of 37 samples in single precision; the loss is linear in each weight but for kinks that a step of 1e-7 hardly meets.
            assert!(
                (got - want).abs() < 2e-4 * (1.0 + want.abs()),
                "weight {at} of {widths:?}: {got} instead of {want}"
            );
        }
    }
}
