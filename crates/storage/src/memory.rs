//! [`Directory`] in memory, with simulated loss of power.
//!
//! Each file keeps its bytes twice: as a reader sees them, and as they were at the last sync, with the writes since.
//! Entries of folders likewise. [`MemoryDirectory::crash`] makes from that one of the states that a disk could show
//! after loss of power; the model is in `memory/crash.rs`.

mod crash;

use crate::directory::{is_file_name, is_folder_name, parent};
use crate::{Directory, File, Operation, Region, StorageError};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Files in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryDirectory {
    tree: Arc<Mutex<Tree>>,
    /// Crashes that it went through.
    crashes: u64,
}

#[derive(Debug, Default)]
struct Tree {
    /// The root is not listed.
    folders: BTreeSet<String>,
    entries: BTreeMap<String, Inode>,
    /// The entries that survive for certain.
    synced: BTreeMap<String, Inode>,
    /// What happened to entries since their folder was synced.
    changes: Vec<EntryChange>,
}

type Inode = Arc<Mutex<Content>>;

#[derive(Clone, Debug)]
enum EntryChange {
    Link { name: String, inode: Inode },
    Unlink { name: String },
    Rename { from: String, to: String, inode: Inode },
}

#[derive(Debug, Default)]
struct Content {
    live: Vec<u8>,
    /// The bytes that survive for certain.
    synced: Vec<u8>,
    /// What happened since.
    changes: Vec<ContentChange>,
}

#[derive(Clone, Debug)]
enum ContentChange {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

impl MemoryDirectory {
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets that un-synced writes of a file are un-synced, without making them durable: what an operating system
    /// does to dirty pages when a sync fails. Readers still see them until a crash.
    pub fn lose_unsynced(&self, name: &str) {
        if let Some(inode) = self.tree().entries.get(name) {
            lock(inode).changes.clear();
        }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        lock(&self.tree)
    }

    fn inode(&self, operation: Operation, name: &str) -> Result<Inode, StorageError> {
        check(operation, name, is_file_name(name))?;
        self.tree().entries.get(name).cloned().ok_or_else(|| not_found(operation, name))
    }
}

impl Tree {
    fn has_folder(&self, folder: &str) -> bool {
        folder.is_empty() || self.folders.contains(folder)
    }

    fn change(&mut self, change: EntryChange) {
        change.clone().apply(&mut self.entries);
        self.changes.push(change);
    }
}

impl EntryChange {
    /// The folder whose sync makes it durable.
    fn folder(&self) -> &str {
        match self {
            Self::Link { name, .. } | Self::Unlink { name } | Self::Rename { to: name, .. } => parent(name),
        }
    }

    fn apply(self, entries: &mut BTreeMap<String, Inode>) {
        match self {
            Self::Link { name, inode } => {
                entries.insert(name, inode);
            }
            Self::Unlink { name } => {
                entries.remove(&name);
            }
            Self::Rename { from, to, inode } => {
                entries.remove(&from);
                entries.insert(to, inode);
            }
        }
    }
}

impl ContentChange {
    fn apply(&self, target: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if target.len() < end {
                    target.resize(end, 0);
                }
                target[*offset..end].copy_from_slice(bytes);
            }
            Self::Truncate { len } => target.resize(*len, 0),
        }
    }
}

impl Directory for MemoryDirectory {
    fn create(&self, name: &str) -> Result<Box<dyn File>, StorageError> {
        check(Operation::Create, name, is_file_name(name))?;
        let mut tree = self.tree();
        if !tree.has_folder(parent(name)) {
            return Err(not_found(Operation::Create, name));
        }
        if tree.entries.contains_key(name) || tree.folders.contains(name) {
            return Err(StorageError::AlreadyExists { operation: Operation::Create, file: name.to_owned() });
        }
        let inode = Inode::default();
        tree.change(EntryChange::Link { name: name.to_owned(), inode: Arc::clone(&inode) });
        Ok(Box::new(MemoryFile { inode, name: name.to_owned() }))
    }

    fn open(&self, name: &str) -> Result<Box<dyn File>, StorageError> {
        let inode = self.inode(Operation::Open, name)?;
        Ok(Box::new(MemoryFile { inode, name: name.to_owned() }))
    }

