//! Small calls between nodes: who they are, registration, heartbeats, adoption. JSON, so that versions of the program
//! that know different fields understand each other (docs/formats/control-calls.md).

use crate::identity::Seat;
use lavandin_cluster::{CopyReport, NodeInfo, NodeRegistration, Rebuild};
use lavandin_types::{GroupId, PrimaryEpoch, SequenceNumber};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ControlRequest {
    /// Answers `Identity`. Any node.
    Identify,
    /// To a node that belongs to no cluster yet. Answers `Adopted`, durable.
    Adopt(Box<Seat>),
    /// To the metadata's leader, as all that follows. Answers `Registered` or `Wait`.
    Register(Box<NodeRegistration>),
    /// The same of a node that has a seat. Also answers `Removed`.
    Return { node: u64, registration: Box<NodeRegistration> },
    /// Answers `Renewed` or `Superseded`.
    Heartbeat {
        node: u64,
        incarnation: u64,
        copies: Vec<CopyForm>,
        /// It goes down on purpose.
        #[serde(default)]
        stopping: bool,
    },
    /// Answers `Status`.
    Status,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ControlReply {
    Identity(IdentityForm),
    Adopted,
    Registered(Box<NodeInfo>),
    /// The node in whose place another wants to register may be alive: ask again.
    Wait,
    /// The node's lease is renewed, for as long as the metadata that it has applied includes this entry.
    Renewed {
        index: u64,
    },
    /// Another start registered on the node's store, or it was removed.
    Superseded,
    /// The node is none of the cluster's any more.
    Removed,
    /// How the leader sees the cluster.
    Status(serde_json::Value),
    /// This node does not lead; who does, as far as it knows.
    Elsewhere {
        leader: Option<(u64, String)>,
    },
    Refused(Refused),
}

/// Nothing was done, and asking again does not help before something else changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub reason: String,
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdentityForm {
    /// 32 hexadecimal digits.
    pub store: String,
    /// The cluster that it belongs to by its metadata, as above.
    pub cluster: Option<String>,
    /// Its number, if it is a member of a cluster or was adopted by one that is being founded.
    pub node: Option<u64>,
    /// Members that it knows, itself among them.
    pub known: Vec<(u64, String)>,
    /// The highest protocol number that it speaks.
    #[serde(default)]
    pub protocol: u32,
}

/// A `CopyReport`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct CopyForm {
    pub group: u64,
    pub epoch: u64,
    pub sequence: u64,
    #[serde(default)]
    pub damaged: bool,
    #[serde(default)]
    pub yields: bool,
    /// Bytes of a snapshot that have arrived, and all of them, while the copy is rebuilt.
    #[serde(default)]
    pub rebuild: Option<(u64, u64)>,
}

impl From<CopyReport> for CopyForm {
    fn from(report: CopyReport) -> Self {
        Self {
            group: report.group.get(),
            epoch: report.epoch.get(),
            sequence: report.sequence.get(),
            damaged: report.damaged,
            yields: report.yields,
            rebuild: report.rebuild.map(|rebuild| (rebuild.done, rebuild.total)),
        }
    }
}

impl From<CopyForm> for CopyReport {
    fn from(form: CopyForm) -> Self {
        Self {
            group: GroupId::new(form.group),
            epoch: PrimaryEpoch::new(form.epoch),
            sequence: SequenceNumber::new(form.sequence),
            damaged: form.damaged,
            yields: form.yields,
            rebuild: form.rebuild.map(|(done, total)| Rebuild { done, total }),
        }
    }
}

#[cfg(test)]
mod tests;
