//! `tessera bench`: how fast this machine trains; with --view, how fast it draws and how scenes stream; `bench rbf`: what small fields reach;
//! `bench attention`: what sparse attention saves.

mod arithmetic;
mod attention;
mod fitted;
mod rbf;
mod streaming;
mod training;
mod view;

use crate::args::{Bench, BenchKind};
use crate::console::Console;
use anyhow::Result;
use tessera_engine::rbf::file::RbfFile;

/// Runs the command.
///
/// # Errors
/// When the capture cannot be read, the device cannot be used, or training fails.
pub fn run(args: &Bench, console: &Console) -> Result<()> {
    if let Some(path) = args.scene.as_ref().filter(|path| RbfFile::is_named(path)) {
        return fitted::run(path, args, console);
    }
    match args.kind {
        Some(BenchKind::Rbf) => return rbf::run(args, console),
        Some(BenchKind::Attention) => return attention::run(args, console),
        None => {}
    }
    if args.view { view::run(args, console) } else { training::run(args, console) }
}
