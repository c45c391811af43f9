//! Manifests on the disk: `groups/1/manifests/SHARDSET-VERSION`, immutable and synced before the catalogue names them.
//! The indexes of the files that one sync read lie beside it, one after the other in `SHARDSET-VERSION.indexes`; a
//! manifest names each as `SHARDSET-VERSION.indexes:OFFSET:LENGTH`.

use crate::error::NodeError;
use lavandin_cluster::ManifestRef;
use lavandin_feed::manifest::Manifest;
use lavandin_storage::create_folders;
use lavandin_types::ShardsetId;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Manifests kept open; those that nobody uses go first.
const OPEN_MAX: usize = 64;

pub(crate) struct Manifests {
    directory: PathBuf,
    open: Mutex<HashMap<(ShardsetId, u64), Arc<Manifest>>>,
    /// Those that somebody is about to name, and how many do.
    pinned: Arc<Mutex<HashMap<Named, usize>>>,
}

/// A manifest as an iteration names it: its shardset, version and hash.
pub(crate) type Named = (ShardsetId, u64, u128);

/// Keeps manifests until it is dropped.
#[derive(Debug)]
pub(crate) struct Pins {
    pinned: Arc<Mutex<HashMap<Named, usize>>>,
    kept: Vec<Named>,
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &self.kept {
            if let Some(count) = pinned.get_mut(key) {
                *count -= 1;
            }
        }
        pinned.retain(|_, count| *count > 0);
    }
}

impl Manifests {
    /// The folder is made when something is stored: on a member of a cluster that has no copy of the group it would look
    /// like one.
    pub(crate) fn of_group(group: &Path) -> Self {
        Self { directory: group.join("manifests"), open: Mutex::default(), pinned: Arc::default() }
    }

    /// Keeps these until the pins are dropped, if nobody has begun to remove them: whoever pins looks afterwards whether
    /// the catalogue still names them.
    pub(crate) fn pin(&self, kept: Vec<Named>) -> Pins {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().for_each(|key| *pinned.entry(*key).or_default() += 1);
        Pins { pinned: Arc::clone(&self.pinned), kept }
    }

    /// What is pinned of a shardset, by version and hash. To be asked before the catalogue and the iterations are.
    pub(crate) fn pinned(&self, shardset: ShardsetId) -> Vec<(u64, u128)> {
        let pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        let of_shardset = pinned.keys().filter(|(of, ..)| *of == shardset);
        of_shardset.map(|(_, version, hash)| (*version, *hash)).collect()
    }

    /// A version that no file has, above the catalogue's: one that was written may be named at any time, as long as nobody
    /// knows what became of the proposal to.
    pub(crate) fn next_version(&self, shardset: ShardsetId, current: u64) -> Result<u64, NodeError> {
        create_folders(&self.directory).map_err(|error| failed(&self.directory, &error))?;
        let entries = fs::read_dir(&self.directory).map_err(|error| failed(&self.directory, &error))?;
        let mut highest = current;
        for entry in entries {
            let name = entry.map_err(|error| failed(&self.directory, &error))?.file_name();
            highest = highest.max(version_in(&name.to_string_lossy(), shardset).unwrap_or(0));
        }
        Ok(highest + 1)
    }

