//! What a user does, from files to files: the program itself is run.

mod bad_input;
mod blocks;
mod convert;
mod fits;
mod full_disk;
mod fusing;
mod generate;
mod interruption;
mod journey;
mod moving;
mod published;
mod rigs;
mod scenes;
mod sequences;
mod shared_data;
mod surfaces;
mod usage;
mod view;
mod web;
mod window;

use std::path::Path;
use tessera_tests::Program;

/// The program under test.
fn tessera() -> Program {
    Program::new(env!("CARGO_BIN_EXE_tessera"))
}

/// A path as an argument.
fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are Unicode")
}

/// The arguments of a small, fast training.
fn small_training<'a>(capture: &'a Path, run: &'a Path, steps: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["reconstruct", text(capture), "-o", text(run), "--steps", steps];
    arguments.extend(["--max-splats", "800", "--test-every", "4", "--set", "preview_every=0", "--quiet"]);
    arguments
}
