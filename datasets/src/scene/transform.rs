//! Moving splats: rotation, translation and scale, colours that depend on the view included.

use super::{HarmonicsRotation, SplatCloud};
use crate::camera::Similarity;
use nalgebra::{Matrix3, Quaternion, Vector3};
use rayon::prelude::*;

/// Splats that one thread moves at a time.
const PIECE: usize = 4096;
/// A rotation by less than this (radians, halved) is rounding; such a scene keeps its rotations and colours bit for bit.
const NO_ROTATION: f64 = 1e-9;

/// A similarity made ready to move many splats.
#[derive(Clone, Debug)]
pub struct SplatTransform {
    similarity: Similarity,
    linear: Matrix3<f64>,
    log_scale: f32,
    rotation: Option<Rotation>,
}

#[derive(Clone, Debug)]
struct Rotation {
    quat: Quaternion<f32>,
    harmonics: HarmonicsRotation,
}

impl SplatTransform {
    /// From where splats are to where they go. Its scale is positive.
    pub fn new(similarity: &Similarity) -> Self {
        assert!(similarity.scaling() > 0.0, "a scene's scale is positive");
        let turn = &similarity.isometry.rotation;
        let rotation = (turn.imag().norm() > NO_ROTATION)
            .then(|| Rotation { quat: turn.quaternion().cast(), harmonics: HarmonicsRotation::new(turn) });
        Self {
            similarity: *similarity,
            linear: turn.to_rotation_matrix().into_inner() * similarity.scaling(),
            log_scale: similarity.scaling().ln() as f32,
            rotation,
        }
    }

    /// Moves splats in place. Their `scene_from_world` is left alone, because chunks of a stream keep that of their
    /// file's header: [`Self::compose`] says what it becomes for the whole scene.
    pub fn apply(&self, splats: &mut SplatCloud) {
        let offset = self.similarity.isometry.translation.vector;
        splats.means.par_iter_mut().with_min_len(PIECE).for_each(|mean| {
            let moved = self.linear * Vector3::from(mean.map(f64::from)) + offset;
            *mean = [moved.x as f32, moved.y as f32, moved.z as f32];
        });
        if self.log_scale != 0.0 {
            splats.log_scales.iter_mut().flatten().for_each(|scale| *scale += self.log_scale);
        }
        let Some(rotation) = &self.rotation else { return };
        for quat in &mut splats.quats {
            let [w, x, y, z] = *quat;
            let turned = rotation.quat * Quaternion::new(w, x, y, z);
            *quat = [turned.w, turned.i, turned.j, turned.k];
        }
        let coefficients = SplatCloud::rest_coefficients(splats.sh_degree);
        if coefficients > 0 {
            let (rows, _) = splats.sh_rest.as_chunks_mut::<3>();
            rows.par_chunks_mut(PIECE * coefficients)
                .for_each(|piece| piece.chunks_exact_mut(coefficients).for_each(|c| rotation.harmonics.apply(c)));
        }
    }

    /// What `scene_from_world` becomes when the stored scene is moved: the captured world stays where it is.
    pub fn compose(&self, scene_from_world: &Similarity) -> Similarity {
        self.similarity * scene_from_world
    }
}

impl SplatCloud {
    /// The moved cloud, which still knows where the captured world is.
    #[must_use]
    pub fn transformed(mut self, similarity: &Similarity) -> Self {
        let transform = SplatTransform::new(similarity);
        transform.apply(&mut self);
        self.scene_from_world = transform.compose(&self.scene_from_world);
        self
    }

    /// The cloud stored in other coordinates of the captured world than it is.
    #[must_use]
    pub fn into_scene(mut self, scene_from_world: &Similarity) -> Self {
        let scene_from_stored = scene_from_world * self.scene_from_world.inverse();
        SplatTransform::new(&scene_from_stored).apply(&mut self);
        self.scene_from_world = *scene_from_world;
        self
    }

    /// The cloud in the world in which it was captured.
    #[must_use]
    pub fn into_world(self) -> Self {
        self.into_scene(&Similarity::identity())
    }
}

#[cfg(test)]
mod tests {
    use super::super::spherical_harmonics::basis;
    use super::*;
    use nalgebra::{Point3, Translation3, UnitQuaternion};
    use proptest::prelude::*;

    fn similarity() -> impl Strategy<Value = Similarity> {
        let parts = (prop::array::uniform3(-5.0..5.0), prop::array::uniform3(-3.0..3.0), 0.05..20.0);
        parts.prop_map(|(t, [roll, pitch, yaw], scale)| {
            let turn = UnitQuaternion::from_euler_angles(roll, pitch, yaw);
            Similarity::from_parts(Translation3::from(Vector3::from(t)), turn, scale)
        })
    }

