//! Gradients of the decoder of radial basis functions, of kernels in space and of grids over squares against central differences, on inputs
//! that are new in every run.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use tessera_kernels::hash_grid::{FactorLevel, HashGrid, Interpolation, SampleGradients};
use tessera_kernels::mlp::{Rows, blocks_for, to_blocks};
use tessera_kernels::rbf::{
    Decoded, Decoder, KernelGradient, KernelParameters, KernelShape, Neighbours, Prepared, SpatialKernels,
};

fn seeded() -> Pcg64 {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    Pcg64::seed_from_u64(seed)
}

fn random(rng: &mut Pcg64, len: usize, range: f32) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-range..range)).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// `L(at + step) - L(at - step)` over twice the step.
fn slope(values: &[f32], at: usize, step: f32, loss: impl Fn(&[f32]) -> f64) -> f64 {
    let moved = |by: f32| {
        let mut values = values.to_vec();
        values[at] += by;
        loss(&values)
    };
    (moved(step) - moved(-step)) / f64::from(2.0 * step)
}

#[test]
fn decoders_have_the_gradients_of_central_differences() {
    // Single precision of a sum of 40 samples over a step of 1e-2, and the third derivative over the step squared.
    const STEP: f32 = 1e-2;
    let mut rng = seeded();
    let (samples, of) = (40, Decoder::new(10, 8, 3));
    let (rows, blocks) = (Rows::all(10), blocks_for(samples));
    let features = random(&mut rng, blocks * 10 * 16, 1.0);
    let parameters = random(&mut rng, of.parameters(), 0.7);
    let upstream = to_blocks(&random(&mut rng, samples * 3, 1.0), 3);
    let loss = |parameters: &[f32], features: &[f32]| {
        let (mut prepared, mut decoded) = (Prepared::default(), Decoded::default());
        of.prepare(parameters, &mut prepared);
        of.forward(&prepared, (features, rows), &mut decoded);
        dot(&decoded.outputs, &upstream)
    };
    let (mut prepared, mut decoded) = (Prepared::default(), Decoded::default());
    of.prepare(&parameters, &mut prepared);
    of.forward(&prepared, (&features, rows), &mut decoded);
    let (mut of_features, mut gradient) = (vec![0.0; features.len()], vec![0.0; of.parameters()]);
    let out = (&mut of_features[..], rows);
    of.backward(&prepared, (&features, rows), &mut decoded, &upstream, out, &mut gradient);
    let close = |got: f32, want: f64| (f64::from(got) - want).abs() < 2e-3 * (1.0 + want.abs());
    for i in 0..parameters.len() {
        let want = slope(&parameters, i, STEP, |p| loss(p, &features));
        assert!(close(gradient[i], want), "parameter {i}: {} instead of {want}", gradient[i]);
    }
    for i in (0..features.len()).step_by(7) {
        let want = slope(&features, i, STEP, |f| loss(&parameters, f));
        assert!(close(of_features[i], want), "feature {i}: {} instead of {want}", of_features[i]);
    }
}

