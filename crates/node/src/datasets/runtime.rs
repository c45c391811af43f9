//! What the dataset wing of a node shares: the stores, decoded chunks, manifests, Python workers, tasks and sessions.

use crate::datasets::batch_cache::BatchCache;
use crate::datasets::manifests::Manifests;
use crate::datasets::plan_cache::IterationPlan;
use crate::datasets::preview::Previews;
use crate::datasets::results::Results;
use crate::datasets::session::{ReadyBytes, Session, SessionLimits};
use crate::datasets::tasks::Tasks;
use crate::error::NodeError;
use crate::group_client::GroupClient;
use lavandin_feed::cache::ChunkCache;
use lavandin_feed::location::{HfSettings, S3Settings, StoreOptions, Stores};
use lavandin_feed::python::{PythonOptions, PythonPool};
use lavandin_plan::iterations::IterationsReader;
use lavandin_types::IterationId;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A session that nobody has used for so long gives its memory back; it is made again when it is needed.
const SESSION_IDLE: Duration = Duration::from_secs(60);
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
    pub(crate) tasks: Tasks,
    pub(crate) batches: BatchCache,
    pub(crate) results: Results,
    pub(crate) previews: Previews,
    pub(crate) group: GroupClient,
    pub(crate) iterations: IterationsReader,
    pub(crate) handle: tokio::runtime::Handle,
    pub(crate) threads: usize,
    /// Where files of previews are kept.
    pub(crate) preview_dir: PathBuf,
    pub(crate) ready_bytes: Arc<ReadyBytes>,
    pub(crate) counters: Counters,
    /// Bytes made ahead for one session.
    pub(crate) session_limits: SessionLimits,
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
        options: &DatasetOptions,
        (data_dir, threads): (&Path, usize),
        group: GroupClient,
        iterations: IterationsReader,
    ) -> Result<Self, NodeError> {
        let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
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
        let chunk_bytes = options.memory_bytes_max / 100 * CHUNKS_PERCENT;
        let batch_bytes = options.memory_bytes_max / 100 * BATCHES_PERCENT;
        let ready_max = options.memory_bytes_max - chunk_bytes - batch_bytes;
        Ok(Self {
            stores: Stores::new(store_options)?,
            chunks: ChunkCache::new(chunk_bytes),
            manifests: Manifests::of_group(&data_dir.join("groups").join("1")),
            python: PythonPool::new(python),
            tasks: Tasks::default(),
            batches: BatchCache::new(batch_bytes),
            results: Results::default(),
            previews: Previews::default(),
            group,
            iterations,
            handle: tokio::runtime::Handle::current(),
            threads,
            preview_dir: data_dir.join("previews"),
            ready_bytes: Arc::new(ReadyBytes::new(ready_max)),
            counters: Counters::default(),
            session_limits: SessionLimits {
                bytes_max: (ready_max / 8).clamp(1 << 20, 64 << 20),
                drafts_max: options.python_workers.max(1),
            },
            sessions: Mutex::default(),
            plans: Mutex::default(),
        })
    }

    /// Ends sessions, tasks and Python processes; what is called after that fails. Deliveries are still logged by a group
    /// that stops afterwards.
    pub(crate) fn stop(&self) {
        self.tasks.abort_all();
        for ((iteration, _), session) in lock(&self.sessions).drain() {
            session.delivered.flush(&self.group, iteration);
        }
        lock(&self.plans).clear();
        self.python.stop();
    }

    /// The session of a rank; `make` builds one if there is none.
    pub(crate) fn session(
        &self,
        key: SessionKey,
        make: impl FnOnce() -> Result<Arc<Session>, NodeError>,
    ) -> Result<Arc<Session>, NodeError> {
        if let Some(session) = lock(&self.sessions).get(&key) {
            return Ok(Arc::clone(session));
        }
        // Made without the lock; of two at the same time the first counts.
        let made = make()?;
        let mut sessions = lock(&self.sessions);
        retire(&mut sessions);
        Ok(Arc::clone(sessions.entry(key).or_insert(made)))
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

    /// Sessions and plans of iterations that are gone.
    pub(crate) fn forget(&self, is_gone: impl Fn(IterationId) -> bool) {
        lock(&self.sessions).retain(|(iteration, _), _| !is_gone(*iteration));
        lock(&self.plans).retain(|iteration, _| !is_gone(*iteration));
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
