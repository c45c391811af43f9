//! Whether the copies of groups hold the same records.
//!
//! Each in-sync copy sums its live records up, collection by collection, from the rows themselves. Copies go on while they
//! are asked, so what they have at different operations is asked for again, a few times. Every hour each primary does so
//! for its groups by itself; a copy reads all that it holds for it (`checking`), so that it also finds bytes that have
//! changed where they lie.
//!
//! A copy that finds itself damaged is rebuilt (`membership::repairs`), and so is one replica of a group that differs from
//! the primary, which its callers see: it has applied the log wrongly, or the primary has. Where more than one differ the
//! primary may be the one that is wrong, which is for a person to say.

use crate::checking::NO_COLLECTION;
use crate::error::NodeError;
use crate::groups::{GroupAnswer, GroupCall, Router};
use crate::node::Node;
use crate::options::CallContext;
use futures_util::future::join_all;
use lavandin_cluster::{Catalogue, GroupInfo};
use lavandin_shard::{Digest, compare};
use lavandin_types::{CollectionId, GroupId, NodeId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often copies are asked that are not at one operation.
const ROUNDS_MAX: usize = 5;
const PAUSE: Duration = Duration::from_millis(100);
const INTERVAL: Duration = Duration::from_secs(3600);
/// What the hourly comparison of one group may take.
const PATIENCE: Duration = Duration::from_secs(3000);

/// What a copy holds, collection by collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digests {
    pub digests: Vec<Digest>,
    pub damaged: Vec<DamagedCollection>,
}

impl Digests {
    fn collections(&self) -> usize {
        let damaged = self.damaged.iter().filter(|damaged| damaged.collection != NO_COLLECTION);
        self.digests.len() + damaged.count()
    }
}

/// A collection whose records cannot be read, or are not those that its operations made; or what belongs to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DamagedCollection {
    pub collection: CollectionId,
    pub reason: String,
}

/// What a comparison found of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupVerdict {
    pub group: String,
    /// Of the primary.
    pub collections: usize,
    pub records: u64,
    /// The primary, then the other copies in sync.
    pub copies: Vec<CopyVerdict>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopyVerdict {
    pub node: u64,
    pub uri: String,
    pub verdict: Verdict,
    /// Those that the verdict is about, as database/collection.
    pub collections: Vec<String>,
    /// Why it was not compared, or what is damaged.
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// With it the others are compared; its own records are those that its operations made.
    Primary,
    Same,
    /// At the same operation it has other records.
    Differs,
    /// Its records cannot be read, or are not those that its operations made.
    Damaged,
    /// It was never at the same operation as the primary.
    NotComparable,
    /// It did not answer.
    Unreachable,
}

impl GroupVerdict {
    /// Whether something is wrong, which asking again does not change.
    pub fn is_wrong(&self) -> bool {
        self.copies.iter().any(|copy| matches!(copy.verdict, Verdict::Differs | Verdict::Damaged))
    }
}

impl Node {
    /// Compares the copies of every group.
    pub async fn verify(&self, context: &CallContext) -> Result<Vec<GroupVerdict>, NodeError> {
        let groups: Vec<GroupId> = self.metadata.catalogue().groups().map(|group| group.id).collect();
        let mut verdicts = Vec::new();
        for group in groups {
            context.check()?;
            verdicts.extend(self.router.verify(context, group).await);
        }
        Ok(verdicts)
    }

    /// Copies that were found to differ from their primaries, or damaged, by the hourly comparisons of this node.
    pub fn divergences(&self) -> u64 {
        self.router.divergences.load(Ordering::Relaxed)
    }
}

/// Compares the groups that the node leads, every hour, as long as the node lives.
pub(crate) async fn keep_comparing(router: Weak<Router>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Some(router) = router.upgrade() else { return };
        router.verify_own(PATIENCE).await;
    }
}

impl Router {
    /// Compares the groups that this node leads, one after the other, and checks its other copies that no primary asks.
    pub(crate) async fn verify_own(&self, patience: Duration) {
        let catalogue = self.metadata.catalogue();
        for group in catalogue.groups_of(self.node) {
            if group.primary == self.node {
                self.verify_led(group.id, patience).await;
            } else if !group.in_sync.contains_key(&self.node)
                && let Some(local) = self.host.get(group.id)
                && let Err(error) = local.digests(&CallContext::new(patience)).await
            {
                tracing::debug!(group = %group.id, %error, "a copy could not be checked");
            }
        }
    }

