//! Who syncs shardsets: the node that does the cluster's chores, whoever was asked. Who was asked sees to it until the sync
//! has ended: if the chores move meanwhile, because that node died, it begins anew on the next one. A shardset that was
//! never synced is begun with by the next one itself.

use crate::datasets::peer_calls::{DatasetReply, DatasetRequest};
use crate::datasets::preprocess::with_jobs;
use crate::datasets::sync::task_name;
use crate::datasets::tasks::{TaskName, TaskStatus};
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use futures_util::future::join_all;
use lavandin_feed::location::Location;
use lavandin_types::{DatasetId, ErrorCode, NodeId, ShardsetId};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How long a caller is kept waiting while nobody does the chores: longer than they take to move.
const CHORES_PATIENCE: Duration = Duration::from_secs(15);
const ANSWER_MAX: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(300);
/// How often who asked for a sync looks how far it is, and for how long.
const WATCH_PAUSE: Duration = Duration::from_secs(1);
const WATCH_MAX: Duration = Duration::from_secs(24 * 3600);
/// How often a caller that waits for a sync looks, where it runs here and elsewhere.
const POLL: Duration = Duration::from_millis(10);
const POLL_OTHER: Duration = Duration::from_millis(50);

const OTHER_ANSWER: NodeError = NodeError::Internal("a node answered another question");

impl Node {
    /// The node that syncs shardsets.
    fn syncing_node(&self) -> NodeId {
        let own = self.identity.node;
        match self.membership.is_alone() {
            true => own,
            false => self.metadata.catalogue().chores().map_or(own, |chores| chores.node),
        }
    }

    /// Whether this node syncs shardsets and sees to jobs.
    pub(crate) fn does_chores(&self) -> bool {
        self.syncing_node() == self.identity.node
    }

    /// Begins to sync a shardset; refused while it is being synced.
    pub async fn sync_shardset(
        &self,
        context: &CallContext,
        (dataset, shardset): (DatasetId, ShardsetId),
        overwrite: bool,
    ) -> Result<(), NodeError> {
        let before =
            self.dataset(dataset).await?.shardset(shardset)?.manifest.map_or(0, |known| known.version);
        let deadline = context.deadline.min(Instant::now() + CHORES_PATIENCE);
        loop {
            let node = self.syncing_node();
            match self.start_sync_on(node, (dataset, shardset), overwrite).await {
                Err(error) if error.code() == ErrorCode::Unavailable && Instant::now() + RETRY < deadline => {
                    tokio::time::sleep(RETRY).await;
                }
                Ok(()) if node != self.identity.node => {
                    let watched = Watched { dataset, shardset, overwrite, before, at: node };
                    self.datasets.handle.spawn(watch(self.weak(), watched));
                    return Ok(());
                }
                other => return other,
            }
        }
    }

    async fn start_sync_on(
        &self,
        node: NodeId,
        (dataset, shardset): (DatasetId, ShardsetId),
        overwrite: bool,
    ) -> Result<(), NodeError> {
        if node == self.identity.node {
            return self.start_sync((dataset, shardset), overwrite);
        }
        let (dataset, shardset) = (dataset.to_string(), shardset.to_string());
        let request = DatasetRequest::StartSync { dataset, shardset, overwrite };
        match self.datasets.peers.ask(node, &request, ANSWER_MAX).await? {
            DatasetReply::Done {} => Ok(()),
            _ => Err(OTHER_ANSWER),
        }
    }

    /// How far a shardset's sync is; `None` if there is none that is known.
    pub async fn sync_status(&self, shardset: ShardsetId) -> Option<TaskStatus> {
        let node = self.syncing_node();
        if node == self.identity.node {
            return self.own_sync_status(shardset);
        }
        self.sync_status_on(node, shardset).await.ok().flatten()
    }

    pub(crate) fn own_sync_status(&self, shardset: ShardsetId) -> Option<TaskStatus> {
        self.datasets.tasks.status(&task_name(shardset))
    }

    async fn sync_status_on(
        &self,
        node: NodeId,
        shardset: ShardsetId,
    ) -> Result<Option<TaskStatus>, NodeError> {
        let request = DatasetRequest::SyncStatus { shardset: shardset.to_string() };
        match self.datasets.peers.ask(node, &request, ANSWER_MAX).await? {
            DatasetReply::Sync { status } => Ok(status),
            _ => Err(OTHER_ANSWER),
        }
    }

    /// Waits until none of the shardsets is being synced.
    pub(crate) async fn await_syncs(
        &self,
        context: &CallContext,
        shardsets: &[ShardsetId],
    ) -> Result<(), NodeError> {
        for shardset in shardsets {
            while self.sync_status(*shardset).await.is_some_and(|status| !status.is_over()) {
                context.check()?;
                let here = self.syncing_node() == self.identity.node;
                tokio::time::sleep(if here { POLL } else { POLL_OTHER }).await;
            }
        }
        Ok(())
    }

    /// Background tasks that run or failed, on all nodes that can be asked.
    pub async fn tasks(&self) -> Vec<(TaskName, TaskStatus)> {
        let mut all = self.tasks_here();
        let request = DatasetRequest::Tasks {};
        let peers = &self.datasets.peers;
        let asked = peers.others(&[]).into_iter().map(|node| peers.ask(node, &request, ANSWER_MAX));
        for answer in join_all(asked).await {
            if let Ok(DatasetReply::Tasks { tasks }) = answer {
                all.extend(tasks);
            }
        }
        match self.listed_catalogue().await {
            Ok(catalogue) => with_jobs(all, catalogue.jobs()),
            Err(_) => with_jobs(all, self.metadata.catalogue().jobs()),
        }
    }

