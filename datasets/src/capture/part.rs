//! A part of a capture as a capture of its own.

use super::normalise::scene_from_world;
use super::{Capture, Frame, Point};

impl Capture {
    /// Some of the photos and points of this capture, in a scene that is centred on them and scaled by them, with the same
    /// files and the same world.
    #[must_use]
    pub fn part(&self, frames: Vec<Frame>, points: Vec<Point>) -> Self {
        Self {
            name: self.name.clone(),
            files: self.files.clone(),
            layout: self.layout.clone(),
            scene_from_world: scene_from_world(&frames, &points),
            frames,
            points,
            warnings: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{self, Options, SceneKind};
    use nalgebra::Point3;

    #[test]
    fn a_part_is_centred_on_itself_and_keeps_its_place_in_the_world() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("capture");
        let options = Options { width: 32, height: 24, samples_per_pixel: 1, points: 200, ..Options::default() };
        synthetic::write(SceneKind::StillLife, &options, &path, false, &|_, _| {}).expect("a capture can be made");
        let whole = Capture::open(&path).expect("a capture");

        let right: Vec<Point> = whole.points.iter().filter(|point| point.position[0] > 0.0).copied().collect();
        let frames = whole.frames[3..9].to_vec();
        let part = whole.part(frames.clone(), right.clone());
        assert_eq!(part.frames.len(), 6);
        assert_eq!(part.points, right);
        let names = |frames: &[Frame]| frames.iter().map(|frame| frame.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&part.frames), names(&frames));
        assert_eq!(part.scene_from_world, scene_from_world(&frames, &right));
        // Where a camera sees a point does not depend on the scene's unit.
        let seen = |capture: &Capture| {
            let place = capture.scene_from_world * Point3::from(right[0].position);
            let place = capture.camera_from_scene(&frames[0]) * place;
            [place.x / place.z, place.y / place.z]
        };
        let [of_whole, of_part] = [seen(&whole), seen(&part)];
        assert!((0..2).all(|i| (of_whole[i] - of_part[i]).abs() < 1e-9), "{of_whole:?} and {of_part:?}");
    }
}
