//! The workers' Python sources, which are part of this program, as files.

use super::error::PythonError;
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

macro_rules! sources {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../../../python/", $path)))),*]
    };
}

const SOURCES: [(&str, &str); 18] = sources![
    "lavandin/__init__.py",
    "lavandin/pipelines.py",
    "lavandin/worker/__init__.py",
    "lavandin/worker/arrays.py",
    "lavandin/worker/batches.py",
    "lavandin/worker/failure.py",
    "lavandin/worker/frames.py",
    "lavandin/worker/items.py",
    "lavandin/worker/main.py",
    "lavandin/worker/modules.py",
    "lavandin/worker/process.py",
    "lavandin/worker/requests.py",
    "lavandin/worker/samples.py",
    "lavandin/worker/selection.py",
    "lavandin/worker/values.py",
    "lavandin/worker/shim/lavender_data/__init__.py",
    "lavandin/worker/shim/lavender_data/server/__init__.py",
    "lavandin/worker/shim/lavender_data/server/registries/__init__.py",
];

/// Writes the sources below `directory`, into a folder named after their hash, so that two versions of this program do
/// not meet there; files that are there already are left alone. Returns the folder.
pub(super) fn write(directory: &Path) -> Result<PathBuf, PythonError> {
    let all: Vec<u8> =
        SOURCES.iter().flat_map(|(path, text)| [path.as_bytes(), text.as_bytes()].concat()).collect();
    let folder = directory.join(format!("{:016x}", xxh3_64(&all)));
    write_into(&folder).map_err(|error| PythonError::Start {
        reason: format!("its sources cannot be written to {}: {error}", folder.display()),
    })?;
    // The worker's working directory is the node's, but user code may change it.
    std::path::absolute(&folder)
        .map_err(|error| PythonError::Start { reason: format!("{}: {error}", folder.display()) })
}

fn write_into(folder: &Path) -> io::Result<()> {
    for (path, text) in SOURCES {
        let file = folder.join(path);
        if std::fs::read(&file).is_ok_and(|found| found == text.as_bytes()) {
            continue;
        }
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)?;
        }
        // Another process may be reading the file.
        let beside = file.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&beside, text)?;
        std::fs::rename(&beside, &file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
