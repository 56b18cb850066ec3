//! What can go wrong in the engine, each as one sentence for the user.

use crate::train::in_units;
use std::path::Path;
use tessera_datasets::DataError;
use tessera_kernels::device::DeviceError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is at fault.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A setting is unknown or has a value that it cannot have.
    #[error("{0}")]
    Setting(String),
    /// Training has left the numbers that can be computed with.
    #[error("{0}")]
    Diverged(String),
    /// The plan does not fit into memory.
    #[error("{0}")]
    Memory(String),
    /// A device failed, or cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A device's memory became full while training; what was trained is in the checkpoint.
    #[error(
        "the GPU's memory is full: {} are needed for {purpose}, {} are free; about {splats} splats fit: continue from the \
         checkpoint with --resume --max-splats {splats}, or with --resume --on-oom shrink",
        in_units(*wanted), in_units(*free)
    )]
    DeviceFull {
        /// Bytes that were asked for.
        wanted: u64,
        /// What for.
        purpose: String,
        /// Bytes that are free.
        free: u64,
        /// How many splats there is room for, with what training holds already.
        splats: usize,
    },
    /// A program that we run is missing or has failed.
    #[error("{0}")]
    Program(String),
    /// One of several processes that train together is lost, or does not fit to the others.
    #[error("{0}")]
    Ranks(String),
    /// As [`Error::Ranks`], in a process other than rank 0, which has said it to the user.
    #[error("rank 0 has given up: {0}")]
    SaidByLead(String),
    /// The user wanted no more.
    #[error("interrupted: {0}")]
    Interrupted(String),
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether a device had too little memory.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Device(DeviceError::OutOfMemory { .. }) | Self::DeviceFull { .. })
    }

    /// Says of an error about a device's memory how many splats would fit.
    pub(crate) fn with_room_for(self, splats: usize) -> Self {
        match self {
            Self::Device(DeviceError::OutOfMemory { wanted, purpose, free, .. }) if splats > 0 => {
                Self::DeviceFull { wanted, purpose, free, splats }
            }
            other => other,
        }
    }

    /// An error about a setting.
    pub fn setting(message: impl Into<String>) -> Self {
        Self::Setting(message.into())
    }

    /// An error about the file or folder `path`, with advice.
    pub(crate) fn file(path: impl AsRef<Path>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Data(DataError::new(path, reason).remedy(remedy))
    }

    /// A failure to write `path`, with the advice that its kind asks for.
    pub(crate) fn write(path: impl AsRef<Path>, error: &std::io::Error) -> Self {
        Self::Data(write_error(path, error))
    }

    /// A failure to read `path`.
    pub(crate) fn read(path: impl AsRef<Path>, error: &std::io::Error) -> Self {
        Self::Data(DataError::new(path, format!("cannot be read ({error})")))
    }
}

/// A failure to write `path` as a sentence: the disk is full, the folder is protected, or something else.
pub(crate) fn write_error(path: impl AsRef<Path>, error: &std::io::Error) -> DataError {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            DataError::new(path, "cannot be written because the disk is full").remedy("free some space and try again")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            DataError::new(path, format!("may not be written ({error})")).remedy("choose another output folder")
        }
        _ => DataError::new(path, format!("cannot be written ({error})")),
    }
}
