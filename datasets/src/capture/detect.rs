//! Telling the layouts apart by the files that each of them must have.

use super::{Capture, colmap, hypernerf, idr, llff, photos, rig, strecha, transforms_json};
use crate::files::Files;
use crate::{DataError, Result};
use std::path::Path;
use std::sync::Arc;

/// What a layout is called, how it is recognised and how it is read.
struct Layout {
    /// For messages: the layout's name with the file that makes it.
    name: &'static str,
    is_here: fn(&Files) -> bool,
    load: fn(Arc<Files>, OpenOptions) -> Result<Capture>,
}

/// In order of preference: when a folder holds several descriptions of the same photos, the ones that people write
/// for training come before the ones from which they were made, and those with sparse points before those without.
const LAYOUTS: [Layout; 11] = [
    Layout {
        name: "nerfstudio or instant-ngp (transforms.json)",
        is_here: |files| files.exists("transforms.json"),
        load: |files, options| transforms_json::load(files, "transforms.json", options),
    },
    Layout {
        name: "Blender/NeRF-synthetic (transforms_train.json)",
        is_here: |files| files.exists("transforms_train.json"),
        load: transforms_json::load_splits,
    },
    Layout {
        name: "IDR/NeuS (cameras_sphere.npz or cameras.npz)",
        is_here: |files| files.exists("cameras_sphere.npz") || files.exists("cameras.npz"),
        load: idr::load,
    },
    Layout { name: "EasyVolcap (intri.yml and extri.yml)", is_here: rig::is_easyvolcap, load: rig::load_easyvolcap },
    Layout { name: "HyperNeRF or Nerfies (dataset.json)", is_here: hypernerf::is_here, load: hypernerf::load },
    Layout {
        name: "videos of cameras in a COLMAP model (sparse/0)",
        is_here: rig::is_colmap_with_videos,
        load: rig::load_colmap_with_videos,
    },
    Layout {
        name: "videos with a Qualisys calibration (.qca.txt)",
        is_here: rig::is_qualisys,
        load: rig::load_qualisys,
    },
    Layout {
        name: "Neural 3D Video (poses_bounds.npy and videos)",
        is_here: rig::is_neural_3d_video,
        load: rig::load_neural_3d_video,
    },
    Layout {
        name: "COLMAP (sparse/0/cameras.bin or .txt)",
        is_here: |files| colmap::is_here(files) && !rig::is_colmap_with_videos(files),
        load: colmap::load,
    },
    Layout {
        name: "LLFF (poses_bounds.npy)",
        is_here: |files| files.exists(llff::POSES) && !rig::is_neural_3d_video(files),
        load: llff::load,
    },
    Layout { name: "Strecha's benchmark (NAME.camera)", is_here: strecha::is_here, load: strecha::load },
];

/// How a capture is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Go on with what is sound: every photo and video is decoded once, what is damaged or does not fit is left out, and
    /// [`Capture::warnings`] say what.
    pub skip_bad: bool,
}

impl Capture {
    /// Opens a capture as [`Capture::open_with`] does, refusing what is damaged.
    ///
    /// # Errors
    /// As [`Capture::open_with`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, OpenOptions::default())
    }

    /// Opens a posed capture: a folder or zip archive in any known layout, or a transforms JSON file of any name.
    /// Photos are not decoded unless bad ones are to be skipped; only their headers are read, and of videos when each frame
    /// is shown.
    ///
    /// # Errors
    /// When no layout is recognised (the message lists them), or its files are damaged, incomplete or contradict
    /// each other.
    pub fn open_with(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self> {
        let path = path.as_ref();
        let is_json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) && path.is_file();
        if let (true, Some(name)) = (is_json, path.file_name().and_then(|name| name.to_str())) {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            return transforms_json::load(Arc::new(Files::open(parent)?), name, options);
        }
        if path.is_file() && photos::is_photos_or_video(path) {
            return Err(without_poses(path));
        }
        let files = Arc::new(Files::open(path)?);
        let present: Vec<_> = LAYOUTS.iter().filter(|layout| (layout.is_here)(&files)).collect();
        let Some((layout, others)) = present.split_first() else {
            if photos::is_photos_or_video(path) {
                return Err(without_poses(path));
            }
            return Self::open_within(path, options);
        };
        let mut capture = (layout.load)(files, options)?;
        let others: Vec<_> = others.iter().map(|other| other.name).collect();
        if !others.is_empty() {
            let (read, others) = (layout.name, others.join(", "));
            capture.warnings.push(format!("read as {read}; also present and ignored: {others}"));
        }
        Ok(capture)
    }
}

impl Capture {
    /// Opens the capture in the only sub-folder that holds one.
    fn open_within(path: &Path, options: OpenOptions) -> Result<Self> {
        let entries = std::fs::read_dir(path).into_iter().flatten().filter_map(|entry| entry.ok().map(|e| e.path()));
        let is_capture = |folder: &Path| {
            folder.is_dir()
                && Files::open(folder).is_ok_and(|files| LAYOUTS.iter().any(|layout| (layout.is_here)(&files)))
        };
        let mut captures: Vec<_> = entries.filter(|entry| is_capture(entry)).collect();
        captures.sort();
        match &captures[..] {
            [] => Err(unrecognised(path)),
            [only] => Self::open_with(only, options),
            [first, ..] => {
                let reason = format!("holds {} captures in its sub-folders", captures.len());
                Err(DataError::new(path, reason).remedy(format!("name one of them, for example {}", first.display())))
            }
        }
    }
}

fn without_poses(path: &Path) -> DataError {
    DataError::new(path, "holds photos or a video without camera poses")
        .remedy("`tessera reconstruct` finds the poses with COLMAP when it is installed, or give a posed capture")
}

fn unrecognised(path: &Path) -> DataError {
    let names: Vec<_> = LAYOUTS.iter().map(|layout| layout.name).collect();
    let remedy =
        format!("supported are folders and zip archives of {}, and folders of photos or a video", names.join(", "));
    DataError::new(path, "holds no capture of a known layout").remedy(remedy)
}
