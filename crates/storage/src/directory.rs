//! The storage seam: a tree of named files.
//!
//! Names are relative and '/'-separated, without empty, `.` or `..` parts; `""` is the root, where a folder is meant.
//!
//! What survives a crash (loss of power included):
//! 1. a file's bytes and length as of its last successful [`File::sync`], in any mixture with what was written since:
//!    later writes may be lost, torn or kept in any order;
//! 2. a folder's entries as of its last successful [`Directory::sync_dir`], with any later create, rename or remove
//!    kept or lost, each as a whole;
//! 3. folders made by [`Directory::create_dir_all`], from its return on.
//!
//! After a failed sync nothing is known about what was written since the one before, and a later successful sync does
//! not change that: whoever sees a failed sync must stop using the file.

use crate::{Region, StorageError};

/// A tree of named files.
pub trait Directory: Send + Sync {
    /// Makes an empty file for reading and writing; fails if it exists. Its folder must exist.
    fn create(&self, name: &str) -> Result<Box<dyn File>, StorageError>;

    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> Result<Box<dyn File>, StorageError>;

    /// The whole file as bytes. The file must not be written or truncated while a region of it lives; it may be
    /// renamed, replaced and removed.
    fn map(&self, name: &str) -> Result<Region, StorageError>;

    /// Gives a file another name, replacing what had it. Atomic; durable after `sync_dir` of the target's folder.
    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError>;

    /// Removes a file. Durable after `sync_dir`.
    fn remove(&self, name: &str) -> Result<(), StorageError>;

    /// Removes an empty folder.
    fn remove_dir(&self, folder: &str) -> Result<(), StorageError>;

    /// Names of the files and folders directly in `folder`, sorted.
    fn list(&self, folder: &str) -> Result<Vec<String>, StorageError>;

    /// Makes a folder and those above it; no error if it exists. Durable on return.
    fn create_dir_all(&self, folder: &str) -> Result<(), StorageError>;

    /// Makes the entries of `folder` durable: creates, renames and removes in it so far.
    fn sync_dir(&self, folder: &str) -> Result<(), StorageError>;

    /// Whether there is a file or folder of that name.
    fn exists(&self, name: &str) -> Result<bool, StorageError>;

    /// A file's length in bytes.
    fn len(&self, name: &str) -> Result<u64, StorageError>;

    /// Names the time since the machine was last started, never 0: as long as it stays the same, files hold what was
    /// written to them, synced or not. `None` where nobody can tell.
    fn power_cycle(&self) -> Option<u128>;
}

/// An open file. It stays usable when it is renamed or removed.
pub trait File: Send {
    /// The length in bytes.
    fn len(&self) -> Result<u64, StorageError>;

    fn is_empty(&self) -> Result<bool, StorageError> {
        Ok(self.len()? == 0)
    }

    /// Writes all bytes at `offset`, extending the file; a gap reads as zeros. On failure any part may be written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError>;

    /// Fills `bytes` from `offset`; fails if the file ends before.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), StorageError>;

    /// Sets the length: cuts, or extends by zeros (sparse where the file system can).
    fn truncate(&mut self, len: u64) -> Result<(), StorageError>;

    /// Makes bytes and length durable (fdatasync). Not the file's name: see [`Directory::sync_dir`].
    fn sync(&mut self) -> Result<(), StorageError>;
}

/// Whether `name` may name a file.
pub(crate) fn is_file_name(name: &str) -> bool {
    name.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']))
}

/// Whether `name` may name a folder: like a file, or the root.
pub(crate) fn is_folder_name(name: &str) -> bool {
    name.is_empty() || is_file_name(name)
}

/// The folder that holds `name`.
pub(crate) fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}
