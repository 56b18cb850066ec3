//! Moving scenes as Gaussians in space and time ([`crate::camera::spacetime`]), and the splats of one moment.

use super::SplatCloud;
use crate::camera::Similarity;
use crate::camera::spacetime::{FOREVER, MIN_TIME_WEIGHT, SpacetimeShape, condition};
use nalgebra::{Matrix3, Rotation3, SymmetricEigen, UnitQuaternion};
use rayon::prelude::*;

/// A rate that differs by so much of it from a whole number is that number: times in single precision do not quite say it.
const NEARLY_WHOLE: f64 = 1e-4;

/// The frames of a moving scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeline {
    /// When the first frame was taken, in the capture's own time.
    pub start: f64,
    /// Frames for each second (or whatever the capture measures time in), positive.
    pub frame_rate: f64,
    /// How many frames there are, at least one.
    pub frames: u32,
}

impl Timeline {
    /// The frames that moments suggest which are so many seconds after the first, ascending: the one in the middle of the times between two of
    /// them is that of a frame. Rates that are nearly whole numbers are meant to be.
    pub fn of_moments(seconds: &[f64], start: f64) -> Self {
        let mut gaps: Vec<f64> = seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_by(f64::total_cmp);
        let (Some(gap), Some(last)) = (gaps.get(gaps.len() / 2), seconds.last()) else {
            return Self { start, frame_rate: 1.0, frames: 1 };
        };
        let rate = 1.0 / gap;
        let frame_rate = if (rate - rate.round()).abs() < NEARLY_WHOLE * rate { rate.round() } else { rate };
        let frames = (last * frame_rate).round().min(f64::from(u32::MAX - 1)) as u32 + 1;
        Self { start, frame_rate, frames }
    }

    /// Seconds from the first frame to the one with this number.
    pub fn seconds_of(&self, frame: u32) -> f64 {
        f64::from(frame) / self.frame_rate
    }

    /// Seconds from the first frame to a moment of the capture's own time.
    pub fn seconds_at(&self, capture_time: f64) -> f64 {
        capture_time - self.start
    }

    /// The frame nearest to a moment in seconds after the first.
    pub fn frame_at(&self, seconds: f64) -> u32 {
        (seconds * self.frame_rate).round().clamp(0.0, f64::from(self.frames.max(1) - 1)) as u32
    }

    /// Seconds from the first frame to the last.
    pub fn length(&self) -> f64 {
        self.seconds_of(self.frames.max(1) - 1)
    }

    /// Seconds from the first frame to the end of the last one.
    pub fn duration(&self) -> f64 {
        f64::from(self.frames) / self.frame_rate
    }
}

/// `N` Gaussians in space and time, with view-dependent colour. Time is in seconds after the first frame.
///
/// A Gaussian whose logarithmic time scale is at least [`FOREVER`] (infinity, when it is written) is static.
#[derive(Clone, Debug, PartialEq)]
pub struct VolumetricVideo {
    /// Degree of the spherical harmonics, 0 to 3.
    pub sh_degree: u8,
    /// `[N, 3]`, scene units, at the Gaussian's own time.
    pub means: Vec<[f32; 3]>,
    /// `[N]`, seconds.
    pub times: Vec<f32>,
    /// `[N, 3]`, natural logarithm of the standard deviations along the first three axes.
    pub log_scales: Vec<[f32; 3]>,
    /// `[N]`, the same along the fourth axis.
    pub log_time_scales: Vec<f32>,
    /// `[N, 4]`, of any length but zero.
    pub left_quats: Vec<[f32; 4]>,
    /// `[N, 4]`, of any length but zero.
    pub right_quats: Vec<[f32; 4]>,
    /// `[N]`, opacity before the sigmoid.
    pub opacity_logits: Vec<f32>,
    /// `[N, 3]`, the degree-0 coefficient of red, green and blue.
    pub sh0: Vec<[f32; 3]>,
    /// `[M]`, ascending: which Gaussians have coefficients above degree 0; those of all others are zero.
    pub residual_rows: Vec<u32>,
    /// `[M, (sh_degree + 1)² - 1, 3]` flattened, as in [`SplatCloud::sh_rest`].
    pub residuals: Vec<f32>,
    /// Whether it was trained with the antialiased low-pass filter and must be drawn with it.
    pub antialiased: bool,
    /// From the world in which it was captured to the one in which it is stored. Slices are brought back, not the Gaussians:
    /// in other units of length one whose axes mix space and time has other axes.
    pub scene_from_world: Similarity,
    /// Its frames.
    pub timeline: Timeline,
}

