//! `tessera synth`: made captures with ground truth.

use crate::args::Synth;
use crate::console::Console;
use crate::inputs::describe;
use crate::progress::Progress;
use crate::report::count;
use anyhow::Result;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use tessera_engine::datasets::capture::Capture;
use tessera_engine::datasets::format::stream::{self, SplatSource};
use tessera_engine::datasets::format::{self, Existing, WriteOptions};
use tessera_engine::datasets::synthetic::{self, Options, SceneKind};

/// Runs the command.
///
/// # Errors
/// When an option is out of range or the folder cannot be written.
pub fn run(args: &Synth, console: &Console) -> Result<()> {
    let options = Options {
        width: args.size[0],
        height: args.size[1],
        views: args.views,
        seed: args.seed,
        lens: args.lens.into(),
        extent: args.extent,
        frames: args.frames,
        points: args.points,
        point_noise: args.point_noise,
        samples_per_pixel: args.samples,
        rgba: args.rgba,
    };
    if let Some(count) = args.splats {
        return write_splats(args, &options, count, console);
    }
    write(args.name.into(), &options, &args.output, args.force, console)?;
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

fn write_splats(args: &Synth, options: &Options, splats: u64, console: &Console) -> Result<()> {
    let progress = Mutex::new(Progress::new(console, "gathering light"));
    let show = |done, total| progress.lock().unwrap_or_else(PoisonError::into_inner).count(done, total);
    let mut source = synthetic::splats(args.name.into(), options, splats, args.sh_degree, &show)?;
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
