//! Photos and videos without poses: COLMAP finds the poses, ffmpeg takes a video apart. Both are run as programs when
//! they are installed.

mod colmap;
mod sharpness;
mod video;

use super::strecha;
use crate::files::Files;
use crate::video::is_video_name;
use crate::{DataError, Result};
use std::fs;
use std::path::{Path, PathBuf};

const PHOTO_ENDINGS: [&str; 7] = ["jpg", "jpeg", "png", "tif", "tiff", "bmp", "webp"];
/// Files that hold poses, wherever they lie: photos beside them need no COLMAP.
const POSE_FILES: [&str; 12] = [
    "transforms.json",
    "transforms_train.json",
    "poses_bounds.npy",
    "cameras_sphere.npz",
    "cameras.npz",
    "cameras.bin",
    "cameras.txt",
    "images.bin",
    "images.txt",
    "intri.yml",
    "extri.yml",
    "dataset.json",
];
/// Says which source a work folder belongs to.
const MARKER: &str = "poses-from.txt";

/// What there is to find poses for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder or zip archive of photos.
    Photos,
    /// A video file.
    Video,
}

/// A step on the way to poses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Sharp, well-spread frames of a video are chosen.
    ChooseFrames,
    /// COLMAP looks for features in every photo.
    ExtractFeatures,
    /// COLMAP compares photos with each other.
    MatchFeatures,
    /// COLMAP finds the poses, photo by photo.
    FindPoses,
}

impl Stage {
    /// The step in words: "finding features".
    pub fn name(self) -> &'static str {
        match self {
            Self::ChooseFrames => "choosing video frames",
            Self::ExtractFeatures => "finding features",
            Self::MatchFeatures => "matching features",
            Self::FindPoses => "finding camera poses",
        }
    }
}

/// How far a step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The step.
    pub stage: Stage,
    /// Photos, frames or blocks of pairs that are done. It may fall when COLMAP starts another attempt.
    pub done: u64,
    /// Out of so many.
    pub total: u64,
}

/// The programs that are run, by name or path.
#[derive(Clone, Debug)]
struct Programs {
    colmap: PathBuf,
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
}

impl Default for Programs {
    fn default() -> Self {
        Self { colmap: "colmap".into(), ffmpeg: "ffmpeg".into(), ffprobe: "ffprobe".into() }
    }
}

/// Whether `path` is a video file, or a folder or zip archive with photos and no file that holds poses.
pub fn kind_of(path: &Path) -> Option<Kind> {
    if path.is_file() && is_video_name(&path.to_string_lossy()) {
        return Some(Kind::Video);
    }
    if !path.is_dir() && !has_ending(&path.to_string_lossy(), &["zip"]) {
        return None;
    }
    let list = Files::open(path).ok()?.list().ok()?;
    let is_of_poses = |file: &String| {
        file.ends_with(strecha::ENDING) || POSE_FILES.contains(&file.rsplit('/').next().unwrap_or(file))
    };
    let has_poses = list.iter().any(is_of_poses);
    let has_photos = list.iter().any(|file| has_ending(file, &PHOTO_ENDINGS));
    (has_photos && !has_poses).then_some(Kind::Photos)
}

/// Whether [`kind_of`] recognises `path`.
pub fn is_photos_or_video(path: &Path) -> bool {
    kind_of(path).is_some()
}

/// Finds camera poses with COLMAP for photos or a video. Returns `work_dir`, in which [`Capture::open`] then finds a
/// COLMAP capture: `images/` and `sparse/0/`. When that is there already for the same source, nothing is done.
///
/// [`Capture::open`]: super::Capture::open
///
/// # Errors
/// When `path` is neither, COLMAP or ffmpeg is not installed (the message says how to get it) or fails (with its last
/// words), too few photos fit together, or `work_dir` holds other things or cannot be written.
pub fn reconstruct_poses(path: &Path, work_dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    reconstruct_with(&Programs::default(), path, work_dir, progress)
}

fn reconstruct_with(
    programs: &Programs,
    path: &Path,
    work_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    let Some(kind) = kind_of(path) else {
        return Err(DataError::new(path, "is neither a folder of photos nor a video")
            .remedy("give JPEG or PNG photos in a folder, or an mp4 or mov file"));
    };
    let source = fingerprint(path);
    if is_finished(work_dir, &source) {
        return Ok(work_dir.to_owned());
    }
    // Asked first: nobody wants to learn after minutes of video that COLMAP is missing.
    let colmap = colmap::Colmap::find(&programs.colmap, path)?;
    prepare(work_dir, &source)?;
    let images = work_dir.join("images");
    let one_camera = match kind {
        Kind::Photos => copy_photos(path, &images)?,
        Kind::Video => {
            video::extract_frames(programs, path, &images, progress)?;
            true
        }
    };
    colmap.reconstruct(kind, one_camera, path, work_dir, progress)?;
    Ok(work_dir.to_owned())
}

