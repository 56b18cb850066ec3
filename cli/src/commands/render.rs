//! `tessera render`: pictures and videos of a scene.

use crate::args::Render;
use crate::commands::eval;
use crate::console::{Console, UsageError};
use crate::fields::LearnedField;
use crate::fitted;
use crate::inputs::{Run, Scene, open_capture};
use crate::interrupt;
use crate::progress::Progress;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use tessera_engine::datasets::capture::{Capture, StatedCamera, read_cameras};
use tessera_engine::datasets::format::Existing;
use tessera_engine::datasets::scene::Timeline;
use tessera_engine::evaluate::split_indices;
use tessera_engine::rbf::file::{Content, RbfFile};
use tessera_engine::rbf::image::write_picture;
use tessera_engine::rbf::shape::{Shape, ShapePainter};
use tessera_engine::render::{
    DetailedPainter, Painter, PathCamera, PathOptions, PhotoDetails, SplatPainter, of_frames, orbit, orbit_of_capture,
    orbit_of_points, render_path, scene_of_cloud,
};
use tessera_engine::target::DEFAULT_BACKGROUND;

/// Runs the command.
///
/// # Errors
/// When scene or cameras cannot be read, or the output is in the way or cannot be written.
pub fn run(args: &Render, console: &Console) -> Result<()> {
    let field = LearnedField::open(&args.scene)?;
    let mut fitted = match &field {
        None if RbfFile::is_named(&args.scene) => Some(RbfFile::open(&args.scene)?),
        _ => None,
    };
    if let Some(file) = fitted.take_if(|file| matches!(file.index.content, Content::Image { .. })) {
        return write_fitted(args, file, console);
    }
    if args.cameras.is_none() && args.capture.is_none() && args.orbit.is_none() {
        return Err(UsageError("say from where: --cameras, --capture or --orbit".to_owned()).into());
    }
    let files = match (field, fitted) {
        (Some(mut field), _) => of_field(args, &mut field, console)?,
        (None, Some(mut file)) => of_shape(args, &Shape::read(&mut file)?, console)?,
        (None, None) => of_splats(args, &Scene::open(&args.scene)?, console)?,
    };
    match files.as_slice() {
        [only] => console.result(only.display()),
        files => {
            console.note(format_args!("{} pictures", files.len()));
            console.result(args.output.display())
        }
    }
}

/// A fitted picture at its own size.
fn write_fitted(args: &Render, mut file: RbfFile, console: &Console) -> Result<()> {
    if args.cameras.is_some() || args.capture.is_some() || args.orbit.is_some() {
        return Err(UsageError("a fitted picture has no cameras; leave them out".to_owned()).into());
    }
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let mut progress = Progress::new(console, "drawing");
    let out = (args.output.as_path(), existing);
    write_picture(&mut file, out, args.sixteen_bits, &mut |done, total| progress.count(done, total))
        .with_context(|| format!("{}: cannot be drawn", args.scene.display()))?;
    drop(progress);
    console.result(args.output.display())
}

fn of_splats(args: &Render, scene: &Scene, console: &Console) -> Result<Vec<PathBuf>> {
    let orbit = |count| orbit_cameras(scene, count, args.size, console);
    let path = cameras(args, scene.run.as_ref(), &orbit, console)?;
    refuse_times(args)?;
    let background = args.background.unwrap_or_else(|| scene.background());
    let mut painter = SplatPainter::new(&scene.cloud, &scene_of_cloud(&scene.cloud), background);
    write(&mut painter, &path, args, console)
}

/// A fitted shape, which stands upright as meshes do.
fn of_shape(args: &Render, shape: &Shape, console: &Console) -> Result<Vec<PathBuf>> {
    let outline = fitted::outline(shape).with_context(|| format!("{}: cannot be drawn", args.scene.display()))?;
    let orbit = |count| orbit_of_points(&outline.positions, fitted::UP, count as usize, args.size);
    let path = cameras(args, None, &orbit, console)?;
    refuse_times(args)?;
    let mut painter = ShapePainter::new(shape, args.background.unwrap_or(DEFAULT_BACKGROUND));
    write(&mut painter, &path, args, console)
}

fn of_field(args: &Render, field: &mut LearnedField, console: &Console) -> Result<Vec<PathBuf>> {
    let capture = || field.run.as_ref().and_then(|run| capture_of(run, "the orbit is a guess", console));
    let orbit = |count| field.orbit(capture().as_ref(), count, args.size);
    let mut path = cameras(args, field.run.as_ref(), &orbit, console)?;
    match field.timeline() {
        Some(timeline) => path = at_times(path, &timeline, args),
        None => refuse_times(args)?,
    }
    let background = args.background.unwrap_or_else(|| field.background());
    let details = details(field, background, console)?;
    let mut painter = field.painter(background)?;
    write(&mut DetailedPainter::new(painter.as_mut(), details), &path, args, console)
}

