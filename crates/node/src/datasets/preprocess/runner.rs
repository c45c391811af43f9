//! Seeing to a job: the node that does the chores hands its files out to all nodes, itself included, and takes back what a
//! node that does not answer had. What is done lies at the location, so that whoever comes next goes on there.
//!
//! 1. Every file that is to be made is made somewhere.
//! 2. Files that no batch is left of are written without rows, with the columns of another file.
//! 3. Where it is asked for the location becomes a shardset of the dataset, and is synced.
//!
//! Each step is a `round` over files. Whatever node sees to the job next begins with the first step again, and finds what
//! lies at the location.

use crate::datasets::catalogue::NewShardsetRequest;
use crate::datasets::preprocess::PreprocessRequest;
use crate::datasets::preprocess::file_maker::{Columns, FileMaker, Part, name_of};
use crate::datasets::preprocess::round::Round;
use crate::datasets::tasks::Progress;
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::JobInfo;
use lavandin_feed::location::{Location, LocationError, Scheme};
use lavandin_types::{ErrorCode, NodeId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How long something is tried that needs a node which may be away: longer than one is that is started again.
pub(super) const UNABLE_MAX: Duration = Duration::from_secs(120);
pub(super) const UNABLE_REST: Duration = Duration::from_secs(2);
/// How long it may take to make a shardset of the location, and then to sync it.
const REGISTER_MAX: Duration = Duration::from_secs(600);
const SYNC_MAX: Duration = Duration::from_secs(24 * 3600);

/// How a node's part in a job ends.
pub(super) enum Ended {
    Done,
    /// A sentence for people.
    Failed(String),
    /// Another node sees to it, or nobody wants it any more.
    Left,
}

pub(super) struct Runner {
    pub(super) node: Weak<Node>,
    pub(super) job: Arc<JobInfo>,
    pub(super) progress: Arc<Progress>,
}

impl Runner {
    pub(super) async fn run(&self) -> Ended {
        match self.run_steps().await {
            Ok(()) => Ended::Done,
            Err(ended) => ended,
        }
    }

    async fn run_steps(&self) -> Result<(), Ended> {
        let request = PreprocessRequest::of(&self.job).map_err(failed)?;
        let maker = self.open().await?;
        let files = maker.files();
        self.progress.step("processing", u64::from(files));
        let Lying { kept, homes } = self.lying(&request).await?;
        let (mut rows, mut without_rows) = (VecDeque::new(), VecDeque::new());
        for file in 0..files {
            match (kept.contains(&name_of(file)), maker.has_batches(file)) {
                (true, _) => self.progress.advance(),
                (false, true) => rows.push_back(file),
                (false, false) => without_rows.push_back(file),
            }
        }
        drop(kept);
        let mut columns = self.make_all(rows, &Part::Rows, &homes).await?;
        if !without_rows.is_empty() {
            if columns.is_none() {
                let other = (0..files).find(|file| maker.has_batches(*file));
                let other = other.ok_or_else(|| Ended::Failed(no_columns(without_rows[0])))?;
                columns = self.make_all(VecDeque::from([other]), &Part::Columns, &homes).await?;
            }
            let columns = columns.ok_or_else(|| Ended::Failed(no_columns(without_rows[0])))?;
            self.make_all(without_rows, &Part::NoRows { columns }, &homes).await?;
        }
        if request.register {
            self.progress.step("register", u64::from(files));
            self.register(&request).await?;
        }
        Ok(())
    }

    /// The node, while this is its job.
    pub(super) fn node(&self) -> Result<Arc<Node>, Ended> {
        let node = self.node.upgrade().ok_or(Ended::Left)?;
        let is_wanted = node.sees_to_jobs()
            && node
                .metadata
                .catalogue()
                .job(&self.job.name)
                .is_some_and(|job| job.run == self.job.run && job.is_running());
        if is_wanted { Ok(node) } else { Err(Ended::Left) }
    }

    async fn open(&self) -> Result<Arc<FileMaker>, Ended> {
        let begun = Instant::now();
        loop {
            let node = self.node()?;
            let (runtime, job) = (Arc::clone(&node.datasets), Arc::clone(&self.job));
            let opened = tokio::task::spawn_blocking(move || runtime.file_maker(&job)).await;
            match opened.unwrap_or(Err(NodeError::Internal("opening a job's shardsets panicked"))) {
                Ok(maker) => return Ok(maker),
                // A file of it may be on a node that is away.
                Err(_) if !node.membership.is_alone() && begun.elapsed() < UNABLE_MAX => {
                    tokio::time::sleep(UNABLE_REST).await;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// What is at the location already.
    async fn lying(&self, request: &PreprocessRequest) -> Result<Lying, Ended> {
        let node = self.node()?;
        let target = Location::parse(&request.location).map_err(|error| failed(error.into()))?;
        if target.scheme() != Scheme::File {
            let listed = match node.datasets.stores.list(&target).await {
                Ok(entries) => entries,
                Err(LocationError::Empty { .. } | LocationError::NotFound { .. }) => Vec::new(),
                Err(error) => return Err(failed(error.into())),
            };
            let names = listed.into_iter().map(|entry| entry.name);
            let kept = if request.overwrite { HashSet::new() } else { names.collect() };
            return Ok(Lying { kept, homes: HashMap::new() });
        }
        // Folders are the nodes' own: a file that is written again is written where it lies.
        let listing = node.datasets.list_shards(&target, |_| None).await;
        let files = match listing {
            Ok(listing) => listing.files,
            Err(NodeError::Location(LocationError::Empty { .. } | LocationError::NotFound { .. })) => {
                Vec::new()
            }
            Err(_) if request.overwrite => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        Ok(match request.overwrite {
            false => Lying { kept: files.into_iter().map(|file| file.name).collect(), homes: HashMap::new() },
            true => {
                let homes = files.into_iter().map(|file| {
                    let holders = file.holders().collect();
                    (file.name, holders)
                });
                Lying { kept: HashSet::new(), homes: homes.collect() }
            }
        })
    }

    /// Has a part of each of these files made; the columns of one of them.
    async fn make_all(
        &self,
        files: VecDeque<u32>,
        part: &Part,
        homes: &HashMap<String, Vec<NodeId>>,
    ) -> Result<Option<Columns>, Ended> {
        Round::new(self, files, part, homes).run().await
    }

    /// Makes the location a shardset, unless it is one, and syncs it.
    async fn register(&self, request: &PreprocessRequest) -> Result<(), Ended> {
        let begun = Instant::now();
        loop {
            let node = self.node()?;
            match register_once(&node, &self.job, request).await {
                Ok(()) => return Ok(()),
                // A node may be away that has files of it.
                Err(error) if is_silence(&error) && begun.elapsed() < UNABLE_MAX => {
                    drop(node);
                    tokio::time::sleep(UNABLE_REST).await;
                }
                Err(error) => {
                    let text =
                        format!("the files are written, but they could not be made a shardset: {error}");
                    return Err(Ended::Failed(text));
                }
            }
        }
    }
}

async fn register_once(
    node: &Arc<Node>,
    job: &JobInfo,
    request: &PreprocessRequest,
) -> Result<(), NodeError> {
    let (context, patient) = (CallContext::new(REGISTER_MAX), CallContext::new(SYNC_MAX));
    let known = |node: &Node| -> Result<_, NodeError> {
        let info = node.known_dataset(job.dataset)?;
        Ok(info.shardsets.iter().find(|shardset| shardset.location == request.location).map(|found| found.id))
    };
    let shardset = match known(node)? {
        Some(shardset) => {
            node.await_syncs(&patient, &[shardset]).await?;
            node.sync_shardset(&context, (job.dataset, shardset), request.overwrite).await?;
            shardset
        }
        None => {
            let new = NewShardsetRequest { location: request.location.clone(), columns: Vec::new() };
            node.create_shardset(&context, job.dataset, new).await?.1
        }
    };
    node.await_syncs(&patient, &[shardset]).await?;
    if let Some(error) = node.sync_status(shardset).await.and_then(|status| status.error) {
        return Err(NodeError::Refused(error));
    }
    match node.known_dataset(job.dataset)?.shardset(shardset)?.manifest {
        Some(_) => Ok(()),
        None => Err(NodeError::Refused("its sync did not end well".to_owned())),
    }
}

/// What is at a job's location before it begins.
struct Lying {
    /// Names of files that stay as they are.
    kept: HashSet<String>,
    /// Who has the files that are written again.
    homes: HashMap<String, Vec<NodeId>>,
}

/// Whether a node may just be away for a moment.
pub(super) fn is_silence(error: &NodeError) -> bool {
    matches!(error.code(), ErrorCode::Unavailable | ErrorCode::DeadlineExceeded)
}

pub(super) fn no_columns(file: u32) -> String {
    format!(
        "shard {file} has no batch to write, and no other file says which columns it would have; use a smaller batch_size or \
         drop_last false"
    )
}

fn failed(error: NodeError) -> Ended {
    Ended::Failed(error.to_string())
}
