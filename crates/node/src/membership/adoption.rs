//! Taking an empty node in: it is registered on its behalf, so that it has a number, and then given its seat. A crash
//! between the two is made up for by whoever leads the metadata, who finds the empty node at a silent one's address.

use super::Membership;
use crate::error::NodeError;
use crate::identity::Seat;
use crate::peers::{ControlReply, ControlRequest, IdentityForm};
use lavandin_cluster::{NodeRegistration, NodeRole, StartId};
use lavandin_types::{NodeId, StoreId};
use std::time::Duration;
use tokio::time::Instant;

const ANSWER_MAX: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(100);
const IDENTIFY_ATTEMPTS: u32 = 5;
/// An adopted node is opened again and registers, which takes a second.
const START_MAX: Duration = Duration::from_secs(20);

impl Membership {
    /// Takes in the data node at a URI, or finds that it is a member. It is registered and up when this returns.
    pub(crate) async fn add_node(&self, uri: &str, deadline: Instant) -> Result<NodeId, NodeError> {
        if self.is_alone() {
            let reason = "this node is a cluster of its own, which other nodes cannot reach; form a cluster with a \
                          coordinator and a cluster config first, or start this node as a head (--head-url)";
            return Err(NodeError::Invalid(reason.to_owned()));
        }
        let deadline = deadline.min(Instant::now() + START_MAX);
        let found = self.identify_at(uri).await?;
        match self.member_at(uri, &found)? {
            Some(member) => Ok(member),
            None => {
                let registered = self.take_in(uri, &found, deadline).await?;
                self.wait_until_up(registered, deadline).await
            }
        }
    }

    /// Asks more than once: a connection to whoever was at the URI before may have to end first.
    async fn identify_at(&self, uri: &str) -> Result<IdentityForm, NodeError> {
        let mut said = String::new();
        for _ in 0..IDENTIFY_ATTEMPTS {
            let until = Instant::now() + ANSWER_MAX;
            match self.control((uri, None), &ControlRequest::Identify, until).await {
                Ok(ControlReply::Identity(found)) => return Ok(found),
                Ok(_) => "it gave another answer".clone_into(&mut said),
                Err(reason) => said = reason,
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(NodeError::Unavailable(format!(
            "there is no node to add at {uri} ({said}); start it, then try again"
        )))
    }

    /// Its number, if it is a member; nothing, if it may be taken in.
    fn member_at(&self, uri: &str, found: &IdentityForm) -> Result<Option<NodeId>, NodeError> {
        let catalogue = self.metadata.catalogue();
        let cluster = catalogue.cluster().map(|cluster| cluster.to_string());
        let refuse = |reason: &str| Err(NodeError::Refused(format!("the node at {uri} {reason}")));
        match (&found.cluster, found.node.map(NodeId::new)) {
            (None, None) => Ok(None),
            (Some(other), _) if Some(other) != cluster.as_ref() => refuse(
                "belongs to another cluster, or holds data of its own; give it an empty data directory",
            ),
            (_, Some(node)) if catalogue.node(node).is_some() => Ok(Some(node)),
            _ => refuse("was removed from this cluster; give it an empty data directory, then add it again"),
        }
    }

    async fn take_in(&self, uri: &str, found: &IdentityForm, deadline: Instant) -> Result<NodeId, NodeError> {
        let registration = registration_for(found, uri, NodeRole::Data)?;
        let request = ControlRequest::Register(Box::new(registration));
        let node = loop {
            let reason = match self.ask_leader(&request, ANSWER_MAX).await {
                Ok(ControlReply::Registered(info)) => break info.id,
                Ok(ControlReply::Refused(refused)) => return Err(NodeError::Refused(refused.reason)),
                Ok(ControlReply::Wait) => "another node at its address may be alive".to_owned(),
                Ok(_) => "the metadata has no leader yet".to_owned(),
                Err(reason) => reason,
            };
            if Instant::now() + PAUSE >= deadline {
                return Err(NodeError::Unavailable(format!(
                    "{uri} cannot be registered: {reason}; try again"
                )));
            }
            tokio::time::sleep(PAUSE).await;
        };
        match self.give_seat(node, uri).await {
            Ok(ControlReply::Adopted) => Ok(node),
            Ok(ControlReply::Refused(refused)) => {
                Err(NodeError::Refused(format!("{uri}: {}", refused.reason)))
            }
            other => Err(NodeError::Unavailable(format!("{uri} was not adopted ({other:?}); try again"))),
        }
    }

    /// Tells an empty node its number and whom to ask for the cluster.
    pub(super) async fn give_seat(&self, node: NodeId, uri: &str) -> Result<ControlReply, String> {
        let known = self.contacts().into_iter().map(|(node, address)| (node.get(), address));
        let own = (self.identity.node.get(), self.address());
        let known = known.chain([own]).filter(|(other, _)| *other != node.get()).collect();
        let seat = Seat {
            node: node.get(),
            address: uri.to_owned(),
            known,
            seed: None,
            moved_in: false,
            given_up: false,
        };
        self.control((uri, None), &ControlRequest::Adopt(Box::new(seat)), Instant::now() + ANSWER_MAX).await
    }

    /// Until the metadata's leader hears from it, so that it can be given copies.
    async fn wait_until_up(&self, node: NodeId, deadline: Instant) -> Result<NodeId, NodeError> {
        while Instant::now() + PAUSE < deadline {
            let status = self.leader_status(ANSWER_MAX).await;
            if status.nodes.iter().any(|shown| shown.node == node.get() && shown.state == "up") {
                return Ok(node);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(NodeError::Deadline("the node was adopted and has not been heard of yet; look at its log"))
    }
}

/// What is said on behalf of an empty node.
pub(super) fn registration_for(
    found: &IdentityForm,
    address: &str,
    role: NodeRole,
) -> Result<NodeRegistration, NodeError> {
    let store = u128::from_str_radix(&found.store, 16);
    let store = store.map_err(|_| NodeError::Refused(format!("the node at {address} gave no store id")))?;
    Ok(NodeRegistration {
        store: StoreId::new(store),
        address: address.to_owned(),
        role,
        start_id: StartId::new(crate::identity::random()?),
        protocol: found.protocol,
        intact: Some(Vec::new()),
        ..NodeRegistration::default()
    })
}