#[test]
fn spatial_kernels_in_a_square_have_the_gradients_of_central_differences() {
    const STEP: f32 = 1e-3;
    let mut rng = seeded();
    let (kernels, places, k, features) = (20, 50, 4, 8);
    let base = SpatialKernels {
        dimensions: 2,
        features,
        neighbours: k,
        shape: KernelShape::InverseQuadric,
        // The denominator takes no gradient, so differences are of responses as they are.
        normalised: false,
        frequencies: Vec::new(),
    };
    for frequencies in [Vec::new(), (0..features).map(|f| 0.5 * (f + 1) as f32).collect()] {
        let of = SpatialKernels { frequencies, ..base.clone() };
        // Positive definite, and as wide as the square.
        let shapes = (0..kernels).flat_map(|_| {
            let [a, b, c] = [rng.random_range(1.0..3.0f32), rng.random_range(-0.8..0.8), rng.random_range(1.0..3.0)];
            [a, b, c]
        });
        let shapes = shapes.collect();
        let parameters = KernelParameters {
            centres: random(&mut rng, 2 * kernels, 1.0),
            shapes,
            weights: random(&mut rng, kernels * features, 1.0),
        };
        let x = random(&mut rng, 2 * places, 1.0);
        let near = (0..places * k).map(|_| rng.random_range(0..kernels as u32)).collect();
        let neighbours = Neighbours::new(near, kernels);
        let rows = Rows::all(features);
        let upstream = to_blocks(&random(&mut rng, places * features, 1.0), features);
        let forward = |parameters: &KernelParameters, x: &[f32]| {
            let mut responses = vec![0.0; places * k];
            let mut sums = vec![0.0; upstream.len()];
            of.forward(parameters, x, neighbours.kernels(), &mut responses, (&mut sums, rows));
            (responses, sums)
        };
        let (responses, _) = forward(&parameters, &x);
        let (mut gradient, mut of_places) = (KernelGradient::default(), vec![0.0; x.len()]);
        let of_sums = (&upstream[..], rows);
        of.backward(&parameters, &x, &neighbours, &responses, of_sums, (&mut gradient, Some(&mut of_places)));
        let with = |which: usize, values: &[f32]| {
            let mut changed = parameters.clone();
            *[&mut changed.centres, &mut changed.shapes, &mut changed.weights][which] = values.to_vec();
            dot(&forward(&changed, &x).1, &upstream)
        };
        // Values near 10 in single precision over a step of 1e-3.
        let close = |got: f32, want: f64| (f64::from(got) - want).abs() < 1e-2 * (1.0 + want.abs());
        let parts = [
            (&parameters.centres, &gradient.centres),
            (&parameters.shapes, &gradient.shapes),
            (&parameters.weights, &gradient.weights),
        ];
        for (which, (values, gradient)) in parts.into_iter().enumerate() {
            for i in 0..values.len() {
                let want = slope(values, i, STEP, |v| with(which, v));
                assert!(close(gradient[i], want), "{which}, number {i}: {} instead of {want}", gradient[i]);
            }
        }
        for i in 0..x.len() {
            let want = slope(&x, i, STEP, |x| dot(&forward(&parameters, x).1, &upstream));
            assert!(close(of_places[i], want), "place {i}: {} instead of {want}", of_places[i]);
        }
    }
}

#[test]
fn grids_over_squares_and_repeating_grids_have_the_gradients_of_central_differences() {
    let mut rng = seeded();
    let levels = [FactorLevel { resolution: 5, frequency: 1.0 }, FactorLevel { resolution: 7, frequency: 2.6 }];
    for dimensions in [2, 3] {
        let grid = HashGrid::factor(dimensions, &levels, Interpolation::Linear);
        let (samples, width, rows) = (30, grid.width(), Rows::all(grid.width()));
        let x = to_blocks(&(0..samples * dimensions).map(|_| rng.random()).collect::<Vec<f32>>(), dimensions);
        let upstream = to_blocks(&random(&mut rng, samples * width, 1.0), width);
        let table = random(&mut rng, 2 * grid.entries(), 1.0);
        let loss = |table: &[f32]| {
            let mut e = vec![0.0; blocks_for(samples) * width * 16];
            grid.encode(table, &x, levels.len(), (&mut e, rows), None);
            dot(&e, &upstream)
        };
        let mut gradient = vec![0.0; table.len()];
        let batch = SampleGradients { positions: &x, encoding: (&upstream, rows), through_jacobian: None };
        grid.accumulate(&[batch], grid.levels().len(), &mut gradient);
        for i in (0..table.len()).step_by(5) {
            // The loss is linear in the table, so the step may be large.
            let want = slope(&table, i, 1.0, loss);
            assert!(
                (f64::from(gradient[i]) - want).abs() < 1e-3 * (1.0 + want.abs()),
                "entry {i}: {} instead of {want}",
                gradient[i]
            );
        }
    }
}

#[test]
fn repeating_grids_are_continuous_across_their_borders() {
    let mut rng = seeded();
    let grid = HashGrid::factor(2, &[FactorLevel { resolution: 6, frequency: 4.0 }], Interpolation::Linear);
    let table = random(&mut rng, 2 * grid.entries(), 1.0);
    let at = |x: f32| {
        let mut e = vec![0.0; 32];
        grid.encode(&table, &to_blocks(&[x, 0.3], 2), 1, (&mut e, Rows::all(2)), None);
        e[0]
    };
    for i in 1..4000 {
        let (a, b) = (at((i - 1) as f32 / 4000.0), at(i as f32 / 4000.0));
        // 24 cells along the side, in each of which the feature changes by at most 2.
        assert!((a - b).abs() <= 2.0 * 24.0 / 4000.0 + 1e-4, "a jump from {a} to {b} at {}", i as f32 / 4000.0);
    }
}
