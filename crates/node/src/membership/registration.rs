//! The start of a node in its cluster.
//!
//! Its copies are read first: only then it is known which of them surely hold what they acknowledged. Then it registers
//! as another incarnation, and waits until it sees that in its own metadata.

use super::Membership;
use crate::error::NodeError;
use crate::groups::{Ailment, Part};
use crate::last_durability;
use crate::peers::{ControlReply, ControlRequest};
use lavandin_cluster::{BootId, Command, LogCondition, NodeInfo, NodeRegistration, Reply, is_intact};
use lavandin_storage::Durability;
use lavandin_types::{GroupId, NodeId};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// The incarnation of a node that forms a cluster of its own.
const FIRST_INCARNATION: u64 = 1;
const ANSWER_MAX: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);
/// After this many attempts the reason is said.
const ATTEMPTS_QUIET: u32 = 25;
/// So long the metadata may be on its way to a node that is registered.
const SEEN_QUIET: Duration = Duration::from_secs(5);
/// How often it is looked whether a full disk has space again.
const SPACE_PAUSE: Duration = Duration::from_secs(2);

/// What reading the copies of a start came to.
enum CopiesRead {
    /// Those that are whole.
    Whole(Vec<GroupId>),
    NoSpace {
        group: GroupId,
        reason: String,
    },
}

/// The boot of this machine's kernel, where the system tells.
pub(super) fn boot_id() -> BootId {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).map_or_else(|_| BootId::default(), BootId::new)
}

impl Membership {
    /// Reads the copies and registers. An empty node of its own has nothing to register yet.
    pub(crate) async fn take_part(&self) -> Result<(), NodeError> {
        let of_its_own = self.identity.seat.is_none();
        if self.part.borrow().is_some() {
            return Ok(());
        }
        if of_its_own && self.metadata.catalogue().cluster().is_none() {
            if !self.settings.awaits_cluster() {
                self.begin(FIRST_INCARNATION).await?;
            }
            return Ok(());
        }
        let intact = self.read_copies().await?;
        let registration = self.registration(intact);
        let info = if of_its_own && self.is_alone() {
            self.register_alone(registration).await?
        } else {
            self.register(registration).await?
        };
        if info.id != self.identity.node {
            return Err(NodeError::Invalid(format!(
                "the cluster knows this data directory as node {}, and it holds the metadata of node {}; give it an \
                 empty data directory, and let the cluster rebuild its copies",
                info.id, self.identity.node
            )));
        }
        self.begin_part(Part { node: info.id, incarnation: info.incarnation })?;
        tracing::info!(event = "registered", node = %info.id, incarnation = info.incarnation, "registered");
        Ok(())
    }

    /// The first copy of a node that belongs to no cluster: it is there before the cluster is formed.
    async fn begin(&self, incarnation: u64) -> Result<(), NodeError> {
        let part = Part { node: self.identity.node, incarnation };
        let host = Arc::clone(&self.groups);
        let start = move || host.start(crate::node::FIRST_GROUP, part).map(drop);
        tokio::task::spawn_blocking(start)
            .await
            .unwrap_or(Err(NodeError::Internal("opening a group panicked")))?;
        self.begin_part(part)
    }

    /// From here on copies may acknowledge.
    fn begin_part(&self, part: Part) -> Result<(), NodeError> {
        last_durability::remember(&*self.root, self.groups.durability())?;
        self.part.send_replace(Some(part));
        Ok(())
    }

    /// Reads the copies that this node has as far as it knows; those that surely hold what they acknowledged. Waits while
    /// the disk has no space for that: whoever registers without a copy says that its end may be lost.
    async fn read_copies(&self) -> Result<Vec<GroupId>, NodeError> {
        let catalogue = self.metadata.catalogue();
        let whole = loop {
            let groups = catalogue.groups_of(self.identity.node).map(|group| group.id).collect();
            match self.read_what_can_be(groups).await? {
                CopiesRead::Whole(whole) => break whole,
                CopiesRead::NoSpace { group, reason } => {
                    tracing::warn!(
                        event = "no_space", %group, reason,
                        "a copy cannot be opened before there is space for it; this node waits, and takes no part meanwhile"
                    );
                    tokio::time::sleep(SPACE_PAUSE).await;
                }
            }
        };
        let recorded = catalogue.node(self.identity.node).map_or(BootId::default(), |info| info.boot_id);
        let synced =
            self.groups.durability() == Durability::Fsync && last_durability::was_synced(&*self.root)?;
        let condition = LogCondition { verified: true, synced };
        let keeps = is_intact(condition, recorded, self.boot_id);
        Ok(if keeps { whole } else { Vec::new() })
    }

