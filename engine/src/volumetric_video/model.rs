//! The Gaussians that are being trained, ordered by their places in the hierarchy.

use super::config::VideoConfig;
use super::waiting::Waiting;
use crate::splats::parameter;
use crate::train::{CheckpointReader, CheckpointWriter};
use crate::{Error, Result};
use rayon::prelude::*;
use std::ops::Range;
use std::path::Path;
use tessera_datasets::camera::Similarity;
use tessera_datasets::camera::spacetime::{FOREVER, MIN_TIME_WEIGHT, SpacetimeShape, condition};
use tessera_datasets::scene::{Place, SplatCloud, TimeHierarchy, Timeline, VolumetricVideo};
use tessera_kernels::adam::{AdamSettings, Moments, step_listed};
use tessera_kernels::gaussian4d::{Gaussians4d, Gradients4d};
use tessera_kernels::splat::SplatGradients;

/// The optimiser forgets sooner than that of splats: most Gaussians are looked at in few steps only.
const ADAM: AdamSettings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-15 };
/// Influences are taken this much longer than they are, because Gaussians move until they are placed again.
const PLACING_MARGIN: f64 = 1.15;
/// Shortest standard deviation along time, in frames: with less a Gaussian would be seen between frames only.
const SHORTEST: f64 = 0.3;

/// Learning rates of one step.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// In scene units.
    pub means: f32,
    /// In seconds.
    pub times: f32,
    /// Of the logarithms of all four scales.
    pub log_scales: f32,
    /// Of the unnormalised quaternions.
    pub quats: f32,
    /// Of the logits.
    pub opacity_logits: f32,
    /// Of the degree-0 coefficients.
    pub sh0: f32,
    /// Of the others.
    pub sh_rest: f32,
}

type Parameter = parameter::Parameter<Moments>;

/// Gaussians in scene coordinates and seconds after the first frame: `N` that are in memory, and others that wait on disk.
#[derive(Debug)]
pub struct VideoModel {
    /// `[N, 3]`
    pub means: Parameter,
    /// `[N, 1]`
    pub times: Parameter,
    /// `[N, 3]`
    pub log_scales: Parameter,
    /// `[N, 1]`, infinite for static ones.
    pub log_time_scales: Parameter,
    /// `[N, 4]`
    pub left_quats: Parameter,
    /// `[N, 4]`
    pub right_quats: Parameter,
    /// `[N, 1]`
    pub opacity_logits: Parameter,
    /// `[N, 3]`
    pub sh0: Parameter,
    /// `[N, 3 (K - 1)]`
    pub sh_rest: Parameter,
    /// `[N]`, how many steps have changed each.
    ages: Vec<u32>,
    sh_degree: u8,
    /// How time is cut.
    pub hierarchy: TimeHierarchy,
    timeline: Timeline,
    /// Where the rows of each place are, in the order of places; empty ones are left out.
    segments: Vec<(Place, Range<usize>)>,
    /// The Gaussians of places that are not in memory.
    waiting: Waiting,
    scratch: Vec<u8>,
}

/// The Gaussians that may be seen at a moment, with their colours side by side.
#[derive(Debug, Default)]
pub struct Active {
    /// Their rows, ascending within each place.
    pub rows: Vec<u32>,
    /// `[M, 3]`
    pub sh0: Vec<f32>,
    /// `[M, 3 (K - 1)]`
    pub sh_rest: Vec<f32>,
}

impl VideoModel {
    /// Takes over the Gaussians of `video`, with room for as many as the settings allow.
    pub fn new(video: &VolumetricVideo, config: &VideoConfig) -> Self {
        let capacity = config.max_splats.max(video.len());
        let rest = 3 * SplatCloud::rest_coefficients(config.sh_degree);
        let timeline = video.timeline;
        let mut model = Self {
            means: Parameter::new(video.means.concat(), 3, capacity),
            times: Parameter::new(video.times.clone(), 1, capacity),
            log_scales: Parameter::new(video.log_scales.concat(), 3, capacity),
            log_time_scales: Parameter::new(video.log_time_scales.clone(), 1, capacity),
            left_quats: Parameter::new(video.left_quats.concat(), 4, capacity),
            right_quats: Parameter::new(video.right_quats.concat(), 4, capacity),
            opacity_logits: Parameter::new(video.opacity_logits.clone(), 1, capacity),
            sh0: Parameter::new(video.sh0.concat(), 3, capacity),
            sh_rest: Parameter::new(dense_harmonics(video, rest), rest, capacity),
            ages: vec![0; video.len()],
            sh_degree: config.sh_degree,
            hierarchy: TimeHierarchy::of_duration(timeline.duration(), config.segment_frames / timeline.frame_rate),
            timeline,
            segments: Vec::new(),
            waiting: Waiting::new(Self::words(config.sh_degree), std::env::temp_dir()),
            scratch: Vec::new(),
        };
        model.place();
        model
    }

