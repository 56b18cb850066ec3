//! Which splats become one: rounds of merging the cheapest pairs of neighbours.

use super::gaussian::Gaussian;
use super::merge;
use crate::scene::nearest::{NOBODY, NearestPoints};
use crate::scene::{SplatCloud, Y0};
use rayon::prelude::*;

/// With how many neighbours a splat may merge. Twice as many are within 0.3 dB and take twice as long.
const NEIGHBOURS: usize = 10;
/// The largest share of all groups that merges in a round, before costs are computed anew.
const SHARE: f64 = 0.15;
/// Splats that one thread takes at a time.
const PIECE: usize = 256;

type Neighbours = [u32; NEIGHBOURS];

/// Groups of splats, in the order of their first members.
pub(super) struct Clusters {
    members: Vec<u32>,
    starts: Vec<u32>,
    /// By group, [`Gaussian::shown`].
    shown: Vec<(f32, f32)>,
}

impl Clusters {
    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.shown.len()
    }

    /// The splats of a group, ascending.
    pub(super) fn members(&self, cluster: usize) -> &[u32] {
        &self.members[self.starts[cluster] as usize..self.starts[cluster + 1] as usize]
    }

    /// The opacity of a merged Gaussian that covers what its members cover together, and by what factor its covariance exceeds
    /// theirs for that.
    pub(super) fn shown(&self, cluster: usize) -> (f32, f32) {
        self.shown[cluster]
    }
}

/// Groups the cloud's splats into exactly `count`, which is at least 1 and less than there are.
pub(super) fn find(cloud: &SplatCloud, count: usize) -> Clusters {
    let kept = without_invisible(cloud, count);
    let mut groups = Groups {
        gaussians: kept.par_iter().map(|&i| gaussian(cloud, i as usize)).collect(),
        first: kept.clone(),
        joined: (0..cloud.len() as u32).collect(),
    };
    // Lists of neighbours become worse as groups grow, so they are made anew now and then.
    while groups.gaussians.len() > count {
        let target = count.max(groups.gaussians.len() / 2);
        Round::new(&mut groups).merge_down_to(target);
    }
    groups.into_clusters(kept)
}

/// All splats but those that are never drawn, as far as `count` allows dropping them; the most transparent go first.
fn without_invisible(cloud: &SplatCloud, count: usize) -> Vec<u32> {
    const INVISIBLE: f64 = 1.0 / 255.0;
    let opacity = |i: u32| merge::opacity(cloud.opacity_logits[i as usize]);
    let (mut invisible, mut kept): (Vec<u32>, Vec<u32>) =
        (0..cloud.len() as u32).partition(|&i| opacity(i) < INVISIBLE);
    let surplus = invisible.len().saturating_sub(cloud.len() - count);
    if surplus > 0 {
        invisible.sort_by(|&a, &b| opacity(b).total_cmp(&opacity(a)));
        kept.extend_from_slice(&invisible[..surplus]);
        kept.sort_unstable();
    }
    kept
}

fn gaussian(cloud: &SplatCloud, i: usize) -> Gaussian {
    let c = merge::covariance(cloud, i).cast::<f32>();
    let covariance = [c[(0, 0)], c[(0, 1)], c[(0, 2)], c[(1, 1)], c[(1, 2)], c[(2, 2)]];
    let opacity = merge::opacity(cloud.opacity_logits[i]) as f32;
    Gaussian::new(cloud.means[i], covariance, opacity, cloud.sh0[i].map(|c| c * Y0 as f32))
}

/// The groups so far, in any order.
struct Groups {
    gaussians: Vec<Gaussian>,
    /// A member of each, which stands for the group.
    first: Vec<u32>,
    /// By splat, towards the one that stands for its group.
    joined: Vec<u32>,
}

impl Groups {
    fn into_clusters(self, kept: Vec<u32>) -> Clusters {
        // Groups are known by their smallest member from here on.
        let mut smallest = vec![u32::MAX; self.joined.len()];
        let mut members: Vec<(u32, u32)> = kept.into_par_iter().map(|i| (representative(&self.joined, i), i)).collect();
        members.iter().for_each(|&(group, i)| smallest[group as usize] = smallest[group as usize].min(i));
        members.par_iter_mut().for_each(|(group, _)| *group = smallest[*group as usize]);
        members.par_sort_unstable();
        let mut shown: Vec<(u32, (f32, f32))> =
            self.first.iter().zip(&self.gaussians).map(|(&i, g)| (smallest[i as usize], g.shown())).collect();
        shown.par_sort_unstable_by_key(|&(group, _)| group);
        let mut starts: Vec<u32> = Vec::with_capacity(shown.len() + 1);
        starts
            .extend((0..members.len()).filter(|&at| at == 0 || members[at].0 != members[at - 1].0).map(|at| at as u32));
        starts.push(members.len() as u32);
        Clusters {
            members: members.into_iter().map(|(_, i)| i).collect(),
            starts,
            shown: shown.into_iter().map(|(_, shown)| shown).collect(),
        }
    }
}

/// Merging with one set of neighbours. Groups have slots, ordered in space.
struct Round<'a> {
    groups: &'a mut Groups,
    neighbours: Vec<Neighbours>,
    /// By slot, towards the slot that a group was merged into; its own while it is alive.
    into: Vec<u32>,
    /// The cheapest partner and the cost.
    best: Vec<(f32, u32)>,
    /// Whose best partner is to be found anew.
    stale: Vec<bool>,
}

