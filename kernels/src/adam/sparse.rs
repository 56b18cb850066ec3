//! Adam for tensors of which a step touches few rows, such as hash tables: what has no gradient stays as it is, moments included, and each
//! row counts its own steps for the corrections of its moments' bias.

use super::AdamSettings;
use crate::dispatch;
use crate::simd::Lanes;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Steps after which corrections are left out: 0.99^2048 is 1e-9.
pub(super) const CORRECTED: usize = 2048;

/// What Adam remembers of a tensor `[rows, columns]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SparseMoments {
    /// `m`, the running mean of gradients.
    pub first: Vec<f32>,
    /// `v`, the running mean of squared gradients.
    pub second: Vec<f32>,
    /// How many steps each row has taken.
    pub steps: Vec<u32>,
}

impl SparseMoments {
    /// Zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { first: vec![0.0; rows * columns], second: vec![0.0; rows * columns], steps: vec![0; rows] }
    }
}

/// Changes the rows of `params`, `[rows, 2]`, whose `gradient` is not zero by one step against it; the gradient is zero afterwards. Goes through
/// all rows in order: where a step touches a large share of them, that is several times as fast as going from one touched row to the next,
/// which waits for memory at each.
///
/// # Panics
/// When tensors do not fit each other.
pub fn step_pairs(
    params: &mut [f32],
    gradient: &mut [f32],
    moments: &mut SparseMoments,
    settings: &AdamSettings,
    learning_rate: f32,
) {
    let rows = moments.steps.len();
    assert!(
        [&*params, gradient, &moments.first, &moments.second].iter().all(|tensor| tensor.len() == 2 * rows),
        "tensors of {rows} rows"
    );
    let corrections = corrections(settings, learning_rate);
    params
        .par_chunks_mut(2 * CHUNK)
        .zip(gradient.par_chunks_mut(2 * CHUNK))
        .zip(moments.first.par_chunks_mut(2 * CHUNK).zip(moments.second.par_chunks_mut(2 * CHUNK)))
        .zip(moments.steps.par_chunks_mut(CHUNK))
        .for_each(|(((params, gradient), (first, second)), steps)| {
            step_chunk([params, first, second], gradient, steps, &corrections, settings);
        });
}

/// Rows of a task.
const CHUNK: usize = 8192;

dispatch! {
    fn step_chunk(
        planes: [&mut [f32]; 3], gradient: &mut [f32], steps: &mut [u32], corrections: &[[f32; 2]], settings: &AdamSettings,
    ) = step_chunk_kernel;
}

#[inline(always)]
fn step_chunk_kernel<V: Lanes>(
    [params, first, second]: [&mut [f32]; 3],
    gradient: &mut [f32],
    steps: &mut [u32],
    corrections: &[[f32; 2]],
    settings: &AdamSettings,
) {
    let (params, rest) = params.as_chunks_mut::<8>();
    let (first, rest_of_first) = first.as_chunks_mut::<8>();
    let (second, rest_of_second) = second.as_chunks_mut::<8>();
    let (gradient, rest_of_gradient) = gradient.as_chunks_mut::<8>();
    let (steps, rest_of_steps) = steps.as_chunks_mut::<4>();
    let planes = params.iter_mut().zip(first).zip(second);
    for (((planes, m), v), (g, steps)) in planes.zip(gradient.iter_mut().zip(steps)) {
        step_four::<V>([planes, m, v], g, steps, corrections, settings);
    }
    if !rest_of_steps.is_empty() {
        // The last rows as the first of four.
        let padded = |rest: &[f32]| std::array::from_fn(|i| rest.get(i).copied().unwrap_or(0.0));
        let (mut p, mut m, mut v) = (padded(rest), padded(rest_of_first), padded(rest_of_second));
        let mut g = padded(rest_of_gradient);
        let mut of_rows = std::array::from_fn(|i| rest_of_steps.get(i).copied().unwrap_or(0));
        step_four::<V>([&mut p, &mut m, &mut v], &mut g, &mut of_rows, corrections, settings);
        for (rest, values) in [(rest, p), (rest_of_first, m), (rest_of_second, v), (rest_of_gradient, g)] {
            let len = rest.len();
            rest.copy_from_slice(&values[..len]);
        }
        let len = rest_of_steps.len();
        rest_of_steps.copy_from_slice(&of_rows[..len]);
    }
}

/// Four rows of two.
#[inline(always)]
fn step_four<V: Lanes>(
    [params, first, second]: [&mut [f32; 8]; 3],
    gradient: &mut [f32; 8],
    steps: &mut [u32; 4],
    corrections: &[[f32; 2]],
    settings: &AdamSettings,
) {
    if *gradient == [0.0; 8] {
        return;
    }
    let (mut rates, mut root_corrections, mut touched) = ([0.0; 8], [0.0; 8], [0.0f32; 8]);
    for row in 0..4 {
        let pair = 2 * row..2 * row + 2;
        if gradient[pair.clone()] == [0.0; 2] {
            continue;
        }
        steps[row] = steps[row].saturating_add(1);
        let [rate, root_correction] = corrections[(steps[row] as usize).min(CORRECTED) - 1];
        rates[pair.clone()].fill(rate);
        root_corrections[pair.clone()].fill(root_correction);
        touched[pair].fill(1.0);
    }
    let touched = V::all(0.0).lt(V::from_array(touched));
    let [p, m, v, g] = [&*params, first, second, gradient].map(|values| V::from_array(*values));
    let (beta1, beta2) = (V::all(settings.beta1), V::all(settings.beta2));
    let new_m = beta1 * m + V::all(1.0 - settings.beta1) * g;
    let new_v = beta2 * v + V::all(1.0 - settings.beta2) * g * g;
    let root = new_v.sqrt() * V::from_array(root_corrections) + V::all(settings.epsilon);
    let new_p = p - V::from_array(rates) * new_m / root;
    *first = V::select(touched, new_m, m).to_array();
    *second = V::select(touched, new_v, v).to_array();
    *params = V::select(touched, new_p, p).to_array();
    *gradient = [0.0; 8];
}

