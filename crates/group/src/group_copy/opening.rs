//! Opening a copy: the newest checkpoint, then the log behind it.

use super::{GroupCopy, GroupOptions, Recovery};
use crate::checkpoint::{self, Loaded};
use crate::consumer::Consumer;
use crate::error::GroupError;
use crate::log::Log;
use crate::promise;
use crate::request_table::RequestTable;
use crate::survey::{Survey, check_reach};
use lavandin_storage::Directory;
use lavandin_storage::wal::{FrameHead, Wal, WalOptions};
use lavandin_types::SequenceNumber;
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

const LOG: &str = "log";

impl<C: Consumer> GroupCopy<C> {
    /// Opens a copy that is alone: all of its log is committed, for nobody else can have acknowledged anything. It
    /// leads a new epoch, durable on return.
    pub fn open<E: Display>(
        directory: Arc<dyn Directory>,
        options: GroupOptions,
        make: impl FnOnce(Option<&[u8]>) -> Result<C, E>,
    ) -> Result<Self, GroupError> {
        let mut copy = Self::open_replica(directory, options, make)?;
        copy.advance(copy.log.last.sequence)?;
        copy.lead(copy.promised.max(copy.log.last.epoch).next())?;
        Ok(copy)
    }

    /// Opens one of several copies. `make` builds the consumer from the newest checkpoint's payload; by then it is
    /// certain that the log goes on from there.
    ///
    /// Only the checkpoint is applied: it was made of committed records. Whether those behind it are committed this copy
    /// cannot know by itself, and what is applied is never taken back. It learns it from the primary, or by becoming it.
    pub fn open_replica<E: Display>(
        directory: Arc<dyn Directory>,
        options: GroupOptions,
        make: impl FnOnce(Option<&[u8]>) -> Result<C, E>,
    ) -> Result<Self, GroupError> {
        let is_outcome = |bytes: &[u8]| C::decode_outcome(bytes).is_some();
        // A process that ended between renaming a checkpoint, or a promise, and syncing its name has left one that a loss
        // of power would still take back. What is done from here on counts on it.
        directory.sync_dir("")?;
        let found = checkpoint::load(&*directory, options.group, options.request_table_entries, is_outcome)?;
        let damage = found.damage;
        // Where an older checkpoint cannot stand in for a damaged one, the damage is what went wrong.
        let explain = |error| damage.clone().unwrap_or(error);
        let is_first = found.loaded.is_none();
        let loaded = found.loaded.unwrap_or_else(|| Loaded {
            requests: RequestTable::new(options.request_table_entries),
            ..Loaded::default()
        });
        let (wal, survey) = open_log(&directory, &options, &loaded, found.newest).map_err(explain)?;
        let payload = (!is_first).then_some(&loaded.payload[..]);
        let made = make(payload).map_err(|error| GroupError::Consumer(error.to_string()));
        let consumer = made.map_err(explain)?;
        checkpoint::remove_unfinished(&*directory)?;
        let promised = promise::load(&*directory)?.max(survey.end.epoch);
        let recovery = Recovery { cut: wal.cut().cloned(), damaged_checkpoint: damage };
        Ok(Self {
            log: Log::new(options.group, wal, survey.epochs, loaded.position, survey.end),
            directory,
            options,
            consumer,
            requests: loaded.requests,
            promised,
            reign: None,
            pending: HashMap::new(),
            applied: loaded.position,
            committed: loaded.position.sequence,
            detached: loaded.detached,
            pin: None,
            logged_bytes: survey.bytes,
            checkpointed_bytes: 0,
            recovery,
            poison: None,
        })
    }
}

/// Opens the log and surveys what stands behind the checkpoint.
fn open_log(
    directory: &Arc<dyn Directory>,
    options: &GroupOptions,
    loaded: &Loaded,
    newest: SequenceNumber,
) -> Result<(Wal, Survey), GroupError> {
    let start = loaded.position;
    let wal_options =
        WalOptions { segment_bytes_max: options.log_segment_bytes, durability: options.durability };
    let mut survey = Survey::new(options.group, start, loaded.epochs.clone());
    let check = |head: &FrameHead, payload: &[u8]| survey.see(head, payload);
    let mut wal = Wal::open(Arc::clone(directory), LOG, wal_options, check)?;
    if loaded.detached && wal.first().is_none_or(|first| first <= start.sequence) {
        // A snapshot replaced this log, and a crash kept it from going; or it is gone and nothing was logged since.
        wal.truncate_back(SequenceNumber::ZERO)?;
        return Ok((wal, survey.reset()));
    }
    check_reach(&wal, options.group, start.sequence, newest)?;
    Ok((wal, survey.finish()?))
}
