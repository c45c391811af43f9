//! Why a group takes no writes, in one sentence for whoever asks.

use crate::catalogue::Catalogue;
use crate::group_info::GroupInfo;
use crate::liveness::Liveness;
use lavandin_types::{GroupId, NodeId};

impl Catalogue {
    /// `None` if the group should take writes: as far as the metadata and the heartbeats tell.
    pub fn why_not_writable(&self, group: GroupId, liveness: &Liveness) -> Option<String> {
        let Some(info) = self.group(group) else {
            return Some(format!("there is no group {group}"));
        };
        let (name, primary) = (&info.name, info.primary);
        let place = self.place(primary);
        if !self.node(primary).is_some_and(|node| node.is_registered()) {
            return Some(format!("group {name} waits for its primary {place} to start for the first time"));
        }
        if info.suspect {
            return Some(format!(
                "group {name} waits because its last copy {place} restarted without the end of its log: start the \
                 other copies, or decide with force-promote which one counts"
            ));
        }
        if liveness.is_down(self, primary) {
            return Some(self.without_primary(info, liveness));
        }
        if !liveness.is_up(self, primary) {
            return Some(format!("group {name} waits to hear from its primary {place}"));
        }
        let (present, wanted) = (info.in_sync.len(), self.options().min_in_sync as usize);
        (present < wanted).then(|| {
            format!("group {name} has {present} in-sync copies and min_in_sync asks for {wanted}: start its stale copies")
        })
    }

    fn without_primary(&self, info: &GroupInfo, liveness: &Liveness) -> String {
        let (name, primary, place) = (&info.name, info.primary, self.place(info.primary));
        let mut others = info.in_sync.keys().filter(|node| **node != primary);
        if let Some(heir) = others.find(|node| liveness.is_up(self, **node)) {
            let heir = self.place(*heir);
            return format!("group {name} waits for {heir} to take over from {place}, which is silent");
        }
        let copies: Vec<String> = info.in_sync.keys().map(|node| self.place(*node)).collect();
        format!(
            "group {name} has no live copy that holds every acknowledged write: start {}",
            copies.join(" or ")
        )
    }

    /// A node for a reader: its number, and its address where it has one.
    fn place(&self, node: NodeId) -> String {
        match self.node(node) {
            Some(info) if !info.address.is_empty() => format!("{node} at {}", info.address),
            _ => node.to_string(),
        }
    }
}
