//! Moving scenes.

use crate::report::{Facts, bytes, count};
use anyhow::Result;
use serde_json::{Value, json};
use std::path::Path;
use tessera_engine::datasets::format::volumetric::{Segment, SegmentPage, VideoFile};
use tessera_engine::datasets::scene::Place;

/// What a .t4d file holds.
///
/// # Errors
/// When it is damaged.
pub fn about(path: &Path) -> Result<(Facts, Value)> {
    let file = VideoFile::open(path)?;
    let manifest = &file.manifest;
    let timeline = manifest.timeline;
    let splats = |segment: &Segment| segment.pages.iter().map(|page| u64::from(page.splats)).sum::<u64>();
    let global = manifest.segments.iter().filter(|s| s.place == Place::Global).map(splats).sum::<u64>();
    // What a player holds and fetches at a moment, at the start of every segment of the finest level and at every frame's.
    let frames = (0..timeline.frames).step_by((timeline.frames as usize / 1000).max(1));
    let needed = frames.map(|frame| {
        let active = manifest.active(timeline.seconds_of(frame));
        let pages = || active.iter().flat_map(|&index| &manifest.segments[index].pages);
        (pages().map(|page| u64::from(page.splats)).sum::<u64>(), pages().map(SegmentPage::length).sum::<u64>())
    });
    let (most_splats, most_bytes) = needed.fold((0, 0), |(n, b), (m, c)| (n.max(m), b.max(c)));
    let precision = manifest.precision;
    let mut facts = Facts::default();
    facts.add("moving scene", path.display().to_string());
    facts.add("size", bytes(file.length()));
    let (rate, seconds) = (timeline.frame_rate, timeline.duration());
    facts.add("frames", format!("{} at {rate} a second, {seconds:.3} s", count(u128::from(timeline.frames))));
    facts
        .add("splats", format!("{}, {} always in view", count(u128::from(manifest.splats)), count(u128::from(global))));
    facts.add("SH degree", manifest.sh_degree.to_string());
    facts.add("segments", format!("{} of {} levels", manifest.segments.len(), manifest.hierarchy.levels));
    facts.add("most at a moment", format!("{} splats, {}", count(u128::from(most_splats)), bytes(most_bytes)));
    let (position, drift, time) = (precision.position, precision.drift, precision.time);
    facts.add(
        "off at most by",
        format!("{position:.2e} and by motion {drift:.2e} units, {time:.2e} s, {:.2}°", precision.rotation),
    );
    let json = json!({
        "kind": "moving scene", "bytes": file.length(), "frames": timeline.frames, "frame_rate": rate, "start": timeline.start,
        "splats": manifest.splats, "always_in_view": global, "sh_degree": manifest.sh_degree, "antialiased": manifest.antialiased,
        "levels": manifest.hierarchy.levels, "segments": manifest.segments.len(), "most_splats_at_a_moment": most_splats,
        "most_bytes_at_a_moment": most_bytes, "precision": precision,
    });
    Ok((facts, json))
}
