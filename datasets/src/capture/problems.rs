//! What does not fit in a capture: reported as one sentence, or left out when the user says to go on.

use super::OpenOptions;
use super::assemble::name_some;
use crate::files::Files;
use crate::{DataError, Result};

/// Something that does not fit.
pub(super) struct Problem {
    /// A sentence.
    what: String,
    /// What is done about it when the user says to go on.
    done: &'static str,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>, done: &'static str) -> Self {
        Self { what: what.into(), done }
    }
}

/// Tells the user what is wrong: as warnings when training shall go on, else as an error that begins with `complaint`.
///
/// # Errors
/// When something is wrong and `options` do not say to go on.
pub(super) fn settle(
    files: &Files,
    complaint: &str,
    problems: Vec<Problem>,
    options: OpenOptions,
    warnings: &mut Vec<String>,
) -> Result<()> {
    if options.skip_bad {
        warnings.extend(problems.into_iter().map(|Problem { what, done }| format!("{what}; {done}")));
        return Ok(());
    }
    if problems.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = problems.into_iter().map(|problem| problem.what).collect();
    let what = name_some(&all);
    Err(DataError::new(files.root(), format!("{complaint}: {what}"))
        .remedy("repair that, or use what is sound with --skip-bad"))
}
