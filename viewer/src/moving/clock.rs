//! The clock of a moving scene, for the window and the page alike.

use super::Playhead;
use tessera_datasets::scene::Timeline;

/// What is held until the next frame begins makes way so much of a frame earlier: times are rounded.
pub(super) const EARLY: f64 = 1e-3;

/// Which moment is shown, and how it goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    timeline: Timeline,
    /// Seconds from the first frame to the end.
    length: f64,
    /// Whether a frame is seen until the next begins.
    is_held: bool,
    /// The moment that is shown, after the first frame.
    pub seconds: f64,
    /// Whether time passes.
    pub is_playing: bool,
    /// How fast: 1 as it was filmed, negative backwards.
    pub rate: f64,
    /// Whether it begins again at its end.
    pub is_looped: bool,
}

impl Clock {
    /// Stands still at a moment; once it is played it begins again at its end.
    pub fn new(timeline: Timeline, seconds: f64) -> Self {
        Self { seconds, is_held: false, ..Self::until(timeline, timeline.length()) }
    }

    /// Stands still at the first frame; it is played so many seconds long, where each frame is seen until the next begins, the last one until the end.
    pub fn until(timeline: Timeline, length: f64) -> Self {
        Self { timeline, length, is_held: true, seconds: 0.0, is_playing: false, rate: 1.0, is_looped: true }
    }

    /// Seconds from the first frame to the last one, or to its end.
    pub fn length(&self) -> f64 {
        self.length
    }

    /// The frame that is nearest to what is shown, or seen until the next begins, and how many there are.
    pub fn frame(&self) -> (u32, u32) {
        let middle = if self.is_held { (0.5 - EARLY) / self.timeline.frame_rate } else { 0.0 };
        (self.timeline.frame_at(self.seconds - middle), self.timeline.frames)
    }

    /// Stops at a moment, or at the end that is nearer to it.
    pub fn seek(&mut self, seconds: f64) {
        self.is_playing = false;
        self.seconds = if seconds.is_finite() { seconds.clamp(0.0, self.length()) } else { 0.0 };
    }

    /// Stops at the frame that is so many after the one that is shown.
    pub fn step(&mut self, frames: i64) {
        let last = i64::from(self.timeline.frames.max(1) - 1);
        let frame = i64::from(self.frame().0).saturating_add(frames).clamp(0, last);
        self.seek(self.timeline.seconds_of(frame as u32));
    }

    /// Plays, or stops; from the end it plays from the beginning.
    pub fn toggle(&mut self) {
        self.is_playing = !self.is_playing;
        let (length, at_end) = (self.length(), if self.rate < 0.0 { 0.0 } else { self.length() });
        if self.is_playing && !self.is_looped && self.seconds == at_end {
            self.seconds = length - at_end;
        }
    }

    /// The moment so many seconds of watching later, and whether it goes on from there.
    pub fn after(&self, seconds: f64) -> (f64, bool) {
        let (next, length) = (self.seconds + self.rate * seconds, self.length());
        match self.is_looped && length > 0.0 {
            true => (next.rem_euclid(length), true),
            false => (next.clamp(0.0, length), (0.0..=length).contains(&next)),
        }
    }

    /// From where it is played, and which way.
    pub fn head(&self) -> Playhead {
        let rate = if self.is_playing { self.rate } else { 0.0 };
        Playhead { seconds: self.seconds, rate, is_looped: self.is_looped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 seconds but for the last frame's.
    fn clock(seconds: f64) -> Clock {
        Clock::new(Timeline { start: 0.0, frame_rate: 30.0, frames: 3000 }, seconds)
    }

    #[test]
    fn time_begins_again_at_the_end_or_stops_there() {
        let mut clock = clock(99.0);
        let length = clock.length();
        assert_eq!(clock.after(1.5), (99.0 + 1.5 - length, true));
        clock.is_looped = false;
        assert_eq!(clock.after(1.5), (length, false));
        clock.seconds = length;
        clock.toggle();
        assert_eq!((clock.seconds, clock.is_playing), (0.0, true));
        clock.rate = -1.0;
        assert_eq!(clock.after(1.0), (0.0, false), "backwards it ends at the beginning");
        clock.is_looped = true;
        assert_eq!(clock.after(1.0), (length - 1.0, true));
    }

    #[test]
    fn stepping_and_seeking_stop_within_the_scene() {
        let mut clock = clock(99.0);
        clock.is_playing = true;
        clock.step(-1);
        assert_eq!((clock.frame(), clock.is_playing), ((2969, 3000), false));
        clock.step(i64::MAX);
        assert_eq!(clock.frame(), (2999, 3000));
        for (asked, got) in [(-3.0, 0.0), (1e9, clock.length()), (f64::NAN, 0.0), (12.5, 12.5)] {
            clock.seek(asked);
            assert_eq!(clock.seconds, got, "{asked}");
        }
    }

    #[test]
    fn what_is_held_is_one_frame_until_the_next_begins() {
        let mut clock = Clock::until(Timeline { start: 0.0, frame_rate: 30.0, frames: 10 }, 10.0 / 30.0);
        for frame in 0..10 {
            for share in [-1e-6, 0.0, 0.5, 0.99] {
                clock.seconds = (f64::from(frame) + share) / 30.0;
                assert_eq!(clock.frame(), (frame, 10), "{share} after frame {frame}");
            }
        }
        clock.seek(9.0);
        assert_eq!((clock.seconds, clock.frame().0), (clock.length(), 9));
        clock.step(-1);
        assert_eq!(clock.frame().0, 8);
    }
}
