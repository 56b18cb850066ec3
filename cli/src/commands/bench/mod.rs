//! `tessera bench`: how fast this machine trains; with --view, how fast it draws and how scenes stream; `bench rbf`: what small fields reach.

mod arithmetic;
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
    if let Some(BenchKind::Rbf) = args.kind {
        return rbf::run(args, console);
    }
    if args.view { view::run(args, console) } else { training::run(args, console) }
}
