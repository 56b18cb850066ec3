//! From pointers, wheels and keys to motions.

use super::navigator::Navigator;
use std::collections::HashSet;

/// What people are used to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Habit {
    /// Left drag turns, right drag shifts, wheel moves nearer: web viewers, SuperSplat.
    #[default]
    Orbit,
    /// Middle drag turns, with Shift shifts, with Ctrl moves nearer; the left button is free.
    Blender,
    /// Drag looks around, W A S D Q E fly, Shift is faster, the wheel sets the speed.
    Game,
    /// Left drag shifts, right drag turns, wheel moves nearer: maps and pictures.
    Map,
}

/// A button of the pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Button {
    /// Left; a finger.
    Left,
    /// Middle or wheel.
    Middle,
    /// Right.
    Right,
}

/// Keys that are held while something else happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modifiers {
    /// Shift.
    pub shift: bool,
    /// Ctrl, or Command.
    pub ctrl: bool,
    /// Alt, or Option.
    pub alt: bool,
}

/// A key that moves the camera while it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// W or arrow up.
    Forward,
    /// S or arrow down.
    Back,
    /// A or arrow left.
    Left,
    /// D or arrow right.
    Right,
    /// E or Page Up.
    Up,
    /// Q or Page Down.
    Down,
}

/// Radians of turn for each pixel of a drag.
const TURN_PER_PIXEL: f64 = 0.005;
/// How much nearer a line of the wheel brings.
const DOLLY_PER_LINE: f64 = 0.12;
/// How much nearer a pixel of a drag or of a touchpad brings.
const DOLLY_PER_PIXEL: f64 = 0.004;
/// Pixels that a column of a wheel sideways is taken for, where a touchpad is reported as a wheel.
const PIXELS_PER_COLUMN: f64 = 20.0;
/// Scenes crossed in a second of flight at the usual speed.
const FLIGHTS_PER_SECOND: f64 = 0.25;
/// How much faster Shift is.
const FAST: f64 = 4.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Motion {
    Orbit,
    Look,
    Pan,
    Dolly,
}

/// Turns events into motions of a [`Navigator`].
#[derive(Clone, Debug)]
pub struct Controls {
    /// Which buttons do what.
    pub habit: Habit,
    /// What flight speed is multiplied by.
    pub speed: f64,
    /// Size of the scene, world units: what flight speed is measured in.
    pub extent: f64,
    held: HashSet<Key>,
    drag: Option<(Button, Modifiers)>,
    fingers: Vec<(u64, [f64; 2])>,
}

impl Default for Controls {
    fn default() -> Self {
        Self { habit: Habit::default(), speed: 1.0, extent: 1.0, held: HashSet::new(), drag: None, fingers: Vec::new() }
    }
}

impl Controls {
    /// A button goes down over the picture.
    pub fn press(&mut self, button: Button, modifiers: Modifiers) {
        self.drag = Some((button, modifiers));
    }

    /// A button goes up, anywhere.
    pub fn release(&mut self, button: Button) {
        if self.drag.is_some_and(|(dragging, _)| dragging == button) {
            self.drag = None;
        }
    }

    /// The pointer moves by so many pixels in a picture of this height; whether that moves the camera.
    pub fn drag(&mut self, navigator: &mut Navigator, [right, down]: [f64; 2], height: f64) -> bool {
        let Some(motion) = self.drag.and_then(|(button, modifiers)| self.motion(button, modifiers)) else {
            return false;
        };
        let rig = navigator.goal();
        match motion {
            Motion::Orbit => rig.orbit(TURN_PER_PIXEL * right, TURN_PER_PIXEL * down),
            Motion::Look => rig.look(TURN_PER_PIXEL * right, -TURN_PER_PIXEL * down),
            Motion::Pan => rig.pan(right, down, height),
            Motion::Dolly => rig.dolly((DOLLY_PER_PIXEL * down).exp()),
        }
        true
    }

