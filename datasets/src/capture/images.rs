//! Finding the photos that a capture's files name, and making lenses and poses agree with what is stored.

use super::OpenOptions;
use super::assemble::name_some;
use crate::camera::{Camera, Distortion, Lens, Pose};
use crate::files::Files;
use crate::image::{decode, file_dimensions};
use crate::{DataError, Result};
use nalgebra::{Translation3, UnitQuaternion, Vector3};
use rayon::prelude::*;
use std::io::Cursor;

/// Endings that are tried when a file names a photo without one, or with another than it has.
const EXTENSIONS: [&str; 13] =
    ["png", "jpg", "jpeg", "webp", "exr", "tif", "tiff", "bmp", "PNG", "JPG", "JPEG", "TIF", "TIFF"];
/// Enough of a file for its EXIF data, which is at most 64 KiB in a JPEG.
const EXIF_BYTES: u64 = 128 * 1024;
/// How far the aspect ratios of a photo and of its intrinsics may lie apart, relatively.
const ASPECT_TOLERANCE: f64 = 0.01;

/// A photo that exists.
#[derive(Clone, Debug)]
pub(super) struct Photo {
    /// Path within the files.
    pub(super) path: String,
    /// Upright size in pixels.
    pub(super) size: (u32, u32),
    /// By how many quarter turns clockwise EXIF says that the stored pixels must be turned to be upright.
    pub(super) quarter_turns: u8,
}

impl Photo {
    /// The size of the pixels as stored, which programs that ignore EXIF orientation computed poses for.
    pub(super) fn stored_size(&self) -> (u32, u32) {
        let (width, height) = self.size;
        if self.quarter_turns % 2 == 1 { (height, width) } else { (width, height) }
    }

    /// The camera and the pose of the upright photo, from those of its file. The intrinsics may be for another
    /// size of the same picture, and for its pixels as stored or upright. True when they had to be rescaled.
    ///
    /// # Errors
    /// The words of an error when the aspect ratios disagree.
    pub(super) fn fit(
        &self,
        camera: Camera,
        camera_from_world: Pose,
    ) -> std::result::Result<(Camera, Pose, bool), String> {
        let (turns, size) = if same_aspect(&camera, self.stored_size()) {
            (self.quarter_turns, self.stored_size())
        } else if same_aspect(&camera, self.size) {
            (0, self.size)
        } else {
            let ((w, h), (cw, ch)) = (self.size, (camera.width, camera.height));
            return Err(format!("is {w}x{h} pixels but its camera is for {cw}x{ch}"));
        };
        let rescaled = size != (camera.width, camera.height);
        let camera = if rescaled { camera.resized(size.0, size.1) } else { camera };
        let turned = (0..turns).fold((camera, camera_from_world), |(camera, pose), _| quarter_turn(&camera, &pose));
        Ok((turned.0, turned.1, rescaled))
    }
}

fn same_aspect(camera: &Camera, (width, height): (u32, u32)) -> bool {
    let ours = f64::from(camera.width) * f64::from(height);
    let theirs = f64::from(camera.height) * f64::from(width);
    (ours - theirs).abs() <= ASPECT_TOLERANCE * theirs.max(1.0)
}

/// The camera of the picture turned clockwise by 90°, where x becomes y and y becomes -x.
fn quarter_turn(camera: &Camera, camera_from_world: &Pose) -> (Camera, Pose) {
    let Lens { focal: [fx, fy], centre: [cx, cy], distortion } = camera.lens;
    let distortion = match distortion {
        Distortion::Polynomial { k, p: [p1, p2] } => Distortion::Polynomial { k, p: [p2, -p1] },
        radial => radial,
    };
    let lens = Lens { focal: [fy, fx], centre: [f64::from(camera.height) - cy, cx], distortion };
    let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), std::f64::consts::FRAC_PI_2);
    let turned = Pose::from_parts(Translation3::identity(), turn) * camera_from_world;
    (Camera { width: camera.height, height: camera.width, lens }, turned)
}

/// The file at `path`, or one beside it that differs in its ending only. `None` when there is no such file.
pub(super) fn find_image(files: &Files, path: &str) -> Option<String> {
    if files.exists(path) {
        return Some(path.to_owned());
    }
    // A dot in a name without ending (`frame_1.5`) is no ending either, so both readings are tried.
    let without_ending = path.rsplit_once('.').map(|(stem, _)| stem).filter(|stem| !stem.ends_with('/'));
    [Some(path), without_ending]
        .into_iter()
        .flatten()
        .filter(|stem| !stem.is_empty())
        .flat_map(|stem| EXTENSIONS.map(|ending| format!("{stem}.{ending}")))
        .find(|candidate| files.exists(candidate))
}

