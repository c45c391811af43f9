//! [`Directory`] on a file system.

use crate::directory::{is_file_name, is_folder_name};
use crate::{Directory, File, Operation, Region, StorageError};
use memmap2::Mmap;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// Files under one folder of a file system. The process is expected to hold the folder's [`crate::DataDirLock`].
#[derive(Clone, Debug)]
pub struct LocalDirectory {
    root: PathBuf,
}

impl LocalDirectory {
    /// Opens `root`, making it (durably) if it is not there.
    pub fn new(root: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let root = root.into();
        create_folders(&root)
            .map_err(|error| StorageError::io(Operation::CreateDir, &root.to_string_lossy(), error))?;
        Ok(Self { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    fn file(&self, operation: Operation, name: &str) -> Result<PathBuf, StorageError> {
        match is_file_name(name) {
            true => Ok(self.root.join(name)),
            false => Err(StorageError::InvalidName { operation, name: name.to_owned() }),
        }
    }

    fn folder(&self, operation: Operation, name: &str) -> Result<PathBuf, StorageError> {
        match is_folder_name(name) {
            true => Ok(self.root.join(name)),
            false => Err(StorageError::InvalidName { operation, name: name.to_owned() }),
        }
    }

    fn open_with(
        &self,
        operation: Operation,
        name: &str,
        options: &fs::OpenOptions,
    ) -> Result<LocalFile, StorageError> {
        let path = self.file(operation, name)?;
        let file = options.open(path).map_err(|error| StorageError::io(operation, name, error))?;
        Ok(LocalFile { file, name: name.to_owned() })
    }
}

impl Directory for LocalDirectory {
    fn create(&self, name: &str) -> Result<Box<dyn File>, StorageError> {
        let options = fs::OpenOptions::new().read(true).write(true).create_new(true).clone();
        Ok(Box::new(self.open_with(Operation::Create, name, &options)?))
    }

    fn open(&self, name: &str) -> Result<Box<dyn File>, StorageError> {
        let options = fs::OpenOptions::new().read(true).write(true).clone();
        Ok(Box::new(self.open_with(Operation::Open, name, &options)?))
    }

    fn map(&self, name: &str) -> Result<Region, StorageError> {
        let file = self.open_with(Operation::Map, name, fs::OpenOptions::new().read(true))?;
        if file.len()? == 0 {
            return Ok(Region::copied_from(&[]));
        }
        // SAFETY: nobody writes or truncates the file while a region of it lives: callers promise it (see
        // `Directory::map`), and other processes keep out because of the data directory's lock.
        let map = unsafe { Mmap::map(&file.file) };
        Ok(Region::mapped(map.map_err(|error| StorageError::io(Operation::Map, name, error))?))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let (source, target) = (self.file(Operation::Rename, from)?, self.file(Operation::Rename, to)?);
        fs::rename(source, target).map_err(|error| StorageError::io(Operation::Rename, from, error))
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        let path = self.file(Operation::Remove, name)?;
        fs::remove_file(path).map_err(|error| StorageError::io(Operation::Remove, name, error))
    }

    fn remove_dir(&self, folder: &str) -> Result<(), StorageError> {
        let path = self.file(Operation::Remove, folder)?;
        fs::remove_dir(path).map_err(|error| StorageError::io(Operation::Remove, folder, error))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, StorageError> {
        let path = self.folder(Operation::List, folder)?;
        let failed = |error| StorageError::io(Operation::List, folder, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            // A name that is not UTF-8 was not written by this program, and could not be opened by its name.
            names.extend(entry.map_err(failed)?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir_all(&self, folder: &str) -> Result<(), StorageError> {
        let path = self.folder(Operation::CreateDir, folder)?;
        create_folders(&path).map_err(|error| StorageError::io(Operation::CreateDir, folder, error))
    }

    fn sync_dir(&self, folder: &str) -> Result<(), StorageError> {
        let path = self.folder(Operation::SyncDir, folder)?;
        sync_folder(&path).map_err(|error| StorageError::io(Operation::SyncDir, folder, error))
    }

    fn exists(&self, name: &str) -> Result<bool, StorageError> {
        let path = self.folder(Operation::Stat, name)?;
        path.try_exists().map_err(|error| StorageError::io(Operation::Stat, name, error))
    }

    fn len(&self, name: &str) -> Result<u64, StorageError> {
        let path = self.file(Operation::Stat, name)?;
        let metadata = fs::metadata(path).map_err(|error| StorageError::io(Operation::Stat, name, error))?;
        Ok(metadata.len())
    }

    /// Linux has an id of the boot; elsewhere nothing is known.
    fn power_cycle(&self) -> Option<u128> {
        let id = fs::read("/proc/sys/kernel/random/boot_id").ok()?;
        Some(xxh3_128(&id).max(1))
    }
}

struct LocalFile {
    file: fs::File,
    name: String,
}

impl LocalFile {
    fn failed(&self, operation: Operation) -> impl FnOnce(io::Error) -> StorageError + '_ {
        move |error| StorageError::io(operation, &self.name, error)
    }
}

impl File for LocalFile {
    fn len(&self) -> Result<u64, StorageError> {
        Ok(self.file.metadata().map_err(self.failed(Operation::Stat))?.len())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_all_at(bytes, offset).map_err(self.failed(Operation::Write))
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), StorageError> {
        self.file.read_exact_at(bytes, offset).map_err(self.failed(Operation::Read))
    }

    fn truncate(&mut self, len: u64) -> Result<(), StorageError> {
        self.file.set_len(len).map_err(self.failed(Operation::Truncate))
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.file.sync_data().map_err(self.failed(Operation::Sync))
    }
}

/// Makes the folder `path`, and what is missing above it. Its entry in the folder above is durable on return, also where
/// an earlier process made it and ended before that; but for a folder above in which this process can make nothing, as
/// above a mounted volume: that is somebody else's to keep.
pub fn create_folders(path: &Path) -> io::Result<()> {
    let Some(above) = parent_of(path) else { return fs::create_dir_all(path) };
    if path.is_dir() {
        return match sync_folder(above) {
            Err(error) if is_foreign(&error) => Ok(()),
            synced => synced,
        };
    }
    create_folders(above)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        other => other?,
    }
    sync_folder(above)
}

/// Whether a folder could not be synced because it may not be read, or its file system takes no writes.
fn is_foreign(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | ReadOnlyFilesystem | Unsupported)
}

/// The folder above; the working directory for a bare name.
fn parent_of(path: &Path) -> Option<&Path> {
    let above = path.parent()?;
    Some(if above.as_os_str().is_empty() { Path::new(".") } else { above })
}

fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests;
