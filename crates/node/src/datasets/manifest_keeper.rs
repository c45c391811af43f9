//! Which manifests are kept where. Each member of a dataset's group has every manifest that the catalogue or one of the
//! dataset's iterations names: a sync sees to that before it makes the catalogue name a new one (`spread_manifest`), and a
//! copy that came to the group later takes them by itself (`keep_manifests`). Other nodes have those that they have used.
//! What nobody names any more goes: on a node alone at once, in a cluster after a while in which another node may have
//! been about to name it.

use crate::datasets::manifests::Named;
use crate::datasets::peer_calls::{DatasetReply, DatasetRequest};
use crate::error::NodeError;
use crate::node::Node;
use lavandin_cluster::{Catalogue, CopyState, DatasetInfo, JobInfo, ManifestRef, ShardsetInfo};
use lavandin_plan::iterations::IterationInfo;
use lavandin_types::{GroupId, NodeId, ShardsetId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often it is looked what is missing here.
const PAUSE: Duration = Duration::from_secs(5);
/// Every so many looks it is looked what is of no more use.
const SWEEP_ROUNDS: u32 = 12;
/// Longer than a request that is about to name a manifest may take.
const KEPT_UNNAMED: Duration = Duration::from_secs(600);
/// How long members of a group may take to store a manifest, and one of them.
const SPREAD_MAX: Duration = Duration::from_secs(120);
const STORE_MAX: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(500);

/// Files that nobody names, and since when.
#[derive(Default)]
struct Unnamed {
    since: BTreeMap<String, Instant>,
}

/// Goes on until the node is gone.
pub(crate) async fn keep_manifests(node: Weak<Node>) {
    let mut unnamed = Unnamed::default();
    let mut ensured: HashSet<Named> = HashSet::new();
    let (mut chores_epoch, mut rounds) = (None, 0_u32);
    let mut versions = HashMap::new();
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(node) = node.upgrade() else { return };
        let epoch_here = node.chores_epoch_here();
        if epoch_here.is_some() && std::mem::replace(&mut chores_epoch, epoch_here) != epoch_here {
            node.begin_first_syncs().await;
        }
        node.datasets.update_drafts_max();
        node.forget_old_previews(&mut versions);
        if let Err(error) = node.take_missing_manifests(&mut ensured).await {
            tracing::debug!(%error, "a manifest is not here yet");
        }
        rounds += 1;
        if rounds.is_multiple_of(SWEEP_ROUNDS)
            && let Err(error) = node.sweep_manifests(&mut unnamed).await
        {
            tracing::debug!(%error, "it cannot be told which manifests are of use");
        }
    }
}

