//! The sky: a shell of splats around all that is near, for photos taken outdoors. Without it the sky becomes splats before the cameras
//! that were trained on, wherever these happen to agree with them.

use super::views::{Content, WorkingViews};
use super::{Photos, SH_C0, logit};
use crate::Result;
use crate::frames::{FrameSet, mean_up};
use nalgebra::{Point3, Vector3};
use std::f64::consts::{PI, TAU};
use tessera_datasets::camera::Similarity;
use tessera_datasets::capture::Capture;
use tessera_datasets::scene::SplatCloud;

/// Directions on the whole sphere, of which the shell has those that photos see above the horizon.
const DIRECTIONS: usize = 8000;
/// The shell is so much farther away than nearly all of what is near.
const FAR: f64 = 4.0;
/// What is farther out than this share of the points and cameras may be stray.
const INLIERS: f64 = 0.98;
/// How far below the horizon it reaches, as the sine of the angle.
const BELOW: f64 = -0.1;
/// Upward axes of cameras whose mean is at least so long say where up is.
const UPRIGHT: f64 = 0.5;
/// Opacity of its first splats: together they hide what is behind, which is nothing.
const OPACITY: f32 = 0.7;

/// Where the sky is, in the capture's world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shell {
    centre: Vector3<f64>,
    radius: f64,
    /// Of unit length, where cameras agree on it.
    up: Option<Vector3<f64>>,
}

impl Shell {
    /// Around all cameras and points of a capture.
    pub fn of(capture: &Capture) -> Self {
        let cameras = capture.frames.iter().map(|frame| frame.camera_from_world.inverse().translation.vector);
        let centre = cameras.clone().sum::<Vector3<f64>>() / capture.frames.len().max(1) as f64;
        let mut distances: Vec<f64> = cameras
            .chain(capture.points.iter().map(|point| point.position.into()))
            .map(|place: Vector3<f64>| (place - centre).norm())
            .collect();
        distances.sort_unstable_by(f64::total_cmp);
        let near = distances.get((INLIERS * distances.len() as f64) as usize).copied().filter(|near| *near > 0.0);
        let up = mean_up(&capture.frames).try_normalize(UPRIGHT);
        Self { centre, radius: FAR * near.unwrap_or(1.0), up }
    }

    /// Where the sky is in a direction, in the world.
    pub fn place(&self, direction: &Vector3<f64>) -> Vector3<f64> {
        self.centre + self.radius * direction
    }

    /// The direction in which a place in the world is part of the sky; `None` for what is near.
    pub fn direction(&self, world: [f64; 3]) -> Option<Vector3<f64>> {
        let (centre, distance) = self.near();
        (Vector3::from(world) - centre).try_normalize(distance)
    }

    /// The middle of what is near, and how far it reaches.
    pub fn near(&self) -> (Vector3<f64>, f64) {
        (self.centre, 0.5 * self.radius)
    }

    /// What of it photos see, for whatever stands there: at most `most` places.
    ///
    /// # Errors
    /// When a photo cannot be read.
    pub fn seen_by(&self, frames: &FrameSet, scene_from_world: &Similarity, most: usize) -> Result<SeenSky> {
        Ok(seen_sky(self, scene_from_world, Photos::Frames(frames).views(&[])?.as_ref(), most))
    }
}

/// Places on the shell, in scene coordinates.
#[derive(Clone, Debug, Default)]
pub struct SeenSky {
    /// Each with the median colour of what is seen there, 0 to 1.
    pub places: Vec<([f32; 3], [f32; 3])>,
    /// About how far they are from each other.
    pub spacing: f32,
}

/// `count` directions, spread evenly: a spiral whose turns are the golden angle.
pub fn directions(count: usize) -> impl Iterator<Item = Vector3<f64>> {
    let golden = PI * (3.0 - 5f64.sqrt());
    (0..count).map(move |i| {
        let z = 1.0 - (2.0 * i as f64 + 1.0) / count as f64;
        let (sine, cosine) = (golden * i as f64 % TAU).sin_cos();
        let across = (1.0 - z * z).sqrt();
        Vector3::new(across * cosine, across * sine, z)
    })
}

/// The places of the shell that the views see, at most `most`.
fn seen_sky(shell: &Shell, scene_from_world: &Similarity, views: &WorkingViews, most: usize) -> SeenSky {
    let radius = shell.radius * scene_from_world.scaling();
    let scale = ((4.0 * PI / DIRECTIONS as f64).sqrt() * radius) as f32;
    let is_up = |direction: &Vector3<f64>| shell.up.is_none_or(|up| up.dot(direction) > BELOW);
    let found: Vec<([f32; 3], [f32; 3])> = directions(DIRECTIONS)
        .filter(is_up)
        .filter_map(|direction| {
            let place = *scene_from_world * Point3::from(shell.place(&direction));
            let place = place.coords.map(|v| v as f32);
            Some((place.into(), seen_colour(views, &place)?))
        })
        .collect();
    let step = found.len().div_ceil(most.max(1)).max(1);
    // Few places for many directions are farther apart.
    SeenSky { places: found.into_iter().step_by(step).collect(), spacing: scale * (step as f32).sqrt() }
}

/// Adds the splats of the shell that the views see, at most `most`, to a cloud in scene coordinates. Each begins in the median colour of what
/// they see there.
pub(super) fn add_shell(
    shell: &Shell,
    scene_from_world: &Similarity,
    views: &WorkingViews,
    most: usize,
    cloud: &mut SplatCloud,
) {
    let SeenSky { places, spacing } = seen_sky(shell, scene_from_world, views, most);
    for (place, colour) in &places {
        cloud.means.push(*place);
        cloud.log_scales.push([spacing.ln(); 3]);
        cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
        cloud.opacity_logits.push(logit(OPACITY));
        cloud.sh0.push(colour.map(|c| (c - 0.5) / SH_C0));
    }
    cloud.sh_rest.resize(3 * cloud.means.len() * SplatCloud::rest_coefficients(cloud.sh_degree), 0.0);
}

/// The median colour of what the views see at a place; `None` if none sees it.
fn seen_colour(views: &WorkingViews, place: &Vector3<f32>) -> Option<[f32; 3]> {
    let mut seen: Vec<[f32; 3]> = Vec::new();
    for view in &views.views {
        let Some(([x, y], _)) = view.project(place) else { continue };
        if view.content_at([x, y]) == Content::Scene {
            seen.push(view.rgb[y * view.width + x]);
        }
    }
    let middle = seen.len() / 2;
    let median = |c: usize| {
        let mut values: Vec<f32> = seen.iter().map(|colour| colour[c]).collect();
        *values.select_nth_unstable_by(middle, f32::total_cmp).1
    };
    (!seen.is_empty()).then(|| std::array::from_fn(median))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_spread_evenly() {
        let all: Vec<_> = directions(2000).collect();
        let mean = all.iter().sum::<Vector3<f64>>() / 2000.0;
        assert!(mean.norm() < 1e-3, "their mean is {mean}");
        let nearest =
            |a: &Vector3<f64>| all.iter().filter(|b| *b != a).map(|b| (a - b).norm()).fold(f64::INFINITY, f64::min);
        let spacing = (4.0 * PI / 2000.0).sqrt();
        let found: Vec<f64> = all.iter().step_by(37).map(nearest).collect();
        assert!(found.iter().all(|d| *d > 0.6 * spacing && *d < 1.2 * spacing), "{found:?}, about {spacing} expected");
    }
}
