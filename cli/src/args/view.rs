//! Arguments of `tessera view`.

use super::{parse_colour, parse_size};
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct View {
    /// Run folder, splat file, moving scene (.t4d), mesh, point cloud, fitted field (.rbf), or meshes of several moments: a folder of
    /// them or an animated .glb
    #[arg(value_name = "RUN|FILE")]
    pub scene: PathBuf,
    /// Draw one picture into this PNG file and open no window; needs no display
    #[arg(long, value_name = "OUT.png")]
    pub screenshot: Option<PathBuf>,
    /// Size of the window or the screenshot
    #[arg(long, value_name = "WxH", default_value = "1280x720", value_parser = parse_size)]
    pub size: [u32; 2],
    /// Where the camera stands and what it looks at, in the scene's coordinates
    #[arg(long, value_name = "X,Y,Z,TX,TY,TZ", allow_hyphen_values = true, value_parser = parse_camera)]
    pub camera: Option<[f64; 6]>,
    /// Start at a camera of a transforms.json
    #[arg(long, value_name = "FILE", conflicts_with = "camera")]
    pub cameras: Option<PathBuf>,
    /// Which camera of --cameras, from 0
    #[arg(long, value_name = "N", default_value_t = 0, requires = "cameras")]
    pub frame: usize,
    /// Moment of a moving scene that is shown first, in seconds after its first frame
    #[arg(long, value_name = "SECONDS")]
    pub time: Option<f64>,
    /// Meshes of several moments follow each other at this rate, in place of their own times
    #[arg(long, value_name = "N", value_parser = super::parse_rate)]
    pub fps: Option<f64>,
    /// Colour behind the scene, as R,G,B in [0, 1]; as in the run by default
    #[arg(long, value_parser = parse_colour, value_name = "R,G,B")]
    pub background: Option<[f32; 3]>,
    /// Ignore spherical harmonics above this degree
    #[arg(long, value_name = "DEGREE", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=3))]
    pub sh_degree: u8,
    /// Replace the screenshot if it is there
    #[arg(long, requires = "screenshot")]
    pub force: bool,
}

impl View {
    /// What is not said otherwise, for a window beside another command.
    pub fn of_window(scene: &Path) -> Self {
        Self {
            scene: scene.to_owned(),
            screenshot: None,
            size: [1280, 720],
            camera: None,
            cameras: None,
            frame: 0,
            time: None,
            fps: None,
            background: None,
            sh_degree: 3,
            force: false,
        }
    }
}

fn parse_camera(text: &str) -> Result<[f64; 6], String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    let camera = numbers.and_then(|numbers| <[f64; 6]>::try_from(numbers).ok());
    let camera = camera.filter(|camera| camera.iter().all(|number| number.is_finite()) && camera[..3] != camera[3..]);
    camera.ok_or_else(|| {
        "a camera is six numbers: where it stands and another place that it looks at, such as 0,0,-3,0,0,0".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_are_checked() {
        assert_eq!(parse_camera("0,0,-3, 0,0,0"), Ok([0.0, 0.0, -3.0, 0.0, 0.0, 0.0]));
        for wrong in ["", "0,0,1", "1,2,3,1,2,3", "NaN,0,0,1,1,1", "a,b,c,d,e,f"] {
            assert!(parse_camera(wrong).is_err(), "{wrong} was taken for a camera");
        }
    }
}
