//! Manifests on the disk, in `manifests/` of the data directory: immutable, and synced before the catalogue names them.
//! One is `SHARDSET-VERSION-HASH`. The indexes of the files that one sync read lie beside it, one after the other in
//! `SHARDSET-VERSION-RANDOM.indexes`; a manifest names each as `FILE:OFFSET:LENGTH`. So no two files of one name differ,
//! whatever node wrote them, and a node that lacks one takes it from any that has it (`stored_files`).
//!
//! What must be kept is said by the catalogue and by the iterations (`manifest_keeper`).

use crate::datasets::stored_files::StoredFiles;
use crate::error::NodeError;
use lavandin_cluster::ManifestRef;
use lavandin_feed::manifest::Manifest;
use lavandin_storage::create_folders;
use lavandin_types::ShardsetId;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::Xxh3;

/// Manifests kept open; those that nobody uses go first.
const OPEN_MAX: usize = 64;
/// How files end that are being written.
const UNFINISHED: &str = ".new";

pub(crate) struct Manifests {
    directory: PathBuf,
    others: StoredFiles,
    open: Mutex<HashMap<Named, Arc<Manifest>>>,
    /// The files that the indexes of manifests are in.
    indexes: Mutex<HashMap<Named, Arc<BTreeSet<String>>>>,
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
        let mut pinned = lock(&self.pinned);
        for key in &self.kept {
            if let Some(count) = pinned.get_mut(key) {
                *count -= 1;
            }
        }
        pinned.retain(|_, count| *count > 0);
    }
}

impl Manifests {
    /// In a data directory; what is not here is looked for on other nodes. The folder is made when something is stored.
    /// Blocks.
    pub(crate) fn open(data_dir: &Path, others: StoredFiles) -> Result<Self, NodeError> {
        let directory = data_dir.join("manifests");
        let (open, indexes, pinned) = (Mutex::default(), Mutex::default(), Arc::default());
        let manifests = Self { directory, others, open, indexes, pinned };
        manifests.move_in(&data_dir.join("groups").join("1").join("manifests"))?;
        for name in manifests.names()?.iter().filter(|name| name.ends_with(UNFINISHED)) {
            drop(fs::remove_file(manifests.directory.join(name)));
        }
        Ok(manifests)
    }

    /// Earlier versions of this program kept manifests in the folder of group 1, without a hash in their names.
    fn move_in(&self, former: &Path) -> Result<(), NodeError> {
        let Ok(entries) = fs::read_dir(former) else { return Ok(()) };
        let move_all = || -> std::io::Result<()> {
            create_folders(&self.directory)?;
            for entry in entries {
                let entry = entry?;
                let mut name = entry.file_name().to_string_lossy().into_owned();
                if !name.contains('.') {
                    name = format!("{name}-{:032x}", Manifest::hash(&fs::read(entry.path())?));
                }
                fs::rename(entry.path(), self.directory.join(name))?;
            }
            File::open(&self.directory)?.sync_all()?;
            fs::remove_dir(former)
        };
        move_all().map_err(|error| failed(former, &error))
    }

    /// Keeps these until the pins are dropped, if nobody has begun to remove them: whoever pins looks afterwards whether
    /// the catalogue still names them.
    pub(crate) fn pin(&self, kept: Vec<Named>) -> Pins {
        let mut pinned = lock(&self.pinned);
        kept.iter().for_each(|key| *pinned.entry(*key).or_default() += 1);
        Pins { pinned: Arc::clone(&self.pinned), kept }
    }

    /// What is pinned. To be asked before the catalogue and the iterations are.
    pub(crate) fn pinned(&self) -> HashSet<Named> {
        lock(&self.pinned).keys().copied().collect()
    }

    /// A version that no file here has, above the catalogue's: one that was written may be named at any time, as long as
    /// nobody knows what became of the proposal to.
    pub(crate) fn next_version(&self, shardset: ShardsetId, current: u64) -> Result<u64, NodeError> {
        create_folders(&self.directory).map_err(|error| failed(&self.directory, &error))?;
        let written = self.names()?.into_iter().filter_map(|name| parse_name(&name));
        let highest = written.filter(|(of, _)| *of == shardset).map(|(_, version)| version).max();
        Ok(highest.unwrap_or(0).max(current) + 1)
    }

