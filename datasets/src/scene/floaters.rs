//! Floaters: splats in the air that belong to no surface, which reconstructions leave behind.
//!
//! Scenes are dense at the subject and sparse behind it, so nothing here has a threshold in world units: a splat is judged
//! by its surroundings. With `d` the distance of a splat to its 8th nearest neighbour and `σ` its largest standard
//! deviation, there are two kinds.
//!
//! - **Haze.** A splat that is more than `size` times as large as the median of its neighbours, and no more opaque than
//!   `opacity`, dims what is behind it and shows nothing of its own. It links nothing.
//! - **Islands.** Neighbours belong together when they are no farther apart than `LINK (σ₁ + σ₂)`. A surface whose splats
//!   cover it is one large group, and so is a background of few but large splats. A small group (`island` members at most)
//!   floats when the gap to the nearest splats of large groups is more than `gap` times the spacing there, the median of
//!   `max(d, σ)`. An island of one or two is called *isolated*, a larger one a *cluster*.
//!
//! The strength moves all four limits together; [`Limits::of`] has the numbers.

use super::nearest::{NearestPoints, Neighbour};
use rayon::prelude::*;
use serde::Serialize;

/// Neighbours by which a splat is judged.
const NEIGHBOURS: usize = 8;
/// Members of the largest island; what has more supports others.
const LARGEST_ISLAND: u32 = 48;
/// How many standard deviations reach from a splat to one that it belongs to.
const LINK: f32 = 3.0;
/// The most members of what is called isolated.
const ISOLATED: u32 = 2;
/// A scene with fewer splats has no surroundings to speak of.
const FEWEST: usize = 128;
/// Splats that one thread looks at.
const PIECE: usize = 256;

/// Why a splat is a floater.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloaterReason {
    /// Alone in the air, or with one other.
    Isolated,
    /// In a small group in the air.
    Cluster,
    /// Large and faint among small ones.
    Haze,
}

/// What was found in a scene.
#[derive(Clone, Debug)]
pub struct Floaters {
    reasons: Vec<Option<FloaterReason>>,
    report: FloaterReport,
}

/// How much was found, and why.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FloaterReport {
    /// From 0 (only what is beyond doubt) to 1.
    pub strength: f32,
    /// Splats that were examined.
    pub examined: u64,
    /// Floaters among them.
    pub floaters: u64,
    /// Floaters alone in the air.
    pub isolated: u64,
    /// Floaters in small groups.
    pub in_clusters: u64,
    /// Such groups.
    pub clusters: u64,
    /// Large and faint floaters.
    pub haze: u64,
    /// What the floaters cover of the total of opacity times area, from 0 to 1.
    pub share_of_cover: f64,
}

impl Floaters {
    /// Whether the splat with this index is one.
    pub fn is_floater(&self, i: usize) -> bool {
        self.reason(i).is_some()
    }

    /// Why the splat with this index is one.
    pub fn reason(&self, i: usize) -> Option<FloaterReason> {
        self.reasons.get(i).copied().flatten()
    }

    /// How much was found.
    pub fn report(&self) -> FloaterReport {
        self.report
    }
}

/// What separates floaters from the rest.
struct Limits {
    island: u32,
    gap: f32,
    size: f32,
    opacity: f32,
}

impl Limits {
    /// At strengths 0, ½ and 1: islands of up to 8, 20 and 48 splats; gaps of 10, 5 and 2.5 spacings; 20, 10 and 5 times
    /// as large as their neighbours; opacities of 0.03, 0.1 and 0.3.
    fn of(strength: f32) -> Self {
        let strength = strength.clamp(0.0, 1.0);
        let between = |weak: f32, strong: f32| weak * (strong / weak).powf(strength);
        Self {
            island: between(8.0, LARGEST_ISLAND as f32).round() as u32,
            gap: between(10.0, 2.5),
            size: between(20.0, 5.0),
            opacity: between(0.03, 0.3),
        }
    }
}

