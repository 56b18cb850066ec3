//! `tessera export`: a scene as a page that needs no server of ours.

use crate::args::Export;
use crate::console::Console;
use crate::published::Published;
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
    if existing == Existing::Keep && args.output.exists() {
        anyhow::bail!(
            "{}: exists already; choose another name with -o, or replace it with --force",
            args.output.display()
        );
    }
    let mut published = Published::prepare(&args.scene, args.title.as_deref(), console)?;
    let orbit = published.orbit(args.pictures, console)?;
    let bundle = Bundle { title: published.title.clone(), tiles: published.tiles.clone(), orbit };
    let is_file =
        args.output.extension().is_some_and(|e| e.eq_ignore_ascii_case("html") || e.eq_ignore_ascii_case("htm"));
    if is_file {
        write_single_file(&bundle, &args.output, existing)?;
        console.note("opens by a double click");
    } else {
        write_folder(&bundle, &args.output, existing)?;
        console.note("put the folder on any web server that answers byte ranges (nearly all do), or look at it with tessera serve");
    }
    console.result(format_args!("{} ({})", args.output.display(), bytes(size(&args.output)?)))
}

fn size(path: &Path) -> Result<u64> {
    let vanished = || format!("{}: has vanished", path.display());
    if !path.is_dir() {
        return Ok(path.metadata().with_context(vanished)?.len());
    }
    let files = path.read_dir().with_context(vanished)?;
    Ok(files.flatten().filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum())
}
