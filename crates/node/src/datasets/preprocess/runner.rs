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
use crate::datasets::listings::{Holders, Names};
use crate::datasets::preprocess::PreprocessRequest;
use crate::datasets::preprocess::checks::is_same_place;
use crate::datasets::preprocess::file_maker::{FileMaker, Part};
use crate::datasets::preprocess::round::{Homes, Round, RoundEnd};
use crate::datasets::preprocess::work::Work;
use crate::datasets::tasks::Progress;
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::{JobInfo, ShardsetInfo};
use lavandin_feed::location::{Location, LocationError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How long something is tried that needs a node which may be away: longer than one is that is started again.
pub(super) const UNABLE_MAX: Duration = Duration::from_secs(120);
pub(super) const UNABLE_REST: Duration = Duration::from_secs(2);
/// How long a node is waited for that may have files already.
const SILENT_MAX: Duration = Duration::from_secs(15);
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
        let target = Location::parse(&request.location).map_err(|error| failed(error.into()))?;
        let maker = self.open().await?;
        let files = maker.files();
        self.progress.step("processing", u64::from(files));
        let before = self.lying(&target).await?;
        let mut work = Work::default();
        for file in 0..files {
            match (before.get(&maker.name_of(file)), maker.has_batches(file)) {
                (Some(_), _) if !request.overwrite => self.progress.advance(),
                (holders, has_batches) => {
                    work.add(file, has_batches, holders.filter(|_| target.file_path().is_some()))
                }
            }
        }
        let other = (0..files).find(|file| maker.has_batches(*file));
        let names: Vec<String> = (0..files).map(|file| maker.name_of(file)).collect();
        // It may be large, and another job's turn.
        drop(maker);
        let mut end = self.make(&work, RoundEnd::default(), other).await?;
        while work.may_leave_stale() {
            let now = self.lying(&target).await?;
            let Some(stale) = work.stale(&end.made, &now, &names) else { break };
            end = self.make(&stale, end, other).await?;
        }
        if request.register {
            self.progress.step("register", u64::from(files));
            self.await_files(&target, &names).await?;
            self.register(&request).await?;
        }
        Ok(())
    }

    /// Makes files, those without rows last.
    async fn make(&self, work: &Work, before: RoundEnd, other: Option<u32>) -> Result<RoundEnd, Ended> {
        let (homes, mut all) = (work.homes(), before);
        let mut take_in = |end: RoundEnd| {
            all.columns = all.columns.take().or(end.columns);
            all.made.extend(end.made);
            all.columns.clone()
        };
        let made = Round::new(self, work.rows.clone(), &Part::Rows, &homes).run().await?;
        let mut columns = take_in(made);
        let Some(first) = work.without_rows.front() else { return Ok(all) };
        if columns.is_none() {
            let other = other.ok_or_else(|| Ended::Failed(no_columns(*first)))?;
            let looked =
                Round::new(self, VecDeque::from([other]), &Part::Columns, &Homes::new()).run().await?;
            columns = take_in(looked);
        }
        let columns = columns.ok_or_else(|| Ended::Failed(no_columns(*first)))?;
        let part = Part::NoRows { columns };
        take_in(Round::new(self, work.without_rows.clone(), &part, &homes).run().await?);
        Ok(all)
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

    /// What lies at the location, and where. Nodes that are away are waited for as long as a start takes: what they have need
    /// not be made again.
    async fn lying(&self, target: &Location) -> Result<BTreeMap<String, Holders>, Ended> {
        let begun = Instant::now();
        loop {
            let Names { names, silent } = self.list(target).await?;
            if silent.is_empty() || begun.elapsed() >= SILENT_MAX || self.node()?.membership.is_alone() {
                return Ok(names);
            }
            tokio::time::sleep(UNABLE_REST).await;
        }
    }

    async fn list(&self, target: &Location) -> Result<Names, Ended> {
        let begun = Instant::now();
        loop {
            let node = self.node()?;
            match node.datasets.list_names(target).await {
                Ok(names) => return Ok(names),
                Err(NodeError::Location(
                    LocationError::Empty { .. }
                    | LocationError::NotFound { .. }
                    | LocationError::NotADirectory { .. },
                )) => return Ok(Names { names: BTreeMap::new(), silent: Vec::new() }),
                Err(_) if !node.membership.is_alone() && begun.elapsed() < UNABLE_MAX => {}
                Err(error) => return Err(failed(error)),
            }
            drop(node);
            tokio::time::sleep(UNABLE_REST).await;
        }
    }

    /// Waits until all files are listed: a shardset of some of them would not join.
    async fn await_files(&self, target: &Location, names: &[String]) -> Result<(), Ended> {
        let begun = Instant::now();
        loop {
            let lying = self.list(target).await?.names;
            let missing: Vec<&String> = names.iter().filter(|name| !lying.contains_key(*name)).collect();
            let Some(first) = missing.first() else { return Ok(()) };
            if begun.elapsed() >= UNABLE_MAX || self.node()?.membership.is_alone() {
                let text = format!(
                    "the files are written, but {} of them ({first} first) are on no node that can be asked: begin the task again \
                     when all nodes are back",
                    missing.len()
                );
                return Err(Ended::Failed(text));
            }
            tokio::time::sleep(UNABLE_REST).await;
        }
    }

    /// Makes the location a shardset, unless it is one, and syncs it.
    async fn register(&self, request: &PreprocessRequest) -> Result<(), Ended> {
        let begun = Instant::now();
        loop {
            let node = self.node()?;
            match register_once(&node, &self.job, request).await {
                Ok(()) => return Ok(()),
                // A node may be away that has files of it.
                Err(_) if !node.membership.is_alone() && begun.elapsed() < UNABLE_MAX => {
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
        let is_there = |shardset: &&ShardsetInfo| is_same_place(&shardset.location, &request.location);
        Ok(info.shardsets.iter().find(is_there).map(|found| found.id))
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

pub(super) fn no_columns(file: u32) -> String {
    format!(
        "shard {file} has no batch to write, and no other file says which columns it would have; use a smaller batch_size or \
         drop_last false"
    )
}

fn failed(error: NodeError) -> Ended {
    Ended::Failed(error.to_string())
}
