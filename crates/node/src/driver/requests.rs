//! Staging requests.

use super::{Answer, Driver, Event, IDLE_WAKE, Reserved, Round, Waiting};
use crate::databases::schema_of;
use crate::error::NodeError;
use crate::group_client::collections_outcome;
use crate::group_state::{GroupOutcome, GroupRejection, GroupRequest};
use crate::reservations::ReservationId;
use lavandin_cluster::Catalogue;
use lavandin_group::Staged;
use lavandin_plan::iterations::{self, OpenGrant};
use lavandin_shard::{Change, Outcome, Rejection, Request};
use lavandin_types::{CollectionId, RequestId};
use std::time::Instant;
use tokio::sync::watch;

/// Events taken before a sync at most; also those that are no writes count, so that they never hold writes up.
const BATCH_EVENTS_MAX: usize = 512;
/// Bytes of records that one sync takes at most (one request may exceed it alone).
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Grants taken back at once; a session that begins finds what is left by itself.
const RETURNS_MAX: usize = 4096;

/// When the group was last brought in line with the catalogue.
pub(crate) struct Alignment {
    pub changes: watch::Receiver<u64>,
    pub last: Instant,
}

impl Driver {
    /// Stages what waits, until there is enough for a sync.
    pub(super) fn gather(&mut self, first: Event, round: &mut Round) {
        let mut event = Some(first);
        let mut taken = 0;
        while let Some(current) = event.take() {
            taken += 1;
            match current {
                Event::Propose { request_id, request, answer } => match self.check_takes_requests() {
                    Ok(()) => self.stage(request_id, *request, answer),
                    Err(error) => drop(answer.send(Err(error))),
                },
                Event::Reserve { request_id, reservation, collection, change, answer } => {
                    // A caller that has gone away leaves a reservation that runs out.
                    let reserved = self.check_takes_requests();
                    let reserved =
                        reserved.and_then(|()| self.reserve((request_id, reservation), collection, *change));
                    drop(answer.send(reserved));
                }
                Event::LogReserved { request_id, reservation, answer } => {
                    self.log_reserved((request_id, reservation), answer);
                }
                Event::Release { reservation } => {
                    if let Ok(reservation) = self.reservations.take(reservation) {
                        self.replica.copy_mut().consumer_mut().shard.release(&reservation);
                    }
                }
                Event::Stop { answer } => {
                    round.stop = Some(answer);
                    return;
                }
                other => round.later.push(other),
            }
            if taken < BATCH_EVENTS_MAX && self.replica.copy().staged_bytes() < BATCH_BYTES_MAX {
                event = self.events.try_recv().ok();
            }
        }
    }

    /// Whether what is held can be logged now. Where not, it stays held: its ids would be nobody's otherwise.
    fn check_logs_reserved(&mut self) -> Result<(), NodeError> {
        self.check_takes_reserved()?;
        self.check_can_write()?;
        match self.replica.copy().has_room() {
            true => Ok(()),
            false => {
                let reason = "too many writes wait for its log".to_owned();
                Err(NodeError::NotServing { group: self.group(), reason })
            }
        }
    }

    /// Whatever comes under the name of a batch takes the place of what is held for it.
    fn release_former(&mut self, request_id: RequestId) {
        for reservation in self.reservations.take_of(request_id) {
            self.replica.copy_mut().consumer_mut().shard.release(&reservation);
        }
    }

