//! Which Gaussians of a moving scene are looked at at a moment, however long it is.
//!
//! Time is cut into segments at several levels, each with segments half as long as the level above. A Gaussian belongs to
//! the finest segment that holds its whole influence, or to the *global* bucket when none does. So what is seen at a moment
//! is the global bucket and one segment of each level: as much for hours as for seconds.
//!
//! Time is counted in whole ticks, so that everyone agrees about boundaries. With `shifted`, each level begins a quarter of
//! its segments' length earlier, so that boundaries of different levels do not coincide and no moment is a boundary of all.
//!
//! Xu et al., "Representing Long Volumetric Video with Temporal Gaussian Hierarchy", 2024.

/// How time is cut into segments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeHierarchy {
    /// Levels, the first with the longest segments, 1 to 24.
    pub levels: u8,
    /// Ticks in a segment of the first level; a multiple of 2^(levels - 1), and of 2^(levels + 1) when shifted.
    pub root_ticks: i64,
    /// Seconds in a tick.
    pub tick: f64,
    /// Whether each level begins a quarter of a segment early.
    pub shifted: bool,
}

/// Where a Gaussian belongs. Ordered as they are stored: the global bucket first, then level by level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Looked at all the time.
    Global,
    /// Looked at during one segment.
    Segment {
        /// 0 for the longest segments.
        level: u8,
        /// Number of the segment in its level; negative before the first frame.
        segment: i64,
    },
}

impl TimeHierarchy {
    /// Segments from about the whole duration down to about `finest` seconds, with 64 ticks in the finest.
    pub fn of_duration(duration: f64, finest: f64) -> Self {
        /// Ticks in the shortest segment; divisible by 4 for the shift.
        const FINEST_TICKS: i64 = 64;
        const MOST: u8 = 24;
        let halvings = (duration / finest).log2().ceil().clamp(0.0, f64::from(MOST - 1)) as u8;
        Self {
            levels: halvings + 1,
            root_ticks: FINEST_TICKS << halvings,
            tick: finest / FINEST_TICKS as f64,
            shifted: true,
        }
    }

    /// Ticks in a segment of a level.
    pub fn segment_ticks(&self, level: u8) -> i64 {
        self.root_ticks >> level
    }

    /// The tick in which a moment lies.
    pub fn tick_at(&self, seconds: f64) -> i64 {
        (seconds / self.tick).floor() as i64
    }

    /// The segment of a level in which a tick lies.
    pub fn segment_at(&self, level: u8, tick: i64) -> i64 {
        let length = self.segment_ticks(level);
        let shift = if self.shifted { length / 4 } else { 0 };
        tick.saturating_add(shift).div_euclid(length)
    }

    /// Where a Gaussian belongs that has influence from one moment to another, in seconds.
    pub fn place(&self, influence: [f64; 2]) -> Place {
        let [from, to] = influence;
        if !(from.is_finite() && to.is_finite()) {
            return Place::Global;
        }
        self.place_ticks([self.tick_at(from), self.tick_at(to)])
    }

    /// As [`Self::place`], in ticks, both ends included.
    pub fn place_ticks(&self, [from, to]: [i64; 2]) -> Place {
        (0..self.levels)
            .rev()
            .find_map(|level| {
                let segment = self.segment_at(level, from);
                (segment == self.segment_at(level, to)).then_some(Place::Segment { level, segment })
            })
            .unwrap_or(Place::Global)
    }

    /// Where files keep a Gaussian that has influence from one moment to another, in seconds.
    ///
    /// A short influence that happens to cross the boundaries of several levels belongs to a long segment, and of a long scene
    /// there are many of those, so a player would load more for a moment the longer the scene is. So a Gaussian whose segment is
    /// more than four times as long as it needs is kept twice, on both sides of the one boundary of shorter segments that it
    /// crosses. No moment looks at both.
    pub fn kept_in(&self, influence: [f64; 2]) -> impl Iterator<Item = Place> + use<> {
        let place = self.place(influence);
        let level = match place {
            Place::Global => -1,
            Place::Segment { level, .. } => i32::from(level),
        };
        let ticks = influence.map(|seconds| self.tick_at(seconds));
        let length = ticks[1].saturating_sub(ticks[0]).saturating_add(1);
        let enough = |level: &u8| self.segment_ticks(*level) >= length.saturating_mul(2);
        let wanted = (0..self.levels).rev().find(enough).filter(|wanted| i32::from(*wanted) > level + 1);
        let halves =
            wanted.map(|level| ticks.map(|tick| Place::Segment { level, segment: self.segment_at(level, tick) }));
        let [first, second] = halves.map_or([Some(place), None], |halves| halves.map(Some));
        first.into_iter().chain(second)
    }

