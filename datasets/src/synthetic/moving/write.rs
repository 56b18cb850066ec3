//! Writes a moving capture: photos as nerfstudio has them, or videos as EasyVolcap has them.

use super::render::Still;
use super::{MOVING_FRAME_RATE, MovingOptions};
use crate::camera::{Camera, Pose};
use crate::capture::Split;
use crate::image::encode_jpeg;
use crate::program::{Failure, feed};
use crate::synthetic::write::{MARK, add_lens, fill_place, opengl_matrix, write_points};
use crate::{DataError, Result};
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

const JPEG_QUALITY: u8 = 95;
/// libx264's constant rate factor: differences that nobody sees.
const CRF: &str = "12";

/// Makes a moving capture and writes it to `out_dir`:
///
/// - `images/camNN/FFFFFF.jpg` with `transforms.json`: lens, poses (camera-to-world, OpenGL axes), time in seconds, camera, and
///   train or test; `points.ply`: sparse points on what rests;
/// - or, with `video`, `videos/camNN.mp4` with `intri.yml` and `extri.yml` as EasyVolcap writes them;
/// - `README.txt`.
///
/// Everything goes to a temporary folder first. `progress(done, total)` counts pictures and is called from several threads.
///
/// # Errors
/// When an option is out of range, when `out_dir` exists (and `force` is not given, or what is there is not a synthetic
/// capture), when ffmpeg is needed and not installed, or when writing fails.
pub fn write_moving(
    options: &MovingOptions,
    out_dir: impl AsRef<Path>,
    force: bool,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<()> {
    options.check()?;
    let out_dir = out_dir.as_ref();
    let filled = fill_place(out_dir, force, &|folder| {
        fs::create_dir(folder)?;
        let camera = options.camera();
        let stands = options.stands();
        let (done, total) = (AtomicUsize::new(0), stands.len() * options.frames as usize);
        let count = || progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
        let looked: Vec<Vec<_>> = stands
            .par_iter()
            .enumerate()
            .map(|(index, (pose, _))| {
                let still = Still::new(&camera, pose);
                film(options, folder, index, &still, &count)?;
                Ok(scattered(&still, index, options.points.div_ceil(stands.len())))
            })
            .collect::<io::Result<_>>()?;
        if options.video {
            fs::write(folder.join("intri.yml"), intrinsics(&camera, stands.len()))?;
            fs::write(folder.join("extri.yml"), extrinsics(&stands))?;
        } else {
            let points: Vec<_> = looked.into_iter().flatten().take(options.points).collect();
            write_points(&folder.join("points.ply"), &points)?;
            let mut json = serde_json::to_vec(&transforms(options, &camera, &stands))?;
            json.push(b'\n');
            fs::write(folder.join("transforms.json"), json)?;
        }
        fs::write(folder.join("README.txt"), readme(options))
    })?;
    filled.map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref::<NoFfmpeg>()) {
        Some(_) => DataError::new(out_dir, "needs ffmpeg to write videos, and the program 'ffmpeg' is not installed")
            .remedy("install it, or leave --video out"),
        None => DataError::unwritable(out_dir, &error),
    })
}

/// Tells a missing program from a full disk.
#[derive(Debug, thiserror::Error)]
#[error("ffmpeg is not installed")]
struct NoFfmpeg;

fn name(camera: usize) -> String {
    format!("cam{camera:02}")
}

fn seconds(frame: u32) -> f64 {
    f64::from(frame) / f64::from(MOVING_FRAME_RATE)
}

