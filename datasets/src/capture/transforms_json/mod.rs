//! `transforms.json` of nerfstudio and instant-ngp, and `transforms_{train,val,test}.json` of Blender scenes.
//!
//! `transform_matrix` is camera-to-world with OpenGL axes (x right, y up, z backwards), intrinsics are in pixels with the
//! image corner at (0, 0). The file's world is the one of its matrices. `applied_transform` only tells how nerfstudio
//! got there from COLMAP's world; the point cloud that the file names lies in the file's world already, so it is
//! not needed here.

mod cameras;
mod intrinsics;
mod schema;

pub use cameras::{StatedCamera, read_cameras};

use super::assemble::{Draft, DraftFrame, name_some};
use super::images::{find_image, find_photos};
use super::not_a_number::{Number, holds_any, quoted};
use super::problems::settle;
use super::{Capture, DepthSource, Frame, MaskKind, MaskSource, OpenOptions, Point, Split, times};
use crate::camera::Pose;
use crate::files::Files;
use crate::format::ply;
use crate::{DataError, Result};
use nalgebra::{Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use schema::{FrameEntry, RigCamera, Transforms};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

/// World units per unit of a 16-bit depth PNG unless the file says otherwise: millimetres.
const PNG_DEPTH_UNIT: f64 = 0.001;
/// A point cloud that nerfstudio writes, found even when the file does not name it.
const DEFAULT_POINTS: &str = "sparse_pc.ply";
/// How far from orthonormal the axes of a pose may be, relatively: files are written with five digits or more.
const ROTATION_TOLERANCE: f64 = 0.02;

/// Reads one file with all frames.
pub(super) fn load(files: Arc<Files>, json: &str, options: OpenOptions) -> Result<Capture> {
    let transforms = parse(&files, json)?;
    let mut collected = Collected::default();
    collected.add(&files, json, &transforms, None, options)?;
    collected.points = read_points(&files, &transforms, &mut collected.warnings)?;
    collected.finish(files, format!("nerfstudio or instant-ngp {json}"), json, options)
}

/// Reads `transforms_train.json` and, as far as they exist, `transforms_val.json` and `transforms_test.json`.
pub(super) fn load_splits(files: Arc<Files>, options: OpenOptions) -> Result<Capture> {
    let mut collected = Collected::default();
    let mut present = Vec::new();
    for (name, split) in [("train", Split::Train), ("val", Split::Validation), ("test", Split::Test)] {
        let json = format!("transforms_{name}.json");
        if files.exists(&json) {
            let transforms = parse(&files, &json)?;
            if split == Split::Train {
                collected.points = read_points(&files, &transforms, &mut collected.warnings)?;
            }
            collected.add(&files, &json, &transforms, Some(split), options)?;
            present.push(name);
        }
    }
    let layout = format!("Blender/NeRF-synthetic transforms_{{{}}}.json", present.join(","));
    collected.finish(files, layout, "transforms_train.json", options)
}

fn parse(files: &Files, json: &str) -> Result<Transforms> {
    let bytes = files.read(json)?;
    // Some editors put a byte-order mark first, which JSON does not allow.
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    serde_json::from_slice(&quoted(text)).map_err(|e| {
        let error = DataError::new(files.display_path(json), format!("is not a valid transforms file ({e})"));
        error.remedy(match holds_any(text) {
            true => "it holds NaN or Infinity: a pose or a lens could not be computed",
            false => "export it again",
        })
    })
}

/// What the files of a capture add up to.
#[derive(Default)]
struct Collected {
    frames: Vec<DraftFrame>,
    points: Vec<Point>,
    warnings: Vec<String>,
}

impl Collected {
    fn add(
        &mut self,
        files: &Files,
        json: &str,
        transforms: &Transforms,
        split: Option<Split>,
        options: OpenOptions,
    ) -> Result<()> {
        let wrong = |reason: String| DataError::new(files.display_path(json), reason).remedy("leave that frame out");
        let paths = transforms.frames.iter().map(|f| inside(files, &f.file_path)).collect::<Vec<_>>();
        let photos = find_photos(files, &paths, options, &mut self.warnings)?;
        let rig = RigNumbers::of(&transforms.frames);
        let lists = SplitLists::of(transforms);
        let mut missing = Vec::new();
        for ((entry, path), photo) in transforms.frames.iter().zip(paths).zip(photos) {
            let described = |reason: String| wrong(format!("frame {}: {reason}", entry.file_path));
            let size = photo.as_ref().map(|photo| photo.stored_size());
            // A frame without photo is left out later; its camera needs to be nothing in particular.
            let shared = &transforms.shared;
            let camera = intrinsics::camera(shared, &entry.own, size.unwrap_or((1, 1))).map_err(described)?;
            let unit = entry.own.depth_unit_scale_factor.or(shared.depth_unit_scale_factor);
            let frame = Frame {
                name: String::new(),
                image: path,
                video_frame: None,
                mask: entry.mask_path.as_deref().and_then(|path| find_mask(files, path, &mut missing)),
                depth: entry.depth_file_path.as_deref().and_then(|path| find_depth(files, path, unit, &mut missing)),
                normals: entry.normal_file_path.as_deref().and_then(|path| find_or_note(files, path, &mut missing)),
                camera,
                camera_from_world: camera_from_world(&entry.transform_matrix).map_err(described)?,
                time: entry.time.map(|Number(time)| time),
                rig_camera: entry.camera.as_ref().and_then(|camera| rig.number(camera)),
                split: split.or(entry.split.map(Into::into)).or_else(|| lists.split(&entry.file_path)),
            };
            self.frames.push(DraftFrame { frame, photo });
        }
        if !missing.is_empty() {
            let (count, names) = (missing.len(), name_some(&missing));
            self.warnings.push(format!("{count} masks, depth images or normal maps are missing: {names}"));
        }
        Ok(())
    }

    fn finish(self, files: Arc<Files>, layout: String, source: &str, options: OpenOptions) -> Result<Capture> {
        let Self { mut frames, points, mut warnings } = self;
        let problems = times::check(&mut frames, options);
        settle(&files, "states times that cannot be right", problems, options, &mut warnings)?;
        Draft { files, layout, source: source.to_owned(), frames, points, warnings }.finish()
    }
}

/// A path as the file states it, relative to the capture: absolute paths into its folder are made relative.
fn inside(files: &Files, stated: &str) -> String {
    let stated = stated.replace('\\', "/");
    if Path::new(&stated).is_absolute() {
        let canonical = files.root().canonicalize().unwrap_or_default();
        let relative =
            [files.root(), &canonical].into_iter().find_map(|root| Path::new(&stated).strip_prefix(root).ok());
        if let Some(relative) = relative.and_then(Path::to_str) {
            return relative.to_owned();
        }
    }
    stated.trim_start_matches("./").to_owned()
}

fn find_mask(files: &Files, stated: &str, missing: &mut Vec<String>) -> Option<MaskSource> {
    let path = find_or_note(files, stated, missing)?;
    Some(MaskSource { path, kind: MaskKind::Ignore })
}

fn find_depth(files: &Files, stated: &str, unit: Option<f64>, missing: &mut Vec<String>) -> Option<DepthSource> {
    let path = find_or_note(files, stated, missing)?;
    let default = if path.to_ascii_lowercase().ends_with("exr") { 1.0 } else { PNG_DEPTH_UNIT };
    Some(DepthSource { path, scale: unit.unwrap_or(default) })
}

fn find_or_note(files: &Files, stated: &str, missing: &mut Vec<String>) -> Option<String> {
    let found = find_image(files, &inside(files, stated));
    if found.is_none() {
        missing.push(stated.to_owned());
    }
    found
}

fn read_points(files: &Files, transforms: &Transforms, warnings: &mut Vec<String>) -> Result<Vec<Point>> {
    let path = transforms.ply_file_path.as_deref().map_or_else(|| DEFAULT_POINTS.to_owned(), |p| inside(files, p));
    if files.exists(&path) {
        return ply::parse_points(&files.read(&path)?, &files.display_path(&path));
    }
    if transforms.ply_file_path.is_some() {
        warnings.push(format!("the point cloud {path} is missing"));
    }
    Ok(Vec::new())
}

/// World to OpenCV camera from the rows of camera-to-world with OpenGL axes, whose uniform scale is taken out.
fn camera_from_world(rows: &[Vec<f64>]) -> std::result::Result<Pose, String> {
    let is_matrix = (rows.len() == 3 || rows.len() == 4) && rows.iter().all(|row| row.len() == 4);
    if !is_matrix {
        return Err("its transform_matrix is not 4x4".to_owned());
    }
    if rows.iter().flatten().any(|v| !v.is_finite()) {
        return Err("its transform_matrix holds numbers that are not finite".to_owned());
    }
    let axes = Matrix3::from_fn(|r, c| rows[r][c]);
    let centre = Vector3::from_fn(|r, _| rows[r][3]);
    let not_rigid = || "its transform_matrix is not a rigid motion".to_owned();
    let determinant = axes.determinant();
    if !(determinant > 1e-18 && determinant.is_finite()) {
        return Err(not_rigid());
    }
    let axes = axes / determinant.cbrt();
    let svd = axes.svd(true, true);
    let (u, v) = svd.u.zip(svd.v_t).ok_or_else(not_rigid)?;
    let nearest = u * v;
    if (nearest - axes).norm() > ROTATION_TOLERANCE {
        return Err(not_rigid());
    }
    // OpenCV's y and z point the other way.
    let opencv = nearest * Matrix3::from_diagonal(&Vector3::new(1.0, -1.0, -1.0));
    let rotation = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(opencv));
    Ok(Pose::from_parts(Translation3::from(centre), rotation).inverse())
}

