//! Gradients of attention.
//!
//! With `δ_t = o_t · ∂L/∂o_t`, and `s` the products after scaling: `∂L/∂s_tj = p_tj (v_j · ∂L/∂o_t - δ_t)`, from which all follows by one
//! more product each. Queries are the rows of one pass and the lanes of the other.

use super::forward::Attended;
use super::layout::{LANES, Rows, cut, put_back, rows};
use super::pattern::Tasks;
use super::tiles::{Cursor, QUAD, ROW, SLOTS, Slot, accumulate, products};
use super::{Heads, Patterns};
use crate::dispatch;
use crate::simd::{Lanes, exp2};
use rayon::prelude::*;

/// The gradients of what attention was computed from.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// `[N, H, D]`.
    pub q: Vec<f32>,
    /// `[M, G, D]`.
    pub k: Vec<f32>,
    /// `[M, G, D]`.
    pub v: Vec<f32>,
}

/// What is known of each row of queries: the logarithm of its sum of exponentials, and `δ`. A few zeros behind.
struct OfRows {
    log_sums: Vec<f32>,
    deltas: Vec<f32>,
}

/// The two sides of a pass: what its rows are, and what they are computed over.
struct Sides<'a> {
    /// The rows' own queries or keys.
    first: &'a Rows,
    /// The rows' own gradients of outputs, or values.
    second: &'a Rows,
    /// Keys, or queries.
    other_first: &'a Rows,
    /// Values, or gradients of outputs.
    other_second: &'a Rows,
    of_rows: &'a OfRows,
    width: usize,
}

/// What a thread keeps between tasks.
struct Scratch {
    first: Vec<f32>,
    second: Vec<f32>,
    weights: [f32; QUAD * ROW],
    slopes: [f32; QUAD * ROW],
}

