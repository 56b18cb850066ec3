//! `scene_from_world` in files, as numbers or as words: translation (3), quaternion w x y z (4) and scale (1).

use crate::camera::Similarity;
use nalgebra::{Quaternion, Translation3, UnitQuaternion};

/// The similarity that these numbers are, if they are one.
pub(super) fn from_numbers(numbers: [f64; 8]) -> Option<Similarity> {
    let [x, y, z, qw, qx, qy, qz, scale] = numbers;
    let rotation = Quaternion::new(qw, qx, qy, qz);
    if !numbers.iter().all(|n| n.is_finite()) || scale <= 0.0 || rotation.norm() < 1e-9 {
        return None;
    }
    // What is of length one already is kept bit for bit.
    let is_unit = (rotation.norm_squared() - 1.0).abs() < 1e-12;
    let rotation =
        if is_unit { UnitQuaternion::new_unchecked(rotation) } else { UnitQuaternion::new_normalize(rotation) };
    Some(Similarity::from_parts(Translation3::new(x, y, z), rotation, scale))
}

/// The numbers for it.
pub(super) fn numbers(similarity: &Similarity) -> [f64; 8] {
    let (t, q) = (similarity.isometry.translation.vector, similarity.isometry.rotation);
    [t.x, t.y, t.z, q.w, q.i, q.j, q.k, similarity.scaling()]
}

/// The similarity that these words say, if they say one.
#[cfg(feature = "files")]
pub(super) fn parse(words: &[&str]) -> Option<Similarity> {
    let numbers: Vec<f64> = words.iter().map(|v| v.parse().ok()).collect::<Option<_>>()?;
    from_numbers(numbers.try_into().ok()?)
}

/// The words for it.
#[cfg(feature = "files")]
pub(super) fn text(similarity: &Similarity) -> String {
    numbers(similarity).map(|number| number.to_string()).join(" ")
}
