//! Videos with a COLMAP model whose images are called as the cameras are: `cam01.png` or `cam01/0001.png` for `cam01.mp4`.
//! Of several images of one camera the first gives the pose.

use super::footage::video_paths;
use super::{Calibrated, Rig};
use crate::Result;
use crate::capture::{Capture, OpenOptions, colmap};
use crate::files::Files;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub(in crate::capture) fn is_here(files: &Files) -> bool {
    if !colmap::is_here(files) {
        return false;
    }
    let videos = video_paths(files).unwrap_or_default();
    let stems: Vec<&str> =
        videos.iter().filter_map(|path| Some(path.rsplit('/').next()?.rsplit_once('.')?.0)).collect();
    !stems.is_empty() && !files.is_dir("images")
        || stems.len() > 1
            && colmap::posed(files).is_ok_and(|model| model.images.iter().all(|i| stems.contains(&camera(&i.0))))
}

/// The camera that an image's name speaks of: its folder, or the name itself without ending.
fn camera(image: &str) -> &str {
    match image.split_once('/') {
        Some((folder, _)) => folder,
        None => image.rsplit_once('.').map_or(image, |(stem, _)| stem),
    }
}

/// # Errors
/// When the model is damaged, or the videos do not fit to it or to each other.
pub(in crate::capture) fn load(files: Arc<Files>, options: OpenOptions) -> Result<Capture> {
    let model = colmap::posed(&files)?;
    let mut cameras = BTreeMap::new();
    for (name, lens, camera_from_world) in model.images {
        let name = camera(&name).to_owned();
        let calibrated = Calibrated { name: name.clone(), camera: lens, camera_from_world, split: None };
        cameras.entry(name).or_insert(calibrated);
    }
    let cameras = cameras.into_values().collect();
    let layout = format!("videos with a COLMAP model in {}", model.place);
    let colmap::Posed { source, points, warnings, .. } = model;
    Rig { files, layout, source, cameras, prefers_photos: false, offsets: HashMap::new(), points, warnings }
        .finish(options)
}