    fn stage(&mut self, request_id: RequestId, request: GroupRequest, answer: Answer<GroupOutcome>) {
        self.release_former(request_id);
        let current = match request {
            GroupRequest::Collections(request) => {
                self.current(request).map(|request| request.map(GroupRequest::Collections))
            }
            other => Ok(Some(other)),
        };
        let staged = match current {
            Ok(Some(request)) => {
                let (now, group) = (self.now(), self.group());
                let staged = self.replica.stage(request_id, request, now);
                staged.map_err(|error| NodeError::of_stage(group, error))
            }
            Ok(None) => Ok(Staged::Answered(GroupOutcome::Collections(Outcome::Count(0)))),
            Err(error) => Err(error),
        };
        // A caller that has gone away does not need its answer.
        match staged {
            Ok(Staged::Pending(sequence)) => {
                self.waiting.entry(sequence).or_default().push(Waiting { request_id, answer });
            }
            Ok(Staged::Answered(outcome)) => drop(answer.send(Ok(outcome))),
            Ok(Staged::Rejected(rejection)) => drop(answer.send(Err(self.refused(rejection)))),
            Err(error) => {
                let failed: Result<GroupOutcome, NodeError> = self.note_failure(Err(error));
                let told = failed.map_err(|error| match self.failure.borrow().is_some() {
                    true => self.lost(request_id, &error),
                    false => error,
                });
                drop(answer.send(told));
            }
        }
    }

    /// What cannot be logged now stays held, so that the caller may ask again; what is not logged for another reason is
    /// released, or its ids would be taken until the reign ends.
    fn log_reserved(&mut self, (request_id, id): (RequestId, ReservationId), answer: Answer<GroupOutcome>) {
        match self.check_logs_reserved().and_then(|()| self.reservations.take(id)) {
            Ok(reservation) => {
                let (ids, before) = (reservation.ids_only(), self.replica.copy().last());
                self.stage(request_id, GroupRequest::Collections(Request::Reserved(reservation)), answer);
                if self.replica.copy().last() == before {
                    self.replica.copy_mut().consumer_mut().shard.release(&ids);
                }
            }
            Err(error) => drop(answer.send(Err(error))),
        }
    }

    fn check_can_write(&mut self) -> Result<(), NodeError> {
        let (now, group) = (self.now(), self.group());
        self.replica.replicator().can_write(now).map_err(|refusal| NodeError::of_refusal(group, refusal))
    }

    fn reserve(
        &mut self,
        (request_id, id): (RequestId, ReservationId),
        collection: CollectionId,
        change: Change,
    ) -> Result<Reserved, NodeError> {
        self.check_can_write()?;
        if let Some(error) = self.failure.borrow().clone() {
            // What is staged here is lost or not, and says nothing about ids.
            return Err(error);
        }
        if let Some(outcome) = self.replica.copy().answered(request_id) {
            return collections_outcome(outcome).map(Reserved::Answered);
        }
        if self.replica.copy().is_staged(request_id) {
            // Through another router; its ids would look like another's. It is answered as soon as it is settled.
            let reason = "it is logging a batch of this name".to_owned();
            return Err(NodeError::NotServing { group: self.group(), reason });
        }
        if self.reservations.holds(id) {
            return Ok(Reserved::Held);
        }
        self.release_former(request_id);
        self.reservations.check_room()?;
        let shard = &mut self.replica.copy_mut().consumer_mut().shard;
        let reservation = match change {
            Change::Add(batch) => shard.reserve(collection, batch, false),
            Change::Upsert(batch) => shard.reserve(collection, batch, true),
            Change::Delete(_) | Change::Restore(_) | Change::Compact | Change::Allot { .. } => {
                return Err(NodeError::Internal("only records that are written are reserved"));
            }
        };
        let reservation = reservation.map_err(|error| self.refused(GroupRejection::Collections(error)))?;
        self.reservations.hold((request_id, id), reservation, Instant::now());
        Ok(Reserved::Held)
    }

    /// What is refused only until a batch over several groups is logged or given up, routers ask for again.
    fn refused(&self, rejection: GroupRejection) -> NodeError {
        match rejection {
            GroupRejection::Collections(rejection @ Rejection::Reserved(_)) => {
                NodeError::NotServing { group: self.group(), reason: rejection.to_string() }
            }
            other => other.into(),
        }
    }