dispatch! {
    /// The gradients of a task's queries.
    fn by_queries(sides: &Sides<'_>, begin: usize, list: &[[u32; 2]], scratch: &mut Scratch, out: &mut [f32]) = by_queries_kernel;
    /// The gradients of a task's keys and values.
    fn by_keys(sides: &Sides<'_>, begin: usize, list: &[[u32; 2]], scratch: &mut Scratch, out: [&mut [f32]; 2]) = by_keys_kernel;
}

/// The gradients by queries, keys and values from `by_out`, that by the output, `[N, H, D]`.
///
/// # Panics
/// As [`super::forward`].
pub fn backward(
    heads: Heads,
    patterns: Patterns<'_>,
    [q, k, v]: [&[f32]; 3],
    attended: &Attended,
    by_out: &[f32],
) -> Gradients {
    heads.check();
    let (shared, width) = (heads.shared(), heads.padded());
    let tokens = q.len() / (heads.queries * heads.width);
    let keys = k.len() / (heads.keys * heads.width);
    assert!(by_out.len() == q.len() && attended.out.len() == q.len() && k.len() == v.len(), "sizes of one attention");
    let mut gradients = Gradients { q: vec![0.0; q.len()], k: vec![0.0; k.len()], v: vec![0.0; v.len()] };
    for group in 0..heads.keys {
        let pattern = patterns.of(group);
        pattern.check(tokens, keys);
        let (of_queries, of_keys) = ([heads.keys, shared], [heads.keys, 1]);
        let of_rows = of_rows(heads, attended, by_out, group);
        let q = rows(q, heads, of_queries, group, heads.scale());
        let by_out = rows(by_out, heads, of_queries, group, 1.0);
        let [k, v] = [k, v].map(|x| rows(x, heads, of_keys, group, 1.0));
        let over_keys =
            Sides { first: &q, second: &by_out, other_first: &k, other_second: &v, of_rows: &of_rows, width };
        let dq = pass_by_queries(&over_keys, &pattern.tasks(shared), tokens * shared);
        // Queries were multiplied by `scale`, of which the part that makes exponents of two is no part of the derivative.
        let natural = heads.scale() / std::f32::consts::LOG2_E;
        put_back(&dq, &mut gradients.q, heads, of_queries, group, natural);
        let over_rows =
            Sides { first: &k, second: &v, other_first: &q, other_second: &by_out, of_rows: &of_rows, width };
        let [dk, dv] = pass_by_keys(&over_rows, &pattern.turned(keys, shared), keys);
        put_back(&dk, &mut gradients.k, heads, of_keys, group, std::f32::consts::LN_2);
        put_back(&dv, &mut gradients.v, heads, of_keys, group, 1.0);
    }
    gradients
}

fn of_rows(heads: Heads, attended: &Attended, by_out: &[f32], group: usize) -> OfRows {
    let (shared, width) = (heads.shared(), heads.width);
    let tokens = by_out.len() / (heads.queries * width);
    let padded = (tokens * shared).next_multiple_of(LANES) + QUAD;
    let mut deltas = Vec::with_capacity(padded);
    for t in 0..tokens {
        let at = (t * heads.queries + group * shared) * width;
        let pairs = attended.out[at..][..shared * width].chunks_exact(width).zip(by_out[at..].chunks_exact(width));
        deltas.extend(pairs.map(|(o, d)| o.iter().zip(d).map(|(o, d)| o * d).sum::<f32>()));
    }
    let mut log_sums = attended.log_sums[group * tokens * shared..][..tokens * shared].to_vec();
    deltas.resize(padded, 0.0);
    log_sums.resize(padded, 0.0);
    OfRows { log_sums, deltas }
}

fn pass_by_queries(sides: &Sides<'_>, tasks: &Tasks, rows: usize) -> Vec<f32> {
    let mut out = vec![0.0; rows * sides.width];
    let parts = cut(&mut out, &tasks.tasks, sides.width).into_par_iter().zip(&tasks.tasks);
    parts.for_each_init(Scratch::new, |scratch, (out, task)| {
        by_queries(sides, task.rows.start, &tasks.ranges[task.list.clone()], scratch, out);
    });
    out
}

fn pass_by_keys(sides: &Sides<'_>, tasks: &Tasks, keys: usize) -> [Vec<f32>; 2] {
    let [mut by_keys_out, mut by_values] = [vec![0.0; keys * sides.width], vec![0.0; keys * sides.width]];
    let parts = cut(&mut by_keys_out, &tasks.tasks, sides.width).into_par_iter();
    let parts = parts.zip(cut(&mut by_values, &tasks.tasks, sides.width)).zip(&tasks.tasks);
    parts.for_each_init(Scratch::new, |scratch, ((dk, dv), task)| {
        by_keys(sides, task.rows.start, &tasks.ranges[task.list.clone()], scratch, [dk, dv]);
    });
    [by_keys_out, by_values]
}

impl Scratch {
    fn new() -> Self {
        let zeros = [0.0; QUAD * ROW];
        Self { first: Vec::new(), second: Vec::new(), weights: zeros, slopes: zeros }
    }

    #[inline(always)]
    fn clear(&mut self, len: usize) {
        for sums in [&mut self.first, &mut self.second] {
            sums.clear();
            sums.resize(len, 0.0);
        }
    }
}

#[inline(always)]
fn check(sides: &Sides<'_>, begin: usize, rows: usize, list: &[[u32; 2]]) {
    let end = (begin + rows.next_multiple_of(QUAD)) * sides.width;
    assert!(end <= sides.first.plain.len() && end <= sides.second.plain.len(), "rows of a task");
    let last = list.last().map_or(0, |r| r[1] as usize) * sides.width;
    assert!(last <= sides.other_first.turned.len() && last <= sides.other_second.turned.len(), "ranges are of rows");
}

#[inline(always)]
fn by_queries_kernel<V: Lanes>(
    sides: &Sides<'_>,
    begin: usize,
    list: &[[u32; 2]],
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let width = sides.width;
    let rows = out.len() / width;
    check(sides, begin, rows, list);
    assert!(begin + rows.next_multiple_of(QUAD) <= sides.of_rows.deltas.len(), "rows of a task");
    scratch.clear(rows.next_multiple_of(QUAD) * width);
    let (mut cursor, mut slots) = (Cursor::new(list), [Slot::default(); SLOTS]);
    loop {
        let used = cursor.next(&mut slots);
        if used == 0 {
            break;
        }
        let slots = &slots[..used];
        for quad in (0..rows).step_by(QUAD) {
            let row = begin + quad;
            // SAFETY: `check` bounds rows and lists.
            unsafe {
                both_products::<V>(sides, row, slots, scratch);
                for r in 0..QUAD {
                    let log_sum = V::all(sides.of_rows.log_sums[row + r]);
                    let delta = V::all(sides.of_rows.deltas[row + r]);
                    for at in (r * ROW..).step_by(LANES).take(used) {
                        slope::<V>(scratch, at, log_sum, delta);
                    }
                }
                let sums = scratch.first.as_mut_ptr().add(quad * width);
                accumulate::<V>(&scratch.slopes, slots, sides.other_first.plain.as_ptr(), width, [1.0; QUAD], sums);
            }
        }
    }
    out.copy_from_slice(&scratch.first[..rows * width]);
}

#[inline(always)]
fn by_keys_kernel<V: Lanes>(
    sides: &Sides<'_>,
    begin: usize,
    list: &[[u32; 2]],
    scratch: &mut Scratch,
    [by_keys, by_values]: [&mut [f32]; 2],
) {
    let width = sides.width;
    let rows = by_keys.len() / width;
    check(sides, begin, rows, list);
    let last = list.last().map_or(0, |r| (r[1] as usize).next_multiple_of(LANES));
    assert!(last <= sides.of_rows.deltas.len() && last <= sides.of_rows.log_sums.len(), "ranges are of rows");
    scratch.clear(rows.next_multiple_of(QUAD) * width);
    let (mut cursor, mut slots) = (Cursor::new(list), [Slot::default(); SLOTS]);
    loop {
        let used = cursor.next(&mut slots);
        if used == 0 {
            break;
        }
        let slots = &slots[..used];
        for quad in (0..rows).step_by(QUAD) {
            // SAFETY: `check` bounds rows and lists, the assertion what is known of the lanes.
            unsafe {
                both_products::<V>(sides, begin + quad, slots, scratch);
                for (s, slot) in slots.iter().enumerate() {
                    let log_sum = V::load(sides.of_rows.log_sums.as_ptr().add(slot.base));
                    let delta = V::load(sides.of_rows.deltas.as_ptr().add(slot.base));
                    for r in 0..QUAD {
                        slope::<V>(scratch, r * ROW + s * LANES, log_sum, delta);
                    }
                }
                let (first, second) = (scratch.first.as_mut_ptr(), scratch.second.as_mut_ptr());
                let keep = [1.0; QUAD];
                let (queries, by_out) = (sides.other_first.plain.as_ptr(), sides.other_second.plain.as_ptr());
                accumulate::<V>(&scratch.slopes, slots, queries, width, keep, first.add(quad * width));
                accumulate::<V>(&scratch.weights, slots, by_out, width, keep, second.add(quad * width));
            }
        }
    }
    by_keys.copy_from_slice(&scratch.first[..rows * width]);
    by_values.copy_from_slice(&scratch.second[..rows * width]);
}

/// The products of queries with keys, and of gradients of outputs with values.
#[inline(always)]
unsafe fn both_products<V: Lanes>(sides: &Sides<'_>, row: usize, slots: &[Slot], scratch: &mut Scratch) {
    let width = sides.width;
    // SAFETY: as the caller promises.
    unsafe {
        let (first, second) =
            (sides.first.plain.as_ptr().add(row * width), sides.second.plain.as_ptr().add(row * width));
        let (other_first, other_second) = (sides.other_first.turned.as_ptr(), sides.other_second.turned.as_ptr());
        products::<V>(first, width, other_first, slots, 0.0, &mut scratch.weights);
        products::<V>(second, width, other_second, slots, 0.0, &mut scratch.slopes);
    }
}

/// Products at `at` become the probability and the derivative by the product. Lanes that are not meant get numbers that nobody reads.
///
/// # Safety
/// `at` is that of a group of lanes.
#[inline(always)]
unsafe fn slope<V: Lanes>(scratch: &mut Scratch, at: usize, log_sum: V, delta: V) {
    // SAFETY: as the caller promises.
    unsafe {
        let exponent = (V::load(scratch.weights.as_ptr().add(at)) - log_sum).max(V::all(-126.0)).min(V::all(126.0));
        let probability = exp2(exponent);
        let by_weight = V::load(scratch.slopes.as_ptr().add(at));
        probability.store(scratch.weights.as_mut_ptr().add(at));
        (probability * (by_weight - delta)).store(scratch.slopes.as_mut_ptr().add(at));
    }
}
