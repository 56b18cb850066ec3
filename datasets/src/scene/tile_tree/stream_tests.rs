//! What streaming promises, whatever the order in which pages come or fail.

use super::tests::covers_every_leaf_once;
use super::*;
use crate::camera::Pose;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A quadtree over the unit square, `levels` deep, with 40 splats in every page.
fn quadtree(levels: u32) -> Arc<TileTree> {
    let mut nodes = Vec::new();
    let mut first_of_next = 1;
    for level in 0..levels {
        let side = 1u32 << level;
        for number in 0..side * side {
            // The bits of the number are those of x and y by turns.
            let bits = |shift: u32| (0..level).fold(0, |v, bit| v | (number >> (2 * bit + shift) & 1) << bit);
            let low = [bits(0), bits(1)].map(|v| v as f32 / side as f32);
            let high = low.map(|v| v + 1.0 / side as f32);
            let is_leaf = level + 1 == levels;
            let children = if is_leaf { 0..0 } else { first_of_next..first_of_next + 4 };
            first_of_next += if is_leaf { 0 } else { 4 };
            nodes.push(TileNode {
                bounds: Bounds { low: [low[0], low[1], 0.0], high: [high[0], high[1], 0.1] },
                error: if is_leaf { 0.0 } else { 0.1 / side as f32 },
                children,
                splats: 40,
            });
        }
    }
    Arc::new(TileTree::new(nodes).expect("a tree"))
}

/// Looking down on the square at (x, y) from a height.
fn above(x: f64, y: f64, height: f64) -> LodView {
    LodView::new(&Pose::translation(-x, -y, height), [800.0; 2], [800.0; 2])
}

fn limits(drawn: u64) -> StreamLimits {
    StreamLimits {
        cut: CutLimits { splats: drawn, screen_error: 1.0 },
        cached_splats: 2 * drawn + 200,
        requests: 3,
        attempts: 3,
    }
}

/// Fetches pages, all of them sound, until nothing is wanted.
fn settle(stream: &mut PageStream, view: &LodView) {
    stream.update(view);
    while let Some(request) = stream.next_request(0.0) {
        stream.arrived(request.node);
        stream.update(view);
    }
}

#[test]
fn the_first_request_is_the_root_and_the_first_picture_shows_everything() {
    let mut stream = PageStream::new(quadtree(3), limits(400));
    assert_eq!(stream.next_request(0.0), None, "no view has been said yet");
    assert!(stream.update(&above(0.5, 0.5, 1.0)).is_empty());
    assert_eq!(stream.next_request(0.0), Some(PageRequest { node: 0, attempt: 1 }));
    assert_eq!(stream.next_request(0.0), None, "children come after their parents");
    stream.arrived(0);
    assert_eq!(stream.update(&above(0.5, 0.5, 1.0)), [0]);
    assert!(!stream.is_complete());
}

#[test]
fn a_parent_is_drawn_until_all_of_its_children_are_there() {
    let mut stream = PageStream::new(quadtree(2), limits(400));
    let view = above(0.5, 0.5, 1.0);
    stream.update(&view);
    stream.next_request(0.0);
    stream.arrived(0);
    stream.update(&view);
    let children: Vec<u32> = std::iter::from_fn(|| stream.next_request(0.0)).map(|request| request.node).collect();
    assert_eq!(children, [1, 2, 3], "three requests at a time");
    children.iter().for_each(|&child| stream.arrived(child));
    assert_eq!(stream.update(&view), [0]);
    let last = stream.next_request(0.0).expect("the fourth child");
    stream.arrived(last.node);
    assert_eq!(stream.update(&view), [1, 2, 3, 4]);
    assert!(stream.is_complete() && stream.progress() == (5, 5));
}

#[test]
fn streaming_ends_with_the_cut_of_a_tree_that_is_all_there() {
    let tree = quadtree(5);
    for (x, y, height, drawn) in
        [(0.5, 0.5, 1.0, 4000), (0.1, 0.2, 0.3, 2000), (0.9, 0.9, 0.1, 900), (0.0, 0.0, 9.0, 99999)]
    {
        let mut stream = PageStream::new(tree.clone(), limits(drawn));
        let view = above(x, y, height);
        settle(&mut stream, &view);
        assert_eq!(stream.cut(), cut(&tree, &view, &limits(drawn).cut));
        assert!(stream.is_complete());
        let before = stream.cut().to_vec();
        assert_eq!(stream.update(&view), before, "a view that stands still keeps its cut");
    }
}

