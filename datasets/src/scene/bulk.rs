//! Where a scene is when nothing but its splats is known: around the middle of them, not around the few that are far away.

use nalgebra::Vector3;

/// Splats that are looked at.
const SAMPLE: usize = 1 << 20;

/// Splats nearer to a camera than this are not drawn, in scenes of which the median distance (or the capture's own scale) is 1.
pub const NEAR: f32 = 0.02;

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
        let stride = means.len().div_ceil(SAMPLE).max(1);
        let sample: Vec<Vector3<f64>> = means.iter().step_by(stride).map(|m| Vector3::from(m.map(f64::from))).collect();
        let centre = Vector3::from_fn(|axis, _| median(sample.iter().map(|p| p[axis]).collect()));
        let distance = median(sample.iter().map(|p| (p - centre).norm()).collect());
        Self { centre, distance: if distance.is_finite() && distance > 1e-12 { distance } else { 1.0 } }
    }

    /// [`NEAR`] in the means' own units.
    pub fn near(&self) -> f32 {
        NEAR * self.distance as f32
    }
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
}
