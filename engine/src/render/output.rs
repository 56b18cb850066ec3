//! A path of cameras as a folder of PNG files or as a video.

use super::{Painter, PathCamera, VideoWriter, picture, to_image};
use crate::{Error, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tessera_datasets::image::{DepthImage, Image8, colour_map, save_png};
use tessera_kernels::camera_projection::View;
use tessera_kernels::splat::Rendering;

/// Pictures that may wait for being compressed and written.
const QUEUE: usize = 4;
/// Cameras of a path that are looked through for the range of depth colours.
const DEPTH_SAMPLES: usize = 5;
/// Pixels with less opacity than this have no depth worth showing.
const MIN_DEPTH_ALPHA: f32 = 0.3;

/// What is shown of a scene.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layer {
    /// What a camera sees.
    #[default]
    Colour,
    /// Median depth in colours, blue for near and red for far, alike in all pictures of a path.
    Depth,
    /// Opacity, white where nothing shines through.
    Alpha,
}

/// How a path is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathOptions {
    /// What is shown.
    pub layer: Layer,
    /// Pictures per second of a video.
    pub fps: u32,
    /// Replace what is there.
    pub force: bool,
}

/// Whether `out` names a video rather than a folder.
pub fn is_video(out: &Path) -> bool {
    out.extension().is_some_and(|e| e.eq_ignore_ascii_case("mp4"))
}

/// Draws a path and writes it: a video when `out` ends in `.mp4`, a folder of PNG files named after the cameras
/// otherwise. Returns the files; each appears whole or not at all. `progress` is told how many of how many are done.
///
/// # Errors
/// When the path is empty, `out` exists and `force` is not set, a picture or the video cannot be written, or `stop`
/// becomes true.
pub fn render_path(
    painter: &mut dyn Painter,
    path: &[PathCamera],
    out: &Path,
    options: &PathOptions,
    progress: &mut dyn FnMut(usize, usize),
    stop: &AtomicBool,
) -> Result<Vec<PathBuf>> {
    if path.is_empty() {
        return Err(Error::setting("there are no cameras to render from"));
    }
    let median_depth = options.layer == Layer::Depth;
    let views = path.iter().map(|c| painter.view(&c.camera, &c.camera_from_world)).collect::<Result<Vec<_>>>()?;
    let (files, sink) = prepare(path, out, options)?;
    let range = if median_depth { depth_range(painter, &views) } else { [0.0; 2] };
    let times: Vec<Option<f64>> = path.iter().map(|c| c.time).collect();
    let mut draw = |i: usize, view: &View| {
        times[i].into_iter().try_for_each(|time| painter.set_time(time))?;
        Ok(picture_of(painter.draw(view, median_depth), options.layer, range))
    };
    let (sender, receiver) = sync_channel(QUEUE);
    // Pictures are compressed and written while the next ones are drawn.
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_all(receiver, sink));
        let fed = feed(&sender, &views, &mut draw, progress, stop);
        drop(sender);
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        fed.and(written)
    })?;
    if written < views.len() {
        return Err(Error::Interrupted(format!("{written} of {} pictures were rendered", views.len())));
    }
    Ok(files)
}

/// Where pictures go.
enum Sink {
    Folder(Vec<PathBuf>),
    Video { writer: Box<VideoWriter>, pictures: usize },
}

fn prepare(path: &[PathCamera], out: &Path, options: &PathOptions) -> Result<(Vec<PathBuf>, Sink)> {
    let files = match is_video(out) {
        true => vec![out.to_owned()],
        false => file_names(path).into_iter().map(|name| out.join(name)).collect(),
    };
    if let Some(file) = files.iter().find(|f| !options.force && f.exists()) {
        return Err(Error::file(file, "exists already", "choose another name with -o, or replace it with --force"));
    }
    if !is_video(out) {
        std::fs::create_dir_all(out).map_err(|e| Error::write(out, &e))?;
        return Ok((files.clone(), Sink::Folder(files)));
    }
    let size = |c: &PathCamera| (c.camera.width, c.camera.height);
    if path.iter().any(|c| size(c) != size(&path[0])) {
        let message = "the cameras have pictures of different sizes, which a video cannot; name a folder for PNG files";
        return Err(Error::setting(message));
    }
    let writer = Box::new(VideoWriter::create(out, size(&path[0]), options.fps.max(1))?);
    Ok((files, Sink::Video { writer, pictures: path.len() }))
}

