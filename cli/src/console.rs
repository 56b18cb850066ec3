//! Where words go: results to standard output, everything else to standard error.

use crate::args::Common;
use anyhow::{Context, Result};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::EnvFilter;

/// The two streams, and how talkative the user wants us to be.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    quiet: bool,
    /// Whether bars that redraw themselves can be drawn.
    pub interactive: bool,
}

impl Console {
    /// Sets up logging and the number of threads as the user asked.
    pub fn new(common: &Common) -> Self {
        start_logging(common.verbose);
        // Log lines would tear bars apart.
        Self { quiet: common.quiet, interactive: io::stderr().is_terminal() && !common.verbose }
    }

    /// Whether progress and remarks are unwanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// One that says no more than warnings and errors.
    pub fn as_quiet(&self) -> Self {
        Self { quiet: true, ..*self }
    }

    /// Something that the user may want to know.
    pub fn note(&self, text: impl fmt::Display) {
        if !self.quiet {
            stderr_line(format_args!("{text}"));
        }
    }

    /// Something that the user should know.
    pub fn warn(&self, text: impl fmt::Display) {
        stderr_line(format_args!("warning: {text}"));
    }

    /// Why the program fails: one sentence, with everything that led to it.
    pub fn error(&self, error: &anyhow::Error) {
        tracing::debug!("{error:?}");
        stderr_line(format_args!("error: {}", one_line(&format!("{error:#}"))));
    }

    /// A result, as a line of standard output. When nobody reads on (`tessera info | head`), that is not our trouble.
    ///
    /// # Errors
    /// When standard output goes to a file that cannot be written.
    pub fn result(&self, text: impl fmt::Display) -> Result<()> {
        let mut out = io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e).context("standard output cannot be written"),
            _ => Ok(()),
        }
    }
}

/// Standard error may be closed; nothing can be said about that.
fn stderr_line(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn one_line(text: &str) -> String {
    text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// `RUST_LOG` decides when it is set, `--verbose` otherwise.
fn start_logging(verbose: bool) {
    let default = if verbose { "tessera=debug" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).without_time().init();
}

/// Arguments that fit their types but make no sense: exit status 2.
#[derive(Debug)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Exit status of an interrupted program, as shells have it: 128 and the number of SIGINT.
pub const INTERRUPTED: u8 = 130;

/// Whether another process has told the user already.
pub fn is_told(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<tessera_engine::Error>(), Some(tessera_engine::Error::SaidByLead(_)))
}

/// 2 for wrong usage, 130 when the user wanted no more, 1 for everything else.
pub fn exit_status(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<tessera_engine::Error>() {
        Some(tessera_engine::Error::Interrupted(_)) => INTERRUPTED,
        _ if error.is::<UsageError>() => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_several_lines_become_one_sentence() {
        assert_eq!(one_line("bad header\n  at line 3\n"), "bad header; at line 3");
    }

    #[test]
    fn wrong_usage_has_its_own_exit_status() {
        assert_eq!(exit_status(&anyhow::Error::new(UsageError("no".into()))), 2);
        assert_eq!(exit_status(&anyhow::anyhow!("no")), 1);
    }
}
