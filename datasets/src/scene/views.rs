//! What cameras saw of a scene, by their frusta alone: nothing is hidden by anything.

use super::SplatCloud;
use crate::camera::{Camera, Pose, Similarity};
use nalgebra::{Matrix3, Point3, Translation3, Vector3};

/// A camera that is placed in the captured world, relative to where the scene is stored. It then measures in stored units.
pub fn camera_from_scene(scene_from_world: &Similarity, camera_from_world: &Pose) -> Pose {
    let scene = &scene_from_world.isometry;
    let rotation = camera_from_world.rotation * scene.rotation.inverse();
    let scaled = scene_from_world.scaling() * camera_from_world.translation.vector;
    Pose::from_parts(Translation3::from(scaled - rotation * scene.translation.vector), rotation)
}

/// The frusta of cameras that are placed in the captured world, made ready for a scene that may be stored elsewhere.
#[derive(Clone, Debug)]
pub struct Frusta {
    frusta: Vec<Frustum>,
    centres: Vec<Point3<f64>>,
}

#[derive(Clone, Debug)]
struct Frustum {
    camera: Camera,
    /// From stored coordinates to the camera's axes, in stored units.
    rotation: Matrix3<f64>,
    translation: Vector3<f64>,
    /// [`Camera::normalised_bounds`].
    bounds: [f64; 4],
    max_radius_squared: f64,
}

impl Frusta {
    /// `views` are cameras with their `camera_from_world`; `scene_from_world` says where the scene's splats are stored.
    pub fn new(views: impl IntoIterator<Item = (Camera, Pose)>, scene_from_world: &Similarity) -> Self {
        let placed = views.into_iter().map(|(camera, camera_from_world)| {
            let camera_from_scene = camera_from_scene(scene_from_world, &camera_from_world);
            let Pose { rotation, translation } = camera_from_scene;
            let translation = translation.vector;
            let frustum = Frustum {
                camera,
                rotation: rotation.to_rotation_matrix().into_inner(),
                translation,
                bounds: camera.normalised_bounds(),
                max_radius_squared: camera.lens.max_valid_radius_squared(),
            };
            (frustum, Point3::from(rotation.inverse() * -translation))
        });
        let (frusta, centres) = placed.unzip();
        Self { frusta, centres }
    }

    /// How many cameras there are.
    pub fn len(&self) -> usize {
        self.frusta.len()
    }

    /// True without any camera.
    pub fn is_empty(&self) -> bool {
        self.frusta.is_empty()
    }

    /// Where the cameras stand, in stored coordinates.
    pub fn centres(&self) -> &[Point3<f64>] {
        &self.centres
    }

    /// Whether a camera sees a place, in stored coordinates. Panics when there is no such camera.
    pub fn sees(&self, camera: usize, place: [f64; 3]) -> bool {
        self.frusta[camera].sees(&Vector3::from(place), 0.0)
    }

    /// How many cameras see a splat, counted up to `enough`. A camera does when the splat's mean lies before it, and in
    /// its picture or beside it by no more than the splat's largest standard deviation.
    pub fn seeing(&self, cloud: &SplatCloud, i: usize, enough: usize) -> usize {
        let mean = Vector3::from(cloud.means[i].map(f64::from));
        let deviation = f64::from(cloud.log_scales[i].into_iter().fold(f32::NEG_INFINITY, f32::max)).exp();
        self.frusta.iter().filter(|frustum| frustum.sees(&mean, deviation)).take(enough).count()
    }

    /// Keeps the splats that at least `at_least` cameras see.
    pub fn keep_seen(&self, cloud: &mut SplatCloud, at_least: usize) {
        cloud.retain(|cloud, i| self.seeing(cloud, i, at_least) >= at_least);
    }
}

