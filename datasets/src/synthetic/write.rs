//! Writes a synthetic capture as a folder in the layout of nerfstudio, with its ground truth beside it.

use super::{FRAME_RATE, Options, RenderedView, SceneKind, SyntheticCapture, generate};
use crate::camera::{Distortion, Lens, LensModel, Pose};
use crate::capture::{Frame, Split};
use crate::format::{Existing, write_mesh};
use crate::{DataError, Result};
use image::{ExtendedColorType, ImageEncoder, codecs::png};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The first words of the README, by which a folder that may be replaced is known.
pub(super) const MARK: &str = "A synthetic capture made by Tessera";

/// Makes a capture and writes it to `out_dir`:
///
/// - `transforms.json`: lens, poses (camera-to-world, OpenGL axes), paths, and time, camera and split when it moves;
/// - `images/*.png`; `depth/*.png`, 16 bits, along the camera's z axis in units of `depth_unit_scale_factor` metres,
///   0 where there is nothing; `normals/*.png`, world-space, `round(127.5 * (n + 1))`, black where there is nothing;
/// - `points.ply`: sparse coloured points; `mesh.ply` (moving: `meshes/NNNN.ply`): the true surface;
/// - `README.txt`.
///
/// Everything goes to a temporary folder first, so nothing is left half-written. `progress(done, total)` counts
/// pictures.
///
/// # Errors
/// When an option is out of range, when `out_dir` exists (and `force` is not given, or what is there is not a
/// synthetic capture), or when writing fails.
pub fn write(
    kind: SceneKind,
    options: &Options,
    out_dir: impl AsRef<Path>,
    force: bool,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<()> {
    let out_dir = out_dir.as_ref();
    check_place(out_dir, force)?;
    let capture = generate(kind, options, &|_, _| {})?;
    let filled = fill_place(out_dir, force, &|folder| write_files(&capture, folder, progress))?;
    filled.map_err(|e| DataError::unwritable(out_dir, &e))
}

/// Lets `fill` make a folder, which takes its name when it is complete. What is there makes room when it is empty, or a
/// synthetic capture and `force` is given. The inner error is that of writing.
///
/// # Errors
/// When something else is there.
pub(super) fn fill_place(
    out_dir: &Path,
    force: bool,
    fill: &dyn Fn(&Path) -> io::Result<()>,
) -> Result<io::Result<()>> {
    let replaces = check_place(out_dir, force)?;
    let filled = || {
        let absolute = std::path::absolute(out_dir)?;
        let parent = absolute.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent)?;
        let temporary = tempfile::Builder::new().prefix(".synth-").tempdir_in(parent)?;
        // Built one level down, so that the folder has the permissions of any other and not of a temporary one.
        let folder = temporary.path().join("capture");
        fill(&folder)?;
        if replaces {
            fs::rename(out_dir, temporary.path().join("replaced"))?;
        }
        fs::rename(&folder, out_dir)
    };
    Ok(filled())
}

/// Whether something has to make room.
fn check_place(out_dir: &Path, force: bool) -> Result<bool> {
    if fs::symlink_metadata(out_dir).is_err() {
        return Ok(false);
    }
    let is_empty = fs::read_dir(out_dir).is_ok_and(|mut entries| entries.next().is_none());
    if is_empty {
        return Ok(true);
    }
    if !force {
        return Err(
            DataError::new(out_dir, "exists already").remedy("choose another folder, or replace it with --force")
        );
    }
    let is_ours = fs::read_to_string(out_dir.join("README.txt")).is_ok_and(|text| text.starts_with(MARK));
    if !is_ours {
        return Err(DataError::new(out_dir, "exists and is no synthetic capture, so it is not replaced")
            .remedy("choose another folder"));
    }
    Ok(true)
}