    /// The places that are looked at during a tick.
    pub fn active(&self, tick: i64) -> impl Iterator<Item = Place> + '_ {
        let segments =
            (0..self.levels).map(move |level| Place::Segment { level, segment: self.segment_at(level, tick) });
        std::iter::once(Place::Global).chain(segments)
    }

    /// Whether a place is looked at in any tick between two, both included.
    pub fn is_looked_at(&self, place: Place, [from, to]: [i64; 2]) -> bool {
        match place {
            Place::Global => true,
            Place::Segment { level, segment } => {
                (self.segment_at(level, from)..=self.segment_at(level, to)).contains(&segment)
            }
        }
    }

    /// The seconds that a segment covers, from and to.
    pub fn seconds_of(&self, level: u8, segment: i64) -> [f64; 2] {
        let length = self.segment_ticks(level);
        let shift = if self.shifted { length / 4 } else { 0 };
        [segment, segment + 1].map(|s| (s * length - shift) as f64 * self.tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hierarchy() -> impl Strategy<Value = TimeHierarchy> {
        (1.0..1000.0, 0.05..1.0, any::<bool>()).prop_map(|(duration, finest, shifted)| TimeHierarchy {
            shifted,
            ..TimeHierarchy::of_duration(duration, finest)
        })
    }

    proptest! {
        #[test]
        fn a_gaussian_is_looked_at_whenever_it_has_influence(
            hierarchy in hierarchy(), from in -100.0..1000.0, length in 0.0..500.0, share in 0.0..=1.0,
        ) {
            let place = hierarchy.place([from, from + length]);
            let tick = hierarchy.tick_at(from + share * length);
            prop_assert!(hierarchy.active(tick).any(|active| active == place), "{place:?} at tick {tick}");
        }

        #[test]
        fn a_kept_gaussian_is_looked_at_once_whenever_it_has_influence_and_not_much_longer(
            hierarchy in hierarchy(), from in -100.0..1000.0, length in 0.0..500.0, share in 0.0..=1.0,
        ) {
            let kept: Vec<Place> = hierarchy.kept_in([from, from + length]).collect();
            let tick = hierarchy.tick_at(from + share * length);
            let seen = hierarchy.active(tick).filter(|active| kept.contains(active)).count();
            prop_assert_eq!(seen, 1, "{:?} at tick {}", kept, tick);
            for place in kept {
                let needed = f64::ceil(length / hierarchy.tick) as i64 + 2;
                let longest = (8 * needed).max(2 * hierarchy.segment_ticks(hierarchy.levels - 1));
                match place {
                    Place::Segment { level, .. } => prop_assert!(hierarchy.segment_ticks(level) <= longest, "{place:?}"),
                    Place::Global => prop_assert!(4 * needed >= hierarchy.root_ticks, "{place:?}"),
                }
            }
        }

        #[test]
        fn what_is_looked_at_between_two_ticks_is_looked_at_in_one_of_them(
            hierarchy in hierarchy(), from in -200i64..2_000, length in 0i64..300, influence in -300i64..2_500, reach in 0i64..300,
        ) {
            let place = hierarchy.place_ticks([influence, influence + reach]);
            let is_seen = (from..=from + length).any(|tick| hierarchy.active(tick).any(|active| active == place));
            prop_assert_eq!(hierarchy.is_looked_at(place, [from, from + length]), is_seen);
        }

        #[test]
        fn no_finer_segment_holds_the_whole_influence(
            hierarchy in hierarchy(), from in -10_000i64..10_000, length in 0i64..5_000,
        ) {
            let Place::Segment { level, segment } = hierarchy.place_ticks([from, from + length]) else { return Ok(()) };
            prop_assert_eq!(hierarchy.segment_at(level, from), segment);
            for finer in level + 1..hierarchy.levels {
                prop_assert_ne!(hierarchy.segment_at(finer, from), hierarchy.segment_at(finer, from + length));
            }
        }

        #[test]
        fn a_segment_lasts_as_long_as_it_says(hierarchy in hierarchy(), level in 0u8..24, segment in -50i64..50) {
            let level = level.min(hierarchy.levels - 1);
            let [from, to] = hierarchy.seconds_of(level, segment);
            // A thousandth of a tick inside either end.
            let inset = hierarchy.tick / 1000.0;
            for inside in [from + inset, to - inset] {
                prop_assert_eq!(hierarchy.segment_at(level, hierarchy.tick_at(inside)), segment);
            }
        }
    }

    #[test]
    fn what_always_has_influence_is_global() {
        let hierarchy = TimeHierarchy::of_duration(10.0, 0.1);
        assert_eq!(hierarchy.place([f64::NEG_INFINITY, f64::INFINITY]), Place::Global);
        assert_eq!(hierarchy.place([0.0, 1000.0]), Place::Global);
    }

    #[test]
    fn shifted_levels_share_no_boundary_within_the_root() {
        let hierarchy = TimeHierarchy::of_duration(10.0, 0.1);
        let boundary =
            |level: u8, tick: i64| hierarchy.segment_at(level, tick) != hierarchy.segment_at(level, tick - 1);
        for tick in 0..hierarchy.root_ticks {
            let levels = (0..hierarchy.levels).filter(|&level| boundary(level, tick)).count();
            assert!(levels <= 1, "tick {tick} is a boundary of {levels} levels");
        }
    }
}
