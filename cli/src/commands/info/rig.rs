//! The cameras of a rig.

use crate::console::Console;
use crate::progress::Progress;
use crate::report::{Facts, count_of};
use anyhow::Result;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use tessera_engine::datasets::capture::{CameraReport, Capture, RigReport, Split};

/// Looks at what the cameras of a rig filmed; nothing when the capture is no moving rig.
///
/// # Errors
/// When videos cannot be decoded at all.
pub fn about(capture: &Capture, console: &Console) -> Result<Option<(Facts, Value)>> {
    let progress = Mutex::new(Progress::new(console, "looking at cameras"));
    let show = |done, total| progress.lock().unwrap_or_else(PoisonError::into_inner).count(done, total);
    let Some(report) = RigReport::of(capture, &show)? else { return Ok(None) };
    let mut facts = Facts::default();
    facts.add("rig", format!("{}, {} see the middle of the scene", cameras(report.cameras.len()), report.see_centre));
    if let Some(points) = report.points {
        let few = 100.0 * points.fewer_than_two;
        facts.add("points in view", format!("of {} in the median; {few:.1} % of fewer than 2", cameras(points.median)));
    }
    let [distances, angles] = [0, 1].map(|which| spread(report.nearest.iter().map(|nearest| nearest[which])));
    facts.add("nearest cameras", format!("{} world units and {}° apart", text(distances, 3), text(angles, 1)));
    let exposures = report.exposures();
    for (camera, exposure) in report.cameras.iter().zip(&exposures) {
        facts.add(format!("camera {}", camera.name), line(camera, *exposure));
    }
    let json = json!({
        "see_centre": report.see_centre,
        "points_in_view": report.points.map(|p| json!({"median_cameras": p.median, "share_of_fewer_than_two": p.fewer_than_two})),
        "cameras": report.cameras.iter().zip(exposures).zip(&report.nearest)
            .map(|((camera, exposure), nearest)| entry(camera, exposure, *nearest)).collect::<Vec<_>>(),
    });
    Ok(Some((facts, json)))
}

fn cameras(number: usize) -> String {
    count_of(number, "camera", "cameras")
}

/// The least, the median and the largest.
fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    [at(0), at(values.len() / 2), at(values.len().saturating_sub(1))]
}

fn text([least, median, largest]: [f64; 3], digits: usize) -> String {
    format!("{least:.digits$} to {largest:.digits$} (median {median:.digits$})")
}

fn split_name(split: Split) -> &'static str {
    match split {
        Split::Train => "training",
        Split::Validation => "validation",
        Split::Test => "test",
    }
}

fn line(camera: &CameraReport, exposure: Option<f64>) -> String {
    let [from, to] = camera.times;
    let [width, height] = camera.size;
    let mut parts = vec![format!("{} of {width}x{height}", count_of(camera.frames, "frame", "frames"))];
    if let Some(interval) = camera.interval.filter(|interval| *interval > 0.0) {
        parts.push(format!("{:.3} per unit of time, {from:.3} to {to:.3}", 1.0 / interval));
    }
    parts.extend(exposure.map(|stops| format!("exposure {stops:+.2} stops")));
    parts.extend(camera.split.map(|split| split_name(split).to_owned()));
    let counted = [(camera.missing, "missing"), (camera.repeated, "repeated")];
    parts.extend(counted.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    parts.extend(camera.broken.iter().map(|range| format!("broken from frame {} to {}", range.start, range.end - 1)));
    parts.join(", ")
}

fn entry(camera: &CameraReport, exposure: Option<f64>, [distance, angle]: [f64; 2]) -> Value {
    json!({
        "number": camera.number, "name": camera.name, "frames": camera.frames, "size": camera.size,
        "split": camera.split.map(split_name), "first_time": camera.times[0], "last_time": camera.times[1],
        "interval": camera.interval, "missing_frames": camera.missing, "repeated_frames": camera.repeated,
        "broken_frames": camera.broken.iter().map(|range| [range.start, range.end]).collect::<Vec<_>>(),
        "mean_colour": camera.mean, "exposure_stops": exposure, "nearest_distance": distance, "nearest_degrees": angle,
    })
}
