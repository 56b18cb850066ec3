//! From what a layout's loader read to a [`Capture`] that keeps its promises: checked, complete and sorted.

use super::images::Photo;
use super::normalise::scene_from_world;
use super::{Capture, Frame, Point};
use crate::files::Files;
use crate::{DataError, Result};
use std::collections::HashSet;
use std::sync::Arc;

/// How many names a message lists.
const LISTED_NAMES: usize = 3;

/// A capture before it is checked.
pub(super) struct Draft {
    pub(super) files: Arc<Files>,
    /// See [`Capture::layout`].
    pub(super) layout: String,
    /// The file that lists the frames, for messages.
    pub(super) source: String,
    pub(super) frames: Vec<DraftFrame>,
    pub(super) points: Vec<Point>,
    pub(super) warnings: Vec<String>,
}

/// A frame before its camera is made to agree with its photo. The loader fills in the frame's image path and camera
/// as its files state them; its name is made here.
pub(super) struct DraftFrame {
    pub(super) frame: Frame,
    /// The photo, when it exists: [`super::images::find_photos`].
    pub(super) photo: Option<Photo>,
}

impl Draft {
    /// Checks poses and lenses, leaves out frames without photo (with a warning), fits cameras to their photos, names
    /// and sorts the frames and finds the scene's centre and scale.
    ///
    /// # Errors
    /// When there are no frames, all photos are missing, a pose or a lens holds numbers that make no sense, a photo is
    /// listed twice, or a photo and its camera differ in shape.
    pub(super) fn finish(mut self) -> Result<Capture> {
        let source = self.files.display_path(&self.source);
        if self.frames.is_empty() {
            return Err(
                DataError::new(source, "lists no images").remedy("give a capture with at least one posed image")
            );
        }
        let listed = self.frames.len();
        let (found, missing): (Vec<_>, Vec<_>) = self.frames.into_iter().partition(|draft| draft.photo.is_some());
        let missing: Vec<_> = missing.into_iter().map(|draft| draft.frame.image).collect();
        if found.is_empty() {
            let reason = format!("none of its {listed} images exists ({})", name_some(&missing));
            let remedy = match missing.iter().all(|path| self.files.is_inside(path)) {
                true => "put the images where these paths lead",
                false => "images are looked for within the capture's own folder only: move them there",
            };
            return Err(DataError::new(source, reason).remedy(remedy));
        }
        if !missing.is_empty() {
            let (count, names) = (missing.len(), name_some(&missing));
            self.warnings.push(format!("{count} of {listed} images are missing and left out: {names}"));
        }

        let mut rescaled = Vec::new();
        let mut frames = Vec::with_capacity(found.len());
        for DraftFrame { mut frame, photo } in found {
            check_numbers(&frame).map_err(|reason| {
                DataError::new(&source, format!("{}: {reason}", frame.image)).remedy("leave that image out")
            })?;
            if let Some(photo) = photo {
                let fitted = photo.fit(frame.camera, frame.camera_from_world);
                let (camera, pose, was_rescaled) = fitted.map_err(|reason| {
                    let error = DataError::new(self.files.display_path(&photo.path), reason);
                    error.remedy(format!("use the images for which {} was made", self.source))
                })?;
                (frame.camera, frame.camera_from_world, frame.image) = (camera, pose, photo.path);
                if was_rescaled {
                    rescaled.push(frame.image.clone());
                }
            }
            frames.push(frame);
        }
        if !rescaled.is_empty() {
            let (count, names) = (rescaled.len(), name_some(&rescaled));
            self.warnings
                .push(format!("the intrinsics of {count} images are for another size and were scaled: {names}"));
        }
        drop_bad_points(&mut self.points, &mut self.warnings);
        name_frames(&mut frames).map_err(|reason| DataError::new(&source, reason).remedy("list each image once"))?;
        frames.sort_by(|a, b| a.name.cmp(&b.name));
        let scene_from_world = scene_from_world(&frames, &self.points);
        let Self { files, layout, points, warnings, .. } = self;
        Ok(Capture { name: files.name(), files, layout, frames, points, scene_from_world, warnings })
    }
}

