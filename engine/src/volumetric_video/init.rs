//! Where Gaussians in space and time begin.
//!
//! Of cameras that stand still, the median over time shows what rests: that becomes static, once, as splats of a still scene begin.
//! At moments spread over the whole length, what differs from it becomes Gaussians around the moment. Where cameras move
//! or each has one photo, photos of a moment are taken for a still scene. A capture with one photo for each moment has no still
//! scenes: there all photos are one, and its Gaussians are spread over time.

use super::config::VideoConfig;
use super::motion::{Glimpse, moving_ball, velocities};
use crate::Result;
use crate::frames::FrameSet;
use crate::splats::init::{InitSettings, InitSource, Resting, initial_splats};
use std::collections::BTreeMap;
use tessera_datasets::camera::spacetime::{SpacetimeShape, left_of_rotation, right_of_left};
use tessera_datasets::capture::Capture;
use tessera_datasets::scene::{SplatCloud, Timeline, VolumetricVideo};

/// Fewer photos of a moment than this show no still scene.
const MIN_CAMERAS: usize = 3;
/// Fewer photos of a camera than this do not show what rests.
const MIN_PHOTOS: usize = 3;
/// Frames from one moment with first Gaussians to the next.
const SPACING: usize = 4;
/// Most moments that are taken for still scenes of their own, since each of them finds again all that rests.
const MOST_STILLS: usize = 12;
/// Standard deviation along time of a first Gaussian, of the time between moments.
const OVERLAP: f64 = 0.6;
/// Frames between moments from which velocities are still found.
const MOST_STRAIGHT: usize = 12;
/// How far around a Gaussian one looks for where its surroundings go, as a share of the cameras' region.
const REACH: f64 = 0.1;
/// Share of the Gaussians that may be there in the end with which to begin; errors say where the others go.
const BEGIN_SHARE: f64 = 0.5;

/// Hands over the first Gaussians, of long videos moment by moment, and returns how much moves: of those that were meant for
/// moments the share that something was found for, 0 to 1. `frames` are those to train on; `config` says how many Gaussians there
/// will be ([`VideoConfig::for_length`]).
///
/// # Errors
/// When a photo cannot be read, the capture does not have what the settings ask for, or `take` fails.
pub fn first_gaussians(
    capture: &Capture,
    frames: &FrameSet,
    timeline: Timeline,
    config: &VideoConfig,
    take: &mut dyn FnMut(&VolumetricVideo) -> Result<()>,
) -> Result<f64> {
    let mut moments: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for i in 0..frames.len() {
        moments.entry(timeline.frame_at(seconds(frames, i, &timeline))).or_default().push(i);
    }
    let mut begin = Beginning::new(capture, frames, timeline, config, take);
    let stills: Vec<(u32, Vec<usize>)> =
        moments.iter().filter(|(_, of)| of.len() >= MIN_CAMERAS).map(|(&at, of)| (at, of.clone())).collect();
    let moving = if moments.len() < 2 || stills.is_empty() {
        begin.add_spread_over_time(moments.len() > 1)?;
        1.0
    } else if let Some(cameras) = begin.resting_cameras() {
        begin.add_by_what_rests(&cameras, &stills)?
    } else {
        begin.add_stills(&stills)?;
        1.0
    };
    begin.hand_over()?;
    Ok(moving)
}

/// What the first Gaussians are made of, and those that there are.
struct Beginning<'a> {
    capture: &'a Capture,
    frames: &'a FrameSet,
    timeline: Timeline,
    config: &'a VideoConfig,
    settings: InitSettings,
    /// Those that have not been handed over.
    video: VolumetricVideo,
    /// How many more there may be.
    room: usize,
    take: &'a mut dyn FnMut(&VolumetricVideo) -> Result<()>,
}

impl<'a> Beginning<'a> {
    fn new(
        capture: &'a Capture,
        frames: &'a FrameSet,
        timeline: Timeline,
        config: &'a VideoConfig,
        take: &'a mut dyn FnMut(&VolumetricVideo) -> Result<()>,
    ) -> Self {
        let settings = InitSettings {
            source: config.init,
            max_splats: config.max_splats,
            count: (config.initial_splats > 0).then_some(config.initial_splats),
            opacity: config.initial_opacity,
            sh_degree: 0,
            ..InitSettings::default()
        };
        let video = VolumetricVideo::with_capacity(0, 0, timeline);
        Self { capture, frames, timeline, config, settings, video, room: config.max_splats, take }
    }

    /// Hands over what there is, thinned out evenly to what there may be. Returns how many.
    fn hand_over(&mut self) -> Result<usize> {
        thin(&mut self.video, self.room);
        let count = self.video.len();
        self.room -= count;
        if count > 0 {
            (self.take)(&self.video)?;
            self.video = VolumetricVideo::with_capacity(0, 0, self.timeline);
        }
        Ok(count)
    }