    async fn verify_led(&self, id: GroupId, patience: Duration) {
        let context = CallContext::new(patience);
        let Some(verdict) = self.verify(&context, id).await else { return };
        let wrong = |copy: &&CopyVerdict| matches!(copy.verdict, Verdict::Differs | Verdict::Damaged);
        for copy in verdict.copies.iter().filter(wrong) {
            self.divergences.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                event = "copies_differ", group = %verdict.group, node = copy.node, uri = %copy.uri,
                verdict = ?copy.verdict, collections = ?copy.collections, reason = copy.reason.as_deref(),
                "a copy of the group does not hold what it should"
            );
        }
        let mut differing = verdict.copies.iter().filter(|copy| copy.verdict == Verdict::Differs);
        if let (Some(copy), None) = (differing.next(), differing.next()) {
            self.doubt(&context, id, NodeId::new(copy.node)).await;
        }
    }

    /// Tells a replica that it does not hold what the primary does.
    async fn doubt(&self, context: &CallContext, id: GroupId, node: NodeId) {
        let catalogue = self.metadata.catalogue();
        let Some(info) = catalogue.group(id).filter(|info| info.primary != node) else { return };
        if let Err(error) = self.ask_one_copy(context, node, info, &GroupCall::Doubt).await {
            tracing::warn!(group = %id, %node, %error, "a copy that differs could not be told");
        }
    }

    /// `None` where the group is gone.
    pub(crate) async fn verify(&self, context: &CallContext, group: GroupId) -> Option<GroupVerdict> {
        let catalogue = self.metadata.catalogue();
        let info = catalogue.group(group)?;
        let mut open: BTreeSet<NodeId> = info.in_sync.keys().copied().collect();
        open.remove(&info.primary);
        let mut settled: BTreeMap<NodeId, Found> = BTreeMap::new();
        let mut primary = Digests::default();
        for round in 0..ROUNDS_MAX {
            if round > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let asked: Vec<NodeId> = std::iter::once(info.primary).chain(open.iter().copied()).collect();
            let answers = join_all(asked.iter().map(|node| self.digests_of(context, *node, info))).await;
            let mut answers = asked.into_iter().zip(answers);
            match answers.next()?.1 {
                Ok(ours) => primary = ours,
                Err(reason) => {
                    settled.insert(info.primary, Found::Unreachable(reason));
                    continue;
                }
            }
            settled.insert(info.primary, Found::of_primary(&primary));
            settled.extend(answers.map(|(node, theirs)| (node, Found::of(&primary, theirs))));
            open.retain(|node| settled.get(node).is_none_or(Found::is_open));
            // With a damaged primary nothing can be compared.
            if open.is_empty() || !primary.damaged.is_empty() {
                break;
            }
        }
        let unknown = || Found::Unreachable("its primary did not answer".to_owned());
        let others = info.in_sync.keys().filter(|node| **node != info.primary);
        let copies = std::iter::once(&info.primary)
            .chain(others)
            .map(|node| settled.remove(node).unwrap_or_else(unknown).told(&catalogue, *node))
            .collect();
        Some(GroupVerdict {
            group: info.name.clone(),
            collections: primary.collections(),
            records: primary.digests.iter().map(|digest| digest.records).sum(),
            copies,
        })
    }

    async fn digests_of(
        &self,
        context: &CallContext,
        node: NodeId,
        info: &GroupInfo,
    ) -> Result<Digests, String> {
        match self.ask_one_copy(context, node, info, &GroupCall::Digests).await {
            Ok(GroupAnswer::Digests(digests)) => Ok(digests),
            Ok(_) => Err("it answered another question".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What is known of one copy.
enum Found {
    Primary,
    Same,
    Differs(Vec<CollectionId>),
    Damaged(Vec<DamagedCollection>),
    NotComparable(Vec<CollectionId>),
    Unreachable(String),
}

impl Found {
    fn of_primary(ours: &Digests) -> Self {
        if ours.damaged.is_empty() { Self::Primary } else { Self::Damaged(ours.damaged.clone()) }
    }

    fn of(ours: &Digests, theirs: Result<Digests, String>) -> Self {
        let theirs = match theirs {
            Ok(theirs) if theirs.damaged.is_empty() => theirs,
            Ok(damaged) => return Self::Damaged(damaged.damaged),
            Err(reason) => return Self::Unreachable(reason),
        };
        let compared = compare(&ours.digests, &theirs.digests);
        if !compared.different.is_empty() {
            return Self::Differs(compared.different);
        }
        if compared.unsettled.is_empty() { Self::Same } else { Self::NotComparable(compared.unsettled) }
    }

    /// Whether asking again may find out more.
    fn is_open(&self) -> bool {
        matches!(self, Self::NotComparable(_) | Self::Unreachable(_))
    }

    fn told(self, catalogue: &Catalogue, node: NodeId) -> CopyVerdict {
        let (verdict, collections, reason) = match self {
            Self::Primary => (Verdict::Primary, Vec::new(), None),
            Self::Same => (Verdict::Same, Vec::new(), None),
            Self::Differs(collections) => (Verdict::Differs, collections, None),
            Self::NotComparable(collections) => {
                let reason =
                    "it was never at the same operation as the primary; ask again while nobody writes";
                (Verdict::NotComparable, collections, Some(reason.to_owned()))
            }
            Self::Unreachable(reason) => (Verdict::Unreachable, Vec::new(), Some(reason)),
            Self::Damaged(damaged) => {
                let reasons: Vec<&str> = damaged.iter().map(|one| one.reason.as_str()).collect();
                let reason = reasons.join("; ");
                (Verdict::Damaged, damaged.iter().map(|one| one.collection).collect(), Some(reason))
            }
        };
        let name = |id: CollectionId| {
            if id == NO_COLLECTION {
                return "log".to_owned();
            }
            let known = catalogue.collection_by_id(id);
            known.map_or_else(|_| id.to_string(), |info| format!("{}/{}", info.database, info.name))
        };
        CopyVerdict {
            node: node.get(),
            uri: catalogue.node(node).map(|info| info.address.clone()).unwrap_or_default(),
            verdict,
            collections: collections.into_iter().map(name).collect(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests;
