//! From scene files to a scene file: joined, cropped, cleaned, simplified, moved and ordered on the way.
//!
//! Splats pass through in chunks, read and written at the same time, so that memory does not grow with the scene. Only what
//! has to see all splats at once keeps them: [`Edits::max_splats`] and [`Edits::morton`] all of their values,
//! [`Edits::floaters`] their places, sizes and opacities alone, for which the inputs are read twice.

mod cut_off;
mod joined;
mod kept;
mod ordered;
mod pump;

#[cfg(test)]
mod tests;

use crate::camera::{Camera, Pose, Similarity};
use crate::format::stream::{CHUNK_SPLATS, SplatHeader, SplatSink, SplatSource};
use crate::scene::{FloaterReport, SplatCloud, SplatTransform, find_floaters, simplify_to};
use crate::{DataError, Result};
pub use cut_off::CutOff;
use joined::open_joined;
use kept::Kept;
use ordered::Ordered;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// What is done to a scene, in this order. The default leaves everything as it is.
#[derive(Clone, Debug)]
pub struct Edits {
    /// Keep what lies in the box with these corners (lowest and highest), in the coordinates of the first input.
    pub crop: Option<[[f32; 3]; 2]>,
    /// Keep what lies within this distance of this place, in the same coordinates.
    pub crop_ball: Option<([f32; 3], f32)>,
    /// Keep what at least so many of these cameras saw; they stand in the captured world.
    pub seen_by: Option<(Vec<(Camera, Pose)>, usize)>,
    /// Remove floaters with this strength, from 0 to 1 ([`find_floaters`]).
    pub floaters: Option<f32>,
    /// Keep what is at least this opaque, from 0 to 1.
    pub min_opacity: Option<f32>,
    /// Forget spherical harmonics of higher degrees.
    pub sh_degree: Option<u8>,
    /// Merge splats until no more than this are left.
    pub max_splats: Option<Most>,
    /// Move the scene; its `scene_from_world` follows.
    pub movement: Similarity,
    /// Put splats that are near each other in space near each other in the file.
    pub morton: bool,
    /// Leave out splats that are no splats, because a number of theirs is not finite; otherwise they are an error.
    pub drop_invalid: bool,
}

/// A limit for a number of splats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Most {
    /// So many.
    Splats(usize),
    /// This share of them, from 0 to 1, at least one.
    Share(f64),
}

impl Most {
    /// How many there may be of so many.
    pub fn of(self, splats: usize) -> usize {
        match self {
            Self::Splats(most) => splats.min(most),
            Self::Share(share) => ((splats as f64 * share).round() as usize).clamp(splats.min(1), splats),
        }
    }
}

impl Default for Edits {
    fn default() -> Self {
        Self {
            crop: None,
            crop_ball: None,
            seen_by: None,
            floaters: None,
            min_opacity: None,
            sh_degree: None,
            max_splats: None,
            movement: Similarity::identity(),
            morton: false,
            drop_invalid: false,
        }
    }
}

impl Edits {
    /// Those edits alone that choose a part of the scene: what they leave looks as it did before.
    #[must_use]
    pub fn selection(&self) -> Self {
        Self {
            crop: self.crop,
            crop_ball: self.crop_ball,
            seen_by: self.seen_by.clone(),
            floaters: self.floaters,
            drop_invalid: self.drop_invalid,
            ..Self::default()
        }
    }
}

/// What a conversion is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Splats are read into memory.
    Reading,
    /// Floaters are looked for.
    FindingFloaters,
    /// Splats are merged.
    Merging,
    /// Splats are written.
    Writing,
    /// Levels of detail are built, or whatever else needs all splats to have come.
    Building,
}

/// How far a stage has come, in splats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Splats that are done; 0 where that is not known.
    pub done: u64,
    /// Splats that there are at most.
    pub total: u64,
}

/// Hears how far a conversion has come, and may break it off.
pub type Watch<'a> = &'a mut (dyn FnMut(Progress) -> ControlFlow<()> + Send);