    /// All photos as one still scene, whose Gaussians are spread over time when it moves.
    fn add_spread_over_time(&mut self, moves: bool) -> Result<()> {
        let cloud = initial_splats(self.capture, self.frames, &self.settings, self.config.seed)?;
        let (duration, spread) = (self.timeline.duration(), 0.25 * self.timeline.duration());
        for i in 0..cloud.len() {
            // The golden ratio spreads any number of moments evenly.
            let at = (i as f64 * 0.618_033_988_749_895).fract() * duration;
            let moving = Around::Moving { seconds: at, spread, velocity: [0.0; 3] };
            push(&mut self.video, &cloud, i, if moves { moving } else { Around::Always });
        }
        Ok(())
    }

    /// The photos of each camera that stands still and sees enough moments, in the order of time, if there are enough such cameras.
    fn resting_cameras(&self) -> Option<Vec<Vec<usize>>> {
        let frames = self.frames;
        // Photos from the same place through the same lens are those of one camera.
        let mut cameras: BTreeMap<Vec<u64>, Vec<usize>> = BTreeMap::new();
        for i in 0..frames.len() {
            let (pose, lens) = (frames.camera_from_scene(i).to_matrix(), frames.camera(i).lens);
            let numbers = pose.iter().chain(&lens.focal).chain(&lens.centre);
            cameras.entry(numbers.map(|v| v.to_bits()).collect()).or_default().push(i);
        }
        let mut cameras: Vec<Vec<usize>> = cameras.into_values().collect();
        cameras.retain(|of| of.len() >= MIN_PHOTOS);
        // Depth images are of moments.
        if self.config.init == InitSource::Depth || cameras.len() < MIN_CAMERAS {
            return None;
        }
        // Many cameras show the same as a selection of them.
        let step = cameras.len().div_ceil(Resting::MOST);
        cameras = cameras.into_iter().step_by(step).collect();
        let time = |i: usize| seconds(frames, i, &self.timeline);
        cameras.iter_mut().for_each(|of| of.sort_by(|&a, &b| time(a).total_cmp(&time(b))));
        Some(cameras)
    }

    /// Static Gaussians of what rests, and moving ones of what differs from it at moments over the whole length. Returns how much
    /// moves.
    fn add_by_what_rests(&mut self, cameras: &[Vec<usize>], stills: &[(u32, Vec<usize>)]) -> Result<f64> {
        let (config, settings) = (self.config, self.settings);
        let resting = Resting::find(self.frames, cameras)?;
        let most = BEGIN_SHARE * config.max_splats as f64;
        let wanted = match config.init_moments {
            0 => stills.len().div_ceil(SPACING),
            given => given.min(stills.len()),
        };
        let still_share = config.still_share(self.timeline.frames);
        // A moment has at least one.
        let wanted = wanted.min((most * (1.0 - still_share)) as usize).max(1);
        let rest_settings = InitSettings { max_splats: (most * still_share).ceil() as usize, ..settings };
        let rest = resting.splats(self.capture, &rest_settings, config.seed)?;
        (0..rest.len()).for_each(|i| push(&mut self.video, &rest, i, Around::Always));
        let resting_count = self.hand_over()?;
        let each = ((most * (1.0 - still_share)) / wanted as f64).ceil() as usize;
        let moving = self.add_moving(&resting, cameras, stills, [wanted, each])?;
        tracing::info!(resting = resting_count, moving, moments = wanted, "first Gaussians");
        Ok(moving as f64 / (each * wanted).max(1) as f64)
    }