impl VolumetricVideo {
    /// Nothing, with room for `n` Gaussians.
    pub fn with_capacity(n: usize, sh_degree: u8, timeline: Timeline) -> Self {
        Self {
            sh_degree,
            means: Vec::with_capacity(n),
            times: Vec::with_capacity(n),
            log_scales: Vec::with_capacity(n),
            log_time_scales: Vec::with_capacity(n),
            left_quats: Vec::with_capacity(n),
            right_quats: Vec::with_capacity(n),
            opacity_logits: Vec::with_capacity(n),
            sh0: Vec::with_capacity(n),
            residual_rows: Vec::new(),
            residuals: Vec::new(),
            antialiased: false,
            scene_from_world: Similarity::identity(),
            timeline,
        }
    }

    /// Number of Gaussians.
    pub fn len(&self) -> usize {
        self.means.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.means.is_empty()
    }

    /// Whether a Gaussian never moves and never ends.
    pub fn is_static(&self, i: usize) -> bool {
        f64::from(self.log_time_scales[i]) >= FOREVER
    }

    /// Whether the arrays agree in length and the residuals' rows are ascending, as everything that takes a video expects.
    pub fn is_consistent(&self) -> bool {
        let n = self.len();
        let lengths = [
            self.times.len(),
            self.log_scales.len(),
            self.log_time_scales.len(),
            self.left_quats.len(),
            self.right_quats.len(),
            self.opacity_logits.len(),
            self.sh0.len(),
        ];
        self.sh_degree <= 3
            && lengths == [n; 7]
            && self.residuals.len() == 3 * SplatCloud::rest_coefficients(self.sh_degree) * self.residual_rows.len()
            && self.residual_rows.is_sorted_by(|a, b| a < b)
            && self.residual_rows.last().is_none_or(|&last| (last as usize) < n)
            && self.timeline.frames > 0
            && self.timeline.frame_rate.is_finite()
            && self.timeline.frame_rate > 0.0
    }

    fn shape(&self, i: usize) -> SpacetimeShape<f64> {
        SpacetimeShape {
            log_scale: self.log_scales[i].map(f64::from),
            log_time_scale: f64::from(self.log_time_scales[i]),
            left: self.left_quats[i].map(f64::from),
            right: self.right_quats[i].map(f64::from),
        }
    }

    /// The times in seconds between which a Gaussian keeps more than [`MIN_TIME_WEIGHT`] of its opacity; infinite when static.
    pub fn influence(&self, i: usize) -> [f64; 2] {
        if self.is_static(i) {
            return [f64::NEG_INFINITY, f64::INFINITY];
        }
        let radius = (-2.0 * MIN_TIME_WEIGHT.ln() * condition(&self.shape(i)).time_variance).sqrt();
        [f64::from(self.times[i]) - radius, f64::from(self.times[i]) + radius]
    }

    /// All that does not depend on the moment, worked out once.
    pub fn moving_splats(&self) -> MovingSplats {
        let seen: Vec<Seen> = (0..self.len()).into_par_iter().map(|i| Seen::new(&self.shape(i))).collect();
        let coefficients = 3 * SplatCloud::rest_coefficients(self.sh_degree);
        let mut sh_rest = vec![0.0; coefficients * self.len()];
        for (m, &row) in self.residual_rows.iter().enumerate() {
            let from = &self.residuals[m * coefficients..][..coefficients];
            sh_rest[row as usize * coefficients..][..coefficients].copy_from_slice(from);
        }
        let splats = SplatCloud {
            sh_degree: self.sh_degree,
            means: self.means.clone(),
            log_scales: seen.iter().map(|s| s.log_scale).collect(),
            quats: seen.iter().map(|s| s.quat).collect(),
            opacity_logits: self.opacity_logits.clone(),
            sh0: self.sh0.clone(),
            sh_rest,
            antialiased: self.antialiased,
            scene_from_world: self.scene_from_world,
        };
        MovingSplats {
            splats,
            times: self.times.clone(),
            velocities: seen.iter().map(|s| s.velocity).collect(),
            time_variances: seen.iter().map(|s| s.time_variance).collect(),
        }
    }
}

