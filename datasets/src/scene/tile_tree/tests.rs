//! What trees, their building and their cuts promise.

use super::partition::is_permutation;
use super::*;
use crate::Result;
use crate::camera::Pose;
use crate::scene::SplatCloud;
use nalgebra::Vector3;
use proptest::prelude::*;
use std::sync::Mutex;

/// Round splats at these places.
fn cloud(places: &[[f32; 3]]) -> SplatCloud {
    let mut cloud = SplatCloud::with_capacity(places.len(), 0);
    for (i, place) in places.iter().enumerate() {
        cloud.means.push(*place);
        cloud.log_scales.push([-2.0 - (i % 3) as f32; 3]);
        cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
        cloud.opacity_logits.push(1.0);
        cloud.sh0.push([0.1 * (i % 7) as f32, 0.5, 0.0]);
    }
    cloud
}

/// A cloud in memory and the pages that are made of it.
struct Memory {
    cloud: SplatCloud,
    partition: Partition,
    pages: Mutex<Vec<Option<SplatCloud>>>,
}

impl Memory {
    fn new(cloud: SplatCloud, page_splats: usize) -> Self {
        let partition = partition(&cloud.means, page_splats);
        let pages = Mutex::new(vec![None; partition.nodes.len()]);
        Self { cloud, partition, pages }
    }

    fn build(&self) -> TileTree {
        build(&self.partition, self, self).expect("nothing fails")
    }

    fn page(&self, node: u32) -> SplatCloud {
        self.pages.lock().expect("pages")[node as usize].clone().expect("a page for every node")
    }
}

impl Leaves for Memory {
    fn leaf(&self, node: u32) -> Result<SplatCloud> {
        Ok(self.cloud.select(&self.partition.order[self.partition.nodes[node as usize].splats.clone()]))
    }
}

impl PageSink for Memory {
    fn page(&self, node: u32, splats: &SplatCloud) -> Result<()> {
        let before = self.pages.lock().expect("pages")[node as usize].replace(splats.clone());
        assert!(before.is_none(), "node {node} came twice");
        Ok(())
    }
}

fn places(n: usize) -> Vec<[f32; 3]> {
    let random = |i: usize| ((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1u64 << 24) as f32;
    (0..n).map(|i| [10.0 * random(3 * i), 4.0 * random(3 * i + 1), random(3 * i + 2)]).collect()
}

fn leaf(bounds: Bounds, splats: u32) -> TileNode {
    TileNode { bounds, error: 0.0, children: 0..0, splats }
}

/// Looking along z from `distance` before the origin, 1000 pixels wide and high.
fn view(distance: f64) -> LodView {
    LodView::new(&Pose::translation(0.0, 0.0, distance), [1000.0; 2], [1000.0; 2])
}

const UNIT: Bounds = Bounds { low: [-1.0; 3], high: [1.0; 3] };

/// Whether every leaf is below exactly one node of the cut.
pub(super) fn covers_every_leaf_once(tree: &TileTree, cut: &[u32]) -> bool {
    (0..tree.len() as u32).filter(|&i| tree.node(i).is_leaf()).all(|leaf| {
        let above = std::iter::successors(Some(leaf), |&node| tree.parent(node));
        above.filter(|node| cut.contains(node)).count() == 1
    })
}

#[test]
fn leaves_hold_the_scene_and_inner_nodes_a_quarter_of_what_is_below() {
    let memory = Memory::new(cloud(&places(5000)), 300);
    let tree = memory.build();
    assert_eq!(tree.leaf_splats(), 5000);
    let mut leaves = SplatCloud::with_capacity(0, 0);
    for (i, node) in tree.nodes().iter().enumerate() {
        let page = memory.page(i as u32);
        assert_eq!(page.len(), node.splats as usize);
        if node.is_leaf() {
            assert!(node.splats > 250, "leaf {i} has {} splats, and 300 fit", node.splats);
            leaves.append(&page);
        } else {
            let below: u32 = node.children.clone().map(|child| tree.node(child).splats).sum();
            assert_eq!(node.splats, below.div_ceil(4));
        }
    }
    assert!(leaves == memory.cloud.select(&memory.partition.order), "leaves hold something else");
}

#[test]
fn bounds_hold_everything_and_errors_grow_towards_the_root() {
    let memory = Memory::new(cloud(&places(5000)), 300);
    let tree = memory.build();
    for (i, node) in tree.nodes().iter().enumerate() {
        let around = Bounds::of_splats(&memory.page(i as u32));
        assert_eq!(node.bounds.joined(&around), node.bounds, "node {i}");
        for child in node.children.clone().map(|child| tree.node(child)) {
            assert_eq!(node.bounds.joined(&child.bounds), node.bounds);
            assert!(node.error >= child.error && node.error > 0.0);
        }
    }
}

#[test]
fn the_error_is_the_distance_by_which_merging_moved_what_is_shown() {
    // Squares of equal splats with sides of 2, far from each other: each splat ends √2 from where it was.
    let corners = [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]];
    let squares = (0..4).flat_map(|i| corners.map(|[x, y]| [100.0 * i as f32 + x, y, 0.0]));
    let mut cloud = cloud(&squares.collect::<Vec<_>>());
    cloud.log_scales.fill([0.0; 3]);
    cloud.sh0.fill([0.5; 3]);
    let memory = Memory::new(cloud, 4);
    let tree = memory.build();
    assert_eq!((tree.len(), tree.node(0).splats), (5, 4));
    assert!((tree.node(0).error - 2f32.sqrt()).abs() < 1e-3, "{}", tree.node(0).error);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let memory = Memory::new(cloud(&places(3000)), 100);
            let tree = memory.build();
            (tree, memory.pages.into_inner().expect("pages"))
        })
    };
    let one = with(1);
    assert!(one == with(2) && one == with(5));
}

