//! What the groups' threads leave to others: messages for other copies, proposals to the metadata, fetching snapshots.

use crate::driver::{News, Outside};
use crate::groups::{GroupHost, command_of};
use crate::peers::Mailboxes;
use crate::rebuilding::Rebuilding;
use crate::snapshots::Standing;
use lavandin_consensus::Metadata;
use lavandin_group::replication::Proposal;
use lavandin_types::{GroupId, NodeId};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long a primary's proposal may take.
const PROPOSAL_MAX: Duration = Duration::from_secs(3);

pub(crate) struct GroupLinks {
    pub mailboxes: Mailboxes,
    pub rebuilding: Arc<Rebuilding>,
    pub metadata: Metadata,
    pub runtime: Handle,
    /// The copies, to tell them what became of their proposals; set once they can exist.
    pub groups: OnceLock<Weak<GroupHost>>,
}

impl Outside for GroupLinks {
    fn send(&self, to: NodeId, group: GroupId, message: Vec<u8>) {
        self.mailboxes.post(to, group, message);
    }

    fn propose(&self, group: GroupId, proposal: Proposal) {
        let (metadata, groups) = (self.metadata.clone(), self.groups.get().cloned());
        self.runtime.spawn(async move {
            let proposed = metadata.propose_within(command_of(group, proposal.clone()), PROPOSAL_MAX).await;
            match proposed {
                Ok(_) => tracing::info!(event = "group_changed", %group, ?proposal, "a group was changed"),
                Err(error) => tracing::debug!(%group, ?proposal, %error, "a change of a group was refused"),
            }
            let local = groups.and_then(|groups| groups.upgrade()).and_then(|groups| groups.get(group));
            if let Some(local) = local {
                drop(local.news.send(News::ProposalEnded));
            }
        });
    }

    fn fetch_snapshot(&self, group: GroupId, from: NodeId, standing: Standing) {
        let rebuilding = Arc::clone(&self.rebuilding);
        self.runtime.spawn(async move { rebuilding.fetch(group, from, standing).await });
    }
}