/// What is seen of one Gaussian at any moment.
struct Seen {
    log_scale: [f32; 3],
    quat: [f32; 4],
    velocity: [f32; 3],
    time_variance: f32,
}

impl Seen {
    fn new(shape: &SpacetimeShape<f64>) -> Self {
        /// Flattest ellipsoid that is told from a disc, in standard deviations.
        const THINNEST: f64 = 1e-7;
        let seen = condition(shape);
        let [xx, xy, xz, yy, yz, zz] = seen.covariance();
        let eigen = SymmetricEigen::new(Matrix3::new(xx, xy, xz, xy, yy, yz, xz, yz, zz));
        let mut axes = eigen.eigenvectors;
        if axes.determinant() < 0.0 {
            axes.column_mut(0).neg_mut();
        }
        let quat = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(axes));
        let floor = (eigen.eigenvalues.max() * THINNEST * THINNEST).max(1e-30);
        Self {
            log_scale: std::array::from_fn(|k| (0.5 * eigen.eigenvalues[k].max(floor).ln()) as f32),
            quat: [quat.w, quat.i, quat.j, quat.k].map(|v| v as f32),
            velocity: seen.velocity.map(|v| v as f32),
            time_variance: if seen.is_static { f32::INFINITY } else { seen.time_variance as f32 },
        }
    }
}

/// Splats on straight paths that come and go: a [`VolumetricVideo`] made ready for slicing.
#[derive(Clone, Debug)]
pub struct MovingSplats {
    /// As they are at their own times.
    pub splats: SplatCloud,
    /// `[N]`, seconds after the first frame.
    pub times: Vec<f32>,
    /// `[N, 3]`, scene units a second.
    pub velocities: Vec<[f32; 3]>,
    /// `[N]`, square seconds, infinite for static ones.
    pub time_variances: Vec<f32>,
}

impl MovingSplats {
    /// Whether the arrays agree in length.
    pub fn is_consistent(&self) -> bool {
        let lengths = [self.times.len(), self.velocities.len(), self.time_variances.len()];
        self.splats.is_consistent() && lengths == [self.splats.len(); 3]
    }

    /// Where a splat is when it is first and last seen between two moments, in seconds.
    pub fn path(&self, i: usize, during: [f64; 2]) -> [[f32; 3]; 2] {
        let time = f64::from(self.times[i]);
        let radius = (-2.0 * MIN_TIME_WEIGHT.ln() * f64::from(self.time_variances[i])).sqrt();
        let seen = [(time - radius).max(during[0]), (time + radius).min(during[1])];
        seen.map(|moment| {
            std::array::from_fn(|k| self.splats.means[i][k] + self.velocities[i][k] * (moment - time) as f32)
        })
    }

    /// The splats that are seen `seconds` after the first frame, in the order of the Gaussians.
    pub fn at(&self, seconds: f64) -> SplatCloud {
        let mut out = SplatCloud::with_capacity(0, self.splats.sh_degree);
        self.slice(0..self.splats.len(), seconds, &mut out);
        out
    }

