//! COLMAP's camera model names, numbers and parameter orders.

use crate::{Distortion, Lens};

/// A lens family as COLMAP names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LensModel {
    /// f, cx, cy
    SimplePinhole,
    /// fx, fy, cx, cy
    Pinhole,
    /// f, cx, cy, k
    SimpleRadial,
    /// f, cx, cy, k1, k2
    Radial,
    /// fx, fy, cx, cy, k1, k2, p1, p2
    OpenCv,
    /// fx, fy, cx, cy, k1, k2, k3, k4
    OpenCvFisheye,
    /// fx, fy, cx, cy, k1, k2, p1, p2, k3, k4, k5, k6
    FullOpenCv,
    /// f, cx, cy, k
    SimpleRadialFisheye,
    /// f, cx, cy, k1, k2
    RadialFisheye,
}

/// A camera model that this program cannot render.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "unknown camera model {0}; known are SIMPLE_PINHOLE, PINHOLE, SIMPLE_RADIAL, RADIAL, OPENCV, FULL_OPENCV, OPENCV_FISHEYE, SIMPLE_RADIAL_FISHEYE and RADIAL_FISHEYE (COLMAP's image_undistorter converts others to PINHOLE)"
)]
pub struct UnknownLensModel(pub String);

impl LensModel {
    const ALL: [(Self, u32, &'static str, usize); 9] = [
        (Self::SimplePinhole, 0, "SIMPLE_PINHOLE", 3),
        (Self::Pinhole, 1, "PINHOLE", 4),
        (Self::SimpleRadial, 2, "SIMPLE_RADIAL", 4),
        (Self::Radial, 3, "RADIAL", 5),
        (Self::OpenCv, 4, "OPENCV", 8),
        (Self::OpenCvFisheye, 5, "OPENCV_FISHEYE", 8),
        (Self::FullOpenCv, 6, "FULL_OPENCV", 12),
        (Self::SimpleRadialFisheye, 8, "SIMPLE_RADIAL_FISHEYE", 4),
        (Self::RadialFisheye, 9, "RADIAL_FISHEYE", 5),
    ];

    /// The model with COLMAP's number `id`.
    ///
    /// # Errors
    /// When the number belongs to no model that we know.
    pub fn from_id(id: u32) -> Result<Self, UnknownLensModel> {
        let found = Self::ALL.iter().find(|m| m.1 == id);
        found.map(|m| m.0).ok_or_else(|| UnknownLensModel(format!("number {id}")))
    }

    /// The model with COLMAP's name, such as `OPENCV`.
    ///
    /// # Errors
    /// When the name belongs to no model that we know.
    pub fn from_name(name: &str) -> Result<Self, UnknownLensModel> {
        let found = Self::ALL.iter().find(|m| m.2.eq_ignore_ascii_case(name));
        found.map(|m| m.0).ok_or_else(|| UnknownLensModel(format!("'{name}'")))
    }

    /// COLMAP's name.
    pub fn name(self) -> &'static str {
        self.entry().2
    }

    /// COLMAP's number.
    pub fn id(self) -> u32 {
        self.entry().1
    }

    /// How many parameters the model has.
    pub fn parameter_count(self) -> usize {
        self.entry().3
    }

    fn entry(self) -> &'static (Self, u32, &'static str, usize) {
        Self::ALL.iter().find(|m| m.0 == self).unwrap_or(&Self::ALL[1])
    }

    /// The lens with these parameters in COLMAP's order; `None` when their number is wrong.
    pub fn lens(self, p: &[f64]) -> Option<Lens> {
        if p.len() != self.parameter_count() {
            return None;
        }
        let polynomial = |k: &[f64], t: [f64; 2]| {
            let mut all = [0.0; 6];
            all[..k.len()].copy_from_slice(k);
            Distortion::Polynomial { k: all, p: t }
        };
        let fisheye = |k: &[f64]| {
            let mut all = [0.0; 4];
            all[..k.len()].copy_from_slice(k);
            Distortion::Fisheye { k: all }
        };
        let distortion = match self {
            Self::SimplePinhole | Self::Pinhole => Distortion::None,
            Self::SimpleRadial => polynomial(&p[3..4], [0.0; 2]),
            Self::Radial => polynomial(&p[3..5], [0.0; 2]),
            Self::OpenCv => polynomial(&p[4..6], [p[6], p[7]]),
            Self::FullOpenCv => polynomial(&[p[4], p[5], p[8], p[9], p[10], p[11]], [p[6], p[7]]),
            Self::OpenCvFisheye => fisheye(&p[4..8]),
            Self::SimpleRadialFisheye => fisheye(&p[3..4]),
            Self::RadialFisheye => fisheye(&p[3..5]),
        };
        let one_focal = matches!(
            self,
            Self::SimplePinhole | Self::SimpleRadial | Self::Radial | Self::SimpleRadialFisheye | Self::RadialFisheye
        );
        let (focal, centre) = if one_focal { ([p[0], p[0]], [p[1], p[2]]) } else { ([p[0], p[1]], [p[2], p[3]]) };
        // A lens whose coefficients are all zero is a pinhole, and cheaper to evaluate as one.
        let distortion = match distortion {
            Distortion::Polynomial { k, p } if k == [0.0; 6] && p == [0.0; 2] => Distortion::None,
            other => other,
        };
        Some(Lens { focal, centre, distortion })
    }

    /// The simplest two-focal model that holds `lens`, with its parameters in COLMAP's order.
    pub fn describe(lens: &Lens) -> (Self, Vec<f64>) {
        let mut params = vec![lens.focal[0], lens.focal[1], lens.centre[0], lens.centre[1]];
        let model = match lens.distortion {
            Distortion::None => Self::Pinhole,
            Distortion::Polynomial { k, p } => {
                params.extend([k[0], k[1], p[0], p[1]]);
                if k[2..] == [0.0; 4] {
                    Self::OpenCv
                } else {
                    params.extend(&k[2..]);
                    Self::FullOpenCv
                }
            }
            Distortion::Fisheye { k } => {
                params.extend(k);
                Self::OpenCvFisheye
            }
        };
        (model, params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_survives_being_described() {
        for (model, _, name, count) in LensModel::ALL {
            let mut params: Vec<f64> = (0..count).map(|i| 0.01 * (i as f64 + 1.0)).collect();
            params[0] = 500.0;
            let lens = model.lens(&params).expect("the right number of parameters");
            let (described, values) = LensModel::describe(&lens);
            assert_eq!(described.lens(&values), Some(lens), "{name} changed when it was described and read again");
            assert_eq!(LensModel::from_name(name), Ok(model));
        }
    }

    #[test]
    fn an_unknown_name_is_repeated_in_the_message() {
        let message = LensModel::from_name("FOV").expect_err("not supported").to_string();
        assert!(message.contains("'FOV'"), "{message}");
    }
}
