//! `tessera bench`: how fast this machine trains; with --view, how fast it draws and how scenes stream; `bench rbf`: what small fields reach;
//! `bench attention`: what sparse attention saves; `bench video`: how fast moving scenes are trained and drawn; `bench surface`: how fast surfaces learn.

mod arithmetic;
mod attention;
mod fitted;
mod rbf;
mod streaming;
mod surface;
mod training;
mod video;
mod view;

use crate::args::{Bench, BenchKind};
use crate::console::{Console, UsageError};
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
    let trains = args.capture.is_some() || args.steps.is_some() || !args.settings.is_empty();
    let refused = match args.kind {
        Some(BenchKind::Rbf) if trains || args.device.is_some() => {
            "--capture, --steps, --set and --device are for training splats, surfaces and video; leave them out"
        }
        Some(BenchKind::Attention) if trains => {
            "--capture, --steps and --set are for training splats, surfaces and video; leave them out"
        }
        Some(BenchKind::Rbf | BenchKind::Video | BenchKind::Surface) if args.precision.is_some() => {
            "--precision is for attention; leave it out"
        }
        _ => "",
    };
    if !refused.is_empty() {
        return Err(UsageError(refused.to_owned()).into());
    }
    match args.kind {
        Some(BenchKind::Rbf) => return rbf::run(args, console),
        Some(BenchKind::Attention) => return attention::run(args, console),
        Some(BenchKind::Video) => return video::run(args, console),
        Some(BenchKind::Surface) => return surface::run(args, console),
        None => {}
    }
    if args.view { view::run(args, console) } else { training::run(args, console) }
}
