//! Rigs: calibrated cameras that film one scene at the same time.
//!
//! A layout states the cameras ([`Calibrated`]); what each of them filmed is found by its name ([`footage`]), as a video or
//! a folder of photos. Known calibration is taken as it is. What does not fit together is refused with a remedy, or left out
//! when the user asks for it ([`checks`]).

mod checks;
mod easyvolcap;
mod footage;
mod neural_3d_video;
mod opencv_yaml;
mod qualisys;
mod report;
mod videos;

pub use report::{CameraReport, Coverage, RigReport};

pub(super) use easyvolcap::{is_here as is_easyvolcap, load as load_easyvolcap};
pub(super) use neural_3d_video::{is_here as is_neural_3d_video, load as load_neural_3d_video};
pub(super) use qualisys::{is_here as is_qualisys, load as load_qualisys};
pub(super) use videos::{is_here as is_colmap_with_videos, load as load_colmap_with_videos};

use super::assemble::{Draft, DraftFrame, name_some};
use super::images::{Photo, find_image, find_photos};
use super::problems::{Problem, settle};
use super::{Capture, Frame, MaskKind, MaskSource, OpenOptions, Point, Split};
use crate::Result;
use crate::camera::{Camera, Pose};
use crate::files::{Files, join};
use footage::{Footage, Source};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

const MASK_FOLDERS: [&str; 2] = ["masks", "mask"];

/// A camera of a rig and what it filmed.
#[derive(Clone, Debug, PartialEq)]
pub struct RigCamera {
    /// [`Frame::rig_camera`].
    pub number: u32,
    /// What its frames' names share: their folder or video.
    pub name: String,
    /// Indices of its frames within the capture, by time.
    pub frames: Vec<usize>,
}

/// The cameras of a rig by their numbers; none when the capture does not say which camera took what.
pub fn rig_cameras(capture: &Capture) -> Vec<RigCamera> {
    let mut cameras: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, frame) in capture.frames.iter().enumerate() {
        if let Some(number) = frame.rig_camera {
            cameras.entry(number).or_default().push(index);
        }
    }
    let time = |index: &usize| capture.frames[*index].time.unwrap_or_default();
    cameras
        .into_iter()
        .map(|(number, mut frames)| {
            frames.sort_by(|a, b| time(a).total_cmp(&time(b)));
            let folder = |index: &usize| capture.frames[*index].name.rsplit_once('/').map(|(folder, _)| folder);
            let first = frames.first().and_then(folder);
            let name = first.filter(|first| frames.iter().all(|index| folder(index) == Some(first)));
            RigCamera { number, name: name.map_or_else(|| format!("{number}"), str::to_owned), frames }
        })
        .collect()
}

/// A camera as a calibration states it.
struct Calibrated {
    name: String,
    /// Its size is 0x0 where the calibration leaves it to the pictures.
    camera: Camera,
    camera_from_world: Pose,
    split: Option<Split>,
}

/// A rig before its footage is looked for.
struct Rig {
    files: Arc<Files>,
    /// See [`Capture::layout`].
    layout: String,
    /// The file with the calibration.
    source: String,
    cameras: Vec<Calibrated>,
    /// Whether photos are wanted where there are videos too.
    prefers_photos: bool,
    /// By how many seconds each camera's clock is ahead: the true time is that of the frame less this.
    offsets: HashMap<String, f64>,
    points: Vec<Point>,
    warnings: Vec<String>,
}