    /// Writes a manifest; on return it survives a crash.
    pub(crate) fn store(
        &self,
        shardset: ShardsetId,
        version: u64,
        manifest: &Manifest,
    ) -> Result<ManifestRef, NodeError> {
        let encoded = manifest.encode();
        let hash = Manifest::hash(&encoded);
        self.write(&manifest_name((shardset, version, hash)), |file| file.write_all(&encoded))?;
        Ok(ManifestRef {
            version,
            hash,
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
        let file_name = format!("{shardset}-{version}-{:032x}.indexes", crate::identity::random()?);
        let mut names = Vec::with_capacity(indexes.len());
        let mut offset = 0;
        for index in indexes {
            let name = format!("{file_name}:{offset}:{}", index.len());
            names.push(if index.is_empty() { String::new() } else { name });
            offset += index.len() as u64;
        }
        if offset > 0 {
            self.write(&file_name, |file| indexes.iter().try_for_each(|index| file.write_all(index)))?;
        }
        Ok(names)
    }

    /// Writes a file whole, under its name at the end; on return it survives a crash.
    fn write(
        &self,
        name: &str,
        content: impl FnOnce(&mut std::io::BufWriter<File>) -> std::io::Result<()>,
    ) -> Result<(), NodeError> {
        let path = self.directory.join(name);
        // A name of its own: two may be writing the same file.
        let random = crate::identity::random()?;
        let unfinished = self.directory.join(format!("{name}.{random:032x}{UNFINISHED}"));
        let write = || -> std::io::Result<()> {
            create_folders(&self.directory)?;
            let mut file = std::io::BufWriter::new(File::create(&unfinished)?);
            content(&mut file)?;
            file.into_inner()?.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|error| {
            drop(fs::remove_file(&unfinished));
            failed(&path, &error)
        })
    }

    /// Reads an index by its name. Blocks, as what follows, for as long as it takes to get it from another node.
    pub(crate) fn load_index(&self, name: &str) -> Result<Vec<u8>, NodeError> {
        let unknown = || NodeError::Manifest(format!("{name:?} names no index"));
        let (file, offset, length) = parse_index(name).ok_or_else(unknown)?;
        let path = self.directory.join(file);
        if !path.exists() {
            self.fetch(file)?;
        }
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
        let named = (shardset, version, hash);
        if let Some(manifest) = lock(&self.open).get(&named) {
            return Ok(Arc::clone(manifest));
        }
        let path = self.directory.join(manifest_name(named));
        let is_right = |encoded: &Vec<u8>| Manifest::hash(encoded) == hash;
        let encoded = match fs::read(&path) {
            Ok(encoded) if is_right(&encoded) => encoded,
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&path, &error)),
            // Away, or damaged.
            _ => {
                self.fetch(&manifest_name(named))?;
                fs::read(&path).map_err(|error| failed(&path, &error))?
            }
        };
        if !is_right(&encoded) {
            let text = format!("{} is not the manifest that was written", path.display());
            return Err(NodeError::Manifest(text));
        }
        let manifest = Manifest::decode(&encoded)
            .map_err(|error| NodeError::Manifest(format!("{}: {error}", path.display())))?;
        let manifest = Arc::new(manifest);
        let mut open = lock(&self.open);
        if open.len() >= OPEN_MAX {
            open.retain(|_, manifest| Arc::strong_count(manifest) > 1);
        }
        open.insert(named, Arc::clone(&manifest));
        Ok(manifest)
    }

    /// Makes sure that a manifest and its indexes are here and survive a crash.
    pub(crate) fn ensure(&self, (shardset, version, hash): Named) -> Result<(), NodeError> {
        let manifest = self.load(shardset, version, hash)?;
        for file in index_files(&manifest) {
            if !self.directory.join(&file).exists() {
                self.fetch(&file)?;
            }
        }
        Ok(())
    }

    /// Takes a file from another node, the first that has it whole. On return it survives a crash.
    fn fetch(&self, name: &str) -> Result<(), NodeError> {
        let expected = manifest_hash(name);
        self.others.first_of(name, |pieces| {
            self.write(name, |file| {
                let mut hash = Xxh3::new();
                for piece in pieces {
                    let piece = piece.map_err(std::io::Error::other)?;
                    hash.update(&piece);
                    file.write_all(&piece)?;
                }
                match expected.is_none_or(|expected| hash.digest128() == expected) {
                    true => Ok(()),
                    false => Err(std::io::Error::other("it is damaged there")),
                }
            })
        })
    }

