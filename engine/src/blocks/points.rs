//! Points for captures that have poses and no sparse points, as of a file with cameras only: blocks are divided by what photos see,
//! and anchors begin with it. A plane sweep over small versions of the photos finds some.

use crate::frames::{FrameSet, Split};
use crate::splats::init::found_points;
use crate::{Error, Result};
use tessera_datasets::DataError;
use tessera_datasets::capture::{Capture, Point};

/// Points that are looked for.
const COUNT: usize = 20_000;
/// Of more photos than this a sweep, which looks at some of them only, would see too few neighbours.
const MOST_PHOTOS: usize = 480;
/// They are looked at once, and small.
const CACHE_MB: usize = 64;

/// Gives a capture that has none points that its training photos agree on, and says how many; `None` when it has points. The same
/// photos give the same points.
///
/// # Errors
/// When there are too many photos for that, they agree on nothing, or one cannot be read.
pub fn find_points(capture: &mut Capture, test_every: usize) -> Result<Option<usize>> {
    if !capture.points.is_empty() {
        return Ok(None);
    }
    if capture.frames.len() > MOST_PHOTOS {
        return Err(none(
            capture,
            "has no sparse points, by which blocks know what photos see, and too many photos to find some",
        ));
    }
    let (frames, _) = FrameSet::split(capture, &Split { test_every, resolution: 0, image_cache_mb: CACHE_MB })?;
    let world_from_scene = capture.scene_from_world.inverse();
    let in_world = |(position, colour): ([f32; 3], [f32; 3])| Point {
        position: (world_from_scene * nalgebra::Point3::from(position.map(f64::from))).coords.into(),
        colour: colour.map(|c| (255.0 * c.clamp(0.0, 1.0)).round() as u8),
    };
    let points: Vec<Point> = found_points(&frames, COUNT, 0)?.into_iter().map(in_world).collect();
    if points.is_empty() {
        return Err(none(
            capture,
            "has no sparse points, by which blocks know what photos see, and its photos agree on none",
        ));
    }
    capture.points = points;
    Ok(Some(capture.points.len()))
}

fn none(capture: &Capture, reason: &str) -> Error {
    let remedy = "give it points (COLMAP's point_triangulator makes them for known poses), or train it as a whole with --method splats";
    DataError::new(capture.files.root(), reason).remedy(remedy).into()
}
