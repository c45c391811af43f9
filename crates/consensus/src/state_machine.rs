//! The catalogue as openraft's state machine.
//!
//! 1. `apply` takes a batch of entries, applies each command to a copy of the catalogue (shared entries make that
//!    cheap), publishes the copy once and only then answers: who got an answer finds its change in the catalogue.
//! 2. The catalogue itself is only in memory. What is on disk is the log and, every so often, a snapshot; a start
//!    loads the snapshot and applies the entries after it.
//! 3. A snapshot is encoded and written on a blocking thread from a value that no longer changes.

use crate::log_store::blocking;
use crate::raft_types::{LogId, Outcome, Payload, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use crate::store::{Store, StoreError};
use arc_swap::ArcSwap;
use futures_util::{Stream, TryStreamExt};
use lavandin_cluster::{Catalogue, DecodeError, Reply};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};
use std::io;
use std::sync::Arc;
use tokio::sync::watch;

/// What readers see.
pub(crate) struct Published {
    pub(crate) catalogue: ArcSwap<Catalogue>,
    /// The index of the last applied entry plus one, so that 0 is "none".
    pub(crate) applied: watch::Sender<u64>,
}

/// What applying changes.
#[derive(Clone, Default)]
struct State {
    catalogue: Arc<Catalogue>,
    last_applied: Option<LogId>,
    membership: StoredMembership,
}

pub(crate) struct StateMachine {
    store: Arc<Store>,
    state: State,
    published: Arc<Published>,
}

/// Why a stored snapshot cannot be loaded.
pub(crate) enum LoadError {
    Store(StoreError),
    Decode(DecodeError),
}

impl StateMachine {
    /// The state of the stored snapshot, or the empty one.
    pub(crate) fn load(store: Arc<Store>) -> Result<Self, LoadError> {
        let state = match store.snapshot().map_err(LoadError::Store)? {
            None => State::default(),
            Some((meta, bytes)) => State::restore(meta, &bytes).map_err(LoadError::Decode)?,
        };
        let published = Published {
            catalogue: ArcSwap::new(state.catalogue.clone()),
            applied: watch::Sender::new(next_index(state.last_applied)),
        };
        Ok(Self { store, state, published: Arc::new(published) })
    }

    pub(crate) fn published(&self) -> Arc<Published> {
        self.published.clone()
    }

    fn publish(&self) {
        self.published.catalogue.store(self.state.catalogue.clone());
        self.published.applied.send_replace(next_index(self.state.last_applied));
    }
}

impl State {
    fn restore(meta: SnapshotMeta, bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self {
            catalogue: Arc::new(Catalogue::decode(bytes)?),
            last_applied: meta.last_log_id,
            membership: meta.last_membership,
        })
    }

    fn apply(&mut self, log_id: LogId, payload: Payload) -> Outcome {
        self.last_applied = Some(log_id);
        match payload {
            Payload::Blank => Ok(Reply::Done),
            Payload::Normal(command) => Arc::make_mut(&mut self.catalogue).apply(command),
            Payload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(log_id), membership);
                Ok(Reply::Done)
            }
        }
    }
}

fn next_index(applied: Option<LogId>) -> u64 {
    applied.map_or(0, |id| id.index + 1)
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Vec<u8>;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.state.last_applied, self.state.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut answers: Vec<(ApplyResponder<TypeConfig>, Outcome)> = Vec::new();
        let mut failure = None;
        loop {
            match entries.try_next().await {
                Ok(None) => break,
                Ok(Some((entry, responder))) => {
                    let outcome = self.state.apply(entry.log_id, entry.payload);
                    answers.extend(responder.map(|responder| (responder, outcome)));
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        // Also after a failure: what was applied is committed.
        self.publish();
        for (responder, outcome) in answers {
            responder.send(outcome);
        }
        failure.map_or(Ok(()), Err)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder { store: self.store.clone(), state: self.state.clone() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Vec<u8>) -> io::Result<()> {
        let state = State::restore(meta.clone(), &snapshot).map_err(io::Error::other)?;
        let (store, meta) = (self.store.clone(), meta.clone());
        blocking(move || store.save_snapshot(&meta, &snapshot)).await?;
        self.state = state;
        self.publish();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let store = self.store.clone();
        let stored = blocking(move || store.snapshot()).await?;
        Ok(stored.map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// A state that no longer changes, to be written as a snapshot.
pub(crate) struct SnapshotBuilder {
    store: Arc<Store>,
    state: State,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = Vec<u8>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let (store, state) = (self.store.clone(), self.state.clone());
        blocking(move || {
            let snapshot = state.catalogue.encode();
            let meta = SnapshotMeta { last_log_id: state.last_applied, last_membership: state.membership };
            store.save_snapshot(&meta, &snapshot)?;
            Ok(Snapshot { meta, snapshot })
        })
        .await
    }
}
