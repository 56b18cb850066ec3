//! Which pages to draw, to fetch and to forget, as the view moves and pages arrive or fail.
//!
//! No files, network or clock here: whoever drives this asks [`PageStream::next_request`] for pages to fetch, tells it how
//! that went, and calls [`PageStream::update`] when the view has moved or a page has come. Threads and a browser's fetches
//! both do that, and tests do it step by step.
//!
//! What it keeps to:
//! - Every leaf is covered exactly once by the cut, unless pages above and below are lost. A node is replaced by its
//!   children only when all of them are there.
//! - The cut never has more splats than allowed, apart from the root's, or those of what stands for a root that is lost.
//! - While the view stands still the cut only becomes finer.
//! - A page that is there has its ancestors there, so that zooming out needs no fetching. Pages that the view has not needed
//!   for the longest time go first when room is needed.
//! - A page that fails is fetched again a few times, later and later, and is then lost and reported once. Its parent stays, or
//!   the pages below it take its place.

use super::cut::{Refined, refine, visit_cut};
use super::{CutLimits, LodView, TileTree};
use std::sync::Arc;

/// How much larger the error of a node that is refined already counts, so that small motions do not switch it to and fro.
const KEEP_REFINED: f64 = 1.15;
/// Seconds until the second attempt; each further one waits four times as long.
const RETRY_AFTER: f64 = 0.5;

/// Seconds until a page is asked for again that has failed so many times, at least once.
pub fn seconds_to_wait(failures: u32) -> f64 {
    RETRY_AFTER * 4f64.powi(failures as i32 - 1)
}

/// What a stream may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamLimits {
    /// Of what is drawn.
    pub cut: CutLimits,
    /// The most splats in pages that are there or on their way. Twice what is drawn suffices for every view.
    pub cached_splats: u64,
    /// The most pages that are on their way at a time.
    pub requests: usize,
    /// How often a page is asked for before it is lost.
    pub attempts: u32,
}

impl Default for StreamLimits {
    /// For a desktop computer: 2.5 million splats, errors of a pixel.
    fn default() -> Self {
        Self {
            cut: CutLimits { splats: 2_500_000, screen_error: 1.0 },
            cached_splats: 6_000_000,
            requests: 4,
            attempts: 4,
        }
    }
}

/// A page to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The node whose page it is.
    pub node: u32,
    /// 1 for the first time.
    pub attempt: u32,
}

/// A page that will not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamProblem {
    /// The node whose page it is.
    pub node: u32,
    /// Why the last attempt failed.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Absent { failures: u32, retry_at: f64 },
    Requested { failures: u32 },
    Resident,
    Lost,
}

impl State {
    const NEVER_ASKED: Self = Self::Absent { failures: 0, retry_at: f64::NEG_INFINITY };
}

/// The pages of a tree as they come and go.
#[derive(Debug)]
pub struct PageStream {
    tree: Arc<TileTree>,
    limits: StreamLimits,
    states: Vec<State>,
    /// The update in which a node was last needed.
    used: Vec<u64>,
    updates: u64,
    /// By node, of the last update: what the view deserves, refined whether or not pages are there.
    is_refined: Vec<bool>,
    /// The nodes that this needs, most important first.
    needed: Vec<u32>,
    cut: Vec<u32>,
    /// Splats in pages that are there or on their way.
    cached: u64,
    requested: usize,
    evicted: Vec<u32>,
    problems: Vec<StreamProblem>,
}

