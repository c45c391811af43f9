//! The grants that this node has to deliver or to give back, and what becomes of those that nobody has any more.
//!
//! A grant names the node that made it, at that start of it. As long as that one knows of it, it is its: its answer is on
//! the way to the client, or the word of its delivery to the log. A session that begins asks the owners of what its rank
//! has open, and gives back what they know nothing of: what was lost with a node, or with the word between two. An owner
//! that does not answer counts as lost: its client has come here. (What was restarted since is given back by the group's
//! primary as well, `driver`.)

use crate::datasets::iteration_groups::IterationGroups;
use crate::datasets::peer_calls::{DatasetPeers, DatasetReply, DatasetRequest};
use crate::error::NodeError;
use crate::membership::Membership;
use lavandin_plan::iterations::{Owner, Request};
use lavandin_types::{IterationId, NodeId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long an owner may take to answer. Where it is gone, a client waits so long for its next batch.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// A grant: iteration, rank, number.
type Key = (IterationId, u32, u64);

pub(crate) struct Grants {
    membership: Arc<Membership>,
    tickets: AtomicU64,
    held: Mutex<Held>,
}

/// Grants that this node has, by the tickets of their requests: of several with one number all but one will be refused, and
/// say nothing of that one.
#[derive(Default)]
struct Held(HashMap<Key, Vec<u64>>);

impl Held {
    fn hold(&mut self, grant: Key, ticket: u64) {
        self.0.entry(grant).or_default().push(ticket);
    }

    /// One request came to nothing, or what it was granted is given back.
    fn drop_ticket(&mut self, grant: Key, ticket: u64) {
        if let Some(tickets) = self.0.get_mut(&grant) {
            tickets.retain(|other| *other != ticket);
            if tickets.is_empty() {
                self.0.remove(&grant);
            }
        }
    }

    /// Its delivery is logged.
    fn delivered(&mut self, grant: Key) {
        self.0.remove(&grant);
    }

    fn has(&self, grant: Key) -> bool {
        self.0.contains_key(&grant)
    }
}

impl Grants {
    pub(crate) fn new(membership: Arc<Membership>) -> Self {
        Self { membership, tickets: AtomicU64::new(0), held: Mutex::default() }
    }

    /// The owner of the next grant.
    pub(crate) fn owner(&self) -> Result<Owner, NodeError> {
        let part = self.membership.part().ok_or(NodeError::NotRegistered)?;
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Owner { node: part.node, incarnation: part.incarnation, ticket })
    }

    pub(crate) fn hold(&self, grant: Key, owner: Owner) {
        self.lock().hold(grant, owner.ticket);
    }

    /// Their deliveries are logged.
    pub(crate) fn release(&self, iteration: IterationId, grants: &[(u32, u64)]) {
        let mut held = self.lock();
        for (rank, number) in grants {
            held.delivered((iteration, *rank, *number));
        }
    }

    /// Requests that came to nothing, or whose grants are given back.
    pub(crate) fn forget(&self, (iteration, rank): (IterationId, u32), grants: &[(u64, Owner)]) {
        let mut held = self.lock();
        for (number, owner) in grants {
            held.drop_ticket((iteration, rank, *number), owner.ticket);
        }
    }

    /// Which of these grants this node has, if it is the start that is asked.
    pub(crate) fn held(
        &self,
        incarnation: u64,
        (iteration, rank): (IterationId, u32),
        numbers: &[u64],
    ) -> Vec<u64> {
        let is_asked = self.membership.part().is_some_and(|part| part.incarnation == incarnation);
        let held = self.lock();
        let is_held = |number: &u64| is_asked && held.has((iteration, rank, *number));
        numbers.iter().copied().filter(is_held).collect()
    }

    /// Leaves those that this node does not have itself.
    pub(crate) fn retain_others(&self, (iteration, rank): (IterationId, u32), open: &mut Vec<(u64, Owner)>) {
        let part = self.membership.part();
        let held = self.lock();
        open.retain(|(number, owner)| {
            let is_own =
                part.is_some_and(|part| (part.node, part.incarnation) == (owner.node, owner.incarnation));
            !(is_own && held.has((iteration, rank, *number)))
        });
    }

    /// Gives back what is open of a rank and nobody's; whether there was something.
    pub(crate) async fn settle(
        &self,
        (groups, peers): (&IterationGroups, &DatasetPeers),
        (iteration, rank): (IterationId, u32),
        open: &[(u64, Owner)],
    ) -> Result<bool, NodeError> {
        let mut by_owner: BTreeMap<(NodeId, u64), Vec<u64>> = BTreeMap::new();
        for (number, owner) in open {
            by_owner.entry((owner.node, owner.incarnation)).or_default().push(*number);
        }
        let mut kept = HashSet::new();
        for (owner, numbers) in by_owner {
            kept.extend(self.ask_owner(peers, owner, (iteration, rank), &numbers).await);
        }
        let lost: Vec<_> = open.iter().copied().filter(|(number, _)| !kept.contains(number)).collect();
        if lost.is_empty() {
            return Ok(false);
        }
        self.give_back(groups, (iteration, rank), lost).await.map(|()| true)
    }

    /// Takes grants of a rank back, whoever has them.
    pub(crate) async fn give_back(
        &self,
        groups: &IterationGroups,
        (iteration, rank): (IterationId, u32),
        grants: Vec<(u64, Owner)>,
    ) -> Result<(), NodeError> {
        tracing::info!(
            event = "grants_returned", %iteration, rank, batches = grants.len(),
            "batches whose delivery nobody sees to any more are given back"
        );
        // The last one first, so that the rank finds them in their old order.
        let give_back = |(number, owner)| Request::Return { iteration, rank, number, owner };
        let context = groups.context();
        let home = groups.home(&context, iteration).await?;
        // One that is not open any more has been delivered or given back meanwhile.
        groups.propose_all(&context, home, grants.into_iter().rev().map(give_back).collect()).await.map(drop)
    }

    /// Which of these grants the owner still has.
    async fn ask_owner(
        &self,
        peers: &DatasetPeers,
        (node, incarnation): (NodeId, u64),
        (iteration, rank): (IterationId, u32),
        numbers: &[u64],
    ) -> Vec<u64> {
        if node == self.membership.identity.node {
            return self.held(incarnation, (iteration, rank), numbers);
        }
        let catalogue = self.membership.metadata.catalogue();
        if catalogue.node(node).is_none_or(|info| info.incarnation > incarnation) {
            return Vec::new();
        }
        let request = DatasetRequest::HeldGrants {
            incarnation,
            iteration: iteration.to_string(),
            rank,
            numbers: numbers.to_vec(),
        };
        match peers.ask(node, &request, ANSWER_MAX).await {
            Ok(DatasetReply::Grants { numbers }) => numbers,
            Ok(_) => Vec::new(),
            Err(error) => {
                tracing::warn!(
                    event = "owner_silent", %iteration, rank, %node, %error,
                    "the node that was granted batches does not answer; they are granted again"
                );
                Vec::new()
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_request_says_nothing_of_the_grant_that_has_its_number() {
        let grant = (IterationId::new(1, [1; 20]), 0, 5);
        let mut held = Held::default();
        held.hold(grant, 1);
        // A walk that did not know of it yet.
        held.hold(grant, 2);
        held.drop_ticket(grant, 2);
        assert!(held.has(grant), "its answer is on the way to a client");
        held.drop_ticket(grant, 2);
        assert!(held.has(grant));
        held.drop_ticket(grant, 1);
        assert!(!held.has(grant) && held.0.is_empty());
    }
}
