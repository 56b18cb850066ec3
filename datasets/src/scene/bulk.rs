//! Where a scene is when nothing but its splats is known: around the middle of them, not around the few that are far away; and
//! what a first look at it shows.

use nalgebra::Vector3;

/// Splats that are looked at.
const SAMPLE: usize = 1 << 20;

/// Splats nearer to a camera than this are not drawn, in scenes of which the median distance (or the capture's own scale) is 1.
pub const NEAR: f32 = 0.02;

/// Share of points that a first look may leave out.
const LEFT_OUT: f64 = 0.005;
/// A scene is an object, and shown whole, when its farthest points are no farther than this many times the distance that 95 in
/// 100 keep to.
const OBJECT: f64 = 1.5;

/// The bulk of a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bulk {
    /// The median along each axis.
    pub centre: Vector3<f64>,
    /// The median distance from the centre; 1 when that is nothing.
    pub distance: f64,
}

impl Bulk {
    /// Of means, `[N, 3]`.
    pub fn of(means: &[[f32; 3]]) -> Self {
        Self::of_sample(&sample(means))
    }

    fn of_sample(sample: &[Vector3<f64>]) -> Self {
        let centre = Vector3::from_fn(|axis, _| median(sample.iter().map(|p| p[axis]).collect()));
        let distance = median(sample.iter().map(|p| (p - centre).norm()).collect());
        Self { centre, distance: if distance.is_finite() && distance > 1e-12 { distance } else { 1.0 } }
    }

    /// [`NEAR`] in the means' own units.
    pub fn near(&self) -> f32 {
        NEAR * self.distance as f32
    }
}

/// What a first look shows: all within a sphere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subject {
    /// Its middle.
    pub centre: Vector3<f64>,
    /// Its radius, above 0.
    pub reach: f64,
}

impl Subject {
    /// Of splats' means, `[N, 3]`: all of an object, and of a scene with far surroundings what lies within twice the median
    /// distance from the middle.
    pub fn of(means: &[[f32; 3]]) -> Self {
        let mut sample = sample(means);
        let Bulk { centre, distance } = Bulk::of_sample(&sample);
        sample.sort_unstable_by(|a, b| (a - centre).norm().total_cmp(&(b - centre).norm()));
        let place = |share: f64| (share * sample.len().saturating_sub(1) as f64) as usize;
        let away = |share: f64| sample.get(place(share)).map_or(0.0, |point| (point - centre).norm());
        if away(1.0 - LEFT_OUT) <= OBJECT * away(0.95) && !sample.is_empty() {
            return Self::around(&sample[..=place(1.0 - LEFT_OUT)]);
        }
        Self { centre, reach: 2.0 * distance }
    }

    /// All of some points, `[N, 3]`.
    pub fn whole(points: &[[f32; 3]]) -> Self {
        Self::around(&sample(points))
    }

    fn around(points: &[Vector3<f64>]) -> Self {
        let corner = |pick: fn(f64, f64) -> f64| points.iter().copied().reduce(|a, b| a.zip_map(&b, pick));
        let (Some(low), Some(high)) = (corner(f64::min), corner(f64::max)) else {
            return Self { centre: Vector3::zeros(), reach: 1.0 };
        };
        let centre = 0.5 * (low + high);
        let reach = points.iter().map(|point| (point - centre).norm()).fold(0.0, f64::max);
        Self { centre, reach: if reach.is_finite() && reach > 1e-12 { reach } else { 1.0 } }
    }

    /// How far from its middle a camera stands that sees all of it, by the smaller one of its angles of view, radians.
    pub fn distance(&self, angle: f64) -> f64 {
        self.reach / (0.5 * angle).sin()
    }
}

fn sample(points: &[[f32; 3]]) -> Vec<Vector3<f64>> {
    let stride = points.len().div_ceil(SAMPLE).max(1);
    points.iter().step_by(stride).map(|point| Vector3::from(point.map(f64::from))).collect()
}

/// The median, or 0 of nothing; the upper one of two middle values.
fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_far_splats_do_not_move_it() {
        let mut means: Vec<[f32; 3]> = (0..99).map(|i| [2.0 + (i % 3) as f32, 5.0, -1.0]).collect();
        means.push([1e6; 3]);
        assert_eq!(Bulk::of(&means), Bulk { centre: Vector3::new(3.0, 5.0, -1.0), distance: 1.0 });
        assert_eq!(Bulk::of(&[]), Bulk { centre: Vector3::zeros(), distance: 1.0 });
        assert_eq!(Bulk::of(&[[7.0; 3]; 4]), Bulk { centre: Vector3::repeat(7.0), distance: 1.0 });
    }

    #[test]
    fn objects_are_shown_whole_and_surroundings_are_not() {
        // A mast on a plate, whose top is far from the middle of the points.
        let mut object: Vec<[f32; 3]> = (0..900).map(|i| [0.1 * (i % 30) as f32, 0.1 * (i / 30) as f32, 0.0]).collect();
        object.extend((0..300).map(|i| [1.5, 1.5, 0.02 * i as f32]));
        let Subject { centre, reach } = Subject::of(&object);
        let farthest =
            |of: &[[f32; 3]]| of.iter().map(|p| (Vector3::from(p.map(f64::from)) - centre).norm()).fold(0.0, f64::max);
        assert!(farthest(&object) <= 1.01 * reach && reach < 4.0, "{centre} {reach}");
        // The same before mountains.
        let mut scene = object.clone();
        scene.extend((0..60).map(|i| [50.0 + i as f32, 60.0, -20.0]));
        let bulk = Bulk::of(&scene);
        assert_eq!(Subject::of(&scene), Subject { centre: bulk.centre, reach: 2.0 * bulk.distance });
        let whole = Subject::whole(&scene);
        assert!(whole.reach > 50.0);
        // A sphere of this radius touches the edges of a picture of this angle.
        assert!((whole.distance(0.8) * 0.4f64.sin() - whole.reach).abs() < 1e-9);
        assert_eq!(Subject::of(&[]).reach, 2.0);
        assert_eq!(Subject::whole(&[[3.0; 3]]).reach, 1.0);
    }
}
