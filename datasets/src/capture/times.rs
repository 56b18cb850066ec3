//! Whether the times that a capture states for its photos can be right.
//!
//! Photos from the same place through the same lens are those of one camera. The numbers in their names say in which order it took
//! them, and then its times ascend, or all descend: what goes back, or repeats, is wrong. Photos of cameras that move do not tell
//! which camera took them, and their times are taken as they are. A clock may begin anywhere, before zero too.

use super::OpenOptions;
use super::assemble::DraftFrame;
use super::problems::Problem;
use std::collections::BTreeMap;

/// What is wrong with the times of these photos; those that cannot be used are left out. That some photos have none is for those
/// to say who need them, and here only a reason to leave them out where bad ones are to be skipped and most have one.
pub(super) fn check(frames: &mut Vec<DraftFrame>, options: OpenOptions) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut leave_out = |frames: &mut Vec<DraftFrame>, bad: &[usize], what: &str| {
        if let Some(&first) = bad.first() {
            let what = format!("{} photos have {what} ({})", bad.len(), frames[first].frame.image);
            problems.push(Problem::new(what, "they are left out"));
            let mut at = 0..;
            frames.retain(|_| at.next().is_some_and(|i| bad.binary_search(&i).is_err()));
        }
    };
    let not_finite = positions(frames, |time| time.is_some_and(|t| !t.is_finite()));
    leave_out(frames, &not_finite, "a time that is not a finite number");
    let without = positions(frames, |time| time.is_none());
    if options.skip_bad && 2 * without.len() < frames.len() {
        leave_out(frames, &without, "no time, which most have");
    }
    let out_of_order = out_of_order(frames);
    leave_out(frames, &out_of_order, "times that go back or repeat, against the order of their camera's photos");
    problems
}

fn positions(frames: &[DraftFrame], is_wanted: impl Fn(Option<f64>) -> bool) -> Vec<usize> {
    (0..frames.len()).filter(|&i| is_wanted(frames[i].frame.time)).collect()
}

/// A place and a lens, bit by bit, and what the names of the photos begin with if they end with numbers.
type CameraSeries<'a> = (Vec<u64>, Option<&'a str>);
/// The number of a photo, its time, and its position in the list.
type NumberedTime = (u64, f64, usize);

/// As few photos as are in the way of times that ascend for every camera; ascending.
fn out_of_order(frames: &[DraftFrame]) -> Vec<usize> {
    let mut cameras: BTreeMap<CameraSeries<'_>, Vec<NumberedTime>> = BTreeMap::new();
    let mut range = [f64::INFINITY, f64::NEG_INFINITY];
    for (i, DraftFrame { frame, photo }) in frames.iter().enumerate() {
        let (Some(time), Some(photo)) = (frame.time, photo) else { continue };
        range = [range[0].min(time), range[1].max(time)];
        let (pose, lens) = (frame.camera_from_world.to_matrix(), frame.camera.lens);
        let numbers = pose.iter().chain(&lens.focal).chain(&lens.centre).map(|v| v.to_bits());
        let (series, number) = numbered(&photo.path).unzip();
        cameras.entry((numbers.collect(), series)).or_default().push((number.unwrap_or(0), time, i));
    }
    // Of one moment, which is a still scene, nothing is in order.
    if range[0] >= range[1] {
        return Vec::new();
    }
    let mut all = Vec::new();
    for of in cameras.values_mut() {
        of.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        let times: Vec<f64> = of.iter().map(|&(_, time, _)| time).collect();
        if !times.is_sorted_by(|a, b| a > b) {
            let ascending = longest_ascent(&times);
            all.extend((0..of.len()).filter(|k| ascending.binary_search(k).is_err()).map(|k| of[k].2));
        }
    }
    all.sort_unstable();
    all
}

/// A photo's path up to the number with which its name ends, and that number.
fn numbered(path: &str) -> Option<(&str, u64)> {
    let (stem, _) = path.rsplit_once('.')?;
    let series = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((series, stem[series.len()..].parse().ok()?))
}

/// Positions of as many values as ascend strictly, ascending: patience sorting.
fn longest_ascent(values: &[f64]) -> Vec<usize> {
    // By length: the position of the smallest value with which an ascent of that length ends.
    let mut ends: Vec<usize> = Vec::new();
    let mut before = vec![None; values.len()];
    for (i, value) in values.iter().enumerate() {
        let length = ends.partition_point(|&end| values[end] < *value);
        before[i] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            // Of equal values the first one stays.
            Some(end) if values[*end] <= *value => {}
            Some(end) => *end = i,
            None => ends.push(i),
        }
    }
    let mut ascent: Vec<usize> = std::iter::successors(ends.last().copied(), |&i| before[i]).collect();
    ascent.reverse();
    ascent
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    #[test]
    fn names_end_with_numbers_or_not() {
        assert_eq!(numbered("images/00/000012.jpg"), Some(("images/00/", 12)));
        assert_eq!(numbered("train/r_7.png"), Some(("train/r_", 7)));
        assert_eq!(numbered("a/12/left.png"), None);
        assert_eq!(numbered("a/1234567890123456789012345.png"), None, "more than a counter holds");
    }

    #[test]
    fn the_longest_ascent_is_as_long_as_any() {
        assert!(longest_ascent(&[]).is_empty());
        assert_eq!(longest_ascent(&[0.0, 1.0, 2.0, 7.0, 3.0, 3.0, 4.0]), [0, 1, 2, 4, 6]);
        let seed = tessera_test_seed::test_seed();
        let mut rng = Pcg64::seed_from_u64(seed);
        for _ in 0..200 {
            let values: Vec<f64> = (0..rng.random_range(1..10)).map(|_| f64::from(rng.random_range(0..6))).collect();
            let found = longest_ascent(&values);
            assert!(found.is_sorted_by(|a, b| a < b && values[*a] < values[*b]), "seed {seed}: {values:?} {found:?}");
            let ascends = |chosen: u32| {
                let of: Vec<f64> = (0..values.len()).filter(|i| chosen >> i & 1 == 1).map(|i| values[i]).collect();
                of.is_sorted_by(|a, b| a < b).then_some(of.len())
            };
            let longest = (0..1 << values.len()).filter_map(ascends).max();
            assert_eq!(Some(found.len()), longest, "seed {seed}: {values:?}");
        }
    }
}
