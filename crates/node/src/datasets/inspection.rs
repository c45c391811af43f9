//! Reading new shard files whole, for a sync: several at a time on each node that has them. What a node cannot read for
//! another one is read here, from a copy, so that there is one place where it fails, and one sentence.

mod exchange;
mod waiting;

use crate::datasets::file_finder::{WantedFile, check_is_shard};
use crate::datasets::inspection::exchange::InspectForm;
use crate::datasets::inspection::waiting::Waiting;
use crate::datasets::listings::Found;
use crate::datasets::peer_calls::decode_request;
use crate::datasets::runtime::DatasetRuntime;
use crate::datasets::tasks::Progress;
use crate::error::NodeError;
use crate::peers::method;
use bytes::Bytes;
use lavandin_feed::format::Format;
use lavandin_feed::inspect::{self, InspectOptions, Inspection};
use lavandin_feed::location::{Fingerprint, Location, Scheme, Version};
use lavandin_peer::PeerStatus;
use lavandin_types::{ErrorCode, NodeId, ShardsetId};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long another node may take to read a file whole.
const INSPECT_MAX: Duration = Duration::from_secs(300);
/// Nodes that help, and files that each is asked for at once.
const HELPERS_MAX: usize = 16;
const ASKED_MAX: usize = 8;
/// How long a node that has no room is left alone.
const BUSY_REST: Duration = Duration::from_millis(200);

/// A file that was read whole.
pub(crate) struct Inspected {
    pub(crate) inspection: Inspection,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) version: Version,
}

/// Files that were read whole, by their places in the listing.
pub(crate) type InspectedFiles = Vec<(usize, Inspected)>;

/// What a sync reads.
pub(crate) struct Reading<'a> {
    pub(crate) shardset: ShardsetId,
    pub(crate) found: &'a [Found],
    pub(crate) options: &'a InspectOptions<'a>,
    pub(crate) progress: &'a Progress,
}

/// What the threads of a sync share.
struct Shared {
    waiting: Mutex<Waiting>,
    made: Mutex<InspectedFiles>,
    failure: Mutex<Option<NodeError>>,
}

impl Shared {
    /// The next file; `None` once there is none, or something failed.
    fn take(&self, next: impl Fn(&mut Waiting) -> Option<usize>) -> Option<usize> {
        if lock(&self.failure).is_some() {
            return None;
        }
        next(&mut lock(&self.waiting))
    }

    fn fail(&self, error: NodeError) {
        lock(&self.failure).get_or_insert(error);
    }
}

impl DatasetRuntime {
    /// Reads a file whole. Blocks.
    pub(crate) fn inspect(
        &self,
        found: &Found,
        options: &InspectOptions<'_>,
    ) -> Result<Inspected, NodeError> {
        self.handle.block_on(self.check_same(found))?;
        let (local, fingerprint, version) = match found.holder {
            Some(node) => {
                let (content, version) = self.handle.block_on(self.content_on(&found.location, node))?;
                let wanted = WantedFile {
                    location: found.location.clone(),
                    version: version.clone(),
                    fingerprint: content.get(),
                };
                (self.handle.block_on(self.copy_from(&wanted, node))?, content, version)
            }
            None => {
                let known = Some(&found.version).filter(|version| version.size.is_some());
                let known = known.filter(|_| found.location.scheme() != Scheme::File);
                let local = self.handle.block_on(self.stores.local(&found.location, known))?;
                let (fingerprint, version) = (local.fingerprint()?, local.version.clone());
                (local, fingerprint, version)
            }
        };
        let inspection = inspect::inspect(&local.path, found.format, options)?;
        Ok(Inspected { inspection, fingerprint, version })
    }