#[test]
fn an_empty_scene_is_an_empty_root() {
    let memory = Memory::new(cloud(&[]), 10);
    let tree = memory.build();
    assert_eq!((tree.len(), tree.leaf_splats()), (1, 0));
    let all = CutLimits { splats: u64::MAX, screen_error: 0.0 };
    assert_eq!(cut(&tree, &view(3.0), &all), [0]);
}

#[test]
fn what_is_no_tree_is_refused_in_words() {
    let inner = |children: Range<u32>| TileNode { error: 1.0, children, ..leaf(UNIT, 1) };
    let refused = |nodes: Vec<TileNode>, part: &str| {
        let error = TileTree::new(nodes).expect_err(part);
        assert!(error.contains(part), "{error}");
    };
    refused(vec![], "has 0 nodes");
    refused(vec![inner(0..1)], "no tree at node 0");
    refused(vec![inner(1..3), inner(1..2), leaf(UNIT, 9)], "no tree at node 1");
    refused(vec![inner(1..3), leaf(UNIT, 9)], "no tree at node 0");
    refused(vec![inner(1..u32::MAX), leaf(UNIT, 9)], "no tree at node 0");
    refused(vec![leaf(UNIT, 9), leaf(UNIT, 9)], "belong to no other");
    refused(vec![leaf(UNIT, 65_537)], "65537 splats in a page");
    refused(vec![inner(1..2), leaf(UNIT, 0)], "fewer splats below node 0");
    refused(vec![leaf(Bounds { low: [0.0, 0.0, f32::NAN], ..UNIT }, 1)], "bounds at node 0");
    refused(vec![leaf(Bounds { low: [2.0; 3], ..UNIT }, 1)], "bounds at node 0");
    refused(vec![TileNode { error: f32::INFINITY, ..leaf(UNIT, 1) }], "error at node 0");
    refused(vec![TileNode { error: -1.0, ..leaf(UNIT, 1) }], "error at node 0");
    assert!(TileTree::new(vec![inner(1..2), leaf(UNIT, 1)]).is_ok());
}

#[test]
fn an_error_spans_as_many_pixels_as_similar_triangles_say() {
    let node = TileNode { error: 0.01, ..leaf(UNIT, 1) };
    // The nearest point of the box is 4 away: 0.01 1000 / 4.
    assert!((view(5.0).screen_error(&node) - 2.5).abs() < 1e-6);
    // Behind the camera it counts a tenth.
    assert!((view(-5.0).screen_error(&node) - 0.25).abs() < 1e-6);
    assert!(view(0.0).screen_error(&node).is_finite());
}

