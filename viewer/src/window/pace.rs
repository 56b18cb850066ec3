//! How coarse the picture is while the camera moves, so that it follows the hand on slow adapters too.

/// Frames that take longer are slow, milliseconds.
const SLOW: f64 = 50.0;
/// Frames of half the resolution that are shorter leave room for four times the pixels.
const QUICK: f64 = 0.2 * SLOW;
/// The coarsest share of the resolution.
const COARSEST: f32 = 0.125;

/// A share of the resolution that follows from how long frames take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    share: f32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { share: 1.0 }
    }
}

impl Pace {
    /// What the resolution is multiplied by.
    pub fn share(&self) -> f32 {
        self.share
    }

    /// Takes how long a frame with this share took, milliseconds.
    pub fn note(&mut self, milliseconds: f64) {
        if milliseconds > SLOW {
            self.share = (0.5 * self.share).max(COARSEST);
        } else if milliseconds < QUICK {
            self.share = (2.0 * self.share).min(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share after many frames whose time is that of `full` milliseconds for the whole resolution, and of 5 for the rest.
    fn settled(full: f64) -> f32 {
        let mut pace = Pace::default();
        let shares: Vec<f32> = (0..20)
            .map(|_| {
                pace.note(5.0 + full * f64::from(pace.share()).powi(2));
                pace.share()
            })
            .collect();
        assert!(shares[10..].iter().all(|share| *share == shares[10]), "it does not come to rest: {shares:?}");
        shares[10]
    }

    #[test]
    fn slow_frames_become_coarser_until_they_are_quick_enough() {
        assert_eq!(settled(10.0), 1.0);
        assert_eq!(settled(150.0), 0.5);
        assert_eq!(settled(500.0), 0.25);
        assert_eq!(settled(100_000.0), COARSEST);
    }

    #[test]
    fn what_becomes_quick_is_drawn_finely_again() {
        let mut pace = Pace { share: COARSEST };
        (0..3).for_each(|_| pace.note(4.0));
        assert_eq!(pace.share(), 1.0);
    }
}
