//! A local shard file, opened anew for each chunk: no handle is kept, so a thousand readers cost no descriptors, and
//! a file that was replaced meanwhile is noticed.

use super::FormatError;
use bytes::Bytes;
use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most that is read from a file at once.
pub(crate) const READ_BYTES_MAX: u64 = 2 << 30;

/// What tells a file from one that was put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        }
    }
}

/// Where a shard file is, and what it was when it was first seen.
#[derive(Clone, Debug)]
pub(crate) struct ChunkFile {
    path: PathBuf,
    name: Arc<str>,
    bytes: u64,
    identity: Identity,
}

/// The file, open: dropped after a chunk.
#[derive(Clone, Debug)]
pub(crate) struct OpenFile {
    file: Arc<File>,
    name: Arc<str>,
    bytes: u64,
}

impl ChunkFile {
    /// A file as it is now.
    pub(crate) fn found(path: &Path) -> Result<Self, FormatError> {
        let name = path.display().to_string();
        let metadata = path.metadata().map_err(|error| failed(&name, &error))?;
        if !metadata.is_file() {
            return Err(FormatError::Unreadable { file: name, detail: "it is no file".to_owned() });
        }
        Ok(Self {
            path: path.to_owned(),
            name: name.into(),
            bytes: metadata.len(),
            identity: Identity::of(&metadata),
        })
    }

    /// A file that had `bytes` bytes when it was inspected.
    pub(crate) fn recorded(path: &Path, bytes: u64) -> Result<Self, FormatError> {
        let file = Self::found(path)?;
        file.check_size(file.bytes, bytes)?;
        Ok(file)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn open(&self) -> Result<OpenFile, FormatError> {
        let file = File::open(&self.path).map_err(|error| failed(&self.name, &error))?;
        let metadata = file.metadata().map_err(|error| failed(&self.name, &error))?;
        self.check_size(metadata.len(), self.bytes)?;
        if Identity::of(&metadata) != self.identity {
            let detail = "it was written or replaced since it was opened".to_owned();
            return Err(FormatError::Changed { file: self.name.to_string(), detail });
        }
        Ok(OpenFile { file: Arc::new(file), name: Arc::clone(&self.name), bytes: self.bytes })
    }

    fn check_size(&self, found: u64, recorded: u64) -> Result<(), FormatError> {
        if found == recorded {
            return Ok(());
        }
        let file = self.name.to_string();
        let detail = format!("it has {found} bytes where {recorded} were recorded");
        Err(if found < recorded {
            FormatError::Truncated { file, detail }
        } else {
            FormatError::Changed { file, detail }
        })
    }
}

impl OpenFile {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `length` bytes from `offset` on, which must be there.
    pub(crate) fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, FormatError> {
        let name = &self.name;
        if offset.checked_add(length).is_none_or(|end| end > self.bytes) {
            let detail = format!("bytes {offset} to {} are beyond its end", offset.saturating_add(length));
            return Err(FormatError::truncated(name, detail));
        }
        if length > READ_BYTES_MAX {
            return Err(FormatError::too_large(name, format!("{length} bytes at {offset}")));
        }
        let mut bytes = vec![0; usize::try_from(length).expect("it is at most READ_BYTES_MAX")];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(FormatError::truncated(name, "it became shorter while it was read"))
            }
            Err(error) => Err(failed(name, &error)),
        }
    }

    /// At most `length` bytes from `offset` on: fewer at the file's end.
    pub(crate) fn read_up_to(&self, offset: u64, length: u64) -> Result<Vec<u8>, FormatError> {
        self.read(offset, length.min(self.bytes.saturating_sub(offset)))
    }

    pub(crate) fn read_bytes(&self, offset: u64, length: u64) -> Result<Bytes, FormatError> {
        self.read(offset, length).map(Bytes::from)
    }
}

fn failed(name: &str, error: &std::io::Error) -> FormatError {
    match error.kind() {
        ErrorKind::NotFound => FormatError::Missing { file: name.to_owned() },
        _ => FormatError::Unreadable { file: name.to_owned(), detail: error.to_string() },
    }
}

/// Runs `read`, turning a panic of a library below into an error that names the file. The panic's message still
/// goes to the process's panic hook.
pub(crate) fn guarded<T>(
    file: &str,
    read: impl FnOnce() -> Result<T, FormatError>,
) -> Result<T, FormatError> {
    // What `read` was building is dropped with it; nothing that outlives it is changed by a reader.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(FormatError::damaged(
            file,
            format!("its content makes no sense ({})", super::error::shortened(&text)),
        ))
    })
}