    /// Writes a manifest; on return it survives a crash.
    pub(crate) fn store(
        &self,
        shardset: ShardsetId,
        version: u64,
        manifest: &Manifest,
    ) -> Result<ManifestRef, NodeError> {
        let encoded = manifest.encode();
        let path = self.path(shardset, version);
        let unfinished = path.with_extension("new");
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&unfinished)?;
            file.write_all(&encoded)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|error| failed(&path, &error))?;
        Ok(ManifestRef {
            version,
            hash: Manifest::hash(&encoded),
            shard_count: manifest.files.len() as u32,
            total_samples: manifest.total_rows(),
            bytes: manifest.files.iter().map(|file| file.bytes).sum(),
        })
    }

    /// Writes the indexes of a sync one after the other; the name of each, empty for an empty one. On return they
    /// survive a crash.
    pub(crate) fn store_indexes(
        &self,
        shardset: ShardsetId,
        version: u64,
        indexes: &[Vec<u8>],
    ) -> Result<Vec<String>, NodeError> {
        let path = self.path(shardset, version).with_extension("indexes");
        let file_name = format!("{shardset}-{version}.indexes");
        let mut names = Vec::with_capacity(indexes.len());
        let mut offset = 0;
        for index in indexes {
            let name = format!("{file_name}:{offset}:{}", index.len());
            names.push(if index.is_empty() { String::new() } else { name });
            offset += index.len() as u64;
        }
        let write = || -> std::io::Result<()> {
            let mut file = std::io::BufWriter::new(File::create(&path)?);
            indexes.iter().try_for_each(|index| file.write_all(index))?;
            file.into_inner()?.sync_all()?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|error| failed(&path, &error))?;
        Ok(names)
    }

    /// Reads an index by its name.
    pub(crate) fn load_index(&self, name: &str) -> Result<Vec<u8>, NodeError> {
        let unknown = || NodeError::Manifest(format!("{name:?} names no index"));
        let mut parts = name.split(':');
        let (Some(file), Some(offset), Some(length), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(unknown());
        };
        let offset: u64 = offset.parse().map_err(|_| unknown())?;
        let length: usize = length.parse().map_err(|_| unknown())?;
        if file.contains(['/', '\\']) {
            return Err(unknown());
        }
        let path = self.directory.join(file);
        let read = || -> std::io::Result<Vec<u8>> {
            let file = File::open(&path)?;
            // A damaged name must not make this reserve more than there is.
            let left = file.metadata()?.len().saturating_sub(offset);
            let mut bytes = vec![0; length.min(usize::try_from(left).unwrap_or(usize::MAX))];
            file.read_exact_at(&mut bytes, offset)?;
            Ok(bytes)
        };
        read().map_err(|error| failed(&path, &error))
    }

    /// Reads a manifest, and checks that it is the one that is meant.
    pub(crate) fn load(
        &self,
        shardset: ShardsetId,
        version: u64,
        hash: u128,
    ) -> Result<Arc<Manifest>, NodeError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(manifest) = open.get(&(shardset, version)) {
            return Ok(Arc::clone(manifest));
        }
        let path = self.path(shardset, version);
        let encoded = fs::read(&path).map_err(|error| failed(&path, &error))?;
        if Manifest::hash(&encoded) != hash {
            return Err(NodeError::Manifest(format!(
                "{} is not the manifest that was written",
                path.display()
            )));
        }
        let manifest = Manifest::decode(&encoded)
            .map_err(|error| NodeError::Manifest(format!("{}: {error}", path.display())))?;
        let manifest = Arc::new(manifest);
        if open.len() >= OPEN_MAX {
            open.retain(|_, manifest| Arc::strong_count(manifest) > 1);
        }
        open.insert((shardset, version), Arc::clone(&manifest));
        Ok(manifest)
    }

    /// Removes what belongs to a shardset, but for the manifests in `kept` and the indexes that they name. What cannot be
    /// removed stays.
    pub(crate) fn remove(&self, shardset: ShardsetId, kept: &[(u64, u128)]) {
        let mut names: HashSet<String> = HashSet::new();
        for (version, hash) in kept {
            names.insert(format!("{shardset}-{version}"));
            let Ok(manifest) = self.load(shardset, *version, *hash) else { return };
            let indexes = manifest.files.iter().flat_map(|file| [&file.uid_index, &file.member_index]);
            names.extend(indexes.filter_map(|name| Some(name.split_once(':')?.0.to_owned())));
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(of, version), _| *of != shardset || kept.iter().any(|(kept, _)| kept == version));
        drop(open);
        let prefix = format!("{shardset}-");
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&prefix) && !names.contains(&name) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }

    fn path(&self, shardset: ShardsetId, version: u64) -> PathBuf {
        self.directory.join(format!("{shardset}-{version}"))
    }
}

fn failed(path: &Path, error: &std::io::Error) -> NodeError {
    NodeError::Manifest(format!("{}: {error}", path.display()))
}

/// Of a file's name, `SHARDSET-VERSION` with or without an extension.
fn version_in(name: &str, shardset: ShardsetId) -> Option<u64> {
    let rest = name.strip_prefix(&format!("{shardset}-"))?;
    rest.split_once('.').map_or(rest, |(version, _)| version).parse().ok()
}

#[cfg(test)]
mod tests;
