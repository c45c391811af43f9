//! The side that has the data. A session holds one snapshot and its files, so that merges and checkpoints go on beside
//! it; what they remove takes its space until the session ends.

use super::error::SnapshotError;
use super::messages::{Offer, PIECE_BYTES_MAX, Piece, SNAPSHOT_BYTES_MAX, encode_piece};
use crate::group_state::{checkpoint_payload, split_payload};
use bytes::Bytes;
use lavandin_group::{Position, Snapshot};
use lavandin_shard::{HeldFile, hold_files, with_folder};
use lavandin_storage::Directory;
use lavandin_types::{GroupId, NodeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;
use xxhash_rust::xxh3::xxh3_128;

/// Sessions that a group has at most.
const SESSIONS_MAX: usize = 2;
/// A session that was not asked for anything for so long is over.
const IDLE: Duration = Duration::from_secs(60);
/// How often files are looked for again where a newer checkpoint has just replaced the one that names them.
const ATTEMPTS: u32 = 5;

/// The snapshots that this node is sending.
#[derive(Default)]
pub(crate) struct SnapshotSource {
    sessions: Mutex<HashMap<u64, Session>>,
}

struct Session {
    group: GroupId,
    node: NodeId,
    touched: Instant,
    content: Arc<Content>,
}

struct Content {
    position: Position,
    snapshot: Vec<u8>,
    files: Vec<HeldFile>,
}

impl SnapshotSource {
    /// Takes hold of the newest checkpoint of the copy in `directory`, and of its files, for `node`. An earlier session of
    /// that node ends. The log behind `Offer::sequence` is to be kept for it (`Replica::snapshot_taken`).
    pub(crate) async fn begin(
        &self,
        directory: Arc<dyn Directory>,
        group: GroupId,
        node: NodeId,
    ) -> Result<Offer, SnapshotError> {
        make_room(&mut self.sessions(), group, node)?;
        let held = spawn_blocking(move || hold(&directory, group)).await;
        let content = held.map_err(|_| SnapshotError::Stopping)??;
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|_| SnapshotError::Stopping)?;
        // A session of an earlier life of this process must not be taken for this one.
        let session = u64::from_le_bytes(bytes);
        let offer = Offer {
            session,
            group,
            sequence: content.position.sequence,
            snapshot_bytes: content.snapshot.len() as u64,
            snapshot_hash: xxh3_128(&content.snapshot),
            files: content.files.iter().map(|held| held.file).collect(),
        };
        let mut sessions = self.sessions();
        make_room(&mut sessions, group, node)?;
        sessions
            .insert(session, Session { group, node, touched: Instant::now(), content: Arc::new(content) });
        Ok(offer)
    }

    /// The answer's bytes. Past the end of a part there is nothing to ask for.
    pub(crate) async fn piece(&self, piece: Piece) -> Result<Bytes, SnapshotError> {
        let content = self.touch(piece.session)?;
        spawn_blocking(move || content.piece(piece)).await.map_err(|_| SnapshotError::Stopping)?
    }

    /// Lets go of what a session holds.
    pub(crate) fn end(&self, session: u64) {
        drop(self.sessions().remove(&session));
    }

    /// Ends the sessions that nobody has asked for long. To be called every few seconds.
    pub(crate) fn expire(&self, now: Instant) {
        expire(&mut self.sessions(), now);
    }

    fn touch(&self, session: u64) -> Result<Arc<Content>, SnapshotError> {
        let mut sessions = self.sessions();
        let session = sessions.get_mut(&session).ok_or(SnapshotError::SessionGone)?;
        session.touched = Instant::now();
        Ok(Arc::clone(&session.content))
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<u64, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn expire(sessions: &mut HashMap<u64, Session>, now: Instant) {
    sessions.retain(|_, session| now.saturating_duration_since(session.touched) < IDLE);
}

/// Ends the session that the node had of the group, which it has forgotten, and refuses one too many.
fn make_room(
    sessions: &mut HashMap<u64, Session>,
    group: GroupId,
    node: NodeId,
) -> Result<(), SnapshotError> {
    expire(sessions, Instant::now());
    sessions.retain(|_, session| (session.group, session.node) != (group, node));
    match sessions.values().filter(|session| session.group == group).count() {
        SESSIONS_MAX.. => Err(SnapshotError::Busy),
        _ => Ok(()),
    }
}

impl Content {
    fn piece(&self, piece: Piece) -> Result<Bytes, SnapshotError> {
        let bytes = match piece.part.checked_sub(1) {
            None => &self.snapshot[..],
            Some(file) => {
                let file = self.files.get(file as usize);
                file.ok_or(SnapshotError::BadRequest("it names a file that was not offered"))?.bytes()
            }
        };
        let start = usize::try_from(piece.offset).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(piece.length as usize)?));
        let asked =
            range.filter(|range| range.len() <= PIECE_BYTES_MAX as usize).and_then(|range| bytes.get(range));
        asked.map(encode_piece).ok_or(SnapshotError::BadRequest("it asks for what the file does not have"))
    }
}

/// The newest checkpoint that can be sent, with its files. The copy is at work meanwhile.
fn hold(directory: &Arc<dyn Directory>, group: GroupId) -> Result<Content, SnapshotError> {
    let mut attempt = 1;
    loop {
        let snapshot = Snapshot::newest(&**directory, group)?.ok_or(SnapshotError::NothingStored)?;
        match hold_snapshot(directory, group, snapshot) {
            Err(SnapshotError::Shard(_)) if attempt < ATTEMPTS => attempt += 1,
            held => return held,
        }
    }
}

fn hold_snapshot(
    directory: &Arc<dyn Directory>,
    group: GroupId,
    mut snapshot: Snapshot,
) -> Result<Content, SnapshotError> {
    let position = snapshot.position();
    let (iterations, shard) = split_payload(&snapshot.payload)?;
    let files = hold_files(directory, shard)?;
    // The other copy keeps the files in a folder of their own. Payloads of old versions cannot say so.
    let moved = with_folder(shard, position.sequence).ok_or(SnapshotError::NothingStored)?;
    snapshot.payload = match iterations {
        Some(iterations) => checkpoint_payload(iterations, &moved),
        None => moved,
    };
    let snapshot = snapshot.encode(group);
    if snapshot.len() as u64 > SNAPSHOT_BYTES_MAX {
        return Err(SnapshotError::BadRequest("the copy's state is larger than a snapshot may be"));
    }
    Ok(Content { position, snapshot, files })
}
