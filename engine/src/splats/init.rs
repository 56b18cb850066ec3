//! Where splats begin.
//!
//! What somebody has measured, and what we can find out ourselves:
//!
//! - `measured`: sparse points from structure from motion, or depth images;
//! - `sweep`: a plane sweep over small versions of the photos, with `fusion` of what several views agree on; it
//!   completes sparse points and replaces them where there are none;
//! - `hull`: surfaces of the visual hull when masks or alpha say where the object is;
//! - `scatter`: random points along the rays of random pixels, when nothing else is found;
//! - `sky`: a shell around all that is near;
//! - `resting`: of cameras that stand still while something moves, what rests and what moves at a moment.
//!
//! A splat begins round, as large as the mean distance to its three nearest neighbours, in its point's colour. All is
//! the same for the same seed, whatever the number of threads.

mod fusion;
mod hull;
mod measured;
mod neighbours;
mod patches;
mod resting;
mod scatter;
pub(crate) mod sky;
mod sweep;
mod views;

use crate::frames::FrameSet;
use crate::{Error, Result};
use neighbours::mean_neighbour_distances;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tessera_datasets::capture::Capture;
use tessera_datasets::scene::SplatCloud;
use views::WorkingViews;

pub(crate) use resting::Resting;

/// Degree-0 spherical harmonic.
const SH_C0: f32 = 0.282_094_79;
/// Fewer sparse points than this say too little about the scene to begin with them.
const MIN_SPARSE_POINTS: usize = 100;
/// Points that we make when not told how many: this share of the splats that there may be, within limits.
const MADE_SHARE: f64 = 0.3;
const MADE_RANGE: (usize, usize) = (10_000, 60_000);
/// One in so many splats may be one of the sky at first.
const SKY_SHARE: usize = 10;

/// What to begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitSource {
    /// Sparse points and a sweep, else depth, else a sweep, completed by what masks or cameras allow.
    #[default]
    Auto,
    /// The sparse points of the capture.
    Points,
    /// Its depth images.
    Depth,
    /// A plane sweep over its photos.
    Sweep,
    /// The sparse points and those of a sweep together.
    Both,
    /// Random points: inside the masks where there are some, along random rays otherwise.
    Random,
}

/// How splats begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InitSettings {
    /// What to begin with.
    pub source: InitSource,
    /// Most splats that there may be.
    pub max_splats: usize,
    /// How many points to make when the capture brings none; `None` for a share of `max_splats`.
    pub count: Option<usize>,
    /// Opacity of a new splat, between 0 and 1.
    pub opacity: f32,
    /// Standard deviation of a new splat for a mean neighbour distance of 1.
    pub scale: f32,
    /// Degree of the spherical harmonics, 0 to 3; all but degree 0 begin as zero.
    pub sh_degree: u8,
    /// Where the sky is, if it is to have splats of its own.
    pub sky: Option<sky::Shell>,
}

impl Default for InitSettings {
    fn default() -> Self {
        let (source, max_splats) = (InitSource::Auto, 1_000_000);
        Self { source, max_splats, count: None, opacity: 0.1, scale: 1.0, sh_degree: 3, sky: None }
    }
}

/// A point of the scene, colour in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
struct ColouredPoint {
    position: [f32; 3],
    colour: [f32; 3],
}

/// The photos from which points are found.
enum Photos<'a> {
    /// Of these frames.
    Frames(&'a FrameSet),
    /// These.
    Small(&'a WorkingViews),
}

impl Photos<'_> {
    fn count(&self) -> usize {
        match self {
            Self::Frames(frames) => frames.len(),
            Self::Small(views) => views.views.len(),
        }
    }

    /// Small photos, between depths that sparse points say.
    fn views(&self, sparse: &[ColouredPoint]) -> Result<Cow<'_, WorkingViews>> {
        Ok(match self {
            Self::Frames(frames) => Cow::Owned(WorkingViews::load(frames, sparse)?),
            Self::Small(views) if sparse.is_empty() => Cow::Borrowed(*views),
            Self::Small(views) => {
                let mut views = (*views).clone();
                views.limit_to(sparse);
                Cow::Owned(views)
            }
        })
    }

    fn depth_points(&self, count: usize, rng: &mut Pcg64) -> Result<Vec<ColouredPoint>> {
        match self {
            Self::Frames(frames) => Ok(measured::depth_points(frames, count, rng)?),
            Self::Small(_) => Ok(Vec::new()),
        }
    }
}

/// The splats with which training on `frames` begins, in scene coordinates. Only `frames` are looked at, which must be
/// of `capture`.
///
/// # Errors
/// When a photo cannot be read, or the capture does not have what `settings.source` asks for.
pub fn initial_splats(capture: &Capture, frames: &FrameSet, settings: &InitSettings, seed: u64) -> Result<SplatCloud> {
    splats_of(capture, &Photos::Frames(frames), settings, seed)
}

