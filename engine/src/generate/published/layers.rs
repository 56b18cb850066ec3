//! Layers that the published models have and our own do not. Nothing here is ever trained, so results are put on tapes as they are.

use super::super::model::{Linear, Maker};
use super::super::tape::{Initial, Numbers, Parameter, Parameters, Tape, Var};
use crate::Result;
use std::sync::Arc;
use tessera_kernels::sparse_attention::{Heads, Pattern};

/// Numbers by which normalised columns are multiplied, and what is added to them.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    weight: Parameter,
    bias: Parameter,
    epsilon: f32,
}

impl Norm {
    /// Of so many columns; `epsilon` is added to variances.
    pub fn new(maker: &mut Maker<'_>, name: &str, columns: usize, epsilon: f32) -> Self {
        let weight = maker.add(&format!("{name}.weight"), &[columns], Initial::Ones);
        let bias = maker.add(&format!("{name}.bias"), &[columns], Initial::Zeros);
        Self { weight, bias, epsilon }
    }

    /// Of all rows.
    pub fn run(&self, tape: &mut Tape<'_>, x: Var) -> Var {
        let h = tape.layer_norm(x, self.epsilon);
        tape.affine(h, self.weight, self.bias)
    }

    /// Of groups of columns of each sample; `ends` says where the samples' rows end.
    pub fn run_in_groups(&self, tape: &mut Tape<'_>, x: Var, groups: usize, ends: &Arc<Vec<u32>>) -> Var {
        let h = tape.group_norm(x, groups, ends, self.epsilon);
        tape.affine(h, self.weight, self.bias)
    }
}

/// Attention in which queries, keys and values come from one product, as they do in self-attention.
#[derive(Clone, Debug)]
pub struct SelfAttention {
    heads: Heads,
    project: Linear,
    /// By what normalised queries and keys are multiplied, where they are normalised.
    scales: Option<[Parameter; 2]>,
    out: Linear,
}

impl SelfAttention {
    /// Over tokens of `width` numbers; the names are those of the two products.
    pub fn new(maker: &mut Maker<'_>, [project, out]: [&str; 2], width: usize, heads: usize, normalised: bool) -> Self {
        let of_head = width / heads;
        let project = Linear::new(maker, project, [width, 3 * width]);
        let scale = |maker: &mut Maker<'_>, name: &str| maker.add(name, &[heads, of_head], Initial::Ones);
        let scales = normalised.then(|| ["q_rms_norm.gamma", "k_rms_norm.gamma"].map(|name| scale(maker, name)));
        Self { heads: Heads::equal(heads, of_head), project, scales, out: Linear::new(maker, out, [width; 2]) }
    }

    /// By a pattern.
    pub fn run(&self, tape: &mut Tape<'_>, x: Var, pattern: &Arc<Vec<Pattern>>) -> Var {
        let all = self.project.run(tape, x);
        let [mut q, mut k, v] = [0, 1, 2].map(|part| tape.take_columns(all, part, 3));
        if let Some([by_q, by_k]) = self.scales {
            q = tape.normalise_lengths(q, by_q, self.heads.width);
            k = tape.normalise_lengths(k, by_k, self.heads.width);
        }
        let (out, _) = tape.attention(self.heads, pattern, [q, k, v]);
        self.out.run(tape, out)
    }
}

/// Attention of tokens over those of a condition.
#[derive(Clone, Debug)]
pub struct CrossAttention {
    heads: Heads,
    query: Linear,
    project: Linear,
    out: Linear,
}

/// Keys and values of a condition.
pub struct Seen {
    keys: Numbers,
    values: Numbers,
}

impl CrossAttention {
    /// Of tokens of `width` numbers over such of `condition`.
    pub fn new(maker: &mut Maker<'_>, [width, condition]: [usize; 2], heads: usize) -> Self {
        let query = Linear::new(maker, "to_q", [width; 2]);
        let project = Linear::new(maker, "to_kv", [condition, 2 * width]);
        let heads = Heads::equal(heads, width / heads);
        Self { heads, query, project, out: Linear::new(maker, "to_out", [width; 2]) }
    }

    /// What is seen of the tokens of a condition.
    ///
    /// # Errors
    /// When a device fails.
    pub fn seen(&self, parameters: &Parameters, condition: &Numbers, width: usize) -> Result<Seen> {
        let mut tape = Tape::without_gradients(parameters);
        let x = tape.continued(condition.clone(), width);
        let all = self.project.run(&mut tape, x);
        let [keys, values] = [0, 1].map(|part| tape.take_columns(all, part, 2));
        Ok(Seen { keys: tape.hand_on(keys)?, values: tape.hand_on(values)? })
    }

    /// Of rows.
    pub fn run(&self, tape: &mut Tape<'_>, x: Var, seen: &Seen) -> Var {
        let q = self.query.run(tape, x);
        let width = self.heads.queries * self.heads.width;
        let [k, v] = [&seen.keys, &seen.values].map(|values| tape.continued(values.clone(), width));
        let pattern = Pattern::of_blocks(&[tape.rows(q)], &[tape.rows(k)]);
        let (out, _) = tape.attention(self.heads, &Arc::new(vec![pattern]), [q, k, v]);
        self.out.run(tape, out)
    }
}

/// What layers that look at rows alone make of rows of `width` numbers, some rows at a time where that is how it is done there.
///
/// # Errors
/// When a device fails.
pub fn by_rows(
    parameters: &Parameters,
    rows: Numbers,
    width: usize,
    mut run: impl FnMut(&mut Tape<'_>, Var) -> Var,
) -> Result<Numbers> {
    let place = parameters.place();
    let most = place.rows_at_a_time();
    if rows.len() / width <= most {
        return alone(parameters, rows, width, run);
    }
    let rows = place.read(&rows)?;
    let mut out = Vec::with_capacity(rows.len());
    for part in rows.chunks(most * width) {
        let part = alone(parameters, place.give(part.to_vec())?, width, &mut run)?;
        out.extend_from_slice(&place.read(&part)?);
    }
    place.give(out)
}

/// What layers make of rows of `width` numbers, with a tape of their own, so that nothing is kept.
///
/// # Errors
/// When a device fails.
pub fn alone(
    parameters: &Parameters,
    rows: Numbers,
    width: usize,
    run: impl FnOnce(&mut Tape<'_>, Var) -> Var,
) -> Result<Numbers> {
    let mut tape = Tape::without_gradients(parameters);
    let x = tape.continued(rows, width);
    let y = run(&mut tape, x);
    tape.hand_on(y)
}