/// Numbers for the cameras of a rig that a file calls by number or by name.
struct RigNumbers(HashMap<String, u32>);

impl RigNumbers {
    /// Names are numbered in their order.
    fn of(frames: &[FrameEntry]) -> Self {
        let name = |frame: &FrameEntry| match &frame.camera {
            Some(RigCamera::Name(name)) => Some(name.clone()),
            _ => None,
        };
        let names: BTreeSet<String> = frames.iter().filter_map(name).collect();
        Self(names.into_iter().zip(0..).collect())
    }

    fn number(&self, camera: &RigCamera) -> Option<u32> {
        match camera {
            RigCamera::Number(number) => Some(*number),
            RigCamera::Name(name) => self.0.get(name).copied(),
        }
    }
}

/// nerfstudio's lists of the files in each part.
struct SplitLists<'a>(HashMap<&'a str, Split>);

impl<'a> SplitLists<'a> {
    fn of(transforms: &'a Transforms) -> Self {
        let parts = [
            (&transforms.train_filenames, Split::Train),
            (&transforms.val_filenames, Split::Validation),
            (&transforms.test_filenames, Split::Test),
        ];
        Self(parts.into_iter().flat_map(|(names, split)| names.iter().map(move |n| (n.as_str(), split))).collect())
    }

    fn split(&self, file_path: &str) -> Option<Split> {
        self.0.get(file_path).copied()
    }
}
