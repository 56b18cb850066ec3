//! The desktop window: a scene, a panel beside it, tools for looking, selecting, measuring and filming.
//!
//! The window opens no files and knows nothing of training: the program around it hands over [`Content`], does what a
//! [`Host`] does, and may send [`Update`]s of a running training. `app` turns events into commands and camera
//! motions, `commands` carries commands out, `frame` draws.

mod app;
mod commands;
mod content;
mod document;
mod edits;
mod film;
mod frame;
mod graphics;
mod notices;
mod overlay;
mod pace;
mod panels;
mod playback;
mod recovery;
mod selection;
mod state;
mod streaming;

pub use app::run;
pub use content::{
    Content, Decode, Host, Moving, MovingMesh, Options, Photo, ReadMoment, ReadMoving, ReadPage, Streamed, Update,
    Video,
};
pub use overlay::KEYS;
