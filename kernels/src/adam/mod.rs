//! The Adam optimiser: one step for a whole tensor.
//!
//! For each element, with gradient `g` and step number `t` (from 1):
//!
//! ```text
//! m ← β1 m + (1 - β1) g        v ← β2 v + (1 - β2) g²
//! p ← p - η (m / (1 - β1^t)) / (sqrt(v / (1 - β2^t)) + ε)
//! ```
//!
//! Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015. A step reads 16 bytes and writes 12 for each
//! element and computes about 12 operations, so it runs at the speed of memory; elements are independent, so the
//! result does not depend on the number of threads.

pub mod cuda;
pub mod packed;
mod sparse;

pub use sparse::{SparseMoments, step_listed, step_pairs};

use crate::dispatch;
use crate::image_loss::rows::{load, store};
use crate::simd::{Lanes, flush_denormals};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Elements that one task updates: their 256 kB fit the second-level cache.
const CHUNK: usize = 16_384;

/// Decay rates and the constant that keeps the division finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamSettings {
    /// β1, decay of the mean of gradients.
    pub beta1: f32,
    /// β2, decay of the mean of squared gradients.
    pub beta2: f32,
    /// ε, in the unit of gradients.
    pub epsilon: f32,
}

impl Default for AdamSettings {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-15 }
    }
}

/// What Adam remembers of a tensor: as many numbers as it has, in the same order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// `m`, the running mean of gradients.
    pub first: Vec<f32>,
    /// `v`, the running mean of squared gradients.
    pub second: Vec<f32>,
}

impl Moments {
    /// Zeros for a tensor of `len` elements.
    pub fn zeros(len: usize) -> Self {
        Self { first: vec![0.0; len], second: vec![0.0; len] }
    }
}

/// Changes `params` by one step against `gradient`. `step` counts from 1.
///
/// # Panics
/// If the tensors differ in size.
pub fn step(
    params: &mut [f32],
    gradient: &[f32],
    moments: &mut Moments,
    settings: &AdamSettings,
    learning_rate: f32,
    step: u64,
) {
    step_rows(params, gradient, moments, settings, learning_rate, step, None);
}

/// As [`step()`], for a tensor `[N, C]` whose row `i` learns at `row_factors[i]` times the rate; C follows from the sizes.
///
/// # Panics
/// If the tensors differ in size, or are not whole rows.
pub fn step_rows(
    params: &mut [f32],
    gradient: &[f32],
    moments: &mut Moments,
    settings: &AdamSettings,
    learning_rate: f32,
    step: u64,
    row_factors: Option<&[f32]>,
) {
    let len = params.len();
    assert_eq!(gradient.len(), len, "the gradient has another size than the parameters");
    assert_eq!(moments.first.len(), len, "the first moments have another size than the parameters");
    assert_eq!(moments.second.len(), len, "the second moments have another size than the parameters");
    if len == 0 {
        return;
    }
    let columns = row_factors.map_or(1, |f| len / f.len().max(1));
    assert!(row_factors.is_none_or(|f| f.len() * columns == len), "the parameters are not one row for each factor");
    let update = Update::new(settings, learning_rate, step);
    let chunk = CHUNK.next_multiple_of(columns);
    params
        .par_chunks_mut(chunk)
        .zip(gradient.par_chunks(chunk))
        .zip(moments.first.par_chunks_mut(chunk).zip(moments.second.par_chunks_mut(chunk)))
        .enumerate()
        .for_each(|(index, ((params, gradient), (first, second)))| {
            let factors = row_factors.map(|f| (&f[index * (chunk / columns)..], columns));
            flush_denormals(|| update_chunk(params, gradient, first, second, &update, factors));
        });
}

/// The constants of one step.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Update {
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    /// η / (1 - β1^t)
    rate: f32,
    /// 1 / sqrt(1 - β2^t)
    root_correction: f32,
}

