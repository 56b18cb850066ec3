//! A moving scene that is played: which of its segments are on the graphics device at a moment.
//!
//! What is seen at a moment is the global bucket and one segment of each level, and those that come next while it is played are
//! there before they are needed. So memory does not grow with the length of the scene. [`MovingScene`] does no input and
//! output: whoever drives it reads the segments it wants, from a file or over a network.

use crate::ViewerError;
use crate::renderer::{MAX_PAGE, Page, PageId, Renderer};
use std::collections::BTreeMap;
use tessera_datasets::format::volumetric::VideoManifest;
use tessera_datasets::scene::MovingSplats;

/// Segments are wanted so long before they are seen, seconds.
const AHEAD: f64 = 1.0;

/// Where a scene is played from, and which way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playhead {
    /// After the first frame.
    pub seconds: f64,
    /// What seconds grow by in a second: 1 as it was filmed, 0 standing still, negative backwards.
    pub rate: f64,
}

/// A moving scene and its segments on the device.
#[derive(Debug)]
pub struct MovingScene {
    manifest: VideoManifest,
    /// By number in the manifest; none of a segment that cannot be had.
    resident: BTreeMap<usize, Vec<PageId>>,
}

impl MovingScene {
    /// Nothing of it is there yet.
    pub fn new(manifest: VideoManifest) -> Self {
        Self { manifest, resident: BTreeMap::new() }
    }

    /// What is known of the scene without its segments.
    pub fn manifest(&self) -> &VideoManifest {
        &self.manifest
    }

    /// The segments that are missing, the most urgent first.
    pub fn wanted(&self, at: Playhead) -> Vec<usize> {
        self.needed(at).into_iter().filter(|segment| !self.resident.contains_key(segment)).collect()
    }

    /// Puts a segment on the device. It is seen from the next [`Self::show`] on.
    ///
    /// # Errors
    /// When there is no memory for it; it is not asked for again then, until it has been out of sight.
    pub fn add(&mut self, segment: usize, pages: &[Page], renderer: &mut Renderer) -> Result<(), ViewerError> {
        if self.resident.contains_key(&segment) {
            return Ok(());
        }
        let ids = self.resident.entry(segment).or_default();
        for page in pages {
            let id = renderer.add_page(page)?;
            renderer.set_visible(id, false);
            ids.push(id);
        }
        Ok(())
    }

    /// Goes without a segment that cannot be had, until it has been out of sight.
    pub fn miss(&mut self, segment: usize) {
        self.resident.entry(segment).or_default();
    }

    /// Shows the segments of a moment, as far as they have come, and forgets those that are not near.
    pub fn show(&mut self, at: Playhead, renderer: &mut Renderer) {
        let needed = self.needed(at);
        let far: Vec<usize> = self.resident.keys().copied().filter(|segment| !needed.contains(segment)).collect();
        for segment in far {
            self.resident.remove(&segment).into_iter().flatten().for_each(|page| renderer.remove_page(page));
        }
        let seen = self.manifest.active(at.seconds);
        for (segment, pages) in &self.resident {
            pages.iter().for_each(|page| renderer.set_visible(*page, seen.contains(segment)));
        }
    }

    /// Whether all that is seen at a moment is on the device.
    pub fn is_complete(&self, at: Playhead) -> bool {
        self.manifest.active(at.seconds).iter().all(|segment| self.resident.contains_key(segment))
    }

    /// Splats on the device, seen or not.
    pub fn resident_splats(&self) -> u64 {
        let pages = self.resident.keys().flat_map(|segment| &self.manifest.segments[*segment].pages);
        pages.map(|page| u64::from(page.splats)).sum()
    }

    /// Takes everything off the device.
    pub fn clear(&mut self, renderer: &mut Renderer) {
        std::mem::take(&mut self.resident).into_values().flatten().for_each(|page| renderer.remove_page(page));
    }

    /// What is seen now, then what is seen soon.
    fn needed(&self, at: Playhead) -> Vec<usize> {
        let mut needed = self.manifest.active(at.seconds);
        let length = self.manifest.timeline.duration();
        let finest = self.manifest.hierarchy.segment_ticks(self.manifest.hierarchy.levels - 1) as f64;
        let step = (finest * self.manifest.hierarchy.tick).max(1e-3) * at.rate.signum();
        let steps = (AHEAD * at.rate.abs() / step.abs()).ceil().min(64.0) as usize;
        for k in 1..=if at.rate == 0.0 { 0 } else { steps } {
            let seconds = (at.seconds + k as f64 * step).clamp(0.0, length);
            for segment in self.manifest.active(seconds) {
                if !needed.contains(&segment) {
                    needed.push(segment);
                }
            }
        }
        needed
    }
}

/// The splats of a segment, ready for the device.
///
/// # Errors
/// When their arrays disagree.
pub fn pages_of(segment: &MovingSplats, manifest: &VideoManifest) -> Result<Vec<Page>, ViewerError> {
    let n = segment.splats.len();
    let during = [0.0, manifest.timeline.duration()];
    let range = |page: usize| page * MAX_PAGE..((page + 1) * MAX_PAGE).min(n);
    (0..n.div_ceil(MAX_PAGE)).map(|page| Page::of_moving(segment, range(page), during)).collect()
}
