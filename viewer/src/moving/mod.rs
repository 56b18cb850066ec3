//! A moving scene that is played: which of its pages are on the graphics device at a moment. Meshes of several moments are played
//! alike ([`MovingMeshes`]), and [`Track`] is either.
//!
//! What is seen at a moment is the global bucket and one segment of each level, and the pages that come next while it is played are
//! there before they are needed. So memory does not grow with the length of the scene. [`MovingScene`] does no input and
//! output: whoever drives it reads the pages it wants, from a file or over a network. [`Clock`] says what moment it is.

mod clock;
mod meshes;
mod track;

pub use clock::Clock;
pub use meshes::{MeshesAhead, Moments, MovingMeshes};
pub use track::{Piece, Track};

use crate::ViewerError;
use crate::renderer::{Page, PageId, Renderer};
use std::collections::BTreeMap;
use std::ops::Range;
use tessera_datasets::format::volumetric::{SegmentPage, VideoManifest};
use tessera_datasets::scene::{MovingSplats, Place};

/// No more segments than this are looked for ahead.
const MOST_STEPS: f64 = 64.0;

/// Where a scene is played from, and which way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playhead {
    /// After the first frame.
    pub seconds: f64,
    /// What seconds grow by in a second: 1 as it was filmed, 0 standing still, negative backwards.
    pub rate: f64,
    /// Whether the other end comes after the end.
    pub is_looped: bool,
}

impl Playhead {
    /// Standing still.
    pub fn at(seconds: f64) -> Self {
        Self { seconds, rate: 0.0, is_looped: false }
    }
}

/// What is on the device before it is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ahead {
    /// Pages are wanted so long before they are seen, in seconds of watching.
    pub seconds: f64,
    /// Splats on the device beyond which only those are wanted that come next.
    pub splats: u64,
}

/// A moving scene and its pages on the device. Pages are numbered in the order in which they lie in the file.
#[derive(Debug)]
pub struct MovingScene {
    manifest: VideoManifest,
    /// By segment: the numbers of its pages.
    numbers: Vec<Range<u32>>,
    /// By number.
    pages: Vec<SegmentPage>,
    ahead: Ahead,
    /// By number; none of a page that cannot be had.
    resident: BTreeMap<u32, Option<PageId>>,
}

impl MovingScene {
    /// Nothing of it is there yet.
    pub fn new(manifest: VideoManifest, ahead: Ahead) -> Self {
        let pages: Vec<SegmentPage> = manifest.segments.iter().flat_map(|segment| segment.pages.clone()).collect();
        let mut numbers = Vec::with_capacity(manifest.segments.len());
        for segment in &manifest.segments {
            let begin = numbers.last().map_or(0, |before: &Range<u32>| before.end);
            numbers.push(begin..begin + segment.pages.len() as u32);
        }
        Self { numbers, pages, ahead, resident: BTreeMap::new(), manifest }
    }

    /// What is known of the scene without its pages.
    pub fn manifest(&self) -> &VideoManifest {
        &self.manifest
    }

    /// Where a page lies in the file.
    pub fn page(&self, number: u32) -> SegmentPage {
        self.pages[number as usize]
    }

    /// When a page is seen: from and to, seconds after the first frame; none when it is seen all the time.
    pub fn seconds_of(&self, number: u32) -> Option<[f64; 2]> {
        let segment = self.numbers.partition_point(|numbers| numbers.end <= number);
        match self.manifest.segments[segment].place {
            Place::Global => None,
            Place::Segment { level, segment } => Some(self.manifest.hierarchy.seconds_of(level, segment)),
        }
    }

    /// Changes what is on the device before it is seen.
    pub fn set_ahead(&mut self, ahead: Ahead) {
        self.ahead = ahead;
    }

    /// The pages that are missing, the most urgent first.
    pub fn wanted(&self, at: Playhead) -> Vec<u32> {
        self.needed(at).into_iter().filter(|page| !self.resident.contains_key(page)).collect()
    }

