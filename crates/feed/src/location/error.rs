//! What can go wrong with a location. Every message names the file or directory and says what to do where that is known.

use super::version::Version;
use lavandin_types::ErrorCode;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// An error of a location, a store or the disk cache. Cheap to clone: all who wait for one download get the same.
#[derive(Clone, Debug, Error)]
pub enum LocationError {
    #[error(
        "{text:?} has no scheme; write file://, s3://, http://, https:// or hf:// before it, for example file://{text}"
    )]
    NoScheme { text: String },
    #[error(
        "{text:?} has the unknown scheme {scheme:?}; there are file://, s3://, http://, https:// and hf://"
    )]
    UnknownScheme { text: String, scheme: String },
    #[error("{text:?} is not a location: {what}")]
    Malformed { text: String, what: String },
    /// A name of a listing, or one to join, that is not the name of one file.
    #[error("{directory}: the name {name:?} cannot be used: {what}")]
    BadName { directory: String, name: String, what: &'static str },
    #[error("{file} is outside the folders that may be {use_of}: {allowed}; --file-roots names more")]
    OutsideRoots { file: String, use_of: &'static str, allowed: String },
    /// A setting cannot be used.
    #[error("{setting}: {what}")]
    Setting { setting: &'static str, what: String },
    #[error("{file}: not found{hint}")]
    NotFound { file: String, hint: &'static str },
    #[error("{directory} is not a directory; give the directory that holds the shard files")]
    NotADirectory { directory: String },
    #[error("{file} is not a file")]
    NotAFile { file: String },
    #[error("{directory} holds no files; check the location, or put shard files there first")]
    Empty { directory: String },
    #[error("{directory} holds more than {entries_max} files; spread them over several shardsets")]
    TooManyEntries { directory: String, entries_max: usize },
    #[error("{directory}: the listing cannot be read: {what}")]
    BadListing { directory: String, what: String },
    #[error("{file}: access denied ({cause}){hint}")]
    Denied { file: String, cause: String, hint: &'static str },
    #[error("{file}: the server cannot be reached: {cause}")]
    Unreachable { file: String, cause: String },
    /// The server says that it cannot answer now.
    #[error("{file}: the server answered {status}{cause}")]
    Busy { file: String, status: u16, cause: String, retry_after: Option<Duration> },
    /// An answer that trying again would not change.
    #[error("{file}: the server answered {status}{cause}")]
    Refused { file: String, status: u16, cause: String },
    #[error("{file}: the transfer broke off after {got} bytes: {cause}")]
    Broken { file: String, got: u64, cause: String },
    #[error("{file}: nothing came for {} s; the server or the network is too slow", waited.as_secs_f64())]
    Stalled { file: String, waited: Duration },
    #[error("{file}: not done after {} s; the file is too large for that time, or its server too slow", allowed.as_secs_f64())]
    DeadlineExceeded { file: String, allowed: Duration },
    #[error("{file} changed under way: expected {expected}, found {found}; sync the shardset again")]
    Changed { file: String, expected: Version, found: Version },
    #[error("{scheme}:// locations can only be read; write to file:// or s3://")]
    ReadOnly { scheme: &'static str },
    #[error(
        "{file} has {bytes} bytes, more than the disk cache may hold ({cache_bytes_max}); raise the cache's size"
    )]
    LargerThanCache { file: String, bytes: u64, cache_bytes_max: u64 },
    #[error(
        "{file}: no room for {bytes} bytes in the disk cache of {cache_bytes_max}: its files are in use; raise the cache's size or read fewer files at once"
    )]
    CacheFull { file: String, bytes: u64, cache_bytes_max: u64 },
    #[error("{operation} {file}: {source}")]
    Io { operation: &'static str, file: String, source: Arc<io::Error> },
    /// The process is stopping, or a task of it died.
    #[error("{file}: the transfer was given up: {cause}")]
    Stopped { file: String, cause: String },
}

impl LocationError {
    /// The code that decides the status.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NoScheme { .. }
            | Self::UnknownScheme { .. }
            | Self::Malformed { .. }
            | Self::BadName { .. }
            | Self::OutsideRoots { .. }
            | Self::Setting { .. }
            | Self::NotADirectory { .. }
            | Self::NotAFile { .. }
            | Self::Empty { .. }
            | Self::TooManyEntries { .. }
            | Self::BadListing { .. }
            | Self::Denied { .. }
            | Self::Refused { .. }
            | Self::ReadOnly { .. }
            | Self::LargerThanCache { .. } => ErrorCode::InvalidArgument,
            Self::NotFound { .. } => ErrorCode::NotFound,
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Broken { .. } | Self::Stopped { .. } => {
                ErrorCode::Unavailable
            }
            Self::Io { .. } => ErrorCode::Unavailable,
            Self::Stalled { .. } | Self::DeadlineExceeded { .. } => ErrorCode::DeadlineExceeded,
            Self::Changed { .. } => ErrorCode::DataCorrupt,
            Self::CacheFull { .. } => ErrorCode::Overloaded,
        }
    }

    /// Whether the same call may succeed a moment later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Broken { .. } | Self::Stalled { .. }
        )
    }

    /// How long the server asked to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// An error of the file system at `path`; `shown` is the location as the user knows it.
    pub(super) fn of_file(operation: &'static str, shown: &str, error: io::Error) -> Self {
        let file = shown.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound { file, hint: "" },
            io::ErrorKind::PermissionDenied => {
                Self::Denied { file, cause: error.to_string(), hint: "; check the file's owner and mode" }
            }
            io::ErrorKind::NotADirectory => Self::NotADirectory { directory: file },
            io::ErrorKind::IsADirectory => Self::NotAFile { file },
            _ => Self::Io { operation, file, source: Arc::new(error) },
        }
    }

    /// An error of a file that this program made itself.
    pub(super) fn of_own_file(operation: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Io { operation, file: path.display().to_string(), source: Arc::new(error) }
    }

    /// The result of a blocking task. Without one the process is stopping, or the task died.
    pub(super) fn of_task<T>(joined: Result<T, tokio::task::JoinError>, file: &str) -> Result<T, Self> {
        joined.map_err(|error| Self::Stopped { file: file.to_owned(), cause: error.to_string() })
    }
}
