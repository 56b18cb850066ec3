//! Cameras that stand still: what rests before them, and what moves.
//!
//! The median of a camera's photos over time shows what rests most of the time. What differs from it at a moment moves; the places
//! that show a difference to most of the cameras that look there are where it is (a visual hull).

use super::views::{Content, MAX_VIEWS, PIXELS, TOTAL_PIXELS, WorkingView, WorkingViews, small_view};
use super::{ColouredPoint, InitSettings, InitSource, MIN_SPARSE_POINTS, Photos};
use super::{fusion, hull, splats_of, sweep, to_splats};
use crate::Result;
use crate::frames::FrameSet;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use tessera_datasets::capture::Capture;
use tessera_datasets::scene::SplatCloud;

/// Photos of which a median is taken.
const COMPARED: usize = 15;
/// Of a pixel and its eight neighbours, those that must differ for it to show something that moves: noise is alone.
const DIFFERING: usize = 5;
/// Share of the cameras that see a point to which something must move there. Others may be behind what rests, or see no
/// difference in colour.
const AGREEMENT: f32 = 0.7;
/// Pixels that differ, of all cameras together, for something to move.
const MIN_PIXELS: usize = 30;
/// Points made for each pixel of a camera that shows something moving.
const POINTS_PER_PIXEL: f64 = 0.5;

/// What rests before cameras that stand still.
#[derive(Debug)]
pub(crate) struct Resting {
    /// The median of each camera.
    views: WorkingViews,
    pixels: f64,
}

impl Resting {
    /// Most cameras that are looked at.
    pub(crate) const MOST: usize = MAX_VIEWS;

    /// Takes the frames of each camera, at most [`Self::MOST`], in the order of time.
    ///
    /// # Errors
    /// When a photo cannot be read.
    pub(crate) fn find(frames: &FrameSet, cameras: &[Vec<usize>]) -> Result<Self> {
        let pixels = PIXELS.min(TOTAL_PIXELS / cameras.len().max(1) as f64);
        let views: Result<Vec<_>> = cameras.par_iter().map(|of| median_view(frames, of, pixels)).collect();
        Ok(Self { views: WorkingViews::new(views?), pixels })
    }

    /// Splats of what rests, as [`super::initial_splats`] makes them of photos; but where there are sparse points, nothing is added
    /// to them unasked, since the cameras of a rig stand too far apart for a sweep to be as right as they are.
    ///
    /// # Errors
    /// When the capture does not have what `settings.source` asks for.
    pub(crate) fn splats(&self, capture: &Capture, settings: &InitSettings, seed: u64) -> Result<SplatCloud> {
        let source = match settings.source {
            InitSource::Auto if capture.points.len() >= MIN_SPARSE_POINTS => InitSource::Points,
            source => source,
        };
        splats_of(capture, &Photos::Small(&self.views), &InitSettings { source, ..*settings }, seed)
    }

    /// At most `settings.max_splats` splats of what moves at a moment, of which `photos` are the frames, each with its camera's
    /// position among those of [`Self::find`]. A pixel rests that differs by no more than `allowed`, of 1.
    ///
    /// # Errors
    /// When a photo cannot be read.
    pub(crate) fn moving(
        &self,
        frames: &FrameSet,
        photos: &[(usize, usize)],
        settings: &InitSettings,
        allowed: f32,
        seed: u64,
    ) -> Result<SplatCloud> {
        let differing = |&(camera, frame): &(usize, usize)| {
            let mut view = small_view(frames, frame, self.pixels)?;
            empty_what_rests(&mut view, &self.views.views[camera], allowed);
            Ok(view)
        };
        let views: Result<Vec<_>> = photos.par_iter().map(differing).collect();
        let views = WorkingViews::new(views?);
        let shown = |view: &WorkingView| view.content.iter().filter(|c| **c == Content::Scene).count();
        let pixels: usize = views.views.iter().map(shown).sum();
        if pixels < MIN_PIXELS {
            return Ok(SplatCloud::with_capacity(0, settings.sh_degree));
        }
        let wanted = (POINTS_PER_PIXEL * pixels as f64 / views.views.len() as f64).ceil() as usize;
        let mut rng = Pcg64::new(u128::from(seed), 0x3071);
        Ok(to_splats(&points(&views, wanted.min(settings.max_splats), &mut rng), settings))
    }
}

/// Points on what moves. Where cameras look in parallel a hull is no shape, and a sweep finds more.
fn points(views: &WorkingViews, count: usize, rng: &mut Pcg64) -> Vec<ColouredPoint> {
    match views.focus() {
        Some(_) => hull::surface_points(views, AGREEMENT, count, rng),
        None => fusion::fused_points(views, &sweep::depth_maps(views), count, rng),
    }
}

/// What a camera sees at rest: the median, channel by channel, of some of its photos, evenly spread over time.
fn median_view(frames: &FrameSet, of: &[usize], pixels: f64) -> Result<WorkingView> {
    let compared = of.len().min(COMPARED);
    let photo = |k: usize| small_view(frames, of[k * (of.len() - 1) / (compared - 1).max(1)], pixels);
    let photos: Vec<WorkingView> = (0..compared).map(photo).collect::<tessera_datasets::Result<_>>()?;
    let mut view = photos[0].clone();
    let mut values = Vec::with_capacity(compared);
    for pixel in 0..view.rgb.len() {
        for channel in 0..3 {
            values.clear();
            values.extend(photos.iter().map(|photo| photo.rgb[pixel][channel]));
            view.rgb[pixel][channel] = *values.select_nth_unstable_by(compared / 2, f32::total_cmp).1;
        }
        let shown = photos.iter().filter(|photo| photo.content[pixel] == Content::Scene).count();
        view.content[pixel] = match view.content[pixel] {
            Content::Unknown => Content::Unknown,
            _ if 2 * shown > compared => Content::Scene,
            _ => Content::Empty,
        };
    }
    Ok(view)
}

/// Declares empty what looks as it does at rest.
fn empty_what_rests(view: &mut WorkingView, rest: &WorkingView, allowed: f32) {
    let (width, height) = (view.width, view.height);
    let differs: Vec<bool> = view
        .rgb
        .iter()
        .zip(&rest.rgb)
        .map(|(a, b)| (0..3).map(|k| (a[k] - b[k]).abs()).fold(0.0, f32::max) > allowed)
        .collect();
    for y in 0..height {
        for x in 0..width {
            let rows = y.saturating_sub(1)..(y + 2).min(height);
            let columns = x.saturating_sub(1)..(x + 2).min(width);
            let around = rows.flat_map(|y| columns.clone().map(move |x| y * width + x));
            let content = &mut view.content[y * width + x];
            if *content == Content::Scene && around.filter(|&i| differs[i]).count() < DIFFERING {
                *content = Content::Empty;
            }
        }
    }
}
