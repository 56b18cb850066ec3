//! Which blocks of tokens each query sees: those to whose means its heads pay the most attention.
//!
//! ```text
//! S[g, t, B] = Σ over the heads h of group g, and the means j in block B, of exp(q_th · kc_j / √D - log Σ_j' exp(...))
//! ```
//!
//! Products with means are computed again, a query at a time, and only the best blocks are kept: there is no matrix of scores.

use super::forward::{Attended, LOWEST};
use super::layout::{LANES, Rows, rows};
use super::tiles::{Cursor, QUAD, ROW, SLOTS, Slot, products};
use super::{Heads, Pattern};
use crate::dispatch;
use crate::simd::{Lanes, exp2};
use rayon::prelude::*;

/// In place of a block where there are fewer than wanted.
pub const NONE: u32 = u32::MAX;
/// Queries of a task.
const QUERIES: usize = 64;

/// Blocks of tokens that can be selected.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    /// Where each block's tokens end.
    pub ends: &'a [usize],
    /// In which block each mean lies, `[means]`.
    pub of_means: &'a [u32],
    /// How many blocks a query sees.
    pub count: usize,
}

/// What was selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Ascending, [`NONE`] behind the last, `[G, N, count]`.
    pub blocks: Vec<u32>,
    /// For each group which tokens a query sees.
    pub patterns: Vec<Pattern>,
}

/// What a thread keeps between queries.
struct Scratch {
    /// Of all blocks, zeros between queries.
    scores: Vec<f32>,
    weights: [f32; QUAD * ROW],
    sums: [f32; ROW],
    best: Vec<(f32, u32)>,
}

/// What all queries of a group have in common.
struct Group<'a> {
    q: Rows,
    means: Rows,
    log_sums: &'a [f32],
    shared: usize,
    width: usize,
    blocks: Blocks<'a>,
}