    /// Syncs that run or failed here, and jobs that this node sees to; of the node that does the chores the failed ones too.
    pub fn own_tasks(&self) -> Vec<(TaskName, TaskStatus)> {
        match self.does_chores() {
            true => with_jobs(self.tasks_here(), self.metadata.catalogue().jobs()),
            false => self.tasks_here(),
        }
    }

    fn tasks_here(&self) -> Vec<(TaskName, TaskStatus)> {
        let (catalogue, jobs) = (self.metadata.catalogue(), self.datasets.jobs.list());
        // A job that has gone from the catalogue is over, though this node has not noticed yet.
        let runs =
            |(name, _): &(TaskName, TaskStatus)| catalogue.job(name).is_some_and(|job| job.is_running());
        self.datasets.tasks.list().into_iter().chain(jobs.into_iter().filter(runs)).collect()
    }

    /// Tells a task to stop, whatever node it runs on; whether there is one.
    pub async fn abort_task(&self, name: &str) -> Result<bool, NodeError> {
        Ok(self.abort_job(name).await? || self.abort_sync(name).await)
    }

    pub(crate) async fn abort_sync(&self, name: &str) -> bool {
        let mut found = self.datasets.tasks.abort(name);
        let request = DatasetRequest::AbortTask { name: name.to_owned() };
        let peers = &self.datasets.peers;
        let asked = peers.others(&[]).into_iter().map(|node| peers.ask(node, &request, ANSWER_MAX));
        for answer in join_all(asked).await {
            found |= matches!(answer, Ok(DatasetReply::Aborted { found: true }));
        }
        found
    }

    /// Begins with the shardsets that were never synced, once the chores have come here.
    pub(crate) async fn begin_first_syncs(&self) {
        let mut never_synced = Vec::new();
        for dataset in self.metadata.catalogue().datasets() {
            for shardset in dataset.shardsets.iter().filter(|shardset| shardset.manifest.is_none()) {
                never_synced.push(((dataset.id, shardset.id), shardset.location.clone()));
            }
        }
        for (shardset, location) in never_synced {
            // A place for files to come is left alone.
            let Ok(location) = Location::parse(&location) else { continue };
            let listed = self.datasets.list_shards(&location, |_| None).await;
            if listed.is_ok_and(|listing| !listing.files.is_empty()) {
                drop(self.start_sync(shardset, true));
            }
        }
    }

    /// The epoch of the chores, if this node does them for others.
    pub(crate) fn chores_epoch_here(&self) -> Option<u64> {
        let catalogue = self.metadata.catalogue();
        let chores = catalogue.chores().filter(|chores| chores.node == self.identity.node)?;
        (!self.membership.is_alone()).then_some(chores.epoch)
    }
}

/// A sync that another node was asked for.
#[derive(Clone, Copy)]
struct Watched {
    dataset: DatasetId,
    shardset: ShardsetId,
    overwrite: bool,
    /// The version of the manifest before.
    before: u64,
    /// Where it was begun.
    at: NodeId,
}

/// Sees to it that the sync ends, on whatever node.
async fn watch(node: Weak<Node>, watched: Watched) {
    let Watched { dataset, shardset, overwrite, before, at: mut begun_at } = watched;
    let until = Instant::now() + WATCH_MAX;
    while Instant::now() < until {
        tokio::time::sleep(WATCH_PAUSE).await;
        let Some(node) = node.upgrade() else { return };
        let version = node.known_dataset(dataset).ok().and_then(|info| {
            info.shardset(shardset).ok().map(|found| found.manifest.map_or(0, |known| known.version))
        });
        if version != Some(before) {
            // It is done, or there is nothing to sync any more.
            return;
        }
        let at = node.syncing_node();
        let status = match at == node.identity.node {
            true => Ok(node.own_sync_status(shardset)),
            false => node.sync_status_on(at, shardset).await,
        };
        match status {
            // What another node says of a sync may be of an earlier one.
            Ok(Some(status)) if status.is_over() && at == begun_at => return,
            Ok(Some(status)) if !status.is_over() => begun_at = at,
            Ok(_) => {
                tracing::info!(event = "sync_moved", %shardset, node = %at, "a sync begins anew: the chores have moved");
                if node.start_sync_on(at, (dataset, shardset), overwrite).await.is_ok() {
                    begun_at = at;
                }
            }
            Err(_) => {}
        }
    }
}

impl Node {
    /// Answers what concerns syncs and tasks.
    pub(crate) async fn answer_chore(
        self: &Arc<Self>,
        request: DatasetRequest,
    ) -> Result<DatasetReply, NodeError> {
        let malformed = |_| NodeError::Invalid("what was sent names no shardset".to_owned());
        Ok(match request {
            DatasetRequest::StartSync { dataset, shardset, overwrite } => {
                let of = (dataset.parse().map_err(malformed)?, shardset.parse().map_err(malformed)?);
                // It may have been created a moment ago.
                self.dataset(of.0).await?;
                self.start_sync(of, overwrite)?;
                DatasetReply::Done {}
            }
            DatasetRequest::SyncStatus { shardset } => {
                DatasetReply::Sync { status: self.own_sync_status(shardset.parse().map_err(malformed)?) }
            }
            DatasetRequest::Tasks {} => DatasetReply::Tasks { tasks: self.tasks_here() },
            DatasetRequest::Feeding {} => DatasetReply::Feeding { node: Box::new(self.own_feeding()) },
            DatasetRequest::AbortTask { name } => {
                DatasetReply::Aborted { found: self.datasets.tasks.abort(&name) }
            }
            _ => return Err(OTHER_ANSWER),
        })
    }
}
