//! A scene without what is not wanted of it, judged splat by splat.

use super::Edits;
use crate::Result;
use crate::format::stream::{SplatHeader, SplatSink, SplatSource};
use crate::scene::{Floaters, Frusta, SplatCloud};

/// The splats of a source that are wanted, with the number of those that are not.
pub(super) struct Kept {
    source: Box<dyn SplatSource>,
    crop: Option<[[f32; 3]; 2]>,
    crop_ball: Option<([f32; 3], f32)>,
    seen_by: Option<(Frusta, usize)>,
    floaters: Option<Floaters>,
    /// Splats that [`Self::floaters`] was asked about.
    asked: usize,
    /// Takes the floaters.
    pub(super) rejects: Option<Box<dyn SplatSink>>,
    pub(super) min_opacity: Option<f32>,
    pub(super) outside: u64,
    pub(super) unseen: u64,
    pub(super) too_faint: u64,
}

impl Kept {
    /// What lies in the region that is asked for.
    pub(super) fn new(source: Box<dyn SplatSource>, edits: &Edits) -> Self {
        let scene_from_world = source.header().scene_from_world;
        let seen_by = edits.seen_by.as_ref();
        Self {
            source,
            crop: edits.crop,
            crop_ball: edits.crop_ball,
            seen_by: seen_by.map(|(cameras, n)| (Frusta::new(cameras.iter().copied(), &scene_from_world), *n)),
            floaters: None,
            asked: 0,
            rejects: None,
            min_opacity: None,
            outside: 0,
            unseen: 0,
            too_faint: 0,
        }
    }

    /// The same without floaters, which were found in that region and go into `rejects`.
    pub(super) fn without(self, floaters: Floaters, rejects: Option<Box<dyn SplatSink>>) -> Self {
        Self { floaters: Some(floaters), rejects, ..self }
    }

    /// Splats that were none.
    pub(super) fn invalid(&self) -> u64 {
        self.source.skipped()
    }

    fn sift(&mut self, chunk: &mut SplatCloud) -> Result<()> {
        let mut before = chunk.len();
        let mut gone = |chunk: &SplatCloud| (std::mem::replace(&mut before, chunk.len()) - chunk.len()) as u64;
        if let Some([low, high]) = self.crop {
            chunk.crop_to_box(low, high);
        }
        if let Some((centre, radius)) = self.crop_ball {
            chunk.crop_to_ball(centre, radius);
        }
        self.outside += gone(chunk);
        if let Some((frusta, at_least)) = &self.seen_by {
            frusta.keep_seen(chunk, *at_least);
            self.unseen += gone(chunk);
        }
        if let Some(floaters) = &self.floaters {
            let first = self.asked;
            self.asked += chunk.len();
            if let Some(rejects) = &mut self.rejects {
                let found: Vec<u32> =
                    (0..chunk.len() as u32).filter(|&i| floaters.is_floater(first + i as usize)).collect();
                rejects.put(&chunk.select(&found))?;
            }
            chunk.retain(|_, i| !floaters.is_floater(first + i));
            gone(chunk);
        }
        if let Some(opacity) = self.min_opacity {
            chunk.drop_fainter_than(opacity);
            self.too_faint += gone(chunk);
        }
        Ok(())
    }
}

impl SplatSource for Kept {
    fn header(&self) -> &SplatHeader {
        self.source.header()
    }

    fn next_chunk(&mut self, chunk: &mut SplatCloud) -> Result<bool> {
        while self.source.next_chunk(chunk)? {
            self.sift(chunk)?;
            if !chunk.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