/// Finds all photos and reads their headers; those that are missing are `None`. When bad ones are to be skipped, all are
/// decoded, and those that cannot be are `None` too, with a warning.
///
/// # Errors
/// When a photo exists but its header cannot be read, or says that the photo is mirrored, and such are not skipped.
pub(super) fn find_photos(
    files: &Files,
    paths: &[String],
    options: OpenOptions,
    warnings: &mut Vec<String>,
) -> Result<Vec<Option<Photo>>> {
    let found = |path: &String| find_image(files, path).map(|found| read_header(files, found));
    if !options.skip_bad {
        return paths.par_iter().map(|path| found(path).transpose()).collect();
    }
    let whole = |photo: Photo| decode(&files.read(&photo.path)?, &files.display_path(&photo.path)).map(|_| photo);
    let looked_at: Vec<_> = paths.par_iter().map(|path| found(path).map(|photo| photo.and_then(whole))).collect();
    let bad: Vec<String> =
        looked_at.iter().flatten().filter_map(|p| p.as_ref().err().map(ToString::to_string)).collect();
    if !bad.is_empty() {
        warnings.push(format!("{} photos cannot be used: {}", bad.len(), name_some(&bad)));
    }
    Ok(looked_at.into_iter().map(|photo| photo.and_then(Result::ok)).collect())
}

fn read_header(files: &Files, path: String) -> Result<Photo> {
    let size = file_dimensions(files, &path)?;
    let lower = path.to_ascii_lowercase();
    let quarter_turns = match lower.rsplit_once('.').map(|(_, ending)| ending) {
        Some("bmp" | "exr") => 0,
        _ => quarter_turns(files, &path)?,
    };
    Ok(Photo { path, size, quarter_turns })
}

/// EXIF's orientation in quarter turns.
fn quarter_turns(files: &Files, path: &str) -> Result<u8> {
    let beginning = files.read_prefix(path, EXIF_BYTES)?;
    // Broken or absent EXIF data is no reason to refuse a photo: it is then taken as stored.
    let Ok(exif) = ::exif::Reader::new().read_from_container(&mut Cursor::new(beginning)) else { return Ok(0) };
    let field = exif.get_field(::exif::Tag::Orientation, ::exif::In::PRIMARY);
    match field.and_then(|field| field.value.get_uint(0)) {
        Some(3) => Ok(2),
        Some(6) => Ok(1),
        Some(8) => Ok(3),
        Some(2 | 4 | 5 | 7) => Err(DataError::new(files.display_path(path), "has a mirrored EXIF orientation")
            .remedy("save it again upright, without EXIF orientation")),
        _ => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::LensModel;
    use nalgebra::Point3;

    fn opencv(width: u32, height: u32) -> Camera {
        let parameters = [500.0, 510.0, 300.0, 250.0, 0.1, -0.02, 0.003, -0.004];
        Camera { width, height, lens: LensModel::OpenCv.lens(&parameters).expect("eight parameters") }
    }

    fn project(camera: &Camera, pose: &Pose, point: Point3<f64>) -> [f64; 2] {
        camera.lens.project((pose * point).coords.into()).pixel
    }

    #[test]
    fn turning_a_photo_turns_what_its_camera_sees() {
        let camera = opencv(640, 480);
        let pose = Pose::new(Vector3::new(0.1, -0.2, 0.3), Vector3::new(0.2, 0.1, -0.3));
        let point = Point3::new(0.4, 0.5, 4.0);
        let [x, y] = project(&camera, &pose, point);
        // Where clockwise turns take the pixel (x, y) of a 640x480 picture.
        let expected = [[x, y], [480.0 - y, x], [640.0 - x, 480.0 - y], [y, 640.0 - x]];
        for (turns, expected) in expected.iter().enumerate() {
            let size = if turns % 2 == 1 { (480, 640) } else { (640, 480) };
            let photo = Photo { path: String::new(), size, quarter_turns: turns as u8 };
            let (turned, pose, rescaled) = photo.fit(camera, pose).expect("sizes agree");
            assert!(!rescaled);
            assert_eq!((turned.width, turned.height), size);
            let seen = project(&turned, &pose, point);
            let error = (seen[0] - expected[0]).hypot(seen[1] - expected[1]);
            assert!(error < 1e-9, "after {turns} turns {expected:?} is seen at {seen:?}");
        }
    }

    #[test]
    fn intrinsics_of_another_size_are_rescaled_and_of_another_shape_refused() {
        let photo = Photo { path: String::new(), size: (320, 240), quarter_turns: 0 };
        let (camera, _, rescaled) = photo.fit(opencv(640, 480), Pose::identity()).expect("the same shape");
        assert!(rescaled);
        assert_eq!((camera.width, camera.lens.focal, camera.lens.centre), (320, [250.0, 255.0], [150.0, 125.0]));
        let words = photo.fit(opencv(480, 640), Pose::identity()).expect_err("another shape");
        assert_eq!(words, "is 320x240 pixels but its camera is for 480x640");
    }
}