impl<'a> Round<'a> {
    fn new(groups: &'a mut Groups) -> Self {
        let n = groups.gaussians.len();
        let tree = NearestPoints::new(&groups.gaussians.iter().map(|g| g.mean).collect::<Vec<_>>());
        groups.gaussians = tree.order().par_iter().map(|&i| groups.gaussians[i as usize]).collect();
        groups.first = tree.order().iter().map(|&i| groups.first[i as usize]).collect();
        let mut neighbours: Vec<Neighbours> = tree.all_nearest();
        for (slot, list) in neighbours.iter_mut().enumerate() {
            // Beyond what f32 can measure everything is infinitely far: the next in order will do.
            if list[0] == NOBODY {
                list[0] = (if slot + 1 < n { slot + 1 } else { slot - 1 }) as u32;
            }
        }
        Self {
            groups,
            neighbours,
            into: (0..n as u32).collect(),
            best: vec![(f32::MAX, NOBODY); n],
            stale: vec![true; n],
        }
    }

    /// Merges until `target` groups are left, or no group has a neighbour any more.
    fn merge_down_to(mut self, target: usize) {
        let mut alive = self.into.len();
        while alive > target {
            self.find_partners();
            let most = ((alive as f64 * SHARE) as usize).clamp(1, alive - target);
            let pairs = self.cheapest_pairs(most);
            if pairs.is_empty() {
                break;
            }
            alive -= pairs.len();
            self.merge(&pairs);
        }
        let Self { groups, into, .. } = self;
        let is_alive = |slot: usize| into[slot] == slot as u32;
        let slots: Vec<usize> = (0..into.len()).filter(|&slot| is_alive(slot)).collect();
        groups.gaussians = slots.iter().map(|&slot| groups.gaussians[slot]).collect();
        groups.first = slots.iter().map(|&slot| groups.first[slot]).collect();
    }

    fn find_partners(&mut self) {
        let Self { groups, neighbours, into, best, stale } = self;
        let gaussians = &groups.gaussians;
        best.par_iter_mut().enumerate().with_min_len(PIECE).for_each(|(slot, best)| {
            if !stale[slot] || into[slot] != slot as u32 {
                return;
            }
            let others = neighbours[slot].iter().filter(|&&other| other != NOBODY);
            let others = others.map(|&other| representative(into, other)).filter(|&other| other != slot as u32);
            let costs = others.map(|other| (gaussians[slot].cost(&gaussians[other as usize]), other));
            *best = costs.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).unwrap_or((f32::MAX, NOBODY));
        });
    }

    /// At most `most` disjoint pairs of slots, the cheapest of all that are proposed.
    fn cheapest_pairs(&mut self, most: usize) -> Vec<(u32, u32)> {
        let proposal = |slot: usize| {
            let (cost, other) = self.best[slot];
            let proposes = self.into[slot] == slot as u32 && other != NOBODY;
            // Costs are not negative, so their bits are in their order.
            proposes.then(|| (cost.to_bits(), other.min(slot as u32), other.max(slot as u32)))
        };
        let mut proposals: Vec<_> = (0..self.into.len()).into_par_iter().filter_map(proposal).collect();
        // A pair may be proposed from both sides.
        if 2 * most < proposals.len() {
            proposals.select_nth_unstable(2 * most);
            proposals.truncate(2 * most);
        }
        proposals.par_sort_unstable();
        self.stale.fill(false);
        let mut pairs = Vec::with_capacity(most);
        for (_, a, b) in proposals {
            if pairs.len() < most && !self.stale[a as usize] && !self.stale[b as usize] {
                self.stale[a as usize] = true;
                self.stale[b as usize] = true;
                pairs.push((a, b));
            }
        }
        pairs
    }

    /// Merges pairs, whose slots are marked as stale, into their first slots, and marks who had one as best partner.
    fn merge(&mut self, pairs: &[(u32, u32)]) {
        let merged: Vec<(Gaussian, Neighbours)> = pairs.par_iter().map(|&(a, b)| self.merged(a, b)).collect();
        for (&(a, b), (gaussian, neighbours)) in pairs.iter().zip(merged) {
            self.groups.gaussians[a as usize] = gaussian;
            self.neighbours[a as usize] = neighbours;
            self.into[b as usize] = a;
            self.groups.joined[self.groups.first[b as usize] as usize] = self.groups.first[a as usize];
        }
        let best = &self.best;
        let lost_partner = |slot: usize| best[slot].1 != NOBODY && self.stale[best[slot].1 as usize];
        let lost: Vec<bool> = (0..best.len()).into_par_iter().map(lost_partner).collect();
        self.stale.iter_mut().zip(lost).for_each(|(stale, lost)| *stale |= lost);
    }

    /// Two slots as one, with the nearest of the neighbours of both.
    fn merged(&self, a: u32, b: u32) -> (Gaussian, Neighbours) {
        let gaussians = &self.groups.gaussians;
        let merged = gaussians[a as usize].merged(&gaussians[b as usize]);
        let both = self.neighbours[a as usize].iter().chain(&self.neighbours[b as usize]);
        let mut slots: Vec<u32> = both
            .filter(|&&other| other != NOBODY)
            .map(|&other| representative(&self.into, other))
            .filter(|&other| other != a && other != b)
            .collect();
        slots.sort_unstable();
        slots.dedup();
        let distance = |slot: u32| -> f32 {
            let mean = gaussians[slot as usize].mean;
            (0..3).map(|k| (mean[k] - merged.mean[k]).powi(2)).sum()
        };
        let mut nearest: Vec<(f32, u32)> = slots.into_iter().map(|slot| (distance(slot), slot)).collect();
        nearest.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut neighbours = [NOBODY; NEIGHBOURS];
        neighbours.iter_mut().zip(nearest).for_each(|(neighbour, (_, slot))| *neighbour = slot);
        (merged, neighbours)
    }
}

/// Follows what was merged into what.
fn representative(into: &[u32], mut i: u32) -> u32 {
    while into[i as usize] != i {
        i = into[i as usize];
    }
    i
}
