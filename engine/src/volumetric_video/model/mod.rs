//! The Gaussians that are being trained, ordered by their places in the hierarchy.
//!
//! - [`berth`]: when a Gaussian is looked at.
//! - `resident`: which are in memory; [`waiting`]: those that are not, on disk.
//! - `store`: checkpoints, and the Gaussians as data, segment by segment.

pub mod berth;
mod resident;
mod store;
pub mod waiting;

use super::config::VideoConfig;
use super::machine::ADAM;
use crate::splats::parameter;
use berth::Berth;
use rayon::prelude::*;
use std::ops::Range;
use tessera_datasets::camera::spacetime::{FOREVER, MIN_TIME_WEIGHT, SpacetimeShape, condition};
use tessera_datasets::scene::{SplatCloud, TimeHierarchy, Timeline, VolumetricVideo};
use tessera_kernels::adam::{Moments, step_listed};
use tessera_kernels::gaussian4d::{Gaussians4d, Gradients4d};
use tessera_kernels::splat::SplatGradients;
use waiting::Waiting;

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
    /// Pull of the opacity of what is seen towards zero, as a share of what may be seen at the moment.
    pub opacity_decay: f32,
    /// The same of the scales.
    pub scale_decay: f32,
    /// Those whose harmonics above degree 0 are zero keep them so.
    pub only_given_harmonics: bool,
}

impl Rates {
    /// The rates of all tensors, in the order of [`VideoModel::planes`].
    pub fn by_tensor(&self) -> [f32; 9] {
        let &Self { means, times, log_scales, quats, opacity_logits, sh0, sh_rest, .. } = self;
        [means, times, log_scales, log_scales, quats, quats, opacity_logits, sh0, sh_rest]
    }

    /// What the gradients of opacities and of scales are multiplied with where `n` Gaussians may be seen.
    pub fn pulls(&self, n: usize) -> [f32; 2] {
        let n = n.max(1) as f32;
        [self.opacity_decay / n, self.scale_decay / (3.0 * n)]
    }
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
    /// Where the rows of each berth are, in the order of berths; empty ones are left out.
    segments: Vec<(Berth, Range<usize>)>,
    /// The Gaussians that are not in memory, by berth.
    waiting: Waiting<Berth>,
    scratch: Vec<u8>,
}

/// The Gaussians that may be seen at a moment, with their colours side by side.
#[derive(Debug, Default)]
pub struct Active {
    /// Their rows, ascending.
    pub rows: Vec<u32>,
    /// `[M, 3]`
    pub sh0: Vec<f32>,
    /// `[M, 3 (K - 1)]`
    pub sh_rest: Vec<f32>,
}

impl VideoModel {
    /// No Gaussians yet.
    pub fn new(timeline: Timeline, config: &VideoConfig) -> Self {
        let rest = 3 * SplatCloud::rest_coefficients(config.sh_degree);
        let empty = |columns| Parameter::new(Vec::new(), columns, 0);
        Self {
            means: empty(3),
            times: empty(1),
            log_scales: empty(3),
            log_time_scales: empty(1),
            left_quats: empty(4),
            right_quats: empty(4),
            opacity_logits: empty(1),
            sh0: empty(3),
            sh_rest: empty(rest),
            ages: Vec::new(),
            sh_degree: config.sh_degree,
            hierarchy: TimeHierarchy::of_duration(timeline.duration(), config.segment_frames / timeline.frame_rate),
            timeline,
            segments: Vec::new(),
            waiting: Waiting::new(Self::words(config.sh_degree), std::env::temp_dir()),
            scratch: Vec::new(),
        }
    }

