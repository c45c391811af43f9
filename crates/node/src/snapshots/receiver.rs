//! The side that lacks the data.
//!
//! 1. An offer is asked for, then the snapshot, which must be ahead of this copy and name the files that are offered.
//! 2. What this disk has of the files is taken over (`incoming`).
//! 3. The rest is fetched, a few pieces at a time, in the order of the offer, as fast as the throttle allows. A file that is
//!    complete is synced and read against its checksum while the next ones arrive.
//! 4. Files that arrived damaged are fetched once more.
//! 5. The folder is synced. Only then the snapshot is given away to be installed.
//!
//! A failure leaves what was fetched for the next attempt, unless this copy's own disk failed: that may be full.

use super::error::SnapshotError;
use super::incoming::{Incoming, Missing};
use super::messages::{Offer, Piece, Request, decode_piece};
use super::throttle::Throttle;
use crate::group_state::split_payload;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use lavandin_cluster::Rebuild;
use lavandin_group::Snapshot;
use lavandin_shard::{FileKind, SegmentFile, SnapshotFiles};
use lavandin_storage::Directory;
use lavandin_types::{GroupId, NodeId, SequenceNumber};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of a piece. Tests have small files.
pub(super) const PIECE_BYTES: u32 = if cfg!(test) { 16 << 10 } else { 1 << 20 };
/// Pieces that are on their way at a time.
pub(super) const PIECES_MAX: usize = 8;
/// Files that are synced and checked at a time.
const FINISHING_MAX: usize = 2;
/// A file is synced whenever so much of it has come, so that little is left to do at its end.
const SYNC_BYTES: u64 = 8 * PIECE_BYTES as u64;
/// How often a piece is asked for that arrives damaged, and how often a file is fetched.
const PIECE_ATTEMPTS: u32 = 3;
const FILE_ATTEMPTS: u32 = 2;
/// How often the source is told that a session is alive while this side is busy with its disk.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A sync of the file that is growing.
type Syncing = JoinHandle<Result<(), SnapshotError>>;

/// Where the copy is that is to be rebuilt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The last record that it has applied.
    pub applied: SequenceNumber,
    /// `Shard::folder` of its state.
    pub folder: SequenceNumber,
}

/// How far a fetch is, for whoever shows it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub bytes_done: AtomicU64,
    /// Zero until the offer is there.
    pub bytes_total: AtomicU64,
}

impl Progress {
    /// `None` where nothing is being fetched.
    pub(crate) fn shown(&self) -> Option<Rebuild> {
        let total = self.bytes_total.load(Ordering::Relaxed);
        let done = self.bytes_done.load(Ordering::Relaxed).min(total);
        (total > 0).then_some(Rebuild { done, total })
    }

    pub(crate) fn end(&self) {
        self.bytes_total.store(0, Ordering::Relaxed);
    }
}

/// A snapshot whose files are in place and durable.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The last record in it.
    pub sequence: SequenceNumber,
    /// For `Replica::install_snapshot`.
    pub snapshot: Vec<u8>,
}

/// Fetches snapshots of one group by `call`, which sends a request to the source and gives its answer.
pub(crate) struct Receiver<F> {
    pub call: F,
    pub directory: Arc<dyn Directory>,
    pub group: GroupId,
    /// This node.
    pub node: NodeId,
    pub throttle: Arc<Throttle>,
    pub progress: Arc<Progress>,
}