    /// Numbers in a record of a Gaussian: parameters with two moments each, and the age.
    fn words(sh_degree: u8) -> usize {
        3 * (20 + 3 * SplatCloud::rest_coefficients(sh_degree)) + 1
    }

    /// Gaussians that wait will do so in a file in this folder.
    pub fn wait_in(&mut self, folder: &Path) {
        self.waiting.move_to(folder);
    }

    /// Gaussians that wait on disk.
    pub fn waiting(&self) -> usize {
        self.waiting.total()
    }

    /// Number of Gaussians in memory.
    pub fn len(&self) -> usize {
        self.opacity_logits.values.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a Gaussian never moves and never ends.
    pub fn is_static(&self, i: usize) -> bool {
        f64::from(self.log_time_scales.values[i]) >= FOREVER
    }

    /// The geometry as kernels take it.
    pub fn gaussians(&self) -> Gaussians4d<'_> {
        Gaussians4d {
            means: &self.means.values,
            times: &self.times.values,
            log_scales: &self.log_scales.values,
            log_time_scales: &self.log_time_scales.values,
            left_quats: &self.left_quats.values,
            right_quats: &self.right_quats.values,
            opacity_logits: &self.opacity_logits.values,
        }
    }

    /// The degree that `sh_rest` has room for.
    pub fn sh_degree(&self) -> u8 {
        self.sh_degree
    }

    fn shape(&self, i: usize) -> SpacetimeShape<f64> {
        let four = |row: &[f32]| std::array::from_fn(|k| f64::from(row[k]));
        SpacetimeShape {
            log_scale: std::array::from_fn(|k| f64::from(self.log_scales.row(i)[k])),
            log_time_scale: f64::from(self.log_time_scales.values[i]),
            left: four(self.left_quats.row(i)),
            right: four(self.right_quats.row(i)),
        }
    }

    /// The seconds between which a Gaussian has influence, `margin` times as long.
    pub fn influence(&self, i: usize, margin: f64) -> [f64; 2] {
        if self.is_static(i) {
            return [f64::NEG_INFINITY, f64::INFINITY];
        }
        let radius = margin * (-2.0 * MIN_TIME_WEIGHT.ln() * condition(&self.shape(i)).time_variance).sqrt();
        let time = f64::from(self.times.values[i]);
        [time - radius, time + radius]
    }

    /// Puts all Gaussians where they belong now. Within a place their order is kept.
    pub fn place(&mut self) {
        let places: Vec<Place> =
            (0..self.len()).into_par_iter().map(|i| self.hierarchy.place(self.influence(i, PLACING_MARGIN))).collect();
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.par_sort_by_key(|&i| places[i as usize]);
        self.permute(&order);
        self.find_segments(&order, &places);
    }

    fn find_segments(&mut self, order: &[u32], places: &[Place]) {
        self.segments.clear();
        for (row, &from) in order.iter().enumerate() {
            let place = places[from as usize];
            match self.segments.last_mut() {
                Some((last, rows)) if *last == place => rows.end = row + 1,
                _ => self.segments.push((place, row..row + 1)),
            }
        }
    }