impl PageStream {
    /// Nothing is there yet, and nothing is wanted before the first update.
    pub fn new(tree: Arc<TileTree>, limits: StreamLimits) -> Self {
        let n = tree.len();
        Self {
            tree,
            limits,
            states: vec![State::NEVER_ASKED; n],
            used: vec![0; n],
            updates: 0,
            is_refined: vec![false; n],
            needed: Vec::new(),
            cut: Vec::new(),
            cached: 0,
            requested: 0,
            evicted: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The tree whose pages these are.
    pub fn tree(&self) -> &Arc<TileTree> {
        &self.tree
    }

    /// What may be used.
    pub fn limits(&self) -> &StreamLimits {
        &self.limits
    }

    /// Changes what may be used, from the next update on.
    pub fn set_limits(&mut self, limits: StreamLimits) {
        self.limits = limits;
    }

    /// Finds the cut for a view among the pages that are there: the nodes to draw, in the order of the tree.
    pub fn update(&mut self, view: &LodView) -> &[u32] {
        self.updates += 1;
        let Self { tree, states, is_refined, limits, .. } = &*self;
        let weight = |node: u32| if is_refined[node as usize] { KEEP_REFINED } else { 1.0 };
        let lost = |node: u32| states[node as usize] == State::Lost;
        let Refined { is_refined, needed } = refine(tree, view, &limits.cut, &weight, &lost);
        for &node in &needed {
            self.used[node as usize] = self.updates;
        }
        (self.is_refined, self.needed) = (is_refined, needed);
        self.find_cut();
        &self.cut
    }

    /// The nodes to draw, as [`Self::update`] found them.
    pub fn cut(&self) -> &[u32] {
        &self.cut
    }

    /// Splats in the cut.
    pub fn cut_splats(&self) -> u64 {
        self.cut.iter().map(|&node| u64::from(self.tree.node(node).splats)).sum()
    }

    /// Whether all that the last view needs is there, or lost.
    pub fn is_complete(&self) -> bool {
        self.needed.iter().all(|&node| matches!(self.states[node as usize], State::Resident | State::Lost))
    }

    /// How many pages the last view needs, and how many of them are there.
    pub fn progress(&self) -> (usize, usize) {
        let there = self.needed.iter().filter(|&&node| self.states[node as usize] == State::Resident).count();
        (self.needed.len(), there)
    }

    /// The page to fetch next, the most important one first; `None` when nothing is missing, too much is on its way, there is
    /// no room, or a failed page has to wait. `now` is in seconds and never goes back.
    pub fn next_request(&mut self, now: f64) -> Option<PageRequest> {
        if self.requested >= self.limits.requests {
            return None;
        }
        let ready = |&&node: &&u32| match self.states[node as usize] {
            State::Absent { retry_at, .. } => retry_at <= now && self.ancestors_are_settled(node),
            _ => false,
        };
        let node = *self.needed.iter().find(ready)?;
        let State::Absent { failures, .. } = self.states[node as usize] else { return None };
        let splats = u64::from(self.tree.node(node).splats);
        if !self.make_room(splats) && node != 0 {
            return None;
        }
        self.states[node as usize] = State::Requested { failures };
        self.requested += 1;
        self.cached += splats;
        Some(PageRequest { node, attempt: failures + 1 })
    }

    /// When the next failed page may be asked for again, in the seconds of `now`.
    pub fn next_retry(&self) -> Option<f64> {
        let retries = self.needed.iter().filter_map(|&node| match self.states[node as usize] {
            State::Absent { failures: 1.., retry_at } => Some(retry_at),
            _ => None,
        });
        retries.min_by(f64::total_cmp)
    }

    /// Whether a page on its way is still needed by the last view; if not, it may be given up by [`Self::cancelled`].
    pub fn is_needed(&self, node: u32) -> bool {
        self.used[node as usize] == self.updates
    }

    /// A requested page has come and can be drawn, from the next update on.
    pub fn arrived(&mut self, node: u32) {
        if let State::Requested { .. } = self.states[node as usize] {
            self.requested -= 1;
            self.states[node as usize] = State::Resident;
        }
    }

    /// A requested page was given up.
    pub fn cancelled(&mut self, node: u32) {
        if let State::Requested { failures } = self.states[node as usize] {
            self.forget(node);
            self.requested -= 1;
            self.states[node as usize] = State::Absent { failures, retry_at: f64::NEG_INFINITY };
        }
    }

    /// A requested page could not be fetched or read.
    pub fn failed(&mut self, node: u32, reason: impl Into<String>, now: f64) {
        let State::Requested { failures } = self.states[node as usize] else { return };
        let failures = failures + 1;
        self.forget(node);
        self.requested -= 1;
        if failures >= self.limits.attempts {
            self.states[node as usize] = State::Lost;
            self.problems.push(StreamProblem { node, reason: reason.into() });
        } else {
            self.states[node as usize] = State::Absent { failures, retry_at: now + seconds_to_wait(failures) };
        }
    }

    /// Gives lost and waiting pages a new chance, as when a connection is back.
    pub fn retry_all(&mut self) {
        for state in &mut self.states {
            if matches!(state, State::Lost | State::Absent { .. }) {
                *state = State::NEVER_ASKED;
            }
        }
    }

    /// The pages that are not kept any more, since this was asked last. They are not in the cut.
    pub fn take_evicted(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.evicted)
    }

    /// The pages that were lost since this was asked last.
    pub fn take_problems(&mut self) -> Vec<StreamProblem> {
        std::mem::take(&mut self.problems)
    }

    /// Whether a node's page is there.
    pub fn is_resident(&self, node: u32) -> bool {
        self.states[node as usize] == State::Resident
    }

    /// Splats in pages that are there or on their way.
    pub fn cached_splats(&self) -> u64 {
        self.cached
    }

    /// Replaces nodes by their children where the view wants it and all of them can be drawn.
    fn find_cut(&mut self) {
        // From the last node to the first, children come before their parents.
        let mut drawable = vec![false; self.tree.len()];
        for (i, node) in self.tree.nodes().iter().enumerate().rev() {
            let children = || node.children.clone().all(|child| drawable[child as usize]);
            drawable[i] = match self.states[i] {
                State::Resident => true,
                State::Lost => !node.is_leaf() && self.is_refined[i] && children(),
                _ => false,
            };
        }
        let splits = |node: u32| {
            let children = self.tree.node(node).children.clone();
            self.is_refined[node as usize]
                && (children.clone().all(|child| drawable[child as usize]) || self.states[node as usize] == State::Lost)
        };
        let mut cut = Vec::new();
        visit_cut(&self.tree, &splits, &mut |node| {
            if self.states[node as usize] == State::Resident {
                cut.push(node);
            }
        });
        cut.sort_unstable();
        self.cut = cut;
    }

    fn ancestors_are_settled(&self, node: u32) -> bool {
        self.tree
            .parent(node)
            .is_none_or(|parent| matches!(self.states[parent as usize], State::Resident | State::Lost))
    }

    /// Evicts pages that the view does not need until `splats` more fit.
    fn make_room(&mut self, splats: u64) -> bool {
        while self.cached + splats > self.limits.cached_splats {
            let evictable = |&node: &u32| {
                self.is_resident(node) && self.used[node as usize] < self.updates && !self.is_something_below(node)
            };
            // Of those that were used last at the same time, the finest goes.
            let nodes = (0..self.tree.len() as u32).filter(evictable);
            let Some(victim) = nodes.min_by_key(|&node| (self.used[node as usize], u32::MAX - node)) else {
                return false;
            };
            self.forget(victim);
            self.states[victim as usize] = State::NEVER_ASKED;
            self.evicted.push(victim);
        }
        true
    }

    /// Whether pages below a node are there or on their way.
    fn is_something_below(&self, node: u32) -> bool {
        let mut pending: Vec<u32> = self.tree.node(node).children.clone().collect();
        while let Some(node) = pending.pop() {
            match self.states[node as usize] {
                State::Resident | State::Requested { .. } => return true,
                State::Lost => pending.extend(self.tree.node(node).children.clone()),
                State::Absent { .. } => {}
            }
        }
        false
    }

    fn forget(&mut self, node: u32) {
        self.cached -= u64::from(self.tree.node(node).splats);
    }
}
