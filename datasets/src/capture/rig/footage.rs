//! What the cameras of a rig filmed: a video or a folder of photos for each, found by the camera's name.

use crate::capture::OpenOptions;
use crate::capture::assemble::name_some;
use crate::capture::problems::Problem;
use crate::files::{Files, join};
use crate::video::{Survey, VideoInfo, is_video_name};
use crate::{DataError, Result};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Folders with a video for each camera, best first; `""` is the root.
const VIDEO_FOLDERS: [&str; 4] = ["videos", "videos_libx265", "video", ""];
const PHOTO_FOLDER: &str = "images";
const PHOTO_ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "exr", "bmp"];

/// What one camera filmed.
pub(super) struct Footage {
    /// The camera's place among the calibrated ones.
    pub(super) camera: usize,
    pub(super) name: String,
    pub(super) source: Source,
    /// What was left out, in words.
    left_out: Vec<String>,
}

pub(super) enum Source {
    /// A video and the frames of it that are used.
    Video { path: String, info: Arc<VideoInfo>, kept: Vec<u32> },
    /// Numbers and paths of photos, by number.
    Photos(Vec<(u64, String)>),
}

impl Footage {
    /// Leaves out the stretches of a video that cannot be decoded. Of photos, their own check does.
    pub(super) fn drop_broken(&mut self, files: &Files) {
        let Source::Video { path, info, kept } = &mut self.source else { return };
        let survey = match Survey::of(files.display_path(path), info) {
            Ok(survey) => survey,
            Err(error) => {
                kept.clear();
                return self.left_out.push(format!("{error}; that camera is left out"));
            }
        };
        for range in survey.broken {
            kept.retain(|frame| !range.contains(frame));
            let at = |frame: u32| info.times.get(frame as usize).copied().unwrap_or_else(|| info.times[info.len() - 1]);
            let (from, to) = (at(range.start), at(range.end));
            self.left_out
                .push(format!("{path} is broken from {from:.3} s to {to:.3} s: {} frames are left out", range.len()));
        }
    }

    /// What the user should know about it.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = self.left_out.clone();
        if let Source::Video { path, info, .. } = &self.source {
            let interval = info.interval();
            let gaps = info.times.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 1.5 * interval);
            let missed: f64 = gaps.clone().map(|gap| (gap / interval).round() - 1.0).sum();
            if missed > 0.0 {
                remarks.push(format!("{path} misses {missed} frames in {} places", gaps.count()));
            }
        }
        remarks
    }
}

/// The footage of each named camera, in their order, and what is wrong with it.
///
/// # Errors
/// When nothing was filmed, or a video cannot be opened and `options` do not say to go on.
pub(super) fn find(
    files: &Files,
    names: &[&str],
    prefers_photos: bool,
    options: OpenOptions,
) -> Result<(Vec<Footage>, Vec<Problem>)> {
    let mut found = if prefers_photos { photo_folders(files)? } else { videos(files)? };
    if found.is_empty() {
        found = if prefers_photos { videos(files)? } else { photo_folders(files)? };
    }
    if found.is_empty() {
        let reason = "has calibrated cameras, but neither videos nor photos of them".to_owned();
        return Err(DataError::new(files.root(), reason)
            .remedy("put videos/CAMERA.mp4 or images/CAMERA/000000.jpg beside the calibration"));
    }
    let mut problems = Vec::new();
    let stems: Vec<&str> = found.keys().map(String::as_str).collect();
    let matched: Vec<Option<usize>> = names.iter().map(|name| matching(name, names, &stems)).collect();
    for (name, _) in names.iter().zip(&matched).filter(|(_, found)| found.is_none()) {
        problems.push(Problem::new(format!("the calibrated camera {name} has no footage"), "it is left out"));
    }
    for (_, stem) in stems.iter().enumerate().filter(|(at, _)| !matched.contains(&Some(*at))) {
        problems.push(Problem::new(format!("there is footage of {stem}, which is not calibrated"), "it is left out"));
    }
    let places: Vec<&Place> = found.values().collect();
    let opened: Vec<_> = (0..names.len())
        .into_par_iter()
        .filter_map(|camera| Some((camera, open(files, places[matched[camera]?]))))
        .collect();
    let mut films = Vec::with_capacity(opened.len());
    for (camera, source) in opened {
        match source {
            Ok(source) => films.push(Footage { camera, name: names[camera].to_owned(), source, left_out: Vec::new() }),
            Err(error) if options.skip_bad => problems.push(Problem::new(error.to_string(), "that camera is left out")),
            Err(error) => return Err(error),
        }
    }
    if films.is_empty() {
        let reason = format!("has no footage for its calibrated cameras ({})", own(names));
        return Err(
            DataError::new(files.root(), reason).remedy("name videos or folders of photos as the cameras are called")
        );
    }
    films.iter_mut().for_each(|film| super::checks::check_alone(film, &mut problems));
    Ok((films, problems))
}

