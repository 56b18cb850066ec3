//! The keys of a transforms file that mean something here; others are ignored.

use crate::capture::Split;
use crate::capture::not_a_number::Number;
use serde::Deserialize;

/// The whole file.
#[derive(Deserialize)]
pub(super) struct Transforms {
    #[serde(flatten)]
    pub(super) shared: Intrinsics,
    pub(super) frames: Vec<FrameEntry>,
    pub(super) ply_file_path: Option<String>,
    #[serde(default)]
    pub(super) train_filenames: Vec<String>,
    #[serde(default)]
    pub(super) val_filenames: Vec<String>,
    #[serde(default)]
    pub(super) test_filenames: Vec<String>,
}

/// An element of `frames`.
#[derive(Deserialize)]
pub(super) struct FrameEntry {
    pub(super) file_path: String,
    /// Rows of camera-to-world.
    pub(super) transform_matrix: Vec<Vec<f64>>,
    pub(super) mask_path: Option<String>,
    pub(super) depth_file_path: Option<String>,
    pub(super) normal_file_path: Option<String>,
    pub(super) time: Option<Number>,
    #[serde(alias = "camera_index")]
    pub(super) camera: Option<RigCamera>,
    pub(super) split: Option<SplitName>,
    #[serde(flatten)]
    pub(super) own: Intrinsics,
}

/// What may stand at the top for all frames, or in a frame for itself.
#[derive(Default, Deserialize)]
pub(super) struct Intrinsics {
    pub(super) camera_model: Option<String>,
    /// instant-ngp's way to say OPENCV_FISHEYE.
    pub(super) is_fisheye: Option<bool>,
    /// Image size in pixels; some programs write it as a float.
    pub(super) w: Option<f64>,
    pub(super) h: Option<f64>,
    pub(super) fl_x: Option<f64>,
    pub(super) fl_y: Option<f64>,
    /// Fields of view in radians.
    pub(super) camera_angle_x: Option<f64>,
    pub(super) camera_angle_y: Option<f64>,
    pub(super) cx: Option<f64>,
    pub(super) cy: Option<f64>,
    pub(super) k1: Option<f64>,
    pub(super) k2: Option<f64>,
    pub(super) k3: Option<f64>,
    pub(super) k4: Option<f64>,
    pub(super) k5: Option<f64>,
    pub(super) k6: Option<f64>,
    pub(super) p1: Option<f64>,
    pub(super) p2: Option<f64>,
    pub(super) depth_unit_scale_factor: Option<f64>,
}

/// A camera of a rig.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RigCamera {
    Number(u32),
    Name(String),
}

/// A part by the names that programs use.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SplitName {
    Train,
    #[serde(alias = "validation")]
    Val,
    #[serde(alias = "eval")]
    Test,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Self {
        match name {
            SplitName::Train => Self::Train,
            SplitName::Val => Self::Validation,
            SplitName::Test => Self::Test,
        }
    }
}
