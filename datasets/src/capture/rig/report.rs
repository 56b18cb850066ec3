//! What is worth knowing about a rig before training: what each camera filmed, how alike they see, and what they see of the
//! scene.

use super::{RigCamera, rig_cameras};
use crate::Result;
use crate::capture::{Capture, Frame, Split};
use crate::image::read_photo;
use crate::video::Survey;
use nalgebra::Point3;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many photos of a camera are looked at for their colours.
const PHOTOS_LOOKED_AT: usize = 5;
/// So many sparse points are projected.
const POINTS_PROJECTED: usize = 5000;
/// A gap of so many usual intervals misses frames.
const GAP: f64 = 1.5;

/// A rig before training.
#[derive(Clone, Debug, PartialEq)]
pub struct RigReport {
    /// What each camera filmed, by number.
    pub cameras: Vec<CameraReport>,
    /// How many cameras have the middle of the scene in their picture.
    pub see_centre: usize,
    /// In how many cameras' pictures the sparse points lie; `None` without points. Whether something stands before them is
    /// not asked.
    pub points: Option<Coverage>,
    /// From each camera to the nearest other one: world units, and degrees as seen from the middle of the scene; by number.
    pub nearest: Vec<[f64; 2]>,
}

/// In how many pictures points lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coverage {
    /// The median number of cameras.
    pub median: usize,
    /// The share of points that lie in fewer than two pictures, from which no depth can be seen.
    pub fewer_than_two: f64,
}

/// What one camera filmed.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraReport {
    /// [`Frame::rig_camera`].
    pub number: u32,
    /// What its frames' names share.
    pub name: String,
    /// Frames in the capture.
    pub frames: usize,
    /// The times of the first and the last frame.
    pub times: [f64; 2],
    /// The usual time from one frame to the next; `None` of a single frame.
    pub interval: Option<f64>,
    /// Frames that are missing in gaps of its times.
    pub missing: usize,
    /// Width and height in pixels.
    pub size: [u32; 2],
    /// The part that the capture assigns it to.
    pub split: Option<Split>,
    /// Mean sRGB colour, from 0 to 1: of all frames of a video, of some photos; `None` when nothing can be decoded.
    pub mean: Option<[f32; 3]>,
    /// Frames of a video that show exactly the same as the one before.
    pub repeated: usize,
    /// Stretches of a video that cannot be decoded, in frames.
    pub broken: Vec<Range<u32>>,
}

impl RigReport {
    /// Looks at a rig; `None` when the capture is none. Videos are decoded from end to end, small. `progress(done, total)`
    /// counts cameras and is called from several threads.
    ///
    /// # Errors
    /// When ffmpeg is needed and not installed.
    pub fn of(capture: &Capture, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Option<Self>> {
        let cameras = rig_cameras(capture);
        let is_moving = capture.frames.iter().any(|frame| frame.time.is_some());
        if cameras.len() < 2 || !is_moving {
            return Ok(None);
        }
        let done = AtomicUsize::new(0);
        let reports = cameras.par_iter().map(|camera| {
            let report = CameraReport::of(capture, camera);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, cameras.len());
            report
        });
        let reports = reports.collect::<Result<Vec<_>>>()?;
        let first: Vec<&Frame> = cameras.iter().map(|camera| &capture.frames[camera.frames[0]]).collect();
        let centre = capture.scene_from_world.inverse() * Point3::origin();
        Ok(Some(Self {
            cameras: reports,
            see_centre: first.iter().filter(|frame| sees(frame, &centre)).count(),
            points: coverage(capture, &first),
            nearest: nearest(&first, &centre),
        }))
    }

