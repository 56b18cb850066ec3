//! Which blocks take steps at the same time, and whose they are.
//!
//! A *group* is the blocks that take a step together, in a *round*; each has a *lane* in it. Groups take turns of `visit` rounds. All of
//! this follows from plan and settings alone. Ranks then share out the lanes: a rank trains the blocks of its lanes, in whatever
//! group, and holds no others. So a run is the same on any number of ranks up to that of lanes.

use crate::exchange::TreeSum;
use crate::{Error, Result};

/// The groups of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deal {
    /// For each group the number, in the plan, of the block of each lane.
    groups: Vec<Vec<usize>>,
    /// Steps of each block, and how many a group takes before it is the next one's turn.
    steps: u64,
    visit: u64,
}

/// Whose turn a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Of the groups.
    pub group: usize,
    /// Steps that each of its blocks has taken before.
    pub done: u64,
}

impl Deal {
    /// Puts blocks that take about as long, by their `work`, into groups of at most `together`, all of about the same size.
    pub fn new(work: &[usize], together: usize, steps: u64, visit: u64) -> Self {
        let blocks = work.len();
        let mut order: Vec<usize> = (0..blocks).collect();
        let count = blocks.div_ceil(together.max(1)).max(1);
        if count < blocks {
            // Stable, so that everybody gets the same.
            order.sort_by_key(|&block| std::cmp::Reverse(work[block]));
        }
        let group = |number: usize| {
            let mut lanes = order[number * blocks / count..(number + 1) * blocks / count].to_vec();
            // The first lanes hold the largest block of one group and the smallest of the next.
            if number % 2 == 1 {
                lanes.reverse();
            }
            lanes
        };
        let mut groups: Vec<Vec<usize>> = (0..count).map(group).collect();
        // The first has a block for every lane.
        groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
        Self { groups, steps, visit }
    }

    /// How many blocks take a step at the same time, at most.
    pub fn lanes(&self) -> usize {
        self.groups[0].len()
    }

    /// The blocks of a group, by lane.
    pub fn group(&self, group: usize) -> &[usize] {
        &self.groups[group]
    }

    /// How many rounds there are.
    pub fn rounds(&self) -> u64 {
        self.steps * self.groups.len() as u64
    }

    /// Whose turn a round is. What is left of the steps at the end makes a shorter visit.
    pub fn turn(&self, round: u64) -> Turn {
        let (visit, groups) = (self.visit, self.groups.len() as u64);
        let visits = self.steps / visit;
        let whole = visits * visit * groups;
        if round < whole {
            let group = round / visit % groups;
            return Turn { group: group as usize, done: round / (visit * groups) * visit + round % visit };
        }
        let rest = self.steps - visits * visit;
        Turn { group: ((round - whole) / rest) as usize, done: visits * visit + (round - whole) % rest }
    }

    /// The lane of a block.
    pub fn lane(&self, block: usize) -> usize {
        self.groups.iter().find_map(|group| group.iter().position(|&other| other == block)).unwrap_or_default()
    }

    /// Whose lane it is, of `ranks`. Those of a rank lie side by side.
    pub fn rank(&self, lane: usize, ranks: usize) -> usize {
        lane * ranks / self.lanes()
    }

    /// The blocks of a rank, ascending.
    pub fn blocks_of(&self, rank: usize, ranks: usize) -> Vec<usize> {
        let of_rank = |group: &'_ Vec<usize>| -> Vec<usize> {
            let lanes = group.iter().enumerate();
            lanes.filter(|(lane, _)| self.rank(*lane, ranks) == rank).map(|(_, block)| *block).collect()
        };
        let mut blocks: Vec<usize> = self.groups.iter().flat_map(of_rank).collect();
        blocks.sort_unstable();
        blocks
    }

    /// The most parts of a sum over the lanes of a group that one of `ranks` is left with.
    pub fn most_parts(&self, ranks: usize) -> usize {
        let of = |lanes: usize, rank: usize| {
            let mut sum = TreeSum::new(lanes);
            (0..lanes).filter(|lane| self.rank(*lane, ranks) == rank).for_each(|lane| sum.add(lane, Vec::new()));
            sum.parts().len()
        };
        let all = self.groups.iter().flat_map(|group| (0..ranks).map(|rank| of(group.len(), rank)));
        all.max().unwrap_or_default().max(1)
    }

    /// Whether every one of `ranks` has a lane.
    ///
    /// # Errors
    /// When there are more ranks than lanes.
    pub fn check(&self, ranks: usize) -> Result<()> {
        let lanes = self.lanes();
        if ranks <= lanes {
            return Ok(());
        }
        Err(Error::setting(format!(
            "{ranks} processes are too many where {lanes} blocks take a step at the same time; start at most {lanes}, or begin the run \
             with more blocks (--blocks) and --set together={ranks}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_takes_its_steps_in_turn() {
        for (steps, visit, blocks, together) in
            [(25, 10, 3, 1), (30, 10, 4, 1), (3, 10, 2, 1), (7, 1, 1, 1), (25, 10, 9, 4), (8, 3, 5, 8)]
        {
            let deal = Deal::new(&vec![1; blocks], together, steps, visit);
            let mut taken = vec![0; blocks];
            for round in 0..deal.rounds() {
                let Turn { group, done } = deal.turn(round);
                assert!(deal.group(group).len() <= together);
                for &block in deal.group(group) {
                    assert_eq!(taken[block], done, "block {block} of {blocks} in round {round}");
                    taken[block] += 1;
                }
            }
            assert_eq!(taken, vec![steps; blocks], "{steps} steps, {visit} at a time, {together} together");
            let turns: Vec<usize> = (0..deal.rounds()).map(|round| deal.turn(round).group).collect();
            let is_short = |visits: &[usize]| visits.len() as u64 <= visit.max(steps % visit) || deal.groups.len() == 1;
            assert!(turns.chunk_by(|a, b| a == b).all(is_short));
        }
    }

    #[test]
    fn ranks_share_all_blocks_and_hold_about_the_same() {
        let work: Vec<usize> = (0..64).map(|block| (block * 37) % 64).collect();
        let deal = Deal::new(&work, 4, 10, 5);
        assert_eq!(deal.lanes(), 4);
        assert!(deal.check(4).is_ok() && deal.check(5).is_err());
        for ranks in 1..=4 {
            let mut all: Vec<usize> = (0..ranks).flat_map(|rank| deal.blocks_of(rank, ranks)).collect();
            all.sort_unstable();
            assert_eq!(all, (0..64).collect::<Vec<_>>());
        }
        // Three lanes of one rank are a branch and a summand; those of four ranks are a summand each.
        assert_eq!([1, 2, 4].map(|ranks| deal.most_parts(ranks)), [1, 1, 1]);
        assert_eq!([1, 2].map(|ranks| Deal::new(&[1; 6], 6, 1, 1).most_parts(ranks)), [1, 2]);
        let of_rank = |rank| deal.blocks_of(rank, 4).iter().map(|&block| work[block]).sum::<usize>();
        let sums: Vec<usize> = (0..4).map(of_rank).collect();
        assert!(sums.iter().max().zip(sums.iter().min()).is_some_and(|(most, least)| most - least < 40), "{sums:?}");
        // Nine blocks in groups of three, not of four, four and one.
        assert_eq!(Deal::new(&[1; 9], 4, 1, 1).groups, [vec![0, 1, 2], vec![5, 4, 3], vec![6, 7, 8]]);
        // One at a time they take turns as they lie in the plan.
        assert_eq!(Deal::new(&[1, 5, 3], 1, 1, 1).groups, [[0], [1], [2]]);
    }
}
