//! The matrix products of one layer.

use super::BLOCK;
use crate::dispatch;
use crate::simd::Lanes;

/// What happens to the sums of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Nothing.
    Open,
    /// Negative ones become zero.
    Relu,
    /// They become zero where the layer was not active.
    Where,
}

/// Outputs that are summed at a time.
const OUTPUTS: usize = 4;

dispatch! {
    /// `[blocks, in, 16]` to `[blocks, out, 16]` by a matrix of the given shape, `[out, in]`.
    pub(super) fn layer(
        matrix: &[f32], shape: [usize; 2], input: &[f32], output: &mut [f32], gate: Gate, active: &[f32],
    ) = layer_kernel;
    /// `[blocks, out, 16]` to `[blocks, in, 16]` by the transposed matrix.
    pub(super) fn transposed_layer(
        matrix: &[f32], shape: [usize; 2], input: &[f32], output: &mut [f32], gate: Gate, active: &[f32],
    ) = transposed_layer_kernel;
    /// The same `row` for all samples, zero where the layer was not active; `active` may be empty.
    pub(super) fn gated_broadcast(row: &[f32], active: &[f32], output: &mut [f32]) = gated_broadcast_kernel;
    /// Adds `Σ_samples left rightᵀ` to a matrix of the given shape.
    pub(super) fn outer_product(left: &[f32], right: &[f32], shape: [usize; 2], sum: &mut [f32]) = outer_product_kernel;
    /// Adds the sum over all samples to each element of `sum`.
    pub(super) fn add_sums(values: &[f32], sum: &mut [f32]) = add_sums_kernel;
}

#[inline(always)]
fn layer_kernel<V: Lanes>(
    matrix: &[f32],
    [out, inn]: [usize; 2],
    input: &[f32],
    output: &mut [f32],
    gate: Gate,
    active: &[f32],
) {
    product::<V>(matrix, [out, inn], [inn, 1], input, output, gate, active);
}

#[inline(always)]
fn transposed_layer_kernel<V: Lanes>(
    matrix: &[f32],
    [out, inn]: [usize; 2],
    input: &[f32],
    output: &mut [f32],
    gate: Gate,
    active: &[f32],
) {
    product::<V>(matrix, [inn, out], [1, inn], input, output, gate, active);
}

/// A matrix product with weight `(o, k)` at `o strides[0] + k strides[1]`.
#[inline(always)]
fn product<V: Lanes>(
    matrix: &[f32],
    [out, inn]: [usize; 2],
    strides: [usize; 2],
    input: &[f32],
    output: &mut [f32],
    gate: Gate,
    active: &[f32],
) {
    assert!(out % OUTPUTS == 0 && matrix.len() == out * inn, "a matrix of {out} x {inn}");
    let blocks = output.len() / (out * BLOCK);
    assert!(input.len() == blocks * inn * BLOCK && output.len() == blocks * out * BLOCK, "as many inputs as outputs");
    assert!(gate != Gate::Where || active.len() == output.len(), "an activation for each output");
    for block in 0..blocks {
        let x = &input[block * inn * BLOCK..][..inn * BLOCK];
        for o in (0..out).step_by(OUTPUTS) {
            let mut sums = [[V::all(0.0); 2]; OUTPUTS];
            for k in 0..inn {
                // SAFETY: the assertions above bound all that is read.
                let (x0, x1) = unsafe {
                    let x = x.as_ptr().add(k * BLOCK);
                    (V::load(x), V::load(x.add(8)))
                };
                for r in 0..OUTPUTS {
                    // SAFETY: as above.
                    let w = V::all(unsafe { *matrix.get_unchecked((o + r) * strides[0] + k * strides[1]) });
                    sums[r][0] = w.mul_add(x0, sums[r][0]);
                    sums[r][1] = w.mul_add(x1, sums[r][1]);
                }
            }
            for r in 0..OUTPUTS {
                for half in 0..2 {
                    let at = (block * out + o + r) * BLOCK + 8 * half;
                    let mut sum = sums[r][half];
                    match gate {
                        Gate::Open => {}
                        Gate::Relu => sum = sum.max(V::all(0.0)),
                        Gate::Where => sum = sum.masked(V::all(0.0).lt(load(active, at))),
                    }
                    put(sum, output, at);
                }
            }
        }
    }
}

#[inline(always)]
fn gated_broadcast_kernel<V: Lanes>(row: &[f32], active: &[f32], output: &mut [f32]) {
    for (at, out) in output.chunks_exact_mut(BLOCK).enumerate() {
        for half in [0, 8] {
            let mut value = V::all(row[at % row.len()]);
            if !active.is_empty() {
                value = value.masked(V::all(0.0).lt(load(active, at * BLOCK + half)));
            }
            put(value, out, half);
        }
    }
}

#[inline(always)]
fn outer_product_kernel<V: Lanes>(left: &[f32], right: &[f32], [out, inn]: [usize; 2], sum: &mut [f32]) {
    assert!(out % 4 == 0 && inn % 2 == 0 && sum.len() == out * inn, "a matrix of {out} x {inn}");
    let blocks = left.len() / (out * BLOCK);
    assert!(left.len() == blocks * out * BLOCK && right.len() == blocks * inn * BLOCK, "as many left as right");
    for o in (0..out).step_by(4) {
        for k in (0..inn).step_by(2) {
            let mut sums = [V::all(0.0); 8];
            for block in 0..blocks {
                for half in [0, 8] {
                    // SAFETY: the assertions above bound all that is read.
                    unsafe {
                        let l = left.as_ptr().add((block * out + o) * BLOCK + half);
                        let r = right.as_ptr().add((block * inn + k) * BLOCK + half);
                        let (r0, r1) = (V::load(r), V::load(r.add(BLOCK)));
                        for i in 0..4 {
                            let l = V::load(l.add(i * BLOCK));
                            sums[2 * i] = l.mul_add(r0, sums[2 * i]);
                            sums[2 * i + 1] = l.mul_add(r1, sums[2 * i + 1]);
                        }
                    }
                }
            }
            let sums = V::sum_each(sums);
            for i in 0..4 {
                sum[(o + i) * inn + k] += sums[2 * i];
                sum[(o + i) * inn + k + 1] += sums[2 * i + 1];
            }
        }
    }
}

#[inline(always)]
fn add_sums_kernel<V: Lanes>(values: &[f32], sum: &mut [f32]) {
    let width = sum.len();
    for (k, sum) in sum.iter_mut().enumerate() {
        let mut total = V::all(0.0);
        for block in values.chunks_exact(width * BLOCK) {
            total = total + load::<V>(block, k * BLOCK) + load::<V>(block, k * BLOCK + 8);
        }
        *sum += total.sum();
    }
}

#[inline(always)]
fn load<V: Lanes>(values: &[f32], at: usize) -> V {
    let values = &values[at..at + 8];
    // SAFETY: there are eight numbers.
    unsafe { V::load(values.as_ptr()) }
}

#[inline(always)]
fn put<V: Lanes>(value: V, values: &mut [f32], at: usize) {
    let values = &mut values[at..at + 8];
    // SAFETY: there is room for eight numbers.
    unsafe { value.store(values.as_mut_ptr()) }
}