    fn motion(&self, button: Button, modifiers: Modifiers) -> Option<Motion> {
        match (self.habit, button) {
            (Habit::Orbit, Button::Left) if modifiers.shift => Some(Motion::Pan),
            (Habit::Orbit, Button::Left) if modifiers.ctrl => Some(Motion::Dolly),
            (Habit::Orbit, Button::Left) => Some(Motion::Orbit),
            (Habit::Orbit, Button::Middle | Button::Right) => Some(Motion::Pan),
            (Habit::Blender, Button::Middle) if modifiers.shift => Some(Motion::Pan),
            (Habit::Blender, Button::Middle) if modifiers.ctrl => Some(Motion::Dolly),
            (Habit::Blender, Button::Middle) => Some(Motion::Orbit),
            // Emulation of the middle button, for those who have none.
            (Habit::Blender, Button::Left) if modifiers.alt => Some(Motion::Orbit),
            (Habit::Blender, _) => None,
            (Habit::Game, Button::Left | Button::Right) => Some(Motion::Look),
            (Habit::Game, Button::Middle) => Some(Motion::Pan),
            (Habit::Map, Button::Left | Button::Middle) => Some(Motion::Pan),
            (Habit::Map, Button::Right) => Some(Motion::Orbit),
        }
    }

    /// The wheel turns by so many lines, positive away from the user. In games it sets the speed.
    pub fn wheel(&mut self, navigator: &mut Navigator, lines: f64) {
        match self.habit {
            Habit::Game => self.speed = (self.speed * (DOLLY_PER_LINE * lines).exp()).clamp(1e-3, 1e3),
            _ => navigator.goal().dolly((-DOLLY_PER_LINE * lines).exp()),
        }
    }

    /// What is reported as a wheel turns sideways by so many columns, positive to the right: on X11 that is two fingers on a
    /// touchpad, as far as they move sideways.
    pub fn wheel_sideways(&mut self, navigator: &mut Navigator, columns: f64, modifiers: Modifiers, height: f64) {
        self.touchpad(navigator, [PIXELS_PER_COLUMN * columns, 0.0], modifiers, height);
    }

    /// Two fingers slide on a touchpad by so many pixels: they turn, with Shift they shift, with Ctrl (which browsers
    /// report for a pinch) they move nearer.
    pub fn touchpad(&mut self, navigator: &mut Navigator, [x, y]: [f64; 2], modifiers: Modifiers, height: f64) {
        let rig = navigator.goal();
        match (self.habit, modifiers) {
            (_, Modifiers { ctrl: true, .. }) => rig.dolly((-DOLLY_PER_PIXEL * y).exp()),
            (_, Modifiers { shift: true, .. }) | (Habit::Map, _) => rig.pan(x, y, height),
            (Habit::Game, _) => rig.look(-TURN_PER_PIXEL * x, TURN_PER_PIXEL * y),
            _ => rig.orbit(TURN_PER_PIXEL * x, TURN_PER_PIXEL * y),
        }
    }

    /// A pinch on a touchpad or screen brings nearer by this factor.
    pub fn pinch(&mut self, navigator: &mut Navigator, factor: f64) {
        if factor > 0.0 && factor.is_finite() {
            navigator.goal().dolly(1.0 / factor);
        }
    }

