//! What LLFF and IDR captures share: cameras that belong to the photos of one folder in the order of their names.

use super::assemble::DraftFrame;
use super::images::{Photo, find_image, find_photos};
use super::{Frame, MaskKind, MaskSource, OpenOptions};
use crate::camera::{Camera, Pose};
use crate::files::{Files, join};
use crate::{DataError, Result};
use std::path::Path;

const MASK_FOLDERS: [&str; 2] = ["mask", "masks"];
const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "exr", "bmp"];

/// The photos of such a capture, sorted by name, with their masks.
pub(super) struct InOrder {
    /// Where the photos are.
    pub(super) folder: &'static str,
    images: Vec<String>,
    masks: Vec<Option<MaskSource>>,
    photos: Vec<Option<Photo>>,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
}

impl InOrder {
    /// The photos of the first of `folders` that holds any; there must be `n`. `source` is the file with the cameras, and
    /// `cameras` what messages call them.
    ///
    /// # Errors
    /// When there are none or another number, or one of them cannot be read.
    pub(super) fn find(
        files: &Files,
        folders: &[&'static str],
        n: usize,
        cameras: &str,
        source: &Path,
        options: OpenOptions,
    ) -> Result<Self> {
        let (folder, images) = photo_folder(files, folders)?;
        if images.len() != n {
            let reason = format!("holds {n} {cameras} but {folder}/ holds {} images", images.len());
            return Err(DataError::new(source, reason).remedy("leave exactly the posed images in that folder"));
        }
        let mut warnings = Vec::new();
        let masks = find_masks(files, &images, &mut warnings)?;
        let photos = find_photos(files, &images, options, &mut warnings)?;
        Ok(Self { folder, images, masks, photos, warnings })
    }

    /// All frames; `camera` gives lens and pose (camera from world) of the photo with this index and path.
    ///
    /// # Errors
    /// Those of `camera`.
    pub(super) fn frames(
        self,
        mut camera: impl FnMut(usize, &str, Option<&Photo>) -> Result<(Camera, Pose)>,
    ) -> Result<Vec<DraftFrame>> {
        let all = self.images.into_iter().zip(self.masks).zip(self.photos).enumerate();
        all.map(|(index, ((image, mask), photo))| {
            let (camera, camera_from_world) = camera(index, &image, photo.as_ref())?;
            let frame = Frame {
                name: String::new(),
                image,
                video_frame: None,
                mask,
                depth: None,
                normals: None,
                camera,
                camera_from_world,
                time: None,
                rig_camera: None,
                split: None,
            };
            Ok(DraftFrame { frame, photo })
        })
        .collect()
    }
}

fn photo_folder(files: &Files, folders: &[&'static str]) -> Result<(&'static str, Vec<String>)> {
    for &folder in folders {
        let images = images_in(files, folder)?;
        if !images.is_empty() {
            return Ok((folder, images));
        }
    }
    let first = files.display_path(folders.first().unwrap_or(&"images"));
    Err(DataError::new(first, "holds no images").remedy("put the posed images there"))
}

/// Paths of the images directly in a folder, sorted by name.
fn images_in(files: &Files, folder: &str) -> Result<Vec<String>> {
    let is_image = |name: &String| {
        name.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
    };
    Ok(files.list_dir(folder)?.into_iter().filter(is_image).map(|name| join(folder, &name)).collect())
}

/// The mask of each image: the one of the same name, or the one in the same place when there are as many (NeuS numbers
/// `000000.png` and `000.png`).
fn find_masks(files: &Files, images: &[String], warnings: &mut Vec<String>) -> Result<Vec<Option<MaskSource>>> {
    let Some(folder) = MASK_FOLDERS.into_iter().find(|folder| files.is_dir(folder)) else {
        return Ok(vec![None; images.len()]);
    };
    let all = images_in(files, folder)?;
    let named = |image: &String| find_image(files, &join(folder, image.rsplit('/').next().unwrap_or(image)));
    let found: Vec<Option<String>> = if images.iter().all(|image| named(image).is_some()) || all.len() != images.len() {
        images.iter().map(named).collect()
    } else {
        all.into_iter().map(Some).collect()
    };
    let missing = found.iter().filter(|m| m.is_none()).count();
    if missing > 0 {
        warnings.push(format!("{missing} of {} images have no mask in {folder}/", images.len()));
    }
    let source = |path| MaskSource { path, kind: MaskKind::Foreground };
    Ok(found.into_iter().map(|path| path.map(source)).collect())
}
