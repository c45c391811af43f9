//! A folder in the data directory for one task's unfinished files; gone with the task.

use crate::error::NodeError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells the folders of a process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

pub(super) struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    pub(super) fn new(data_dir: &Path) -> Result<Self, NodeError> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = parent(data_dir).join(format!("{}-{number}", std::process::id()));
        match fs::create_dir_all(&folder) {
            Ok(()) => Ok(Self { folder }),
            Err(error) => Err(failed(&folder, &error)),
        }
    }

    /// Removes what earlier processes left. A data directory belongs to one process, which calls this before it begins anything.
    pub(super) fn clear(data_dir: &Path) -> Result<(), NodeError> {
        match fs::remove_dir_all(parent(data_dir)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&parent(data_dir), &error)),
            _ => Ok(()),
        }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn failed(&self, error: &io::Error) -> NodeError {
        failed(&self.folder, error)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed at the next start.
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn parent(data_dir: &Path) -> PathBuf {
    data_dir.join("preprocess")
}

fn failed(path: &Path, error: &io::Error) -> NodeError {
    NodeError::DataDirectory { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_apart_and_go_with_their_tasks() {
        let data = tempfile::tempdir().unwrap();
        let left = data.path().join("preprocess/left-by-another/x");
        fs::create_dir_all(&left).unwrap();
        Scratch::clear(data.path()).unwrap();
        Scratch::clear(data.path()).unwrap();
        let (one, other) = (Scratch::new(data.path()).unwrap(), Scratch::new(data.path()).unwrap());
        assert!(!left.exists());
        assert_ne!(one.folder, other.folder);
        fs::write(one.file("a"), b"x").unwrap();
        let folder = one.folder.clone();
        drop(one);
        assert!(!folder.exists() && other.folder.exists());
    }
}
