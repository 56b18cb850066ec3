//! What is done about a graphics device that was lost: when another is asked for, and when there is no more hope.

use std::time::{Duration, Instant};

/// How often in a row a device is asked for.
const ATTEMPTS: u32 = 6;
/// From a failed attempt to the next; doubled every time. A driver that is reset takes a second or two.
const PAUSE: Duration = Duration::from_millis(250);
/// More losses than this, each within [`CALM`] of the one before, and it is the scene that the device does not bear.
const LOSSES: u32 = 3;
/// After this time a loss has nothing to do with the one before.
const CALM: Duration = Duration::from_secs(60);

/// Where one is after losses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recovery {
    losses: u32,
    last_loss: Option<Instant>,
    attempts: u32,
    next: Option<Instant>,
}

impl Recovery {
    /// The device was lost; whether another shall be asked for.
    pub fn lost(&mut self, now: Instant) -> bool {
        let is_again = self.last_loss.is_some_and(|last| now.saturating_duration_since(last) < CALM);
        let losses = if is_again { self.losses + 1 } else { 1 };
        *self = Self { losses, last_loss: Some(now), attempts: 0, next: Some(now) };
        losses <= LOSSES
    }

    /// When a device is to be asked for; none while there is one.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// There was none; whether one shall be asked for again.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.next = Some(now + PAUSE * 2u32.pow(self.attempts.min(ATTEMPTS)));
        self.attempts += 1;
        self.attempts < ATTEMPTS
    }

    /// There is one again.
    pub fn succeeded(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_asked_for_a_few_times_and_later_each_time() {
        let now = Instant::now();
        let mut recovery = Recovery::default();
        assert!(recovery.next().is_none() && recovery.lost(now) && recovery.next() == Some(now));
        let pauses: Vec<Duration> =
            std::iter::from_fn(|| recovery.failed(now).then(|| recovery.next().expect("an attempt") - now)).collect();
        assert!(pauses.is_sorted() && pauses.len() == 5, "{pauses:?}");
        assert!(pauses.iter().sum::<Duration>() > Duration::from_secs(5), "{pauses:?}");
    }

    #[test]
    fn a_device_that_is_lost_again_and_again_is_given_up_and_one_that_is_lost_now_and_then_is_not() {
        let begin = Instant::now();
        let lose = |every: Duration| {
            let mut recovery = Recovery::default();
            let survived = |&i: &u32| {
                let goes_on = recovery.lost(begin + every * i);
                recovery.succeeded();
                goes_on
            };
            (0..10).take_while(survived).count()
        };
        assert_eq!(lose(Duration::from_secs(2)), 3);
        assert_eq!(lose(Duration::from_secs(600)), 10);
    }
}
