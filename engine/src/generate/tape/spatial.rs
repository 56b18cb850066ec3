//! Layers on sparse voxels.

use super::place::Attended;
use super::{Parameter, Tape, Var};
use std::sync::Arc;
use tessera_kernels::sparse_attention::{Blocks, Heads, Pattern};
use tessera_kernels::sparse_conv::{CHILDREN, Convolution, Neighbours};

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
        let ([rows, inputs], outputs) = (self.shape(x), *shape.last().unwrap_or(&1));
        let convolution = match neighbours.of_each() {
            1 => Convolution::of_points(inputs, outputs),
            _ => Convolution::of_neighbours(inputs, outputs),
        };
        let (k, b) = (self.parameter(kernel), self.parameter(bias));
        let (xs, ks, bs, neighbours) = (self.get(x), self.get(k), self.get(b), Arc::clone(neighbours));
        let out = self.compute(|place| place.convolve(&convolution, &neighbours, [&xs, &ks, &bs]));
        self.computed(out, [rows, outputs], &[x, k, b], move |place, by_out, gradients| {
            let by = place.convolve_backward(&convolution, &neighbours, [&xs, &ks], &by_out)?;
            [x, k, b].into_iter().zip(by).try_for_each(|(var, by)| gradients.add(place, var, by))
        })
    }

    /// The mean of the rows that share a parent.
    pub fn pool(&mut self, x: Var, to: &Arc<Compressed>) -> Var {
        let (xs, columns, to) = (self.get(x), self.columns(x), Arc::clone(to));
        let out = self.compute(|place| place.pool(&xs, &to, columns));
        self.computed(out, [to.count, columns], &[x], move |place, by_out, gradients| {
            gradients.add(place, x, place.pool_backward(&by_out, &to, columns)?)
        })
    }

    /// Each row for all eight children of its voxel.
    pub fn subdivide(&mut self, x: Var) -> Var {
        let ([rows, columns], xs) = (self.shape(x), self.get(x));
        let out = self.compute(|place| place.subdivide(&xs, columns));
        self.computed(out, [CHILDREN * rows, columns], &[x], move |place, by_out, gradients| {
            gradients.add(place, x, place.subdivide_backward(&by_out, columns)?)
        })
    }

    /// Attention, `[N, H D]`, by one pattern for all groups of heads or one for each; and what scores of blocks are computed from.
    pub fn attention(&mut self, heads: Heads, patterns: &Arc<Vec<Pattern>>, [q, k, v]: [Var; 3]) -> (Var, Attended) {
        let [qs, ks, vs] = [q, k, v].map(|x| self.get(x));
        let patterns = Arc::clone(patterns);
        let attended = self.compute(|place| place.attend(heads, &patterns, [&qs, &ks, &vs]));
        let kept = attended.clone();
        let out = self.computed(attended.out.clone(), self.shape(q), &[q, k, v], move |place, by_out, gradients| {
            let by = place.attend_backward(heads, &patterns, [&qs, &ks, &vs], &kept, &by_out)?;
            [q, k, v].into_iter().zip(by).try_for_each(|(var, by)| gradients.add(place, var, by))
        });
        (out, attended)
    }

    /// The blocks that queries see, `[G, N, count]`, and the patterns of groups: those to whose means queries paid the most attention. Nothing is
    /// learned through the choice.
    pub fn select(
        &mut self,
        heads: Heads,
        pattern: &Arc<Vec<Pattern>>,
        [q, means]: [Var; 2],
        attended: &Attended,
        blocks: Blocks<'_>,
    ) -> (Vec<u32>, Arc<Vec<Pattern>>) {
        let (qs, ms) = (self.get(q), self.get(means));
        self.compute(|place| place.select(heads, pattern, [&qs, &ms], attended, blocks))
    }

    /// Each group of columns of each sample with mean 0 and variance 1; `ends` says where the samples' rows end.
    pub fn group_norm(&mut self, x: Var, groups: usize, ends: &Arc<Vec<u32>>, epsilon: f32) -> Var {
        let (xs, shape, ends) = (self.get(x), [self.columns(x), groups], Arc::clone(ends));
        let normalised = self.compute(|place| place.normalise_groups(&xs, shape, &ends, epsilon));
        self.computed(normalised[0].clone(), self.shape(x), &[x], move |place, by_out, gradients| {
            gradients.add(place, x, place.normalise_groups_backward(&normalised, shape, &ends, &by_out)?)
        })
    }
}