    /// Keeps in memory what may be seen between two moments, all of it and nothing else: other places wait, and those that waited
    /// for these moments come back. Within a place the order stays, wherever its Gaussians have been.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn hold(&mut self, between: [f64; 2]) -> Result<()> {
        let ticks = between.map(|seconds| self.hierarchy.tick_at(seconds));
        let hierarchy = self.hierarchy;
        let is_near = |place: &Place| hierarchy.is_looked_at(*place, ticks);
        let (near, far): (Vec<_>, Vec<_>) = self.segments.drain(..).partition(|(place, _)| is_near(place));
        let coming: Vec<Place> = self.waiting.places().filter(is_near).collect();
        if far.is_empty() && coming.is_empty() {
            self.segments = near;
            return Ok(());
        }
        for (place, rows) in far {
            let records = self.records(rows);
            self.waiting.put(place, &records)?;
        }
        let order: Vec<u32> = near.iter().flat_map(|(_, rows)| rows.start as u32..rows.end as u32).collect();
        let mut places: Vec<Place> = near.iter().flat_map(|(place, rows)| rows.clone().map(|_| *place)).collect();
        self.permute(&order);
        for place in coming {
            let records = self.waiting.take(place)?;
            self.add_records(&records);
            places.resize(self.len(), place);
        }
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_by_key(|&i| places[i as usize]);
        self.permute(&order);
        self.find_segments(&order, &places);
        self.give_back();
        Ok(())
    }

    /// Gives back most of the memory of rows that wait.
    fn give_back(&mut self) {
        for plane in self.parameters_mut().into_iter().flat_map(|parameter| parameter.planes()) {
            if plane.capacity() > 2 * plane.len() {
                plane.shrink_to(plane.len() + plane.len() / 4);
            }
        }
        self.scratch = Vec::new();
    }

    /// Rows as records: parameter by parameter the values, the first moments and the second ones, and at the end the age.
    fn records(&mut self, rows: Range<usize>) -> Vec<f32> {
        let mut records = Vec::with_capacity(rows.len() * Self::words(self.sh_degree));
        for row in rows {
            for parameter in self.parameters_mut() {
                let part = row * parameter.columns()..(row + 1) * parameter.columns();
                parameter.planes().iter().for_each(|plane| records.extend_from_slice(&plane[part.clone()]));
            }
            records.push(f32::from_bits(self.ages[row]));
        }
        records
    }

    /// Adds rows of records behind the others.
    fn add_records(&mut self, records: &[f32]) {
        for record in records.chunks_exact(Self::words(self.sh_degree)) {
            let mut rest = record;
            for parameter in self.parameters_mut() {
                let columns = parameter.columns();
                for plane in parameter.planes() {
                    let (values, behind) = rest.split_at(columns);
                    plane.extend_from_slice(values);
                    rest = behind;
                }
            }
            self.ages.push(rest[0].to_bits());
        }
    }

    /// The places in memory that hold Gaussians, with their rows.
    pub fn segments(&self) -> &[(Place, Range<usize>)] {
        &self.segments
    }

    /// Collects the Gaussians that may be seen at a moment: the global ones, and one segment of each level.
    pub fn activate(&self, seconds: f64, active: &mut Active) {
        active.rows.clear();
        active.sh0.clear();
        active.sh_rest.clear();
        let rest = 3 * SplatCloud::rest_coefficients(self.sh_degree);
        for place in self.hierarchy.active(self.hierarchy.tick_at(seconds)) {
            let Ok(found) = self.segments.binary_search_by_key(&place, |(place, _)| *place) else { continue };
            let rows = self.segments[found].1.clone();
            active.rows.extend(rows.start as u32..rows.end as u32);
            active.sh0.extend_from_slice(&self.sh0.values[3 * rows.start..3 * rows.end]);
            active.sh_rest.extend_from_slice(&self.sh_rest.values[rest * rows.start..rest * rows.end]);
        }
    }

    /// One step of Adam for the Gaussians `rows[i]` with `i` in `touched`, ascending. The gradients are in the order of `rows`.
    pub fn descend(
        &mut self,
        (rows, touched): (&[u32], &[u32]),
        geometry: &Gradients4d,
        colour: &SplatGradients,
        rates: &Rates,
    ) {
        for &i in touched {
            self.ages[rows[i as usize] as usize] += 1;
        }
        let tasks = [
            (&mut self.means, &geometry.means, rates.means),
            (&mut self.times, &geometry.times, rates.times),
            (&mut self.log_scales, &geometry.log_scales, rates.log_scales),
            (&mut self.log_time_scales, &geometry.log_time_scales, rates.log_scales),
            (&mut self.left_quats, &geometry.left_quats, rates.quats),
            (&mut self.right_quats, &geometry.right_quats, rates.quats),
            (&mut self.opacity_logits, &geometry.opacity_logits, rates.opacity_logits),
            (&mut self.sh0, &colour.sh0, rates.sh0),
            (&mut self.sh_rest, &colour.sh_rest, rates.sh_rest),
        ];
        let ages = &self.ages;
        tasks.into_par_iter().for_each(|(parameter, gradient, rate)| {
            let columns = parameter.columns();
            let [values, first, second] = parameter.planes();
            step_listed([values, first, second], columns, (rows, touched), gradient, ages, &ADAM, rate);
        });
        let shortest = (SHORTEST / self.timeline.frame_rate).ln() as f32;
        for &i in touched {
            let scale = &mut self.log_time_scales.values[rows[i as usize] as usize];
            *scale = scale.max(shortest);
        }
    }

    fn parameters_mut(&mut self) -> [&mut Parameter; 9] {
        [
            &mut self.means,
            &mut self.times,
            &mut self.log_scales,
            &mut self.log_time_scales,
            &mut self.left_quats,
            &mut self.right_quats,
            &mut self.opacity_logits,
            &mut self.sh0,
            &mut self.sh_rest,
        ]
    }

    const NAMES: [&'static str; 9] = [
        "means",
        "times",
        "log_scales",
        "log_time_scales",
        "left_quats",
        "right_quats",
        "opacity_logits",
        "sh0",
        "sh_rest",
    ];

    /// Changes the number of rows; new ones are zero. They have no place until [`Self::place`] is called.
    pub fn resize(&mut self, rows: usize) {
        self.parameters_mut().into_iter().for_each(|p| p.resize(rows));
        self.ages.resize(rows, 0);
    }

    /// Makes row `to` a copy of row `from`; the optimiser forgets both.
    pub fn copy_gaussian(&mut self, from: usize, to: usize) {
        for parameter in self.parameters_mut() {
            parameter.copy_row(from, to);
            parameter.forget(from);
            parameter.forget(to);
        }
        (self.ages[from], self.ages[to]) = (0, 0);
    }

    /// Puts row `order[i]` in place `i`, for all `i`.
    pub fn permute(&mut self, order: &[u32]) {
        let mut scratch = std::mem::take(&mut self.scratch);
        for parameter in self.parameters_mut() {
            parameter.permute(order, &mut scratch);
        }
        self.scratch = scratch;
        self.ages = order.iter().map(|&row| self.ages[row as usize]).collect();
    }

    /// All Gaussians as data, in scene coordinates, those in memory first. Harmonics that have stayed zero are left out.
    ///
    /// # Errors
    /// When those that wait on disk cannot be read.
    pub fn to_video(&self, antialiased: bool, scene_from_world: Similarity) -> Result<VolumetricVideo> {
        let rest = 3 * SplatCloud::rest_coefficients(self.sh_degree);
        let mut video = VolumetricVideo {
            means: self.means.values.as_chunks().0.to_vec(),
            times: self.times.values.clone(),
            log_scales: self.log_scales.values.as_chunks().0.to_vec(),
            log_time_scales: self.log_time_scales.values.clone(),
            left_quats: self.left_quats.values.as_chunks().0.to_vec(),
            right_quats: self.right_quats.values.as_chunks().0.to_vec(),
            opacity_logits: self.opacity_logits.values.clone(),
            sh0: self.sh0.values.as_chunks().0.to_vec(),
            antialiased,
            scene_from_world,
            ..VolumetricVideo::with_capacity(0, self.sh_degree, self.timeline)
        };
        (0..self.len()).for_each(|i| add_residual(&mut video, i, self.sh_rest.row(i)));
        for place in self.waiting.places() {
            let records = self.waiting.read(place)?;
            records.chunks_exact(Self::words(self.sh_degree)).for_each(|record| add_record(&mut video, record, rest));
        }
        Ok(video)
    }

    /// Bytes of parameters, moments and gradients of `n` Gaussians.
    pub fn bytes(n: usize, sh_degree: u8) -> (usize, usize, usize) {
        let values = 20 + 3 * SplatCloud::rest_coefficients(sh_degree);
        (4 * n * values, 4 * n * (2 * values + 1), 4 * n * (2 * values + 24))
    }

    /// Hands all tensors to a checkpoint.
    pub fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) {
        let parameters = [
            &self.means,
            &self.times,
            &self.log_scales,
            &self.log_time_scales,
            &self.left_quats,
            &self.right_quats,
            &self.opacity_logits,
            &self.sh0,
            &self.sh_rest,
        ];
        for (name, p) in Self::NAMES.into_iter().zip(parameters) {
            let shape = [self.len(), p.columns()];
            let [first, second] = p.moments();
            checkpoint.f32(name, &shape, p.values.as_slice());
            checkpoint.f32(&format!("adam.first.{name}"), &shape, first);
            checkpoint.f32(&format!("adam.second.{name}"), &shape, second);
        }
        checkpoint.u32("adam.ages", &[self.len()], self.ages.as_slice());
        let ends: Vec<u32> = self.segments.iter().map(|(_, rows)| rows.end as u32).collect();
        let places: Vec<u64> = self.segments.iter().flat_map(|(place, _)| as_words(*place)).collect();
        checkpoint.u32("segments.ends", &[ends.len()], ends);
        checkpoint.u64("segments.places", &[self.segments.len(), 2], places);
        for (number, place) in self.waiting.places().enumerate() {
            let count = self.waiting.count(place) * Self::words(self.sh_degree);
            checkpoint.f32_later(&waiting_name(number), count, move || self.waiting.read(place));
        }
        let places: Vec<u64> = self.waiting.places().flat_map(as_words).collect();
        checkpoint.u64("waiting.places", &[places.len() / 2, 2], places);
    }

    /// Takes all tensors from a checkpoint.
    ///
    /// # Errors
    /// When a tensor is missing or of another size than the settings say.
    pub fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        let damaged = |what: &str| {
            let remedy = "resume with the settings of the first run, or start again with --force";
            Error::setting(format!("the checkpoint's {what} does not fit this run; {remedy}"))
        };
        let rows = checkpoint.shape("opacity_logits").and_then(|s| s.first().copied()).unwrap_or(0);
        for (name, p) in Self::NAMES.into_iter().zip(self.parameters_mut()) {
            let columns = p.columns();
            let names = [name.to_owned(), format!("adam.first.{name}"), format!("adam.second.{name}")];
            for (tensor, plane) in names.into_iter().zip(p.planes()) {
                *plane = checkpoint.f32(&tensor)?;
                if plane.len() != rows * columns {
                    return Err(damaged(name));
                }
            }
        }
        self.ages = checkpoint.u32("adam.ages")?;
        let ends = checkpoint.u32("segments.ends")?;
        let places = checkpoint.u64("segments.places")?;
        let ascending = ends.is_sorted() && ends.last().is_none_or(|&end| end as usize == rows);
        if self.ages.len() != rows || places.len() != 2 * ends.len() || !ascending {
            return Err(damaged("hierarchy"));
        }
        // Gaussians have moved since they were placed, so their places are part of the state.
        let starts = std::iter::once(0).chain(ends.iter().copied());
        self.segments = places
            .as_chunks::<2>()
            .0
            .iter()
            .zip(starts.zip(&ends))
            .map(|(&place, (start, &end))| (of_words(place), start as usize..end as usize))
            .collect();
        self.waiting.clear();
        for (number, &place) in checkpoint.u64("waiting.places")?.as_chunks::<2>().0.iter().enumerate() {
            let records = checkpoint.f32(&waiting_name(number))?;
            if !records.len().is_multiple_of(Self::words(self.sh_degree)) {
                return Err(damaged("waiting segments"));
            }
            self.waiting.put(of_words(place), &records)?;
        }
        Ok(())
    }
}

