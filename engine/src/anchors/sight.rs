//! Which anchors a view can see anything of: only those are decoded.

use super::model::AnchorModel;
use crate::splats::NEAR;
use rayon::prelude::*;
use tessera_kernels::anchor_decoder::cuda::Sight;
use tessera_kernels::camera_projection::View;

/// Anchors that one task looks at.
const CHUNK: usize = 1024;

/// The picture's edges as planes through the camera: a place `(x, y, z)` is inside where `n · (x, y, z) ≤ 0`, and outside by
/// `n · (x, y, z)` otherwise.
struct Edges([[f32; 3]; 4]);

impl Edges {
    fn of(view: &View) -> Self {
        let [u0, v0, u1, v1] = view.jacobian_bounds;
        let plane = |normal: [f32; 3]| {
            let length = normal.iter().map(|n| n * n).sum::<f32>().sqrt();
            normal.map(|n| n / length)
        };
        Self([plane([1.0, 0.0, -u1]), plane([-1.0, 0.0, u0]), plane([0.0, 1.0, -v1]), plane([0.0, -1.0, v0])])
    }

    fn are_reached(&self, place: [f32; 3], reach: f32) -> bool {
        let outside = |n: &[f32; 3]| (0..3).map(|c| n[c] * place[c]).sum::<f32>();
        place[2] + reach > NEAR && self.0.iter().all(|edge| outside(edge) <= reach)
    }
}

/// What a device needs to find the same.
pub(super) fn sight(view: &View) -> Sight {
    let View { rotation, translation, .. } = *view;
    Sight { rotation, translation, edges: Edges::of(view).0, near: NEAR }
}

/// Those of `candidates`, or of all anchors, whose Gaussians may be in the picture, in the same order.
pub(super) fn seen(view: &View, model: &AnchorModel, candidates: Option<&[u32]>) -> Vec<u32> {
    let edges = Edges::of(view);
    let is_seen = |anchor: &u32| {
        let x = model.position(*anchor as usize);
        let place: [f32; 3] = std::array::from_fn(|row| {
            (0..3).map(|c| view.rotation[row][c] * x[c]).sum::<f32>() + view.translation[row]
        });
        edges.are_reached(place, model.reach(*anchor as usize))
    };
    match candidates {
        Some(candidates) => candidates.par_iter().with_min_len(CHUNK).copied().filter(is_seen).collect(),
        None => (0..model.len() as u32).into_par_iter().with_min_len(CHUNK).filter(is_seen).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::voxels::Voxels;
    use super::*;
    use tessera_datasets::camera::{Camera, Distortion, Lens, Pose};
    use tessera_kernels::anchor_decoder::AnchorDecoder;

    #[test]
    fn anchors_before_the_camera_are_seen() {
        let places = [[0.0, 0.0, 5.0], [0.0, 0.0, -5.0], [4.0, 0.0, 5.0], [40.0, 0.0, 5.0], [0.0, 39.0, 50.0]];
        let voxels = Voxels { cell: 0.01, places: places.to_vec(), colours: vec![[0.5; 3]; places.len()] };
        let mut model = AnchorModel::new(&voxels, AnchorDecoder { features: 4, offsets: 1 });
        model.log_scaling.values.fill(0.01f32.ln());
        let lens = Lens { focal: [50.0; 2], centre: [50.0, 40.0], distortion: Distortion::None };
        let camera = Camera { width: 100, height: 80, lens };
        let view = View::new(&camera, &Pose::identity());
        assert_eq!(seen(&view, &model, None), [0, 2, 4]);
        assert_eq!(seen(&view, &model, Some(&[1, 2, 3])), [2]);
        model.log_scaling.values.fill(20.0f32.ln());
        assert_eq!(seen(&view, &model, None), [0, 1, 2, 3, 4], "large Gaussians reach into the picture");
    }
}