/// Finds floaters among splats by their means, logarithms of scales and opacity logits (`[N]` each), with a strength from
/// 0 to 1; ½ is a good start. Nothing is found in scenes of less than 128 splats.
///
/// The result is the same for any number of threads. Some 90 bytes per splat are needed beside the arguments.
///
/// # Panics
/// When the arrays differ in length, or there are 2³² - 1 splats or more.
pub fn find_floaters(means: &[[f32; 3]], log_scales: &[[f32; 3]], opacity_logits: &[f32], strength: f32) -> Floaters {
    assert!(means.len() == log_scales.len() && means.len() == opacity_logits.len(), "arrays agree in length");
    let limits = Limits::of(strength);
    let mut reasons = vec![None; means.len()];
    let mut clusters = 0;
    if means.len() >= FEWEST {
        let tree = NearestPoints::new(means);
        let scene = Surroundings::new(&tree, log_scales);
        // Who links and supports others does not depend on the strength, so that a stronger search finds all that a weaker
        // one does.
        let groups = Groups::new(&scene, &haze(&scene, opacity_logits, &Limits::of(1.0)));
        clusters = mark_islands(&scene, means, &groups, &limits, &mut reasons);
        let haze = haze(&scene, opacity_logits, &limits);
        for (slot, _) in haze.iter().enumerate().filter(|(_, is_haze)| **is_haze) {
            reasons[tree.order()[slot] as usize] = Some(FloaterReason::Haze);
        }
    }
    let report = report(&reasons, log_scales, opacity_logits, strength, clusters);
    Floaters { reasons, report }
}

/// Who is near whom, by slots of the tree.
struct Surroundings<'a> {
    tree: &'a NearestPoints,
    neighbours: Vec<[Neighbour; NEIGHBOURS]>,
    /// Largest standard deviation.
    sizes: Vec<f32>,
}

impl<'a> Surroundings<'a> {
    fn new(tree: &'a NearestPoints, log_scales: &[[f32; 3]]) -> Self {
        let order = tree.order();
        let slots = (0..order.len()).into_par_iter().with_min_len(PIECE);
        Self {
            tree,
            neighbours: slots.map(|slot| tree.nearest(slot)).collect(),
            sizes: order.par_iter().map(|&i| largest(&log_scales[i as usize])).collect(),
        }
    }

    /// How far apart things are around a slot.
    fn spacing(&self, slot: usize) -> f32 {
        let (squared, _) = self.neighbours[slot][NEIGHBOURS - 1];
        squared.sqrt().max(self.sizes[slot])
    }

    fn are_linked(&self, slot: usize, &(squared, other): &Neighbour) -> bool {
        self.sizes.get(other as usize).is_some_and(|size| squared.sqrt() <= LINK * (self.sizes[slot] + size))
    }
}

fn largest(log_scales: &[f32; 3]) -> f32 {
    log_scales.iter().copied().fold(f32::NEG_INFINITY, f32::max).exp()
}

/// Slots that are linked, directly or through others.
struct Groups {
    /// By slot, its group: the lowest slot in it.
    group: Vec<u32>,
    /// By group, its number of members; 0 of haze.
    members: Vec<u32>,
}

impl Groups {
    fn new(scene: &Surroundings<'_>, haze: &[bool]) -> Self {
        let n = scene.sizes.len();
        let mut group: Vec<u32> = (0..n as u32).collect();
        for slot in (0..n).filter(|&slot| !haze[slot]) {
            let linked = scene.neighbours[slot].iter().filter(|neighbour| scene.are_linked(slot, neighbour));
            for neighbour in linked.filter(|(_, other)| !haze[*other as usize]) {
                let [a, b] = [root(&mut group, slot as u32), root(&mut group, neighbour.1)];
                group[a.max(b) as usize] = a.min(b);
            }
        }
        let mut members = vec![0; n];
        for slot in (0..n as u32).filter(|&slot| !haze[slot as usize]) {
            let of = root(&mut group, slot);
            group[slot as usize] = of;
            members[of as usize] += 1;
        }
        Self { group, members }
    }

    fn size_of(&self, slot: usize) -> u32 {
        self.members[self.group[slot] as usize]
    }
}

fn root(group: &mut [u32], mut slot: u32) -> u32 {
    while group[slot as usize] != slot {
        // Halving the way keeps it short for those who come later.
        let above = group[group[slot as usize] as usize];
        group[slot as usize] = above;
        slot = above;
    }
    slot
}