impl Node {
    /// Makes sure that every copy in sync of a dataset's group has a manifest, durable, before anybody names it.
    pub(crate) async fn spread_manifest(
        &self,
        group: GroupId,
        shardset: ShardsetId,
        manifest: ManifestRef,
    ) -> Result<(), NodeError> {
        let deadline = Instant::now() + SPREAD_MAX;
        let mut stored: BTreeSet<NodeId> = BTreeSet::from([self.identity.node]);
        loop {
            let members: Vec<NodeId> = match self.metadata.catalogue().group(group) {
                Some(info) => info.in_sync.keys().copied().collect(),
                None => Vec::new(),
            };
            let mut failure = None;
            for node in members.into_iter().filter(|node| !stored.contains(node)).collect::<Vec<_>>() {
                let request = DatasetRequest::KeepManifest {
                    shardset: shardset.to_string(),
                    version: manifest.version,
                    hash: format!("{:032x}", manifest.hash),
                };
                match self.datasets.peers.ask(node, &request, STORE_MAX).await {
                    Ok(DatasetReply::Done {}) => drop(stored.insert(node)),
                    Ok(_) => failure = Some(NodeError::Internal("a node answered another question")),
                    Err(error) => failure = Some(error),
                }
            }
            match failure {
                None => return Ok(()),
                // One that does not answer leaves the copies in sync in a moment.
                Some(error) if Instant::now() >= deadline => return Err(error),
                Some(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// Syncs elsewhere have made previews of this node old.
    fn forget_old_previews(&self, versions: &mut HashMap<ShardsetId, u64>) {
        let catalogue = self.metadata.catalogue();
        let now = current(&catalogue);
        for dataset in catalogue.datasets() {
            let is_new = |one: &ShardsetInfo| versions.get(&one.id) != now.get(&one.id);
            if dataset.shardsets.iter().any(is_new) {
                self.datasets.previews.forget(dataset.id);
            }
        }
        *versions = now;
    }

    /// Takes what is missing here of what this node is to have as a member of the datasets' groups.
    async fn take_missing_manifests(&self, ensured: &mut HashSet<Named>) -> Result<(), NodeError> {
        if self.membership.is_alone() {
            return Ok(());
        }
        let wanted = self.manifests_of_copies();
        ensured.retain(|named| wanted.contains(named));
        let mut failure = None;
        for named in wanted.into_iter().filter(|named| !ensured.contains(named)).collect::<Vec<_>>() {
            let runtime = Arc::clone(&self.datasets);
            let ensure = tokio::task::spawn_blocking(move || runtime.manifests.ensure(named));
            match ensure.await.unwrap_or(Err(NodeError::Internal("taking a manifest panicked"))) {
                Ok(()) => drop(ensured.insert(named)),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Named by the catalogue or, as far as the copies here tell, by iterations, of groups that have a copy here.
    fn manifests_of_copies(&self) -> HashSet<Named> {
        let catalogue = self.metadata.catalogue();
        let node = self.identity.node;
        let has_copy = |dataset: &&Arc<DatasetInfo>| {
            let state = catalogue.group(dataset.group).and_then(|group| group.state_of(node));
            matches!(state, Some(CopyState::InSync | CopyState::Joining))
        };
        let mut named: HashSet<Named> =
            catalogue.datasets().filter(has_copy).flat_map(|dataset| named_by(dataset)).collect();
        for copy in self.groups.all() {
            named.extend(copy.iterations.list(None).iter().flat_map(used_by));
        }
        named
    }

    /// Removes files that nobody names, on a node alone, where nobody else may be about to.
    pub(crate) async fn sweep_if_alone(&self) {
        if self.membership.is_alone()
            && let Err(error) = self.sweep_manifests(&mut Unnamed::default()).await
        {
            tracing::warn!(event = "manifests_not_swept", %error, "old manifests stay for now");
        }
    }

    async fn sweep_manifests(&self, unnamed: &mut Unnamed) -> Result<(), NodeError> {
        if self.metadata.catalogue().cluster().is_none() {
            return Ok(());
        }
        // In this order: whoever pins looks afterwards whether the catalogue names it still, and names it before the pin goes.
        let catalogue = self.metadata.catalogue();
        let mut used: HashSet<Named> = catalogue.datasets().flat_map(|dataset| named_by(dataset)).collect();
        used.extend(catalogue.jobs().filter(|job| job.is_running()).flat_map(|job| read_by(job)));
        used.extend(self.datasets.manifests.pinned());
        let groups = &self.datasets.iterations;
        used.extend(groups.list_all(&groups.context()).await?.iter().flat_map(used_by));
        let (runtime, current) = (Arc::clone(&self.datasets), current(&catalogue));
        let find = tokio::task::spawn_blocking(move || runtime.manifests.unused(&used, &current));
        let unused = find.await.map_err(|_| NodeError::Internal("reading manifests panicked"))??;
        let now = Instant::now();
        unnamed.since.retain(|name, _| unused.contains(name));
        for name in unused {
            unnamed.since.entry(name).or_insert(now);
        }
        let kept = if self.membership.is_alone() { Duration::ZERO } else { KEPT_UNNAMED };
        let old = unnamed.since.iter().filter(|(_, since)| since.elapsed() >= kept).map(|(name, _)| name);
        self.datasets.manifests.remove(old);
        Ok(())
    }
}

fn named_by(dataset: &DatasetInfo) -> impl Iterator<Item = Named> {
    dataset.shardsets.iter().filter_map(|one| one.manifest.map(|now| (one.id, now.version, now.hash)))
}

fn read_by(job: &JobInfo) -> impl Iterator<Item = Named> {
    job.sources.iter().map(|source| (source.shardset, source.version, source.hash))
}

fn used_by(info: &IterationInfo) -> impl Iterator<Item = Named> {
    info.definition.shardsets.iter().map(|used| (used.shardset, used.manifest_version, used.manifest_hash))
}

/// Of each shardset the version that the catalogue names, 0 for none.
fn current(catalogue: &Catalogue) -> HashMap<ShardsetId, u64> {
    let shardsets = catalogue.datasets().flat_map(|dataset| &dataset.shardsets);
    shardsets.map(|one| (one.id, one.manifest.map_or(0, |manifest| manifest.version))).collect()
}
