//! `file://`: files of this machine, used where they are, and written beside each other atomically.
//!
//! Confinement: a path is resolved (`..` and links included) as far as it exists and must then lie in one of the folders;
//! what is opened afterwards is the resolved path. A link that is swapped between the two is not noticed. Blocking: the
//! callers run this on threads for that.

use super::error::LocationError;
use super::options::StoreOptions;
use super::version::{ENTRIES_MAX, Entries, Entry, Version};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct FileStore {
    /// Where reading is allowed; empty for everywhere.
    readable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    /// Numbers temporary files.
    serial: AtomicU64,
}

impl FileStore {
    pub(super) fn new(options: &StoreOptions) -> Result<Self, LocationError> {
        let mut roots = Vec::new();
        for root in &options.file_roots {
            let unusable = |what: io::Error| LocationError::Setting {
                setting: "file roots",
                what: format!("{}: {what}; name folders that exist", root.display()),
            };
            roots.push(root.canonicalize().map_err(unusable)?);
        }
        // May not have been made yet: resolved as far as it exists.
        let data_dir = std::path::absolute(&options.data_dir)
            .map_err(|error| LocationError::of_own_file("resolve", &options.data_dir, error))?;
        let data_dir = resolved(&data_dir).unwrap_or(data_dir);
        let with_data = |mut roots: Vec<PathBuf>| {
            roots.push(data_dir);
            roots
        };
        let writable = with_data(roots.clone());
        let readable = if roots.is_empty() { roots } else { writable.clone() };
        Ok(Self { readable, writable, serial: AtomicU64::new(0) })
    }

    /// The files directly in a folder, sorted by name. Other kinds of entries are left out.
    pub(super) fn list(&self, folder: &Path, shown: &str) -> Result<Vec<Entry>, LocationError> {
        let folder = self.to_read(folder, shown)?;
        let failed = |error| LocationError::of_file("list", shown, error);
        let mut entries = Entries::new(shown, ENTRIES_MAX);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_symlink() {
                self.to_read(&entry.path(), &entry.path().display().to_string())?;
            }
            let metadata = match fs::metadata(entry.path()) {
                Ok(metadata) => metadata,
                // Removed since, or a link to nothing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            if metadata.is_file() {
                let name = entry.file_name().into_string().map_err(|name| not_text(shown, &name))?;
                entries.push(&name, Version::of_metadata(&metadata))?;
            }
        }
        entries.finish()
    }

    /// The path to open, and the version of what is there.
    pub(super) fn local(&self, path: &Path, shown: &str) -> Result<(PathBuf, Version), LocationError> {
        let path = self.to_read(path, shown)?;
        let metadata = fs::metadata(&path).map_err(|error| LocationError::of_file("open", shown, error))?;
        match metadata.is_file() {
            true => Ok((path, Version::of_metadata(&metadata))),
            false => Err(LocationError::NotAFile { file: shown.to_owned() }),
        }
    }

    /// Copies `source` to `target`, replacing what is there; folders are made. After return it survives a loss of power.
    pub(super) fn put(&self, target: &Path, shown: &str, source: &Path) -> Result<Version, LocationError> {
        let failed = |error| LocationError::of_file("write", shown, error);
        let unreadable = |error| LocationError::of_file("open", &source.display().to_string(), error);
        let source = File::open(source).map_err(unreadable)?;
        let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(LocationError::NotAFile { file: shown.to_owned() });
        };
        let folder = self.to_write(folder, shown)?;
        make_folders(&folder).map_err(failed)?;
        // Again, now that it exists: a link may have been put in its way.
        let folder = self.to_write(&folder, shown)?;
        let temporary = folder.join(self.temporary_name(name));
        let copied = copy(source, &temporary).and_then(|metadata| {
            fs::rename(&temporary, folder.join(name))?;
            File::open(&folder)?.sync_all()?;
            Ok(Version::of_metadata(&metadata))
        });
        copied.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            failed(error)
        })
    }

    /// Hidden, so that no listing shows it.
    fn temporary_name(&self, name: &std::ffi::OsStr) -> OsString {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}-{serial}.part", std::process::id()));
        temporary
    }

    fn to_read(&self, path: &Path, shown: &str) -> Result<PathBuf, LocationError> {
        match self.readable.is_empty() {
            true => Ok(path.to_owned()),
            false => confined(path, &self.readable, ("read", shown)),
        }
    }

    fn to_write(&self, path: &Path, shown: &str) -> Result<PathBuf, LocationError> {
        confined(path, &self.writable, ("written", shown))
    }
}

/// `path` resolved, if it lies in one of `roots`.
fn confined(
    path: &Path,
    roots: &[PathBuf],
    (use_of, shown): (&'static str, &str),
) -> Result<PathBuf, LocationError> {
    let inside = |resolved: &PathBuf| roots.iter().any(|root| resolved.starts_with(root));
    resolved(path).filter(inside).ok_or_else(|| LocationError::OutsideRoots {
        file: shown.to_owned(),
        use_of,
        allowed: roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(", "),
    })
}

/// The part of `path` that exists without `..` and links, and the rest as it is; `None` if the rest has `..`, or a part
/// cannot be looked at.
fn resolved(path: &Path) -> Option<PathBuf> {
    let mut existing = path;
    let mut rest = Vec::new();
    loop {
        match existing.canonicalize() {
            Ok(mut resolved) => {
                resolved.extend(rest.iter().rev());
                return Some(resolved);
            }
            // A link to nothing exists, though not what it names: what will be there one day is unknown.
            Err(error) if error.kind() == io::ErrorKind::NotFound && existing.symlink_metadata().is_err() => {
            }
            Err(_) => return None,
        }
        match existing.components().next_back()? {
            Component::Normal(name) => rest.push(name.to_owned()),
            _ => return None,
        }
        existing = existing.parent()?;
    }
}

/// Makes a folder and those above it, durably.
fn make_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent() else { return Ok(()) };
    make_folders(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made?,
    }
    File::open(parent)?.sync_all()
}

fn copy(mut source: File, target: &Path) -> io::Result<fs::Metadata> {
    let mut target = File::options().write(true).create_new(true).open(target)?;
    io::copy(&mut source, &mut target)?;
    target.sync_all()?;
    target.metadata()
}

fn not_text(shown: &str, name: &OsString) -> LocationError {
    let name = name.to_string_lossy().into_owned();
    LocationError::BadName { directory: shown.to_owned(), name, what: "it is not UTF-8" }
}

#[cfg(test)]
mod tests;
