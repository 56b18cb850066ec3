//! A film along the camera path, drawn a few pictures at a time so that the window stays awake.

use super::commands::picture;
use super::content::Video;
use super::document::Document;
use crate::renderer::{Renderer, Style, View};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Pictures are drawn for so long before the window has its turn.
const TURN: Duration = Duration::from_millis(200);

/// A film that is being made. Dropped before its end, nothing of it is left.
pub struct Film {
    /// The file or folder.
    pub path: PathBuf,
    frames: Vec<(View, Style)>,
    done: usize,
    video: Box<dyn Video>,
}

impl Film {
    /// Begins.
    pub fn new(path: PathBuf, frames: Vec<(View, Style)>, video: Box<dyn Video>) -> Self {
        Self { path, frames, done: 0, video }
    }

    /// Pictures that are done, and how many there will be.
    pub fn progress(&self) -> (usize, usize) {
        (self.done, self.frames.len())
    }

    /// What was drawn last, and how: shown as it is, it need not be drawn again.
    pub fn shown(&self) -> Option<(View, Style)> {
        self.frames.get(self.done.checked_sub(1)?).copied()
    }

    /// Draws some more pictures; whether all are done.
    ///
    /// # Errors
    /// When one cannot be drawn or written.
    pub fn advance(&mut self, document: &mut Document, renderer: &mut Renderer) -> Result<bool, String> {
        let begun = Instant::now();
        while let Some((view, style)) = self.frames.get(self.done) {
            if let Some(playback) = &mut document.playback {
                playback.show_at(f64::from(style.time), renderer);
            }
            self.video.add(&picture(renderer, view, style)?)?;
            self.done += 1;
            if begun.elapsed() > TURN {
                break;
            }
        }
        Ok(self.done == self.frames.len())
    }

    /// Gives the film its name.
    ///
    /// # Errors
    /// When it cannot be completed.
    pub fn finish(self) -> Result<(), String> {
        self.video.finish()
    }
}
