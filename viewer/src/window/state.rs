//! What the panels show and change.

use super::notices::Notices;
use super::pace::Pace;
use crate::camera::{CameraPath, Preset};
use crate::renderer::Style;
use std::path::PathBuf;

/// What the left button does to the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tool {
    /// It moves the camera.
    #[default]
    Look,
    /// It selects what is seen in a rectangle.
    BoxSelect,
    /// It selects what is painted over.
    BrushSelect,
    /// It sets the ends of a distance.
    Measure,
}

/// Something that a panel or key asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Shows another scene.
    Open(PathBuf),
    /// Writes what is left of the splats.
    Save(PathBuf),
    /// Writes the picture that is shown, without panels.
    SavePicture(PathBuf),
    /// Writes the camera path.
    SavePath(PathBuf),
    /// Shows all of the scene.
    FrameAll,
    /// Goes back to where it started.
    Home,
    /// Looks along an axis.
    Look(Preset),
    /// Selects fainter splats than this opacity.
    SelectFaint(f32),
    /// Selects splats larger than this share of the scene's size.
    SelectLarge(f32),
    /// Selects splats in the air that belong to no surface, with a strength from 0 to 1.
    SelectFloaters(f32),
    /// Selects what is outside of the crop box.
    SelectCropped,
    /// Selects nothing.
    SelectNone,
    /// Selects what is not selected.
    Invert,
    /// Deletes what is selected.
    Delete,
    /// Takes a step back.
    Undo,
    /// Does it again.
    Redo,
    /// Shows a photo over the scene, from its camera.
    Compare(usize),
    /// Shows the photo whose camera is most like the view.
    CompareNearest,
    /// Shows the photo that so many come after the one that is compared.
    ComparePast(isize),
    /// Shows no photo.
    EndCompare,
    /// Adds where the camera is to the path.
    AddKeyframe,
    /// Takes a keyframe away.
    RemoveKeyframe(usize),
    /// Goes along the path, or stops.
    Play,
    /// Lets a moving scene's time pass, or stops it.
    PlayTime,
    /// Goes so many frames on in a moving scene.
    StepFrames(i64),
    /// Gives up the film that is being made.
    StopFilming,
}

/// A photo over the scene.
pub struct Comparison {
    /// Which photo.
    pub index: usize,
    /// How much of it is seen.
    pub opacity: f32,
    /// Its pixels, once they are decoded.
    pub texture: Option<egui::TextureHandle>,
}

/// The crop box in the panel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// Whether it is in force.
    pub on: bool,
    /// Lowest and highest corner.
    pub corners: [[f64; 3]; 2],
}

/// Times of the last frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameTimes {
    /// Smoothed milliseconds between frames while something moves.
    pub milliseconds: f64,
}

/// All of it.
pub struct State {
    /// How the scene is drawn.
    pub style: Style,
    /// Share of the window's resolution at which it is drawn, while it stands still and while it moves.
    pub resolution: f32,
    /// Reduce the resolution while the camera moves and frames are slow.
    pub adaptive: bool,
    /// How coarse it is then.
    pub pace: Pace,
    /// The left button.
    pub tool: Tool,
    /// Radius of the brush, points.
    pub brush: f32,
    /// Limits of the criteria for floaters.
    pub faint: f32,
    /// See [`Command::SelectLarge`].
    pub large: f32,
    /// See [`Command::SelectFloaters`].
    pub floaters: f32,
    /// The crop box.
    pub crop: Crop,
    /// Ends of distances, in pairs.
    pub measured: Vec<[f64; 3]>,
    /// Keyframes.
    pub path: CameraPath,
    /// Seconds from the last keyframe to a new one.
    pub keyframe_seconds: f64,
    /// Time on the path while it is played.
    pub playing: Option<f64>,
    /// Pictures per second of a saved path.
    pub fps: u32,
    /// A photo over the scene.
    pub comparison: Option<Comparison>,
    /// Names of files, as typed.
    pub open_name: String,
    /// For the splats.
    pub save_name: String,
    /// For the picture.
    pub picture_name: String,
    /// For the path.
    pub path_name: String,
    /// Whether the keys are explained.
    pub help: bool,
    /// Whether the panel is shown.
    pub panel: bool,
    /// What was done or went wrong.
    pub notices: Notices,
    /// Pictures of a film that are done, and how many there will be.
    pub filming: Option<(usize, usize)>,
    /// What the training says.
    pub training: Option<String>,
    /// For the statistics.
    pub times: FrameTimes,
}

impl State {
    /// As the window opens.
    pub fn new(style: Style) -> Self {
        Self {
            style,
            resolution: 1.0,
            adaptive: true,
            pace: Pace::default(),
            tool: Tool::default(),
            brush: 30.0,
            faint: 0.05,
            large: 0.05,
            floaters: 0.5,
            crop: Crop { on: false, corners: [[-1.0; 3], [1.0; 3]] },
            measured: Vec::new(),
            path: CameraPath::default(),
            keyframe_seconds: 2.0,
            playing: None,
            fps: 30,
            comparison: None,
            open_name: String::new(),
            save_name: "edited.ply".to_owned(),
            picture_name: "view.png".to_owned(),
            path_name: "path.mp4".to_owned(),
            help: false,
            panel: true,
            notices: Notices::default(),
            filming: None,
            training: None,
            times: FrameTimes::default(),
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("style", &self.style).field("tool", &self.tool).finish_non_exhaustive()
    }
}
