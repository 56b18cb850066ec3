//! `tessera synth`: made captures with ground truth.

use crate::args::{LensName, SceneName, Synth};
use crate::console::{Console, UsageError};
use crate::inputs::describe;
use crate::progress::Progress;
use crate::report::count;
use anyhow::Result;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tessera_engine::datasets::capture::Capture;
use tessera_engine::datasets::format::stream::{self, SplatSource};
use tessera_engine::datasets::format::{self, Existing, WriteOptions};
use tessera_engine::datasets::scene::Mesh;
use tessera_engine::datasets::synthetic::{self, MovingOptions, NormalMapOptions, Options, SceneKind};

/// Runs the command.
///
/// # Errors
/// When an option is out of range or the folder cannot be written.
pub fn run(args: &Synth, console: &Console) -> Result<()> {
    if args.name == SceneName::Normals {
        return write_normals(args, console);
    }
    if args.ring {
        return Err(UsageError("only `normals` takes --ring; leave it out".to_owned()).into());
    }
    if args.mesh.is_some() && args.name != SceneName::Object {
        return Err(UsageError("only `object` and `normals` take a mesh; leave it out".to_owned()).into());
    }
    let Some(kind) = args.name.kind() else { return write_moving(args, console) };
    if args.video {
        return Err(UsageError("only the moving scene is written as videos; leave --video out".to_owned()).into());
    }
    let defaults = Options::default();
    let [width, height] = args.size.unwrap_or([defaults.width, defaults.height]);
    let options = Options {
        width,
        height,
        views: args.views,
        seed: args.seed,
        lens: args.lens.into(),
        extent: args.extent,
        frames: args.frames.unwrap_or(defaults.frames),
        points: args.points,
        point_noise: args.point_noise,
        samples_per_pixel: args.samples,
        rgba: args.rgba,
        mesh: match args.name {
            SceneName::Object => Some(Arc::new(read_mesh(args, "photographed: tessera synth object", console)?.1)),
            _ => None,
        },
    };
    if let Some(count) = args.splats {
        return write_splats(args, kind, &options, count, console);
    }
    write(kind, &options, &args.output, args.force, console)?;
    console.note(describe(&Capture::open(&args.output)?));
    console.result(args.output.display())
}

/// Makes a capture with its progress shown.
///
/// # Errors
/// As [`synthetic::write`].
pub fn write(kind: SceneKind, options: &Options, folder: &Path, force: bool, console: &Console) -> Result<()> {
    let progress = Mutex::new(Progress::new(console, "rendering photos"));
    let show = |done, total| progress.lock().unwrap_or_else(PoisonError::into_inner).count(done, total);
    Ok(synthetic::write(kind, options, folder, force, &show)?)
}

/// Refuses options that only ray-traced scenes know, and some more.
fn refuse(args: &Synth, subject: &str, more: &[(bool, &str)]) -> Result<()> {
    let traced = Options::default();
    let of_scenes = [
        (args.splats.is_some(), "--splats"),
        (args.rgba, "--rgba"),
        (args.lens != LensName::Pinhole, "--lens"),
        (args.point_noise != traced.point_noise, "--point-noise"),
        (args.extent != traced.extent, "--extent"),
    ];
    match of_scenes.iter().chain(more).find(|(is_asked_for, _)| *is_asked_for) {
        Some((_, name)) => Err(UsageError(format!("{subject} no {name}; leave it out")).into()),
        None => Ok(()),
    }
}

fn write_normals(args: &Synth, console: &Console) -> Result<()> {
    let default_points = Options::default().points;
    let more = [
        (args.video, "--video"),
        (args.frames.is_some(), "--frames"),
        (args.points != default_points, "--points"),
        (args.seed != 0, "--seed"),
    ];
    refuse(args, "normal maps know", &more)?;
    let defaults = NormalMapOptions::default();
    let options = NormalMapOptions {
        size: args.size.unwrap_or(defaults.size),
        views: args.views.unwrap_or(defaults.views),
        ring: args.ring,
        samples_per_pixel: args.samples,
    };
    if options.views < 2 {
        return Err(UsageError("one view says nothing about the far side; make at least 2 (--views)".to_owned()).into());
    }
    let (source, mesh) = read_mesh(args, "drawn: tessera synth normals", console)?;
    let progress = Mutex::new(Progress::new(console, "drawing normals"));
    let show = |done, total| progress.lock().unwrap_or_else(PoisonError::into_inner).count(done, total);
    synthetic::write_normal_maps((&mesh, source), &options, &args.output, args.force, &show)?;
    drop(progress);
    console.note(describe(&Capture::open(&args.output)?));
    console.result(args.output.display())
}

/// The mesh that the command names.
fn read_mesh<'a>(args: &'a Synth, what: &str, console: &Console) -> Result<(&'a Path, Mesh)> {
    let Some(source) = &args.mesh else {
        return Err(UsageError(format!("name the mesh that is {what} MESH -o DIR")).into());
    };
    let read = format::read_mesh(source)?;
    read.warnings.iter().for_each(|warning| console.warn(format_args!("{}: {warning}", source.display())));
    Ok((source, read.mesh))
}

fn write_moving(args: &Synth, console: &Console) -> Result<()> {
    refuse(args, "the moving scene knows", &[(args.samples != Options::default().samples_per_pixel, "--samples")])?;
    let defaults = MovingOptions::default();
    let options = MovingOptions {
        size: args.size.unwrap_or(defaults.size),
        cameras: args.views.unwrap_or(defaults.cameras),
        frames: args.frames.unwrap_or(defaults.frames),
        seed: args.seed,
        points: args.points,
        video: args.video,
    };
    film(&options, &args.output, args.force, console)?;
    console.note(describe(&Capture::open(&args.output)?));
    console.result(args.output.display())
}

/// Writes the made stage, and shows how far it is.
///
/// # Errors
/// When an option is out of range or the folder cannot be written.
pub(super) fn film(options: &MovingOptions, folder: &Path, replace: bool, console: &Console) -> Result<()> {
    let progress = Mutex::new(Progress::new(console, "filming"));
    let show = |done, total| progress.lock().unwrap_or_else(PoisonError::into_inner).count(done, total);
    Ok(synthetic::write_moving(options, folder, replace, &show)?)
}

fn write_splats(args: &Synth, kind: SceneKind, options: &Options, splats: u64, console: &Console) -> Result<()> {
    let progress = Mutex::new(Progress::new(console, "gathering light"));
    let show = |done, total| progress.lock().unwrap_or_else(PoisonError::into_inner).count(done, total);
    let mut source = synthetic::splats(kind, options, splats, args.sh_degree, &show)?;
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let mut sink = format::create_splats(&args.output, source.header(), &WriteOptions::default(), existing)?;
    let mut chunk = source.header().empty_cloud(stream::CHUNK_SPLATS);
    while source.next_chunk(&mut chunk)? {
        sink.put(&chunk)?;
    }
    sink.finish()?;
    console.note(format_args!("{} splats", count(u128::from(splats))));
    console.result(args.output.display())
}
