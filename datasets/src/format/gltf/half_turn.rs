//! Between the coordinates of splat files (y down) and those of glTF (y up): half a turn about z, which changes nothing
//! but signs.

use crate::camera::Similarity;
use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion, Vector3};

/// The spherical harmonics above degree 0 that change their sign: those of odd order.
pub(super) const NEGATED: [bool; 15] = [
    true, false, true, //
    false, true, false, true, false, //
    true, false, true, false, true, false, true,
];

/// A position, either way.
pub(super) fn position([x, y, z]: [f32; 3]) -> [f32; 3] {
    [-x, -y, z]
}

/// A rotation (w, x, y, z) of splats in a file, as glTF has it.
pub(super) fn rotation_to_gltf<T: std::ops::Neg<Output = T>>([w, x, y, z]: [T; 4]) -> [T; 4] {
    [-z, -y, x, w]
}

/// The inverse of [`rotation_to_gltf`], sign included.
pub(super) fn rotation_from_gltf<T: std::ops::Neg<Output = T>>([w, x, y, z]: [T; 4]) -> [T; 4] {
    [z, y, -x, -w]
}

/// A similarity into the coordinates of splat files, as one into those of glTF.
pub(super) fn target_to_gltf(similarity: &Similarity) -> Similarity {
    turned(similarity, rotation_to_gltf)
}

/// The inverse of [`target_to_gltf`].
pub(super) fn target_from_gltf(similarity: &Similarity) -> Similarity {
    turned(similarity, rotation_from_gltf)
}

/// What a similarity between glTF coordinates does to splats in the coordinates of their files.
pub(super) fn conjugated(similarity: &Similarity) -> Similarity {
    turned(similarity, |[w, x, y, z]| [w, -x, -y, z])
}

fn turned(similarity: &Similarity, turn: impl Fn([f64; 4]) -> [f64; 4]) -> Similarity {
    let Isometry3 { translation, rotation } = similarity.isometry;
    let [w, x, y, z] = turn([rotation.w, rotation.i, rotation.j, rotation.k]);
    let offset = Vector3::new(-translation.x, -translation.y, translation.z);
    // Of length one as before: only places and signs have changed.
    let rotation = UnitQuaternion::new_unchecked(Quaternion::new(w, x, y, z));
    Similarity::from_parts(Translation3::from(offset), rotation, similarity.scaling())
}