/// Marks the members of all islands in the air, and says how many of these were clusters.
fn mark_islands(
    scene: &Surroundings<'_>,
    means: &[[f32; 3]],
    groups: &Groups,
    limits: &Limits,
    reasons: &mut [Option<FloaterReason>],
) -> u64 {
    let is_candidate = |&slot: &u32| (1..=limits.island).contains(&groups.size_of(slot as usize));
    let candidates: Vec<u32> = (0..groups.group.len() as u32).filter(is_candidate).collect();
    let supported = Supported::new(scene, groups, means);
    let place = |slot: u32| means[scene.tree.order()[slot as usize] as usize];
    let gap = |&slot: &u32| (groups.group[slot as usize], supported.gap(place(slot)));
    let mut gaps: Vec<(u32, f32)> = candidates.par_iter().with_min_len(PIECE).map(gap).collect();
    // By group, the member that is nearest to the rest decides.
    gaps.par_sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    gaps.dedup_by_key(|(group, _)| *group);
    let floats =
        |group: u32| gaps.binary_search_by_key(&group, |(group, _)| *group).is_ok_and(|at| gaps[at].1 > limits.gap);
    let mut clusters = 0;
    for slot in candidates {
        let group = groups.group[slot as usize];
        if floats(group) {
            let is_isolated = groups.size_of(slot as usize) <= ISOLATED;
            let reason = if is_isolated { FloaterReason::Isolated } else { FloaterReason::Cluster };
            reasons[scene.tree.order()[slot as usize] as usize] = Some(reason);
            clusters += u64::from(!is_isolated && group == slot);
        }
    }
    clusters
}

/// The splats of large groups.
struct Supported {
    tree: NearestPoints,
    /// By slot of that tree, how far apart things are there.
    spacings: Vec<f32>,
}

impl Supported {
    fn new(scene: &Surroundings<'_>, groups: &Groups, means: &[[f32; 3]]) -> Self {
        let slots: Vec<usize> = (0..groups.group.len()).filter(|&slot| groups.size_of(slot) > LARGEST_ISLAND).collect();
        let order = scene.tree.order();
        let places: Vec<[f32; 3]> = slots.iter().map(|&slot| means[order[slot] as usize]).collect();
        let tree = NearestPoints::new(&places);
        let spacings = tree.order().iter().map(|&i| scene.spacing(slots[i as usize])).collect();
        Self { tree, spacings }
    }

    /// How far a place is from large groups, in spacings there; 0 without any.
    fn gap(&self, place: [f32; 3]) -> f32 {
        let nearest: [Neighbour; NEIGHBOURS] = self.tree.nearest_to(place);
        let mut spacings = nearest.map(|(_, slot)| self.spacings.get(slot as usize).copied().unwrap_or(f32::INFINITY));
        spacings.sort_unstable_by(f32::total_cmp);
        let spacing = spacings[NEIGHBOURS / 2];
        if spacing.is_finite() { nearest[0].0.sqrt() / spacing } else { 0.0 }
    }
}

/// By slot, whether it is large and faint among small ones.
fn haze(scene: &Surroundings<'_>, opacity_logits: &[f32], limits: &Limits) -> Vec<bool> {
    let is_haze = |slot: usize| {
        let mut sizes =
            scene.neighbours[slot].map(|(_, other)| scene.sizes.get(other as usize).copied().unwrap_or(f32::INFINITY));
        sizes.sort_unstable_by(f32::total_cmp);
        let index = scene.tree.order()[slot] as usize;
        scene.sizes[slot] > limits.size * sizes[NEIGHBOURS / 2] && opacity(opacity_logits[index]) <= limits.opacity
    };
    (0..scene.sizes.len()).into_par_iter().with_min_len(PIECE).map(is_haze).collect()
}