/// Draws until all is done, the writer has given up or the user wants no more.
///
/// # Errors
/// When something cannot be drawn.
fn feed(
    sender: &SyncSender<Image8>,
    views: &[View],
    draw: &mut dyn FnMut(usize, &View) -> Result<Image8>,
    progress: &mut dyn FnMut(usize, usize),
    stop: &AtomicBool,
) -> Result<()> {
    for (i, view) in views.iter().enumerate() {
        if stop.load(Ordering::Relaxed) || sender.send(draw(i, view)?).is_err() {
            break;
        }
        progress(i + 1, views.len());
    }
    Ok(())
}

/// Writes what arrives and says how many pictures that were. An incomplete video is dropped.
fn write_all(pictures: Receiver<Image8>, sink: Sink) -> Result<usize> {
    let mut written = 0;
    match sink {
        Sink::Folder(files) => {
            for (picture, file) in pictures.iter().zip(&files) {
                save_png(file, &picture)?;
                written += 1;
            }
        }
        Sink::Video { mut writer, pictures: expected } => {
            for picture in &pictures {
                writer.add(&picture)?;
                written += 1;
            }
            if written == expected {
                writer.finish()?;
            }
        }
    }
    Ok(written)
}

fn picture_of(rendering: &Rendering, layer: Layer, range: [f32; 2]) -> Image8 {
    let Rendering { width, height, .. } = *rendering;
    match layer {
        Layer::Colour => to_image(rendering),
        Layer::Alpha => picture::from_plane(rendering.transmittance.iter().map(|t| 1.0 - t), width, height),
        Layer::Depth => colour_map(&depth_of(rendering), Some(range)),
    }
}

/// Median depth; where the scene lets most light through, there is none.
fn depth_of(rendering: &Rendering) -> DepthImage {
    let pixels = rendering.median_depth.iter().zip(&rendering.transmittance);
    let data = pixels.map(|(&z, &t)| if 1.0 - t >= MIN_DEPTH_ALPHA { z } else { 0.0 }).collect();
    DepthImage { width: rendering.width as u32, height: rendering.height as u32, data }
}

/// The 2nd to the 98th percentile of depth in some pictures of a path.
fn depth_range(painter: &mut dyn Painter, views: &[View]) -> [f32; 2] {
    let mut depths = Vec::new();
    for view in views.iter().step_by(views.len().div_ceil(DEPTH_SAMPLES)) {
        depths.extend(depth_of(painter.draw(view, true)).data.into_iter().filter(|z| *z > 0.0));
    }
    depths.sort_unstable_by(f32::total_cmp);
    [2, 98].map(|percent| depths.get(depths.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0.0))
}

/// A file name for each camera, after its own where these are all different.
fn file_names(path: &[PathCamera]) -> Vec<String> {
    let own: Vec<String> = path.iter().map(|c| format!("{}.png", safe_name(&c.name))).collect();
    let different = own.iter().map(|n| n.to_lowercase()).collect::<HashSet<_>>().len() == own.len();
    if different { own } else { (0..path.len()).map(|i| format!("{}.png", super::camera_path::number(i))).collect() }
}

/// `left/0001.jpg` as `left_0001`: nothing that leads to another folder is left.
fn safe_name(name: &str) -> String {
    let stem = match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && ending.len() <= 5 && !ending.contains('/') => stem,
        _ => name,
    };
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = stem.chars().map(safe).collect();
    let name = name.trim_start_matches('.').to_owned();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_lead_nowhere_else() {
        let cases = [
            ("left/0001.jpg", "left_0001"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("C:\\x.png", "C__x"),
            ("frame_1.5", "frame_1"),
            ("", "unnamed"),
            ("...", "unnamed"),
        ];
        for (name, expected) in cases {
            assert_eq!(safe_name(name), expected, "{name}");
        }
    }
}
