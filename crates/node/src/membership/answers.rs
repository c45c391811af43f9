//! What other nodes are answered.

use super::Membership;
use crate::identity::{self, Seat};
use crate::peers::{ControlReply, ControlRequest, IdentityForm, Refused};
use lavandin_cluster::{Admission, Command, Heartbeat, HeartbeatAnswer, NodeRegistration, NodeRole, Reply};
use lavandin_types::NodeId;
use std::time::Duration;
use tokio::time::Instant;

const PROPOSAL_MAX: Duration = Duration::from_secs(2);

impl Membership {
    pub(crate) async fn answer(&self, request: ControlRequest) -> ControlReply {
        match request {
            ControlRequest::Identify => ControlReply::Identity(self.describe()),
            ControlRequest::Adopt(seat) => self.be_adopted(*seat).await,
            ControlRequest::Register(registration) => self.admit(*registration).await,
            ControlRequest::Return { node, registration } => {
                let catalogue = self.metadata.catalogue();
                let is_known = catalogue.node(NodeId::new(node)).is_some() || catalogue.cluster().is_none();
                match is_known || !self.leads() {
                    true => self.admit(*registration).await,
                    false => ControlReply::Removed,
                }
            }
            ControlRequest::Heartbeat { node, incarnation, copies, stopping } => {
                let copies = copies.into_iter().map(Into::into).collect();
                self.hear(Heartbeat { node: NodeId::new(node), incarnation, copies, stopping })
            }
            ControlRequest::Status => self.report(),
        }
    }

    fn describe(&self) -> IdentityForm {
        let cluster = self.metadata.catalogue().cluster();
        let is_member = self.identity.seat.is_some() || cluster.is_some();
        let mut known: Vec<(u64, String)> =
            self.contacts().into_iter().map(|(node, address)| (node.get(), address)).collect();
        known.push((self.identity.node.get(), self.address()));
        IdentityForm {
            store: self.identity.store.to_string(),
            cluster: cluster.map(|cluster| cluster.to_string()),
            node: is_member.then(|| self.identity.node.get()),
            known: if is_member { known } else { Vec::new() },
            protocol: self.protocol(),
        }
    }

    /// Takes a seat in a cluster, if this node is empty and belongs to none.
    async fn be_adopted(&self, seat: Seat) -> ControlReply {
        let refuse = |reason: &str| ControlReply::Refused(Refused { reason: reason.to_owned() });
        let _forming = self.forming.lock().await;
        if let Some(present) = &self.identity.seat {
            return match (present.node, &present.address) == (seat.node, &seat.address) {
                true => ControlReply::Adopted,
                false => refuse("this node belongs to a cluster"),
            };
        }
        let catalogue = self.metadata.catalogue();
        if let Some(own) = catalogue.cluster() {
            let brings_in = seat.node == self.identity.node.get() && seat.moved_in;
            if !brings_in || seat.seed.as_ref().is_none_or(|seed| seed.cluster != own) {
                return refuse(
                    "this node holds data of its own; give it an empty data directory, or start the cluster from its data",
                );
            }
        }
        if self.settings.role != NodeRole::Data {
            return refuse("this node is a coordinator");
        }
        tracing::info!(event = "adopted", node = seat.node, address = seat.address, "adopted by a cluster");
        self.take_seat(seat)
    }

    /// Durable once it is `Adopted`; the node wants to be opened again.
    pub(super) fn take_seat(&self, seat: Seat) -> ControlReply {
        let stored = identity::store_seat(&*self.root, &seat);
        // Where that failed the seat may be there all the same: what the node does next it does by what the disk says.
        self.reopen.send_replace(true);
        match stored {
            Ok(()) => ControlReply::Adopted,
            Err(error) => ControlReply::Refused(Refused { reason: error.to_string() }),
        }
    }

    async fn admit(&self, registration: NodeRegistration) -> ControlReply {
        if !self.leads() {
            return self.elsewhere();
        }
        if self.brings_data().is_some() && registration.store != self.identity.store {
            // The layout's nodes come first.
            return ControlReply::Wait;
        }
        let (catalogue, now) = (self.metadata.catalogue(), self.clock.now_ms());
        match self.with_supervisor(|supervisor| supervisor.may_register(&catalogue, &registration, now)) {
            None => self.elsewhere(),
            Some(Admission::Wait) => ControlReply::Wait,
            Some(Admission::Refuse(error)) => ControlReply::Refused(Refused { reason: error.to_string() }),
            Some(Admission::Admit) => {
                match self.metadata.propose_within(Command::RegisterNode(registration), PROPOSAL_MAX).await {
                    Ok(Reply::Node(info)) => {
                        tracing::info!(event = "node_registered", node = %info.id, "Node {} registered", info.address);
                        ControlReply::Registered(Box::new(info))
                    }
                    Ok(_) => {
                        ControlReply::Refused(Refused { reason: "another answer was expected".to_owned() })
                    }
                    Err(error) => ControlReply::Refused(Refused { reason: error.to_string() }),
                }
            }
        }
    }

    fn hear(&self, heartbeat: Heartbeat) -> ControlReply {
        if !self.leads() {
            return self.elsewhere();
        }
        // Others may have applied an entry that this leader is about to apply.
        let index = self.metadata.status().last_log_index.unwrap_or(0);
        let (catalogue, now) = (self.metadata.catalogue(), self.clock.now_ms());
        let heard = self.with_supervisor(|supervisor| supervisor.heartbeat(&catalogue, heartbeat, now));
        // A leader that was replaced meanwhile must not renew anything.
        match heard.filter(|_| self.leads()) {
            None => self.elsewhere(),
            Some(HeartbeatAnswer::Renewed) => ControlReply::Renewed { index },
            Some(HeartbeatAnswer::Superseded { .. } | HeartbeatAnswer::Unknown) => ControlReply::Superseded,
        }
    }

    fn report(&self) -> ControlReply {
        if !self.leads() {
            return self.elsewhere();
        }
        match serde_json::to_value(self.known_status()) {
            Ok(status) => ControlReply::Status(status),
            Err(error) => ControlReply::Refused(Refused { reason: error.to_string() }),
        }
    }

    /// Whether this node surely leads the metadata now.
    pub(super) fn leads(&self) -> bool {
        self.metadata.quorum_lease(Instant::now())
    }

    fn elsewhere(&self) -> ControlReply {
        let status = self.metadata.status();
        let leader = status.leader.filter(|leader| *leader != self.identity.node).and_then(|leader| {
            let peer = status.peers.iter().find(|peer| peer.node == leader)?;
            Some((leader.get(), peer.address.clone()))
        });
        ControlReply::Elsewhere { leader }
    }
}
