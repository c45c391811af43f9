//! One process per data directory.

use crate::{Operation, StorageError};
use std::fs;
use std::io::{Read, Seek, Write};
use std::path::Path;

const FILE_NAME: &str = "LOCK";
/// What is read of the holder's note; it is a process id in decimal.
const NOTE_BYTES_MAX: u64 = 20;

/// Held for as long as a process uses a data directory. The operating system releases it when the process ends, however
/// it ends.
#[derive(Debug)]
pub struct DataDirLock {
    _file: fs::File,
}

impl DataDirLock {
    /// Locks `folder`, which must exist; [`StorageError::Locked`] names the process that has it.
    pub fn acquire(folder: &Path) -> Result<Self, StorageError> {
        let path = folder.join(FILE_NAME);
        let name = path.to_string_lossy().into_owned();
        let failed = |error| StorageError::io(Operation::Lock, &name, error);
        let options = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(StorageError::Locked { holder: holder(&mut file), file: name });
            }
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        // The note is a courtesy to who is refused; the lock itself is the operating system's.
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        file.write_all(std::process::id().to_string().as_bytes()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// " (process 123)", or nothing where the note cannot be read.
fn holder(file: &mut fs::File) -> String {
    let mut note = String::new();
    match file.take(NOTE_BYTES_MAX).read_to_string(&mut note) {
        Ok(_) if !note.is_empty() && note.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!(" (process {note})")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
