//! Camera poses that are corrected while the splats are trained.
//!
//! Each camera has a correction `D` in SE(3), so that `camera_from_scene = D · given · G`. The backward pass gives the
//! gradient with respect to a left perturbation `(ρ, φ)` of the current `camera_from_scene`, which is a left
//! perturbation of `D`; Adam turns it into a small twist `u` and `D` becomes `exp(u) D`. There is no parametrisation
//! to become singular, however far a camera moves.
//!
//! The scene itself could drift: moving all cameras and all splats alike changes no picture. No camera is held fixed
//! against that, for its own error would then be spread over all others. Instead the mean motion of all cameras, as
//! seen from the scene, is taken back a little at every step by the shared `G`, slowly enough for the splats to follow.
//! So the mean over the cameras stays about zero, and held-out cameras remain valid as they are. (Taking it back at once
//! would stall the cameras: Adam's steps are of equal length, and what all of them share would cancel.)

use nalgebra::{Isometry3, Quaternion, Rotation3, Translation3, UnitQuaternion, Vector3};
use tessera_kernels::camera_projection::View;

/// Decay of the gradient's running mean and of its square, and the guard of the division; Adam's usual ones.
const BETAS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-15;
/// Numbers for each camera in the saved state: rotation, translation, two moments, step count.
const STATE_SIZE: usize = 4 + 3 + 6 + 6 + 1;
/// Numbers that all cameras share: `G`, and the mean motion that it has not yet taken back.
const SHARED_SIZE: usize = 4 + 3 + 6;
/// Share of the mean motion that is taken back while each camera is seen once.
const DRIFT_REMOVAL: f32 = 0.03;

/// How fast cameras move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoseRefinementSettings {
    /// Scene units and radians for each step at the start of training.
    pub rate_start: f32,
    /// The same at the end; between them it falls exponentially.
    pub rate_end: f32,
}

impl Default for PoseRefinementSettings {
    /// The rates of nerfstudio's splatfacto for a scene of size 1.
    fn default() -> Self {
        Self { rate_start: 1e-4, rate_end: 5e-7 }
    }
}

/// Corrections of the cameras of a training set.
#[derive(Clone, Debug, PartialEq)]
pub struct PoseRefinement {
    settings: PoseRefinementSettings,
    cameras: Vec<CameraCorrection>,
    shared: Isometry3<f32>,
    drift: [f32; 6],
}

#[derive(Clone, Debug, PartialEq)]
struct CameraCorrection {
    delta: Isometry3<f32>,
    mean: [f32; 6],
    square: [f32; 6],
    steps: f32,
}

impl PoseRefinement {
    /// No corrections yet, for `count` cameras.
    pub fn new(count: usize, settings: PoseRefinementSettings) -> Self {
        let camera = CameraCorrection { delta: Isometry3::identity(), mean: [0.0; 6], square: [0.0; 6], steps: 0.0 };
        Self { settings, cameras: vec![camera; count], shared: Isometry3::identity(), drift: [0.0; 6] }
    }

    /// The view of camera `i`, corrected; `view` is as the capture has it.
    pub fn apply(&self, i: usize, view: &View) -> View {
        let corrected = self.cameras[i].delta * isometry(view) * self.shared;
        let rotation = corrected.rotation.to_rotation_matrix();
        View {
            rotation: std::array::from_fn(|r| std::array::from_fn(|c| rotation[(r, c)])),
            translation: corrected.translation.vector.into(),
            ..*view
        }
    }

    /// The pose of camera `i`, corrected; `given` is as the capture has it.
    pub fn corrected(&self, i: usize, given: &Isometry3<f64>) -> Isometry3<f64> {
        self.cameras[i].delta.cast() * given * self.shared.cast()
    }