    /// Adds Gaussians, and puts all where they belong.
    pub fn add(&mut self, video: &VolumetricVideo) {
        let harmonics = dense_harmonics(video, self.sh_rest.columns());
        let added: [&[f32]; 9] = [
            video.means.as_flattened(),
            &video.times,
            video.log_scales.as_flattened(),
            &video.log_time_scales,
            video.left_quats.as_flattened(),
            video.right_quats.as_flattened(),
            &video.opacity_logits,
            video.sh0.as_flattened(),
            &harmonics,
        ];
        for (parameter, values) in self.parameters_mut().into_iter().zip(added) {
            let [kept, first, second] = parameter.planes();
            kept.extend_from_slice(values);
            first.resize(kept.len(), 0.0);
            second.resize(kept.len(), 0.0);
        }
        self.ages.resize(self.len(), 0);
        self.place();
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

    /// Puts all Gaussians where they belong now. Within a berth their order is kept.
    pub fn place(&mut self) {
        let berth = |i| Berth::of(&self.hierarchy, self.influence(i, PLACING_MARGIN));
        let berths: Vec<Berth> = (0..self.len()).into_par_iter().map(berth).collect();
        self.arrange(&berths);
    }

    /// Puts Gaussian `i` into `berths[i]`.
    fn arrange(&mut self, berths: &[Berth]) {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.par_sort_by_key(|&i| berths[i as usize]);
        self.permute(&order);
        self.segments.clear();
        for (row, &from) in order.iter().enumerate() {
            let berth = berths[from as usize];
            match self.segments.last_mut() {
                Some((last, rows)) if *last == berth => rows.end = row + 1,
                _ => self.segments.push((berth, row..row + 1)),
            }
        }
    }

    /// The berths in memory that hold Gaussians, with their rows.
    pub fn segments(&self) -> &[(Berth, Range<usize>)] {
        &self.segments
    }

    /// The rows that may be seen at a moment, ascending: of the global ones, and of one segment of each level, those that are looked
    /// at then.
    pub fn active_rows(&self, seconds: f64) -> Vec<Range<usize>> {
        let tick = self.hierarchy.tick_at(seconds);
        let mut active: Vec<Range<usize>> = Vec::new();
        for place in self.hierarchy.active(tick) {
            let first = self.segments.partition_point(|(berth, _)| berth.place < place);
            let of_place = self.segments[first..].iter().take_while(|(berth, _)| berth.place == place);
            for (_, rows) in of_place.filter(|(berth, _)| berth.is_looked_at(&self.hierarchy, [tick; 2])) {
                match active.last_mut() {
                    Some(last) if last.end == rows.start => last.end = rows.end,
                    _ => active.push(rows.clone()),
                }
            }
        }
        active
    }

    /// Collects the Gaussians that may be seen at a moment.
    pub fn activate(&self, seconds: f64, active: &mut Active) {
        active.rows.clear();
        active.sh0.clear();
        active.sh_rest.clear();
        let rest = self.sh_rest.columns();
        for rows in self.active_rows(seconds) {
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
        let has_harmonics = |i: &u32| self.sh_rest.row(rows[*i as usize] as usize).iter().any(|&c| c != 0.0);
        let given: Option<Vec<u32>> =
            rates.only_given_harmonics.then(|| touched.iter().copied().filter(has_harmonics).collect());
        let of_harmonics = given.as_deref().unwrap_or(touched);
        let shortest = self.shortest();
        let gradients = [
            (&geometry.means, touched),
            (&geometry.times, touched),
            (&geometry.log_scales, touched),
            (&geometry.log_time_scales, touched),
            (&geometry.left_quats, touched),
            (&geometry.right_quats, touched),
            (&geometry.opacity_logits, touched),
            (&colour.sh0, touched),
            (&colour.sh_rest, of_harmonics),
        ];
        let ages = std::mem::take(&mut self.ages);
        let tasks = self.parameters_mut().into_par_iter().zip(gradients).zip(rates.by_tensor());
        tasks.for_each(|((parameter, (gradient, touched)), rate)| {
            let columns = parameter.columns();
            let [values, first, second] = parameter.planes();
            step_listed([values, first, second], columns, (rows, touched), gradient, &ages, &ADAM, rate);
        });
        self.ages = ages;
        for &i in touched {
            let scale = &mut self.log_time_scales.values[rows[i as usize] as usize];
            *scale = scale.max(shortest);
        }
    }

    /// No logarithm of a scale along time becomes less.
    pub fn shortest(&self) -> f32 {
        (SHORTEST / self.timeline.frame_rate).ln() as f32
    }

    /// Gives up harmonics above degree 0 that change no colour by as much as `least`, of 1, seen from wherever.
    pub fn thin_harmonics(&mut self, least: f32) {
        let columns = self.sh_rest.columns();
        // At any direction the squares of all harmonics of degrees 1 to L add up to ((L + 1)² - 1) / 4π.
        let squares = (columns / 3) as f32 / (4.0 * std::f32::consts::PI);
        for row in 0..self.len() {
            let mut sums = [0.0f32; 3];
            self.sh_rest.row(row).iter().enumerate().for_each(|(k, c)| sums[k % 3] += c * c);
            if sums.iter().all(|sum| sum * squares < least * least) {
                self.sh_rest.row_mut(row).fill(0.0);
                self.sh_rest.forget(row);
            }
        }
    }

    /// All tensors, each as values, first and second moments: means, times, log_scales, log_time_scales, left_quats, right_quats,
    /// opacity_logits, sh0, sh_rest. And how many steps have changed each row.
    pub fn planes(&self) -> ([[&[f32]; 3]; 9], &[u32]) {
        let planes = self.parameters().map(|parameter| {
            let [first, second] = parameter.moments();
            [parameter.values.as_slice(), first, second]
        });
        (planes, &self.ages)
    }

    /// Takes over what steps made of [`Self::planes`].
    ///
    /// # Panics
    /// When they are not of as many rows.
    pub fn set_planes(&mut self, planes: [[Vec<f32>; 3]; 9], ages: Vec<u32>) {
        assert_eq!(ages.len(), self.len(), "other rows came back than were sent");
        for (parameter, planes) in self.parameters_mut().into_iter().zip(planes) {
            parameter.planes().into_iter().zip(planes).for_each(|(kept, plane)| *kept = plane);
        }
        self.ages = ages;
    }

    fn parameters(&self) -> [&Parameter; 9] {
        [
            &self.means,
            &self.times,
            &self.log_scales,
            &self.log_time_scales,
            &self.left_quats,
            &self.right_quats,
            &self.opacity_logits,
            &self.sh0,
            &self.sh_rest,
        ]
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

    /// Bytes of parameters, moments and gradients of `n` Gaussians.
    pub fn bytes(n: usize, sh_degree: u8) -> (usize, usize, usize) {
        let values = 20 + 3 * SplatCloud::rest_coefficients(sh_degree);
        (4 * n * values, 4 * n * (2 * values + 1), 4 * n * (2 * values + 24))
    }
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