    /// Puts a page on the device. It is seen from the next [`Self::show`] on.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn add(&mut self, number: u32, page: &Page, renderer: &mut Renderer) -> Result<(), ViewerError> {
        if !matches!(self.resident.get(&number), Some(Some(_))) {
            let id = renderer.add_page(page)?;
            renderer.set_visible(id, false);
            self.resident.insert(number, Some(id));
        }
        Ok(())
    }

    /// Goes without a page that cannot be had, until it has been out of sight.
    pub fn miss(&mut self, number: u32) {
        self.resident.entry(number).or_default();
    }

    /// Gives all pages that could not be had a new chance.
    pub fn retry_missed(&mut self) {
        self.resident.retain(|_, page| page.is_some());
    }

    /// Shows the pages of a moment, as far as they have come, and forgets those that are not near.
    pub fn show(&mut self, at: Playhead, renderer: &mut Renderer) {
        let needed = self.needed(at);
        self.resident.retain(|number, page| {
            let is_needed = needed.contains(number);
            page.filter(|_| !is_needed).into_iter().for_each(|page| renderer.remove_page(page));
            is_needed
        });
        let seen = self.pages_at(at.seconds);
        for (number, page) in &self.resident {
            if let Some(page) = page {
                renderer.set_visible(*page, seen.contains(number));
            }
        }
    }

    /// How many pages are seen at a moment, how many of them have been asked for with success or without, and the splats in them
    /// that are on the device.
    pub fn progress(&self, seconds: f64) -> (usize, usize, u64) {
        let seen = self.pages_at(seconds);
        let there = seen.iter().filter_map(|page| Some((page, self.resident.get(page)?)));
        let splats = |(number, page): (&u32, &Option<PageId>)| page.map_or(0, |_| u64::from(self.page(*number).splats));
        (seen.len(), there.clone().count(), there.map(splats).sum())
    }

    /// Whether nothing that is seen at a moment is still to come.
    pub fn is_complete(&self, seconds: f64) -> bool {
        let (seen, there, _) = self.progress(seconds);
        seen == there
    }

    /// Lets so many seconds of watching pass while a scene is played; whether it is. Time waits for pages that have not come.
    pub fn pass(&self, clock: &mut Clock, seconds: f64) -> bool {
        if clock.is_playing {
            // Where frames are slow the whole step may lead past what is on the device; the next segment always is wanted.
            let least = seconds.min(self.finest() / clock.rate.abs());
            let moments = [seconds, least].map(|seconds| clock.after(seconds));
            if let Some(next) = moments.into_iter().find(|(seconds, _)| self.is_complete(*seconds)) {
                (clock.seconds, clock.is_playing) = next;
            }
        }
        clock.is_playing
    }

    /// Splats on the device, seen or not.
    pub fn resident_splats(&self) -> u64 {
        let there = self.resident.iter().filter(|(_, page)| page.is_some());
        there.map(|(number, _)| u64::from(self.page(*number).splats)).sum()
    }

    /// Takes everything off the device.
    pub fn clear(&mut self, renderer: &mut Renderer) {
        std::mem::take(&mut self.resident).into_values().flatten().for_each(|page| renderer.remove_page(page));
    }

    /// Whether a page is seen now or soon.
    pub fn is_needed(&self, number: u32, at: Playhead) -> bool {
        self.needed(at).contains(&number)
    }

    /// What is seen now, then what is seen soon.
    fn needed(&self, at: Playhead) -> Vec<u32> {
        let mut needed = self.pages_at(at.seconds);
        let mut splats: u64 = needed.iter().map(|page| u64::from(self.page(*page).splats)).sum();
        for (step, seconds) in self.moments_ahead(at).into_iter().enumerate() {
            for page in self.pages_at(seconds) {
                if !needed.contains(&page) {
                    splats += u64::from(self.page(page).splats);
                    if step > 0 && splats > self.ahead.splats {
                        return needed;
                    }
                    needed.push(page);
                }
            }
        }
        needed
    }

    /// Moments of which each lies in the next of the shortest segments, in the order in which they are played.
    fn moments_ahead(&self, Playhead { mut seconds, rate, is_looped }: Playhead) -> Vec<f64> {
        let mut moments = Vec::new();
        if rate == 0.0 {
            return moments;
        }
        let length = self.manifest.timeline.length();
        let [end, begin] = if rate < 0.0 { [0.0, length] } else { [length, 0.0] };
        let steps = (self.ahead.seconds * rate.abs() / self.finest()).ceil().clamp(1.0, MOST_STEPS) as usize;
        for _ in 0..steps {
            seconds += self.finest().copysign(rate);
            if !(0.0..=length).contains(&seconds) {
                moments.push(end);
                if !is_looped {
                    break;
                }
                seconds = begin;
            }
            moments.push(seconds);
        }
        moments
    }

    /// Seconds in a shortest segment.
    fn finest(&self) -> f64 {
        let hierarchy = &self.manifest.hierarchy;
        (hierarchy.segment_ticks(hierarchy.levels - 1) as f64 * hierarchy.tick).max(1e-3)
    }

    fn pages_at(&self, seconds: f64) -> Vec<u32> {
        self.manifest.active(seconds).into_iter().flat_map(|segment| self.numbers[segment].clone()).collect()
    }
}

/// The splats of a page, ready for the device.
///
/// # Errors
/// When their arrays disagree.
pub fn device_page(splats: &MovingSplats, manifest: &VideoManifest) -> Result<Page, ViewerError> {
    Page::of_moving(splats, 0..splats.splats.len(), [0.0, manifest.timeline.duration()])
}

#[cfg(test)]
mod tests;
