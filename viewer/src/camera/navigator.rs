//! Smooth motion, independent of the frame rate.

use super::rig::Rig;

/// Time in which a motion is done to 63 %, seconds.
const TIME_CONSTANT: f64 = 0.06;
/// Motion is over when this share of it is left.
const SETTLED: f64 = 1e-4;

/// A rig that glides to where it is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Navigator {
    goal: Rig,
    shown: Rig,
}

impl Navigator {
    /// Standing still.
    pub fn new(rig: Rig) -> Self {
        Self { goal: rig, shown: rig }
    }

    /// Where it is going; changes are glided to.
    pub fn goal(&mut self) -> &mut Rig {
        &mut self.goal
    }

    /// Where it is.
    pub fn rig(&self) -> &Rig {
        &self.shown
    }

    /// Goes there at once.
    pub fn jump(&mut self, rig: Rig) {
        *self = Self::new(rig);
    }

    /// Lets time pass; whether anything still moves. The path does not depend on how the time is divided into steps.
    pub fn update(&mut self, seconds: f64) -> bool {
        if self.shown == self.goal {
            return false;
        }
        let share = 1.0 - (-seconds.max(0.0) / TIME_CONSTANT).exp();
        self.shown = self.shown.between(&self.goal, share);
        if self.is_settled() {
            self.shown = self.goal;
        }
        true
    }

    fn is_settled(&self) -> bool {
        let (a, b) = (&self.shown, &self.goal);
        let moved = (a.eye() - b.eye()).norm() + (a.pivot - b.pivot).norm();
        let turned = (a.yaw - b.yaw).abs() + (a.pitch - b.pitch).abs() + (a.fov - b.fov).abs();
        moved < SETTLED * b.distance && turned < SETTLED && (a.up.into_inner() - b.up.into_inner()).norm() < SETTLED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Unit, Vector3};

    fn moving() -> Navigator {
        let up = Unit::new_normalize(-Vector3::y());
        let rig = Rig { pivot: Vector3::zeros(), distance: 4.0, yaw: 0.0, pitch: 0.0, fov: 0.9, up };
        let mut navigator = Navigator::new(rig);
        navigator.goal().orbit(1.0, 0.5);
        navigator.goal().dolly(0.5);
        navigator
    }

    #[test]
    fn motion_does_not_depend_on_the_frame_rate() {
        let (mut fast, mut slow) = (moving(), moving());
        (0..24).for_each(|_| assert!(fast.update(1.0 / 240.0)));
        slow.update(0.1);
        assert!((fast.rig().yaw - slow.rig().yaw).abs() < 1e-9);
        assert!((fast.rig().distance - slow.rig().distance).abs() < 1e-9);
    }

    #[test]
    fn motion_comes_to_rest_where_it_was_sent() {
        let mut navigator = moving();
        let frames = (0..600).take_while(|_| navigator.update(1.0 / 60.0)).count();
        assert!(frames < 60, "still moving after {frames} frames");
        assert_eq!(*navigator.rig(), *moving().goal());
    }
}
