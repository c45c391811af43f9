//! Faults, as the plan has them.

use super::{Event, World};
use crate::network::Place;
use crate::oracle::Violation;
use crate::plan::{Fault, FaultKind};
use lavandin_storage::Fault as DiskFault;

impl World {
    pub(super) fn fault(&mut self, number: usize) -> Result<(), Violation> {
        let Fault { host, for_ms, kind, .. } = self.plan.faults[number];
        let until = self.now + for_ms;
        let here = Some(Place::Host(host));
        self.note(|| format!("fault at host {host} for {for_ms} ms: {kind:?}"));
        match kind {
            FaultKind::Kill { power } => {
                if power {
                    let seed = self.random.next();
                    self.hosts[host].lose_power(seed);
                }
                self.stop_process(host, for_ms);
            }
            FaultKind::Pause => self.hosts[host].paused_until_ms = until,
            FaultKind::Isolate => {
                self.network.cut(here, None, until);
                self.network.cut(None, here, until);
            }
            FaultKind::CutTo { other } => self.network.cut(here, Some(Place::Host(other)), until),
            FaultKind::CutFromMetadata => {
                self.network.cut(here, Some(Place::Metadata), until);
                self.network.cut(Some(Place::Metadata), here, until);
            }
            FaultKind::Delay { other, extra_ms } => {
                let to = if other == host { Place::Metadata } else { Place::Host(other) };
                self.network.slow(Place::Host(host), to, extra_ms, until);
            }
            FaultKind::Lossy { per_mille } => self.network.lossy(per_mille, until),
            FaultKind::SlowDisk { sync_ms } => self.hosts[host].slow = (sync_ms, until),
            FaultKind::DiskError { after, torn } => {
                self.plan_disk_fault(host, after, if torn { DiskFault::Torn } else { DiskFault::Failed });
            }
            FaultKind::CrashInCall { after, torn } => {
                self.plan_disk_fault(host, after, if torn { DiskFault::TornCrash } else { DiskFault::Crash });
            }
            FaultKind::Wipe => self.wipe(host, for_ms),
            FaultKind::LeaderChange => self.metadata.change_leader(until),
            FaultKind::LostAnswers { per_mille } => self.lost_answers = (per_mille, until),
        }
        Ok(())
    }

    /// Ends the process; another one starts after a while.
    pub(super) fn stop_process(&mut self, host: usize, down_ms: u64) {
        self.hosts[host].process = None;
        self.hosts[host].paused_until_ms = 0;
        self.plan_at(self.now + down_ms, Event::Start { host });
    }

    fn plan_disk_fault(&mut self, host: usize, after: u64, fault: DiskFault) {
        for slot in self.hosts[host].process.iter().flat_map(|process| process.slots.values()) {
            if !slot.directory.has_struck() {
                slot.directory.fail_at(slot.directory.calls().mutating + after, fault);
            }
        }
    }

    /// Replaces the disk, unless the last copy in sync of a group is on it: that would be a loss by design.
    fn wipe(&mut self, host: usize, down_ms: u64) {
        let catalogue = self.metadata.state.catalogue.clone();
        let stores: Vec<_> = self.hosts.iter().map(|host| host.store).collect();
        let store = stores[host];
        let is_other = |node: &lavandin_types::NodeId| {
            let other = catalogue.node(*node).and_then(|info| info.store);
            other.is_some_and(|other| other != store && stores.contains(&other))
        };
        let Some(node) = catalogue.node_of_store(store) else { return };
        if catalogue.groups_of(node.id).all(|group| group.in_sync.keys().any(is_other)) {
            self.hosts[host].wipe();
            self.stop_process(host, down_ms);
        }
    }
}
