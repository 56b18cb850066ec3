//! `scene_from_world` in comments of text: translation (3), quaternion w x y z (4) and scale (1).

use crate::camera::Similarity;
use nalgebra::{Quaternion, Translation3, UnitQuaternion};

/// The similarity that these words say, if they say one.
pub(super) fn parse(words: &[&str]) -> Option<Similarity> {
    let numbers: Vec<f64> = words.iter().map(|v| v.parse().ok()).collect::<Option<_>>()?;
    let &[x, y, z, qw, qx, qy, qz, scale] = numbers.as_slice() else { return None };
    let rotation = UnitQuaternion::try_new(Quaternion::new(qw, qx, qy, qz), 1e-9)?;
    let valid = numbers.iter().all(|n| n.is_finite()) && scale > 0.0;
    valid.then(|| Similarity::from_parts(Translation3::new(x, y, z), rotation, scale))
}

/// The words for it.
pub(super) fn text(similarity: &Similarity) -> String {
    let (t, q, s) = (similarity.isometry.translation.vector, similarity.isometry.rotation, similarity.scaling());
    format!("{} {} {} {} {} {} {} {s}", t.x, t.y, t.z, q.w, q.i, q.j, q.k)
}
