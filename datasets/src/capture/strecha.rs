//! Captures of the multi-view benchmark of Strecha et al. 2008 (fountain-P11, castle-P30 and others), as it is handed out: photos, and for each a
//! text file `NAME.camera` (`0000.jpg.camera`) beside them or in a folder of its own. There are no points.
//!
//! A file is 26 numbers, row by row: K, a row that is not used (distortion, zero), the rotation whose columns are the camera's axes in the
//! world, the camera's place, width and height. The files do not say where a pixel's centre is; it is taken to be at whole numbers.

use super::assemble::{Draft, DraftFrame};
use super::images::find_photos;
use super::{Capture, Frame, OpenOptions};
use crate::camera::{Camera, Distortion, Lens, Pose};
use crate::files::{Files, join};
use crate::{DataError, Result};
use nalgebra::{Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use std::sync::Arc;

/// What the names of camera files end in.
pub(super) const ENDING: &str = ".camera";
/// Folders of camera files, and of photos, in order of preference.
const CAMERA_FOLDERS: [&str; 4] = ["gt_dense_cameras", "cameras", "images", ""];
const IMAGE_FOLDERS: [&str; 2] = ["images", ""];
/// Numbers of a file.
const NUMBERS: usize = 26;
/// How far from orthonormal the axes may be: files have six digits.
const ROTATION_TOLERANCE: f64 = 0.01;

/// Whether there are camera files and no other description that people write for training.
pub(super) fn is_here(files: &Files) -> bool {
    !files.exists("transforms.json") && cameras(files).is_some()
}

/// The folder of the camera files, and their names.
fn cameras(files: &Files) -> Option<(&'static str, Vec<String>)> {
    CAMERA_FOLDERS.into_iter().find_map(|folder| {
        let names = files.list_dir(folder).unwrap_or_default();
        let names: Vec<String> = names.into_iter().filter(|name| name.ends_with(ENDING)).collect();
        (!names.is_empty()).then_some((folder, names))
    })
}

/// # Errors
/// When a camera file is damaged, or a photo cannot be read.
pub(super) fn load(files: Arc<Files>, options: OpenOptions) -> Result<Capture> {
    let Some((folder, names)) = cameras(&files) else {
        return Err(DataError::new(files.root(), "holds no camera files").remedy("put the NAME.camera files there"));
    };
    let images = IMAGE_FOLDERS.into_iter().find(|images| files.is_dir(images)).unwrap_or("");
    let photos: Vec<String> = names.iter().map(|name| join(images, name.trim_end_matches(ENDING))).collect();
    let mut warnings = Vec::new();
    let found = find_photos(&files, &photos, options, &mut warnings)?;
    let mut frames = Vec::with_capacity(names.len());
    for ((name, image), photo) in names.iter().zip(photos).zip(found) {
        let path = join(folder, name);
        let (camera, camera_from_world) = parse(&files.read_text(&path)?).map_err(|reason| {
            DataError::new(files.display_path(&path), reason).remedy("leave that file and its photo out")
        })?;
        let frame = Frame {
            name: String::new(),
            image,
            video_frame: None,
            mask: None,
            depth: None,
            normals: None,
            camera,
            camera_from_world,
            time: None,
            rig_camera: None,
            split: None,
        };
        frames.push(DraftFrame { frame, photo });
    }
    let layout = format!("Strecha's benchmark ({})", join(folder, "*.camera"));
    Draft { files, layout, source: folder.to_owned(), frames, points: Vec::new(), warnings }.finish()
}

/// Camera and pose, or what is wrong with the file.
fn parse(text: &str) -> std::result::Result<(Camera, Pose), String> {
    let numbers: std::result::Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
    let numbers = numbers.map_err(|_| "holds something that is no number".to_owned())?;
    if numbers.len() != NUMBERS {
        return Err(format!("holds {} numbers instead of {NUMBERS}", numbers.len()));
    }
    if numbers.iter().any(|v| !v.is_finite()) {
        return Err("holds numbers that are not finite".to_owned());
    }
    let matrix = |at: usize| Matrix3::from_row_slice(&numbers[at..at + 9]);
    let (k, axes) = (matrix(0), matrix(12));
    let (width, height) = (numbers[24], numbers[25]);
    if !(1.0..=1e6).contains(&width) || !(1.0..=1e6).contains(&height) || k[(0, 0)] <= 0.0 || k[(1, 1)] <= 0.0 {
        return Err("has a size or focal length that makes no sense".to_owned());
    }
    if numbers[9..12].iter().any(|v| *v != 0.0) || k[(0, 1)] != 0.0 {
        return Err("states distortion or skew, whose meaning is not known".to_owned());
    }
    let off = axes.transpose() * axes - Matrix3::identity();
    if off.amax() > ROTATION_TOLERANCE || axes.determinant() < 0.0 {
        return Err("has axes that are no rotation".to_owned());
    }
    let rotation = Rotation3::from_matrix_eps(&axes, 1e-12, 100, Rotation3::from_matrix_unchecked(axes));
    let place = Translation3::from(Vector3::from_column_slice(&numbers[21..24]));
    let world_from_camera = Pose::from_parts(place, UnitQuaternion::from_rotation_matrix(&rotation));
    let centre = [k[(0, 2)] + 0.5, k[(1, 2)] + 0.5];
    let lens = Lens { focal: [k[(0, 0)], k[(1, 1)]], centre, distortion: Distortion::None };
    let camera = Camera { width: width.round() as u32, height: height.round() as u32, lens };
    Ok((camera, world_from_camera.inverse()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Image8, save_png};

    const FILE: &str = "60 0 31.5\n0 61 23.5\n0 0 1\n0 0 0\n0 0 1\n-1 0 0\n0 -1 0\n2 3 4\n64 48\n";

    #[test]
    fn a_capture_of_camera_files_opens() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for sub in ["images", "gt_dense_cameras"] {
            std::fs::create_dir(folder.path().join(sub)).expect("writable");
        }
        for (name, text) in [("0000.png", FILE.to_owned()), ("0001.png", FILE.replace("2 3 4", "2 4 4"))] {
            save_png(folder.path().join("images").join(name), &Image8::new(64, 48, 3)).expect("writable");
            std::fs::write(folder.path().join(format!("gt_dense_cameras/{name}.camera")), text).expect("writable");
        }
        assert!(!crate::capture::photos::is_photos_or_video(folder.path()), "it has poses");
        let capture = Capture::open(folder.path()).expect("a capture");
        assert!(capture.layout.starts_with("Strecha") && capture.frames.len() == 2, "{}", capture.layout);
        let Frame { camera, camera_from_world, .. } = &capture.frames[1];
        assert_eq!((camera.lens.focal, camera.lens.centre), ([60.0, 61.0], [32.0, 24.0]));
        let place = camera_from_world.inverse();
        assert!((place.translation.vector - Vector3::new(2.0, 4.0, 4.0)).norm() < 1e-9);
        // It looks along x, with z up.
        assert!((place.rotation * Vector3::z() - Vector3::x()).norm() < 1e-9);
        assert!((place.rotation * Vector3::y() + Vector3::z()).norm() < 1e-9);
    }

    #[test]
    fn damaged_camera_files_are_refused_in_words() {
        for (text, about) in [
            ("1 2 3".to_owned(), "3 numbers"),
            (FILE.replace("60", "x"), "no number"),
            (FILE.replace("60", "NaN"), "not finite"),
            (FILE.replace("-1 0 0", "-1 0 1"), "no rotation"),
            (FILE.replace("64 48", "0 48"), "makes no sense"),
        ] {
            let said = parse(&text).expect_err("damaged");
            assert!(said.contains(about), "{said}");
        }
    }
}
