//! Copies here that failed or are damaged.
//!
//! 1. Such a copy says so in the node's heartbeats, and leaves the in-sync set. A primary resigns first
//!    (`driver::resigning`); another copy is promoted.
//! 2. Once the catalogue has it as stale because of damage, and its primary is well, its folder is set aside and the copy
//!    opened again, empty; it is rebuilt like any other. One that only lacked space is opened again as it is, when there is
//!    some.
//! 3. That is tried at once, then after pauses that double: a disk that keeps failing does not rebuild all day.
//!
//! Metadata that a full disk has stopped goes on the same way, with the node.
//!
//! Never is the last copy in sync thrown away, nor does it end its reign: it goes on as far as it can, and says so. If it
//! failed for lack of space the node is opened again when there is some: a primary needs another epoch to go on.
//!
//! Why a copy that begins anew may do so as the same incarnation is told in `lavandin_cluster`'s `group_info`.

mod cases;

pub use cases::RepairStatistics;
pub(super) use cases::Repairs;

use super::Membership;
use crate::groups::{Ailment, Part};
use lavandin_cluster::{Catalogue, CopyState, GroupInfo, StaleReason};
use lavandin_types::{GroupId, NodeId};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(500);
/// How often it is looked whether a copy's files are still there, in ticks.
const LOOK_TICKS: u32 = 10;
/// How long a damaged primary waits for other damaged copies to leave the in-sync set, and before it tries again to resign.
const RESIGNING_GRACE: Duration = Duration::from_secs(2);
const RESIGNING_PAUSE: Duration = Duration::from_secs(30);
/// How often a copy that only the operator can mend is tried, and a full disk.
const RETRY: Duration = Duration::from_secs(30);
const SPACE_RETRY: Duration = Duration::from_secs(5);
const ANSWER_MAX: Duration = Duration::from_secs(1);

impl Membership {
    /// Looks after this node's copies, for as long as it lives.
    pub(super) async fn keep_copies_whole(&self) {
        for tick in (0..LOOK_TICKS).cycle() {
            tokio::time::sleep(TICK).await;
            if tick == 0 {
                self.look_for_files().await;
                self.look_at_metadata().await;
            }
            let Some(part) = *self.part.borrow() else { continue };
            let catalogue = self.metadata.catalogue();
            let current = catalogue.node(part.node).map(|info| info.incarnation);
            if current.is_some_and(|current| current != part.incarnation) {
                // It will be opened again.
                continue;
            }
            let groups: Vec<Arc<GroupInfo>> = catalogue.groups_of(part.node).cloned().collect();
            self.repairs.keep(|group| groups.iter().any(|info| info.id == group));
            for info in groups {
                if let Some(ailment) = self.look_after(info.id) {
                    self.treat(&catalogue, (&info, part), ailment).await;
                }
            }
        }
    }

    pub(crate) fn repair_statistics(&self) -> RepairStatistics {
        self.repairs.statistics()
    }

    /// What is wrong with a copy, if something is.
    fn look_after(&self, group: GroupId) -> Option<Ailment> {
        let Some(local) = self.groups.get(group) else {
            return self.repairs.with(group, |case| case.ailment.clone()).flatten();
        };
        let ailment = local.ailment();
        if self.repairs.note(group, ailment.clone()) {
            self.beat_now.notify_one();
        }
        ailment
    }

    /// Metadata whose disk failed stays stopped until the node is opened again. That is of use where the disk takes writes.
    async fn look_at_metadata(&self) {
        let Some(reason) = self.metadata.status().failure else { return };
        let host = Arc::clone(&self.groups);
        let has_space = tokio::task::spawn_blocking(move || host.has_space()).await;
        if has_space.unwrap_or(false) {
            tracing::warn!(
                event = "metadata_stopped",
                reason,
                "the metadata stopped; the node is opened again"
            );
            self.part.send_replace(None);
            self.reopen.send_replace(true);
        }
    }

    async fn look_for_files(&self) {
        let all = self.groups.all();
        let look = move || {
            for local in all {
                if let Some(path) = local.missing_file() {
                    local.serving.show_damage(&format!("its file {path} is gone"));
                }
            }
        };
        drop(tokio::task::spawn_blocking(look).await);
    }

    async fn treat(&self, catalogue: &Catalogue, (info, part): (&GroupInfo, Part), ailment: Ailment) {
        let group = info.id;
        if self.departures.holds(group) {
            return;
        }
        match info.state_of(part.node) {
            Some(CopyState::InSync) if info.in_sync.len() == 1 => self.treat_last(info, part, &ailment),
            Some(CopyState::InSync) if info.primary == part.node => self.resign(group, &ailment),
            // The metadata's leader takes it out of the set.
            Some(CopyState::InSync | CopyState::Joining) | None => {}
            Some(CopyState::Stale(StaleReason::Damaged)) => {
                if self.is_primary_well(catalogue, info).await {
                    self.repair(group, ailment);
                }
            }
            // Marked as damaged by the metadata's leader first.
            Some(CopyState::Stale(_)) => {}
        }
    }