    /// Gaussians of what moves: of `wanted` moments at most `each`, with velocities from the moments before and after. Returns how
    /// many.
    fn add_moving(
        &mut self,
        resting: &Resting,
        cameras: &[Vec<usize>],
        stills: &[(u32, Vec<usize>)],
        [wanted, each]: [usize; 2],
    ) -> Result<usize> {
        let (frames, timeline, config, settings) = (self.frames, self.timeline, self.config, self.settings);
        let camera_of: BTreeMap<usize, usize> =
            cameras.iter().enumerate().flat_map(|(camera, of)| of.iter().map(move |&i| (i, camera))).collect();
        let look = |k: usize| -> Result<(f64, SplatCloud)> {
            let (at, of) = &stills[(2 * k + 1) * stills.len() / (2 * wanted)];
            let photos: Vec<(usize, usize)> = of.iter().filter_map(|i| Some((*camera_of.get(i)?, *i))).collect();
            let settings = InitSettings { max_splats: each, ..settings };
            let seed = config.seed.wrapping_add(1 + k as u64);
            let cloud = resting.moving(frames, &photos, &settings, config.static_change, seed)?;
            Ok((timeline.seconds_of(*at), cloud))
        };
        let spread = OVERLAP * timeline.duration() / wanted as f64;
        let reach = (REACH * crate::splats::camera_extent(frames)) as f32;
        // Over longer times things do not go straight on.
        let is_short = wanted * MOST_STRAIGHT >= stills.len();
        let mut before: Option<(f64, SplatCloud)> = None;
        let mut count = 0;
        let mut now = look(0)?;
        for k in 1..=wanted {
            let after = if k < wanted { Some(look(k)?) } else { None };
            let near = before.iter().chain(&after).filter(|_| is_short);
            let others: Vec<Glimpse<'_>> = near.map(Glimpse::of).collect();
            let velocities = velocities(Glimpse::of(&now), &others, reach);
            for (i, velocity) in velocities.into_iter().enumerate() {
                push(&mut self.video, &now.1, i, Around::Moving { seconds: now.0, spread, velocity });
            }
            count += self.hand_over()?;
            let Some(after) = after else { break };
            before = Some(std::mem::replace(&mut now, after));
        }
        Ok(count)
    }

    /// Each of some moments as a still scene of its own.
    fn add_stills(&mut self, stills: &[(u32, Vec<usize>)]) -> Result<()> {
        let config = self.config;
        let wanted = match config.init_moments {
            0 => stills.len().div_ceil(SPACING).min(MOST_STILLS),
            given => given.min(stills.len()),
        };
        let spread = OVERLAP * self.timeline.duration() / wanted as f64;
        for k in 0..wanted {
            let (at, of) = &stills[(2 * k + 1) * stills.len() / (2 * wanted)];
            let (frames, seed) = (self.frames.subset(self.capture, of), config.seed.wrapping_add(k as u64));
            let cloud = initial_splats(self.capture, &frames, &self.settings, seed)?;
            let around = Around::Moving { seconds: self.timeline.seconds_of(*at), spread, velocity: [0.0; 3] };
            (0..cloud.len()).for_each(|i| push(&mut self.video, &cloud, i, around));
        }
        Ok(())
    }
}

/// When a frame was taken, in seconds after the first.
pub fn seconds(frames: &FrameSet, i: usize, timeline: &Timeline) -> f64 {
    frames.frame(i).time.map_or(0.0, |time| timeline.seconds_at(time))
}

/// When a first Gaussian is there.
#[derive(Clone, Copy)]
enum Around {
    Always,
    /// Around a moment, for so long (a standard deviation), with a velocity in units a second.
    Moving {
        seconds: f64,
        spread: f64,
        velocity: [f32; 3],
    },
}

/// Adds a round splat.
fn push(video: &mut VolumetricVideo, cloud: &SplatCloud, i: usize, around: Around) {
    let log_scale = cloud.log_scales[i];
    let (time, shape) = match around {
        Around::Always => {
            let left = left_of_rotation(cloud.quats[i].map(f64::from));
            let right = right_of_left(left);
            (0.0, SpacetimeShape { log_scale: log_scale.map(f64::from), log_time_scale: f64::INFINITY, left, right })
        }
        Around::Moving { seconds, spread, velocity } => {
            (seconds as f32, moving_ball(f64::from(log_scale[0]).exp(), spread, velocity.map(f64::from)))
        }
    };
    video.means.push(cloud.means[i]);
    video.times.push(time);
    video.log_scales.push(shape.log_scale.map(|s| s as f32));
    video.log_time_scales.push(shape.log_time_scale as f32);
    video.left_quats.push(shape.left.map(|q| q as f32));
    video.right_quats.push(shape.right.map(|q| q as f32));
    video.opacity_logits.push(cloud.opacity_logits[i]);
    video.sh0.push(cloud.sh0[i]);
}

/// Leaves out evenly what is more than there may be.
fn thin(video: &mut VolumetricVideo, most: usize) {
    let n = video.len();
    if n <= most {
        return;
    }
    let kept: Vec<usize> = (0..most).map(|k| k * n / most).collect();
    fn keep<T: Copy>(values: &mut Vec<T>, kept: &[usize]) {
        *values = kept.iter().map(|&i| values[i]).collect();
    }
    keep(&mut video.means, &kept);
    keep(&mut video.times, &kept);
    keep(&mut video.log_scales, &kept);
    keep(&mut video.log_time_scales, &kept);
    keep(&mut video.left_quats, &kept);
    keep(&mut video.right_quats, &kept);
    keep(&mut video.opacity_logits, &kept);
    keep(&mut video.sh0, &kept);
}
