//! The gradient of the table.

use super::encode::lanes;
use super::{FEATURES, HashGrid};
use crate::dispatch;
use crate::mlp::{BLOCK, Rows};
use crate::simd::Lanes;
use rayon::prelude::*;
use tessera_camera::each;

/// What a batch of samples says about a table: all `[blocks, rows, 16]`.
#[derive(Clone, Copy, Debug)]
pub struct SampleGradients<'a> {
    /// `[blocks, D, 16]`.
    pub positions: &'a [f32],
    /// ∂L/∂e, and which rows it has.
    pub encoding: (&'a [f32], Rows),
    /// `u` and `v = ∂L/∂(Jᵀ u)`: the second order, in the cube only.
    pub through_jacobian: Option<(&'a [f32], Rows, &'a [f32])>,
}

impl HashGrid {
    /// Adds the gradients of batches of samples to those of the first `active` levels in `gradient`, that of the whole table, `[entries, 2]`.
    /// Each level is summed by one thread in the order of samples.
    ///
    /// # Panics
    /// When the gradient is of another size than the table.
    pub fn accumulate(&self, batches: &[SampleGradients<'_>], active: usize, mut gradient: &mut [f32]) {
        assert_eq!(gradient.len(), FEATURES * self.entries(), "the gradient of another table");
        let mut levels = Vec::with_capacity(self.levels.len());
        for level in self.levels.iter().take(active) {
            levels.extend(gradient.split_off_mut(..FEATURES * level.size as usize));
        }
        // The finest first: they take longest.
        levels.into_par_iter().enumerate().rev().with_max_len(1).for_each(|(l, values)| {
            batches.iter().for_each(|batch| accumulate(self, l, batch, values));
        });
    }
}

dispatch! {
    fn accumulate(grid: &HashGrid, l: usize, batch: &SampleGradients<'_>, values: &mut [f32]) = accumulate_kernel;
}

#[inline(always)]
fn accumulate_kernel<V: Lanes>(grid: &HashGrid, l: usize, batch: &SampleGradients<'_>, values: &mut [f32]) {
    match grid.dimensions {
        2 => accumulate_in::<V, 2>(grid, l, batch, values),
        _ => accumulate_in::<V, 3>(grid, l, batch, values),
    }
}

#[inline(always)]
fn accumulate_in<V: Lanes, const D: usize>(grid: &HashGrid, l: usize, batch: &SampleGradients<'_>, values: &mut [f32]) {
    let values = values.as_chunks_mut::<FEATURES>().0;
    let (upstream, rows) = batch.encoding;
    for (block, positions) in batch.positions.chunks_exact(D * BLOCK).enumerate() {
        let corners = grid.levels[l].corners::<D>(positions, grid.smooth);
        for group in 0..BLOCK / 8 {
            // The third axis of a square has no weight but one.
            let mut far = [V::all(1.0); 3];
            let mut near = far;
            for a in 0..D {
                far[a] = lanes::<V>(&corners.weights[a][1], group);
                near[a] = lanes::<V>(&corners.weights[a][0], group);
            }
            let row = |f: usize| &upstream[rows.at(block, FEATURES * l + f)..][..BLOCK];
            let d = [lanes::<V>(row(0), group), lanes::<V>(row(1), group)];
            let second = match batch.through_jacobian {
                None => None,
                Some((u, u_rows, v)) => {
                    let row = |f: usize| &u[u_rows.at(block, FEATURES * l + f)..][..BLOCK];
                    let u = [lanes::<V>(row(0), group), lanes::<V>(row(1), group)];
                    let v = &v[3 * block * BLOCK..][..3 * BLOCK];
                    let slope = each!(3, |a| lanes::<V>(&v[a * BLOCK..][..BLOCK], group)
                        * lanes::<V>(&corners.slopes[a], group));
                    Some((u, slope))
                }
            };
            for corner in 0..1 << D {
                let w = each!(3, |a| if corner >> a & 1 == 1 { far[a] } else { near[a] });
                let (yz, xz, xy) = (w[1] * w[2], w[0] * w[2], w[0] * w[1]);
                let weight = w[0] * yz;
                let mut share = [d[0] * weight, d[1] * weight];
                if let Some((u, slope)) = second {
                    let signed = each!(3, |a| if corner >> a & 1 == 1 { slope[a] } else { -slope[a] });
                    let s = signed[0].mul_add(yz, signed[1].mul_add(xz, signed[2] * xy));
                    share = [u[0].mul_add(s, share[0]), u[1].mul_add(s, share[1])];
                }
                V::add_to_pairs(values, corners.entries[corner].as_chunks().0[group], share);
            }
        }
    }
}