    fn splats() -> impl Strategy<Value = SplatCloud> {
        let geometry = (prop::array::uniform3(-9f32..9.0), prop::array::uniform3(-6f32..2.0));
        let quat = prop::array::uniform4(-2f32..2.0).prop_filter("a direction", |q| q.iter().any(|v| v.abs() > 0.1));
        let splat = (geometry, quat, prop::array::uniform3(-1f32..1.0), prop::collection::vec(-1f32..1.0, 45));
        (0..=3u8, prop::collection::vec(splat, 1..20), similarity()).prop_map(|(degree, splats, placed)| {
            let mut cloud = SplatCloud::with_capacity(splats.len(), degree);
            cloud.scene_from_world = placed;
            for ((mean, scales), quat, sh0, rest) in splats {
                cloud.means.push(mean);
                cloud.log_scales.push(scales);
                cloud.quats.push(quat);
                cloud.opacity_logits.push(0.5);
                cloud.sh0.push(sh0);
                cloud.sh_rest.extend(&rest[..3 * SplatCloud::rest_coefficients(degree)]);
            }
            cloud
        })
    }

    /// Colour seen in a direction, without the constant half.
    fn colour(cloud: &SplatCloud, i: usize, direction: Vector3<f64>) -> [f64; 3] {
        let rest = SplatCloud::rest_coefficients(cloud.sh_degree);
        let values = basis(direction.into());
        std::array::from_fn(|channel| {
            let coefficients = &cloud.sh_rest[3 * rest * i..][..3 * rest];
            let above: f64 = (0..rest).map(|k| values[k + 1] * f64::from(coefficients[3 * k + channel])).sum();
            values[0] * f64::from(cloud.sh0[i][channel]) + above
        })
    }

    fn covariance(cloud: &SplatCloud, i: usize) -> Matrix3<f64> {
        let [w, x, y, z] = cloud.quats[i].map(f64::from);
        let axes = UnitQuaternion::from_quaternion(Quaternion::new(w, x, y, z)).to_rotation_matrix();
        let variances = Vector3::from(cloud.log_scales[i].map(|s| (2.0 * f64::from(s)).exp()));
        axes * Matrix3::from_diagonal(&variances) * axes.inverse()
    }

    proptest! {
        #[test]
        fn a_moved_splat_looks_from_the_moved_viewpoint_as_it_did(
            cloud in splats(), move_it in similarity(), direction in prop::array::uniform3(-1.0..1.0),
        ) {
            let direction = Vector3::from(direction);
            prop_assume!(direction.norm() > 0.1);
            let direction = direction.normalize();
            let turn = move_it.isometry.rotation;
            let moved = cloud.clone().transformed(&move_it);
            for i in 0..cloud.len() {
                let (before, after) = (colour(&cloud, i, direction), colour(&moved, i, turn * direction));
                for channel in 0..3 {
                    // A turned coefficient is a sum of at most 7 products of numbers of at most 1 in f32, so it is off
                    // by at most 7 * 9 * 2^-24 = 4e-6; 15 of them times a basis of length sqrt(16 / 4 pi) make 1.6e-5.
                    prop_assert!((before[channel] - after[channel]).abs() < 1.6e-5, "splat {i}: {before:?} {after:?}");
                }
            }
        }

        #[test]
        fn a_moved_splat_covers_the_moved_ellipsoid(cloud in splats(), move_it in similarity()) {
            let moved = cloud.clone().transformed(&move_it);
            let turn = move_it.isometry.rotation.to_rotation_matrix();
            for i in 0..cloud.len() {
                let mean = move_it * Point3::from(cloud.means[i].map(f64::from));
                let error = (mean.coords - Vector3::from(moved.means[i].map(f64::from))).amax();
                prop_assert!(error <= mean.coords.amax() * 2f64.powi(-24), "mean off by {error}");
                let expected = turn * covariance(&cloud, i) * turn.inverse() * move_it.scaling().powi(2);
                // Log-scales up to 9 are stored to within 2^-21, which doubles in a variance; quaternions to 2^-22.
                let error = (covariance(&moved, i) - expected).amax() / expected.amax();
                prop_assert!(error < 4e-6, "covariance off by {error}");
            }
        }

        #[test]
        fn the_captured_world_stays_where_it_is(cloud in splats(), move_it in similarity()) {
            let moved = cloud.clone().transformed(&move_it);
            let (before, after) = (cloud.into_world(), moved.into_world());
            prop_assert_eq!(after.scene_from_world, Similarity::identity());
            // A moved mean is rounded to 2^-24 of at most 20 * 16 + 9; going back multiplies by at most 20 * 20.
            for (a, b) in before.means.iter().flatten().zip(after.means.iter().flatten()) {
                prop_assert!((a - b).abs() < 1e-2, "{a} against {b}");
            }
            for (a, b) in before.sh_rest.iter().zip(&after.sh_rest) {
                prop_assert!((a - b).abs() < 2e-5, "{a} against {b}");
            }
        }

        #[test]
        fn without_a_rotation_colours_and_rotations_are_kept_bit_for_bit(cloud in splats(), to in similarity()) {
            let straight = Similarity::from_parts(to.isometry.translation, UnitQuaternion::identity(), to.scaling());
            let moved = cloud.clone().transformed(&straight);
            prop_assert_eq!(&moved.quats, &cloud.quats);
            prop_assert_eq!(&moved.sh_rest, &cloud.sh_rest);
        }
    }
}
