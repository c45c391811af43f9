//! Votes, log entries and the snapshot in one redb file.
//!
//! Layout (docs/formats/metadata.md): table `log` (index → entry), table `snapshot` (chunk number → bytes), table
//! `state` (name → row). Every row is sealed with a checksum of its own, because redb verifies pages only when it
//! recovers.
//!
//! What is relied upon: a commit is atomic and, when it returns, on disk. redb keeps the last two commits and goes
//! back to the older one where the newer is damaged; with a single voter the newer one may be all that knows of an
//! acknowledged command. So every write is committed twice, the second time changing nothing: whichever of the two
//! is opened, the write is there (docs/decisions/0003-metadata-on-openraft-and-redb.md). Only plain `insert`, `get`,
//! `range` and `retain_in` are used. After a failed write redb refuses all further ones until the file is opened
//! again, which is what a failed sync asks for.
//!
//! All calls block; `log_store` and `state_machine` move writes off the async threads.

use crate::directory::DirectoryId;
use crate::raft_types::{Entry, LogId, Membership, Payload, SnapshotMeta, Vote};
use crate::row::{self, RowError};
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};
use std::fs::TryLockError;
use std::ops::{Bound, RangeBounds};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};
use std::{fs, io};
use thiserror::Error;

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const SNAPSHOT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("snapshot");
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");

const NODE: &str = "node";
const DIRECTORY: &str = "directory";
const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";
const SNAPSHOT_META: &str = "snapshot";
/// Without content: what the second commit of a write writes.
const TWIN: &str = "twin";

/// Snapshots are cut, so that redb never needs one large free range.
const CHUNK_BYTES: usize = 256 << 10;
/// Read and written at once when a file is written again.
const COPY_BYTES: usize = 1 << 20;
/// The catalogue is in memory anyway; what is read again are the last entries.
const CACHE_BYTES: usize = 2 << 20;

/// Why the store cannot do what it was asked.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    #[error("another process has it open")]
    InUse,
    #[error("it is closed")]
    Closed,
    #[error("{what} cannot be read: {source}")]
    Row { what: String, source: RowError },
    #[error("{0}")]
    Corrupt(String),
    #[error("it belongs to node {stored}")]
    WrongNode { stored: u64 },
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Database(Box<redb::Error>),
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                from_redb(error.into())
            }
        }
    )*};
}

from_redb!(
    redb::CommitError,
    redb::DatabaseError,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError
);

fn from_redb(error: redb::Error) -> StoreError {
    match error {
        redb::Error::DatabaseAlreadyOpen => StoreError::InUse,
        redb::Error::Corrupted(reason) => StoreError::Corrupt(reason),
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            StoreError::Corrupt(error.to_string())
        }
        redb::Error::Io(error) => StoreError::Io(error),
        other => StoreError::Database(Box::new(other)),
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io(error) => error,
            other => Self::other(other),
        }
    }
}

/// What a file was found to hold.
pub(crate) struct Verified {
    /// The number of log entries.
    pub(crate) entries: u64,
    /// The newest membership; an empty one where there is none.
    pub(crate) membership: Membership,
}

/// The file. Closed once, by `close` or by the drop of the last holder.
pub(crate) struct Store {
    directory: DirectoryId,
    database: RwLock<Option<Database>>,
    /// The last committed entry as openraft told it. It is written along with whatever is written next: a commit
    /// of its own would double the cost of a command, and a sole voter's log is committed as a whole anyway.
    committed: Mutex<Option<LogId>>,
}

/// Writes a file's bytes over themselves, and syncs them: after a sync that failed the system may show a process what the disk
/// does not hold, and take it for written. Not while another process has it open, as the library's own lock says.
fn write_again(path: &Path) -> Result<(), StoreError> {
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => StoreError::InUse,
        TryLockError::Error(error) => error.into(),
    })?;
    let mut bytes = vec![0; COPY_BYTES];
    let mut offset = 0;
    loop {
        let read = file.read_at(&mut bytes, offset)?;
        if read == 0 {
            return Ok(file.sync_all()?);
        }
        file.write_all_at(&bytes[..read], offset)?;
        offset += read as u64;
    }
}