fn write_files(capture: &SyntheticCapture, folder: &Path, progress: &(dyn Fn(usize, usize) + Sync)) -> io::Result<()> {
    fs::create_dir(folder)?;
    let count = capture.frames.len();
    let steps = capture.time_steps();
    let per_step = count / steps as usize;
    progress(0, count);
    for step in 0..steps {
        for index in step as usize * per_step..(step as usize + 1) * per_step {
            write_view(folder, &capture.frames[index], &capture.render_view(index))?;
            progress(index + 1, count);
        }
        let name = if steps == 1 { "mesh.ply".to_owned() } else { format!("meshes/{step:04}.ply") };
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        write_mesh(path, &capture.surface(step), Existing::Keep).map_err(io::Error::other)?;
    }
    let points: Vec<_> = capture.points.iter().map(|p| (p.position.map(|x| x as f32), p.colour)).collect();
    write_points(&folder.join("points.ply"), &points)?;
    let mut json = serde_json::to_vec_pretty(&transforms(capture))?;
    json.push(b'\n');
    fs::write(folder.join("transforms.json"), json)?;
    fs::write(folder.join("README.txt"), readme(capture))
}

fn create(path: &Path) -> io::Result<BufWriter<File>> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(BufWriter::new(File::create(path)?))
}

fn write_view(folder: &Path, frame: &Frame, view: &RenderedView) -> io::Result<()> {
    let colour = if view.channels == 4 { ExtendedColorType::Rgba8 } else { ExtendedColorType::Rgb8 };
    write_png(&folder.join(&frame.image), &view.pixels, view, colour)?;
    if let Some(depth) = &frame.depth {
        let stored = |z: &f32| (f64::from(*z) / depth.scale).round().clamp(0.0, 65_535.0) as u16;
        let bytes: Vec<u8> = view.depth.iter().flat_map(|z| stored(z).to_ne_bytes()).collect();
        write_png(&folder.join(&depth.path), &bytes, view, ExtendedColorType::L16)?;
    }
    let Some(path) = &frame.normals else { return Ok(()) };
    let encode = |n: &[f32; 3]| if *n == [0.0; 3] { [0; 3] } else { n.map(|x| (127.5 * (x + 1.0)).round() as u8) };
    let normals: Vec<u8> = view.normals.iter().flat_map(encode).collect();
    write_png(&folder.join(path), &normals, view, ExtendedColorType::Rgb8)
}

fn write_png(path: &Path, bytes: &[u8], view: &RenderedView, colour: ExtendedColorType) -> io::Result<()> {
    let mut file = create(path)?;
    let encoder =
        png::PngEncoder::new_with_quality(&mut file, png::CompressionType::Default, png::FilterType::Adaptive);
    encoder.write_image(bytes, view.width, view.height, colour).map_err(io::Error::other)?;
    file.flush()
}

/// A point cloud of positions and sRGB colours.
pub(super) fn write_points(path: &Path, points: &[([f32; 3], [u8; 3])]) -> io::Result<()> {
    let mut file = create(path)?;
    writeln!(file, "ply\nformat binary_little_endian 1.0\nelement vertex {}", points.len())?;
    writeln!(file, "property float x\nproperty float y\nproperty float z")?;
    writeln!(file, "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header")?;
    for (position, colour) in points {
        for x in position {
            file.write_all(&x.to_le_bytes())?;
        }
        file.write_all(colour)?;
    }
    file.flush()
}

fn transforms(capture: &SyntheticCapture) -> Value {
    let mut root = Map::new();
    if let Some(frame) = capture.frames.first() {
        add_lens(&mut root, &frame.camera.lens);
        root.insert("w".into(), frame.camera.width.into());
        root.insert("h".into(), frame.camera.height.into());
        if let Some(depth) = &frame.depth {
            root.insert("depth_unit_scale_factor".into(), depth.scale.into());
        }
    }
    root.insert("ply_file_path".into(), "points.ply".into());
    root.insert("frames".into(), capture.frames.iter().map(frame_entry).collect());
    Value::Object(root)
}

