//! For whom the others waited: whoever comes last, from when the one before it has come.

use std::time::{Duration, Instant};

/// How long before stragglers are told.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Share of the time that is told of.
const TOLD_SHARE: f64 = 0.2;

/// Seconds that all others waited for each rank.
#[derive(Clone, Debug)]
pub struct Lateness {
    seconds: Vec<f64>,
    /// Since the last look.
    recent: Vec<f64>,
    looked: Instant,
}

impl Lateness {
    pub(super) fn new(ranks: usize) -> Self {
        Self { seconds: vec![0.0; ranks], recent: vec![0.0; ranks], looked: Instant::now() }
    }

    /// When rank 0 was ready, and the others in their order.
    pub(super) fn note(&mut self, lead: Instant, others: impl Iterator<Item = Instant>) {
        let mut arrivals: Vec<(Instant, usize)> = others.enumerate().map(|(i, at)| (at, i + 1)).collect();
        arrivals.push((lead, 0));
        arrivals.sort_unstable();
        if let [.., (before, _), (last, rank)] = arrivals[..] {
            let waited = last.duration_since(before).as_secs_f64();
            self.seconds[rank] += waited;
            self.recent[rank] += waited;
        }
    }

    /// Seconds that all others waited for each rank.
    pub fn seconds(&self) -> &[f64] {
        &self.seconds
    }

    /// Once a minute, a rank for which the others waited for more than a fifth of it: which, for how long, and of how long.
    pub fn straggler(&mut self) -> Option<(usize, f64, f64)> {
        let passed = self.looked.elapsed();
        (passed >= TELL_EVERY).then(|| self.look(passed.as_secs_f64())).flatten()
    }

    fn look(&mut self, passed: f64) -> Option<(usize, f64, f64)> {
        self.looked = Instant::now();
        let slowest = self.recent.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        self.recent.fill(0.0);
        let (rank, waited) = slowest?;
        (waited > TOLD_SHARE * passed).then_some((rank, waited, passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_waited_for_since_the_one_before() {
        let begin = Instant::now();
        let after = |ms| begin + Duration::from_millis(ms);
        let mut lateness = Lateness::new(3);
        lateness.note(after(0), [after(100), after(400)].into_iter());
        lateness.note(after(50), [after(10), after(20)].into_iter());
        let rounded: Vec<f64> = lateness.seconds().iter().map(|s| (1000.0 * s).round()).collect();
        assert_eq!(rounded, [30.0, 0.0, 300.0]);
        assert!(matches!(lateness.look(1.0), Some((2, waited, _)) if (waited - 0.3).abs() < 1e-6));
        assert_eq!(lateness.look(1.0), None, "what was told is not told again");
    }
}