impl Update {
    fn new(settings: &AdamSettings, learning_rate: f32, step: u64) -> Self {
        let remaining = |beta: f32| 1.0 - f64::from(beta).powf(step.max(1) as f64);
        Self {
            beta1: settings.beta1,
            beta2: settings.beta2,
            epsilon: settings.epsilon,
            rate: (f64::from(learning_rate) / remaining(settings.beta1)) as f32,
            root_correction: remaining(settings.beta2).sqrt().recip() as f32,
        }
    }
}

dispatch! {
    fn update_chunk(
        params: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], update: &Update,
        factors: Option<(&[f32], usize)>,
    ) = update_chunk_kernel;
}

/// `factors` are those of the rows that begin with this chunk, and the length of a row.
#[inline(always)]
fn update_chunk_kernel<V: Lanes>(
    params: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    update: &Update,
    factors: Option<(&[f32], usize)>,
) {
    let (beta1, beta2) = (V::all(update.beta1), V::all(update.beta2));
    let (rest1, rest2) = (V::all(1.0 - update.beta1), V::all(1.0 - update.beta2));
    let (epsilon, root_correction) = (V::all(update.epsilon), V::all(update.root_correction));
    let mut rate = V::all(update.rate);
    let (mut row, mut column) = (0, 0);
    for x in (0..params.len()).step_by(8) {
        if let Some((factors, columns)) = factors {
            let mut lanes = [0.0; 8];
            for lane in &mut lanes {
                *lane = update.rate * factors.get(row).copied().unwrap_or(0.0);
                column += 1;
                if column == columns {
                    (row, column) = (row + 1, 0);
                }
            }
            rate = V::from_array(lanes);
        }
        let g = load::<V>(gradient, x);
        let m = load::<V>(first, x).mul_add(beta1, g * rest1);
        let v = load::<V>(second, x).mul_add(beta2, g * g * rest2);
        let change = rate * m / v.sqrt().mul_add(root_correction, epsilon);
        store(m, first, x);
        store(v, second, x);
        store(load::<V>(params, x) - change, params, x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    fn seeded() -> Pcg64 {
        let seed = tessera_test_seed::test_seed();
        println!("seed {seed}");
        Pcg64::seed_from_u64(seed)
    }

    fn random(rng: &mut Pcg64, len: usize) -> Vec<f32> {
        (0..len).map(|_| rng.random_range(-1.0f32..1.0) * 10f32.powi(rng.random_range(-4..2))).collect()
    }

    /// Adam in double precision, straight from the definition.
    fn reference(
        start: &[f32],
        gradients: &[Vec<f32>],
        settings: &AdamSettings,
        rate: impl Fn(usize) -> f64,
    ) -> Vec<f64> {
        let (b1, b2) = (f64::from(settings.beta1), f64::from(settings.beta2));
        let one = |i: usize| {
            let (mut p, mut m, mut v) = (f64::from(start[i]), 0.0, 0.0);
            for (t, gradient) in (1..).zip(gradients) {
                let g = f64::from(gradient[i]);
                m = b1 * m + (1.0 - b1) * g;
                v = b2 * v + (1.0 - b2) * g * g;
                let (m_hat, v_hat) = (m / (1.0 - b1.powi(t)), v / (1.0 - b2.powi(t)));
                p -= rate(i) * m_hat / (v_hat.sqrt() + f64::from(settings.epsilon));
            }
            p
        };
        (0..start.len()).map(one).collect()
    }

    #[test]
    fn steps_match_the_definition() {
        let mut rng = seeded();
        let settings = AdamSettings::default();
        for len in [0, 1, 7, 8, 63, 2 * CHUNK + 5] {
            let mut params = random(&mut rng, len);
            let gradients: Vec<_> = (0..20).map(|_| random(&mut rng, len)).collect();
            let expected = reference(&params, &gradients, &settings, |_| 0.01);
            let mut moments = Moments::zeros(len);
            for (t, gradient) in (1..).zip(&gradients) {
                step(&mut params, gradient, &mut moments, &settings, 0.01, t);
            }
            for (i, (got, want)) in params.iter().zip(&expected).enumerate() {
                // Twenty steps of at most 0.01, each rounded.
                let error = (f64::from(*got) - want).abs();
                assert!(error < 2e-6 + 2e-6 * want.abs(), "element {i} of {len}: {got} instead of {want}");
            }
        }
    }

    #[test]
    fn rows_learn_at_their_own_rates() {
        let mut rng = seeded();
        let settings = AdamSettings::default();
        for (rows, columns) in [(1, 1), (5, 3), (700, 45), (9, 1)] {
            let mut params = random(&mut rng, rows * columns);
            let gradients: Vec<_> = (0..3).map(|_| random(&mut rng, rows * columns)).collect();
            let factors: Vec<f32> = (0..rows).map(|_| rng.random_range(0.0..3.0)).collect();
            let expected = reference(&params, &gradients, &settings, |i| 0.01 * f64::from(factors[i / columns]));
            let mut moments = Moments::zeros(params.len());
            for (t, gradient) in (1..).zip(&gradients) {
                step_rows(&mut params, gradient, &mut moments, &settings, 0.01, t, Some(&factors));
            }
            for (i, (got, want)) in params.iter().zip(&expected).enumerate() {
                let error = (f64::from(*got) - want).abs();
                assert!(error < 2e-6 + 2e-6 * want.abs(), "element {i} of [{rows}, {columns}]: {got}, not {want}");
            }
        }
    }

    #[test]
    fn a_quadratic_is_minimised() {
        let goal: Vec<f32> = (0..50).map(|i| 0.1 * i as f32 - 2.0).collect();
        let mut params = vec![0.0; goal.len()];
        let mut moments = Moments::zeros(goal.len());
        for t in 1..=2000 {
            let gradient: Vec<f32> = (0..goal.len()).map(|i| (1.0 + i as f32) * (params[i] - goal[i])).collect();
            let rate = 0.05 * 0.997f32.powi(t as i32);
            step(&mut params, &gradient, &mut moments, &AdamSettings::default(), rate, t);
        }
        for (p, g) in params.iter().zip(&goal) {
            assert!((p - g).abs() < 1e-3, "arrived at {p} instead of {g}");
        }
    }

    #[test]
    fn an_element_without_gradient_stays_where_it_is() {
        let (mut params, mut moments) = (vec![1.5; 9], Moments::zeros(9));
        step(&mut params, &[0.0; 9], &mut moments, &AdamSettings::default(), 0.1, 1);
        assert_eq!(params, [1.5; 9]);
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        let mut rng = seeded();
        let (start, gradient) = (random(&mut rng, 100_001), random(&mut rng, 100_001));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let (mut params, mut moments) = (start.clone(), Moments::zeros(start.len()));
            pool.install(|| step(&mut params, &gradient, &mut moments, &AdamSettings::default(), 0.01, 3));
            (params, moments)
        };
        assert!(run(1) == run(4), "four threads change the result");
    }

    #[test]
    fn portable_lanes_agree() {
        let mut rng = seeded();
        let (start, gradient) = (random(&mut rng, 101), random(&mut rng, 101));
        let update = Update::new(&AdamSettings::default(), 0.01, 2);
        let run = |portable: bool| {
            let (mut p, mut m) = (start.clone(), Moments::zeros(start.len()));
            if portable {
                update_chunk_kernel::<Portable>(&mut p, &gradient, &mut m.first, &mut m.second, &update, None);
            } else {
                update_chunk(&mut p, &gradient, &mut m.first, &mut m.second, &update, None);
            }
            p
        };
        for (a, b) in run(false).iter().zip(run(true)) {
            assert!((a - b).abs() <= 1e-6 * (1.0 + b.abs()), "{a} against {b}");
        }
    }
}