pub(super) fn add_lens(root: &mut Map<String, Value>, lens: &Lens) {
    root.insert("camera_model".into(), LensModel::describe(lens).0.name().into());
    let mut add = |name: &str, value: f64| root.insert(name.into(), value.into());
    add("fl_x", lens.focal[0]);
    add("fl_y", lens.focal[1]);
    add("cx", lens.centre[0]);
    add("cy", lens.centre[1]);
    let coefficients = match &lens.distortion {
        Distortion::None => &[][..],
        Distortion::Polynomial { k, p } => {
            add("p1", p[0]);
            add("p2", p[1]);
            k
        }
        Distortion::Fisheye { k } => k,
    };
    // OPENCV has k1 and k2; the ones above are written when they count, as FULL_OPENCV has them.
    let used = coefficients.iter().rposition(|&k| k != 0.0).map_or(0, |last| last + 1);
    for (i, &k) in coefficients[..used].iter().enumerate() {
        add(&format!("k{}", i + 1), k);
    }
}

pub(super) fn frame_entry(frame: &Frame) -> Value {
    let mut entry = Map::new();
    entry.insert("file_path".into(), frame.image.clone().into());
    if let Some(depth) = &frame.depth {
        entry.insert("depth_file_path".into(), depth.path.clone().into());
    }
    if let Some(path) = &frame.normals {
        entry.insert("normal_file_path".into(), path.clone().into());
    }
    entry.insert("transform_matrix".into(), json!(opengl_matrix(&frame.camera_from_world)));
    if let Some(time) = frame.time {
        entry.insert("time".into(), time.into());
    }
    if let Some(camera) = frame.rig_camera {
        entry.insert("camera".into(), camera.into());
    }
    if let Some(split) = frame.split {
        let name = match split {
            Split::Train => "train",
            Split::Validation => "val",
            Split::Test => "test",
        };
        entry.insert("split".into(), name.into());
    }
    Value::Object(entry)
}

/// Camera-to-world with x right, y up, z backwards, row by row.
pub(super) fn opengl_matrix(camera_from_world: &Pose) -> [[f64; 4]; 4] {
    let matrix = camera_from_world.inverse().to_homogeneous();
    [0, 1, 2, 3].map(|row| {
        [0, 1, 2, 3]
            .map(|column| if column == 1 || column == 2 { -matrix[(row, column)] } else { matrix[(row, column)] })
    })
}

fn readme(capture: &SyntheticCapture) -> String {
    let SyntheticCapture { kind, options, frames, .. } = capture;
    let moving = if capture.time_steps() > 1 {
        format!(
            "Moving: {} time steps, {FRAME_RATE} per second; `time` is in seconds, `camera` numbers the camera, camera 0\n\
             is held out (`split`). meshes/NNNN.ply share triangles and vertex order, so vertices can be followed.\n",
            capture.time_steps()
        )
    } else {
        String::new()
    };
    let unit = frames.first().and_then(|f| f.depth.as_ref()).map_or(0.0, |d| d.scale);
    format!(
        "{MARK}: {kind}, {} pictures, seed {}, lens {}.\n\n\
         Everything is exact: it was rendered from the mesh that is written, by the cameras that are written.\n\
         The world is in metres with z up.\n\n\
         transforms.json  lens and poses, camera-to-world with OpenGL axes (x right, y up, z backwards)\n\
         images/          sRGB{}\n\
         depth/           16 bits, along the camera's z axis at pixel centres, in units of {unit} m; 0 = nothing there\n\
         normals/         world-space smooth normals at pixel centres, stored as 127.5 (n + 1); black = nothing there\n\
         points.ply       sparse coloured surface points{}\n\
         {}  the true surface\n{moving}",
        frames.len(),
        options.seed,
        options.lens,
        if options.rgba { " with straight alpha" } else { "" },
        if options.point_noise > 0.0 { format!(", with noise of {} m", options.point_noise) } else { String::new() },
        if capture.time_steps() > 1 { "meshes/        " } else { "mesh.ply       " },
    )
}