/// What a conversion did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Splats in the inputs.
    pub read: u64,
    /// Splats in the output.
    pub written: u64,
    /// Splats with numbers that are not finite.
    pub invalid: u64,
    /// Splats outside of the box or the ball.
    pub outside: u64,
    /// Splats that too few cameras saw.
    pub unseen: u64,
    /// What floaters were found, if they were looked for.
    pub floaters: Option<FloaterReport>,
    /// Splats that were too transparent.
    pub too_faint: u64,
    /// Splats with numbers that the output's format does not hold.
    pub cut_off: CutOff,
    /// How many splats there were before they were merged, if they were.
    pub merged_from: Option<u64>,
    /// Degree of the spherical harmonics in the inputs.
    pub sh_degree_read: u8,
    /// Degree of the spherical harmonics in the output.
    pub sh_degree: u8,
}

/// A scene that is being converted: its inputs are open, and what will come out is known as far as headers tell.
pub struct Conversion<'a> {
    inputs: &'a [PathBuf],
    edits: &'a Edits,
    source: Box<dyn SplatSource>,
    movement: SplatTransform,
    header: SplatHeader,
}

impl<'a> Conversion<'a> {
    /// Opens the inputs. Those after the first are brought to where the first one is stored.
    ///
    /// # Errors
    /// When one cannot be read, or they cannot be joined.
    pub fn open(inputs: &'a [PathBuf], edits: &'a Edits) -> Result<Self> {
        let source = open(inputs, edits)?;
        let movement = SplatTransform::new(&edits.movement);
        let mut header = source.header().clone();
        header.sh_degree = edits.sh_degree.map_or(header.sh_degree, |degree| degree.min(header.sh_degree));
        header.count = edits.max_splats.map_or(header.count, |most| most.of(header.count as usize) as u64);
        header.scene_from_world = movement.compose(&header.scene_from_world);
        Ok(Self { inputs, edits, source, movement, header })
    }

    /// What will be written; its count is the most that there can be.
    pub fn header(&self) -> &SplatHeader {
        &self.header
    }

    /// What is read.
    pub fn source_header(&self) -> &SplatHeader {
        self.source.header()
    }

    /// Converts into `output`; floaters go into `rejects`, when there is one. Both are finished. Nothing when it was
    /// broken off.
    ///
    /// # Errors
    /// When an input is damaged, nothing is left of the scene, or an output cannot be written.
    pub fn run(
        self,
        mut output: Box<dyn SplatSink>,
        rejects: Option<Box<dyn SplatSink>>,
        watch: Watch<'_>,
    ) -> Result<Option<Report>> {
        let Self { inputs, edits, source, movement, header } = self;
        let (total, sh_degree_read) = (source.header().count, source.header().sh_degree);
        let mut kept = Kept::new(source, edits);
        let mut floaters = None;
        if let Some(strength) = edits.floaters {
            let Some(places) = Places::collect(&mut kept, total, watch)? else { return Ok(None) };
            if watch(Progress { stage: Stage::FindingFloaters, done: 0, total }).is_break() {
                return Ok(None);
            }
            let found = find_floaters(&places.means, &places.log_scales, &places.opacity_logits, strength);
            floaters = Some(found.report());
            kept = Kept::new(open(inputs, edits)?, edits).without(found, rejects);
        }
        kept.min_opacity = edits.min_opacity;
        let (ranges, cut_off) = (output.ranges(), Mutex::new(CutOff::default()));
        let finish = |chunk: &mut SplatCloud| {
            chunk.lower_sh_degree(header.sh_degree);
            movement.apply(chunk);
            cut_off.lock().unwrap_or_else(PoisonError::into_inner).count(chunk, &ranges);
        };
        let needs_all = edits.morton || edits.max_splats.is_some_and(|most| (most.of(total as usize) as u64) < total);
        let mut merged_from = None;
        let written = if needs_all {
            let Some(mut cloud) = collect(&mut kept, total, watch)? else { return Ok(None) };
            if let Some(most) = edits.max_splats.map(|most| most.of(cloud.len())).filter(|&most| most < cloud.len()) {
                if watch(Progress { stage: Stage::Merging, done: 0, total: cloud.len() as u64 }).is_break() {
                    return Ok(None);
                }
                merged_from = Some(cloud.len() as u64);
                cloud = simplify_to(&cloud, most);
            }
            let total = cloud.len() as u64;
            pump::pump(&mut Ordered::new(cloud, edits.morton), finish, output.as_mut(), total, watch)?
        } else {
            pump::pump(&mut kept, finish, output.as_mut(), total, watch)?
        };
        let Some(written) = written else { return Ok(None) };
        if written == 0 && total > 0 {
            let reason = "has no splats left after what was asked for";
            let first = inputs.first().cloned().unwrap_or_default();
            return Err(DataError::new(first, reason).remedy("choose a larger box, or less strict limits"));
        }
        let invalid = kept.invalid();
        let Kept { outside, unseen, too_faint, rejects, .. } = kept;
        if let Some(rejects) = rejects {
            rejects.finish()?;
        }
        let mut building = |done, total| watch(Progress { stage: Stage::Building, done, total });
        if !output.finish_watched(&mut building)? {
            return Ok(None);
        }
        let sh_degree = header.sh_degree;
        let report = Report {
            read: total,
            written,
            invalid,
            outside,
            unseen,
            floaters,
            too_faint,
            cut_off: cut_off.into_inner().unwrap_or_else(PoisonError::into_inner),
            merged_from,
            sh_degree_read,
            sh_degree,
        };
        Ok(Some(report))
    }
}

