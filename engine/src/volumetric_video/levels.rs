//! How growth and relocation are shared out over the levels of the hierarchy.
//!
//! What a Gaussian scores between two refinements is a sum over the photos that looked at it, and how many those are is a matter of its
//! level: a global one is looked at in every photo, one of a short segment in those of a few frames. So the scores of each level are
//! divided by how often its Gaussians were looked at in the mean, and new ones go to levels in proportion to the error that they show
//! when they are looked at.
//!
//! How often that was follows from the steps alone; nothing of it has to be counted, or kept in checkpoints.

use super::VideoTraining;
use super::init::seconds;
use super::machine::State;
use super::model::berth::Berth;
use std::ops::Range;
use tessera_datasets::scene::{Place, TimeHierarchy};

impl VideoTraining {
    /// Weighs what Gaussians have scored since the last refinement, in the steps that come before `done`.
    pub(super) fn weigh_levels(&mut self, done: u64) {
        let State { model, density, .. } = &mut self.state;
        let hierarchy = &model.hierarchy;
        let moment = |step| seconds(&self.frames, self.windows.photo(step), &self.timeline);
        let steps = done.saturating_sub(self.growth.refine_interval())..done;
        let ticks: Vec<i64> = steps.map(|step| hierarchy.tick_at(moment(step))).collect();
        let weights = weights(model.segments(), hierarchy, &ticks);
        for ((_, rows), weight) in model.segments().iter().zip(weights) {
            density.weigh(rows.clone(), weight);
        }
    }
}

/// For each segment the inverse of how often the Gaussians of its level were looked at in the mean, if photos were of these ticks.
fn weights(segments: &[(Berth, Range<usize>)], hierarchy: &TimeHierarchy, ticks: &[i64]) -> Vec<f32> {
    // By level, the global place first: Gaussians, and looks at them.
    let mut levels = vec![[0.0f64; 2]; 1 + usize::from(hierarchy.levels)];
    for (berth, rows) in segments {
        let looks = ticks.iter().filter(|tick| berth.is_looked_at(hierarchy, [**tick; 2])).count();
        let [gaussians, all] = &mut levels[level(berth)];
        (*gaussians, *all) = (*gaussians + rows.len() as f64, *all + (looks * rows.len()) as f64);
    }
    let weight = |(berth, _): &(Berth, Range<usize>)| match levels[level(berth)] {
        [gaussians, looks] if looks > 0.0 => (gaussians / looks) as f32,
        // What nobody looked at has scored nothing.
        _ => 1.0,
    };
    segments.iter().map(weight).collect()
}

fn level(berth: &Berth) -> usize {
    match berth.place {
        Place::Global => 0,
        Place::Segment { level, .. } => 1 + usize::from(level),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_weigh_by_how_often_they_are_looked_at() {
        let hierarchy = TimeHierarchy::of_duration(8.0, 1.0);
        // All the time, a short segment in the middle of which one looks twice, and another of the same level that nobody looks at.
        let influences = [[f64::NEG_INFINITY, f64::INFINITY], [2.1, 2.3], [6.1, 6.3]];
        let berths = influences.map(|influence| Berth::of(&hierarchy, influence));
        assert_eq!(level(&berths[1]), level(&berths[2]));
        let segments = [(berths[0], 0..30), (berths[1], 30..40), (berths[2], 40..60)];
        let ticks = [0.1, 2.15, 2.2, 4.0].map(|seconds| hierarchy.tick_at(seconds));
        // Ten Gaussians were looked at twice and twenty never.
        assert_eq!(weights(&segments, &hierarchy, &ticks), [0.25, 1.5, 1.5]);
        assert_eq!(weights(&segments, &hierarchy, &[]), [1.0; 3]);
    }
}
