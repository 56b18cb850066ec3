//! When a Gaussian is looked at, more exactly than its segment says.
//!
//! One whose influence crosses the boundary of short segments belongs to a long one, however short the influence is. Of long
//! videos that would be many, and a moment would look at more of them the longer the video is. So beside its place a Gaussian
//! has the first and the last of the pieces of equal length into which time is cut that it has influence in.

use tessera_datasets::scene::{Place, TimeHierarchy};

/// The length of a piece, in shortest segments.
const PIECE: i64 = 2;

/// Where Gaussians belong that are looked at together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Berth {
    /// The finest segment that holds their whole influence.
    pub place: Place,
    /// The first and the last piece of time that they have influence in.
    pub pieces: [i64; 2],
}

impl Berth {
    /// Of a Gaussian that has influence from one moment to another, in seconds.
    pub fn of(hierarchy: &TimeHierarchy, influence: [f64; 2]) -> Self {
        let place = hierarchy.place(influence);
        if !influence.iter().all(|seconds| seconds.is_finite()) {
            return Self { place, pieces: [i64::MIN, i64::MAX] };
        }
        Self { place, pieces: pieces(hierarchy, influence.map(|seconds| hierarchy.tick_at(seconds))) }
    }

    /// Whether its Gaussians are looked at in any tick between two, both included.
    pub fn is_looked_at(&self, hierarchy: &TimeHierarchy, ticks: [i64; 2]) -> bool {
        let [from, to] = pieces(hierarchy, ticks);
        from <= self.pieces[1] && self.pieces[0] <= to && hierarchy.is_looked_at(self.place, ticks)
    }

    /// As four numbers: the level from 1, or 0 for the global place, the bits of the segment and those of the pieces.
    pub(super) fn to_words(self) -> [u64; 4] {
        let [level, segment] = match self.place {
            Place::Global => [0, 0],
            Place::Segment { level, segment } => [u64::from(level) + 1, segment.cast_unsigned()],
        };
        let [first, last] = self.pieces.map(i64::cast_unsigned);
        [level, segment, first, last]
    }

    /// The opposite of [`Self::to_words`].
    pub(super) fn of_words([level, segment, first, last]: [u64; 4]) -> Self {
        let place = match level.checked_sub(1) {
            None => Place::Global,
            Some(level) => Place::Segment { level: level as u8, segment: segment.cast_signed() },
        };
        Self { place, pieces: [first, last].map(u64::cast_signed) }
    }
}

/// The pieces in which ticks lie.
fn pieces(hierarchy: &TimeHierarchy, ticks: [i64; 2]) -> [i64; 2] {
    let length = PIECE * hierarchy.segment_ticks(hierarchy.levels - 1);
    ticks.map(|tick| tick.div_euclid(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    #[test]
    fn gaussians_are_looked_at_whenever_they_have_influence_and_hardly_longer() {
        let seed = tessera_test_seed::test_seed();
        let mut rng = Pcg64::seed_from_u64(seed);
        for _ in 0..10_000 {
            let hierarchy = TimeHierarchy::of_duration(rng.random_range(1.0..1000.0), 0.1);
            let (from, length) = (rng.random_range(-10.0..1000.0), rng.random_range(0.0..50.0));
            let berth = Berth::of(&hierarchy, [from, from + length]);
            let share: f64 = rng.random_range(-2.0..3.0);
            let at = from + share * length;
            let is_looked_at = berth.is_looked_at(&hierarchy, [hierarchy.tick_at(at); 2]);
            let has_influence = (from..=from + length).contains(&at);
            assert!(is_looked_at || !has_influence, "seed {seed}: {berth:?} at {at} s, from {from} s for {length} s");
            // Within the pieces that it begins and ends in, of 0.2 s.
            let is_near = (from - 0.201..=from + length + 0.201).contains(&at);
            assert!(is_near || !is_looked_at, "seed {seed}: {berth:?} at {at} s, from {from} s for {length} s");
            assert_eq!(Berth::of_words(berth.to_words()), berth);
        }
    }
}
