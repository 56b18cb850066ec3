//! Anything that is played: splats that move, or meshes of several moments. Windows and pages drive both alike.

use super::{Clock, MovingMeshes, MovingScene, Playhead};
use crate::ViewerError;
use crate::renderer::{MeshData, Page, Renderer};

/// What is played, in pieces that come when they are wanted.
#[derive(Debug)]
pub enum Track {
    /// Splats that move; a piece is a page of them.
    Splats(MovingScene),
    /// A mesh for each moment; a piece is one of these.
    Meshes(MovingMeshes),
}

/// A piece, ready for the device.
#[derive(Debug)]
pub enum Piece {
    /// Of [`Track::Splats`].
    Splats(Page),
    /// Of [`Track::Meshes`].
    Mesh(MeshData),
}

/// Does the same with whichever it is.
macro_rules! either {
    ($track:expr, $inner:ident => $does:expr) => {
        match $track {
            Track::Splats($inner) => $does,
            Track::Meshes($inner) => $does,
        }
    };
}

impl Track {
    /// A clock that stands still at a moment, seconds after the first frame.
    pub fn clock(&self, seconds: f64) -> Clock {
        match self {
            Self::Splats(scene) => Clock::new(scene.manifest().timeline, seconds),
            Self::Meshes(meshes) => meshes.moments().clock(seconds),
        }
    }

    /// The pieces that are missing, the most urgent first.
    pub fn wanted(&self, at: Playhead) -> Vec<u32> {
        either!(self, track => track.wanted(at))
    }

    /// Puts a piece on the device.
    ///
    /// # Errors
    /// When there is no memory for it, or it is none of this track.
    pub fn add(&mut self, number: u32, piece: &Piece, renderer: &mut Renderer) -> Result<(), ViewerError> {
        match (self, piece) {
            (Self::Splats(scene), Piece::Splats(page)) => scene.add(number, page, renderer),
            (Self::Meshes(meshes), Piece::Mesh(mesh)) => meshes.add(number, mesh, renderer),
            _ => Err(ViewerError::BadScene("splats came in place of a mesh, or the reverse".to_owned())),
        }
    }

    /// Goes without a piece that cannot be had, until it has been out of sight.
    pub fn miss(&mut self, number: u32) {
        either!(self, track => track.miss(number));
    }

    /// Gives all pieces that could not be had a new chance.
    pub fn retry_missed(&mut self) {
        either!(self, track => track.retry_missed());
    }

    /// Shows a moment, as far as it has come, and forgets what is not near.
    pub fn show(&mut self, at: Playhead, renderer: &mut Renderer) {
        either!(self, track => track.show(at, renderer));
    }

    /// Lets so many seconds of watching pass while it is played; whether it is.
    pub fn pass(&self, clock: &mut Clock, seconds: f64) -> bool {
        either!(self, track => track.pass(clock, seconds))
    }

    /// Whether nothing that is seen at a moment is still to come.
    pub fn is_complete(&self, seconds: f64) -> bool {
        either!(self, track => track.is_complete(seconds))
    }

    /// Whether a piece is seen now or soon.
    pub fn is_needed(&self, number: u32, at: Playhead) -> bool {
        either!(self, track => track.is_needed(number, at))
    }

    /// When a piece is seen: from and to, seconds after the first frame; none when it is seen all the time.
    pub fn seconds_of(&self, number: u32) -> Option<[f64; 2]> {
        match self {
            Self::Splats(scene) => scene.seconds_of(number),
            Self::Meshes(meshes) => Some(meshes.moments().seconds_of(number)),
        }
    }

    /// How many pieces are seen at a moment, how many of them are settled, what of them is on the device and how much there is in all:
    /// splats, or moments.
    pub fn progress(&self, seconds: f64) -> (usize, usize, u64, u64) {
        match self {
            Self::Splats(scene) => {
                let (seen, there, splats) = scene.progress(seconds);
                (seen, there, splats, scene.manifest().splats)
            }
            Self::Meshes(meshes) => {
                let (there, shown) = (meshes.is_complete(seconds), meshes.shown().is_some());
                (1, usize::from(there), u64::from(shown), meshes.moments().seconds.len() as u64)
            }
        }
    }

    /// Takes everything off the device.
    pub fn clear(&mut self, renderer: &mut Renderer) {
        either!(self, track => track.clear(renderer));
    }
}