/// The photos whose details pictures of a surface show, while they can be read.
fn details(field: &LearnedField, background: [f32; 3], console: &Console) -> Result<Option<PhotoDetails>> {
    let (Some(surface), Some(run)) = (field.surface(), &field.run) else { return Ok(None) };
    if !surface.has_details() {
        return Ok(None);
    }
    let capture = capture_of(run, "pictures have no details of its photos", console);
    Ok(capture.map(|capture| surface.details(&surface.prepared(&capture), background)).transpose()?.flatten())
}

/// The cameras of a moving scene, each with its time: the one that is asked for, those of all frames, its own, or the scene's from
/// beginning to end.
fn at_times(path: Vec<PathCamera>, timeline: &Timeline, args: &Render) -> Vec<PathCamera> {
    if path.is_empty() {
        return path;
    }
    if args.frames {
        let frames = timeline.frames as usize;
        let of_frame = |i: usize| PathCamera {
            name: format!("{i:06}"),
            time: Some(timeline.start + timeline.seconds_of(i as u32)),
            ..path[i * path.len() / frames].clone()
        };
        return (0..frames).map(of_frame).collect();
    }
    let count = path.len();
    let spread = |i: usize| timeline.start + timeline.duration() * i as f64 / count as f64;
    let timed =
        |(i, camera): (usize, PathCamera)| PathCamera { time: args.time.or(camera.time).or(Some(spread(i))), ..camera };
    path.into_iter().enumerate().map(timed).collect()
}

fn refuse_times(args: &Render) -> Result<()> {
    if args.time.is_some() || args.frames {
        return Err(UsageError(
            "--time and --frames are for moving scenes (--method video); leave them out".to_owned(),
        )
        .into());
    }
    Ok(())
}

fn cameras(
    args: &Render,
    run: Option<&Run>,
    orbit: &dyn Fn(u32) -> Vec<PathCamera>,
    console: &Console,
) -> Result<Vec<PathCamera>> {
    if let Some(file) = &args.cameras {
        return stated_cameras(file);
    }
    if let Some(path) = &args.capture {
        let capture = open_capture(path, args.photos.skipping.or_of(run.map(|run| &run.config)), console)?;
        // The background of what is compared does not matter here.
        let options = eval::options_of(run.map(|run| &run.settings), &args.photos, DEFAULT_BACKGROUND);
        let indices = split_indices(&capture, options.split, options.test_every);
        return Ok(of_frames(&capture, &indices, options.max_side));
    }
    Ok(orbit(args.orbit.unwrap_or(1)))
}

/// The cameras of a transforms file, whose photos need not exist.
pub fn stated_cameras(file: &Path) -> Result<Vec<PathCamera>> {
    let path_camera = |stated: StatedCamera| {
        let camera = stated.camera;
        if camera.width == 0 || camera.height == 0 {
            let name = file.display();
            bail!("{name}: the frame {} has no size in pixels; add \"w\" and \"h\" to the file", stated.name);
        }
        Ok(PathCamera { name: stated.name, camera, camera_from_world: stated.camera_from_world, time: None })
    };
    read_cameras(file)?.into_iter().map(path_camera).collect()
}

/// A circle as the photos of the run's capture suggest it, or by the splats alone when they are out of reach.
pub fn orbit_cameras(scene: &Scene, count: u32, size: [u32; 2], console: &Console) -> Vec<PathCamera> {
    match scene.run.as_ref().and_then(|run| capture_of(run, "the orbit is a guess", console)) {
        Some(capture) => orbit_of_capture(&scene.cloud, &capture, count as usize, size),
        None => orbit(&scene.cloud, count as usize, size),
    }
}

/// The capture of a run, or a warning that says what follows from its absence.
fn capture_of(run: &Run, without: &str, console: &Console) -> Option<Capture> {
    let opened = run.open_capture();
    if let Err(error) = &opened {
        console.warn(format_args!("the run's capture cannot be read, so {without} ({error})"));
    }
    opened.ok()
}

fn write(painter: &mut dyn Painter, path: &[PathCamera], args: &Render, console: &Console) -> Result<Vec<PathBuf>> {
    let options = PathOptions { layer: args.layer.into(), fps: args.fps, force: args.force };
    let mut progress = Progress::new(console, "rendering");
    let mut count = |done, total| progress.count(done, total);
    Ok(interrupt::stoppable(|stop| render_path(painter, path, &args.output, &options, &mut count, stop))?)
}
