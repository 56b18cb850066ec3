//! How rows lie while attention is computed.

use super::Heads;
use rayon::prelude::*;

/// Rows side by side, a group of lanes.
pub(super) const LANES: usize = 8;
/// Rows that tiles may read behind the last.
const SPARE: usize = 4;
/// Rows turned by one task.
const CHUNK: usize = 1024;

/// The rows of one group of heads, `[n, D]` with D padded by zeros.
pub(super) struct Rows {
    /// Row by row, and a few zeros behind.
    pub plain: Vec<f32>,
    /// `[n / 8, D, 8]`: eight rows side by side.
    pub turned: Vec<f32>,
}

/// Of tensors `[N, groups · shared, D]` the rows of group `group`, `[N · shared, D]`, times `scale`.
pub(super) fn rows(values: &[f32], heads: Heads, [groups, shared]: [usize; 2], group: usize, scale: f32) -> Rows {
    let (width, padded) = (heads.width, heads.padded());
    let tokens = values.len() / (groups * shared * width);
    let count = tokens * shared;
    let mut plain = vec![0.0; (count.next_multiple_of(LANES) + SPARE) * padded];
    plain.par_chunks_mut(shared * padded).zip(values.par_chunks_exact(groups * shared * width)).for_each(
        |(out, token)| {
            let rows = token[group * shared * width..][..shared * width].chunks_exact(width);
            for (out, row) in out.chunks_exact_mut(padded).zip(rows) {
                out.iter_mut().zip(row).for_each(|(out, x)| *out = scale * x);
            }
        },
    );
    let mut turned = vec![0.0; count.next_multiple_of(LANES) * padded];
    turned.par_chunks_mut(CHUNK * padded).zip(plain.par_chunks(CHUNK * padded)).for_each(|(turned, plain)| {
        let eights = turned.chunks_exact_mut(LANES * padded).zip(plain.chunks_exact(LANES * padded));
        for (turned, plain) in eights {
            for (d, lanes) in turned.chunks_exact_mut(LANES).enumerate() {
                lanes.iter_mut().zip(plain[d..].iter().step_by(padded)).for_each(|(out, x)| *out = *x);
            }
        }
    });
    Rows { plain, turned }
}

/// Puts the rows of a group, times `scale`, back among those of all, `[N, groups · shared, D]`.
pub(super) fn put_back(
    rows: &[f32],
    out: &mut [f32],
    heads: Heads,
    [groups, shared]: [usize; 2],
    group: usize,
    scale: f32,
) {
    let (width, padded) = (heads.width, heads.padded());
    let tokens = out.par_chunks_exact_mut(groups * shared * width).zip(rows.par_chunks_exact(shared * padded));
    tokens.for_each(|(token, rows)| {
        let own = token[group * shared * width..][..shared * width].chunks_exact_mut(width);
        for (own, row) in own.zip(rows.chunks_exact(padded)) {
            own.iter_mut().zip(row).for_each(|(own, x)| *own = scale * x);
        }
    });
}

/// `out` cut where tasks' rows end.
pub(super) fn cut<'a>(mut out: &'a mut [f32], tasks: &[super::pattern::Task], columns: usize) -> Vec<&'a mut [f32]> {
    let mut parts = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (part, rest) = out.split_at_mut(task.rows.len() * columns);
        parts.push(part);
        out = rest;
    }
    parts
}