fn opacity(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

fn report(
    reasons: &[Option<FloaterReason>],
    log_scales: &[[f32; 3]],
    opacity_logits: &[f32],
    strength: f32,
    clusters: u64,
) -> FloaterReport {
    let count = |reason| reasons.iter().filter(|r| **r == Some(reason)).count() as u64;
    let [isolated, in_clusters, haze] =
        [FloaterReason::Isolated, FloaterReason::Cluster, FloaterReason::Haze].map(count);
    // Opacity times the mean area over all directions.
    let cover = |i: usize| {
        let [a, b, c] = log_scales[i].map(|s| f64::from(s.clamp(-20.0, 20.0)).exp().powi(2));
        f64::from(opacity(opacity_logits[i])) * ((a * b + b * c + a * c) / 3.0).sqrt()
    };
    let (mut gone, mut total) = (0.0, 0.0);
    for (i, reason) in reasons.iter().enumerate() {
        let cover = cover(i);
        total += cover;
        gone += if reason.is_some() { cover } else { 0.0 };
    }
    FloaterReport {
        strength,
        examined: reasons.len() as u64,
        floaters: isolated + in_clusters + haze,
        isolated,
        in_clusters,
        clusters,
        haze,
        share_of_cover: if total > 0.0 { gone / total } else { 0.0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::stream::collect;
    use crate::scene::SplatCloud;
    use crate::synthetic::{Options, SceneKind, splats};
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    use std::sync::LazyLock;

    const SPLATS: usize = 20_000;

    const KINDS: [SceneKind; 3] = [SceneKind::StillLife, SceneKind::Room, SceneKind::Terrain];

    /// A made scene; making one takes a second, so all tests share them.
    fn made(kind: SceneKind) -> SplatCloud {
        static SCENES: LazyLock<[SplatCloud; 3]> = LazyLock::new(|| {
            KINDS.map(|kind| {
                let mut source = splats(kind, &Options::default(), SPLATS as u64, 0, &|_, _| {}).expect("splats");
                collect(&mut source).expect("nothing can fail")
            })
        });
        SCENES[KINDS.iter().position(|k| *k == kind).expect("one of them")].clone()
    }

    fn found_in(cloud: &SplatCloud, strength: f32) -> Floaters {
        find_floaters(&cloud.means, &cloud.log_scales, &cloud.opacity_logits, strength)
    }

    fn push(cloud: &mut SplatCloud, mean: [f32; 3], size: f32, opacity: f32) {
        cloud.means.push(mean);
        cloud.log_scales.push([size.ln(), size.ln() - 0.3, size.ln() - 0.7]);
        cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
        cloud.opacity_logits.push((opacity / (1.0 - opacity)).ln());
        cloud.sh0.push([0.0; 3]);
    }

    /// Adds blobs alone and in clusters, and haze, where no surface is near; returns how many.
    fn litter(cloud: &mut SplatCloud, rng: &mut StdRng) -> usize {
        let tree = NearestPoints::new(&cloud.means);
        let mut spacings: Vec<f32> =
            (0..SPLATS).map(|slot| tree.nearest::<NEIGHBOURS>(slot)[NEIGHBOURS - 1].0.sqrt()).collect();
        spacings.sort_unstable_by(f32::total_cmp);
        let spacing = spacings[SPLATS / 2];
        let places = cloud.means.clone();
        let far = |p: [f32; 3], least: f32| {
            places.iter().all(|q| (0..3).map(|k| (p[k] - q[k]).powi(2)).sum::<f32>() > least * least)
        };
        // In the air: between two of the scene's points, or somewhat off, as over a terrain there is no between.
        let in_the_air = |rng: &mut StdRng, least: f32| loop {
            let [a, b] = [0, 1].map(|_| places[rng.random_range(0..places.len())]);
            let t = rng.random_range(0.2..0.8);
            let p = [0, 1, 2].map(|k| a[k] + t * (b[k] - a[k]) + spacing * rng.random_range(-16.0..16.0));
            if far(p, least) {
                break p;
            }
        };
        // Several clusters that touch would be more than an island. What keeps away from them gives way where there is no room.
        let mut centres: Vec<[f32; 3]> = Vec::new();
        let apart = |rng: &mut StdRng, least: f32, gap: f32, centres: &[[f32; 3]]| {
            let mut gap = gap;
            loop {
                let p = in_the_air(rng, least);
                let is_free = |c: &[f32; 3]| (0..3).map(|k| (p[k] - c[k]).powi(2)).sum::<f32>() > gap * gap;
                if centres.iter().all(is_free) {
                    break p;
                }
                gap *= 0.98;
            }
        };
        for _ in 0..10 {
            let centre = apart(rng, 11.0 * spacing, 12.0 * spacing, &centres);
            centres.push(centre);
        }
        for _ in 0..100 {
            let (size, opacity) = (spacing * rng.random_range(0.2..0.6), rng.random_range(0.05..0.95));
            push(cloud, apart(rng, 8.0 * spacing, 6.0 * spacing, &centres), size, opacity);
        }
        for centre in centres {
            for _ in 0..12 {
                let mean = centre.map(|c| c + spacing * rng.random_range(-0.7..0.7));
                push(cloud, mean, spacing * rng.random_range(0.3..0.8), rng.random_range(0.2..0.9));
            }
        }
        // Before a surface: where all around is as large, nothing is haze.
        for _ in 0..50 {
            let (size, opacity) = (spacing * rng.random_range(8.0..16.0), rng.random_range(0.01..0.09));
            let place = loop {
                let p = in_the_air(rng, 2.0 * spacing);
                if !far(p, 5.0 * spacing) {
                    break p;
                }
            };
            push(cloud, place, size, opacity);
        }
        cloud.len() - SPLATS
    }

    #[test]
    fn a_scene_without_floaters_loses_nothing() {
        for kind in KINDS {
            let cloud = made(kind);
            for strength in [0.0, 0.5, 1.0] {
                let report = found_in(&cloud, strength).report();
                assert_eq!(report.floaters, 0, "{kind} at {strength}: {report:?}");
            }
        }
    }

    #[test]
    fn floaters_are_found_and_surfaces_stay() {
        let seed = tessera_test_seed::test_seed();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        for kind in KINDS {
            let mut cloud = made(kind);
            let littered = litter(&mut cloud, &mut rng);
            let found = found_in(&cloud, 0.5);
            let hits = (SPLATS..cloud.len()).filter(|&i| found.is_floater(i)).count();
            let misses = (0..SPLATS).filter(|&i| found.is_floater(i)).count();
            println!("{kind}: recall {hits} of {littered}, {misses} of the surface; {:?}", found.report());
            // Of the surface, only a splat that litter happens to surround could be taken for one.
            assert!(hits * 100 >= littered * 95 && misses * 1000 <= littered, "{kind}: {hits} of {littered}, {misses}");
            let report = found.report();
            assert_eq!(report.floaters, (hits + misses) as u64);
            // Blobs that were to be alone may lie near each other.
            assert!(report.isolated >= 50 && report.in_clusters >= 110 && report.haze >= 45, "{report:?}");
        }
    }

    #[test]
    fn a_stronger_search_finds_more_of_the_same() {
        let mut cloud = made(SceneKind::StillLife);
        litter(&mut cloud, &mut StdRng::seed_from_u64(1));
        let found = [0.0, 0.25, 0.5, 0.75, 1.0].map(|strength| found_in(&cloud, strength));
        for pair in found.windows(2) {
            assert!(pair[0].report().floaters <= pair[1].report().floaters);
            let lost = (0..cloud.len()).filter(|&i| pair[0].is_floater(i) && !pair[1].is_floater(i)).count();
            assert_eq!(lost, 0, "a stronger search lost floaters");
        }
    }

    #[test]
    fn a_sparse_background_stays() {
        let seed = tessera_test_seed::test_seed();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let mut cloud = made(SceneKind::StillLife);
        let radius = 30.0;
        // 600 on a sphere: 4π radius² / 600 is the area of each, as large as they must be to cover it.
        let size = radius * (4.0 * std::f32::consts::PI / 600.0).sqrt();
        for _ in 0..600 {
            let (direction, length) = loop {
                let direction: [f32; 3] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
                let length = direction.iter().map(|v| v * v).sum::<f32>().sqrt();
                if length > 0.1 {
                    break (direction, length);
                }
            };
            push(&mut cloud, direction.map(|v| radius * v / length), size * rng.random_range(0.5..1.0), 0.6);
        }
        for strength in [0.0, 0.5, 1.0] {
            let found = found_in(&cloud, strength).report();
            assert_eq!(found.floaters, 0, "{found:?}");
        }
    }

    #[test]
    fn small_and_strange_scenes_are_left_alone() {
        assert_eq!(find_floaters(&[], &[], &[], 1.0).report().floaters, 0);
        let n = 300;
        let one_place = find_floaters(&vec![[1.0; 3]; n], &vec![[-3.0; 3]; n], &vec![1.0; n], 1.0);
        assert_eq!(one_place.report().floaters, 0);
        let huge: Vec<[f32; 3]> = (0..n).map(|i| [f32::MAX * (i as f32 / n as f32), 0.0, -f32::MAX]).collect();
        let found = find_floaters(&huge, &vec![[200.0; 3]; n], &vec![-200.0; n], 1.0);
        assert!(found.report().share_of_cover.is_finite());
    }
}
