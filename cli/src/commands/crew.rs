//! Several processes that train the anchors of one scene together: rank 0, which the user sees, and those that follow it.

use crate::args::Reconstruct;
use crate::commands::helpers::{Helpers, Rank};
use crate::commands::reconstruct::{Job, chosen};
use crate::console::{Console, INTERRUPTED, UsageError};
use crate::inputs::{complete_points, open_capture};
use crate::interrupt;
use crate::settings::{self, Settings};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::ExitCode;
use tessera_engine::Error;
use tessera_engine::anchors::{AnchorTraining, AnchorsConfig, Ending};
use tessera_engine::datasets::capture::photos;
use tessera_engine::exchange::meeting::{self, Place};
use tessera_engine::exchange::{Patience, Ranks};
use tessera_engine::train::{self, Outcome, RunFolder};

/// Where rank 0 is, for processes that it has started itself: host, port and a number.
const PLACE: &str = "TESSERA_RANK0";

/// Where rank 0 is, as the environment says.
fn place(variable: impl Fn(&str) -> Option<String>) -> Place {
    if let Some([host, port, token]) =
        variable(PLACE).as_deref().map(|place| place.split(' ').collect::<Vec<_>>()).as_deref()
        && let (Ok(port), Ok(token)) = (port.parse(), token.parse())
    {
        return Place::At((*host).to_owned(), port, token);
    }
    // torchrun may listen there itself, and says so.
    let is_taken = variable("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let port = variable("MASTER_PORT").and_then(|port| port.parse().ok());
    match variable("MASTER_ADDR").zip(port).filter(|_| !is_taken) {
        Some((host, port)) => Place::At(host, port, 0),
        None => Place::InFolder,
    }
}

fn of_environment() -> Place {
    place(|name| std::env::var(name).ok())
}

/// What a lost process means for the user.
fn with_remedy(error: Error, run: &Path) -> anyhow::Error {
    let is_begun = matches!(RunFolder::newest_checkpoint(run), Ok(Some(_)));
    match error {
        Error::Ranks(message) if is_begun => anyhow::anyhow!(
            "{message}; continue from the last checkpoint with tessera reconstruct --resume -o {}, with any number of processes",
            run.display()
        ),
        error => error.into(),
    }
}

/// The processes that a launcher has started: over MPI, if the program can and `mpirun` has, and else over TCP.
fn of_launcher(rank: Rank, output: &Path) -> Result<Ranks> {
    #[cfg(feature = "mpi")]
    if tessera_engine::exchange::mpi::is_at_hand() {
        return Ok(tessera_engine::exchange::mpi::meet()?);
    }
    let (place, patience) = (of_environment(), Patience::default());
    Ok(match rank.number {
        0 => meeting::lead(None, &place, rank.of, output, patience)?,
        number => meeting::follow(&place, number, rank.of, output, patience)?,
    })
}

/// As rank 0 of several, trains to the end or until it is asked to stop.
///
/// # Errors
/// When training fails, or another rank is lost.
pub fn lead(job: &Job<'_>, config: &AnchorsConfig, rank: Rank, console: &Console) -> Result<Outcome> {
    if photos::is_photos_or_video(job.capture) {
        let message = "several processes train captures with poses; find them first, with one process or with COLMAP";
        return Err(UsageError(message.to_owned()).into());
    }
    // They end when rank 0 does, and are waited for last.
    let (ranks, _helpers) = if rank.of > 1 {
        (of_launcher(rank, job.output)?, Helpers::default())
    } else {
        let (listener, place) = meeting::listen_here()?;
        let Place::At(host, port, token) = &place else { anyhow::bail!("rank 0 is nowhere") };
        let helpers = Helpers::start_ranks(job.workers.count, (PLACE, format!("{host} {port} {token}")))?;
        (
            meeting::lead(Some(listener), &place, usize::from(job.workers.count), job.output, Patience::default())?,
            helpers,
        )
    };
    console.note(format_args!("{} processes have come together", ranks.size()));
    let outcome = with(job, config, ranks, console);
    if outcome.is_err() {
        // Made to come together in; it stays if anything was written there.
        let _ = std::fs::remove_dir(job.output);
    }
    outcome.map_err(|error| match error.downcast::<Error>() {
        Ok(error) => with_remedy(error, job.output),
        Err(error) => error,
    })
}

fn with(job: &Job<'_>, config: &AnchorsConfig, mut ranks: Ranks, console: &Console) -> Result<Outcome> {
    let prepared = RunFolder::check(job.output, job.existing).map_err(anyhow::Error::from).and_then(|()| {
        let mut capture = open_capture(job.capture, job.skipping, console)?;
        complete_points(&mut capture, job.settings, console)?;
        Ok(capture)
    });
    let capture = prepared.inspect_err(|error| ranks.give_up(&format!("{error:#}")))?;
    let mut training = AnchorTraining::among(&capture, config, ranks, job.output)?.on(job.device)?;
    drop(capture);
    if let Some(way) = training.way() {
        console.note(format_args!("gradients are exchanged: {way}"));
    }
    let folder = RunFolder::create(job.output, job.existing).inspect_err(|error| training.give_up(error))?;
    let options = job.options();
    job.shown(console, |show, stop| {
        let outcome = train::run(&mut training, &options, &folder, show, stop);
        let outcome = outcome.inspect_err(|error| training.give_up(error))?;
        let is_complete = matches!(outcome, Outcome::Finished { .. });
        training.dismiss(if is_complete { Ending::Complete } else { Ending::Stopped })?;
        Ok(outcome)
    })
}

/// As any other rank: trains what rank 0 says until the run ends.
///
/// # Errors
/// When something fails here, or rank 0 gives up or is lost.
pub fn follow(args: &Reconstruct, rank: Rank, output: &Path, console: &Console) -> Result<ExitCode> {
    let console = &console.as_quiet();
    let mut ranks = of_launcher(rank, output)?;
    let prepared = prepare(args, output, console).and_then(|prepared| Ok((prepared, chosen(args.device, console)?)));
    let ((capture, config), device) = prepared.inspect_err(|error| ranks.give_up(&format!("{error:#}")))?;
    let mut training = AnchorTraining::among(&capture, &config, ranks, output)?.on(device.as_ref())?;
    drop(capture);
    match interrupt::stoppable(|stop| training.follow(stop))? {
        Ending::Complete => Ok(ExitCode::SUCCESS),
        Ending::Stopped => Ok(ExitCode::from(INTERRUPTED)),
    }
}

fn prepare(
    args: &Reconstruct,
    output: &Path,
    console: &Console,
) -> Result<(tessera_engine::datasets::capture::Capture, AnchorsConfig)> {
    let resumed = if args.resume { Some(RunFolder::read_config(output)?) } else { None };
    let settings = settings::for_run(args.method, &args.choices, resumed.as_ref(), console)?;
    let Settings::Anchors(config) = &settings else {
        anyhow::bail!("rank 0 trains anchors, and this process does not")
    };
    let path = args.capture.clone().or_else(|| resumed.as_ref().map(|run| run.capture.clone()));
    let path = path.context("name the capture")?;
    let mut capture = open_capture(&path, args.skipping.or_of(resumed.as_ref()), console)?;
    complete_points(&mut capture, &settings, console)?;
    Ok((capture, config.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Place {
        place(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn rank_0_is_where_launchers_say() {
        let torchrun = [("MASTER_ADDR", "node1"), ("MASTER_PORT", "29500")];
        assert_eq!(of(&torchrun), Place::At("node1".to_owned(), 29500, 0));
        let with_store = [torchrun[0], torchrun[1], ("TORCHELASTIC_USE_AGENT_STORE", "True")];
        assert_eq!(of(&with_store), Place::InFolder, "torchrun itself listens at that port");
        assert_eq!(of(&[("OMPI_COMM_WORLD_RANK", "1")]), Place::InFolder);
        assert_eq!(of(&[(PLACE, "127.0.0.1 4711 99"), torchrun[0]]), Place::At("127.0.0.1".to_owned(), 4711, 99));
    }
}
