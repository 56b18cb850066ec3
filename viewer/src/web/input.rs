//! What people do on the page.

use super::WebViewer;
use crate::camera::{Button, Key, Modifiers, Preset, Rig};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
impl WebViewer {
    /// A button (as browsers number them) goes down over the canvas.
    pub fn press(&mut self, button: u16, shift: bool, ctrl: bool, alt: bool) {
        self.controls.press(button_of(button), Modifiers { shift, ctrl, alt });
    }

    /// A button goes up.
    pub fn release(&mut self, button: u16) {
        self.controls.release(button_of(button));
    }

    /// The pointer moves, in pixels of the page; whether that moves the camera.
    pub fn drag(&mut self, right: f64, down: f64, height: f64) -> bool {
        self.controls.drag(&mut self.navigator, [right, down], height)
    }

    /// The wheel turns, positive towards the user.
    pub fn wheel(&mut self, lines: f64) {
        self.controls.wheel(&mut self.navigator, -lines);
    }

    /// A pinch on a touchpad brings nearer by a factor.
    pub fn pinch(&mut self, factor: f64) {
        self.controls.pinch(&mut self.navigator, factor);
    }

    /// A finger touches or moves.
    pub fn touch(&mut self, finger: u32, x: f64, y: f64, height: f64) {
        self.controls.touch(&mut self.navigator, u64::from(finger), Some([x, y]), height);
    }

    /// A finger leaves.
    pub fn touch_end(&mut self, finger: u32, height: f64) {
        self.controls.touch(&mut self.navigator, u64::from(finger), None, height);
    }

    /// A key, by its place on the keyboard (`KeyboardEvent.code`), goes down or up; whether it moves the camera.
    pub fn key(&mut self, code: &str, down: bool) -> bool {
        let key = match code {
            "KeyW" => Key::Forward,
            "KeyS" => Key::Back,
            "KeyA" => Key::Left,
            "KeyD" => Key::Right,
            "KeyE" | "PageUp" => Key::Up,
            "KeyQ" | "PageDown" => Key::Down,
            _ => return false,
        };
        self.controls.key(key, down);
        true
    }

    /// The page is no longer in front: nothing is held.
    pub fn let_go(&mut self) {
        self.controls.let_go();
    }

    /// Turns about what is looked at, radians.
    pub fn orbit(&mut self, right: f64, down: f64) {
        self.navigator.goal().orbit(right, down);
    }

    /// Nearer or farther by a factor.
    pub fn dolly(&mut self, factor: f64) {
        self.navigator.goal().dolly(factor);
    }

    /// Back to the first view.
    pub fn go_home(&mut self) {
        if let Some(home) = self.home {
            let mut rig = home;
            // The short way round.
            rig.yaw += std::f64::consts::TAU * ((self.navigator.rig().yaw - rig.yaw) / std::f64::consts::TAU).round();
            *self.navigator.goal() = rig;
        }
    }

    /// Along the scene's axes: 1 to 6.
    pub fn look_along(&mut self, preset: u8) {
        let presets = [Preset::Front, Preset::Back, Preset::Left, Preset::Right, Preset::Top, Preset::Bottom];
        if let Some(preset) = presets.get(usize::from(preset).wrapping_sub(1)) {
            self.navigator.goal().set_preset(*preset);
        }
    }

    /// Where the camera goes, for a link: numbers with commas.
    pub fn camera_text(&self) -> String {
        let Rig { pivot, distance, yaw, pitch, fov, up } = *self.navigator.rig();
        let numbers = [pivot.x, pivot.y, pivot.z, distance, yaw, pitch, fov, up.x, up.y, up.z];
        numbers.map(|number| short(number, distance)).join(",")
    }

    /// Goes where a link says; whether it says anything that can be understood.
    pub fn set_camera_text(&mut self, text: &str) -> bool {
        let numbers: Vec<f64> = text.split(',').map_while(|part| part.trim().parse().ok()).collect();
        let &[x, y, z, distance, yaw, pitch, fov, ux, uy, uz] = numbers.as_slice() else { return false };
        let up = nalgebra::Unit::try_new(nalgebra::Vector3::new(ux, uy, uz), 1e-6);
        let is_sound = numbers.iter().all(|number| number.is_finite() && number.abs() < 1e12)
            && (1e-9..1e9).contains(&distance)
            && (0.05..2.5).contains(&fov);
        let Some(up) = up.filter(|_| is_sound) else { return false };
        let mut rig = Rig { pivot: nalgebra::Vector3::new(x, y, z), distance, yaw, pitch: 0.0, fov, up };
        rig.orbit(0.0, -pitch);
        self.navigator.jump(rig);
        self.is_placed = true;
        true
    }
}

fn button_of(button: u16) -> Button {
    match button {
        1 => Button::Middle,
        2 => Button::Right,
        _ => Button::Left,
    }
}

/// A number with as many digits as a camera at this distance needs.
fn short(number: f64, distance: f64) -> String {
    let digits = (4.0 - distance.min(1.0).max(1e-9).log10()).clamp(4.0, 12.0) as usize;
    let text = format!("{number:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