impl<F, C> Receiver<F>
where
    F: Fn(Bytes) -> C + Sync,
    C: Future<Output = Result<Bytes, SnapshotError>> + Send,
{
    /// One attempt. Nothing of the copy has changed on return; the group's thread installs what was fetched.
    pub(crate) async fn fetch(&self, standing: Standing) -> Result<Fetched, SnapshotError> {
        let begin = Request::Begin { group: self.group, node: self.node };
        let answer = (self.call)(begin.encode()).await?;
        let offer = Offer::decode(&answer).ok_or(SnapshotError::Malformed("its offer cannot be read"))?;
        let fetched = self.fetch_offered(&offer, standing).await;
        // A session that is not ended runs out.
        drop((self.call)(Request::End { session: offer.session }.encode()).await);
        fetched
    }

    async fn fetch_offered(&self, offer: &Offer, standing: Standing) -> Result<Fetched, SnapshotError> {
        if offer.sequence <= standing.applied {
            return Err(SnapshotError::NotAhead { offered: offer.sequence, applied: standing.applied });
        }
        self.progress.bytes_total.store(offer.bytes(), Ordering::Relaxed);
        self.progress.bytes_done.store(0, Ordering::Relaxed);
        let snapshot = self.fetch_snapshot(offer).await?;
        check(&snapshot, offer, self.group, standing)?;
        let incoming = Incoming {
            directory: Arc::clone(&self.directory),
            folder: offer.sequence,
            live: standing.folder,
        };
        match self.fetch_files(offer, &incoming).await {
            Ok(()) => Ok(Fetched { sequence: offer.sequence, snapshot }),
            Err(error) => {
                if let SnapshotError::Storage(_) = error {
                    self.on_disk(offer.session, move || {
                        incoming.discard();
                        Ok(())
                    })
                    .await?;
                }
                Err(error)
            }
        }
    }

    async fn fetch_snapshot(&self, offer: &Offer) -> Result<Vec<u8>, SnapshotError> {
        let mut snapshot = Vec::new();
        let mut rest = pieces(offer.session, 0, 0, offer.snapshot_bytes);
        let mut arriving = FuturesOrdered::new();
        loop {
            arriving.extend(rest.by_ref().take(PIECES_MAX - arriving.len()).map(|piece| self.piece(piece)));
            let Some(bytes) = arriving.next().await else { break };
            snapshot.extend_from_slice(&bytes?);
        }
        if xxh3_128(&snapshot) != offer.snapshot_hash {
            return Err(SnapshotError::Malformed("the snapshot is not the one that was offered"));
        }
        Ok(snapshot)
    }

    async fn fetch_files(&self, offer: &Offer, incoming: &Incoming) -> Result<(), SnapshotError> {
        let (on_disk, files) = (incoming.clone(), offer.files.clone());
        let mut missing = self.on_disk(offer.session, move || on_disk.prepare(&files)).await?;
        let absent: u64 = missing.iter().map(|missing| missing.file.bytes - missing.present).sum();
        self.progress.bytes_done.store(offer.bytes() - absent, Ordering::Relaxed);
        for _ in 0..FILE_ATTEMPTS {
            missing = self.fetch_missing(offer.session, missing, incoming).await?;
            for damaged in &missing {
                self.progress.bytes_done.fetch_sub(damaged.file.bytes, Ordering::Relaxed);
                tracing::warn!(
                    file = damaged.file.path(incoming.folder),
                    "a file of a snapshot arrived damaged"
                );
            }
        }
        // A graph is built again where it is missing.
        if let Some(lost) = missing.iter().find(|missing| missing.file.kind == FileKind::Rows) {
            let file = lost.file.path(incoming.folder);
            return Err(SnapshotError::Damaged { file, attempts: FILE_ATTEMPTS });
        }
        let on_disk = incoming.clone();
        self.on_disk(offer.session, move || on_disk.sync()).await
    }

    /// Fetches files, and gives those that arrived damaged, from their beginnings.
    async fn fetch_missing(
        &self,
        session: u64,
        missing: Vec<Missing>,
        incoming: &Incoming,
    ) -> Result<Vec<Missing>, SnapshotError> {
        let mut under_way = UnderWay::default();
        let fetched = self.fetch_pieces(session, &missing, incoming, &mut under_way).await;
        // Whatever else went wrong, the next attempt must know whether the disk holds what was written, and finds nobody
        // at work with it.
        let ended = under_way.end().await;
        match (fetched, ended) {
            (Err(SnapshotError::Storage(error)), _) | (_, Err(SnapshotError::Storage(error))) => {
                Err(SnapshotError::Storage(error))
            }
            (fetched, ended) => fetched.and(ended).map(|()| under_way.damaged),
        }
    }

    async fn fetch_pieces<'a>(
        &'a self,
        session: u64,
        missing: &'a [Missing],
        incoming: &'a Incoming,
        under_way: &mut UnderWay<'a>,
    ) -> Result<(), SnapshotError>
    where
        C: 'a,
    {
        let mut rest = missing.iter().flat_map(|missing| {
            let pieces = pieces(session, missing.index as u32 + 1, missing.present, missing.file.bytes);
            pieces.map(move |piece| (missing, piece))
        });
        let mut arriving = FuturesOrdered::new();
        loop {
            let next = rest.by_ref().take(PIECES_MAX - arriving.len());
            arriving.extend(
                next.map(|(missing, piece)| async move { (missing, piece, self.piece(piece).await) }),
            );
            tokio::select! {
                // First, for it begins when it is looked at.
                biased;
                Some((missing, is_sound)) = under_way.finishing.next() => {
                    if !is_sound? {
                        under_way.damaged.push(Missing { present: 0, ..*missing });
                    }
                }
                Some((missing, piece, bytes)) = arriving.next(), if under_way.finishing.len() < FINISHING_MAX => {
                    let (bytes, on_disk, file) = (bytes?, incoming.clone(), missing.file);
                    under_way.unsynced += bytes.len() as u64;
                    self.progress.bytes_done.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    let write = move || on_disk.write(&file, piece.offset, &bytes);
                    if self.on_disk(session, write).await? {
                        let finished = self.finish(session, missing, incoming, under_way.syncing.take());
                        under_way.finishing.push(Box::pin(finished));
                        under_way.unsynced = 0;
                    } else {
                        under_way.sync_now_and_then(incoming, file).await?;
                    }
                }
                else => return Ok(()),
            }
        }
    }

    /// Makes a file count that is all there, after what is under way with it; `false` if it is not what was offered.
    async fn finish<'a>(
        &self,
        session: u64,
        missing: &'a Missing,
        incoming: &Incoming,
        syncing: Option<Syncing>,
    ) -> (&'a Missing, Result<bool, SnapshotError>) {
        let (on_disk, file) = (incoming.clone(), missing.file);
        let finished = match synced(syncing).await {
            Ok(()) => self.on_disk(session, move || on_disk.finish(&file)).await,
            Err(error) => Err(error),
        };
        (missing, finished)
    }

    async fn piece(&self, piece: Piece) -> Result<Bytes, SnapshotError> {
        self.throttle.take(u64::from(piece.length)).await;
        for _ in 0..PIECE_ATTEMPTS {
            let answer = (self.call)(Request::Piece(piece).encode()).await?;
            match decode_piece(&answer) {
                Some(bytes) if bytes.len() == piece.length as usize => return Ok(bytes),
                Some(_) => return Err(SnapshotError::Malformed("a piece is not as long as was asked for")),
                None => {}
            }
        }
        let file = format!("part {} of the snapshot", piece.part);
        Err(SnapshotError::Damaged { file, attempts: PIECE_ATTEMPTS })
    }

    /// Runs `work` on a blocking thread and keeps the session alive meanwhile.
    async fn on_disk<T: Send + 'static>(
        &self,
        session: u64,
        work: impl FnOnce() -> Result<T, SnapshotError> + Send + 'static,
    ) -> Result<T, SnapshotError> {
        let mut work = spawn_blocking(work);
        loop {
            match tokio::time::timeout(KEEP_ALIVE, &mut work).await {
                Ok(done) => return done.map_err(|_| SnapshotError::Stopping)?,
                Err(_) => {
                    let nothing = Piece { session, part: 0, offset: 0, length: 0 };
                    // If it does not answer, the next piece tells.
                    drop((self.call)(Request::Piece(nothing).encode()).await);
                }
            }
        }
    }
}