    /// Reads files on all nodes that have them; the first failure ends it. Blocks.
    pub(crate) fn inspect_all(
        &self,
        reading: &Reading<'_>,
        files: &[usize],
    ) -> Result<InspectedFiles, NodeError> {
        let waiting = Mutex::new(Waiting::new(reading.found, files));
        let shared = Shared { waiting, made: Mutex::default(), failure: Mutex::default() };
        let threads = self.threads.max(1).min(files.len());
        let helpers = self.peers.others(&[]);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| self.read_here(reading, &shared));
            }
            let is_worth_it =
                files.len() > threads || files.iter().any(|at| reading.found[*at].holder.is_some());
            for node in helpers.into_iter().take(if is_worth_it { HELPERS_MAX } else { 0 }) {
                for _ in 0..threads.min(ASKED_MAX) {
                    let shared = &shared;
                    scope.spawn(move || self.have_read(node, reading, shared));
                }
            }
        });
        // What a node gave back after all threads of this one had ended.
        self.read_here(reading, &shared);
        if let Some(error) = shared.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut made = shared.made.into_inner().unwrap_or_else(PoisonError::into_inner);
        made.sort_by_key(|(at, _)| *at);
        Ok(made)
    }

    fn read_here(&self, reading: &Reading<'_>, shared: &Shared) {
        while let Some(at) = shared.take(Waiting::for_here) {
            if reading.progress.is_cancelled() {
                return shared.fail(NodeError::Refused("the sync was aborted".to_owned()));
            }
            match self.inspect(&reading.found[at], reading.options) {
                Ok(inspected) => lock(&shared.made).push((at, inspected)),
                Err(error) => return shared.fail(error),
            }
            reading.progress.advance();
        }
    }

    /// Has another node read what it has; ends when there is nothing more, or when it cannot.
    fn have_read(&self, node: NodeId, reading: &Reading<'_>, shared: &Shared) {
        while let Some(at) = shared.take(|waiting| waiting.for_node(node, reading.found)) {
            let put_back = || lock(&shared.waiting).put_back(at, reading.found[at].holder);
            if reading.progress.is_cancelled() {
                return put_back();
            }
            match self.inspect_on(node, reading, &reading.found[at]) {
                Ok(inspected) => {
                    lock(&shared.made).push((at, inspected));
                    reading.progress.advance();
                }
                Err(error) => {
                    put_back();
                    if error.code() != ErrorCode::Overloaded {
                        tracing::debug!(%node, %error, "a shard file is read here instead");
                        return;
                    }
                    std::thread::sleep(BUSY_REST);
                }
            }
        }
    }

    fn inspect_on(&self, node: NodeId, reading: &Reading<'_>, found: &Found) -> Result<Inspected, NodeError> {
        self.handle.block_on(self.check_same(found))?;
        let form = InspectForm::new(reading.shardset, &found.location, reading.options);
        let payload = serde_json::to_vec(&form)
            .map_err(|_| NodeError::Internal("a call to another node cannot be written down"))?;
        let asked = self.peers.call(node, method::INSPECT, payload.into(), INSPECT_MAX);
        let told = Inspected::decode(self.handle.block_on(asked)?);
        let inspected =
            told.ok_or_else(|| NodeError::Unavailable(format!("node {node} told nothing of a shard file")))?;
        let is_as_listed = found.version_on(node).is_none_or(|listed| *listed == inspected.version);
        if found.location.scheme() == Scheme::File && !is_as_listed {
            let text =
                format!("shard file {} was changed on node {node} while it was read", found.location.shown());
            return Err(NodeError::Unavailable(text));
        }
        // It is the same file, and this node's own times are those that its next listing shows.
        let is_here = found.holder.is_none() && found.location.scheme() == Scheme::File;
        let version = if is_here { found.version.clone() } else { inspected.version };
        Ok(Inspected { version, ..inspected })
    }

    /// Reads a file that this node has for another one. Refuses while it reads as many as it has threads.
    pub(crate) async fn inspect_for(self: &Arc<Self>, payload: &[u8]) -> Result<Bytes, PeerStatus> {
        let form: InspectForm = decode_request(payload)?;
        let runtime = Arc::clone(self);
        let permit = Arc::clone(&self.inspections).try_acquire_owned();
        let permit = permit.map_err(|_| crate::datasets::runtime::status(NodeError::Overloaded))?;
        let read = tokio::task::spawn_blocking(move || {
            let inspected = runtime.inspect_form(form);
            drop(permit);
            inspected
        });
        let read = read.await.unwrap_or(Err(NodeError::Internal("reading a shard file panicked")));
        read.map_err(crate::datasets::runtime::status)
    }

    fn inspect_form(&self, form: InspectForm) -> Result<Bytes, NodeError> {
        let location = Location::parse(form.location())?;
        if location.scheme() == Scheme::File {
            check_is_shard(&location)?;
        }
        let malformed = |text: &str| NodeError::Invalid(text.to_owned());
        let format =
            Format::of_name(&location.name()).ok_or_else(|| malformed("what was sent is no shard file"))?;
        let shardset = form.shardset().ok_or_else(|| malformed("what was sent names no shardset"))?;
        let found = Found::here(location, format);
        form.with_options(|options| self.inspect(&found, options))?.encode(shardset, &found)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