/// "a.jpg, b.jpg, c.jpg and 7 more"
pub(super) fn name_some(names: &[String]) -> String {
    let shown = names.iter().take(LISTED_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn check_numbers(frame: &Frame) -> std::result::Result<(), &'static str> {
    let pose = &frame.camera_from_world;
    let numbers = pose.rotation.coords.iter().chain(pose.translation.vector.iter());
    if numbers.clone().any(|v| !v.is_finite()) {
        return Err("its pose holds numbers that are not finite");
    }
    if numbers.clone().any(|v| v.abs() > 1e12) {
        return Err("its pose is absurdly far away");
    }
    let lens = &frame.camera.lens;
    let finite = |values: &[f64]| values.iter().all(|v| v.is_finite());
    let bending_is_finite = match &lens.distortion {
        crate::camera::Distortion::None => true,
        crate::camera::Distortion::Polynomial { k, p } => finite(k) && finite(p),
        crate::camera::Distortion::Fisheye { k } => finite(k),
    };
    if !finite(&lens.focal) || !finite(&lens.centre) || !bending_is_finite {
        return Err("its intrinsics hold numbers that are not finite");
    }
    if lens.focal.iter().any(|f| *f <= 0.0) {
        return Err("its focal length is not positive");
    }
    if frame.camera.width == 0 || frame.camera.height == 0 {
        return Err("its camera has no pixels");
    }
    if frame.time.is_some_and(|t| !t.is_finite()) {
        return Err("its time is not finite");
    }
    Ok(())
}

fn drop_bad_points(points: &mut Vec<Point>, warnings: &mut Vec<String>) {
    let before = points.len();
    points.retain(|point| point.position.iter().all(|v| v.abs() < 1e12));
    if points.len() < before {
        warnings.push(format!("{} sparse points without finite position are left out", before - points.len()));
    }
}

/// Names every frame by its image's path without the folders that all share; frames of videos as if they lay in a folder
/// called as the video.
fn name_frames(frames: &mut [Frame]) -> std::result::Result<(), String> {
    let paths: Vec<String> = frames.iter().map(path_for_name).collect();
    let mut all: HashSet<&str> = HashSet::with_capacity(frames.len());
    if let Some(twice) = paths.iter().find(|path| !all.insert(path)) {
        return Err(format!("lists the image {twice} twice"));
    }
    let common = paths.iter().map(|path| path.rsplit_once('/').map_or("", |(folder, _)| folder)).reduce(common_folder);
    let skip = common.filter(|folder| !folder.is_empty()).map_or(0, |folder| folder.len() + 1);
    for (frame, path) in frames.iter_mut().zip(&paths) {
        frame.name = path[skip..].to_owned();
    }
    Ok(())
}

fn path_for_name(frame: &Frame) -> String {
    match frame.video_frame {
        Some(number) => {
            let video = frame.image.rsplit_once('.').map_or(frame.image.as_str(), |(stem, _)| stem);
            format!("{video}/{number:06}")
        }
        None => frame.image.clone(),
    }
}

/// The longest path of whole folders with which both begin.
fn common_folder<'a>(a: &'a str, b: &str) -> &'a str {
    let shared: usize =
        a.split('/').zip(b.split('/')).take_while(|(x, y)| x == y).map(|(part, _)| part.len() + 1).sum();
    &a[..shared.saturating_sub(1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_shared_whole() {
        assert_eq!(common_folder("images/left", "images/left"), "images/left");
        assert_eq!(common_folder("images/left", "images/leftover"), "images");
        assert_eq!(common_folder("images", ""), "");
        assert_eq!(common_folder("train", "test"), "");
    }

    #[test]
    fn messages_name_the_first_few() {
        let names: Vec<String> = (0..5).map(|i| format!("{i}.jpg")).collect();
        assert_eq!(name_some(&names), "0.jpg, 1.jpg, 2.jpg and 2 more");
        assert_eq!(name_some(&names[..1]), "0.jpg");
    }
}
