//! Whether the cameras of a rig filmed the same: what is wrong, and what is done about it with `--skip-bad`.

use super::footage::{Footage, Source};
use crate::capture::problems::Problem;

/// How far rates may lie apart, relatively: cameras that run at 29.97 and at 30 are told apart from rounding.
const RATE_TOLERANCE: f64 = 5e-4;

/// Looks at one camera's footage by itself, and leaves out what cannot be used.
pub(super) fn check_alone(film: &mut Footage, problems: &mut Vec<Problem>) {
    match &mut film.source {
        Source::Video { path, info, kept } => {
            if let Some(time) = info.backwards_at {
                let what = format!("the clock of {path} jumps back to {time:.3} s");
                problems.push(Problem::new(what, "only what was shown before that time is used"));
                kept.retain(|&frame| info.times[frame as usize] < time);
            }
            if let Some(promised) = info.promised.filter(|&promised| promised > info.len()) {
                let what = format!("{path} was cut off: it holds {} of {promised} frames", info.len());
                problems.push(Problem::new(what, "those that are there are used"));
            }
        }
        Source::Photos(photos) => {
            let listed = photos.len();
            photos.dedup_by_key(|(number, _)| *number);
            if photos.len() < listed {
                let what =
                    format!("{} photos of camera {} have another one's number", listed - photos.len(), film.name);
                problems.push(Problem::new(what, "only the first of each number is used"));
            }
            let (first, last) = (photos.first().map_or(0, |p| p.0), photos.last().map_or(0, |p| p.0));
            let missing = (last - first + 1).saturating_sub(photos.len() as u64);
            if missing > 0 {
                let what = format!("{missing} photos of camera {} are missing between {first} and {last}", film.name);
                problems.push(Problem::new(what, "those that are there are used"));
            }
        }
    }
}

/// Compares the cameras with what most of them have.
pub(super) fn compare(films: &[Footage]) -> Vec<Problem> {
    let of_video = |film: &Footage| match &film.source {
        Source::Video { info, .. } => {
            Some((info.interval(), info.times[info.len() - 1] - info.times[0] + info.interval()))
        }
        Source::Photos(_) => None,
    };
    let count = |film: &Footage| match &film.source {
        Source::Photos(photos) => Some(photos.len() as f64),
        Source::Video { .. } => None,
    };
    let interval = median(films.iter().filter_map(of_video).map(|(interval, _)| interval).collect());
    let length = median(films.iter().filter_map(of_video).map(|(_, length)| length).collect());
    let photos = median(films.iter().filter_map(count).collect());
    let mut problems = Vec::new();
    for film in films {
        let name = &film.name;
        if let Some((own, own_length)) = of_video(film) {
            if (own - interval).abs() > RATE_TOLERANCE * interval {
                let what =
                    format!("camera {name} films {:.3} frames a second, most film {:.3}", 1.0 / own, 1.0 / interval);
                problems.push(Problem::new(what, "its frames are used at their own times"));
            }
            if (own_length - length).abs() > 1.5 * interval.max(own) {
                let what = format!("camera {name} films {own_length:.2} s, most film {length:.2} s");
                problems.push(Problem::new(what, "its frames are used as far as they go"));
            }
        }
        if let Some(own) = count(film).filter(|own| *own != photos) {
            let what = format!("camera {name} has {own} photos, most have {photos}");
            problems.push(Problem::new(what, "those that are there are used"));
        }
    }
    problems
}

fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f64::total_cmp).1 }
}