impl Store {
    /// Opens the file of a node, or creates it. A file that exists is complete: it is made under another name.
    /// The caller sees to it that no other process creates it at the same time (the data directory's lock).
    pub(crate) fn open(path: &Path, node: u64) -> Result<Self, StoreError> {
        if !path.try_exists()? {
            let unfinished = path.with_extension("redb.new");
            match fs::remove_file(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            Self::new(builder().create(&unfinished)?, node)?.close();
            fs::rename(&unfinished, path)?;
        } else {
            write_again(path)?;
        }
        // Of the file and of its folder, whoever made them: an earlier process may have ended before their names were durable.
        for folder in path.ancestors().skip(1).take(2).filter(|folder| !folder.as_os_str().is_empty()) {
            fs::File::open(folder)?.sync_all()?;
        }
        Self::new(builder().open(path)?, node)
    }

    /// The same over other bytes than a file's.
    #[cfg(test)]
    pub(crate) fn open_backend(backend: impl redb::StorageBackend, node: u64) -> Result<Self, StoreError> {
        Self::new(builder().create_with_backend(backend)?, node)
    }

    fn new(mut database: Database, node: u64) -> Result<Self, StoreError> {
        if !database.check_integrity()? {
            tracing::warn!("the metadata file's free space was recounted");
        }
        let drawn = DirectoryId::random().map_err(|error| io::Error::other(error.to_string()))?;
        let mut store =
            Self { directory: drawn, database: RwLock::new(Some(database)), committed: Mutex::new(None) };
        store.identify(node)?;
        *store.lock_committed() = store.last_committed()?;
        Ok(store)
    }

    /// Checks whose file it is, and its id; writes what is missing.
    fn identify(&mut self, node: u64) -> Result<(), StoreError> {
        if let Some(stored) = self.state_row(NODE, row::decode_number)?.filter(|stored| *stored != node) {
            return Err(StoreError::WrongNode { stored });
        }
        if let Some(directory) = self.state_row(DIRECTORY, row::decode_directory)? {
            self.directory = directory;
            return Ok(());
        }
        // A new file, or one of a version that gave it no id.
        self.write(|transaction| {
            transaction.open_table(LOG)?;
            transaction.open_table(SNAPSHOT)?;
            put_state(transaction, DIRECTORY, &self.directory.to_le_bytes())?;
            put_state(transaction, NODE, &node.to_le_bytes())
        })
    }

    /// The last entry that is known to be committed, if the log reaches it: with several voters an entry may be
    /// committed before it is written here.
    fn last_committed(&self) -> Result<Option<LogId>, StoreError> {
        let committed = self.state_row(COMMITTED, row::decode_log_id)?;
        let written = self.last_log_id()?.max(self.purged()?);
        Ok(committed.filter(|committed| Some(committed.index) <= written.map(|id| id.index)))
    }

    /// What tells this file from any other that its node ever had.
    pub(crate) fn directory(&self) -> DirectoryId {
        self.directory
    }

    /// Waits for what is under way and closes the file; everything afterwards fails.
    pub(crate) fn close(&self) {
        drop(self.database.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    pub(crate) fn vote(&self) -> Result<Option<Vote>, StoreError> {
        self.state_row(VOTE, row::decode_vote)
    }

    pub(crate) fn save_vote(&self, vote: &Vote) -> Result<(), StoreError> {
        self.write(|transaction| put_state(transaction, VOTE, &row::encode_vote(vote)))
    }

    pub(crate) fn committed(&self) -> Option<LogId> {
        *self.lock_committed()
    }

    /// Kept for the next write.
    pub(crate) fn set_committed(&self, committed: Option<LogId>) {
        *self.lock_committed() = committed;
    }

    pub(crate) fn purged(&self) -> Result<Option<LogId>, StoreError> {
        self.state_row(PURGED, row::decode_log_id)
    }

    /// The last entry that is there.
    pub(crate) fn last_log_id(&self) -> Result<Option<LogId>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(LOG)?;
            let last = table.iter()?.next_back().transpose()?;
            let entry = last.map(|(index, row)| decode_entry(index.value(), row.value())).transpose()?;
            Ok(entry.map(|entry| entry.log_id))
        })
    }

