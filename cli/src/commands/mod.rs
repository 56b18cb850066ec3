//! One file per command.

mod bench;
mod convert;
mod crew;
mod demo;
mod doctor;
mod eval;
mod export;
mod fit;
mod fuse;
mod generate;
mod helpers;
mod info;
mod join;
mod mesh;
mod plan;
mod reconstruct;
pub mod render;
mod serve;
mod synth;
pub mod view;

use crate::args::{Arguments, Command};
use crate::console::Console;
use crate::interrupt;
use anyhow::{Context, Result};
use std::process::ExitCode;

/// Does what the user asks for.
///
/// # Errors
/// When it cannot be done.
pub fn run(arguments: Arguments, console: &Console) -> Result<ExitCode> {
    if let Some(threads) = threads(&arguments) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads));
        pool.build_global().context("the threads cannot be started")?;
    }
    interrupt::install(*console)?;
    match arguments.command {
        Command::Demo(args) => demo::run(&args, console),
        Command::Reconstruct(args) => reconstruct::run(&args, console),
        Command::Plan(args) => plan::run(&args, console).map(|()| ExitCode::SUCCESS),
        Command::Eval(args) => eval::run(&args, console).map(|()| ExitCode::SUCCESS),
        Command::Render(args) => render::run(&args, console).map(|()| ExitCode::SUCCESS),
        Command::Serve(args) => serve::run(&args, console).map(|()| ExitCode::SUCCESS),
        Command::Export(args) => export::run(&args, console).map(|()| ExitCode::SUCCESS),
        Command::Mesh(args) => mesh::run(&args, console).map(|()| ExitCode::SUCCESS),
        Command::View(args) => view::run(&args, console).map(|()| ExitCode::SUCCESS),
        Command::Convert(args) => convert::run(&args, console).map(|()| ExitCode::SUCCESS),
        Command::Fit(args) => fit::run(&args, console).map(|()| ExitCode::SUCCESS),
        Command::Fuse(args) => fuse::run(&args, console).map(|()| ExitCode::SUCCESS),
        Command::Generate(args) => generate::run(&args, console),
        Command::Synth(args) => synth::run(&args, console).map(|()| ExitCode::SUCCESS),
        Command::Info(args) => info::run(&args, console).map(|()| ExitCode::SUCCESS),
        Command::Doctor(args) => doctor::run(&args, console).map(|()| ExitCode::SUCCESS),
        Command::Bench(args) => bench::run(&args, console).map(|()| ExitCode::SUCCESS),
    }
}

/// How many threads the user asks for, where that is said.
fn threads(arguments: &Arguments) -> Option<u16> {
    let workers = if let Command::Reconstruct(args) = &arguments.command { args.workers } else { 1 };
    helpers::threads_each(arguments.common.threads, workers)
}
