//! The `tessera` program: arguments, progress and messages. What it does is done by the other crates.

mod allocator;
mod args;
mod commands;
mod console;
mod fields;
mod fitted;
mod inputs;
mod interrupt;
mod pictures;
mod progress;
mod published;
mod report;
mod sequences;
mod settings;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = args::parse();
    let console = console::Console::new(&arguments.common);
    match commands::run(arguments, &console) {
        Ok(code) => code,
        Err(error) => {
            if !console::is_told(&error) {
                console.error(&error);
            }
            ExitCode::from(console::exit_status(&error))
        }
    }
}
