//! What the window leaves to the program: files.

use super::content;
use crate::args::View as Arguments;
use crate::console::Console;
use serde_json::json;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tessera_engine::datasets::camera::{Camera, Pose};
use tessera_engine::datasets::format::{self, Existing, write_atomically};
use tessera_engine::datasets::image::{Image8, save_png};
use tessera_engine::datasets::scene::SplatCloud;
use tessera_engine::render::VideoWriter;
use tessera_viewer::window::{Content, Host, Video};

/// Reads and writes for the window. Nothing that exists is replaced.
pub struct Files<'a> {
    /// How the first scene was opened.
    pub args: &'a Arguments,
    /// For remarks.
    pub console: &'a Console,
}

impl Host for Files<'_> {
    fn open(&mut self, path: &Path) -> Result<Content, String> {
        let opened = content::open(path, self.args, self.console).map_err(|error| format!("{error:#}"))?;
        Ok(opened.shown)
    }

    fn save(&mut self, cloud: &SplatCloud, path: &Path) -> Result<(), String> {
        format::write_splats(path, cloud, false).map_err(|error| error.to_string())
    }

    fn save_picture(&mut self, picture: &Image8, path: &Path) -> Result<(), String> {
        new_file(path)?;
        save_png(path, picture).map_err(|error| error.to_string())
    }

    fn save_cameras(&mut self, cameras: &[(Camera, Pose)], path: &Path) -> Result<(), String> {
        let frames: Vec<_> = cameras.iter().enumerate().map(|(i, camera)| frame(i, camera)).collect();
        let text = serde_json::to_vec_pretty(&json!({ "frames": frames })).map_err(|error| error.to_string())?;
        write_atomically(path, Existing::Keep, |file| file.write_all(&text)).map_err(|error| error.to_string())
    }

    fn begin_video(&mut self, size: [u32; 2], fps: u32, path: &Path) -> Result<Box<dyn Video>, String> {
        new_file(path)?;
        match path.extension() {
            None => Ok(Box::new(Pictures::create(path)?)),
            Some(extension) if extension.eq_ignore_ascii_case("mp4") => {
                let writer = VideoWriter::create(path, (size[0], size[1]), fps).map_err(|error| error.to_string())?;
                Ok(Box::new(Film { writer, path: path.to_owned() }))
            }
            Some(_) => Err(format!(
                "{}: name a video .mp4, a folder of pictures without an extension, a file of cameras .json",
                path.display()
            )),
        }
    }
}

/// A video through ffmpeg.
struct Film {
    writer: VideoWriter,
    path: PathBuf,
}

impl Video for Film {
    fn add(&mut self, picture: &Image8) -> Result<(), String> {
        self.writer.add(picture).map_err(|error| error.to_string())
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        // Another program may have taken the name meanwhile.
        new_file(&self.path)?;
        self.writer.finish().map_err(|error| error.to_string())
    }
}

/// A folder of numbered pictures, which has another name until it is complete.
struct Pictures {
    unfinished: TempDir,
    path: PathBuf,
    count: usize,
}

impl Pictures {
    fn create(path: &Path) -> Result<Self, String> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".tessera-");
        // Temporary folders are private to the user; finished ones are ordinary.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let unfinished =
            builder.tempdir_in(parent).map_err(|error| format!("{}: cannot be made ({error})", path.display()))?;
        Ok(Self { unfinished, path: path.to_owned(), count: 0 })
    }
}

impl Video for Pictures {
    fn add(&mut self, picture: &Image8) -> Result<(), String> {
        let file = self.unfinished.path().join(format!("{:05}.png", self.count));
        self.count += 1;
        save_png(file, picture).map_err(|error| error.to_string())
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        new_file(&self.path)?;
        let failed = |error: std::io::Error| format!("{}: cannot be made ({error})", self.path.display());
        std::fs::rename(self.unfinished.path(), &self.path).map_err(failed)
    }
}

fn new_file(path: &Path) -> Result<(), String> {
    match path.exists() {
        true => Err(format!("{}: is there already; choose another name", path.display())),
        false => Ok(()),
    }
}

/// A camera as transforms.json has it: axes of OpenGL, x right, y up, z backwards.
fn frame(index: usize, (camera, camera_from_world): &(Camera, Pose)) -> serde_json::Value {
    let mut matrix = camera_from_world.inverse().to_homogeneous();
    for row in 0..3 {
        matrix[(row, 1)] = -matrix[(row, 1)];
        matrix[(row, 2)] = -matrix[(row, 2)];
    }
    let rows: Vec<Vec<f64>> = (0..4).map(|i| (0..4).map(|j| matrix[(i, j)]).collect()).collect();
    json!({
        "file_path": format!("{index:05}.png"),
        "w": camera.width, "h": camera.height,
        "fl_x": camera.lens.focal[0], "fl_y": camera.lens.focal[1],
        "cx": camera.lens.centre[0], "cy": camera.lens.centre[1],
        "transform_matrix": rows,
    })
}
