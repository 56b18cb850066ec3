//! Where the splats of a page go: its third part. Any bytes give either finite motion or an error.

#[cfg(feature = "files")]
use crate::camera::spacetime::MIN_TIME_WEIGHT;
use crate::format::tiles::page::{PageError, inflate};
#[cfg(feature = "files")]
use crate::format::tiles::page::{Scale, deflate};
use crate::scene::{MovingSplats, SplatCloud};

const HEADER: usize = 80;
const PLANES: usize = 13;
/// The largest number in three planes.
#[cfg(feature = "files")]
const STEPS: f64 = ((1u32 << 24) - 1) as f64;
/// The code of splats that never move and never end.
const STATIC: u8 = 255;
/// Logarithms of deviations in time lie within this on both sides.
const LARGEST_LOG: f64 = 40.0;
/// Times are rounded to this share of a frame.
#[cfg(feature = "files")]
const FRAME_SHARE: f64 = 1.0 / 256.0;

/// How far from its own time, in standard deviations, a splat is seen.
#[cfg(feature = "files")]
pub(super) fn influence() -> f64 {
    (-2.0 * MIN_TIME_WEIGHT.ln()).sqrt()
}

#[cfg(feature = "files")]
fn log_deviation(variance: f32) -> f64 {
    (0.5 * f64::from(variance).ln()).clamp(-LARGEST_LOG, LARGEST_LOG)
}

/// Encodes the motion of a page whose positions are rounded to `precision`.
#[cfg(feature = "files")]
pub(super) fn encode(moving: &MovingSplats, precision: f64, frame: f64) -> Vec<u8> {
    let is_moving = |i: &usize| moving.time_variances[*i].is_finite();
    let ids: Vec<usize> = (0..moving.times.len()).collect();
    let movers = || ids.iter().copied().filter(is_moving);
    let times = Scale::over(movers().map(|i| moving.times[i]), STEPS, frame * FRAME_SHARE);
    let logs = Scale::over(movers().map(|i| log_deviation(moving.time_variances[i]) as f32), 254.0, 0.0).short();
    let longest = movers().map(|i| log_deviation(moving.time_variances[i]).exp()).fold(0.0, f64::max) * influence();
    let least = if longest > 0.0 { precision / longest } else { 0.0 };
    let axes = [0, 1, 2].map(|axis| Scale::over(movers().map(|i| moving.velocities[i][axis]), STEPS, least));

    let mut bytes = Vec::with_capacity(HEADER + PLANES * ids.len());
    [times.low, times.step].iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    axes.iter().for_each(|axis| bytes.extend(axis.low.to_le_bytes()));
    axes.iter().for_each(|axis| bytes.extend(axis.step.to_le_bytes()));
    [logs.low, logs.step].iter().for_each(|v| bytes.extend((*v as f32).to_le_bytes()));
    bytes.resize(HEADER, 0);
    let mut planes = |code: &dyn Fn(usize) -> u32| {
        let codes: Vec<u32> = ids.iter().map(|&i| if is_moving(&i) { code(i) } else { 0 }).collect();
        [0, 8, 16].into_iter().for_each(|shift| bytes.extend(codes.iter().map(|code| (code >> shift) as u8)));
    };
    planes(&|i| times.code(moving.times[i], STEPS));
    for (axis, scale) in axes.iter().enumerate() {
        planes(&|i| scale.code(moving.velocities[i][axis], STEPS));
    }
    let log = |i: usize| logs.code(log_deviation(moving.time_variances[i]) as f32, 254.0) as u8;
    bytes.extend(ids.iter().map(|&i| if is_moving(&i) { log(i) } else { STATIC }));
    deflate(&bytes)
}

/// Decodes the motion of `splats`.
pub(super) fn decode(splats: SplatCloud, bytes: &[u8]) -> Result<MovingSplats, PageError> {
    let n = splats.len();
    let bytes = inflate(bytes, HEADER + PLANES * n)?;
    let (header, planes) = bytes.split_at(HEADER);
    let double = |at: usize| header[at..at + 8].try_into().map(f64::from_le_bytes).unwrap_or(f64::NAN);
    let single = |at: usize| header[at..at + 4].try_into().map(f32::from_le_bytes).unwrap_or(f32::NAN);
    let plane = |i: usize| &planes[i * n..][..n];
    let numbers = |first: usize, low: f64, step: f64| {
        if !(low.is_finite() && (0.0..1e300).contains(&step)) {
            return Err(PageError::Values);
        }
        let [fine, middle, coarse] = [0, 1, 2].map(|i| plane(first + i));
        let code = |i: usize| i32::from(fine[i]) | i32::from(middle[i]) << 8 | i32::from(coarse[i]) << 16;
        let most = f64::from(f32::MAX);
        Ok((0..n).map(move |i| (low + step * f64::from(code(i))).clamp(-most, most) as f32))
    };
    let logs = plane(12);
    let (low, step) = (f64::from(single(64)), f64::from(single(68)));
    let table: [f64; 255] = std::array::from_fn(|code| low + step * code as f64);
    if !table.iter().all(|log| log.abs() <= 1.01 * LARGEST_LOG) {
        return Err(PageError::Values);
    }
    let is_static = |i: usize| logs[i] == STATIC;
    let times =
        numbers(0, double(0), double(8))?.enumerate().map(|(i, t)| if is_static(i) { 0.0 } else { t }).collect();
    let mut velocities = vec![[0.0; 3]; n];
    for axis in 0..3 {
        let along = numbers(3 + 3 * axis, double(16 + 8 * axis), double(40 + 8 * axis))?;
        for (i, velocity) in along.enumerate().filter(|(i, _)| !is_static(*i)) {
            velocities[i][axis] = velocity;
        }
    }
    let variance = |&code: &u8| table.get(usize::from(code)).map_or(f32::INFINITY, |log| (2.0 * log).exp() as f32);
    Ok(MovingSplats { splats, times, velocities, time_variances: logs.iter().map(variance).collect() })
}