#[test]
fn a_box_is_seen_when_it_reaches_into_the_picture() {
    // 1000 pixels at a focal length of 1000 see |x|, |y| <= z / 2.
    let view = LodView::new(&Pose::identity(), [1000.0; 2], [1000.0; 2]);
    let at = |x: f32, z: f32| Bounds { low: [x - 1.0, -1.0, z - 1.0], high: [x + 1.0, 1.0, z + 1.0] };
    assert!(view.sees(&at(0.0, 5.0)) && view.sees(&at(3.9, 5.0)) && view.sees(&at(0.0, 0.0)));
    assert!(!view.sees(&at(4.1, 5.0)) && !view.sees(&at(-4.1, 5.0)) && !view.sees(&at(0.0, -5.0)));
    let turned = Pose::new(Vector3::zeros(), Vector3::new(0.0, std::f64::consts::PI, 0.0));
    assert!(LodView::new(&turned, [1000.0; 2], [1000.0; 2]).sees(&at(0.0, -5.0)));
}

#[test]
fn near_parts_are_refined_before_far_ones() {
    let memory = Memory::new(cloud(&places(6000)), 100);
    let tree = memory.build();
    // From the end at x = 0, along x.
    let turn = Vector3::new(0.0, -std::f64::consts::FRAC_PI_2, 0.0);
    let pose = Pose::new(Vector3::zeros(), turn) * Pose::translation(0.3, -2.0, -0.5);
    let view = LodView::new(&pose, [1000.0; 2], [1000.0; 2]);
    let cut = cut(&tree, &view, &CutLimits { splats: 2500, screen_error: 0.0 });
    let x = |node: &&u32| tree.node(**node).bounds.centre()[0];
    let mean = |leaves: bool| {
        let nodes: Vec<f64> = cut.iter().filter(|&&n| tree.node(n).is_leaf() == leaves).map(|n| x(&n)).collect();
        nodes.iter().sum::<f64>() / nodes.len() as f64
    };
    assert!(mean(true) + 2.0 < mean(false), "leaves at {}, inner nodes at {}", mean(true), mean(false));
}

proptest! {
    #[test]
    fn every_splat_is_in_one_leaf_and_leaves_are_full_where_they_can_be(
        places in prop::collection::vec(prop::array::uniform3(-9i8..9), 0..600),
        page in 1usize..90,
    ) {
        // Coarse places, so that many are the same.
        let means: Vec<[f32; 3]> = places.iter().map(|p| p.map(f32::from)).collect();
        let partition = partition(&means, page);
        prop_assert!(is_permutation(&partition.order));
        let leaves = partition.leaves();
        prop_assert_eq!(leaves.len(), means.len().div_ceil(page).max(1));
        let mut next = 0;
        for leaf in leaves {
            let splats = partition.nodes[leaf as usize].splats.clone();
            prop_assert!(splats.start == next && splats.len() <= page);
            next = splats.end;
        }
        prop_assert_eq!(next, means.len());
        let node = |n: &PartitionNode| TileNode {
            children: n.children.clone(),
            ..leaf(UNIT, if n.children.is_empty() { n.splats.len() as u32 } else { 0 })
        };
        prop_assert!(TileTree::new(partition.nodes.iter().map(node).collect()).is_ok());
        for (i, of) in partition.leaf_of_splats().into_iter().enumerate() {
            let splats = &partition.nodes[partition.leaves()[of as usize] as usize].splats;
            prop_assert!(partition.order[splats.clone()].contains(&(i as u32)));
        }
    }

    #[test]
    fn a_cut_covers_every_leaf_once_within_its_budget(
        n in 1usize..2000, page in 20usize..200, budget in 0u64..3000, pixels in 0.0..40.0, distance in -4.0..40.0,
    ) {
        let memory = Memory::new(cloud(&places(n)), page);
        let tree = memory.build();
        let (view, limits) = (view(distance), CutLimits { splats: budget, screen_error: pixels });
        let cut = cut(&tree, &view, &limits);
        prop_assert!(covers_every_leaf_once(&tree, &cut));
        let splats: u64 = cut.iter().map(|&node| u64::from(tree.node(node).splats)).sum();
        prop_assert!(splats <= budget.max(tree.node(0).splats.into()), "{} of {}", splats, budget);
        // What is left coarse is good enough, or does not fit.
        for &node in cut.iter().filter(|&&node| !tree.node(node).is_leaf()) {
            let finer: u64 = tree.node(node).children.clone().map(|child| u64::from(tree.node(child).splats)).sum();
            let fits = splats - u64::from(tree.node(node).splats) + finer <= budget;
            prop_assert!(!fits || view.screen_error(tree.node(node)) <= pixels);
        }
    }
}