    /// A part of a file for another node, and how long the whole is; `None` for a name that is none of these files'. Blocks.
    pub(crate) fn piece(
        &self,
        name: &str,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<(u64, Vec<u8>)>, NodeError> {
        if parse_name(name).is_none() || name.contains(['/', '\\']) || name.ends_with(UNFINISHED) {
            return Ok(None);
        }
        let path = self.directory.join(name);
        let read = || -> std::io::Result<(u64, Vec<u8>)> {
            let file = File::open(&path)?;
            let length = file.metadata()?.len();
            let left = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
            let mut bytes = vec![0; left.min(bytes_max)];
            file.read_exact_at(&mut bytes, offset)?;
            Ok((length, bytes))
        };
        match read() {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// The files here that belong to none of these manifests; `current` has the version that the catalogue names of each
    /// shardset: newer ones may be named in a moment.
    pub(crate) fn unused(
        &self,
        used: &HashSet<Named>,
        current: &HashMap<ShardsetId, u64>,
    ) -> Result<BTreeSet<String>, NodeError> {
        let names = self.names()?;
        let mut kept: HashSet<String> = HashSet::new();
        // Whose indexes are not known.
        let mut unread: HashSet<ShardsetId> = HashSet::new();
        for named in used.iter().filter(|named| names.contains(&manifest_name(**named))) {
            kept.insert(manifest_name(*named));
            match self.indexes_of(*named) {
                Some(indexes) => kept.extend(indexes.iter().cloned()),
                None => drop(unread.insert(named.0)),
            }
        }
        lock(&self.indexes).retain(|named, _| used.contains(named));
        let is_unused = |name: &String| {
            let is_coming = |of, version| current.get(&of).is_some_and(|current| version > *current);
            let is_free = |(of, version)| !is_coming(of, version) && !unread.contains(&of);
            // What is being written is removed at the next start, if it is left.
            !name.ends_with(UNFINISHED) && !kept.contains(name) && parse_name(name).is_some_and(is_free)
        };
        Ok(names.into_iter().filter(is_unused).collect())
    }

    /// The files that a manifest's indexes are in; `None` if it cannot be read. Only what is here is looked at.
    fn indexes_of(&self, named: Named) -> Option<Arc<BTreeSet<String>>> {
        if let Some(known) = lock(&self.indexes).get(&named) {
            return Some(Arc::clone(known));
        }
        let encoded = fs::read(self.directory.join(manifest_name(named))).ok()?;
        let manifest = Manifest::decode(&encoded).ok().filter(|_| Manifest::hash(&encoded) == named.2)?;
        let indexes = Arc::new(index_files(&manifest));
        lock(&self.indexes).insert(named, Arc::clone(&indexes));
        Some(indexes)
    }

    /// Removes files. What cannot be removed stays.
    pub(crate) fn remove<'a>(&self, names: impl IntoIterator<Item = &'a String>) {
        let names: HashSet<&String> = names.into_iter().collect();
        lock(&self.open).retain(|named, _| !names.contains(&manifest_name(*named)));
        for name in names {
            drop(fs::remove_file(self.directory.join(name)));
        }
    }

    fn names(&self) -> Result<HashSet<String>, NodeError> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashSet::new()),
            Err(error) => return Err(failed(&self.directory, &error)),
        };
        let name =
            |entry: std::io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        let names: std::io::Result<HashSet<String>> = entries.map(name).collect();
        names.map_err(|error| failed(&self.directory, &error))
    }
}

fn failed(path: &Path, error: &std::io::Error) -> NodeError {
    NodeError::Manifest(format!("{}: {error}", path.display()))
}

fn manifest_name((shardset, version, hash): Named) -> String {
    format!("{shardset}-{version}-{hash:032x}")
}

/// Of a manifest's name.
fn manifest_hash(name: &str) -> Option<u128> {
    let (_, hash) = name.rsplit_once('-').filter(|_| !name.contains('.'))?;
    u128::from_str_radix(hash, 16).ok().filter(|_| hash.len() == 32)
}

/// The files that the manifest's indexes are in.
fn index_files(manifest: &Manifest) -> BTreeSet<String> {
    let indexes = manifest.files.iter().flat_map(|file| [&file.uid_index, &file.member_index]);
    indexes.filter_map(|name| Some(parse_index(name)?.0.to_owned())).collect()
}

/// File, offset and length of an index.
fn parse_index(name: &str) -> Option<(&str, u64, usize)> {
    let mut parts = name.split(':');
    let (file, offset, length) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (parts.next().is_none() && !file.contains(['/', '\\'])).then_some((file, offset, length))
}

/// The shardset and the version that a file belongs to.
fn parse_name(name: &str) -> Option<(ShardsetId, u64)> {
    let (stem, _) = name.split_once('.').unwrap_or((name, ""));
    let mut parts = stem.splitn(4, '-');
    let shardset = format!("{}-{}", parts.next()?, parts.next()?).parse().ok()?;
    Some((shardset, parts.next()?.parse().ok()?))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
