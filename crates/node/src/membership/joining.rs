//! What a data node does that was told of a head and belongs to no cluster yet.
//!
//! - The *head* is the node whose own address that is. Where it is empty it forms a cluster of itself alone, which places
//!   copies by itself as nodes join; where it holds collections of its own, that cluster of one becomes one that others can join. It
//!   is a member like any other from then on.
//! - Any other node waits until the head belongs to a cluster, registers there and takes its seat. It gives up after
//!   `HeadSettings::join_wait`.
//!
//! Once a node has a seat it needs no head: it finds its cluster through any member. A head whose disk was lost must not
//! form a second cluster beside the one that the others belong to: before it forms one it waits for a moment whether
//! somebody who knows the secret looks for a node with a number here. Then it waits to be taken in instead.

use super::Membership;
use crate::cluster_settings::HeadSettings;
use crate::identity::{self, Seat};
use crate::peers::{ControlReply, ControlRequest};
use lavandin_cluster::{ClusterOptions, GroupSeed, LayoutSeed};
use lavandin_types::{ClusterId, NodeId};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const ANSWER_MAX: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);
/// Longer than the pause between two attempts of a member to reach a node.
const CALLS_PAUSE: Duration = Duration::from_secs(2);
/// After this many rounds the reason is said.
const ROUNDS_QUIET: u32 = 50;
const FIRST_NODE: NodeId = NodeId::new(1);
const FIRST_GROUP_NAME: &str = "sg0";

impl Membership {
    pub(super) async fn come_to_head(&self) {
        let Some(head) = &self.settings.head else { return };
        let is_head = self.settings.advertised.as_ref() == Some(&head.uri);
        let come = if is_head { self.lead_from(head).await } else { self.wait_for(head).await };
        if let Err(reason) = come {
            self.given_up.send_replace(Some(reason));
        }
    }

    /// Somebody who knows the secret looks for the node with this number here.
    pub(crate) fn note_call_for(&self, node: NodeId) {
        if self.identity.seat.is_none() {
            self.called.send_replace(Some(node));
        }
    }

    async fn wait_for(&self, head: &HeadSettings) -> Result<(), String> {
        if self.metadata.catalogue().cluster().is_some() {
            return Err(format!(
                "this data directory holds data of its own, which the cluster of {} does not have: give the node an empty \
                 one, or start it without a head",
                head.uri
            ));
        }
        tracing::info!(event = "head_awaited", "Waiting for head node to be ready: {}", head.uri);
        let begun = Instant::now();
        for round in 1u32.. {
            let reason = match self.try_to_join(&head.uri).await {
                Ok(()) => {
                    tracing::info!(event = "joined", "Synced with head node: {}", head.uri);
                    return Ok(());
                }
                Err(reason) => reason,
            };
            if let Some(wait) = head.join_wait.filter(|wait| begun.elapsed() + PAUSE >= *wait) {
                let seconds = wait.as_secs_f64();
                return Err(format!("Node {} did not start in {seconds:.1} seconds: {reason}", head.uri));
            }
            if round.is_multiple_of(ROUNDS_QUIET) {
                tracing::warn!(event = "head_awaited", reason, "still waiting for head node {}", head.uri);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn try_to_join(&self, uri: &str) -> Result<(), String> {
        let identify = self.control((uri, None), &ControlRequest::Identify, Instant::now() + ANSWER_MAX);
        let found = match identify.await? {
            ControlReply::Identity(found) => found,
            _ => return Err("it gave another answer".to_owned()),
        };
        let known = found.known.into_iter().filter(|(_, address)| !address.is_empty());
        let known: Vec<_> = known.map(|(node, address)| (NodeId::new(node), address)).collect();
        match found.cluster.is_some() && !known.is_empty() {
            true => self.join(known).await,
            false => Err("it belongs to no cluster yet".to_owned()),
        }
    }

    async fn lead_from(&self, head: &HeadSettings) -> Result<(), String> {
        let catalogue = self.metadata.catalogue();
        let (node, address) = (self.identity.node, head.uri.clone());
        let seat = match catalogue.cluster() {
            Some(own) => {
                let (known, seed) = (BTreeMap::new(), Some(self.seed_of_head(head, own)));
                Seat { node: node.get(), address, known, seed, moved_in: true, given_up: false }
            }
            None => {
                self.let_members_call(head).await;
                let cluster = identity::new_cluster_id().map_err(|error| error.to_string())?;
                let known = BTreeMap::from([(FIRST_NODE.get(), address.clone())]);
                let seed = Some(self.seed_of_head(head, cluster));
                Seat { node: FIRST_NODE.get(), address, known, seed, moved_in: false, given_up: false }
            }
        };
        let _forming = self.forming.lock().await;
        if *self.reopen.borrow() {
            // Adopted meanwhile.
            return Ok(());
        }
        tracing::info!(event = "head", address = seat.address, "this node is the head of its cluster");
        match self.take_seat(seat) {
            ControlReply::Refused(refused) => Err(refused.reason),
            _ => Ok(()),
        }
    }

    /// Returns after a moment in which nobody looked for a node with a number here; else never.
    async fn let_members_call(&self, head: &HeadSettings) {
        let mut called = self.called.subscribe();
        let Ok(Ok(node)) = timeout(CALLS_PAUSE, called.wait_for(Option::is_some))
            .await
            .map(|called| called.map(|node| *node))
        else {
            return;
        };
        let node = node.unwrap_or_default();
        tracing::error!(
            event = "head_is_known", %node,
            "this data directory is new, and members of a cluster know the node at {} as node {node}: no other cluster is \
             formed. They take this node in as a new one as long as most voters on the metadata are alive; else bring \
             back the directory that it had",
            head.uri
        );
        std::future::pending().await
    }

    /// A layout of this node alone.
    fn seed_of_head(&self, head: &HeadSettings, cluster: ClusterId) -> LayoutSeed {
        let (name, members) = (FIRST_GROUP_NAME.to_owned(), vec![FIRST_NODE]);
        LayoutSeed {
            cluster,
            nodes: vec![head.uri.clone()],
            groups: vec![GroupSeed { name, members, primary: FIRST_NODE }],
            options: ClusterOptions {
                detection_ms: self.settings.detection_ms,
                min_in_sync: self.settings.min_in_sync,
                copies: head.copies,
                ..ClusterOptions::default()
            },
        }
    }
}