/// What is done with the disk while pieces arrive.
#[derive(Default)]
struct UnderWay<'a> {
    /// Files that are all there.
    finishing: FuturesUnordered<BoxFuture<'a, (&'a Missing, Result<bool, SnapshotError>)>>,
    /// A sync of the file that grows.
    syncing: Option<Syncing>,
    /// Bytes written to that file since the last one began.
    unsynced: u64,
    damaged: Vec<Missing>,
}

impl UnderWay<'_> {
    async fn sync_now_and_then(
        &mut self,
        incoming: &Incoming,
        file: SegmentFile,
    ) -> Result<(), SnapshotError> {
        if self.unsynced >= SYNC_BYTES && self.syncing.as_ref().is_none_or(Syncing::is_finished) {
            synced(self.syncing.take()).await?;
            let on_disk = incoming.clone();
            self.syncing = Some(spawn_blocking(move || on_disk.sync_part(&file)));
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Waits until nothing is; what went wrong first.
    async fn end(&mut self) -> Result<(), SnapshotError> {
        let mut ended = synced(self.syncing.take()).await;
        while let Some((_, finished)) = self.finishing.next().await {
            ended = ended.and(finished.map(drop));
        }
        ended
    }
}

async fn synced(syncing: Option<Syncing>) -> Result<(), SnapshotError> {
    match syncing {
        Some(syncing) => syncing.await.map_err(|_| SnapshotError::Stopping)?,
        None => Ok(()),
    }
}

/// The pieces of a part from `start` on.
fn pieces(session: u64, part: u32, start: u64, end: u64) -> impl Iterator<Item = Piece> {
    (start..end).step_by(PIECE_BYTES as usize).map(move |offset| {
        let length = (end - offset).min(u64::from(PIECE_BYTES)) as u32;
        Piece { session, part, offset, length }
    })
}

/// That the snapshot is of the group, as offered, and names exactly the files that are offered.
fn check(bytes: &[u8], offer: &Offer, group: GroupId, standing: Standing) -> Result<(), SnapshotError> {
    let snapshot = Snapshot::decode(bytes, group)?;
    let (_, shard) = split_payload(&snapshot.payload)?;
    let named = SnapshotFiles::read(shard)?;
    if offer.group != group || snapshot.position().sequence != offer.sequence {
        return Err(SnapshotError::Malformed("the snapshot is of another place than was offered"));
    }
    if named.folder != offer.sequence || named.folder <= standing.folder {
        return Err(SnapshotError::Malformed("the snapshot's folder is not its own"));
    }
    if !named.are(&offer.files) {
        return Err(SnapshotError::Malformed(
            "the files that it offers are not those that the snapshot names",
        ));
    }
    Ok(())
}
