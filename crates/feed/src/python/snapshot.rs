//! The module files at one moment.
//!
//! The files directly in the directory are read whole: workers run these bytes, not what is on disk later. Files below
//! it, which modules may import, count for the hash only.

use super::registry::Generation;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use xxhash_rust::xxh3::Xxh3;

const FILES_MAX: usize = 10_000;
const BYTES_MAX: u64 = 64 << 20;
const DEPTH_MAX: usize = 8;

/// The sources of modules by file name.
pub(super) type Sources = BTreeMap<String, Arc<[u8]>>;

/// What changes when files do, without reading them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signature(u128);

#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    /// Absolute, as tracebacks show it.
    pub(super) directory: PathBuf,
    pub(super) sources: Sources,
    /// Hash of the files below the directory.
    below: u128,
}

impl Snapshot {
    pub(super) fn read(directory: &Path) -> io::Result<Self> {
        let directory = std::path::absolute(directory)?;
        let mut sources = Sources::new();
        let mut below = Xxh3::new();
        let mut bytes = 0;
        for file in listed(&directory)? {
            let text = match std::fs::read(directory.join(&file.path)) {
                // Gone since it was listed: the next look will find it changed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                text => text?,
            };
            bytes += text.len() as u64;
            if bytes > BYTES_MAX {
                return Err(io::Error::other(format!("the module files have more than {BYTES_MAX} bytes")));
            }
            if file.is_module {
                sources.insert(file.path, text.into());
            } else {
                hash_part(&mut below, file.path.as_bytes());
                hash_part(&mut below, &text);
            }
        }
        Ok(Self { directory, sources, below: below.digest128() })
    }

    /// The same files with other sources for the modules.
    pub(super) fn with_sources(&self, sources: Sources) -> Self {
        Self { sources, ..self.clone() }
    }

    pub(super) fn generation(&self) -> Generation {
        let mut hash = Xxh3::new();
        hash.update(&self.below.to_le_bytes());
        for (name, text) in &self.sources {
            hash_part(&mut hash, name.as_bytes());
            hash_part(&mut hash, text);
        }
        Generation::new(hash.digest128())
    }
}

/// What the files look like from outside; a directory that is not there has none.
pub(super) fn signature(directory: &Path) -> io::Result<Signature> {
    let mut hash = Xxh3::new();
    for file in listed(directory)? {
        hash_part(&mut hash, file.path.as_bytes());
        hash.update(&file.bytes.to_le_bytes());
        hash.update(&file.modified_ns.to_le_bytes());
    }
    Ok(Signature(hash.digest128()))
}

struct Listed {
    /// Below the directory.
    path: String,
    /// Directly in it.
    is_module: bool,
    bytes: u64,
    modified_ns: u128,
}

/// The Python files in and below the directory, in order of path.
fn listed(directory: &Path) -> io::Result<Vec<Listed>> {
    let mut found = Vec::new();
    match list_into(directory, "", 0, &mut found) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(()) => {
            found.sort_by(|a, b| a.path.cmp(&b.path));
            Ok(found)
        }
    }
}

fn list_into(directory: &Path, prefix: &str, depth: usize, found: &mut Vec<Listed>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // Not UTF-8: no module could be imported by it.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || name == "__pycache__" {
            continue;
        }
        // Links to files count as files; links to directories are not followed, they may go in a circle.
        if entry.file_type()?.is_dir() {
            if depth < DEPTH_MAX {
                list_into(&entry.path(), &format!("{prefix}{name}/"), depth + 1, found)?;
            }
        } else if name.ends_with(".py") {
            let Ok(metadata) = std::fs::metadata(entry.path()) else { continue };
            if !metadata.is_file() {
                continue;
            }
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            found.push(Listed {
                path: format!("{prefix}{name}"),
                is_module: depth == 0,
                bytes: metadata.len(),
                modified_ns: modified.map_or(0, |time| time.as_nanos()),
            });
            if found.len() > FILES_MAX {
                return Err(io::Error::other(format!("there are more than {FILES_MAX} module files")));
            }
        }
    }
    Ok(())
}

fn hash_part(hash: &mut Xxh3, part: &[u8]) {
    hash.update(&(part.len() as u64).to_le_bytes());
    hash.update(part);
}

#[cfg(test)]
mod tests;