    /// Moves camera `i` down the gradient with respect to a left perturbation (ρ, φ) of its current pose. `view` is as
    /// the capture has it; `progress` runs from 0 to 1 over the training. A gradient that is not finite is skipped.
    pub fn step(&mut self, i: usize, view: &View, gradient: &[f32; 6], progress: f32) {
        if !gradient.iter().all(|g| g.is_finite()) {
            return;
        }
        let PoseRefinementSettings { rate_start, rate_end } = self.settings;
        let rate = rate_start * (rate_end / rate_start).powf(progress.clamp(0.0, 1.0));
        let count = self.cameras.len() as f32;
        let camera = &mut self.cameras[i];
        camera.steps += 1.0;
        let correct = BETAS.map(|b| 1.0 / (1.0 - b.powf(camera.steps)));
        let mut twist = [0.0; 6];
        for k in 0..6 {
            camera.mean[k] += (1.0 - BETAS[0]) * (gradient[k] - camera.mean[k]);
            camera.square[k] += (1.0 - BETAS[1]) * (gradient[k] * gradient[k] - camera.square[k]);
            let deviation = (camera.square[k] * correct[1]).sqrt();
            twist[k] = -rate * camera.mean[k] * correct[0] / (deviation + EPSILON);
        }
        camera.delta = exponential(twist) * camera.delta;
        camera.delta.rotation.renormalize();

        // In the scene's frame the camera moves by current⁻¹ exp(u) current = exp(Ad(current⁻¹) u).
        let current = camera.delta * isometry(view) * self.shared;
        let motion = adjoint(&current.inverse(), twist);
        let taken: [f32; 6] = std::array::from_fn(|k| (self.drift[k] + motion[k] / count) * (DRIFT_REMOVAL / count));
        for k in 0..6 {
            self.drift[k] += motion[k] / count - taken[k];
        }
        self.shared *= exponential(taken.map(|t| -t));
        self.shared.rotation.renormalize();
    }

    /// How far camera `i` has been moved: (scene units, radians), not counting the shared motion.
    pub fn magnitude(&self, i: usize) -> (f32, f32) {
        let delta = &self.cameras[i].delta;
        (delta.translation.vector.norm(), delta.rotation.angle())
    }

    /// Everything that changes in training, `[13 + 20 n]`.
    pub fn state(&self) -> Vec<f32> {
        let mut state = Vec::with_capacity(SHARED_SIZE + STATE_SIZE * self.cameras.len());
        write_isometry(&self.shared, &mut state);
        state.extend(self.drift);
        for camera in &self.cameras {
            write_isometry(&camera.delta, &mut state);
            state.extend(camera.mean);
            state.extend(camera.square);
            state.push(camera.steps);
        }
        state
    }

    /// Goes on from a saved state. Returns false, and changes nothing, when it is of another number of cameras or not
    /// a state at all.
    #[must_use]
    pub fn restore(&mut self, state: &[f32]) -> bool {
        let (Some(shared), Some(cameras)) = (state.get(..SHARED_SIZE), state.get(SHARED_SIZE..)) else { return false };
        if cameras.len() != STATE_SIZE * self.cameras.len() || !state.iter().all(|v| v.is_finite()) {
            return false;
        }
        self.shared = read_isometry(shared);
        self.drift = std::array::from_fn(|k| shared[7 + k]);
        for (camera, values) in self.cameras.iter_mut().zip(cameras.chunks_exact(STATE_SIZE)) {
            *camera = CameraCorrection {
                delta: read_isometry(values),
                mean: std::array::from_fn(|k| values[7 + k]),
                square: std::array::from_fn(|k| values[13 + k]),
                steps: values[19],
            };
        }
        true
    }
}

fn write_isometry(pose: &Isometry3<f32>, out: &mut Vec<f32>) {
    let q = &pose.rotation;
    out.extend([q.w, q.i, q.j, q.k]);
    out.extend(pose.translation.vector.iter());
}

/// Exactly what was written: the quaternion is not normalised again.
fn read_isometry(v: &[f32]) -> Isometry3<f32> {
    let rotation = UnitQuaternion::new_unchecked(Quaternion::new(v[0], v[1], v[2], v[3]));
    Isometry3::from_parts(Translation3::new(v[4], v[5], v[6]), rotation)
}

fn isometry(view: &View) -> Isometry3<f32> {
    let rows = view.rotation;
    let rotation = Rotation3::from_matrix_unchecked(nalgebra::Matrix3::from_fn(|r, c| rows[r][c]));
    Isometry3::from_parts(view.translation.into(), UnitQuaternion::from_rotation_matrix(&rotation))
}

