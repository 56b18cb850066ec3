//! Which photos a long capture is trained on, step by step: those of one stretch of time after the other, so that the Gaussians of
//! all others may wait.
//!
//! In each round the windows are visited in another random order, and each visit takes the next photos of the window's own
//! shuffled order. All of that follows from the step and the seed alone.

use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use tessera_datasets::scene::Timeline;

/// The photos of all windows.
#[derive(Clone, Debug)]
pub struct Windows {
    /// By window: its photos, never none.
    photos: Vec<Vec<usize>>,
    /// By window: the seconds of its first photo, ascending.
    starts: Vec<f64>,
    /// Steps that are taken in a window before another one comes.
    visit: u64,
    seed: u64,
}

impl Windows {
    /// Photos at these seconds after the first frame, in windows of so many frames; 0 makes one of all.
    pub fn new(seconds: &[f64], timeline: &Timeline, frames: u32, visit: u64, seed: u64) -> Self {
        let length = if frames == 0 { u32::MAX } else { frames };
        let mut order: Vec<usize> = (0..seconds.len()).collect();
        let window = |i: usize| timeline.frame_at(seconds[i]) / length;
        order.sort_by_key(|&i| window(i));
        let photos: Vec<Vec<usize>> = order.chunk_by(|&a, &b| window(a) == window(b)).map(<[usize]>::to_vec).collect();
        let start = |of: &Vec<usize>| of.iter().map(|&i| seconds[i]).fold(f64::INFINITY, f64::min);
        Self { starts: photos.iter().map(start).collect(), photos, visit: visit.max(1), seed }
    }

    /// The window in which a step is taken.
    pub fn at(&self, step: u64) -> usize {
        let (visits, windows) = (step / self.visit, self.photos.len() as u64);
        self.shuffled(windows as usize, u64::MAX, visits / windows)[(visits % windows) as usize]
    }

    /// The window that comes after the one of a step.
    pub fn after(&self, step: u64) -> usize {
        self.at((step / self.visit + 1) * self.visit)
    }

    /// From when to when a window lasts, in seconds: to the beginning of the next one. All of time is in some window.
    pub fn span(&self, window: usize) -> [f64; 2] {
        let from = if window == 0 { f64::NEG_INFINITY } else { self.starts[window] };
        [from, self.starts.get(window + 1).copied().unwrap_or(f64::INFINITY)]
    }

    /// The window of a moment.
    pub fn of(&self, seconds: f64) -> usize {
        self.starts.partition_point(|start| *start <= seconds).saturating_sub(1)
    }

    /// The photo that a step looks at.
    pub fn photo(&self, step: u64) -> usize {
        let window = self.at(step);
        let photos = &self.photos[window];
        let round = step / (self.visit * self.photos.len() as u64);
        let (taken, count) = (round * self.visit + step % self.visit, photos.len() as u64);
        photos[self.shuffled(photos.len(), window as u64, taken / count)[(taken % count) as usize]]
    }

    /// The numbers below `count` in an order of their own for each purpose and time.
    fn shuffled(&self, count: usize, purpose: u64, time: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        order.shuffle(&mut Pcg64::new(u128::from(purpose) << 64 | u128::from(self.seed), u128::from(time)));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three photos at each of 20 frames, a second apart.
    fn windows(frames: u32) -> Windows {
        let seconds: Vec<f64> = (0..60).map(|i| f64::from(i % 20)).collect();
        Windows::new(&seconds, &Timeline { start: 0.0, frame_rate: 1.0, frames: 20 }, frames, 6, 7)
    }

    #[test]
    fn every_photo_has_its_turn_before_any_comes_again() {
        for (frames, count) in [(0, 1), (5, 4), (8, 3)] {
            let windows = windows(frames);
            assert_eq!(windows.photos.len(), count);
            let mut last = vec![None; 60];
            for step in 0..600 {
                let photo = windows.photo(step);
                let window = windows.at(step);
                let [from, to] = windows.span(window);
                let at = (photo % 20) as f64;
                assert!((from..=to).contains(&at) && windows.of(at) == window, "step {step}: {at} s in {from} to {to}");
                let size = windows.photos[window].len() as u64;
                let mine = &mut last[photo];
                // Shuffled anew after each pass, a photo may come last in one and first in the next.
                if let Some(before) = mine.replace(step / (6 * count as u64) * 6 + step % 6) {
                    let now = step / (6 * count as u64) * 6 + step % 6;
                    assert!(now / size > before / size, "photo {photo} comes twice in a pass of {size}");
                }
            }
            assert!(last.iter().all(Option::is_some), "a photo is never looked at");
        }
    }

    #[test]
    fn windows_change_after_a_visit_and_all_come_in_a_round() {
        let windows = windows(5);
        for round in 0..5 {
            let mut visited: Vec<usize> = (0..4).map(|visit| windows.at((round * 4 + visit) * 6)).collect();
            assert!((0..24).all(|step| windows.at(round * 24 + step) == visited[step as usize / 6]));
            visited.sort_unstable();
            assert_eq!(visited, [0, 1, 2, 3]);
        }
    }
}