    /// The request as the catalogue's present state has it. What it dropped does not come back to life here, and
    /// schemas arrive in its order. `None` where there is nothing to do.
    fn current(&self, request: Request) -> Result<Option<Request>, NodeError> {
        let schema_now = |collection: CollectionId, schema| {
            let catalogue = self.metadata.catalogue();
            match catalogue.collection_by_id(collection) {
                Ok(info) => Ok(schema_of(info).unwrap_or(schema)),
                Err(_) => Err(NodeError::CollectionNotFound(format!("{collection} (it was dropped)"))),
            }
        };
        Ok(Some(match request {
            Request::Open { collection, schema } => {
                Request::Open { collection, schema: schema_now(collection, schema)? }
            }
            Request::SetSchema { collection, schema } => {
                Request::SetSchema { collection, schema: schema_now(collection, schema)? }
            }
            // Its opening may be staged, so that only a settled copy tells that there is nothing to drop.
            Request::Drop { collection }
                if self.replica.copy().is_settled()
                    && self.replica.replicator().reign().is_some()
                    && self.replica.copy().consumer().shard.schema(collection).is_none() =>
            {
                return Ok(None);
            }
            other => other,
        }))
    }

    /// Whether the catalogue has changed since the group was brought in line with it.
    pub(super) fn wants_alignment(&self) -> bool {
        self.alignment.last.elapsed() >= IDLE_WAKE && self.alignment.changes.has_changed().unwrap_or(false)
    }

    /// Returns of the grants whose owners are gone, of each rank the last one first so that it finds them in their order.
    fn grants_of_nobody(&self, catalogue: &Catalogue) -> impl Iterator<Item = iterations::Request> {
        let is_gone = |grant: &OpenGrant| {
            catalogue.node(grant.owner.node).is_none_or(|node| node.incarnation > grant.owner.incarnation)
        };
        let mut open = self.replica.copy().consumer().iterations.reader().open_grants();
        open.retain(is_gone);
        open.into_iter().rev().take(RETURNS_MAX).map(|OpenGrant { iteration, rank, number, owner }| {
            iterations::Request::Return { iteration, rank, number, owner }
        })
    }

    /// Drops the records of collections that the catalogue no longer has, logs index changes that it has and the group has
    /// not, and takes grants back that were made by a node which was restarted or removed since. Only the primary has
    /// something to do.
    pub(super) fn align(&mut self) -> Result<(), NodeError> {
        let (now, group) = (self.now(), self.group());
        if self.replica.replicator().reign().is_none() {
            return Ok(());
        }
        self.check_takes_requests()?;
        self.check_can_write()?;
        self.alignment.changes.borrow_and_update();
        self.alignment.last = Instant::now();
        let catalogue = self.metadata.catalogue();
        let shard = &self.replica.copy().consumer().shard;
        let mut requests = Vec::new();
        for collection in shard.collection_ids() {
            let known = shard.schema(collection).map(|schema| schema.version);
            match catalogue.collection_by_id(collection).map(|info| schema_of(info)) {
                Err(_) => requests.push(Request::Drop { collection }),
                Ok(Some(schema)) if Some(schema.version) > known => {
                    requests.push(Request::SetSchema { collection, schema });
                }
                Ok(_) => {}
            }
        }
        let mut requests: Vec<_> = requests.into_iter().map(GroupRequest::Collections).collect();
        requests.extend(self.grants_of_nobody(&catalogue).map(GroupRequest::Iterations));
        for request in requests {
            let of_iterations = matches!(request, GroupRequest::Iterations(_));
            let staged = self.replica.stage(RequestId::NONE, request, now);
            match staged.map_err(|error| NodeError::of_stage(group, error)) {
                // Somebody else has given it back meanwhile.
                Ok(Staged::Rejected(_)) if of_iterations => {}
                Ok(Staged::Rejected(rejection)) => return Err(rejection.into()),
                other => drop(self.note_failure(other)?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
