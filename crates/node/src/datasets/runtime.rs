//! What the dataset wing of a node shares: the stores, decoded chunks, manifests, Python workers, tasks and sessions.

use crate::datasets::batch_cache::BatchCache;
use crate::datasets::draft_exchange::{DraftExchange, DraftForm};
use crate::datasets::feeding::FeedingRank;
use crate::datasets::file_finder::KnownContents;
use crate::datasets::grants::Grants;
use crate::datasets::iteration_groups::IterationGroups;
use crate::datasets::manifests::Manifests;
use crate::datasets::manifests::Named;
use crate::datasets::peer_calls::{
    DatasetPeers, DatasetReply, DatasetRequest, FilePiece, FileRequest, PIECE_BYTES_MAX, decode_request,
};
use crate::datasets::plan_cache::IterationPlan;
use crate::datasets::preprocess::Workbench;
use crate::datasets::preview::Previews;
use crate::datasets::results::Results;
use crate::datasets::session::{ReadyBytes, Session, SessionLimits};
use crate::datasets::stored_files::StoredFiles;
use crate::datasets::tasks::Tasks;
use crate::error::NodeError;
use crate::groups::Router;
use crate::membership::Membership;
use crate::node::Node;
use crate::options::NodeOptions;
use bytes::Bytes;
use futures_util::future::join_all;
use lavandin_feed::cache::ChunkCache;
use lavandin_feed::location::{HfSettings, Location, S3Settings, StoreOptions, Stores};
use lavandin_feed::python::{PythonOptions, PythonPool};
use lavandin_peer::PeerStatus;
use lavandin_plan::iterations::Outline;
use lavandin_types::{DatasetId, ErrorCode, IterationId};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// A session that nobody has used for so long gives its memory back; it is made again when it is needed.
const SESSION_IDLE: Duration = Duration::from_secs(60);
/// How long a stop waits for deliveries to be logged. What is not is as if the answer were in doubt, which is safe.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// Sessions at once; beyond, one that is idle goes early.
const SESSIONS_MAX: usize = 4096;
/// Of the memory, the part for decoded chunks, and that for batches that user code made; the rest is for batches made
/// ahead.
const CHUNKS_PERCENT: u64 = 55;
const BATCHES_PERCENT: u64 = 10;

/// Settings of the dataset wing.
#[derive(Clone, Debug)]
pub struct DatasetOptions {
    pub modules_dir: Option<PathBuf>,
    /// `None` never looks for changed modules.
    pub modules_reload_interval: Option<Duration>,
    pub python: String,
    pub python_workers: usize,
    pub python_time_limit: Duration,
    pub python_memory_bytes_max: u64,
    /// For decoded chunks and batches made ahead.
    pub memory_bytes_max: u64,
    /// Disk space for copies of remote files.
    pub shard_cache_bytes_max: u64,
    /// Where `file://` may be; empty for anywhere.
    pub file_roots: Vec<PathBuf>,
    pub s3: S3Settings,
    pub hf: HfSettings,
}

impl DatasetOptions {
    pub fn new(threads: usize) -> Self {
        Self {
            modules_dir: None,
            modules_reload_interval: Some(Duration::from_secs(10)),
            python: "python3".to_owned(),
            python_workers: threads,
            python_time_limit: Duration::from_secs(60),
            python_memory_bytes_max: 2 << 30,
            memory_bytes_max: 1 << 30,
            shard_cache_bytes_max: 4 << 30,
            file_roots: Vec::new(),
            s3: S3Settings::default(),
            hf: HfSettings::default(),
        }
    }
}

/// The key of a session.
pub(crate) type SessionKey = (IterationId, u32);

pub(crate) struct DatasetRuntime {
    pub(crate) stores: Stores,
    pub(crate) chunks: ChunkCache<crate::datasets::files::FileError>,
    pub(crate) manifests: Manifests,
    pub(crate) python: PythonPool,
    /// Syncs.
    pub(crate) tasks: Tasks,
    /// Preprocessing jobs that this node sees to.
    pub(crate) jobs: Tasks,
    pub(crate) workbench: Workbench,
    /// Files that are read for other nodes at once.
    pub(crate) inspections: Arc<Semaphore>,
    pub(crate) batches: BatchCache,
    pub(crate) results: Results,
    pub(crate) previews: Previews,
    pub(crate) iterations: Arc<IterationGroups>,
    pub(crate) contents: Arc<KnownContents>,
    pub(crate) draft_exchange: DraftExchange,
    pub(crate) grants: Grants,
    pub(crate) peers: DatasetPeers,
    pub(crate) handle: tokio::runtime::Handle,
    pub(crate) threads: usize,
    /// Where files of previews are kept.
    pub(crate) preview_dir: PathBuf,
    pub(crate) ready_bytes: Arc<ReadyBytes>,
    pub(crate) counters: Counters,
    /// Bytes made ahead for one session.
    pub(crate) session_limits: SessionLimits,
    /// Whose it is, once that is there.
    node: OnceLock<Weak<Node>>,
    sessions: Mutex<HashMap<SessionKey, Arc<Session>>>,
    plans: Mutex<HashMap<IterationId, Arc<IterationPlan>>>,
}

