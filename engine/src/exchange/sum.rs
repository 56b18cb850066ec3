//! Sums that are the same bits, whoever adds what.
//!
//! Floating-point addition is not associative, so the order must be fixed. Here it is that of a binary tree over the summands: 0 with 1,
//! 2 with 3, then those sums with each other, and so on; the last of an odd number goes up as it is. A process adds as much of the
//! tree as its summands allow and passes on the sums that it cannot add any further. Neighbouring summands in one process become one
//! vector to send where they are a whole branch.

/// The sum of the summands `index << level` up to the next one of that level.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// How often pairs were added; 0 is a summand.
    pub level: u32,
    /// Among those of the level.
    pub index: usize,
    /// The sum.
    pub values: Vec<f32>,
}

/// A sum of vectors that are added in any order.
#[derive(Clone, Debug)]
pub struct TreeSum {
    summands: usize,
    parts: Vec<Part>,
}

impl TreeSum {
    /// Nothing, of so many summands.
    pub fn new(summands: usize) -> Self {
        Self { summands, parts: Vec::new() }
    }

    /// Adds a summand.
    pub fn add(&mut self, summand: usize, values: Vec<f32>) {
        self.merge(Part { level: 0, index: summand, values });
    }

    /// Adds what another has added already.
    pub fn merge(&mut self, mut part: Part) {
        while 1 << part.level < self.summands {
            let sibling = part.index ^ 1;
            if sibling << part.level < self.summands {
                let is_it = |other: &Part| (other.level, other.index) == (part.level, sibling);
                let Some(at) = self.parts.iter().position(is_it) else { break };
                let other = self.parts.swap_remove(at);
                let (mut left, right) = if sibling < part.index { (other, part) } else { (part, other) };
                left.values.iter_mut().zip(&right.values).for_each(|(sum, value)| *sum += value);
                part = left;
            }
            part = Part { level: part.level + 1, index: part.index / 2, values: part.values };
        }
        self.parts.push(part);
    }

    /// All that was added, and leaves nothing of it.
    pub fn take(&mut self) -> Self {
        Self { summands: self.summands, parts: std::mem::take(&mut self.parts) }
    }

    /// What could not be added any further.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The whole sum, once all summands are there.
    pub fn finish(mut self) -> Option<Vec<f32>> {
        let is_whole = self.parts.len() == 1 && 1 << self.parts[0].level >= self.summands;
        is_whole.then(|| self.parts.swap_remove(0).values)
    }
}