fn film(options: &MovingOptions, folder: &Path, camera: usize, still: &Still, count: &dyn Fn()) -> io::Result<()> {
    let picture = |frame: u32| still.picture(options.seed, seconds(frame) as f32);
    if !options.video {
        let folder = folder.join("images").join(name(camera));
        fs::create_dir_all(&folder)?;
        for frame in 0..options.frames {
            fs::write(folder.join(format!("{frame:06}.jpg")), encode_jpeg(&picture(frame), JPEG_QUALITY)?)?;
            count();
        }
        return Ok(());
    }
    let videos = folder.join("videos");
    fs::create_dir_all(&videos)?;
    let [width, height] = options.size;
    let (size, rate) = (format!("{width}x{height}"), MOVING_FRAME_RATE.to_string());
    let video = videos.join(format!("{}.mp4", name(camera)));
    let mut arguments: Vec<String> =
        ["-nostdin", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"].map(String::from).into();
    arguments.extend(["-s", &size, "-r", &rate, "-i", "-", "-an", "-threads", "1"].map(String::from));
    // Said in the file, so that every program takes the same colours out again.
    arguments.extend(["-vf", "scale=out_color_matrix=bt709:out_range=tv"].map(String::from));
    arguments.extend(["-colorspace", "bt709", "-color_range", "tv", "-c:v", "libx264", "-pix_fmt"].map(String::from));
    arguments.extend(["yuv420p", "-crf", CRF, "-g", "30", "-f", "mp4"].map(String::from));
    arguments.push(video.to_string_lossy().into_owned());
    let fed = feed("ffmpeg".as_ref(), &arguments, &mut |pipe| {
        (0..options.frames).try_for_each(|frame| {
            pipe.write_all(&picture(frame).data)?;
            count();
            Ok(())
        })
    });
    fed.map_err(|failure| match failure {
        Failure::NotInstalled => io::Error::other(NoFfmpeg),
        Failure::Io(error) => error,
        failed => io::Error::other(format!("ffmpeg {}", failed.reason())),
    })
}

/// Some of the points that a camera sees, spread over its picture.
fn scattered(still: &Still, camera: usize, wanted: usize) -> Vec<([f32; 3], [u8; 3])> {
    let all: Vec<_> = still.points().collect();
    // The golden ratio spreads any number of places evenly; each camera starts elsewhere.
    let place = |i: usize| ((0.618_033_988_75 * i as f64 + 0.137 * camera as f64).fract() * all.len() as f64) as usize;
    (0..wanted.min(all.len())).map(|i| all[place(i).min(all.len() - 1)]).collect()
}

fn transforms(options: &MovingOptions, camera: &Camera, stands: &[(Pose, Split)]) -> Value {
    let mut root = Map::new();
    add_lens(&mut root, &camera.lens);
    root.insert("w".into(), camera.width.into());
    root.insert("h".into(), camera.height.into());
    root.insert("fps".into(), MOVING_FRAME_RATE.into());
    root.insert("ply_file_path".into(), "points.ply".into());
    let entry = |(index, (pose, split)): (usize, &(Pose, Split)), frame: u32| {
        json!({
            "file_path": format!("images/{}/{frame:06}.jpg", name(index)), "time": seconds(frame), "camera": index,
            "split": if *split == Split::Test { "test" } else { "train" }, "transform_matrix": opengl_matrix(pose),
        })
    };
    let frames = stands.iter().enumerate().flat_map(|stand| (0..options.frames).map(move |frame| entry(stand, frame)));
    root.insert("frames".into(), frames.collect());
    Value::Object(root)
}

/// The beginning of an OpenCV file, with all names.
fn file_storage(cameras: usize) -> String {
    let names: String = (0..cameras).fold(String::new(), |mut names, camera| {
        let _ = writeln!(names, "  - \"{}\"", name(camera));
        names
    });
    format!("%YAML:1.0\n---\nnames:\n{names}")
}

fn add_matrix(text: &mut String, name: &str, rows: usize, data: &[f64]) {
    let numbers: Vec<String> = data.iter().map(|value| format!("{value:?}")).collect();
    let (columns, numbers) = (data.len() / rows, numbers.join(", "));
    let _ =
        writeln!(text, "{name}: !!opencv-matrix\n  rows: {rows}\n  cols: {columns}\n  dt: d\n  data: [ {numbers} ]");
}

fn intrinsics(camera: &Camera, cameras: usize) -> String {
    let mut text = file_storage(cameras);
    let ([fx, fy], [cx, cy]) = (camera.lens.focal, camera.lens.centre);
    for index in 0..cameras {
        let name = name(index);
        add_matrix(&mut text, &format!("K_{name}"), 3, &[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]);
        add_matrix(&mut text, &format!("dist_{name}"), 5, &[0.0; 5]);
        let _ = writeln!(text, "H_{name}: {:?}\nW_{name}: {:?}", f64::from(camera.height), f64::from(camera.width));
    }
    text
}

fn extrinsics(stands: &[(Pose, Split)]) -> String {
    let mut text = file_storage(stands.len());
    for (index, (pose, _)) in stands.iter().enumerate() {
        let rotation = pose.rotation.to_rotation_matrix().into_inner();
        let name = name(index);
        add_matrix(&mut text, &format!("R_{name}"), 3, pose.rotation.scaled_axis().as_slice());
        add_matrix(&mut text, &format!("Rot_{name}"), 3, rotation.transpose().as_slice());
        add_matrix(&mut text, &format!("T_{name}"), 3, pose.translation.vector.as_slice());
    }
    text
}

fn readme(options: &MovingOptions) -> String {
    let held_out: Vec<String> =
        (0..options.cameras).filter(|&camera| options.is_held_out(camera)).map(|c| name(c as usize)).collect();
    let files = if options.video {
        "videos/          one H.264 video for each camera\nintri.yml        lenses, as EasyVolcap has them; pixel corners at (0, 0)\n\
         extri.yml        poses, world to camera with OpenCV's axes"
    } else {
        "images/          one folder of JPEG photos for each camera\n\
         transforms.json  lens and poses, camera-to-world with OpenGL axes; time in seconds, camera, train or test\n\
         points.ply       sparse coloured points on what rests"
    };
    format!(
        "{MARK}: moving, {} cameras, {} frames each, {MOVING_FRAME_RATE} per second, seed {}.\n\n\
         The world is in metres with z up. The ground, two boxes and two balls rest; a ball bounces (2 s), a box spins (4 s), a\n\
         ball rolls in a circle (8 s), all repeating; a box is pushed to another place every 10 s; every 3 s something new flies\n\
         over the stage. Cameras to hold out: {}.\n\n{files}\n",
        options.cameras,
        options.frames,
        options.seed,
        held_out.join(", "),
    )
}