impl Frustum {
    fn sees(&self, mean: &Vector3<f64>, deviation: f64) -> bool {
        let seen = self.rotation * mean + self.translation;
        if seen.z <= 0.0 {
            return false;
        }
        let (u, v, margin) = (seen.x / seen.z, seen.y / seen.z, deviation / seen.z);
        let [u_min, v_min, u_max, v_max] = self.bounds;
        let near = u >= u_min - margin && u <= u_max + margin && v >= v_min - margin && v <= v_max + margin;
        if !near || u * u + v * v > self.max_radius_squared {
            return false;
        }
        let lens = &self.camera.lens;
        let [du, dv] = lens.distort(u, v).uv;
        let inside = |d: f64, focal: f64, centre: f64, size: u32| {
            let (pixel, margin) = (focal * d + centre, focal.abs() * margin);
            pixel >= -margin && pixel <= f64::from(size) + margin
        };
        inside(du, lens.focal[0], lens.centre[0], self.camera.width)
            && inside(dv, lens.focal[1], lens.centre[1], self.camera.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::{Distortion, Lens};
    use nalgebra::UnitQuaternion;

    /// A cloud of small splats at these places.
    fn at(places: &[[f32; 3]]) -> SplatCloud {
        let mut cloud = SplatCloud::with_capacity(places.len(), 0);
        for place in places {
            cloud.means.push(*place);
            cloud.log_scales.push([-9.0, -8.0, -7.0]);
            cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
            cloud.opacity_logits.push(1.0);
            cloud.sh0.push([0.0; 3]);
        }
        cloud
    }

    /// 90° wide and high, so that it sees |x|, |y| < z.
    fn square() -> Camera {
        Camera::from_horizontal_fov(100, 100, std::f64::consts::FRAC_PI_2)
    }

    #[test]
    fn only_what_enough_cameras_see_is_kept() {
        let cloud = at(&[[0.0, 0.0, 5.0], [4.9, 0.0, 5.0], [5.1, 0.0, 5.0], [0.0, 0.0, -5.0], [0.0, 4.9, 5.0]]);
        // Both look along z, one from 3 to the right.
        let poses = [Pose::identity(), Pose::translation(-3.0, 0.0, 0.0)];
        let frusta = Frusta::new(poses.map(|pose| (square(), pose)), &Similarity::identity());
        let kept = |at_least: usize| {
            let mut kept = cloud.clone();
            frusta.keep_seen(&mut kept, at_least);
            (0..cloud.len()).filter(|&i| kept.means.contains(&cloud.means[i])).collect::<Vec<_>>()
        };
        assert_eq!((kept(0).len(), kept(1), kept(2), kept(3)), (5, vec![0, 1, 2, 4], vec![0, 1, 4], vec![]));
    }

    #[test]
    fn a_splat_that_reaches_into_the_picture_is_seen() {
        let mut cloud = at(&[[6.0, 0.0, 5.0]]);
        let frusta = Frusta::new([(square(), Pose::identity())], &Similarity::identity());
        assert_eq!(frusta.seeing(&cloud, 0, 9), 0);
        cloud.log_scales[0] = [-7.0, 1.1_f32.ln(), -7.0];
        assert_eq!(frusta.seeing(&cloud, 0, 9), 1);
    }

    #[test]
    fn cameras_stay_in_the_captured_world_when_the_scene_is_moved() {
        let pose = Pose::new(Vector3::new(0.3, -0.2, 1.0), Vector3::new(0.2, 0.9, -0.1));
        let places: Vec<[f32; 3]> = (0..1000).map(|i| [i % 10, i / 10 % 10, i / 100].map(|v| v as f32 - 4.6)).collect();
        let cloud = at(&places);
        let turn = UnitQuaternion::from_euler_angles(0.4, -1.0, 2.0);
        let moved_by = Similarity::from_parts(Translation3::new(5.0, -7.0, 1.0), turn, 0.3);
        let moved = cloud.clone().transformed(&moved_by);
        let [before, after] = [&cloud, &moved].map(|cloud| Frusta::new([(square(), pose)], &cloud.scene_from_world));
        let seen = (0..1000).filter(|&i| before.seeing(&cloud, i, 1) == 1).count();
        assert!((100..900).contains(&seen), "{seen} of 1000 are a poor test");
        for i in 0..1000 {
            assert_eq!(before.seeing(&cloud, i, 1), after.seeing(&moved, i, 1), "splat {i}");
        }
        let centre = pose.inverse().translation.vector;
        assert!((after.centres()[0] - moved_by * Point3::from(centre)).norm() < 1e-12);
    }

    #[test]
    fn what_a_lens_would_fold_back_into_the_picture_is_not_seen() {
        // r(1 - 0.3 r²) grows up to r = 1.05 only; at r = 1.75 it is 0.14 again.
        let lens = Lens {
            distortion: Distortion::Polynomial { k: [-0.3, 0.0, 0.0, 0.0, 0.0, 0.0], p: [0.0; 2] },
            ..square().lens
        };
        let frusta = Frusta::new([(Camera { lens, ..square() }, Pose::identity())], &Similarity::identity());
        assert_eq!(frusta.seeing(&at(&[[1.75, 0.0, 1.0]]), 0, 1), 0);
        assert_eq!(frusta.seeing(&at(&[[0.14, 0.0, 1.0]]), 0, 1), 1);
    }
}
