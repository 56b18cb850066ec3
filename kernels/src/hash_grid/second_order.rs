//! The gradient that reaches positions through the Jacobian.

use super::encode::{gather, lanes, put};
use super::{FEATURES, HashGrid};
use crate::dispatch;
use crate::mlp::{BLOCK, Rows};
use crate::simd::Lanes;
use tessera_camera::each;

impl HashGrid {
    /// Adds `∂⟨v, Jᵀ u⟩/∂x` to `out`, `[blocks, 3, 16]`, for `u` in the rows of `upstream` that `rows` means and `v`, `[blocks, 3, 16]`. Within a
    /// cell of linear interpolation only mixed derivatives are not zero.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn second_order_position_gradient(
        &self,
        table: &[f32],
        positions: &[f32],
        (upstream, rows): (&[f32], Rows),
        v: &[f32],
        out: &mut [f32],
    ) {
        assert_eq!(table.len(), FEATURES * self.entries(), "the table has another size than the grid");
        assert_eq!(self.dimensions, 3, "the second order is that of a grid over the cube");
        assert!(positions.len() == v.len() && positions.len() == out.len(), "as many gradients as positions");
        second_order(self, table, positions, upstream, rows, v, out);
    }
}

dispatch! {
    fn second_order(
        grid: &HashGrid, table: &[f32], positions: &[f32], upstream: &[f32], rows: Rows, v: &[f32], out: &mut [f32],
    ) = second_order_kernel;
}

#[inline(always)]
fn second_order_kernel<V: Lanes>(
    grid: &HashGrid,
    table: &[f32],
    positions: &[f32],
    upstream: &[f32],
    rows: Rows,
    v: &[f32],
    out: &mut [f32],
) {
    for (l, level) in grid.levels.iter().enumerate() {
        let entries = &table.as_chunks::<FEATURES>().0[level.offset..][..level.size as usize];
        for (block, positions) in positions.as_chunks::<{ 3 * BLOCK }>().0.iter().enumerate() {
            let corners = level.corners::<3>(positions, grid.smooth);
            let v = &v[3 * block * BLOCK..][..3 * BLOCK];
            let out = &mut out[3 * block * BLOCK..][..3 * BLOCK];
            for group in 0..BLOCK / 8 {
                let values = gather::<V, 3>(entries, &corners, group);
                let v = each!(3, |a| lanes::<V>(&v[a * BLOCK..][..BLOCK], group));
                let slope = each!(3, |a| lanes::<V>(&corners.slopes[a], group));
                let curvature = each!(3, |a| lanes::<V>(&corners.curvatures[a], group));
                let row = |f: usize| &upstream[rows.at(block, FEATURES * l + f)..][..BLOCK];
                let u = [lanes::<V>(row(0), group), lanes::<V>(row(1), group)];
                let mut sums = [V::all(0.0); 3];
                for corner in 0..8 {
                    let sign = each!(3, |a| if corner >> a & 1 == 1 { V::all(1.0) } else { V::all(-1.0) });
                    let w = each!(3, |a| lanes::<V>(&corners.weights[a][corner >> a & 1], group));
                    let d = each!(3, |a| sign[a] * slope[a]);
                    let dd = each!(3, |a| sign[a] * curvature[a]);
                    let value = u[0] * values[0][corner] + u[1] * values[1][corner];
                    let (xy, xz, yz) = (d[0] * d[1] * w[2], d[0] * w[1] * d[2], w[0] * d[1] * d[2]);
                    let (xx, yy, zz) = (dd[0] * w[1] * w[2], w[0] * dd[1] * w[2], w[0] * w[1] * dd[2]);
                    sums[0] = sums[0] + value * (xx * v[0] + xy * v[1] + xz * v[2]);
                    sums[1] = sums[1] + value * (xy * v[0] + yy * v[1] + yz * v[2]);
                    sums[2] = sums[2] + value * (xz * v[0] + yz * v[1] + zz * v[2]);
                }
                for a in 0..3 {
                    let row = &mut out[a * BLOCK..][..BLOCK];
                    put(lanes::<V>(row, group) + sums[a], row, group);
                }
            }
        }
    }
}
