//! Adam for tensors of which a step touches few rows, such as hash tables: what has no gradient stays as it is, moments included, and each
//! row counts its own steps for the corrections of its moments' bias.

use super::AdamSettings;
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

/// Changes the rows of `params` that `touched` lists by one step against their `gradient`, which is zero afterwards. A row that is listed twice
/// is changed once. The slices are those of the same rows, so that parts of a tensor may be updated on different threads.
///
/// # Panics
/// When slices do not fit each other.
pub fn step_touched<const COLUMNS: usize>(
    params: &mut [f32],
    gradient: &mut [f32],
    touched: &[u32],
    [first, second]: [&mut [f32]; 2],
    steps: &mut [u32],
    settings: &AdamSettings,
    learning_rate: f32,
) {
    let (params, gradient) = (params.as_chunks_mut::<COLUMNS>().0, gradient.as_chunks_mut::<COLUMNS>().0);
    let (first, second) = (first.as_chunks_mut::<COLUMNS>().0, second.as_chunks_mut::<COLUMNS>().0);
    let rows = steps.len();
    assert!(
        [params.len(), gradient.len(), first.len(), second.len()].iter().all(|&n| n == rows),
        "tensors of {rows} rows"
    );
    let corrections = corrections(settings, learning_rate);
    for &row in touched {
        let row = row as usize;
        let g = &mut gradient[row];
        if *g == [0.0; COLUMNS] {
            continue;
        }
        steps[row] = steps[row].saturating_add(1);
        let [rate, root_correction] = corrections[(steps[row] as usize).min(CORRECTED) - 1];
        for c in 0..COLUMNS {
            let m = &mut first[row][c];
            let v = &mut second[row][c];
            *m = settings.beta1 * *m + (1.0 - settings.beta1) * g[c];
            *v = settings.beta2 * *v + (1.0 - settings.beta2) * g[c] * g[c];
            params[row][c] -= rate * *m / (v.sqrt() * root_correction + settings.epsilon);
        }
        *g = [0.0; COLUMNS];
    }
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
    fn touched_rows_step_as_adam_does_and_others_stay() {
        let settings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-15 };
        let mut params = vec![0.5f32, -0.5, 1.0, 2.0, 3.0, 4.0];
        let (mut dense, mut moments) = ([0.5f32, -0.5], Moments::zeros(2));
        let mut sparse = SparseMoments::zeros(3, 2);
        for t in 1..=30 {
            let g = [(t as f32).sin(), 0.1 * (t as f32).cos()];
            let mut gradient = vec![g[0], g[1], 0.0, 0.0, 0.0, 0.0];
            let moments_of = [&mut sparse.first[..], &mut sparse.second[..]];
            step_touched::<2>(&mut params, &mut gradient, &[0, 0, 2], moments_of, &mut sparse.steps, &settings, 0.01);
            assert_eq!(gradient, [0.0; 6]);
            step(&mut dense, &g, &mut moments, &settings, 0.01, t);
        }
        assert_eq!((&params[2..], &sparse.steps[..]), (&[1.0, 2.0, 3.0, 4.0][..], &[30, 0, 0][..]));
        for (a, b) in params.iter().zip(dense) {
            assert!((a - b).abs() < 1e-5, "{a} instead of {b}");
        }
    }
}
