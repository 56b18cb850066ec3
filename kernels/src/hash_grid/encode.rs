//! The encoding and its Jacobian.

use super::{Corners, FEATURES, HashGrid};
use crate::dispatch;
use crate::mlp::{BLOCK, Rows};
use crate::simd::Lanes;
use tessera_camera::each;

impl HashGrid {
    /// Encodes `positions`, `[blocks, D, 16]`, into the rows of `out` that `rows` means. Only the first `active` levels are looked up, the
    /// features of the others are zero. `jacobian`, if wanted, is `[blocks, D · width, 16]`: ∂e_f/∂x_a in row `D f + a`.
    ///
    /// # Panics
    /// When buffers do not fit each other.
    pub fn encode(
        &self,
        table: &[f32],
        positions: &[f32],
        active: usize,
        (out, rows): (&mut [f32], Rows),
        jacobian: Option<&mut [f32]>,
    ) {
        let blocks = positions.len() / (self.dimensions * BLOCK);
        assert_eq!(table.len(), FEATURES * self.entries(), "the table has another size than the grid");
        assert!(
            out.len() >= blocks * rows.rows * BLOCK && rows.first + self.width() <= rows.rows,
            "room for encodings"
        );
        assert!(
            jacobian.as_ref().is_none_or(|j| j.len() >= blocks * self.dimensions * self.width() * BLOCK),
            "room for Jacobians"
        );
        encode(self, table, positions, active, out, rows, jacobian);
    }
}

dispatch! {
    fn encode(
        grid: &HashGrid, table: &[f32], positions: &[f32], active: usize, out: &mut [f32], rows: Rows, jacobian: Option<&mut [f32]>,
    ) = encode_kernel;
    fn transposed_product_of(jacobian: &[f32], vector: &[f32], rows: Rows, width: usize, out: &mut [f32])
        = transposed_product_kernel;
    fn product_of(jacobian: &[f32], vector: &[f32], width: usize, out: &mut [f32], rows: Rows) = product_kernel;
}

#[inline(always)]
fn encode_kernel<V: Lanes>(
    grid: &HashGrid,
    table: &[f32],
    positions: &[f32],
    active: usize,
    out: &mut [f32],
    rows: Rows,
    jacobian: Option<&mut [f32]>,
) {
    match grid.dimensions {
        2 => encode_in::<V, 2>(grid, table, positions, active, out, rows, jacobian),
        _ => encode_in::<V, 3>(grid, table, positions, active, out, rows, jacobian),
    }
}

#[inline(always)]
fn encode_in<V: Lanes, const D: usize>(
    grid: &HashGrid,
    table: &[f32],
    positions: &[f32],
    active: usize,
    out: &mut [f32],
    rows: Rows,
    mut jacobian: Option<&mut [f32]>,
) {
    let width = grid.width();
    for (l, level) in grid.levels.iter().enumerate() {
        let entries = &table.as_chunks::<FEATURES>().0[level.offset..][..level.size as usize];
        for (block, positions) in positions.chunks_exact(D * BLOCK).enumerate() {
            let features = &mut out[rows.at(block, FEATURES * l)..][..FEATURES * BLOCK];
            let mut slopes = jacobian
                .as_deref_mut()
                .map(|j| &mut j[(block * width + FEATURES * l) * D * BLOCK..][..D * FEATURES * BLOCK]);
            if l >= active {
                features.fill(0.0);
                slopes.into_iter().for_each(|slopes| slopes.fill(0.0));
                continue;
            }
            let corners = level.corners::<D>(positions, grid.smooth);
            for group in 0..BLOCK / 8 {
                let values = gather::<V, D>(entries, &corners, group);
                for (f, out) in features.chunks_exact_mut(BLOCK).enumerate() {
                    put(interpolate::<V, D>(&values[f], &corners, group), out, group);
                }
                if let Some(slopes) = slopes.as_deref_mut() {
                    for (f, out) in slopes.chunks_exact_mut(D * BLOCK).enumerate() {
                        differentiate::<V, D>(&values[f], &corners, out, group);
                    }
                }
            }
        }
    }
}

/// `[feature][corner]`, for lanes `group`.
#[inline(always)]
pub(super) fn gather<V: Lanes, const D: usize>(
    entries: &[[f32; FEATURES]],
    corners: &Corners,
    group: usize,
) -> [[V; 8]; FEATURES] {
    let mut values = [[V::all(0.0); 8]; FEATURES];
    for corner in 0..1 << D {
        let pair = V::pairs_at(entries, corners.entries[corner].as_chunks().0[group]);
        (0..FEATURES).for_each(|f| values[f][corner] = pair[f]);
    }
    values
}