fn has_ending(path: &str, endings: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending.to_ascii_lowercase().as_str()))
}

/// What tells one source from another, and from itself after it changed.
fn fingerprint(path: &Path) -> String {
    let full = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let size = if path.is_dir() {
        Files::open(path).and_then(|files| files.list()).map_or(0, |list| list.len() as u64)
    } else {
        fs::metadata(path).map_or(0, |m| m.len())
    };
    format!("{}\n{size}\n", full.display())
}

fn is_finished(work_dir: &Path, source: &str) -> bool {
    fs::read_to_string(work_dir.join(MARKER)).is_ok_and(|marker| marker == source)
        && work_dir.join("sparse/0/images.bin").is_file()
}

/// Makes `work_dir` an empty folder of ours. What an earlier run of ours left is removed, nothing else.
fn prepare(work_dir: &Path, source: &str) -> Result<()> {
    let unwritable = |e: std::io::Error| DataError::unwritable(work_dir, &e);
    fs::create_dir_all(work_dir).map_err(unwritable)?;
    let is_empty = fs::read_dir(work_dir).map_err(unwritable)?.next().is_none();
    if !is_empty && !work_dir.join(MARKER).is_file() {
        return Err(DataError::new(work_dir, "is not empty and cannot be used for finding poses")
            .remedy("name a new folder or empty this one"));
    }
    for folder in ["images", "sparse", colmap::MODELS] {
        if work_dir.join(folder).exists() {
            fs::remove_dir_all(work_dir.join(folder)).map_err(unwritable)?;
        }
    }
    for file in [colmap::DATABASE, colmap::LOG] {
        if work_dir.join(file).exists() {
            fs::remove_file(work_dir.join(file)).map_err(unwritable)?;
        }
    }
    fs::create_dir(work_dir.join("images")).map_err(unwritable)?;
    fs::write(work_dir.join(MARKER), source).map_err(unwritable)
}

/// Puts all photos into `images`, as links where that is possible. True when one camera seems to have taken them all.
fn copy_photos(path: &Path, images: &Path) -> Result<bool> {
    let files = Files::open(path)?;
    let photos: Vec<String> = files.list()?.into_iter().filter(|file| has_ending(file, &PHOTO_ENDINGS)).collect();
    if photos.len() < 2 {
        return Err(DataError::new(path, "holds a single photo, from which no depth can be seen")
            .remedy("take many overlapping photos from different places"));
    }
    let mut first = None;
    let mut one_camera = true;
    for photo in &photos {
        let content = files.read_prefix(photo, 256 * 1024)?;
        let camera = (stored_size(&content), exif_lens(&content));
        one_camera &= *first.get_or_insert_with(|| camera.clone()) == camera;

        let target = images.join(photo);
        let unwritable = |e: std::io::Error| DataError::unwritable(&target, &e);
        fs::create_dir_all(target.parent().unwrap_or(images)).map_err(unwritable)?;
        if files.is_archive() {
            fs::write(&target, files.read(photo)?).map_err(unwritable)?;
        } else if fs::hard_link(files.display_path(photo), &target).is_err() {
            fs::copy(files.display_path(photo), &target).map_err(unwritable)?;
        }
    }
    Ok(one_camera)
}

/// The size of the pixels before they are turned upright; `None` for headers that are longer than what was read.
fn stored_size(beginning: &[u8]) -> Option<(u32, u32)> {
    let reader = image::ImageReader::new(std::io::Cursor::new(beginning)).with_guessed_format().ok()?;
    reader.into_dimensions().ok()
}

/// Camera and focal length as EXIF tells them.
fn exif_lens(beginning: &[u8]) -> [Option<String>; 2] {
    let exif = exif::Reader::new().read_from_container(&mut std::io::Cursor::new(beginning)).ok();
    [exif::Tag::Model, exif::Tag::FocalLength].map(|tag| {
        let field = exif.as_ref()?.get_field(tag, exif::In::PRIMARY)?;
        Some(field.display_value().to_string())
    })
}

#[cfg(test)]
mod tests;
