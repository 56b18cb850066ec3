//! Gradients of hash grids and of blended surfaces against central differences, on inputs that are new in every run.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use tessera_kernels::hash_grid::{GridSpec, HashGrid, Interpolation, LevelScale, SampleGradients, transposed_product};
use tessera_kernels::mlp::{Rows, blocks_for, from_blocks, to_blocks};
use tessera_kernels::sdf_render::{AlphaPartials, Ray, RayGradient, alpha, blend, blend_backward};

fn seeded() -> Pcg64 {
    let seed = tessera_test_seed::test_seed();
    println!("seed {seed}");
    Pcg64::seed_from_u64(seed)
}

fn random(rng: &mut Pcg64, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// `⟨w, e⟩ + ⟨v, Jᵀ u⟩` of some positions.
struct GridLoss {
    grid: HashGrid,
    w: Vec<f32>,
    u: Vec<f32>,
    v: Vec<f32>,
}

impl GridLoss {
    fn value(&self, table: &[f32], x: &[f32]) -> f64 {
        let (rows, width, blocks) = (Rows::all(self.grid.width()), self.grid.width(), blocks_for(x.len() / 3));
        let (mut e, mut j) = (vec![0.0; blocks * width * 16], vec![0.0; 3 * blocks * width * 16]);
        let x = to_blocks(x, 3);
        self.grid.encode(table, &x, self.grid.levels().len(), (&mut e, rows), Some(&mut j));
        let mut product = vec![0.0; x.len()];
        transposed_product(&j, &self.u, rows, width, &mut product);
        dot(&e, &self.w) + dot(&product, &self.v)
    }
}

#[test]
fn tables_and_positions_have_the_gradients_of_central_differences() {
    const STEP: f32 = 1e-3;
    let mut rng = seeded();
    for (level_scale, interpolation) in
        [(LevelScale::Integer, Interpolation::Linear), (LevelScale::Fractional, Interpolation::Smoothstep)]
    {
        let spec = GridSpec { levels: 3, log2_table: 8, base: 4, growth: 1.6, level_scale, interpolation };
        let grid = HashGrid::new(&spec);
        let (n, width, levels) = (20, grid.width(), grid.levels().len());
        // Within a step of a cell's border the derivative jumps, and beyond the cube's faces positions stop moving.
        let inside = |x: f32| {
            grid.levels().iter().all(|l| {
                let f = (l.scale * x + 0.5).fract();
                (0.05..0.95).contains(&f)
            })
        };
        let mut x = Vec::new();
        while x.len() < 3 * n {
            let candidate = rng.random_range(2.0 * STEP..1.0 - 2.0 * STEP);
            x.extend(Some(candidate).filter(|x| inside(*x)));
        }
        let table = random(&mut rng, 2 * grid.entries());
        let (w, u, v) = (random(&mut rng, n * width), random(&mut rng, n * width), random(&mut rng, 3 * n));
        let loss = GridLoss { w: to_blocks(&w, width), u: to_blocks(&u, width), v: to_blocks(&v, 3), grid };

        let (positions, rows) = (to_blocks(&x, 3), Rows::all(width));
        let mut of_table = vec![0.0; table.len()];
        let through_jacobian = Some((&loss.u[..], rows, &loss.v[..]));
        let batch = SampleGradients { positions: &positions, encoding: (&loss.w, rows), through_jacobian };
        loss.grid.accumulate(&[batch], levels, &mut of_table);
        for i in (0..table.len()).step_by(13) {
            let moved = |by: f32| {
                let mut table = table.clone();
                table[i] += by;
                loss.value(&table, &x)
            };
            // The loss is linear in the table, so the step may be large.
            let (want, got) = ((moved(1.0) - moved(-1.0)) / 2.0, f64::from(of_table[i]));
            assert!((got - want).abs() < 1e-3 * (1.0 + want.abs()), "entry {i}: {got} instead of {want}");
        }

        let mut jacobian = vec![0.0; 3 * loss.w.len()];
        let mut encoding = vec![0.0; loss.w.len()];
        loss.grid.encode(&table, &positions, levels, (&mut encoding, rows), Some(&mut jacobian));
        let mut of_x = vec![0.0; positions.len()];
        transposed_product(&jacobian, &loss.w, rows, width, &mut of_x);
        loss.grid.second_order_position_gradient(&table, &positions, (&loss.u, rows), &loss.v, &mut of_x);
        let of_x = from_blocks(&of_x, Rows::all(3), 3, n);
        for i in 0..x.len() {
            let moved = |by: f32| {
                let mut x = x.clone();
                x[i] += by;
                loss.value(&table, &x)
            };
            let (want, got) = ((moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP), f64::from(of_x[i]));
            // Values near 100 in single precision over a step of 1e-3, and third derivatives of smoothstep.
            assert!((got - want).abs() < 0.2 + 1e-2 * want.abs(), "coordinate {i}: {got} instead of {want}");
        }
    }
}

/// A ray's `⟨g, colour⟩ + h opacity` from the distances, cosines and colours of its samples.
struct RayLoss {
    steps: Vec<f32>,
    sharpness: f32,
    anneal: f32,
    background: [f32; 3],
    upstream: RayGradient<'static>,
}

/// Opacities with their derivatives by distance, cosine, step and sharpness.
fn opacities(loss: &RayLoss, f: &[f32], cos: &[f32]) -> [Vec<f32>; 5] {
    let mut out: [Vec<f32>; 5] = std::array::from_fn(|_| vec![0.0; f.len()]);
    let [alphas, distance, cosine, step, sharpness] = &mut out;
    let partials = AlphaPartials { distance, cosine, step, sharpness };
    alpha([f, cos, &loss.steps], loss.sharpness, loss.anneal, alphas, partials);
    out
}

fn ray_loss(loss: &RayLoss, f: &[f32], cos: &[f32], colours: &[[f32; 3]]) -> f64 {
    let [alphas, ..] = opacities(loss, f, cos);
    let ray = Ray { alphas: &alphas, colours, background: loss.background };
    let blended = blend(&ray, &mut vec![0.0; f.len()]);
    dot(&blended.colour, &loss.upstream.colour) + f64::from(blended.opacity * loss.upstream.opacity)
}

#[test]
fn rays_have_the_gradients_of_central_differences() {
    let mut rng = seeded();
    for anneal in [0.0, 0.4, 1.0] {
        let n = 12;
        let loss = RayLoss {
            steps: vec![0.03; n],
            sharpness: 15.0,
            anneal,
            background: [0.2, 0.9, 0.4],
            upstream: RayGradient { colour: [0.7, -0.4, 0.5], opacity: -0.3, weights: &[] },
        };
        // Not so deep that the ray is stopped: there the loss is not smooth.
        let f: Vec<f32> = (0..n).map(|i| 0.15 - 0.02 * i as f32 + rng.random_range(-0.005..0.005)).collect();
        let cos: Vec<f32> = (0..n).map(|_| rng.random_range(-0.95..-0.05)).collect();
        let colours: Vec<[f32; 3]> = (0..n).map(|_| std::array::from_fn(|_| rng.random_range(0.0..1.0))).collect();

        let [alphas, by_f, by_cos, ..] = opacities(&loss, &f, &cos);
        let ray = Ray { alphas: &alphas, colours: &colours, background: loss.background };
        let mut weights = vec![0.0; n];
        let blended = blend(&ray, &mut weights);
        let (mut d_alphas, mut d_colours) = (vec![0.0; n], vec![[0.0; 3]; n]);
        blend_backward(&ray, &blended, &weights, &loss.upstream, &mut d_alphas, &mut d_colours);
        const STEP: f32 = 1e-2;
        // Rounding of 1e-7 over the step, and a third derivative of at most s³ / 6 times the step's square, where s steps of f count.
        let check = |what: &str, got: f32, plus: f64, minus: f64, step: f32, tolerance: f64| {
            let want = (plus - minus) / f64::from(2.0 * step);
            assert!((f64::from(got) - want).abs() < tolerance, "{what} at anneal {anneal}: {got} instead of {want}");
        };
        for i in 0..n {
            let with = |values: &[f32], by: f32| {
                let mut values = values.to_vec();
                values[i] += by;
                values
            };
            let of_f = |by: f32| ray_loss(&loss, &with(&f, by), &cos, &colours);
            check("distance", d_alphas[i] * by_f[i], of_f(1e-3), of_f(-1e-3), 1e-3, 2e-3);
            let of_cos = |by: f32| ray_loss(&loss, &f, &with(&cos, by), &colours);
            check("cosine", d_alphas[i] * by_cos[i], of_cos(STEP), of_cos(-STEP), STEP, 2e-4);
            let of_colour = |by: f32| {
                let mut colours = colours.clone();
                colours[i][1] += by;
                ray_loss(&loss, &f, &cos, &colours)
            };
            check("colour", d_colours[i][1], of_colour(STEP), of_colour(-STEP), STEP, 5e-5);
        }
    }
}
