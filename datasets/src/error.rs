//! The one error type of this crate: which file, what is wrong with it, and what to do.

use std::fmt;
use std::io::{self, ErrorKind};
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

    /// What it means to the user that `path` cannot be read.
    pub fn unreadable(path: impl AsRef<Path>, error: &io::Error) -> Self {
        let (reason, remedy) = match error.kind() {
            ErrorKind::NotFound => ("does not exist".to_owned(), "check its name"),
            ErrorKind::IsADirectory => ("is a folder, not a file".to_owned(), "name a file in it"),
            ErrorKind::UnexpectedEof => ("ends too early".to_owned(), "copy it again from its source"),
            ErrorKind::PermissionDenied => (format!("cannot be read ({error})"), "ask its owner to allow it"),
            _ => (format!("cannot be read ({error})"), "check the disk, or copy it again from its source"),
        };
        Self::new(path, reason).remedy(remedy)
    }

    /// What it means to the user that `path` cannot be written.
    pub fn unwritable(path: impl AsRef<Path>, error: &io::Error) -> Self {
        let (reason, remedy) = match error.kind() {
            ErrorKind::NotFound => {
                ("cannot be written because its folder does not exist".to_owned(), "create the folder")
            }
            ErrorKind::StorageFull => {
                ("cannot be written because the disk is full".to_owned(), "free some space or write elsewhere")
            }
            ErrorKind::PermissionDenied => {
                (format!("cannot be written ({error})"), "write elsewhere, or allow writing there")
            }
            _ => (format!("cannot be written ({error})"), "check the disk, or write elsewhere"),
        };
        Self::new(path, reason).remedy(remedy)
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
        write!(f, "{}: {}", OneLine(&self.path.to_string_lossy()), OneLine(&self.reason))?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {}", OneLine(remedy)),
            None => Ok(()),
        }
    }
}

/// A text whose control characters are written out: names from damaged files must not reach a terminal as they are.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(char::is_control) {
            match part.char_indices().next_back().filter(|(_, c)| c.is_control()) {
                Some((at, control)) => write!(f, "{}{}", &part[..at], control.escape_default())?,
                None => f.write_str(part)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for DataError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_whatever_the_file_says() {
        let error = DataError::new("a.bin", "names photo '\nl\u{1b}[31meft.png'").remedy("remove\tit");
        assert_eq!(error.to_string(), "a.bin: names photo '\\nl\\u{1b}[31meft.png'; remove\\tit");
    }
}