fn own(names: &[&str]) -> String {
    name_some(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
}

/// Where the footage of a camera lies.
enum Place {
    Video(String),
    Photos(Vec<String>),
}

fn open(files: &Files, place: &Place) -> Result<Source> {
    match place {
        Place::Video(path) => {
            let info = files.video(path)?;
            let kept = (0..info.len() as u32).collect();
            Ok(Source::Video { path: path.clone(), info, kept })
        }
        Place::Photos(paths) => {
            let stem = |path: &str| path.rsplit('/').next().and_then(|name| Some(name.rsplit_once('.')?.0.to_owned()));
            let number = |path: &str| trailing_number(&stem(path)?);
            let numbered: Option<Vec<(u64, String)>> = paths.iter().map(|p| Some((number(p)?, p.clone()))).collect();
            let mut photos = numbered.unwrap_or_else(|| (0..).zip(paths.iter().cloned()).collect());
            photos.sort();
            Ok(Source::Photos(photos))
        }
    }
}

/// Photos by the folder that they lie in below `images/`.
fn photo_folders(files: &Files) -> Result<BTreeMap<String, Place>> {
    let mut cameras = BTreeMap::new();
    for name in files.list_dir(PHOTO_FOLDER)? {
        let folder = join(PHOTO_FOLDER, &name);
        let is_photo = |name: &String| {
            name.rsplit_once('.').is_some_and(|(_, e)| PHOTO_ENDINGS.contains(&e.to_ascii_lowercase().as_str()))
        };
        let photos: Vec<String> =
            files.list_dir(&folder)?.into_iter().filter(is_photo).map(|name| join(&folder, &name)).collect();
        if !photos.is_empty() {
            cameras.insert(name, Place::Photos(photos));
        }
    }
    Ok(cameras)
}

/// Videos by their name without ending.
fn videos(files: &Files) -> Result<BTreeMap<String, Place>> {
    let paths = video_paths(files)?;
    let stem = |path: &String| path.rsplit('/').next().and_then(|name| Some(name.rsplit_once('.')?.0.to_owned()));
    Ok(paths.into_iter().filter_map(|path| Some((stem(&path)?, Place::Video(path)))).collect())
}

/// The videos of the first folder that holds any, sorted.
pub(super) fn video_paths(files: &Files) -> Result<Vec<String>> {
    for folder in VIDEO_FOLDERS {
        let names = files.list_dir(folder)?.into_iter().filter(|name| is_video_name(name));
        let paths: Vec<String> = names.map(|name| join(folder, &name)).filter(|path| files.exists(path)).collect();
        if !paths.is_empty() {
            return Ok(paths);
        }
    }
    Ok(Vec::new())
}

/// Which of `stems` belongs to the camera `name`: the one of the same name, or the only one with the same number when
/// numbers tell the cameras apart (`00` and `cam00.mp4`).
pub(super) fn matching(name: &str, names: &[&str], stems: &[&str]) -> Option<usize> {
    if let Some(exact) = stems.iter().position(|stem| *stem == name) {
        return Some(exact);
    }
    let number = trailing_number(name)?;
    let same = |other: &&&str| trailing_number(other) == Some(number);
    if names.iter().filter(same).count() != 1 || stems.iter().filter(same).count() != 1 {
        return None;
    }
    stems.iter().position(|stem| trailing_number(stem) == Some(number))
}

/// The number with which a name ends.
pub(super) fn trailing_number(name: &str) -> Option<u64> {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    name[name.len() - digits..].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footage_is_matched_by_name_and_else_by_number() {
        let names = ["00", "01", "left"];
        assert_eq!(matching("01", &names, &["00", "01"]), Some(1));
        assert_eq!(matching("01", &names, &["cam00", "cam01", "left"]), Some(1));
        assert_eq!(matching("left", &names, &["cam00", "cam01", "left"]), Some(2));
        assert_eq!(matching("01", &names, &["a1", "b1"]), None, "two have that number");
        assert_eq!(matching("left", &names, &["a1"]), None);
    }
}
