//! Cameras as people move them: pure logic, shared by the window and the web page.
//!
//! - [`Rig`]: what is looked at, from where, with what angle of view; smoothed in time by [`Navigator`];
//! - [`Controls`]: from pointers, touches, wheels and keys to motions, by the habits of Blender, of SuperSplat and other
//!   web viewers, or of games;
//! - [`looking_at`]: a pose from two points.
//!
//! Distances are in world units, angles in radians, pointers in pixels.

mod controls;
mod navigator;
mod path;
mod pose;
mod rig;

pub use controls::{Button, Controls, Habit, Key, Modifiers};
pub use navigator::Navigator;
pub use path::{CameraPath, Keyframe};
pub use pose::looking_at;
pub use rig::{Preset, Rig};