/// Lanes `group` (0 or 1) of a block's row.
#[inline(always)]
pub(super) fn lanes<V: Lanes>(row: &[f32], group: usize) -> V {
    let row = &row[8 * group..8 * group + 8];
    // SAFETY: there are eight numbers.
    unsafe { V::load(row.as_ptr()) }
}

#[inline(always)]
pub(super) fn put<V: Lanes>(value: V, row: &mut [f32], group: usize) {
    let row = &mut row[8 * group..8 * group + 8];
    // SAFETY: there is room for eight numbers.
    unsafe { value.store(row.as_mut_ptr()) }
}

#[inline(always)]
fn mix<V: Lanes>(near: V, far: V, f: V) -> V {
    (far - near).mul_add(f, near)
}

#[inline(always)]
fn interpolate<V: Lanes, const D: usize>(v: &[V; 8], corners: &Corners, group: usize) -> V {
    let [x, y] = each!(2, |a| lanes::<V>(&corners.weights[a][1], group));
    let value = mix(mix(v[0], v[1], x), mix(v[2], v[3], x), y);
    if D == 2 {
        return value;
    }
    let far = mix(mix(v[4], v[5], x), mix(v[6], v[7], x), y);
    mix(value, far, lanes::<V>(&corners.weights[2][1], group))
}

/// The derivatives of an interpolated feature along each axis.
#[inline(always)]
fn differentiate<V: Lanes, const D: usize>(v: &[V; 8], corners: &Corners, out: &mut [f32], group: usize) {
    let [x, y, z] = each!(3, |a| lanes::<V>(&corners.weights[a][1], group));
    let [sx, sy, sz] = each!(3, |a| lanes::<V>(&corners.slopes[a], group));
    let mut dx = mix(v[1] - v[0], v[3] - v[2], y);
    let mut dy = mix(v[2] - v[0], v[3] - v[1], x);
    if D == 3 {
        dx = mix(dx, mix(v[5] - v[4], v[7] - v[6], y), z);
        dy = mix(dy, mix(v[6] - v[4], v[7] - v[5], x), z);
        let dz = mix(mix(v[4] - v[0], v[5] - v[1], x), mix(v[6] - v[2], v[7] - v[3], x), y);
        put(dz * sz, &mut out[2 * BLOCK..], group);
    }
    put(dx * sx, &mut out[..BLOCK], group);
    put(dy * sy, &mut out[BLOCK..2 * BLOCK], group);
}

/// `Jᵀ u` in the cube: `[blocks, 3, 16]` from a Jacobian of [`HashGrid::encode`] and the rows of `vector` that `rows` means.
pub fn transposed_product(jacobian: &[f32], vector: &[f32], rows: Rows, width: usize, out: &mut [f32]) {
    transposed_product_of(jacobian, vector, rows, width, out);
}

#[inline(always)]
fn transposed_product_kernel<V: Lanes>(jacobian: &[f32], vector: &[f32], rows: Rows, width: usize, out: &mut [f32]) {
    for (block, out) in out.chunks_exact_mut(3 * BLOCK).enumerate() {
        let jacobian = &jacobian[block * width * 3 * BLOCK..][..width * 3 * BLOCK];
        for group in 0..BLOCK / 8 {
            let mut sums = [V::all(0.0); 3];
            for f in 0..width {
                let u = lanes::<V>(&vector[rows.at(block, f)..][..BLOCK], group);
                for a in 0..3 {
                    sums[a] = u.mul_add(lanes::<V>(&jacobian[(3 * f + a) * BLOCK..][..BLOCK], group), sums[a]);
                }
            }
            for a in 0..3 {
                put(sums[a], &mut out[a * BLOCK..][..BLOCK], group);
            }
        }
    }
}

/// `J v` in the cube for `v`, `[blocks, 3, 16]`, into the rows of `out` that `rows` means.
pub fn product(jacobian: &[f32], vector: &[f32], width: usize, (out, rows): (&mut [f32], Rows)) {
    product_of(jacobian, vector, width, out, rows);
}

#[inline(always)]
fn product_kernel<V: Lanes>(jacobian: &[f32], vector: &[f32], width: usize, out: &mut [f32], rows: Rows) {
    for (block, vector) in vector.as_chunks::<{ 3 * BLOCK }>().0.iter().enumerate() {
        let jacobian = &jacobian[block * width * 3 * BLOCK..][..width * 3 * BLOCK];
        for group in 0..BLOCK / 8 {
            let [x, y, z] = each!(3, |a| lanes::<V>(&vector[a * BLOCK..][..BLOCK], group));
            for f in 0..width {
                let j = &jacobian[3 * f * BLOCK..][..3 * BLOCK];
                let [jx, jy, jz] = each!(3, |a| lanes::<V>(&j[a * BLOCK..][..BLOCK], group));
                put(jx.mul_add(x, jy.mul_add(y, jz * z)), &mut out[rows.at(block, f)..][..BLOCK], group);
            }
        }
    }
}