/// The rigid motion of a twist (ρ, φ): rotation exp(φ), translation V(φ) ρ.
fn exponential([a, b, c, x, y, z]: [f32; 6]) -> Isometry3<f32> {
    let (rho, phi) = (Vector3::new(a, b, c), Vector3::new(x, y, z));
    let angle = phi.norm();
    let square = angle * angle;
    // (1 - cos θ) / θ² and (θ - sin θ) / θ³, by their series where the closed forms cancel.
    let (first, second) = if angle < 0.1 {
        (0.5 - square / 24.0, 1.0 / 6.0 - square / 120.0)
    } else {
        ((1.0 - angle.cos()) / square, (angle - angle.sin()) / (square * angle))
    };
    let turned = phi.cross(&rho);
    let translation = rho + first * turned + second * phi.cross(&turned);
    Isometry3::from_parts(Translation3::from(translation), UnitQuaternion::from_scaled_axis(phi))
}

/// The twist `w` with `exp(w) = pose exp(twist) pose⁻¹`.
fn adjoint(pose: &Isometry3<f32>, [a, b, c, x, y, z]: [f32; 6]) -> [f32; 6] {
    let phi = pose.rotation * Vector3::new(x, y, z);
    let rho = pose.rotation * Vector3::new(a, b, c) + pose.translation.vector.cross(&phi);
    [rho.x, rho.y, rho.z, phi.x, phi.y, phi.z]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    use tessera_datasets::camera::{Camera, Pose};

    fn rng() -> StdRng {
        let seed = tessera_test_seed::test_seed();
        println!("seed {seed}");
        StdRng::seed_from_u64(seed)
    }

    fn twist(rng: &mut StdRng, size: f32) -> [f32; 6] {
        std::array::from_fn(|_| rng.random_range(-size..size))
    }

    fn views(rng: &mut StdRng, count: usize) -> Vec<View> {
        let camera = Camera::from_horizontal_fov(64, 48, 1.0);
        let pose = |rng: &mut StdRng| exponential(twist(rng, 2.0)).cast::<f64>();
        (0..count).map(|_| View::new(&camera, &Pose::from(pose(rng)))).collect()
    }

    /// Mean squared distance between where two cameras see some points.
    fn error(view: &View, truth: &View) -> f32 {
        // Points on the true camera's axes: every direction of the twist counts about alike, so that what is tested is
        // the refinement and not how it crawls along a valley.
        let moved = isometry(view) * isometry(truth).inverse();
        let points = [1.0, -1.0].into_iter().flat_map(|s| (0..3).map(move |k| Vector3::ith(k, s).into()));
        points.map(|p: nalgebra::Point3<f32>| (moved * p - p).norm_squared()).sum::<f32>() / 6.0
    }

    /// The gradient of [`error`] by central differences of the left perturbation.
    fn gradient(view: &View, truth: &View) -> [f32; 6] {
        const H: f32 = 1e-2;
        std::array::from_fn(|k| {
            let moved = |h: f32| {
                let mut t = [0.0; 6];
                t[k] = h;
                let pose = exponential(t) * isometry(view);
                let rotation = pose.rotation.to_rotation_matrix();
                let rotation = std::array::from_fn(|r| std::array::from_fn(|c| rotation[(r, c)]));
                error(&View { rotation, translation: pose.translation.vector.into(), ..*view }, truth)
            };
            (moved(H) - moved(-H)) / (2.0 * H)
        })
    }

    #[test]
    fn twists_make_the_motions_that_they_should() {
        let mut rng = rng();
        for _ in 0..100 {
            let (pose, small) = (exponential(twist(&mut rng, 1.5)), twist(&mut rng, 0.3));
            let left = pose * exponential(small) * pose.inverse();
            let right = exponential(adjoint(&pose, small));
            let difference = (left.to_homogeneous() - right.to_homogeneous()).abs().max();
            assert!(difference < 1e-5, "the adjoint of {small:?} is off by {difference}");
            let half = exponential(small.map(|v| 0.5 * v));
            let difference = ((half * half).to_homogeneous() - exponential(small).to_homogeneous()).abs().max();
            assert!(difference < 1e-5, "two halves of {small:?} are not the whole: {difference}");
        }
    }

    #[test]
    fn a_disturbed_camera_finds_its_way_back_and_the_others_stay() {
        let mut rng = rng();
        let truth = views(&mut rng, 20);
        let mut given = truth.clone();
        let disturbance = twist(&mut rng, 0.05);
        let disturbed = exponential(disturbance) * isometry(&truth[0]);
        let rotation = disturbed.rotation.to_rotation_matrix();
        given[0].rotation = std::array::from_fn(|r| std::array::from_fn(|c| rotation[(r, c)]));
        given[0].translation = disturbed.translation.vector.into();

        let settings = PoseRefinementSettings { rate_start: 2e-3, rate_end: 1e-5 };
        let mut poses = PoseRefinement::new(20, settings);
        let before = error(&given[0], &truth[0]);
        for step in 0..400 {
            for i in 0..20 {
                let slope = gradient(&poses.apply(i, &given[i]), &truth[i]);
                poses.step(i, &given[i], &slope, step as f32 / 400.0);
            }
        }
        let after: f32 = (0..20).map(|i| error(&poses.apply(i, &given[i]), &truth[i])).fold(0.0, f32::max);
        // The mean of 20 cameras is held, so that a twentieth of the disturbance, as a motion of the scene, may stay in
        // each; what it does to a camera depends on where that stands. The last steps add a little.
        let kept = adjoint(&isometry(&truth[0]).inverse(), disturbance.map(|t| t / 20.0));
        let shifted = |view: &View| {
            let pose = isometry(view) * exponential(kept);
            let rotation = pose.rotation.to_rotation_matrix();
            let rotation = std::array::from_fn(|r| std::array::from_fn(|c| rotation[(r, c)]));
            View { rotation, translation: pose.translation.vector.into(), ..*view }
        };
        let allowed = truth.iter().map(|view| error(&shifted(view), view)).fold(0.0, f32::max);
        // Adam's steps do not end exactly there: twice the way that the mean allows, and a quarter of the disturbance
        // when that is small, are no return, less is (squares of both are compared).
        let most = 4.0 * allowed + before / 16.0;
        assert!(after < most, "the error fell from {before} to {after} only, not below {most}");
    }

    #[test]
    fn what_all_cameras_share_is_taken_back() {
        let mut rng = rng();
        let given = views(&mut rng, 10);
        let mut poses = PoseRefinement::new(10, PoseRefinementSettings { rate_start: 1e-3, rate_end: 1e-3 });
        let centre = |v: &View| isometry(v).inverse().translation.vector;
        let mean = |poses: &PoseRefinement| {
            let moved = given.iter().enumerate().map(|(i, v)| centre(&poses.apply(i, v)) - centre(v));
            (moved.sum::<Vector3<f32>>() / given.len() as f32).norm()
        };
        // For a while everything is pulled in one direction, as a scene that drifts would do.
        let common = Vector3::new(0.3, -0.5, 0.8);
        let mut carried = 0.0;
        for epoch in 0..220 {
            for (i, view) in given.iter().enumerate() {
                let pull = if epoch < 20 { common } else { Vector3::zeros() };
                let rho = isometry(&poses.apply(i, view)).rotation * pull;
                poses.step(i, view, &[rho.x, rho.y, rho.z, 0.0, 0.0, 0.0], 0.0);
            }
            carried = mean(&poses).max(carried);
        }
        let left = mean(&poses);
        assert!(carried > 0.01 && left < 0.05 * carried, "carried away by {carried} and brought back to {left}");
    }

    #[test]
    fn a_restored_refinement_goes_on_bit_for_bit() {
        let mut rng = rng();
        let given = views(&mut rng, 3);
        let mut poses = PoseRefinement::new(3, PoseRefinementSettings::default());
        (0..30).for_each(|k| poses.step(k % 3, &given[k % 3], &twist(&mut rng, 1.0), 0.3));
        let mut restored = PoseRefinement::new(3, PoseRefinementSettings::default());
        assert!(restored.restore(&poses.state()));
        let slope = twist(&mut rng, 1.0);
        poses.step(1, &given[1], &slope, 0.4);
        restored.step(1, &given[1], &slope, 0.4);
        assert_eq!(poses, restored);
        assert!(!restored.restore(&[0.0; 5]) && !restored.restore(&[]), "a state of another size was taken");
    }

    #[test]
    fn a_gradient_that_is_not_finite_moves_nothing() {
        let mut rng = rng();
        let given = views(&mut rng, 2);
        let mut poses = PoseRefinement::new(2, PoseRefinementSettings::default());
        let before = poses.clone();
        poses.step(0, &given[0], &[f32::NAN, 0.0, 0.0, 0.0, 0.0, 0.0], 0.0);
        assert_eq!(poses, before);
    }
}
