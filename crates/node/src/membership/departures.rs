//! Copies that go: those that hand over, because their node goes down or they leave their group, and those that the node
//! is no longer to have.
//!
//! A copy is removed only by what the catalogue says, of a group that the catalogue knows, at a node that is registered and
//! not alone: its catalogue is then not older than its registration, and whether it is a member later only a later entry
//! says, which begins with an empty copy anyway. A node alone removes nothing: its catalogue may be a backup.

use super::Membership;
use crate::groups::Part;
use futures_util::future::BoxFuture;
use lavandin_cluster::{Catalogue, GroupInfo};
use lavandin_types::{GroupId, NodeId};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Groups whose copies are being removed, or set aside.
#[derive(Clone, Default)]
pub(super) struct Departures(Arc<Leaving>);

#[derive(Default)]
struct Leaving {
    /// Whether the disk was looked at.
    looked: AtomicBool,
    groups: Mutex<BTreeSet<GroupId>>,
    ended: Notify,
}

impl Departures {
    /// Whether the copy of a group is on its way out: it cannot be opened again until it is gone.
    pub(super) fn holds(&self, group: GroupId) -> bool {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner).contains(&group)
    }

    /// Returns when one is gone, or may be opened again.
    pub(super) async fn ended(&self) {
        self.0.ended.notified().await;
    }

    pub(super) fn begin(&self, group: GroupId) -> bool {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner).insert(group)
    }

    pub(super) fn end(&self, group: GroupId) {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner).remove(&group);
        self.wake();
    }

    /// Has the catalogue followed again.
    pub(super) fn wake(&self) {
        self.0.ended.notify_one();
    }
}

impl Membership {
    /// Removes the copies of groups that this node is no member of, in the background: running jobs are waited for.
    pub(super) fn let_go(&self, catalogue: &Catalogue, own: &[GroupId]) {
        if self.is_alone() {
            return;
        }
        let mut present: BTreeSet<GroupId> = self.groups.all().iter().map(|local| local.id).collect();
        if !self.departures.0.looked.swap(true, Ordering::AcqRel) {
            // What was open or left behind when the process ended.
            match self.groups.on_disk() {
                Ok(found) => present.extend(found),
                Err(error) => {
                    tracing::warn!(%error, "copies that are not needed any more cannot be looked for")
                }
            }
        }
        let goes = |group: &GroupId| !own.contains(group) && catalogue.group(*group).is_some();
        for group in present.into_iter().filter(goes).filter(|group| self.departures.begin(*group)) {
            let (host, departures) = (Arc::clone(&self.groups), self.departures.clone());
            tokio::task::spawn_blocking(move || {
                match host.remove(group) {
                    Ok(()) => {
                        tracing::info!(event = "copy_removed", %group, "a copy of a group that this node left was removed")
                    }
                    Err(error) => {
                        tracing::error!(%group, %error, "a copy that is not needed any more stays on the disk")
                    }
                }
                departures.end(group);
            });
        }
    }

    /// Asks the primaries here to stop serving that another copy is to replace.
    pub(super) fn ask_to_yield(&self, catalogue: &Catalogue, part: Part) {
        let down = self.stopping_soon.load(Ordering::Acquire);
        for local in self.groups.all() {
            let info = catalogue.group(local.id).filter(|info| info.primary == part.node);
            // Who goes down does not serve again: the leader may act on what it was told a moment ago.
            let asked = local.asked_to_yield.load(Ordering::Acquire);
            local.ask_to_yield(
                info.is_some_and(|info| info.should_yield() || down && (asked || waits_for(info, part.node))),
            );
        }
    }

    /// Has other nodes take over what this one does, as far as they can within `limit`. The node is to be closed then.
    pub(crate) fn hand_over(&self, limit: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let part = *self.part.borrow();
            let Some(part) = part.filter(|_| !self.is_alone()) else { return };
            self.stopping_soon.store(true, Ordering::Release);
            let mut changes = self.metadata.changed();
            let handed_over = async {
                while self.metadata.catalogue().groups_of(part.node).any(|info| waits_for(info, part.node)) {
                    self.ask_to_yield(&self.metadata.catalogue(), part);
                    tokio::select! {
                        () = self.yielded() => {
                            self.beat_now.notify_one();
                            drop(changes.changed().await);
                        }
                        _ = changes.changed() => {}
                    }
                }
            };
            if tokio::time::timeout(limit, handed_over).await.is_err() {
                tracing::warn!(
                    event = "not_handed_over",
                    "no other copy took over in time; the cluster will notice this node's silence"
                );
            }
        })
    }

    /// Until the copies that were asked to have stopped serving.
    async fn yielded(&self) {
        for local in self.groups.all() {
            if local.asked_to_yield.load(Ordering::Acquire) {
                // A copy that has ended serves nothing either.
                drop(local.serving.yields().wait_for(|yields| *yields).await);
            }
        }
    }
}

/// Whether others wait for a copy that goes down, or could take over from it.
fn waits_for(info: &GroupInfo, node: NodeId) -> bool {
    info.in_sync.contains_key(&node) && info.in_sync.len() > 1
}