fn splats_of(capture: &Capture, photos: &Photos<'_>, settings: &InitSettings, seed: u64) -> Result<SplatCloud> {
    let mut rng = Pcg64::new(u128::from(seed), 0x1417);
    let of_sky = settings.sky.map_or(0, |_| settings.max_splats / SKY_SHARE);
    let settings = &InitSettings { max_splats: settings.max_splats - of_sky, ..*settings };
    let made = settings
        .count
        .unwrap_or_else(|| ((settings.max_splats as f64 * MADE_SHARE) as usize).clamp(MADE_RANGE.0, MADE_RANGE.1));
    let made = made.min(settings.max_splats);
    let points = match settings.source {
        InitSource::Auto => automatic(capture, photos, settings.max_splats, made, &mut rng)?,
        InitSource::Points => measured::sparse_points(capture, settings.max_splats, &mut rng),
        InitSource::Depth => photos.depth_points(made, &mut rng)?,
        InitSource::Sweep => swept_points(photos.views(&[])?.as_ref(), made, &mut rng),
        InitSource::Both => sparse_points(capture, photos, settings.max_splats, made, &mut rng)?,
        InitSource::Random => random_points(photos.views(&[])?.as_ref(), made, &mut rng),
    };
    if points.is_empty() && settings.max_splats > 0 {
        let what = match settings.source {
            InitSource::Points => "sparse points",
            InitSource::Depth => "depth images",
            _ => "frames with usable pixels",
        };
        return Err(Error::setting(format!(
            "{} has no {what} to begin with; choose init = \"auto\"",
            capture.files.root().display()
        )));
    }
    let mut cloud = to_splats(&points, settings);
    cloud.scene_from_world = capture.scene_from_world;
    if let Some(shell) = &settings.sky {
        let views = photos.views(&[])?;
        sky::add_shell(shell, &capture.scene_from_world, &views, of_sky, &mut cloud);
    }
    Ok(cloud)
}

fn automatic(
    capture: &Capture,
    photos: &Photos<'_>,
    limit: usize,
    made: usize,
    rng: &mut Pcg64,
) -> Result<Vec<ColouredPoint>> {
    if capture.points.len() >= MIN_SPARSE_POINTS {
        // Of a large capture a sweep sees too few photos to find their neighbours.
        let sweep = 2 * capture.points.len() <= limit && photos.count() <= 4 * views::MAX_VIEWS;
        return sparse_points(capture, photos, limit, if sweep { made } else { 0 }, rng);
    }
    let points = photos.depth_points(made, rng)?;
    if points.len() >= MIN_SPARSE_POINTS {
        tracing::info!(points = points.len(), "beginning with points from the depth images");
        return Ok(points);
    }
    Ok(swept_points(photos.views(&[])?.as_ref(), made, rng))
}

/// The sparse points, and up to `made` that a sweep between their depths adds: where there are no sparse points, there is
/// often a surface all the same.
fn sparse_points(
    capture: &Capture,
    photos: &Photos<'_>,
    limit: usize,
    made: usize,
    rng: &mut Pcg64,
) -> Result<Vec<ColouredPoint>> {
    let mut points = measured::sparse_points(capture, limit, rng);
    let made = made.min(limit - points.len());
    tracing::info!(points = points.len(), "beginning with the capture's sparse points");
    if made > 0 {
        let views = photos.views(&points)?;
        let swept = fusion::fused_points(&views, &sweep::depth_maps(&views), made, rng);
        tracing::info!(points = swept.len(), "adding points from a plane sweep over the photos");
        points.extend(swept);
    }
    Ok(points)
}

/// What the sweep finds, completed with random points where it finds too little.
fn swept_points(views: &WorkingViews, count: usize, rng: &mut Pcg64) -> Vec<ColouredPoint> {
    let maps = sweep::depth_maps(views);
    let mut points = fusion::fused_points(views, &maps, count, rng);
    tracing::info!(points = points.len(), "beginning with points from a plane sweep over the photos");
    if points.len() < count {
        points.extend(random_points(views, count - points.len(), rng));
    }
    points
}

/// Places in the scene that photos agree on, with their colours in [0, 1]: at most `count`, by a plane sweep.
///
/// # Errors
/// When a photo cannot be read.
pub(crate) fn found_points(frames: &FrameSet, count: usize, seed: u64) -> Result<Vec<([f32; 3], [f32; 3])>> {
    let views = WorkingViews::load(frames, &[])?;
    let mut rng = Pcg64::new(u128::from(seed), 0x1417);
    let points = fusion::fused_points(&views, &sweep::depth_maps(&views), count, &mut rng);
    Ok(points.into_iter().map(|point| (point.position, point.colour)).collect())
}

fn random_points(views: &WorkingViews, count: usize, rng: &mut Pcg64) -> Vec<ColouredPoint> {
    let masked = views.have_masks();
    let points = if masked { hull::surface_points(views, hull::AGREEMENT, count, rng) } else { Vec::new() };
    if points.is_empty() { scatter::frustum_points(views, count, rng) } else { points }
}

fn logit(opacity: f32) -> f32 {
    (opacity / (1.0 - opacity)).ln()
}

fn to_splats(points: &[ColouredPoint], settings: &InitSettings) -> SplatCloud {
    /// Distances beyond these quantiles are taken for stray points and doubles.
    const QUANTILES: [f64; 2] = [0.01, 0.99];
    let positions: Vec<[f32; 3]> = points.iter().map(|p| p.position).collect();
    let distances = mean_neighbour_distances(&positions);
    let mut sorted: Vec<f32> = distances.iter().copied().filter(|d| *d > 0.0).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let quantile = |q: f64| sorted.get((q * sorted.len() as f64) as usize).copied();
    let [low, high] = QUANTILES.map(quantile).map(|q| q.unwrap_or(0.01));

    let opacity = settings.opacity.clamp(0.001, 0.999);
    let mut cloud = SplatCloud::with_capacity(points.len(), settings.sh_degree.min(3));
    for (point, distance) in points.iter().zip(distances) {
        cloud.means.push(point.position);
        cloud.log_scales.push([(settings.scale.max(1e-6) * distance.clamp(low, high)).ln(); 3]);
        cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
        cloud.opacity_logits.push(logit(opacity));
        cloud.sh0.push(point.colour.map(|c| (c - 0.5) / SH_C0));
    }
    cloud.sh_rest.resize(3 * points.len() * SplatCloud::rest_coefficients(cloud.sh_degree), 0.0);
    cloud
}

#[cfg(test)]
mod tests;
