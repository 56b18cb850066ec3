//! Neural 3D Video (Li et al. 2022) and captures like it: `cam00.mp4`, `cam01.mp4`, ... beside `poses_bounds.npy`, whose rows
//! are LLFF's and belong to the videos in the order of their names. The first camera is held out, as is the custom.

use super::footage::{trailing_number, video_paths};
use super::{Calibrated, Rig};
use crate::capture::{Capture, OpenOptions, Split, llff};
use crate::files::Files;
use crate::{DataError, Result};
use std::collections::HashMap;
use std::sync::Arc;

pub(in crate::capture) fn is_here(files: &Files) -> bool {
    files.exists(llff::POSES) && video_paths(files).is_ok_and(|videos| !videos.is_empty())
}

/// # Errors
/// When the poses are damaged, or it cannot be told which video they belong to, or the videos do not fit together.
pub(in crate::capture) fn load(files: Arc<Files>, options: OpenOptions) -> Result<Capture> {
    let path = files.display_path(llff::POSES);
    let rows = llff::rows(&files)?;
    let videos = video_paths(&files)?;
    let stems: Vec<String> = videos.iter().filter_map(|video| stem(video)).collect();
    let names = camera_names(rows.len(), &stems).ok_or_else(|| {
        let reason = format!("holds {} poses but there are {} videos", rows.len(), stems.len());
        DataError::new(&path, reason).remedy("leave exactly the posed videos there, or the rows of the others out")
    })?;
    let mut cameras = Vec::with_capacity(rows.len());
    for (index, (name, row)) in names.into_iter().zip(&rows).enumerate() {
        let (camera, camera_from_world) = llff::parse_row(row).map_err(|reason| {
            DataError::new(&path, format!("the pose of {name} {reason}")).remedy("leave that video and its row out")
        })?;
        let split = Some(if index == 0 { Split::Test } else { Split::Train });
        cameras.push(Calibrated { name, camera, camera_from_world, split });
    }
    let layout = format!("Neural 3D Video ({}, {} videos)", llff::POSES, stems.len());
    let source = llff::POSES.to_owned();
    let (offsets, points, warnings) = (HashMap::new(), Vec::new(), Vec::new());
    Rig { files, layout, source, cameras, prefers_photos: false, offsets, points, warnings }.finish(options)
}

fn stem(path: &str) -> Option<String> {
    Some(path.rsplit('/').next()?.rsplit_once('.')?.0.to_owned())
}

/// What the camera of each row is called: as the videos in their order, or when videos are missing whose numbers count
/// all rows, by number.
fn camera_names(rows: usize, stems: &[String]) -> Option<Vec<String>> {
    if rows == stems.len() {
        return Some(stems.to_vec());
    }
    let numbers: Option<Vec<u64>> = stems.iter().map(|stem| trailing_number(stem)).collect();
    let last = *numbers?.iter().max()?;
    let first = stems.first()?;
    let digits = first.len() - first.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let prefix = &first[..first.len() - digits];
    let counts_rows = last + 1 == rows as u64 && stems.len() < rows && stems.iter().all(|s| s.starts_with(prefix));
    counts_rows.then(|| (0..rows).map(|number| format!("{prefix}{number:0digits$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_videos_are_told_by_their_numbers() {
        let stems = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(camera_names(2, &stems(&["cam00", "cam07"])), Some(stems(&["cam00", "cam07"])));
        assert_eq!(camera_names(3, &stems(&["cam00", "cam02"])), Some(stems(&["cam00", "cam01", "cam02"])));
        assert_eq!(camera_names(3, &stems(&["cam00", "cam01"])), None, "which one is missing is not known");
        assert_eq!(camera_names(1, &stems(&["cam00", "cam01"])), None);
    }
}