    /// A finger touches the screen at a pixel, moves there, or leaves (`None`). One finger turns (or looks), two shift and
    /// pinch.
    pub fn touch(&mut self, navigator: &mut Navigator, finger: u64, at: Option<[f64; 2]>, height: f64) {
        let known = self.fingers.iter().position(|(id, _)| *id == finger);
        let (Some(at), Some(index)) = (at, known) else {
            self.fingers.retain(|(id, _)| *id != finger);
            self.fingers.extend(at.map(|at| (finger, at)));
            return;
        };
        let before = self.fingers.clone();
        self.fingers[index].1 = at;
        let moved = [at[0] - before[index].1[0], at[1] - before[index].1[1]];
        let rig = navigator.goal();
        match self.fingers.len() {
            1 if self.habit == Habit::Map => rig.pan(moved[0], moved[1], height),
            1 if self.habit == Habit::Game => rig.look(-TURN_PER_PIXEL * moved[0], TURN_PER_PIXEL * moved[1]),
            1 => rig.orbit(TURN_PER_PIXEL * moved[0], TURN_PER_PIXEL * moved[1]),
            2 => {
                rig.pan(0.5 * moved[0], 0.5 * moved[1], height);
                let spread = |f: &[(u64, [f64; 2])]| (f[0].1[0] - f[1].1[0]).hypot(f[0].1[1] - f[1].1[1]);
                let factor = spread(&self.fingers) / spread(&before);
                self.pinch(navigator, factor);
            }
            _ => {}
        }
    }

    /// A key goes down or up.
    pub fn key(&mut self, key: Key, down: bool) {
        if down {
            self.held.insert(key);
        } else {
            self.held.remove(&key);
        }
    }

    /// Forgets all that is held: the window or page is no longer in front.
    pub fn let_go(&mut self) {
        self.held.clear();
        self.fingers.clear();
        self.drag = None;
    }

    /// Flies for as long as keys are held; whether any is.
    pub fn fly(&self, navigator: &mut Navigator, seconds: f64, fast: bool) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let axis = |forward, back| {
            f64::from(u8::from(self.held.contains(&forward))) - f64::from(u8::from(self.held.contains(&back)))
        };
        let direction = [axis(Key::Right, Key::Left), axis(Key::Up, Key::Down), axis(Key::Forward, Key::Back)];
        let speed = FLIGHTS_PER_SECOND * self.extent * self.speed * if fast { FAST } else { 1.0 };
        navigator.goal().fly(direction.map(|d| d * speed * seconds));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::Rig;
    use nalgebra::{Unit, Vector3};

    const SHIFT: Modifiers = Modifiers { shift: true, ctrl: false, alt: false };

    fn navigator() -> Navigator {
        let up = Unit::new_normalize(-Vector3::y());
        Navigator::new(Rig { pivot: Vector3::zeros(), distance: 4.0, yaw: 0.0, pitch: 0.0, fov: 0.9, up })
    }

    fn dragged(habit: Habit, button: Button, modifiers: Modifiers) -> Rig {
        let (mut controls, mut navigator) = (Controls { habit, ..Controls::default() }, navigator());
        controls.press(button, modifiers);
        controls.drag(&mut navigator, [40.0, 0.0], 100.0);
        controls.release(button);
        assert!(!controls.drag(&mut navigator, [40.0, 0.0], 100.0), "the button is up");
        *navigator.goal()
    }

    #[test]
    fn buttons_do_what_each_habit_expects() {
        let start = *navigator().goal();
        let plain = Modifiers::default();
        let orbits = |rig: Rig| rig.pivot == start.pivot && rig.yaw != start.yaw;
        let pans = |rig: Rig| rig.pivot != start.pivot && rig.yaw == start.yaw;
        let looks = |rig: Rig| (rig.eye() - start.eye()).norm() < 1e-12 && rig.yaw != start.yaw;
        assert!(orbits(dragged(Habit::Orbit, Button::Left, plain)));
        assert!(pans(dragged(Habit::Orbit, Button::Right, plain)));
        assert!(pans(dragged(Habit::Orbit, Button::Left, SHIFT)));
        assert!(orbits(dragged(Habit::Blender, Button::Middle, plain)));
        assert!(pans(dragged(Habit::Blender, Button::Middle, SHIFT)));
        assert_eq!(dragged(Habit::Blender, Button::Left, plain), start);
        assert!(looks(dragged(Habit::Game, Button::Left, plain)));
        assert!(pans(dragged(Habit::Map, Button::Left, plain)));
        assert!(orbits(dragged(Habit::Map, Button::Right, plain)));
    }