/// Batches since the start, by what became of them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) granted: AtomicU64,
    pub(crate) returned: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl DatasetRuntime {
    /// Opens the stores and the manifests; must be called on a tokio runtime. Blocks while it reads directories.
    pub(crate) fn open(
        node: &NodeOptions,
        membership: &Arc<Membership>,
        router: &Arc<Router>,
    ) -> Result<Self, NodeError> {
        let (options, threads) = (&node.datasets, node.threads);
        let data_dir = std::path::absolute(&node.data_dir).unwrap_or_else(|_| node.data_dir.clone());
        let handle = tokio::runtime::Handle::current();
        let peers = DatasetPeers::new(Arc::clone(membership));
        let iterations = {
            let is_member = membership.identity.seat.is_some() || membership.settings.awaits_cluster();
            IterationGroups::new(Arc::clone(router), handle.clone(), node.request_timeout, is_member)
        };
        let store_options = StoreOptions {
            cache_bytes_max: options.shard_cache_bytes_max,
            file_roots: options.file_roots.clone(),
            s3: options.s3.clone(),
            hf: options.hf.clone(),
            ..StoreOptions::new(data_dir.clone())
        };
        let python = PythonOptions {
            interpreter: PathBuf::from(&options.python),
            workers: options.python_workers.max(1),
            time_limit: options.python_time_limit,
            memory_limit_bytes: options.python_memory_bytes_max,
            reload_interval: options.modules_reload_interval.unwrap_or_default(),
            ..PythonOptions::new(data_dir.join("python"), options.modules_dir.clone())
        };
        Workbench::clear(&data_dir)?;
        let chunk_bytes = options.memory_bytes_max / 100 * CHUNKS_PERCENT;
        let batch_bytes = options.memory_bytes_max / 100 * BATCHES_PERCENT;
        let ready_max = options.memory_bytes_max - chunk_bytes - batch_bytes;
        Ok(Self {
            stores: Stores::new(store_options)?,
            chunks: ChunkCache::new(chunk_bytes),
            manifests: Manifests::open(&data_dir, StoredFiles::new(peers.clone(), handle.clone()))?,
            python: PythonPool::new(python),
            tasks: Tasks::default(),
            jobs: Tasks::default(),
            workbench: Workbench::new(threads, data_dir.clone()),
            inspections: Arc::new(Semaphore::new(threads.max(1))),
            batches: BatchCache::new(batch_bytes),
            results: Results::default(),
            previews: Previews::default(),
            iterations: Arc::new(iterations),
            contents: Arc::default(),
            draft_exchange: DraftExchange::new(options.python_workers.max(1)),
            node: OnceLock::new(),
            grants: Grants::new(Arc::clone(membership)),
            peers,
            handle,
            threads,
            preview_dir: data_dir.join("previews"),
            ready_bytes: Arc::new(ReadyBytes::new(ready_max)),
            counters: Counters::default(),
            session_limits: SessionLimits {
                bytes_max: (ready_max / 8).clamp(1 << 20, 64 << 20),
                drafts_max: Arc::new(AtomicUsize::new(options.python_workers.max(1))),
            },
            sessions: Mutex::default(),
            plans: Mutex::default(),
        })
    }

    /// Ends sessions, tasks and Python processes; what is called after that fails.
    pub(crate) async fn stop(&self) {
        self.workbench.stop();
        self.tasks.abort_all();
        let sessions: Vec<_> = lock(&self.sessions).drain().collect();
        lock(&self.plans).clear();
        let flushed = sessions.iter().map(|((iteration, _), session)| session.flush(self, *iteration));
        drop(tokio::time::timeout(STOP_PATIENCE, join_all(flushed)).await);
        self.iterations.stop();
        self.python.stop();
    }

    /// Says whose it is, once.
    pub(crate) fn belong_to(&self, node: &Arc<Node>) {
        drop(self.node.set(Arc::downgrade(node)));
    }

    /// Counts the other nodes among those that may finish drafts.
    pub(crate) fn update_drafts_max(&self) {
        let drafts_max = self.draft_exchange.drafts_max(&self.peers);
        self.session_limits.drafts_max.store(drafts_max, Ordering::Relaxed);
    }

    /// Answers a call of another node.
    pub(crate) async fn answer(self: &Arc<Self>, payload: &[u8]) -> Result<Bytes, PeerStatus> {
        let reply = match decode_request(payload)? {
            DatasetRequest::HeldGrants { incarnation, iteration, rank, numbers } => {
                let iteration = iteration.parse().map_err(|_| malformed("no iteration"))?;
                DatasetReply::Grants { numbers: self.grants.held(incarnation, (iteration, rank), &numbers) }
            }
            DatasetRequest::KeepManifest { shardset, version, hash } => {
                let named = parse_named(&shardset, version, &hash).ok_or_else(|| malformed("no manifest"))?;
                self.on_thread(move |runtime| runtime.manifests.ensure(named)).await?;
                DatasetReply::Done {}
            }
            DatasetRequest::FollowCatalogue { applied } => {
                self.peers.follow_catalogue(applied).await;
                DatasetReply::Done {}
            }
            DatasetRequest::ListFolder { location } => self.tell_listing(&location).await.map_err(status)?,
            DatasetRequest::Content { location } => {
                let location = Location::parse(&location).map_err(|error| status(error.into()))?;
                let (content, version) = self.own_content(&location).await.map_err(status)?;
                let (bytes, tag) = (version.size.unwrap_or_default(), version.tag);
                DatasetReply::Content { fingerprint: content.to_string(), bytes, tag }
            }
            DatasetRequest::FindFile(file) => {
                let wanted = file.wanted().ok_or_else(|| malformed("no file"))?;
                self.tell_file(&wanted).await.map_err(status)?
            }
            DatasetRequest::AbsentFiles { directory, shardset, version, hash } => {
                let named = parse_named(&shardset, version, &hash).ok_or_else(|| malformed("no manifest"))?;
                let load = move |runtime: &Self| runtime.manifests.load(named.0, named.1, named.2);
                let manifest = self.on_thread(load).await?;
                let directory = Location::parse(&directory).map_err(|error| status(error.into()))?;
                let files = self.absent_files(&directory, &manifest).await.map_err(status)?;
                DatasetReply::Absent { files }
            }
            DatasetRequest::MakeFile { key, part } => {
                let standing = self.work_on(key, *part).await.map_err(status)?;
                DatasetReply::MadeFile { standing: Box::new(standing) }
            }
            chore @ (DatasetRequest::StartSync { .. }
            | DatasetRequest::SyncStatus { .. }
            | DatasetRequest::Tasks {}
            | DatasetRequest::Feeding {}
            | DatasetRequest::AbortTask { .. }) => {
                let node =
                    self.node.get().and_then(Weak::upgrade).ok_or_else(|| status(NodeError::Stopping))?;
                node.answer_chore(chore).await.map_err(status)?
            }
        };
        let written = serde_json::to_vec(&reply);
        written.map(Bytes::from).map_err(|error| PeerStatus::new(ErrorCode::Internal, error.to_string()))
    }

    /// A part of a file for another node.
    pub(crate) async fn file_piece(self: &Arc<Self>, payload: &[u8]) -> Result<Bytes, PeerStatus> {
        match decode_request(payload)? {
            FileRequest::Stored { name, offset } => {
                let shown = name.clone();
                let read = move |runtime: &Self| runtime.manifests.piece(&name, offset, PIECE_BYTES_MAX);
                let (length, bytes) = self
                    .on_thread(read)
                    .await?
                    .ok_or_else(|| PeerStatus::new(ErrorCode::NotFound, format!("{shown} is not here")))?;
                Ok(FilePiece::encode(length, &bytes))
            }
            FileRequest::ShardFile { file, offset } => {
                let wanted = file.wanted().ok_or_else(|| malformed("no file"))?;
                let piece = self.held_piece(&wanted, offset, PIECE_BYTES_MAX).await;
                let (length, bytes) = piece.map_err(status)?;
                Ok(FilePiece::encode(length, &bytes))
            }
        }
    }

    /// A batch that another node asks this one to put through user code.
    pub(crate) async fn prepare_for(self: &Arc<Self>, payload: &[u8]) -> Result<Bytes, PeerStatus> {
        let draft: DraftForm = decode_request(payload)?;
        self.prepare(draft).await.map_err(status)
    }

    /// Work for another node that may block.
    async fn on_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, PeerStatus> {
        let runtime = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&runtime)).await;
        let done = done.unwrap_or(Err(NodeError::Internal("a call of another node panicked")));
        done.map_err(status)
    }

    pub(crate) fn session(&self, key: SessionKey) -> Option<Arc<Session>> {
        lock(&self.sessions).get(&key).cloned()
    }

    /// The session of a rank from now on; of two that were made at the same time the first counts.
    pub(crate) fn keep_session(&self, key: SessionKey, made: Arc<Session>) -> Arc<Session> {
        let mut sessions = lock(&self.sessions);
        retire(&mut sessions);
        Arc::clone(sessions.entry(key).or_insert(made))
    }

    /// The outline of an iteration that some session of this node has a plan of.
    pub(crate) fn known_outline(&self, iteration: IterationId) -> Option<Arc<Outline>> {
        lock(&self.plans).get(&iteration).map(|plan| Arc::clone(plan.outline()))
    }

    /// How the sessions stand, for people.
    pub(crate) fn feeding_ranks(&self) -> Vec<FeedingRank> {
        let sessions: Vec<_> =
            lock(&self.sessions).iter().map(|(key, session)| (*key, Arc::clone(session))).collect();
        let told = |((iteration, rank), session): (SessionKey, Arc<Session>)| FeedingRank {
            iteration: iteration.to_string(),
            dataset: session.dataset.to_string(),
            rank,
            ..session.lock().feeding()
        };
        let mut ranks: Vec<_> = sessions.into_iter().map(told).collect();
        ranks.sort_by(|one, other| (&one.iteration, one.rank).cmp(&(&other.iteration, other.rank)));
        ranks
    }

    pub(crate) fn session_count(&self) -> usize {
        lock(&self.sessions).len()
    }

    /// Forgets a session that is of no more use.
    pub(crate) fn end_session(&self, key: SessionKey, session: &Arc<Session>) {
        let mut sessions = lock(&self.sessions);
        if sessions.get(&key).is_some_and(|known| Arc::ptr_eq(known, session)) {
            sessions.remove(&key);
        }
    }

    /// The plan of an iteration; `make` builds it if there is none.
    pub(crate) fn plan(
        &self,
        iteration: IterationId,
        make: impl FnOnce() -> Result<IterationPlan, NodeError>,
    ) -> Result<Arc<IterationPlan>, NodeError> {
        if let Some(plan) = lock(&self.plans).get(&iteration) {
            return Ok(Arc::clone(plan));
        }
        let made = Arc::new(make()?);
        let mut plans = lock(&self.plans);
        // Those that no session holds are made again when they are needed.
        plans.retain(|_, plan| Arc::strong_count(plan) > 1);
        Ok(Arc::clone(plans.entry(iteration).or_insert(made)))
    }

    /// Ends the sessions with a dataset's iterations.
    pub(crate) fn forget_dataset(&self, dataset: DatasetId) {
        lock(&self.sessions).retain(|_, session| session.dataset != dataset);
        lock(&self.plans).retain(|_, plan| plan.outline().dataset != dataset);
    }

    /// Makes the sessions of an iteration begin anew with what is not taken.
    pub(crate) fn restart_sessions(&self, iteration: IterationId) {
        let sessions = lock(&self.sessions);
        for session in sessions.iter().filter(|((of, _), _)| *of == iteration).map(|(_, session)| session) {
            let mut guard = session.lock();
            let generation = guard.generation();
            guard.reset(generation);
        }
    }
}

pub(crate) fn status(error: NodeError) -> PeerStatus {
    PeerStatus::new(error.code(), error.to_string())
}

fn malformed(what: &str) -> PeerStatus {
    PeerStatus::new(ErrorCode::InvalidArgument, format!("what was sent names {what}"))
}

fn parse_named(shardset: &str, version: u64, hash: &str) -> Option<Named> {
    Some((shardset.parse().ok()?, version, u128::from_str_radix(hash, 16).ok()?))
}

fn retire(sessions: &mut HashMap<SessionKey, Arc<Session>>) {
    let now = Instant::now();
    let age = |session: &Arc<Session>| session.idle_since().map(|since| now.saturating_duration_since(since));
    sessions.retain(|_, session| age(session).is_none_or(|age| age < SESSION_IDLE));
    if sessions.len() >= SESSIONS_MAX {
        let oldest = sessions.iter().filter_map(|(key, session)| Some((age(session)?, *key))).max();
        if let Some((_, key)) = oldest {
            sessions.remove(&key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