/// Changes the rows `rows[i]` of a tensor `[N, columns]`, for `i` in `touched`, by one step against row `i` of `gradient`: for
/// gradients that are as short as the list of rows that may have one. `planes` are the parameters and their two moments, `ages`
/// says for each row how many steps it has taken, this one included.
///
/// # Panics
/// When slices do not fit each other.
pub fn step_listed(
    [params, first, second]: [&mut [f32]; 3],
    columns: usize,
    (rows, touched): (&[u32], &[u32]),
    gradient: &[f32],
    ages: &[u32],
    settings: &AdamSettings,
    learning_rate: f32,
) {
    assert_eq!(gradient.len(), rows.len() * columns, "one gradient for each listed row");
    let corrections = corrections(settings, learning_rate);
    for &i in touched {
        let row = rows[i as usize] as usize;
        let [rate, root_correction] = corrections[(ages[row].max(1) as usize).min(CORRECTED) - 1];
        let gradient = &gradient[i as usize * columns..][..columns];
        let part = row * columns..(row + 1) * columns;
        let moments = first[part.clone()].iter_mut().zip(&mut second[part.clone()]);
        for ((p, g), (m, v)) in params[part].iter_mut().zip(gradient).zip(moments) {
            *m = settings.beta1 * *m + (1.0 - settings.beta1) * g;
            *v = settings.beta2 * *v + (1.0 - settings.beta2) * g * g;
            *p -= rate * *m / (v.sqrt() * root_correction + settings.epsilon);
        }
    }
}

/// For each number of steps, from 1: the rate, and what the root of the second moment is multiplied with.
pub(super) fn corrections(settings: &AdamSettings, learning_rate: f32) -> Vec<[f32; 2]> {
    let (mut power1, mut power2) = (1.0, 1.0);
    let next = |_| {
        power1 *= f64::from(settings.beta1);
        power2 *= f64::from(settings.beta2);
        let rate = f64::from(learning_rate) / (1.0 - power1);
        [rate as f32, (1.0 - power2).sqrt().recip() as f32]
    };
    (0..CORRECTED).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Moments, step};
    use super::*;

    #[test]
    fn listed_rows_step_as_adam_does_and_others_stay() {
        let settings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-15 };
        let (mut params, mut first, mut second) = (vec![1.0f32, 2.0, 0.5, -0.5], vec![0.0; 4], vec![0.0; 4]);
        let (mut dense, mut moments) = ([0.5f32, -0.5], Moments::zeros(2));
        for t in 1..=30 {
            let g = [(t as f32).sin(), 0.1 * (t as f32).cos()];
            // Row 1 is the second of the list, and the only one that is touched.
            let gradient = [9.0, 9.0, g[0], g[1]];
            let planes = [&mut params[..], &mut first[..], &mut second[..]];
            step_listed(planes, 2, (&[0, 1], &[1]), &gradient, &[0, t], &settings, 0.01);
            step(&mut dense, &g, &mut moments, &settings, 0.01, u64::from(t));
        }
        assert_eq!(params[..2], [1.0, 2.0]);
        for (a, b) in params[2..].iter().zip(dense) {
            assert!((a - b).abs() < 1e-5, "{a} instead of {b}");
        }
    }

    #[test]
    fn rows_with_a_gradient_step_as_adam_does_and_others_stay() {
        let settings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-15 };
        // Six rows: one and a half groups of lanes. The first and the last learn.
        let mut params = vec![0.5f32, -0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 0.5, -0.5];
        let (mut dense, mut moments) = ([0.5f32, -0.5], Moments::zeros(2));
        let mut sparse = SparseMoments::zeros(6, 2);
        for t in 1..=30 {
            let g = [(t as f32).sin(), 0.1 * (t as f32).cos()];
            let mut gradient = vec![0.0; 12];
            gradient[..2].copy_from_slice(&g);
            gradient[10..].copy_from_slice(&g);
            step_pairs(&mut params, &mut gradient, &mut sparse, &settings, 0.01);
            assert_eq!(gradient, [0.0; 12]);
            step(&mut dense, &g, &mut moments, &settings, 0.01, t);
        }
        assert_eq!(
            (&params[2..10], &sparse.steps[..]),
            (&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0][..], &[30, 0, 0, 0, 0, 30][..])
        );
        assert_eq!(params[..2], params[10..], "the same row among the last");
        for (a, b) in params.iter().zip(dense) {
            assert!((a - b).abs() < 1e-5, "{a} instead of {b}");
        }
    }
}
