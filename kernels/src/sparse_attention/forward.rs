//! The sums over what each query sees.

use super::layout::{LANES, Rows, cut, put_back, rows};
use super::pattern::TASK_ROWS;
use super::tiles::{Cursor, QUAD, ROW, SLOTS, Slot, accumulate, products};
use super::{Heads, Patterns};
use crate::dispatch;
use crate::simd::{Lanes, exp2};
use rayon::prelude::*;

/// Smaller than any product; what lanes have that nobody sees.
pub(super) const LOWEST: f32 = -1e30;

/// What attention gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Attended {
    /// `[N, H, D]`; zeros for queries that see nothing.
    pub out: Vec<f32>,
    /// The logarithms to base 2 of the sums of exponentials, `[G, N, H / G]`; minus infinity for queries that see nothing.
    pub log_sums: Vec<f32>,
}

/// What a thread keeps between tasks: running sums, and per row the maximum and the sum of exponentials.
struct Scratch {
    sums: Vec<f32>,
    highest: [f32; TASK_ROWS],
    total: [f32; TASK_ROWS],
    weights: [f32; QUAD * ROW],
}

dispatch! {
    /// The rows of a task.
    fn tile(q: &[f32], others: [&Rows; 2], width: usize, list: &[[u32; 2]], scratch: &mut Scratch, out: &mut [f32], log_sums: &mut [f32]) = tile_kernel;
}

/// Attention of `q`, `[N, H, D]`, over `k` and `v`, `[M, G, D]`.
///
/// # Panics
/// When sizes do not agree with each other or with the pattern.
pub fn forward(heads: Heads, patterns: Patterns<'_>, q: &[f32], k: &[f32], v: &[f32]) -> Attended {
    heads.check();
    let (shared, width) = (heads.shared(), heads.padded());
    let tokens = q.len() / (heads.queries * heads.width);
    let keys = k.len() / (heads.keys * heads.width);
    assert!(q.len() == tokens * heads.queries * heads.width && k.len() == v.len(), "whole rows of queries and keys");
    let mut attended = Attended { out: vec![0.0; q.len()], log_sums: vec![0.0; tokens * heads.queries] };
    for group in 0..heads.keys {
        let pattern = patterns.of(group);
        pattern.check(tokens, keys);
        let tasks = pattern.tasks(shared);
        let q = rows(q, heads, [heads.keys, shared], group, heads.scale());
        let [k, v] = [k, v].map(|x| rows(x, heads, [heads.keys, 1], group, 1.0));
        let mut out = vec![0.0; tokens * shared * width];
        let log_sums = &mut attended.log_sums[group * tokens * shared..][..tokens * shared];
        let parts = cut(&mut out, &tasks.tasks, width).into_par_iter().zip(cut(log_sums, &tasks.tasks, 1));
        parts.zip(&tasks.tasks).for_each_init(Scratch::new, |scratch, ((out, log_sums), task)| {
            let q = &q.plain[task.rows.start * width..];
            tile(q, [&k, &v], width, &tasks.ranges[task.list.clone()], scratch, out, log_sums);
        });
        put_back(&out, &mut attended.out, heads, [heads.keys, shared], group, 1.0);
    }
    attended
}

impl Scratch {
    fn new() -> Self {
        Self { sums: Vec::new(), highest: [0.0; TASK_ROWS], total: [0.0; TASK_ROWS], weights: [0.0; QUAD * ROW] }
    }
}

#[inline(always)]
fn tile_kernel<V: Lanes>(
    q: &[f32],
    [keys, values]: [&Rows; 2],
    width: usize,
    list: &[[u32; 2]],
    scratch: &mut Scratch,
    out: &mut [f32],
    log_sums: &mut [f32],
) {
    let count = log_sums.len();
    let padded = count.next_multiple_of(QUAD);
    assert!(count <= TASK_ROWS && q.len() >= padded * width && out.len() == count * width, "rows of a task");
    let last = list.last().map_or(0, |r| r[1] as usize);
    assert!(last * width <= keys.turned.len() && last * width <= values.plain.len(), "ranges are of keys");
    scratch.sums.clear();
    scratch.sums.resize(padded * width, 0.0);
    scratch.highest.fill(LOWEST);
    scratch.total.fill(0.0);
    let (mut cursor, mut slots) = (Cursor::new(list), [Slot::default(); SLOTS]);
    loop {
        let used = cursor.next(&mut slots);
        if used == 0 {
            break;
        }
        let slots = &slots[..used];
        for quad in (0..count).step_by(QUAD) {
            // SAFETY: the assertions above bound rows, keys and values.
            unsafe {
                let turned = keys.turned.as_ptr();
                products::<V>(q.as_ptr().add(quad * width), width, turned, slots, LOWEST, &mut scratch.weights);
                let keep = exponentials::<V>(scratch, quad, used);
                let sums = scratch.sums.as_mut_ptr().add(quad * width);
                accumulate::<V>(&scratch.weights, slots, values.plain.as_ptr(), width, keep, sums);
            }
        }
    }
    for (row, (out, log_sum)) in out.chunks_exact_mut(width).zip(log_sums).enumerate() {
        let total = scratch.total[row];
        let share = if total > 0.0 { 1.0 / total } else { 0.0 };
        out.iter_mut().zip(&scratch.sums[row * width..]).for_each(|(out, sum)| *out = share * sum);
        *log_sum = if total > 0.0 { scratch.highest[row] + total.log2() } else { f32::NEG_INFINITY };
    }
}

/// Products become exponentials, less the highest so far; by how much the sums so far are to be multiplied.
#[inline(always)]
fn exponentials<V: Lanes>(scratch: &mut Scratch, quad: usize, used: usize) -> [f32; QUAD] {
    let mut keep = [1.0; QUAD];
    for r in 0..QUAD {
        let row = &mut scratch.weights[r * ROW..][..used * LANES];
        let mut highest = V::all(scratch.highest[quad + r]);
        for at in (0..row.len()).step_by(LANES) {
            // SAFETY: whole groups of lanes.
            highest = highest.max(unsafe { V::load(row.as_ptr().add(at)) });
        }
        let mut most = LOWEST;
        for value in highest.to_array() {
            most = if value > most { value } else { most };
        }
        let mut sum = V::all(0.0);
        for at in (0..row.len()).step_by(LANES) {
            // SAFETY: whole groups of lanes.
            unsafe {
                let value = exp2((V::load(row.as_ptr().add(at)) - V::all(most)).max(V::all(-126.0)));
                sum = sum + value;
                value.store(row.as_mut_ptr().add(at));
            }
        }
        keep[r] = (scratch.highest[quad + r] - most).max(-126.0).exp2();
        scratch.total[quad + r] = keep[r] * scratch.total[quad + r] + sum.sum();
        scratch.highest[quad + r] = most;
    }
    keep
}