    /// On a node alone damage ends the start; among others the copy is rebuilt, and so is one whose files are gone: it
    /// would come back empty.
    async fn read_what_can_be(&self, groups: Vec<GroupId>) -> Result<CopiesRead, NodeError> {
        let (host, alone) = (Arc::clone(&self.groups), self.is_alone());
        let read = move || {
            if let Err(error) = host.clear_removed() {
                tracing::warn!(%error, "files of a removed copy stay on the disk");
            }
            let present = host.on_disk()?;
            let mut whole = Vec::new();
            for group in groups {
                match host.read(group) {
                    Ok(()) if alone || present.contains(&group) => whole.push(group),
                    Ok(()) => tracing::error!(%group, "the files of a copy are gone; it will be rebuilt"),
                    Err(error) if alone => return Err(error),
                    Err(error) => match Ailment::of(&error) {
                        Ailment::NoSpace(reason) => return Ok(CopiesRead::NoSpace { group, reason }),
                        _ => tracing::error!(%group, %error, "a copy cannot be read; it will be rebuilt"),
                    },
                }
            }
            Ok(CopiesRead::Whole(whole))
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.unwrap_or(Err(NodeError::Internal("reading a group panicked")))
    }

    /// What this start says of itself; `intact` are the copies that surely hold what they acknowledged.
    pub(super) fn registration(&self, intact: Vec<GroupId>) -> NodeRegistration {
        NodeRegistration {
            store: self.identity.store,
            address: self.address(),
            role: self.settings.role,
            boot_id: self.boot_id,
            start_id: self.start_id,
            protocol: self.protocol(),
            intact: Some(intact),
        }
    }

    /// The highest protocol number that this process speaks.
    pub(super) fn protocol(&self) -> u32 {
        self.settings.protocols.highest.into()
    }

    /// Where others reach this node; empty where nobody does.
    pub(crate) fn address(&self) -> String {
        let seat = self.identity.seat.as_ref().map(|seat| seat.address.clone());
        let known = self.metadata.catalogue().node(self.identity.node).map(|info| info.address.clone());
        seat.or(known).or_else(|| self.settings.advertised.clone()).unwrap_or_default()
    }

    async fn register_alone(&self, registration: NodeRegistration) -> Result<NodeInfo, NodeError> {
        match self.metadata.propose(Command::RegisterNode(registration)).await? {
            Reply::Node(info) => Ok(info),
            _ => Err(NodeError::Internal("the catalogue answered another command")),
        }
    }

    /// Asks the metadata's leader until it agrees, for as long as that takes.
    async fn register(&self, registration: NodeRegistration) -> Result<NodeInfo, NodeError> {
        let request =
            ControlRequest::Return { node: self.identity.node.get(), registration: Box::new(registration) };
        for attempt in 1u32.. {
            let reason = match self.ask_leader(&request, ANSWER_MAX).await {
                Ok(ControlReply::Registered(info)) => {
                    self.see(&info).await;
                    return Ok(*info);
                }
                Ok(ControlReply::Removed) => return Err(NodeError::Removed),
                Ok(ControlReply::Wait) => "another node at its address may be alive".to_owned(),
                Ok(ControlReply::Refused(refused)) => refused.reason,
                Ok(_) => "the metadata's leader is not known yet".to_owned(),
                Err(reason) => reason,
            };
            if attempt.is_multiple_of(ATTEMPTS_QUIET) {
                tracing::warn!(event = "not_registered", reason, "this node is not registered yet");
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(NodeError::Stopping)
    }

    /// Waits until the own metadata shows the registration, or a later one. Not registering anew meanwhile: if another
    /// process runs at this node's address, the two would take turns in superseding each other.
    async fn see(&self, info: &NodeInfo) {
        let mut changes = self.metadata.changed();
        let shows = |node: NodeId| {
            let catalogue = self.metadata.catalogue();
            catalogue.node(node).is_some_and(|known| known.incarnation >= info.incarnation)
        };
        let mut seen = pin!(async { while !shows(info.id) && changes.changed().await.is_ok() {} });
        while tokio::time::timeout(SEEN_QUIET, &mut seen).await.is_err() {
            tracing::warn!(
                event = "not_reached",
                address = info.address,
                "registered, but the cluster's metadata does not reach this process; if another one runs at this \
                 node's address, on the directory that this one's was copied from, start this one anew"
            );
        }
    }
}
