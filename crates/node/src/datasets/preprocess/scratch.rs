//! A folder in the data directory for one task's unfinished files; gone with the task.

use crate::error::NodeError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Tasks of one process at one time, far more than run.
const TASKS_MAX: u32 = 100_000;

pub(super) struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// Makes a folder, and removes those of processes that are gone: a data directory belongs to one process.
    pub(super) fn new(data_dir: &Path) -> Result<Self, NodeError> {
        let parent = data_dir.join("preprocess");
        let own = format!("{}-", std::process::id());
        let make = || {
            fs::create_dir_all(&parent)?;
            for entry in fs::read_dir(&parent)? {
                let entry = entry?;
                if !entry.file_name().to_string_lossy().starts_with(&own) {
                    fs::remove_dir_all(entry.path())?;
                }
            }
            for number in 0..TASKS_MAX {
                let folder = parent.join(format!("{own}{number}"));
                match fs::create_dir(&folder) {
                    Ok(()) => return Ok(folder),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
                }
            }
            Err(io::Error::other("too many tasks at once"))
        };
        match make() {
            Ok(folder) => Ok(Self { folder }),
            Err(error) => Err(failed(&parent, &error)),
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
        // What stays is removed by the next process.
        drop(fs::remove_dir_all(&self.folder));
    }
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
        let (one, other) = (Scratch::new(data.path()).unwrap(), Scratch::new(data.path()).unwrap());
        assert!(!left.exists());
        assert_ne!(one.folder, other.folder);
        fs::write(one.file("a"), b"x").unwrap();
        let folder = one.folder.clone();
        drop(one);
        assert!(!folder.exists() && other.folder.exists());
    }
}