#[test]
fn what_the_view_needs_most_comes_first() {
    let mut stream = PageStream::new(quadtree(4), StreamLimits { requests: 1, ..limits(3000) });
    let view = above(0.9, 0.9, 0.2);
    let mut order = Vec::new();
    stream.update(&view);
    while let Some(request) = stream.next_request(0.0) {
        order.push(request.node);
        stream.arrived(request.node);
        stream.update(&view);
    }
    // Of the second level's nodes, the one under the camera is refined first.
    let children_of_4 = stream.tree().node(4).children.clone();
    assert_eq!(&order[..5], [0, 1, 2, 3, 4]);
    assert_eq!(order[5..9], children_of_4.collect::<Vec<_>>());
}

#[test]
fn a_page_that_fails_is_asked_for_again_later_and_said_once() {
    let mut stream = PageStream::new(quadtree(2), limits(400));
    let view = above(0.5, 0.5, 1.0);
    settle_but(&mut stream, &view, 2, 100.0);
    assert_eq!(stream.update(&view), [0], "the parent stays");
    let problems = stream.take_problems();
    assert_eq!(problems, [StreamProblem { node: 2, reason: "attempt 3".to_owned() }]);
    assert!(stream.take_problems().is_empty() && stream.is_complete());
    // When the connection is back, so is the page.
    stream.retry_all();
    settle(&mut stream, &view);
    assert_eq!(stream.cut(), [1, 2, 3, 4]);
}

#[test]
fn failed_pages_wait_before_they_are_asked_for_again() {
    let mut stream = PageStream::new(quadtree(2), limits(400));
    stream.update(&above(0.5, 0.5, 1.0));
    stream.next_request(10.0);
    stream.failed(0, "no connection", 10.0);
    assert_eq!((stream.next_request(10.4), stream.next_retry()), (None, Some(10.5)));
    assert_eq!(stream.next_request(10.5), Some(PageRequest { node: 0, attempt: 2 }));
    stream.failed(0, "no connection", 11.0);
    assert_eq!((stream.next_request(12.9), stream.next_retry()), (None, Some(13.0)));
    assert_eq!(stream.next_request(13.0), Some(PageRequest { node: 0, attempt: 3 }));
}

#[test]
fn without_the_root_its_children_are_drawn() {
    let mut stream = PageStream::new(quadtree(3), limits(400));
    let view = above(0.5, 0.5, 1.0);
    settle_but(&mut stream, &view, 0, 100.0);
    assert!(covers_every_leaf_once(stream.tree(), stream.cut()) && stream.cut_splats() <= 400);
    assert_eq!(stream.take_problems().len(), 1);
}

#[test]
fn what_stands_for_a_lost_root_is_drawn_however_little_is_allowed() {
    let mut stream = PageStream::new(quadtree(3), limits(100));
    settle_but(&mut stream, &above(0.5, 0.5, 1.0), 0, 100.0);
    assert_eq!(stream.cut(), [1, 2, 3, 4], "160 splats, so that there is no hole");
}

#[test]
fn pages_that_were_not_needed_for_longest_go_first() {
    let mut stream = PageStream::new(quadtree(5), StreamLimits { cached_splats: 1000, ..limits(800) });
    let [left, right] = [above(0.1, 0.1, 0.15), above(0.9, 0.9, 0.15)];
    settle(&mut stream, &left);
    let seen: BTreeSet<u32> = (0..stream.tree().len() as u32).filter(|&node| stream.is_resident(node)).collect();
    settle(&mut stream, &right);
    let evicted: BTreeSet<u32> = stream.take_evicted().into_iter().collect();
    assert!(!evicted.is_empty() && evicted.is_subset(&seen), "evicted {evicted:?} of {seen:?}");
    assert!(stream.cut().iter().all(|node| !evicted.contains(node)));
    assert!(stream.cached_splats() <= stream.limits().cached_splats);
}

/// As [`settle`], but all attempts at one page fail; time passes.
fn settle_but(stream: &mut PageStream, view: &LodView, bad: u32, mut now: f64) {
    stream.update(view);
    loop {
        match stream.next_request(now) {
            Some(request) if request.node == bad => {
                stream.failed(bad, format!("attempt {}", request.attempt), now);
            }
            Some(request) => stream.arrived(request.node),
            None => match stream.next_retry() {
                Some(at) => now = at,
                None => return,
            },
        }
        stream.update(view);
    }
}