    #[test]
    fn the_wheel_moves_nearer_and_back_again() {
        let (mut controls, mut navigator) = (Controls::default(), navigator());
        controls.wheel(&mut navigator, 3.0);
        assert!(navigator.goal().distance < 4.0);
        controls.wheel(&mut navigator, -3.0);
        assert!((navigator.goal().distance - 4.0).abs() < 1e-12);
    }

    #[test]
    fn two_fingers_on_a_touchpad_turn_shift_and_move_nearer() {
        let start = *navigator().goal();
        let slid = |habit, modifiers| {
            let (mut controls, mut navigator) = (Controls { habit, ..Controls::default() }, navigator());
            controls.touchpad(&mut navigator, [30.0, 12.0], modifiers, 400.0);
            *navigator.goal()
        };
        let turned = slid(Habit::Orbit, Modifiers::default());
        assert!(turned.pivot == start.pivot && turned.distance == start.distance);
        assert!((turned.yaw - start.yaw - 30.0 * TURN_PER_PIXEL).abs() < 1e-12, "{turned:?}");
        assert!((turned.pitch - start.pitch + 12.0 * TURN_PER_PIXEL).abs() < 1e-12, "{turned:?}");
        assert_eq!(slid(Habit::Blender, Modifiers::default()), turned);
        let shifted = slid(Habit::Orbit, SHIFT);
        assert!(shifted.pivot != start.pivot && (shifted.yaw, shifted.distance) == (start.yaw, start.distance));
        assert_eq!(slid(Habit::Map, Modifiers::default()), shifted);
        let nearer = slid(Habit::Orbit, Modifiers { ctrl: true, ..Modifiers::default() });
        assert!(nearer.distance < start.distance && nearer.yaw == start.yaw && nearer.pivot == start.pivot);
        let looked = slid(Habit::Game, Modifiers::default());
        assert!((looked.eye() - start.eye()).norm() < 1e-12 && looked.yaw != start.yaw);
        let mut pinched = navigator();
        Controls::default().pinch(&mut pinched, 2.0);
        assert_eq!(pinched.goal().distance, 2.0);
    }

    #[test]
    fn a_wheel_sideways_is_a_touchpad_sideways() {
        let (mut controls, mut wheel, mut touchpad) = (Controls::default(), navigator(), navigator());
        controls.wheel_sideways(&mut wheel, 1.5, Modifiers::default(), 400.0);
        controls.touchpad(&mut touchpad, [1.5 * PIXELS_PER_COLUMN, 0.0], Modifiers::default(), 400.0);
        assert!(wheel.goal().yaw != navigator().goal().yaw && wheel == touchpad);
    }

    #[test]
    fn spreading_two_fingers_moves_nearer() {
        let (mut controls, mut navigator) = (Controls::default(), navigator());
        controls.touch(&mut navigator, 1, Some([100.0, 100.0]), 400.0);
        controls.touch(&mut navigator, 2, Some([200.0, 100.0]), 400.0);
        controls.touch(&mut navigator, 2, Some([300.0, 100.0]), 400.0);
        assert!((navigator.goal().distance - 2.0).abs() < 1e-12);
        controls.touch(&mut navigator, 2, None, 400.0);
        let yaw = navigator.goal().yaw;
        controls.touch(&mut navigator, 1, Some([110.0, 100.0]), 400.0);
        assert!(navigator.goal().yaw != yaw, "one finger that is left turns");
    }

    #[test]
    fn flight_depends_on_time_and_not_on_frames() {
        let (mut controls, mut one, mut many) = (Controls::default(), navigator(), navigator());
        controls.key(Key::Forward, true);
        controls.key(Key::Left, true);
        assert!(controls.fly(&mut one, 1.0, false));
        (0..50).for_each(|_| assert!(controls.fly(&mut many, 0.02, false)));
        assert!((one.goal().pivot - many.goal().pivot).norm() < 1e-9);
        controls.let_go();
        assert!(!controls.fly(&mut one, 1.0, false));
    }
}