/// The tensor of a checkpoint with the records of a place that waits.
fn waiting_name(number: usize) -> String {
    format!("waiting.{number:06}")
}

/// Adds the harmonics above degree 0 of Gaussian `i`, unless all are zero.
fn add_residual(video: &mut VolumetricVideo, i: usize, harmonics: &[f32]) {
    if harmonics.iter().any(|&c| c != 0.0) {
        video.residual_rows.push(i as u32);
        video.residuals.extend_from_slice(harmonics);
    }
}

/// Adds the Gaussian of a record.
fn add_record(video: &mut VolumetricVideo, record: &[f32], rest: usize) {
    let mut at = 0;
    let mut next = |columns: usize| {
        let values = &record[at..at + columns];
        // Two moments follow.
        at += 3 * columns;
        values
    };
    let three = |values: &[f32]| std::array::from_fn(|k| values[k]);
    let four = |values: &[f32]| std::array::from_fn(|k| values[k]);
    video.means.push(three(next(3)));
    video.times.push(next(1)[0]);
    video.log_scales.push(three(next(3)));
    video.log_time_scales.push(next(1)[0]);
    video.left_quats.push(four(next(4)));
    video.right_quats.push(four(next(4)));
    video.opacity_logits.push(next(1)[0]);
    video.sh0.push(three(next(3)));
    let i = video.sh0.len() - 1;
    add_residual(video, i, next(rest));
}

/// The residuals of all Gaussians, `[N, rest]`, cut off or completed with zeros.
fn dense_harmonics(video: &VolumetricVideo, rest: usize) -> Vec<f32> {
    let given = 3 * SplatCloud::rest_coefficients(video.sh_degree);
    let mut dense = vec![0.0; rest * video.len()];
    let shared = rest.min(given);
    for (m, &row) in video.residual_rows.iter().enumerate() {
        dense[row as usize * rest..][..shared].copy_from_slice(&video.residuals[m * given..][..shared]);
    }
    dense
}

/// A place as two numbers: the level from 1, or 0 for the global one, and the segment's bits.
fn as_words(place: Place) -> [u64; 2] {
    match place {
        Place::Global => [0, 0],
        Place::Segment { level, segment } => [u64::from(level) + 1, segment.cast_unsigned()],
    }
}

fn of_words([level, segment]: [u64; 2]) -> Place {
    match level.checked_sub(1) {
        None => Place::Global,
        Some(level) => Place::Segment { level: level as u8, segment: segment.cast_signed() },
    }
}
