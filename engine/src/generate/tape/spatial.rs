//! Layers on sparse voxels.

use super::{Parameter, Tape, Var};
use std::sync::Arc;
use tessera_kernels::sparse_attention::{Attended, Heads, Pattern, Patterns, backward, forward};
use tessera_kernels::sparse_conv::{
    Convolution, Neighbours, copies_for_children, copies_for_children_backward, mean_of_children,
    mean_of_children_backward,
};

/// Which mean each token belongs to, and how many there are.
#[derive(Clone, Debug)]
pub struct Compressed {
    /// The mean of each token.
    pub parents: Vec<u32>,
    /// How many means there are.
    pub count: usize,
}

impl Tape<'_> {
    /// A convolution with a kernel `[27, in, out]` over neighbours, or `[in, out]` of each site alone.
    pub fn convolution(&mut self, x: Var, neighbours: &Arc<Neighbours>, kernel: Parameter, bias: Parameter) -> Var {
        let shape = self.parameters.shape(kernel);
        let (inputs, outputs) = (self.columns(x), *shape.last().unwrap_or(&1));
        let convolution = match neighbours.of_each() {
            1 => Convolution::of_points(inputs, outputs),
            _ => Convolution::of_neighbours(inputs, outputs),
        };
        let (k, b) = (self.parameter(kernel), self.parameter(bias));
        let (xs, ks, neighbours) = (self.get(x), self.get(k), Arc::clone(neighbours));
        let out = convolution.forward(&neighbours, &xs, &ks, self.values(b));
        self.computed(out, outputs, &[x, k, b], move |by_out, gradients| {
            let [by_x, by_k, by_b] = convolution.backward(&neighbours, &xs, &ks, &by_out);
            gradients.add(x, by_x);
            gradients.add(k, by_k);
            gradients.add(b, by_b);
        })
    }

    /// The mean of the rows that share a parent.
    pub fn pool(&mut self, x: Var, to: &Arc<Compressed>) -> Var {
        let (columns, to) = (self.columns(x), Arc::clone(to));
        let out = mean_of_children(self.values(x), &to.parents, columns, to.count);
        self.computed(out, columns, &[x], move |by_out, gradients| {
            gradients.add(x, mean_of_children_backward(&by_out, &to.parents, columns));
        })
    }

    /// Each row for all eight children of its voxel.
    pub fn subdivide(&mut self, x: Var) -> Var {
        let columns = self.columns(x);
        let out = copies_for_children(self.values(x), columns);
        self.computed(out, columns, &[x], move |by_out, gradients| {
            gradients.add(x, copies_for_children_backward(&by_out, columns));
        })
    }

    /// Attention, `[N, H D]`, by one pattern for all groups of heads or one for each; and what scores of blocks are computed from.
    pub fn attention(
        &mut self,
        heads: Heads,
        patterns: &Arc<Vec<Pattern>>,
        [q, k, v]: [Var; 3],
    ) -> (Var, Arc<Attended>) {
        let [qs, ks, vs] = [q, k, v].map(|x| self.get(x));
        let patterns = Arc::clone(patterns);
        let attended = Arc::new(forward(heads, of(&patterns), &qs, &ks, &vs));
        let kept = Arc::clone(&attended);
        let columns = self.columns(q);
        let out = self.computed(attended.out.clone(), columns, &[q, k, v], move |by_out, gradients| {
            let by = backward(heads, of(&patterns), [&qs, &ks, &vs], &kept, &by_out);
            gradients.add(q, by.q);
            gradients.add(k, by.k);
            gradients.add(v, by.v);
        });
        (out, attended)
    }

    /// Each group of columns of each sample with mean 0 and variance 1; `ends` says where the samples' rows end.
    pub fn group_norm(&mut self, x: Var, groups: usize, ends: &[usize], epsilon: f32) -> Var {
        let columns = self.columns(x);
        let width = columns / groups;
        let parts: Vec<(std::ops::Range<usize>, usize)> = std::iter::once(&0)
            .chain(ends)
            .zip(ends)
            .flat_map(|(first, end)| (0..groups).map(move |group| (*first..*end, group * width)))
            .collect();
        let mut values = self.values(x).to_vec();
        let mut scales = Vec::with_capacity(parts.len());
        for (rows, first) in &parts {
            let at = || rows.clone().flat_map(|row| row * columns + first..row * columns + first + width);
            let count = (rows.len() * width).max(1) as f64;
            let mean = at().map(|i| f64::from(values[i])).sum::<f64>() / count;
            let variance = at().map(|i| (f64::from(values[i]) - mean).powi(2)).sum::<f64>() / count;
            let scale = 1.0 / (variance + f64::from(epsilon)).sqrt();
            at().for_each(|i| values[i] = ((f64::from(values[i]) - mean) * scale) as f32);
            scales.push(scale);
        }
        let normalised = values.clone();
        self.computed(values, columns, &[x], move |by_out, gradients| {
            let mut by_x = vec![0.0; by_out.len()];
            for ((rows, first), scale) in parts.iter().zip(&scales) {
                let at = || rows.clone().flat_map(|row| row * columns + first..row * columns + first + width);
                let count = (rows.len() * width).max(1) as f64;
                let mean = at().map(|i| f64::from(by_out[i])).sum::<f64>() / count;
                let along = at().map(|i| f64::from(by_out[i]) * f64::from(normalised[i])).sum::<f64>() / count;
                at().for_each(|i| {
                    let off = f64::from(by_out[i]) - mean - f64::from(normalised[i]) * along;
                    by_x[i] = (scale * off) as f32;
                });
            }
            gradients.add(x, by_x);
        })
    }
}

fn of(patterns: &[Pattern]) -> Patterns<'_> {
    match patterns {
        [pattern] => Patterns::Shared(pattern),
        patterns => Patterns::OfGroups(patterns),
    }
}
