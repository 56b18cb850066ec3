//! From the many ways to state a lens in a transforms file to a [`Camera`].

use super::schema::Intrinsics;
use crate::camera::{Camera, Distortion, Lens, LensModel};

/// The camera of one frame. A frame's `own` values come before `shared` ones; a size that the file does not
/// state is the photo's.
pub(super) fn camera(shared: &Intrinsics, own: &Intrinsics, photo: (u32, u32)) -> Result<Camera, String> {
    let value = |get: fn(&Intrinsics) -> Option<f64>| get(own).or(get(shared));
    let width = pixels("w", value(|i| i.w), photo.0)?;
    let height = pixels("h", value(|i| i.h), photo.1)?;
    let (w, h) = (f64::from(width), f64::from(height));
    let focal_x = focal(own.fl_x, own.camera_angle_x, w).or(focal(shared.fl_x, shared.camera_angle_x, w));
    let focal_y = focal(own.fl_y, own.camera_angle_y, h).or(focal(shared.fl_y, shared.camera_angle_y, h));
    let (Some(fx), Some(fy)) = (focal_x.or(focal_y), focal_y.or(focal_x)) else {
        return Err("neither fl_x nor camera_angle_x says what its focal length is".to_owned());
    };
    let centre = [value(|i| i.cx).unwrap_or(0.5 * w), value(|i| i.cy).unwrap_or(0.5 * h)];

    let k = [value(|i| i.k1), value(|i| i.k2), value(|i| i.k3), value(|i| i.k4), value(|i| i.k5), value(|i| i.k6)];
    let k = k.map(Option::unwrap_or_default);
    let p = [value(|i| i.p1), value(|i| i.p2)].map(Option::unwrap_or_default);
    let distortion = match model(shared, own)? {
        LensModel::SimplePinhole | LensModel::Pinhole => Distortion::None,
        LensModel::OpenCvFisheye | LensModel::SimpleRadialFisheye | LensModel::RadialFisheye => {
            Distortion::Fisheye { k: [k[0], k[1], k[2], k[3]] }
        }
        _ if k == [0.0; 6] && p == [0.0; 2] => Distortion::None,
        LensModel::SimpleRadial | LensModel::Radial | LensModel::OpenCv | LensModel::FullOpenCv => {
            Distortion::Polynomial { k, p }
        }
    };
    Ok(Camera { width, height, lens: Lens { focal: [fx, fy], centre, distortion } })
}

/// The lens model. Files that do not name one mean OPENCV, as instant-ngp reads them.
fn model(shared: &Intrinsics, own: &Intrinsics) -> Result<LensModel, String> {
    let name = own.camera_model.as_deref().or(shared.camera_model.as_deref());
    let fisheye = own.is_fisheye.or(shared.is_fisheye).unwrap_or(false);
    match name {
        None if fisheye => Ok(LensModel::OpenCvFisheye),
        None => Ok(LensModel::OpenCv),
        // nerfstudio's own name.
        Some(name) if name.eq_ignore_ascii_case("FISHEYE") => Ok(LensModel::OpenCvFisheye),
        Some(name) if name.eq_ignore_ascii_case("PERSPECTIVE") => Ok(LensModel::OpenCv),
        Some(name) => LensModel::from_name(name).map_err(|e| format!("it has an {e}")),
    }
}

fn pixels(key: &str, stated: Option<f64>, photo: u32) -> Result<u32, String> {
    match stated {
        None => Ok(photo),
        Some(value) if value >= 1.0 && value <= f64::from(u32::MAX) => Ok(value.round() as u32),
        Some(value) => Err(format!("its size {key} = {value} is not a number of pixels")),
    }
}

/// The focal length in pixels, stated or from the field of view over `extent` pixels.
fn focal(stated: Option<f64>, angle: Option<f64>, extent: f64) -> Option<f64> {
    stated.or(angle.map(|angle| 0.5 * extent / (0.5 * angle).tan()))
}