    /// The entries of a range that are there; a hole between them is an error.
    pub(crate) fn entries(&self, range: impl RangeBounds<u64>) -> Result<Vec<Entry>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(LOG)?;
            let mut entries: Vec<Entry> = Vec::new();
            for row in table.range(range)? {
                let (index, row) = row?;
                let entry = decode_entry(index.value(), row.value())?;
                if entries.last().is_some_and(|last| last.log_id.index + 1 != entry.log_id.index) {
                    return Err(StoreError::Corrupt(format!(
                        "log entries before {} are missing",
                        index.value()
                    )));
                }
                entries.push(entry);
            }
            Ok(entries)
        })
    }

    pub(crate) fn append(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(LOG)?;
            for entry in entries {
                let index = entry.log_id.index;
                let row = row::seal(&index.to_le_bytes(), &row::encode_entry(entry));
                table.insert(index, row.as_slice())?;
            }
            Ok(())
        })
    }

    /// Removes the entries after an index; `None` for all.
    pub(crate) fn truncate_after(&self, index: Option<u64>) -> Result<(), StoreError> {
        let start = index.map_or(Bound::Unbounded, Bound::Excluded);
        self.write(|transaction| {
            transaction.open_table(LOG)?.retain_in((start, Bound::Unbounded), |_, _| false)?;
            Ok(())
        })
    }

    /// Removes the entries up to and with an id, and remembers it.
    pub(crate) fn purge(&self, upto: &LogId) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.open_table(LOG)?.retain_in(..=upto.index, |_, _| false)?;
            put_state(transaction, PURGED, &row::encode_log_id(upto))
        })
    }

    /// Replaces the snapshot.
    pub(crate) fn save_snapshot(&self, meta: &SnapshotMeta, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(SNAPSHOT)?;
            table.retain_in(0.., |_, _| false)?;
            for (number, chunk) in (0u64..).zip(bytes.chunks(CHUNK_BYTES)) {
                table.insert(number, row::seal(&number.to_le_bytes(), chunk).as_slice())?;
            }
            put_state(transaction, SNAPSHOT_META, &row::encode_snapshot_meta(meta, bytes.len() as u64))
        })
    }

    pub(crate) fn snapshot(&self) -> Result<Option<(SnapshotMeta, Vec<u8>)>, StoreError> {
        let Some((meta, length)) = self.state_row(SNAPSHOT_META, row::decode_snapshot_meta)? else {
            return Ok(None);
        };
        let bytes = self.read(|transaction| {
            let mut bytes = Vec::new();
            for row in transaction.open_table(SNAPSHOT)?.iter()? {
                let (number, row) = row?;
                let chunk = row::open(&number.value().to_le_bytes(), row.value());
                bytes.extend_from_slice(chunk.map_err(|error| corrupt("the snapshot", error))?);
            }
            Ok(bytes)
        })?;
        if bytes.len() as u64 != length {
            return Err(corrupt("the snapshot", RowError::Truncated));
        }
        Ok(Some((meta, bytes)))
    }

    /// Reads everything once, so that damage is reported at the start and not in the middle of work.
    pub(crate) fn verify(&self) -> Result<Verified, StoreError> {
        self.vote()?;
        let purged = self.purged()?;
        let snapshot = self.state_row(SNAPSHOT_META, row::decode_snapshot_meta)?;
        if purged > snapshot.as_ref().and_then(|(meta, _)| meta.last_log_id) {
            return Err(StoreError::Corrupt("the log was shortened beyond its snapshot".to_owned()));
        }
        let entries = self.entries(..)?;
        let next = purged.map_or(0, |id| id.index + 1);
        if entries.first().is_some_and(|first| first.log_id.index != next) {
            return Err(StoreError::Corrupt(format!("log entries from {next} on are missing")));
        }
        let count = entries.len() as u64;
        let logged = entries.into_iter().rev().find_map(|entry| match entry.payload {
            Payload::Membership(membership) => Some(membership),
            _ => None,
        });
        let membership = logged.or(snapshot.map(|(meta, _)| meta.last_membership.membership().clone()));
        Ok(Verified { entries: count, membership: membership.unwrap_or_default() })
    }

    /// Keeps every other write waiting until it is dropped.
    #[cfg(test)]
    pub(crate) fn stall(&self) -> WriteTransaction {
        self.database.read().unwrap().as_ref().unwrap().begin_write().unwrap()
    }

    fn state(&self, name: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|transaction| {
            let table = match transaction.open_table(STATE) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
                other => other?,
            };
            let Some(row) = table.get(name)? else {
                return Ok(None);
            };
            let body = row::open(name.as_bytes(), row.value());
            Ok(Some(body.map_err(|error| corrupt(name, error))?.to_vec()))
        })
    }

    fn state_row<T>(
        &self,
        name: &'static str,
        decode: impl FnOnce(&[u8]) -> Result<T, RowError>,
    ) -> Result<Option<T>, StoreError> {
        let body = self.state(name)?;
        body.map(|body| decode(&body).map_err(|error| corrupt(name, error))).transpose()
    }

    fn read<T>(&self, body: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        body(&database.as_ref().ok_or(StoreError::Closed)?.begin_read()?)
    }

    /// One durable change, in both of the commits that the file keeps.
    fn write(
        &self,
        body: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(StoreError::Closed)?;
        let transaction = database.begin_write()?;
        body(&transaction)?;
        if let Some(committed) = self.committed() {
            put_state(&transaction, COMMITTED, &row::encode_log_id(&committed))?;
        }
        transaction.commit()?;
        let twin = database.begin_write()?;
        put_state(&twin, TWIN, &[])?;
        Ok(twin.commit()?)
    }

    fn lock_committed(&self) -> std::sync::MutexGuard<'_, Option<LogId>> {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn put_state(transaction: &WriteTransaction, name: &'static str, body: &[u8]) -> Result<(), StoreError> {
    let row = row::seal(name.as_bytes(), body);
    transaction.open_table(STATE)?.insert(name, row.as_slice())?;
    Ok(())
}

fn decode_entry(index: u64, row: &[u8]) -> Result<Entry, StoreError> {
    let body = row::open(&index.to_le_bytes(), row);
    let entry = body.and_then(|body| row::decode_entry(index, body));
    entry.map_err(|error| corrupt(&format!("log entry {index}"), error))
}

fn corrupt(what: &str, source: RowError) -> StoreError {
    StoreError::Row { what: what.to_owned(), source }
}

#[cfg(test)]
pub(crate) mod faulty;
#[cfg(test)]
mod tests;