/// What happens between two pictures.
#[derive(Clone, Copy, Debug)]
enum Event {
    Move(f64, f64, f64),
    Request,
    Arrive(usize),
    Fail(usize),
    Cancel(usize),
    Budget(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0.0..1.0, 0.0..1.0, 0.05..3.0).prop_map(|(x, y, z)| Event::Move(x, y, z)),
        12 => Just(Event::Request),
        10 => any::<usize>().prop_map(Event::Arrive),
        1 => any::<usize>().prop_map(Event::Fail),
        1 => any::<usize>().prop_map(Event::Cancel),
        1 => (40u64..4000).prop_map(Event::Budget),
    ]
}

/// The splats that are drawn of a node at least: its own, or those of the first nodes below it that are not lost.
fn least_splats(tree: &TileTree, node: u32, lost: &BTreeSet<u32>) -> u64 {
    if !lost.contains(&node) {
        return u64::from(tree.node(node).splats);
    }
    tree.node(node).children.clone().map(|child| least_splats(tree, child, lost)).sum()
}

/// Nodes that are drawn by each other's ancestors or descendants.
fn is_finer_or_equal(tree: &TileTree, finer: &[u32], coarser: &[u32]) -> bool {
    finer.iter().all(|&node| std::iter::successors(Some(node), |&n| tree.parent(n)).any(|n| coarser.contains(&n)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_there_are_no_holes_and_no_excess(events in prop::collection::vec(event(), 1..400)) {
        let mut stream = PageStream::new(quadtree(5), limits(1500));
        let mut view = above(0.5, 0.5, 1.0);
        let (mut on_their_way, mut resident) = (Vec::new(), BTreeSet::new());
        let mut now = 0.0;
        let mut lost = BTreeSet::new();
        for event in events {
            let before = stream.cut().to_vec();
            let mut stands_still = true;
            let pick = |list: &mut Vec<u32>, at: usize| {
                (!list.is_empty()).then(|| list.swap_remove(at % list.len()))
            };
            match event {
                Event::Move(x, y, z) => (view, stands_still) = (above(x, y, z), false),
                Event::Request => {
                    if let Some(request) = stream.next_request(now) {
                        prop_assert!(!resident.contains(&request.node) && !on_their_way.contains(&request.node));
                        on_their_way.push(request.node);
                    }
                }
                Event::Arrive(at) => {
                    if let Some(node) = pick(&mut on_their_way, at) {
                        stream.arrived(node);
                        resident.insert(node);
                    }
                }
                Event::Fail(at) => {
                    if let Some(node) = pick(&mut on_their_way, at) {
                        stream.failed(node, "no reason", now);
                        stands_still = false;
                    }
                }
                Event::Cancel(at) => {
                    if let Some(node) = pick(&mut on_their_way, at) {
                        stream.cancelled(node);
                    }
                }
                Event::Budget(drawn) => {
                    stream.set_limits(limits(drawn));
                    stands_still = false;
                }
            }
            now += 0.3;
            stream.update(&view);
            for node in stream.take_evicted() {
                prop_assert!(resident.remove(&node), "page {} was not there", node);
            }
            lost.extend(stream.take_problems().iter().map(|problem| problem.node));
            prop_assert!(on_their_way.len() <= 3);
            prop_assert!(stream.cut().iter().all(|node| resident.contains(node)), "drawn but not there");
            prop_assert!(stream.cut_splats() <= stream.limits().cut.splats.max(least_splats(stream.tree(), 0, &lost)));
            if resident.contains(&0) {
                prop_assert!(covers_every_leaf_once(stream.tree(), stream.cut()), "holes: {:?}", stream.cut());
            }
            if stands_still && !lost.contains(&0) && !before.is_empty() {
                prop_assert!(is_finer_or_equal(stream.tree(), stream.cut(), &before), "{:?} after {:?}", stream.cut(), before);
            }
        }
        // Once all that is on its way has come and nothing fails any more, the cut is the best one.
        on_their_way.iter().for_each(|&node| stream.arrived(node));
        stream.retry_all();
        settle(&mut stream, &view);
        prop_assert!(stream.is_complete());
        prop_assert!(covers_every_leaf_once(stream.tree(), stream.cut()));
        let mut fresh = PageStream::new(stream.tree().clone(), *stream.limits());
        settle(&mut fresh, &view);
        // What was refined before may stay refined a little longer.
        prop_assert!(is_finer_or_equal(stream.tree(), stream.cut(), fresh.cut()) || stream.cut_splats() + 160 > stream.limits().cut.splats);
    }
}