    /// How much brighter than the middle camera each one's pictures are, in stops (factors of two of linear light).
    pub fn exposures(&self) -> Vec<Option<f64>> {
        let light = |mean: [f32; 3]| {
            let [r, g, b] = mean.map(|c| f64::from(c).powf(2.2));
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let lights: Vec<Option<f64>> = self.cameras.iter().map(|camera| camera.mean.map(light)).collect();
        let mut known: Vec<f64> = lights.iter().copied().flatten().filter(|light| *light > 0.0).collect();
        if known.is_empty() {
            return vec![None; lights.len()];
        }
        let middle = known.len() / 2;
        let median = *known.select_nth_unstable_by(middle, f64::total_cmp).1;
        lights
            .into_iter()
            .map(|light| light.filter(|light| *light > 0.0).map(|light| (light / median).log2()))
            .collect()
    }
}

impl CameraReport {
    fn of(capture: &Capture, camera: &RigCamera) -> Result<Self> {
        let frames: Vec<&Frame> = camera.frames.iter().map(|&index| &capture.frames[index]).collect();
        let times: Vec<f64> = frames.iter().filter_map(|frame| frame.time).collect();
        let mut gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let middle = gaps.len() / 2;
        let interval = (!gaps.is_empty()).then(|| *gaps.select_nth_unstable_by(middle, f64::total_cmp).1);
        let missed =
            |gap: f64| interval.filter(|i| *i > 0.0 && gap > GAP * i).map_or(0, |i| (gap / i).round() as usize - 1);
        let first = frames[0];
        let mut report = Self {
            number: camera.number,
            name: camera.name.clone(),
            frames: frames.len(),
            times: [times.first(), times.last()].map(|time| time.copied().unwrap_or_default()),
            interval,
            missing: gaps.iter().map(|&gap| missed(gap)).sum(),
            size: [first.camera.width, first.camera.height],
            split: first.split,
            mean: None,
            repeated: 0,
            broken: Vec::new(),
        };
        if first.video_frame.is_some() {
            report.look_at_video(capture, first)?;
        } else {
            let step = frames.len().div_ceil(PHOTOS_LOOKED_AT);
            let photos = frames.iter().step_by(step).filter_map(|frame| read_photo(&capture.files, frame).ok());
            report.mean = mean(photos.map(|photo| {
                photo.resized(1, 1).data.first_chunk::<3>().copied().unwrap_or_default().map(|c| f32::from(c) / 255.0)
            }));
        }
        Ok(report)
    }

    fn look_at_video(&mut self, capture: &Capture, first: &Frame) -> Result<()> {
        let info = capture.files.video(&first.image)?;
        match Survey::of(capture.files.display_path(&first.image), &info) {
            Ok(survey) => {
                self.mean = mean(survey.means.iter().copied().flatten());
                self.repeated = survey.repeated.len();
                self.broken = survey.broken;
            }
            // Nothing of it can be decoded, which the report says.
            Err(_) => self.broken.push(0..info.len() as u32),
        }
        Ok(())
    }
}

fn mean(colours: impl Iterator<Item = [f32; 3]>) -> Option<[f32; 3]> {
    let (sum, count) = colours.fold(([0.0f64; 3], 0usize), |(sum, count), colour| {
        ([0, 1, 2].map(|c| sum[c] + f64::from(colour[c])), count + 1)
    });
    (count > 0).then(|| sum.map(|sum| (sum / count as f64) as f32))
}

/// Whether a point lies in a frame's picture.
fn sees(frame: &Frame, point: &Point3<f64>) -> bool {
    let seen = frame.camera_from_world * point;
    let [x, y] = frame.camera.lens.project(seen.coords.into()).pixel;
    seen.z > 0.0
        && (0.0..f64::from(frame.camera.width)).contains(&x)
        && (0.0..f64::from(frame.camera.height)).contains(&y)
}

fn coverage(capture: &Capture, cameras: &[&Frame]) -> Option<Coverage> {
    let step = capture.points.len().div_ceil(POINTS_PROJECTED).max(1);
    let points = capture.points.iter().step_by(step).map(|point| Point3::from(point.position));
    let mut counts: Vec<usize> =
        points.map(|point| cameras.iter().filter(|camera| sees(camera, &point)).count()).collect();
    counts.sort_unstable();
    let few = counts.partition_point(|&count| count < 2);
    let median = *counts.get(counts.len() / 2)?;
    Some(Coverage { median, fewer_than_two: few as f64 / counts.len() as f64 })
}

fn nearest(cameras: &[&Frame], centre: &Point3<f64>) -> Vec<[f64; 2]> {
    let places: Vec<Point3<f64>> =
        cameras.iter().map(|frame| frame.camera_from_world.inverse() * Point3::origin()).collect();
    let angle = |a: &Point3<f64>, b: &Point3<f64>| (a - centre).angle(&(b - centre)).to_degrees();
    let from = |i: usize| {
        let others = (0..places.len()).filter(move |&j| j != i);
        let distance = |j: usize| (places[i] - places[j]).norm();
        let least = others.min_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        least.map_or([0.0; 2], |j| [distance(j), angle(&places[i], &places[j])])
    };
    (0..places.len()).map(from).collect()
}
