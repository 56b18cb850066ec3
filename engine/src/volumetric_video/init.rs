//! Where Gaussians in space and time begin.
//!
//! At several moments the photos of all cameras are taken for a still scene, and the first splats are found as those of still
//! scenes are. What looks the same at all times becomes static and is kept once; what does not becomes Gaussians around its
//! moment. A capture with one photo for each moment has no still scenes: there all photos are one, and its Gaussians are spread
//! over time.

use super::config::VideoConfig;
use crate::Result;
use crate::frames::FrameSet;
use crate::splats::init::{InitSettings, initial_splats};
use std::collections::BTreeMap;
use tessera_datasets::camera::spacetime::{left_of_rotation, right_of_left};
use tessera_datasets::capture::Capture;
use tessera_datasets::scene::{SplatCloud, Timeline, VolumetricVideo};
use tessera_kernels::camera_projection::View;

/// Fewer photos of a moment than this show no still scene.
const MIN_CAMERAS: usize = 3;
/// Moments whose photos are compared to find what changes.
const COMPARED: usize = 6;
/// Photos are compared at this size: longer side in pixels.
const COMPARED_SIDE: u32 = 160;

/// The first Gaussians. `frames` are those to train on.
///
/// # Errors
/// When a photo cannot be read, or the capture does not have what the settings ask for.
pub fn first_gaussians(
    capture: &Capture,
    frames: &FrameSet,
    timeline: Timeline,
    config: &VideoConfig,
) -> Result<VolumetricVideo> {
    let mut moments: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for i in 0..frames.len() {
        moments.entry(timeline.frame_at(seconds(frames, i, &timeline))).or_default().push(i);
    }
    let settings = InitSettings {
        source: config.init,
        max_splats: config.max_splats,
        count: (config.initial_splats > 0).then_some(config.initial_splats),
        opacity: config.initial_opacity,
        sh_degree: 0,
        ..InitSettings::default()
    };
    let mut video = VolumetricVideo::with_capacity(config.max_splats, 0, timeline);
    video.antialiased = config.antialiased;
    video.scene_from_world = capture.scene_from_world;
    let stills: Vec<(u32, Vec<usize>)> =
        moments.iter().filter(|(_, of)| of.len() >= MIN_CAMERAS).map(|(&at, of)| (at, of.clone())).collect();
    if moments.len() < 2 || stills.is_empty() {
        let cloud = initial_splats(capture, frames, &settings, config.seed)?;
        let spread = 0.25 * timeline.duration();
        for i in 0..cloud.len() {
            // The golden ratio spreads any number of moments evenly.
            let at = (i as f64 * 0.618_033_988_749_895).fract() * timeline.duration();
            push(&mut video, &cloud, i, (moments.len() > 1).then_some((at, spread)));
        }
        return Ok(video);
    }
    let wanted = match config.init_moments {
        0 => (stills.len() / 5).clamp(1, 12),
        given => given.min(stills.len()),
    };
    let changes = Changes::find(frames, &timeline)?;
    let spacing = timeline.duration() / wanted as f64;
    for k in 0..wanted {
        let (at, of) = &stills[(2 * k + 1) * stills.len() / (2 * wanted)];
        let cloud =
            initial_splats(capture, &frames.subset(capture, of), &settings, config.seed.wrapping_add(k as u64))?;
        for i in 0..cloud.len() {
            let moves = changes.show(cloud.means[i], config.static_change);
            // Each moment finds all that is static; a share of each is as good as all of one, and knows what others hide.
            if moves || i % wanted == k {
                push(&mut video, &cloud, i, moves.then_some((timeline.seconds_of(*at), 0.6 * spacing)));
            }
        }
    }
    thin(&mut video, config.max_splats);
    Ok(video)
}

/// When a frame was taken, in seconds after the first.
pub fn seconds(frames: &FrameSet, i: usize, timeline: &Timeline) -> f64 {
    frames.frame(i).time.map_or(0.0, |time| timeline.seconds_at(time))
}

/// Adds a splat, static or around a moment for some seconds.
fn push(video: &mut VolumetricVideo, cloud: &SplatCloud, i: usize, around: Option<(f64, f64)>) {
    let left = left_of_rotation(cloud.quats[i]);
    video.means.push(cloud.means[i]);
    video.times.push(around.map_or(0.0, |(at, _)| at as f32));
    video.log_scales.push(cloud.log_scales[i]);
    video.log_time_scales.push(around.map_or(f32::INFINITY, |(_, spread)| spread.ln() as f32));
    video.left_quats.push(left);
    video.right_quats.push(right_of_left(left));
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

/// Where each camera's picture changes over time.
struct Changes {
    cameras: Vec<(View, Vec<f32>)>,
}

impl Changes {
    fn find(frames: &FrameSet, timeline: &Timeline) -> Result<Self> {
        // Photos from the same place are those of one camera.
        let mut cameras: BTreeMap<Vec<u64>, Vec<usize>> = BTreeMap::new();
        for i in 0..frames.len() {
            let pose = frames.camera_from_scene(i).to_matrix();
            cameras.entry(pose.iter().map(|v| v.to_bits()).collect()).or_default().push(i);
        }
        let mut found = Vec::new();
        for of in cameras.values_mut().filter(|of| of.len() > 1) {
            of.sort_by(|&a, &b| seconds(frames, a, timeline).total_cmp(&seconds(frames, b, timeline)));
            let camera = frames.camera(of[0]);
            let downscale = camera.width.max(camera.height).div_ceil(COMPARED_SIDE);
            let compared = of.len().min(COMPARED);
            let mut range: Option<(Vec<u8>, Vec<u8>)> = None;
            let mut channels = 3;
            for k in 0..compared {
                let photo = frames.load(of[k * (of.len() - 1) / (compared - 1)], downscale)?;
                channels = usize::from(photo.pixels.image.channels);
                let data = &photo.pixels.image.data;
                let (low, high) = range.get_or_insert_with(|| (data.clone(), data.clone()));
                low.iter_mut().zip(data).for_each(|(l, v)| *l = (*l).min(*v));
                high.iter_mut().zip(data).for_each(|(h, v)| *h = (*h).max(*v));
            }
            let Some((low, high)) = range else { continue };
            let pixels = low.chunks_exact(channels).zip(high.chunks_exact(channels));
            let largest = |(l, h): (&[u8], &[u8])| l.iter().zip(h).map(|(l, h)| h - l).max().unwrap_or(0);
            found.push((frames.view(of[0], downscale), pixels.map(|p| f32::from(largest(p)) / 255.0).collect()));
        }
        Ok(Self { cameras: found })
    }

    /// Whether most of the cameras that see a point see a change there.
    fn show(&self, point: [f32; 3], allowed: f32) -> bool {
        let (mut seen, mut changing) = (0, 0);
        for (view, change) in &self.cameras {
            let p: [f32; 3] = std::array::from_fn(|i| {
                (0..3).map(|k| view.rotation[i][k] * point[k]).sum::<f32>() + view.translation[i]
            });
            if p[2] <= 0.0 {
                continue;
            }
            let [u, v] = [p[0] / p[2], p[1] / p[2]].map(f64::from);
            let [u, v] = view.lens.distort(u, v).uv;
            let x = view.lens.focal[0] * u + view.lens.centre[0];
            let y = view.lens.focal[1] * v + view.lens.centre[1];
            if x < 0.0 || y < 0.0 || x >= view.width as f64 || y >= view.height as f64 {
                continue;
            }
            seen += 1;
            changing += usize::from(change[y as usize * view.width + x as usize] > allowed);
        }
        2 * changing > seen
    }
}