    fn map(&self, name: &str) -> Result<Region, StorageError> {
        let inode = self.inode(Operation::Map, name)?;
        Ok(Region::copied_from(&lock(&inode).live))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        check(Operation::Rename, to, is_file_name(to))?;
        let inode = self.inode(Operation::Rename, from)?;
        let mut tree = self.tree();
        if !tree.has_folder(parent(to)) {
            return Err(not_found(Operation::Rename, to));
        }
        tree.change(EntryChange::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.inode(Operation::Remove, name)?;
        self.tree().change(EntryChange::Unlink { name: name.to_owned() });
        Ok(())
    }

    fn remove_dir(&self, folder: &str) -> Result<(), StorageError> {
        check(Operation::Remove, folder, is_file_name(folder))?;
        if !self.list(folder)?.is_empty() {
            let source = Arc::new(io::Error::from(io::ErrorKind::DirectoryNotEmpty));
            return Err(StorageError::Io { operation: Operation::Remove, file: folder.to_owned(), source });
        }
        self.tree().folders.remove(folder);
        Ok(())
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, StorageError> {
        check(Operation::List, folder, is_folder_name(folder))?;
        let tree = self.tree();
        if !tree.has_folder(folder) {
            return Err(not_found(Operation::List, folder));
        }
        let all = tree.entries.keys().chain(&tree.folders);
        let mut names: Vec<_> = all
            .filter(|name| parent(name) == folder)
            .map(|name| name.rsplit('/').next().unwrap_or(name).to_owned())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir_all(&self, folder: &str) -> Result<(), StorageError> {
        check(Operation::CreateDir, folder, is_folder_name(folder))?;
        let mut tree = self.tree();
        let mut above = folder;
        while !above.is_empty() {
            if tree.entries.contains_key(above) {
                let source = Arc::new(io::Error::from(io::ErrorKind::NotADirectory));
                return Err(StorageError::Io {
                    operation: Operation::CreateDir,
                    file: above.to_owned(),
                    source,
                });
            }
            tree.folders.insert(above.to_owned());
            above = parent(above);
        }
        Ok(())
    }

    fn sync_dir(&self, folder: &str) -> Result<(), StorageError> {
        check(Operation::SyncDir, folder, is_folder_name(folder))?;
        let mut tree = self.tree();
        if !tree.has_folder(folder) {
            return Err(not_found(Operation::SyncDir, folder));
        }
        let Tree { synced, changes, .. } = &mut *tree;
        changes.retain(|change| {
            let here = change.folder() == folder;
            if here {
                change.clone().apply(synced);
            }
            !here
        });
        Ok(())
    }

    fn exists(&self, name: &str) -> Result<bool, StorageError> {
        check(Operation::Stat, name, is_folder_name(name))?;
        let tree = self.tree();
        Ok(tree.entries.contains_key(name) || tree.has_folder(name))
    }

    fn len(&self, name: &str) -> Result<u64, StorageError> {
        let inode = self.inode(Operation::Stat, name)?;
        let len = lock(&inode).live.len();
        Ok(len as u64)
    }

    fn power_cycle(&self) -> Option<u128> {
        Some(u128::from(self.crashes) + 1)
    }
}

struct MemoryFile {
    inode: Inode,
    name: String,
}

impl MemoryFile {
    fn change(&mut self, change: ContentChange) {
        let mut content = lock(&self.inode);
        change.apply(&mut content.live);
        content.changes.push(change);
    }

    /// An offset as the position in memory that it is here.
    fn position(&self, operation: Operation, offset: u64) -> Result<usize, StorageError> {
        usize::try_from(offset)
            .ok()
            .filter(|position| *position <= isize::MAX as usize)
            .ok_or_else(|| StorageError::io(operation, &self.name, io::ErrorKind::FileTooLarge.into()))
    }
}

impl File for MemoryFile {
    fn len(&self) -> Result<u64, StorageError> {
        Ok(lock(&self.inode).live.len() as u64)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let offset = self.position(Operation::Write, offset)?;
        if !bytes.is_empty() {
            self.change(ContentChange::Write { offset, bytes: bytes.to_vec() });
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), StorageError> {
        let start = self.position(Operation::Read, offset)?;
        let content = lock(&self.inode);
        let source = content.live.get(start..).and_then(|rest| rest.get(..bytes.len()));
        let source = source.ok_or_else(|| {
            StorageError::io(Operation::Read, &self.name, io::ErrorKind::UnexpectedEof.into())
        })?;
        bytes.copy_from_slice(source);
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> Result<(), StorageError> {
        let len = self.position(Operation::Truncate, len)?;
        self.change(ContentChange::Truncate { len });
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        let mut content = lock(&self.inode);
        let Content { synced, changes, .. } = &mut *content;
        for change in changes.drain(..) {
            change.apply(synced);
        }
        Ok(())
    }
}

/// A thread that panicked in here left the tree as it was: every change is one statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(operation: Operation, name: &str, valid: bool) -> Result<(), StorageError> {
    match valid {
        true => Ok(()),
        false => Err(StorageError::InvalidName { operation, name: name.to_owned() }),
    }
}

fn not_found(operation: Operation, name: &str) -> StorageError {
    StorageError::NotFound { operation, file: name.to_owned() }
}

#[cfg(test)]
mod tests;