impl Rig {
    /// Finds what the cameras filmed and checks that it fits together.
    ///
    /// # Errors
    /// When it does not and `options` do not say to go on, or nothing was filmed.
    fn finish(mut self, options: OpenOptions) -> Result<Capture> {
        self.cameras.sort_by(|a, b| a.name.cmp(&b.name));
        let names: Vec<&str> = self.cameras.iter().map(|camera| camera.name.as_str()).collect();
        let (mut films, mut problems) = footage::find(&self.files, &names, self.prefers_photos, options)?;
        problems.extend(checks::compare(&films));
        self.drop_clockless(&mut films, &mut problems);
        if options.skip_bad {
            films.par_iter_mut().for_each(|film| film.drop_broken(&self.files));
        }
        let complaint = "is no rig whose cameras fit together";
        settle(&self.files, complaint, problems, options, &mut self.warnings)?;
        self.warnings.extend(films.iter().flat_map(Footage::remarks));
        self.warn_of_unused_offsets(&films);
        let mut frames = Vec::new();
        for film in &films {
            frames.extend(self.frames_of(film, options)?);
        }
        let Self { files, layout, source, points, warnings, .. } = self;
        Draft { files, layout, source, frames, points, warnings }.finish()
    }

    fn frames_of(&mut self, film: &Footage, options: OpenOptions) -> Result<Vec<DraftFrame>> {
        let calibrated = &self.cameras[film.camera];
        let offset = self.offsets.get(&calibrated.name).copied().unwrap_or_default();
        let frame = |image: &str, mask: Option<String>, size: (u32, u32), time: f64| {
            let mut camera = calibrated.camera;
            if camera.width == 0 || camera.height == 0 {
                (camera.width, camera.height) = size;
            }
            Frame {
                name: String::new(),
                image: image.to_owned(),
                video_frame: None,
                mask: mask.map(|path| MaskSource { path, kind: MaskKind::Foreground }),
                depth: None,
                normals: None,
                camera,
                camera_from_world: calibrated.camera_from_world,
                time: Some(time),
                rig_camera: Some(film.camera as u32),
                split: calibrated.split,
            }
        };
        let mask = |name: &str| {
            let folder = MASK_FOLDERS.iter().map(|folder| join(folder, &calibrated.name));
            folder.filter(|folder| self.files.is_dir(folder)).find_map(|f| find_image(&self.files, &join(&f, name)))
        };
        match &film.source {
            Source::Video { path, info, kept } => Ok(kept
                .iter()
                .map(|&number| {
                    let seconds = info.times[number as usize] - info.times[0] - offset;
                    let name = format!("{number:06}.png");
                    let frame = Frame { video_frame: Some(number), ..frame(path, mask(&name), info.size, seconds) };
                    let photo = Photo { path: path.clone(), size: info.size, quarter_turns: 0 };
                    DraftFrame { frame, photo: Some(photo) }
                })
                .collect()),
            Source::Photos(photos) => {
                let paths: Vec<String> = photos.iter().map(|(_, path)| path.clone()).collect();
                let found = find_photos(&self.files, &paths, options, &mut self.warnings)?;
                let named = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
                let all = photos.iter().zip(found);
                Ok(all
                    .map(|((number, path), photo)| {
                        let size = photo.as_ref().map_or((1, 1), Photo::stored_size);
                        DraftFrame { frame: frame(path, mask(&named(path)), size, *number as f64), photo }
                    })
                    .collect())
            }
        }
    }

    /// Leaves out cameras whose clock is said to be ahead by what is no number.
    fn drop_clockless(&self, films: &mut Vec<Footage>, problems: &mut Vec<Problem>) {
        films.retain(|film| {
            let is_known = self.offsets.get(&film.name).is_none_or(|seconds| seconds.is_finite());
            if !is_known {
                let what = format!("the sync offset of camera {} is not a finite number", film.name);
                problems.push(Problem::new(what, "that camera is left out"));
            }
            is_known
        });
    }

    /// Photos are timed by their numbers, which seconds cannot be taken from.
    fn warn_of_unused_offsets(&mut self, films: &[Footage]) {
        let of_photos = films.iter().filter(|film| matches!(film.source, Source::Photos(_)));
        let names: Vec<String> = of_photos.map(|film| self.cameras[film.camera].name.clone()).collect();
        if !names.is_empty() && !self.offsets.is_empty() {
            self.offsets.clear();
            let names = name_some(&names);
            self.warnings
                .push(format!("the sync offsets are in seconds and photos have no rate: not used for {names}"));
        }
    }
}
