//! Attention in which each query sees a list of ranges of keys.
//!
//! ```text
//! o_t = Σ_s p_ts v_s      p_ts = exp(q_t · k_s / √D) / Σ over the keys s that t sees
//! ```
//!
//! Queries are `[N, H, D]`, keys and values `[M, G, D]`: G groups of H / G heads share keys and values. A [`Pattern`] says which keys each
//! query sees. Spatial sparse attention (Direct3D-S2, 2025, after native sparse attention, 2025) is three of them:
//!
//! - *compression*: all means of blocks of the sample ([`Pattern::of_blocks`]);
//! - *selection*: the tokens of the blocks with the highest scores ([`select`]), with as many tokens as each has;
//! - *windows*: the tokens of the same window, shifted or not ([`Windows`]).
//!
//! Rotated sets (DSVT, 2023) are a fourth, [`Sets`], and one range for all is attention in full.
//!
//! [`forward`] walks tiles of up to 64 rows (a row is one head of one query) through their lists, 128 keys at a time, with the softmax
//! kept as running maximum and sum. Keys lie eight side by side for products and row by row for sums, so a range that does not begin
//! at a multiple of eight costs lanes and no copies. [`backward`] computes the gradient of queries over the same lists, and those of keys and
//! values over the lists turned around: for each piece of keys the ranges of rows that see it. No two tasks write to the same place, and
//! sums have an order of their own, whatever the number of threads. `4 D` operations for a row and a key forward, `14 D` backward.
//! [`cuda`] does both on a device, over the same tasks, in single precision or in bf16, and selects blocks there.

mod backward;
pub mod cuda;
mod forward;
mod layout;
mod pattern;
mod select;
mod tiles;
mod tokens;

pub use backward::{Gradients, backward};
pub use forward::{Attended, forward};
pub use pattern::Pattern;
pub use select::{Blocks, NONE, Selection, select};
pub use tokens::{SetOrder, Sets, Windows, block_order, sample_ends};

/// Heads of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Heads of queries, H.
    pub queries: usize,
    /// Heads of keys and values, G; they divide H.
    pub keys: usize,
    /// Numbers of a head, D.
    pub width: usize,
}

impl Heads {
    /// As many heads of keys as of queries.
    pub fn equal(heads: usize, width: usize) -> Self {
        Self { queries: heads, keys: heads, width }
    }

    /// Heads of queries that share one of keys.
    pub fn shared(self) -> usize {
        self.queries / self.keys
    }

    /// Numbers of a row, a multiple of eight.
    fn padded(self) -> usize {
        self.width.next_multiple_of(8)
    }

    /// Products are exponents of two after this.
    fn scale(self) -> f32 {
        std::f32::consts::LOG2_E / (self.width as f32).sqrt()
    }

    fn check(self) {
        assert!(self.keys > 0 && self.width > 0, "heads have keys and numbers");
        assert!(self.queries > 0 && self.queries.is_multiple_of(self.keys), "groups of heads are of one size");
    }
}

/// One pattern for all groups, or one for each.
#[derive(Clone, Copy, Debug)]
pub enum Patterns<'a> {
    /// All groups see the same.
    Shared(&'a Pattern),
    /// Each group has its own.
    OfGroups(&'a [Pattern]),
}

impl<'a> Patterns<'a> {
    fn of(self, group: usize) -> &'a Pattern {
        match self {
            Self::Shared(pattern) => pattern,
            Self::OfGroups(patterns) => &patterns[group],
        }
    }
}

#[cfg(test)]
mod tests;
