//! `tessera view`: a window with the scene, or a screenshot where there is no display.

mod content;
mod host;
pub mod live;
mod screenshot;

use crate::args::View as Arguments;
use crate::console::Console;
use anyhow::Result;
use tessera_viewer::window::{Options, run as open_window};

/// Runs the command.
///
/// # Errors
/// When the scene cannot be read, or there is nothing to draw with.
pub fn run(args: &Arguments, console: &Console) -> Result<()> {
    let content = content::open(&args.scene, args, console)?;
    match &args.screenshot {
        Some(file) => screenshot::write(content, file, args, console),
        None => {
            let options = Options { size: args.size, content: content.shown, updates: None, sh_degree: args.sh_degree };
            open_window(options, &mut host::Files { args, console })?;
            Ok(())
        }
    }
}
