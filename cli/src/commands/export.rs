//! `tessera export`: a scene as a page that needs no server of ours.

use crate::args::Export;
use crate::console::Console;
use crate::interrupt;
use crate::progress::Progress;
use crate::published::{Look, Orbit, Published, page_colour};
use crate::report::bytes;
use anyhow::{Context, Result};
use std::path::Path;
use tessera_engine::datasets::format::Existing;
use tessera_viewer::export::{Bundle, write_folder, write_single_file};

/// Runs the command.
///
/// # Errors
/// When the scene cannot be read, or the output is in the way or cannot be written.
pub fn run(args: &Export, console: &Console) -> Result<()> {
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let output = args.output.display();
    if existing == Existing::Keep && args.output.exists() {
        anyhow::bail!("{output}: exists already; choose another name with -o, or replace it with --force");
    }
    let look = Look { title: args.title.clone(), background: args.background };
    let (bundle, _files) = bundle(&args.scene, &look, args.pictures, console)?;
    if is_page(&args.output) {
        write_single_file(&bundle, &args.output, existing)?;
        console.note("opens by a double click");
    } else {
        write_folder(&bundle, &args.output, existing)?;
        console.note("put the folder on any web server, or look at it with tessera serve");
    }
    console.result(format_args!("{output} ({})", bytes(size(&args.output)?)))
}

/// A scene and pictures of it, ready to be written, and what keeps its files.
///
/// # Errors
/// When the scene cannot be read or drawn.
pub fn bundle(scene: &Path, look: &Look, pictures: u32, console: &Console) -> Result<(Bundle, Published)> {
    let mut published = Published::prepare(scene, look, console)?;
    let orbit = draw(&mut published.orbit(pictures, console)?, console)?;
    let (title, background) = (published.title.clone(), page_colour(published.background));
    Ok((Bundle { title, scene: published.scene.clone(), background, orbit, view: published.view }, published))
}

/// Whether a path names one file and not a folder.
fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("html") || e.eq_ignore_ascii_case("htm"))
}

fn draw(orbit: &mut Orbit, console: &Console) -> Result<Vec<Vec<u8>>> {
    let mut pictures = Vec::new();
    let total = orbit.len();
    let mut progress = Progress::new(console, "pictures");
    interrupt::stoppable(|stop| {
        orbit.draw(stop, |i, jpeg| {
            pictures.push(jpeg);
            progress.count(i + 1, total);
            Ok(())
        })
    })?;
    Ok(pictures)
}

fn size(path: &Path) -> Result<u64> {
    let vanished = || format!("{}: has vanished", path.display());
    if !path.is_dir() {
        return Ok(path.metadata().with_context(vanished)?.len());
    }
    let files = path.read_dir().with_context(vanished)?;
    Ok(files.flatten().filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum())
}
