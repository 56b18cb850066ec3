//! Poses from where one stands and what one looks at.

use nalgebra::{Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use tessera_datasets::camera::Pose;

/// `camera_from_world` of a camera at `eye` with `target` in its middle and `up` upwards in the picture. Looking straight
/// up or down, or at where it stands, it turns to one side that fits.
pub fn looking_at(eye: [f64; 3], target: [f64; 3], up: [f64; 3]) -> Pose {
    let (eye, target, up) = (Vector3::from(eye), Vector3::from(target), Vector3::from(up));
    let up = up.try_normalize(1e-12).unwrap_or_else(|| -Vector3::y());
    let z = (target - eye).try_normalize(1e-12).unwrap_or_else(Vector3::z);
    let aside = |z: Vector3<f64>| z.cross(&up).try_normalize(1e-6);
    let x = aside(z).or_else(|| aside(z + 0.1 * Vector3::z())).or_else(|| aside(z + 0.1 * Vector3::x()));
    let x = x.map(|x| x - z * z.dot(&x)).and_then(|x| x.try_normalize(1e-9)).unwrap_or_else(|| any_perpendicular(z));
    let rotation = Rotation3::from_matrix_unchecked(Matrix3::from_columns(&[x, z.cross(&x), z]));
    Pose::from_parts(Translation3::from(eye), UnitQuaternion::from_rotation_matrix(&rotation)).inverse()
}

fn any_perpendicular(z: Vector3<f64>) -> Vector3<f64> {
    let axis = if z.x.abs() < 0.8 { Vector3::x() } else { Vector3::y() };
    z.cross(&axis).normalize()
}
