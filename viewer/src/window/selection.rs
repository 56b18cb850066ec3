//! Which splats a gesture or a criterion means.

use crate::renderer::View;
use tessera_datasets::scene::{SplatCloud, find_floaters};

/// A part of the picture, pixels.
#[derive(Clone, Debug, PartialEq)]
pub enum Region {
    /// Between two corners.
    Box([f32; 2], [f32; 2]),
    /// Within a distance of any of the places that a brush passed.
    Brush(Vec<[f32; 2]>, f32),
}

impl Region {
    fn contains(&self, [x, y]: [f32; 2]) -> bool {
        match self {
            Self::Box(a, b) => {
                (a[0].min(b[0])..=a[0].max(b[0])).contains(&x) && (a[1].min(b[1])..=a[1].max(b[1])).contains(&y)
            }
            Self::Brush(places, radius) => places.iter().any(|p| (p[0] - x).hypot(p[1] - y) <= *radius),
        }
    }
}

/// Splats whose centres are seen in a region, near or far.
pub fn in_region(cloud: &SplatCloud, view: &View, region: &Region) -> Vec<u32> {
    let pose = view.camera_from_world.to_homogeneous().map(|x| x as f32);
    let lens = &view.camera.lens;
    let seen = |i: &u32| {
        let [x, y, z] = cloud.means[*i as usize];
        let at = |row: usize| pose[(row, 0)] * x + pose[(row, 1)] * y + pose[(row, 2)] * z + pose[(row, 3)];
        let depth = at(2);
        let pixel = |axis: usize| lens.focal[axis] as f32 * at(axis) / depth + lens.centre[axis] as f32;
        depth > 0.0 && region.contains([pixel(0), pixel(1)])
    };
    (0..cloud.len() as u32).filter(seen).collect()
}

/// Splats that are fainter than an opacity.
pub fn fainter_than(cloud: &SplatCloud, opacity: f32) -> Vec<u32> {
    let logit = tessera_datasets::format::quantise::logit(opacity);
    (0..cloud.len() as u32).filter(|&i| cloud.opacity_logits[i as usize] < logit).collect()
}

/// Splats whose largest standard deviation is above a size, world units.
pub fn larger_than(cloud: &SplatCloud, size: f32) -> Vec<u32> {
    let limit = size.max(1e-12).ln();
    (0..cloud.len() as u32).filter(|&i| cloud.log_scales[i as usize].iter().any(|&s| s > limit)).collect()
}

/// Splats in the air that belong to no surface; see [`find_floaters`].
pub fn floaters(cloud: &SplatCloud, strength: f32) -> Vec<u32> {
    let found = find_floaters(&cloud.means, &cloud.log_scales, &cloud.opacity_logits, strength);
    (0..cloud.len() as u32).filter(|&i| found.is_floater(i as usize)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_datasets::camera::{Camera, Pose};

    fn cloud() -> SplatCloud {
        let mut cloud = SplatCloud::with_capacity(3, 0);
        for (i, x) in [-0.5, 0.5, 0.0].into_iter().enumerate() {
            cloud.means.push([x, 0.0, if i == 2 { -2.0 } else { 2.0 }]);
            cloud.log_scales.push([(i as f32 - 2.0), -3.0, -3.0]);
            cloud.quats.push([1.0, 0.0, 0.0, 0.0]);
            cloud.opacity_logits.push(i as f32 - 1.0);
            cloud.sh0.push([0.0; 3]);
        }
        cloud
    }

    #[test]
    fn regions_mean_what_is_seen_in_them() {
        let view = View { camera: Camera::from_horizontal_fov(100, 100, 1.0), camera_from_world: Pose::identity() };
        let all = Region::Box([100.0, 100.0], [0.0, 0.0]);
        assert_eq!(in_region(&cloud(), &view, &all), [0, 1], "what lies behind is not seen");
        let left = Region::Box([0.0, 0.0], [50.0, 100.0]);
        assert_eq!(in_region(&cloud(), &view, &left), [0]);
        let x = (50.0 + 0.25 * 50.0 / 0.5f32.tan()).round();
        assert_eq!(in_region(&cloud(), &view, &Region::Brush(vec![[x, 50.0]], 3.0)), [1]);
    }

    #[test]
    fn faint_and_large_splats_are_found() {
        assert_eq!(fainter_than(&cloud(), 0.4), [0]);
        assert_eq!(larger_than(&cloud(), 0.5), [2]);
    }
}