fn open(inputs: &[PathBuf], edits: &Edits) -> Result<Box<dyn SplatSource>> {
    let mut source = open_joined(inputs)?;
    if edits.drop_invalid {
        source.skip_invalid();
    }
    Ok(source)
}

/// The edited scene in memory. Nothing when it was broken off.
///
/// # Errors
/// As [`Conversion::open`] and [`Conversion::run`].
pub fn load(inputs: &[PathBuf], edits: &Edits, watch: Watch<'_>) -> Result<Option<SplatCloud>> {
    let conversion = Conversion::open(inputs, edits)?;
    let (sink, cloud) = pump::MemorySink::new(conversion.header());
    let done = conversion.run(Box::new(sink), None, watch)?;
    Ok(done.and_then(|_| cloud.try_iter().next()))
}

/// A sink that keeps nothing, for trying out what a conversion would do.
pub fn nowhere() -> Box<dyn SplatSink> {
    Box::new(pump::Nowhere)
}

/// What floaters are found by.
#[derive(Default)]
struct Places {
    means: Vec<[f32; 3]>,
    log_scales: Vec<[f32; 3]>,
    opacity_logits: Vec<f32>,
}

impl Places {
    fn collect(source: &mut dyn SplatSource, total: u64, watch: Watch<'_>) -> Result<Option<Self>> {
        let mut places = Self::default();
        let complete = each_chunk(source, total, watch, |chunk| {
            places.means.extend_from_slice(&chunk.means);
            places.log_scales.extend_from_slice(&chunk.log_scales);
            places.opacity_logits.extend_from_slice(&chunk.opacity_logits);
        })?;
        Ok(complete.then_some(places))
    }
}

fn collect(source: &mut dyn SplatSource, total: u64, watch: Watch<'_>) -> Result<Option<SplatCloud>> {
    let mut cloud = source.header().empty_cloud(0);
    let complete = each_chunk(source, total, watch, |chunk| cloud.append(chunk))?;
    Ok(complete.then_some(cloud))
}

/// False when it was broken off.
fn each_chunk(
    source: &mut dyn SplatSource,
    total: u64,
    watch: Watch<'_>,
    mut take: impl FnMut(&SplatCloud),
) -> Result<bool> {
    let mut chunk = source.header().empty_cloud(CHUNK_SPLATS);
    let mut done = 0;
    while source.next_chunk(&mut chunk)? {
        done += chunk.len() as u64;
        take(&chunk);
        if watch(Progress { stage: Stage::Reading, done, total }).is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}
