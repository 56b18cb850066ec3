//! Processes that help to train the blocks of a run that another process leads.
//!
//! They find work by the run folder alone: a block that nobody has locked and that is not complete. So any number of them may
//! come and go, on any machine that shares the folder.

use crate::args::Reconstruct;
use crate::commands::reconstruct::chosen;
use crate::console::{Console, INTERRUPTED};
use crate::inputs::{Run, complete_points, open_capture};
use crate::interrupt;
use crate::progress::TrainingProgress;
use crate::report::count;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tessera_engine::blocks::{BlocksJob, BlocksRun};
use tessera_engine::train::{Event, RunFolder, RunOptions};

/// How long a process of several waits for the one that leads to begin.
const WAIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// Trains blocks of the run in the folder `output` until all are complete. `waits` for the run to begin, where all processes were
/// started at once.
///
/// # Errors
/// When there is no such run, it is of another version or of another plan, or training fails.
pub fn run(args: &Reconstruct, output: &Path, waits: bool, console: &Console) -> Result<ExitCode> {
    if args.until_input_ends {
        std::thread::spawn(|| {
            let _end = std::io::stdin().read_to_end(&mut Vec::new());
            interrupt::stop();
        });
    }
    // Whoever has started this process leads, and writes the run's settings soon.
    let Some(run) = find(output, waits || args.until_input_ends)? else { return Ok(ExitCode::from(INTERRUPTED)) };
    let ours = env!("CARGO_PKG_VERSION");
    if run.config.tessera_version != ours {
        let theirs = &run.config.tessera_version;
        bail!(
            "{}: is trained by tessera {theirs}, and this is {ours}; use the same version everywhere",
            output.display()
        );
    }
    let Settings::Blocks(config) = &run.settings else {
        bail!(
            "{}: is trained with --method {}; only --method blocks can be joined",
            output.display(),
            run.config.method
        )
    };
    let path = run.capture();
    let skipping = args.skipping.or_of(Some(&run.config));
    let mut capture = open_capture(&path, skipping, console)?;
    complete_points(&mut capture, &run.settings, console)?;
    let device = chosen(args.device, console)?;
    let [checkpoint_every, eval_every, preview_every] = run.settings.intervals();
    let options = RunOptions {
        capture: path,
        skip_bad: skipping.skip_bad,
        checkpoint_every,
        eval_every,
        preview_every,
        ..RunOptions::default()
    };
    let job = BlocksJob { capture: &capture, config, device: device.as_ref(), options: &options };
    let blocks = BlocksRun::join(job, output)?;
    let mut progress = TrainingProgress::new(console);
    let mut show = |event: Event| progress.show(&event);
    match interrupt::stoppable(|stop| blocks.help(output, &mut show, stop))? {
        None => {
            console.note("all blocks are trained; the process that leads joins them");
            Ok(ExitCode::SUCCESS)
        }
        Some(step) => {
            console.note(format_args!("stopped after step {}, all of it checkpointed", count(step)));
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// The run in the folder; none if this process is asked to stop before there is one.
fn find(output: &Path, waits: bool) -> Result<Option<Run>> {
    let begin = Instant::now();
    while waits && !RunFolder::is_at(output) && begin.elapsed() < WAIT {
        if interrupt::is_asked_to_stop() {
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
    let run = Run::find(output)?;
    run.map(Some)
        .with_context(|| format!("{}: holds no run that could be joined; start one without --join", output.display()))
}
