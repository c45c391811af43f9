//! What can go wrong below the database, always with the file and the operation.

use lavandin_types::ErrorCode;
use std::fmt;
use std::io;
use std::sync::Arc;

/// What was being done to a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Create,
    Open,
    Map,
    Read,
    Write,
    Truncate,
    Sync,
    Rename,
    Remove,
    List,
    CreateDir,
    SyncDir,
    Stat,
    Lock,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::Map => "map",
            Self::Read => "read",
            Self::Write => "write",
            Self::Truncate => "truncate",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::List => "list",
            Self::CreateDir => "create folder",
            Self::SyncDir => "sync folder",
            Self::Stat => "stat",
            Self::Lock => "lock",
        })
    }
}

/// An error of this crate.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// The file that an operation needs is not there.
    #[error("{operation} {file}: no such file or folder")]
    NotFound { operation: Operation, file: String },
    /// The file to create is there.
    #[error("{operation} {file}: exists already")]
    AlreadyExists { operation: Operation, file: String },
    /// The operating system refused or failed.
    #[error("{operation} {file}: {source}")]
    Io { operation: Operation, file: String, source: Arc<io::Error> },
    /// Stored bytes are not what was written. Nothing was changed.
    #[error("{file} is damaged at byte {offset}: {what}")]
    Damaged { file: String, offset: u64, what: &'static str },
    /// The file was written by another version of this program.
    #[error("{file} has format version {found}, this program reads up to {supported}")]
    Version { file: String, found: u32, supported: u32 },
    /// Another process has the data directory.
    #[error("{file} is locked: another process{holder} is using this data directory")]
    Locked { file: String, holder: String },
    /// An earlier write or sync failed; the log must be opened again.
    #[error("{file} is closed by an earlier failure: {cause}")]
    Poisoned { file: String, cause: Arc<StorageError> },
    /// The name is not relative, or has an empty, `.` or `..` part: a defect of the caller.
    #[error("{operation}: {name:?} is no file name")]
    InvalidName { operation: Operation, name: String },
    /// The caller asked for what the format cannot hold: a defect of the caller.
    #[error("{file}: {what} ({value}, expected {expected})")]
    Misuse { file: String, what: &'static str, value: u64, expected: u64 },
}

impl StorageError {
    pub(crate) fn io(operation: Operation, file: &str, error: io::Error) -> Self {
        let file = file.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound { operation, file },
            io::ErrorKind::AlreadyExists => Self::AlreadyExists { operation, file },
            _ => Self::Io { operation, file, source: Arc::new(error) },
        }
    }

    pub(crate) fn damaged(file: &str, offset: u64, what: &'static str) -> Self {
        Self::Damaged { file: file.to_owned(), offset, what }
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// What it means to who waits for an answer.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io { .. } | Self::Locked { .. } | Self::Poisoned { .. } => ErrorCode::Unavailable,
            // A file that the program counts on and that is gone is lost data.
            Self::Damaged { .. } | Self::Version { .. } | Self::NotFound { .. } => ErrorCode::DataCorrupt,
            Self::AlreadyExists { .. } | Self::InvalidName { .. } | Self::Misuse { .. } => {
                ErrorCode::Internal
            }
        }
    }
}
