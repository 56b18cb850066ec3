//! The one error type of this crate: which file, what is wrong with it, and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// What went wrong with a file, in words meant for its owner.
#[derive(Debug)]
pub struct DataError {
    /// The file or folder at fault.
    pub path: PathBuf,
    /// What is wrong, as the end of a sentence that begins with the path.
    pub reason: String,
    /// What to do about it, when there is something.
    pub remedy: Option<String>,
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, DataError>;

impl DataError {
    /// An error about `path`, because of `reason`.
    pub fn new(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self { path: path.as_ref().to_owned(), reason: reason.into(), remedy: None }
    }

    /// The same error with advice.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DataError {}