    /// A primary that failed has stopped already.
    fn resign(&self, group: GroupId, ailment: &Ailment) {
        let Some(local) = self.groups.get(group).filter(|local| local.ready().is_ok()) else { return };
        let is_due = self.repairs.with(group, |case| {
            let due = case.since.elapsed() >= RESIGNING_GRACE
                && case.asked.is_none_or(|asked| asked.elapsed() >= RESIGNING_PAUSE);
            case.asked = if due { Some(Instant::now()) } else { case.asked };
            due
        });
        if is_due == Some(true) {
            tracing::warn!(event = "copy_resigns", %group, "a damaged primary hands over to another copy");
            local.resign(ailment.reason());
        }
    }

    /// Nobody else holds what this copy holds.
    fn treat_last(&self, info: &GroupInfo, part: Part, ailment: &Ailment) {
        let group = info.id;
        if self.repairs.is_untold(group) {
            tracing::error!(
                event = "last_copy_out_of_order", group = %info.name, reason = ailment.reason(),
                "the group's only copy in sync is out of order, so that nothing can be done here without losing what it \
                 holds: mend the disk, or make space; else restore the group from a backup, or decide for another copy \
                 with force-promote"
            );
        }
        let failed = self.groups.get(group).is_none_or(|local| local.ready().is_err());
        let retry = if matches!(ailment, Ailment::NoSpace(_)) { SPACE_RETRY } else { RETRY };
        if !failed || !self.repairs.is_due(group, retry) {
            return;
        }
        let is_open = self.groups.get(group).is_some();
        match ailment {
            // Perhaps somebody has put its files right.
            Ailment::Damaged(_) | Ailment::Unusable(_) if !is_open => self.try_again(group),
            Ailment::NoSpace(_) => self.await_space(group, Some(part)),
            Ailment::Damaged(_) | Ailment::Unusable(_) => {}
        }
    }

    /// Has the copy opened again.
    fn try_again(&self, group: GroupId) {
        self.repairs.with(group, |case| case.closed = false);
        self.departures.wake();
    }

    fn repair(&self, group: GroupId, ailment: Ailment) {
        let is_rebuilding = self.groups.get(group).is_some_and(|local| local.rebuild.shown().is_some());
        if is_rebuilding || !self.repairs.is_due(group, SPACE_RETRY) {
            return;
        }
        match ailment {
            Ailment::Damaged(reason) => self.start_over(group, reason),
            Ailment::NoSpace(_) => self.await_space(group, None),
            Ailment::Unusable(_) => self.try_again(group),
        }
    }

    /// Sets the copy aside; `follow_catalogue` opens an empty one then.
    fn start_over(&self, group: GroupId, reason: String) {
        if !self.departures.begin(group) {
            return;
        }
        let (now, mut repairs) = (Instant::now(), 0);
        self.repairs.with(group, |case| {
            case.take_turn(now);
            (case.closed, repairs) = (true, case.repairs);
        });
        let (host, this) = (Arc::clone(&self.groups), self.departures.clone());
        let cases = Arc::clone(&self.repairs);
        tokio::task::spawn_blocking(move || {
            match host.set_aside(group) {
                Ok(aside) => {
                    cases.started_over.fetch_add(1, Ordering::Relaxed);
                    cases.with(group, |case| case.closed = false);
                    let aside = aside.map(|path| path.display().to_string());
                    tracing::warn!(
                        event = "copy_set_aside", %group, reason, aside, repairs,
                        "a damaged copy was set aside and is rebuilt from another one; if this comes again, replace its disk"
                    );
                }
                Err(error) => {
                    tracing::error!(
                        event = "repair_failed", %group, %error,
                        "a damaged copy cannot be set aside; it is tried again: see that its disk takes writes"
                    );
                }
            }
            this.end(group);
        });
    }

    /// Goes on with a copy that lacked space, if there is some: opens it again as it is, or, where it is the last one in
    /// sync (`last`), the node.
    fn await_space(&self, group: GroupId, last: Option<Part>) {
        if !self.departures.begin(group) {
            return;
        }
        let (host, departures, cases) =
            (Arc::clone(&self.groups), self.departures.clone(), Arc::clone(&self.repairs));
        let (reopen, part) = (self.reopen.clone(), self.part.clone());
        tokio::task::spawn_blocking(move || {
            // What was kept for a look takes space that the copy needs.
            let discarded = host.discard_aside(group);
            if discarded.is_ok() && host.has_space() {
                tracing::info!(event = "space_again", %group, "there is space again; a copy goes on");
                match last {
                    Some(_) => {
                        part.send_replace(None);
                        reopen.send_replace(true);
                    }
                    None => {
                        if let Err(error) = host.close(group) {
                            tracing::error!(%group, %error, "the thread of a copy ended badly");
                        }
                        cases.with(group, |case| case.closed = false);
                    }
                }
            }
            departures.end(group);
        });
    }

    /// Whether a copy can be rebuilt: before, what it holds may be needed yet.
    async fn is_primary_well(&self, catalogue: &Catalogue, info: &GroupInfo) -> bool {
        let status = self.leader_status(ANSWER_MAX).await;
        let known = |node: NodeId| catalogue.node(node).map(|info| info.address.clone());
        let shown = status.shard_groups.iter().find(|shown| shown.name == info.name);
        shown.is_some_and(|shown| {
            shown.writable.is_some()
                && shown.primary_error.is_none()
                && Some(&shown.primary) == known(info.primary).as_ref()
        })
    }
}