    /// Replaces `out` by those of the Gaussians `range` that are seen `seconds` after the first frame.
    pub fn slice(&self, range: std::ops::Range<usize>, seconds: f64, out: &mut SplatCloud) {
        out.clear();
        (out.sh_degree, out.antialiased) = (self.splats.sh_degree, self.splats.antialiased);
        out.scene_from_world = self.splats.scene_from_world;
        for i in range {
            let since = (seconds - f64::from(self.times[i])) as f32;
            let weight = (-0.5 * f64::from(since).powi(2) / f64::from(self.time_variances[i])).exp();
            if weight.is_nan() || weight <= MIN_TIME_WEIGHT {
                continue;
            }
            out.append_range(&self.splats, i..i + 1);
            let last = out.len() - 1;
            if weight < 1.0 {
                // logit(w / (1 + e^-x)) = -ln((1 + e^-x) / w - 1)
                let inverse = (1.0 + (-f64::from(self.splats.opacity_logits[i])).exp()) / weight;
                out.opacity_logits[last] = -((inverse - 1.0).ln() as f32);
            }
            for k in 0..3 {
                out.means[last][k] += self.velocities[i][k] * since;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::spacetime::left_of_rotation;

    fn timeline() -> Timeline {
        Timeline { start: 10.0, frame_rate: 25.0, frames: 50 }
    }

    /// A static Gaussian, and one at one second that flies along x.
    fn video() -> VolumetricVideo {
        let mut video = VolumetricVideo::with_capacity(2, 1, timeline());
        video.means = vec![[1.0, 2.0, 3.0], [0.0; 3]];
        video.times = vec![0.0, 1.0];
        video.log_scales = vec![[-1.0, -2.0, -3.0], [-2.0; 3]];
        video.log_time_scales = vec![f32::INFINITY, -1.0];
        // A left quaternion alone turns x into t.
        video.left_quats = vec![left_of_rotation([0.5, 0.1, -0.7, 0.2]), [0.9, 0.0, 0.0, 0.3]];
        video.right_quats = vec![[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]];
        video.opacity_logits = vec![0.3, 2.0];
        video.sh0 = vec![[0.1; 3], [0.2; 3]];
        video.residual_rows = vec![1];
        video.residuals = vec![0.5; 9];
        video
    }

    #[test]
    fn a_static_gaussian_is_the_same_splat_at_all_times() {
        let video = video();
        assert!(video.is_consistent() && video.is_static(0) && !video.is_static(1));
        let moving = video.moving_splats();
        let (early, late) = (moving.at(-1000.0), moving.at(1e6));
        assert_eq!(early, late);
        assert_eq!(early.len(), 1, "the other has gone");
        assert_eq!((early.means[0], early.opacity_logits[0]), ([1.0, 2.0, 3.0], 0.3));
        let mut scales = early.log_scales[0];
        scales.sort_by(f32::total_cmp);
        for (got, wanted) in scales.iter().zip([-3.0, -2.0, -1.0]) {
            assert!((got - wanted).abs() < 1e-6, "{scales:?}");
        }
        assert!(early.sh_rest.iter().all(|&c| c == 0.0));
    }

    #[test]
    fn a_gaussian_moves_and_fades() {
        let moving = video().moving_splats();
        let (now, later) = (moving.at(1.0), moving.at(1.1));
        assert_eq!((now.opacity_logits[1], now.means[1]), (2.0, [0.0; 3]));
        assert_eq!(now.sh_rest[9..], [0.5; 9]);
        let velocity = moving.velocities[1];
        assert!(velocity[0].abs() > 0.1, "{velocity:?}");
        for k in 0..3 {
            assert!((later.means[1][k] - 0.1 * velocity[k]).abs() < 1e-6, "{:?}", later.means[1]);
        }
        let opacity = |logit: f32| 1.0 / (1.0 + (-f64::from(logit)).exp());
        let weight = (-0.5 * 0.01 / f64::from(moving.time_variances[1])).exp();
        assert!((opacity(later.opacity_logits[1]) - weight * opacity(2.0)).abs() < 1e-6);
    }

    #[test]
    fn influence_ends_where_slices_leave_a_gaussian_out() {
        let video = video();
        let moving = video.moving_splats();
        let [from, to] = video.influence(1);
        for (inside, outside) in [(from + 1e-4, from - 1e-4), (to - 1e-4, to + 1e-4)] {
            assert_eq!((moving.at(inside).len(), moving.at(outside).len()), (2, 1), "{from} to {to}");
        }
    }

    #[test]
    fn frames_and_seconds_agree() {
        let timeline = timeline();
        for frame in [0, 1, 49] {
            assert_eq!(timeline.frame_at(timeline.seconds_of(frame)), frame);
        }
        assert_eq!((timeline.frame_at(-5.0), timeline.frame_at(1e9)), (0, 49));
        assert!((timeline.seconds_at(10.4) - 0.4).abs() < 1e-12);
    }
}
