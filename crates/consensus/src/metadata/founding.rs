//! The first voters of a group, from a list that each of them was given.
//!
//! 1. The first of the list asks the others, again and again, whether they know of a group. The others wait.
//! 2. One that does ends it: this node's directory is new (or lost), and the group that exists will add it or not.
//! 3. When most of the list is found empty, and the rest too or `PATIENCE` has passed, those who are there become the first
//!    voters, each with its directory. Who was not there is added later, as any other member.
//!
//! Most of the list, because a list of which most have forgotten everything has no group to contradict; the directories,
//! because one that is wiped afterwards is then another.

use super::Metadata;
use crate::message::{Body, Reply, Request};
use crate::network::CallError;
use crate::raft_types::Member;
use crate::status::MetadataStatus;
use lavandin_types::NodeId;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Time for one round of questions.
const ROUND_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);
/// How long the rest is waited for once most are there.
const PATIENCE: Duration = Duration::from_secs(3);

impl Metadata {
    /// Founds the group in the background, if that is this node's part.
    pub(super) fn found_later(&self, voters: BTreeMap<NodeId, String>) {
        let shared = &self.shared;
        if voters.keys().next().map(|first| first.get()) != Some(shared.node) {
            return;
        }
        let metadata = self.clone();
        let mut stopping = shared.stopping.subscribe();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = metadata.found(&voters) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
        });
        shared.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(task);
    }

    async fn found(&self, voters: &BTreeMap<NodeId, String>) {
        let mut most_since = None;
        loop {
            // A group may have added this node meanwhile.
            if !self.status().voters.is_empty() {
                return self.set_obstacle(None);
            }
            let statuses = self.ask(voters).await;
            if let Some(other) = statuses.values().find(|status| !status.voters.is_empty()) {
                let reason = format!(
                    "this node should found the metadata, but node {} already belongs to a group; \
                     it waits to be added to that one",
                    other.node
                );
                tracing::warn!("{reason}");
                return self.set_obstacle(Some(reason));
            }
            let present = statuses.len() + 1;
            if present * 2 > voters.len() {
                let since = *most_since.get_or_insert_with(Instant::now);
                if present == voters.len() || since.elapsed() >= PATIENCE {
                    return self.initialize(voters, &statuses).await;
                }
            }
            let absent: Vec<String> = voters
                .keys()
                .filter(|node| node.get() != self.shared.node && !statuses.contains_key(node))
                .map(ToString::to_string)
                .collect();
            self.set_obstacle(Some(format!(
                "the metadata is not founded yet: it waits for {} of the first voters",
                absent.join(", ")
            )));
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn initialize(
        &self,
        voters: &BTreeMap<NodeId, String>,
        statuses: &BTreeMap<NodeId, MetadataStatus>,
    ) {
        let others = statuses.iter().map(|(node, status)| {
            (node.get(), Member { address: voters[node].clone(), directory: Some(status.directory) })
        });
        let own = (self.shared.node, self.shared.own_record());
        let members: BTreeMap<u64, Member> = others.chain([own]).collect();
        match self.shared.raft.initialize(members).await {
            Ok(()) => self.set_obstacle(None),
            Err(error) => {
                tracing::warn!("the metadata could not be founded: {error}");
                self.set_obstacle(Some(format!("the metadata could not be founded: {error}")));
            }
        }
    }

    /// The statuses of the others of a list, those that answer.
    async fn ask(&self, voters: &BTreeMap<NodeId, String>) -> BTreeMap<NodeId, MetadataStatus> {
        let others = voters.iter().filter(|(node, _)| node.get() != self.shared.node);
        let asked = others.map(|(node, address)| self.peer_status(*node, address, ROUND_TIMEOUT));
        let answers = futures_util::future::join_all(asked).await;
        answers.into_iter().flatten().map(|status| (status.node, status)).collect()
    }

    /// What another node says of itself.
    pub(super) async fn peer_status(
        &self,
        node: NodeId,
        address: &str,
        timeout: Duration,
    ) -> Result<MetadataStatus, CallError> {
        let request = Request { node: node.get(), directory: None, body: Body::Status };
        match self.shared.network.call(address, request, timeout).await {
            Ok(Reply::Status(status)) if status.node == node => Ok(*status),
            Ok(_) => Err(CallError::unexpected()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn set_obstacle(&self, reason: Option<String>) {
        *self.shared.obstacle.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = reason;
    }
}
