//! Which keys each query sees.

use std::ops::Range;

/// Rows that one task takes.
pub(super) const TASK_ROWS: usize = 64;
/// The most keys of a piece, which the gradients of keys and values are computed for by one task.
const PIECE: usize = 64;

/// Runs of queries, one after the other, each with the ranges of keys that all of its queries see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// Where each run of queries ends.
    ends: Vec<u32>,
    /// Where each run's ranges end in `ranges`.
    lists: Vec<u32>,
    /// From, to.
    ranges: Vec<[u32; 2]>,
}

/// Rows that one task computes, and the ranges that they are computed over.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub rows: Range<usize>,
    pub list: Range<usize>,
}

/// Tasks whose rows follow each other, and their lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    pub tasks: Vec<Task>,
    pub ranges: Vec<[u32; 2]>,
}

impl Pattern {
    /// Nobody sees anything yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The queries of each block see the keys of the block with the same number; `queries` and `keys` say where blocks end.
    pub fn of_blocks(queries: &[usize], keys: &[usize]) -> Self {
        assert_eq!(queries.len(), keys.len(), "as many blocks of queries as of keys");
        let (mut pattern, mut first) = (Self::new(), 0);
        for (&queries, &end) in queries.iter().zip(keys) {
            pattern.push(queries, std::iter::once(first..end));
            first = end;
        }
        pattern
    }

    /// Adds the queries up to `end`, which see the keys of these ranges: ascending, none overlapping. Queries that see the same as those before
    /// them join their run.
    pub fn push(&mut self, end: usize, ranges: impl IntoIterator<Item = Range<usize>>) {
        let before = self.ranges.len();
        for range in ranges.into_iter().filter(|range| !range.is_empty()) {
            let range = [range.start as u32, range.end as u32];
            match self.ranges[before..].last_mut() {
                Some(last) if last[1] == range[0] => last[1] = range[1],
                last => {
                    assert!(last.is_none_or(|last| last[1] < range[0]), "ranges are ascending");
                    self.ranges.push(range);
                }
            }
        }
        assert!(end >= self.queries(), "queries are ascending");
        let of_last = self.lists.len().checked_sub(2).map_or(0, |i| self.lists[i] as usize);
        if !self.ends.is_empty() && self.ranges[of_last..before] == self.ranges[before..] {
            self.ranges.truncate(before);
        } else {
            self.ends.push(0);
            self.lists.push(self.ranges.len() as u32);
        }
        if let Some(last) = self.ends.last_mut() {
            *last = end as u32;
        }
    }

    /// How many queries there are.
    pub fn queries(&self) -> usize {
        self.ends.last().map_or(0, |end| *end as usize)
    }

    /// How many pairs of a query and a key there are: what attention costs.
    pub fn pairs(&self) -> u64 {
        let keys = |list: Range<usize>| self.ranges[list].iter().map(|r| u64::from(r[1] - r[0])).sum::<u64>();
        self.runs().map(|(queries, list)| queries.len() as u64 * keys(list)).sum()
    }

    /// The queries of each run, and which ranges are theirs.
    pub(super) fn runs(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let before = |i: usize, ends: &[u32]| i.checked_sub(1).map_or(0, |i| ends[i] as usize);
        (0..self.ends.len()).map(move |i| {
            let queries = before(i, &self.ends)..self.ends[i] as usize;
            (queries, before(i, &self.lists)..self.lists[i] as usize)
        })
    }

    /// The keys of these ranges.
    pub(super) fn ranges(&self, list: Range<usize>) -> impl Iterator<Item = Range<u32>> {
        self.ranges[list].iter().map(|range| range[0]..range[1])
    }

    /// Panics unless it is for so many queries and keys.
    pub(super) fn check(&self, queries: usize, keys: usize) {
        assert_eq!(self.queries(), queries, "a pattern for these queries");
        assert!(self.ranges.iter().all(|r| r[1] as usize <= keys), "a pattern for these keys");
    }

    /// All rows of queries, `shared` for each query, with the keys that they see.
    pub(super) fn tasks(&self, shared: usize) -> Tasks {
        let mut tasks = Vec::new();
        for (queries, list) in self.runs() {
            let rows = queries.start * shared..queries.end * shared;
            let part = |first: usize| first..(first + TASK_ROWS).min(rows.end);
            tasks.extend(rows.clone().step_by(TASK_ROWS).map(|f| Task { rows: part(f), list: list.clone() }));
        }
        Tasks { tasks, ranges: self.ranges.clone() }
    }

    /// All keys, in pieces, with the rows of queries that see them.
    pub(super) fn turned(&self, keys: usize, shared: usize) -> Tasks {
        let (pieces, piece_of) = self.pieces(keys);
        // Rows come in order, so those of a piece that follow each other are one range.
        let mut counts = vec![0u32; pieces.len()];
        let mut last = vec![u32::MAX; pieces.len()];
        let mut each = |visit: &mut dyn FnMut(usize, [u32; 2], bool)| {
            last.fill(u32::MAX);
            for (queries, list) in self.runs() {
                let rows = [queries.start, queries.end].map(|q| (q * shared) as u32);
                for range in &self.ranges[list] {
                    for piece in piece_of[range[0] as usize]..piece_of[range[1] as usize] {
                        let piece = piece as usize;
                        visit(piece, rows, last[piece] == rows[0]);
                        last[piece] = rows[1];
                    }
                }
            }
        };
        each(&mut |piece, _, joins| counts[piece] += u32::from(!joins));
        let mut ends = Vec::with_capacity(pieces.len());
        let mut total = 0usize;
        for count in &counts {
            ends.push(total);
            total += *count as usize;
        }
        let mut ranges = vec![[0u32; 2]; total];
        each(&mut |piece, rows, joins| {
            if joins {
                ranges[ends[piece] - 1][1] = rows[1];
            } else {
                ranges[ends[piece]] = rows;
                ends[piece] += 1;
            }
        });
        let lists = ends.iter().zip(&counts).map(|(end, count)| end - *count as usize..*end);
        let tasks = pieces.into_iter().zip(lists).map(|(rows, list)| Task { rows, list }).collect();
        Tasks { tasks, ranges }
    }

    /// Keys cut wherever a range begins or ends, and the first piece that begins at a key or behind it.
    fn pieces(&self, keys: usize) -> (Vec<Range<usize>>, Vec<u32>) {
        let mut cuts = vec![false; keys + 1];
        self.ranges.iter().flatten().for_each(|&end| cuts[end as usize] = true);
        let (mut pieces, mut first) = (Vec::new(), 0);
        let mut piece_of = vec![0u32; keys + 1];
        for key in 1..=keys {
            if cuts[key] || key - first == PIECE || key == keys {
                pieces.push(first..key);
                first = key;
            }
            piece_of[key] = pieces.len() as u32;
        }
        (pieces, piece_of)
    }
}