dispatch! {
    /// The blocks of the query `t`, whose list of means is given.
    fn best_blocks(group: &Group<'_>, t: usize, list: &[[u32; 2]], scratch: &mut Scratch, out: &mut [u32]) = best_blocks_kernel;
}

/// The blocks with the highest scores, of equal ones the first, for queries `q`, `[N, H, D]`, that paid attention to `means`, `[M, G, D]`, by
/// `pattern`, with what that gave.
///
/// # Panics
/// When sizes do not agree.
pub fn select(
    heads: Heads,
    pattern: &Pattern,
    [q, means]: [&[f32]; 2],
    attended: &Attended,
    blocks: Blocks<'_>,
) -> Selection {
    heads.check();
    let shared = heads.shared();
    let tokens = q.len() / (heads.queries * heads.width);
    let count = means.len() / (heads.keys * heads.width);
    pattern.check(tokens, count);
    assert!(blocks.count > 0 && blocks.of_means.len() == count, "a block for each mean");
    assert!(blocks.of_means.iter().all(|b| (*b as usize) < blocks.ends.len()), "blocks that are there");
    let tasks = pattern.tasks(1);
    let mut chosen = vec![NONE; heads.keys * tokens * blocks.count];
    for (group, chosen) in chosen.chunks_exact_mut((tokens * blocks.count).max(1)).enumerate().take(heads.keys) {
        let of_group = Group {
            q: rows(q, heads, [heads.keys, shared], group, heads.scale()),
            means: rows(means, heads, [heads.keys, 1], group, 1.0),
            log_sums: &attended.log_sums[group * tokens * shared..][..tokens * shared],
            shared,
            width: heads.padded(),
            blocks,
        };
        let lists: Vec<(usize, &[[u32; 2]])> = tasks
            .tasks
            .iter()
            .flat_map(|task| task.rows.clone().map(|t| (t, &tasks.ranges[task.list.clone()])))
            .collect();
        let parts = chosen.par_chunks_mut(QUERIES * blocks.count).zip(lists.par_chunks(QUERIES));
        parts.for_each_init(
            || Scratch::new(blocks.ends.len()),
            |scratch, (chosen, lists)| {
                for (out, (t, list)) in chosen.chunks_exact_mut(blocks.count).zip(lists) {
                    best_blocks(&of_group, *t, list, scratch, out);
                }
            },
        );
    }
    Selection::of(heads, chosen, blocks)
}

impl Selection {
    /// What these blocks, `[G, N, count]`, mean.
    pub fn of(heads: Heads, chosen: Vec<u32>, blocks: Blocks<'_>) -> Self {
        assert!(chosen.len().is_multiple_of(heads.keys * blocks.count), "whole rows of blocks");
        let of_group = (chosen.len() / heads.keys).max(1);
        // Groups that are not there have no queries.
        let mut patterns: Vec<Pattern> = chosen.par_chunks(of_group).map(|chosen| pattern_of(chosen, blocks)).collect();
        patterns.resize(heads.keys, Pattern::new());
        Self { blocks: chosen, patterns }
    }
}

/// Which tokens queries see that have selected these blocks.
fn pattern_of(chosen: &[u32], blocks: Blocks<'_>) -> Pattern {
    let mut pattern = Pattern::new();
    for (t, chosen) in chosen.chunks_exact(blocks.count).enumerate() {
        let known = chosen.iter().filter(|b| **b != NONE).map(|b| *b as usize);
        let tokens = known.map(|b| b.checked_sub(1).map_or(0, |before| blocks.ends[before])..blocks.ends[b]);
        pattern.push(t + 1, tokens);
    }
    pattern
}

impl Scratch {
    fn new(blocks: usize) -> Self {
        Self { scores: vec![0.0; blocks], weights: [0.0; QUAD * ROW], sums: [0.0; ROW], best: Vec::new() }
    }
}

#[inline(always)]
fn best_blocks_kernel<V: Lanes>(
    group: &Group<'_>,
    t: usize,
    list: &[[u32; 2]],
    scratch: &mut Scratch,
    out: &mut [u32],
) {
    let (shared, width, of_means) = (group.shared, group.width, group.blocks.of_means);
    let (mut cursor, mut slots) = (Cursor::new(list), [Slot::default(); SLOTS]);
    assert!((t * shared + shared.next_multiple_of(QUAD)) * width <= group.q.plain.len(), "a query that is there");
    assert!(list.last().is_none_or(|r| r[1] as usize <= of_means.len()), "means that are there");
    loop {
        let used = cursor.next(&mut slots);
        if used == 0 {
            break;
        }
        let slots = &slots[..used];
        scratch.sums[..used * LANES].fill(0.0);
        for head in (0..shared).step_by(QUAD) {
            let row = t * shared + head;
            // SAFETY: the assertions above bound queries and means.
            unsafe {
                let q = group.q.plain.as_ptr().add(row * width);
                products::<V>(q, width, group.means.turned.as_ptr(), slots, LOWEST, &mut scratch.weights);
                for r in 0..QUAD.min(shared - head) {
                    let log_sum = V::all(group.log_sums[row + r]);
                    for at in (0..used * LANES).step_by(LANES) {
                        let exponent = V::load(scratch.weights.as_ptr().add(r * ROW + at)) - log_sum;
                        let sum = scratch.sums.as_mut_ptr().add(at);
                        (V::load(sum) + exp2(exponent.max(V::all(-126.0)))).store(sum);
                    }
                }
            }
        }
        for (s, slot) in slots.iter().enumerate() {
            for lane in slot.from as usize..slot.to as usize {
                scratch.scores[of_means[slot.base + lane] as usize] += scratch.sums[s * LANES + lane];
            }
        }
    }
    keep_best(list, of_means, scratch, out);
}

/// The best of the blocks that the means of a list lie in, ascending; their scores are zeros again after it.
#[inline(always)]
fn keep_best(list: &[[u32; 2]], of_means: &[u32], scratch: &mut Scratch, out: &mut [u32]) {
    scratch.best.clear();
    for range in list {
        for &block in &of_means[range[0] as usize..range[1] as usize] {
            // A block of several means counts once: its score is taken away.
            let score = std::mem::take(&mut scratch.scores[block as usize]);
            let full = scratch.best.len() == out.len();
            let better = |a: (f32, u32), b: (f32, u32)| a.0 > b.0 || (a.0 == b.0 && a.1 < b.1);
            if score <= 0.0 || (full && scratch.best.last().is_some_and(|worst| !better((score, block), *worst))) {
                continue;
            }
            if full {
                scratch.best.pop();
            }
            let at = scratch.best.partition_point(|other| better(*other, (score, block)));
            scratch.best.insert(at, (score, block));
        }
    }
    out.fill(NONE);
    out.iter_mut().zip(&scratch.best).for_each(|(out, (_, block))| *out = *block);
    out.sort_unstable();
}
