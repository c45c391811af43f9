//! Writes to collections that lie over several groups.
//!
//! A batch is checked whole, its ids are held at every group that has a part, and only then the parts are logged: so a
//! batch that is refused leaves nothing anywhere. Only a group that is lost in between can leave a part, and the error
//! says so. Every batch has a request id, the caller's or one of its own, under which each group applies its part once:
//! a part of which nobody knows whether it was logged is sent again whole. A batch of which no part was logged, because
//! all reservations had run out or gone with their primaries, starts over.
//!
//! `allotted`: batches without ids that may come again.

mod allotted;

use crate::allotment::IDS_PER_LEASE;
use crate::databases::schema_of;
use crate::driver::Reserved;
use crate::error::NodeError;
use crate::groups::{Group, ask_each, named};
use crate::identity;
use crate::node::Node;
use crate::node_statistics::CollectionStatistics;
use crate::options::CallContext;
use crate::reservations::ReservationId;
use crate::routing::{Layout, merge};
use futures_util::future::join_all;
use lavandin_cluster::{CollectionInfo, Command, IntegerIdForm, Reply};
use lavandin_shard::{BatchIds, Change, Outcome, Places, RecordBatch, Rejection, check_batch};
use lavandin_types::{CollectionId, RecordIdRef};
use std::sync::Arc;

/// How often allotted ids are drawn again that turn out to be taken.
const ALLOTMENTS_MAX: usize = 8;
/// How often a batch starts over whose reservations are gone.
const STARTS_MAX: usize = 8;

/// A group's share of a change.
struct Part {
    group: Group,
    change: Change,
    reservation: ReservationId,
}

impl Node {
    /// Carries out a change of a collection whose dimension is fixed, on all the groups that it concerns.
    pub(crate) async fn change_over_groups(
        &self,
        context: &CallContext,
        info: Arc<CollectionInfo>,
        change: Change,
    ) -> Result<Outcome, NodeError> {
        let is_named = !context.request_id.is_none();
        let context = &named(context)?;
        let (Change::Add(batch) | Change::Upsert(batch)) = &change else {
            let parts = self.parts(&info, change)?;
            let done = parts.iter().map(|part| part.group.change(context, info.id, part.change.clone()));
            let done = join_all(done).await;
            return together(&parts, done);
        };
        let info = self.fix_integer_form(context, info, &batch.ids).await?;
        let BatchIds::Assigned { count } = batch.ids else {
            return self.write(context, &info, change).await;
        };
        if is_named {
            return self.write_allotted(context, &info, change, count).await;
        }
        for _ in 0..ALLOTMENTS_MAX {
            let start = self.allot(context, &info, u64::from(count)).await?;
            let ids = BatchIds::Range { start, count };
            match self.write(context, &info, with_ids(change.clone(), ids)).await {
                // Someone chose an id of the range for a record of his own.
                Err(NodeError::Rejected(Rejection::Exists(_))) => self.id_leases.forget(info.id),
                written => return written.map(|_| Outcome::Assigned { start, count }),
            }
        }
        Err(NodeError::Overloaded)
    }

    /// Writes a batch whose ids are known.
    async fn write(
        &self,
        context: &CallContext,
        info: &CollectionInfo,
        change: Change,
    ) -> Result<Outcome, NodeError> {
        let parts = self.checked_parts(info, change)?;
        if let [only] = &parts[..] {
            return only.group.change(context, info.id, only.change.clone()).await;
        }
        write_batch(context, info.id, &parts).await
    }

    /// The parts of a batch that is right by itself.
    fn checked_parts(&self, info: &CollectionInfo, mut change: Change) -> Result<Vec<Part>, NodeError> {
        if let Change::Add(batch) | Change::Upsert(batch) = &mut change {
            let schema = schema_of(info).ok_or(NodeError::Internal("a collection has no dimension"))?;
            check_batch(&schema, batch)?;
            let rows = batch.ids.len() as u32;
            let first = self.place_clock.take(u64::from(rows));
            batch.places = Some(Places { first, offsets: (0..rows).collect() });
        }
        self.parts(info, change)
    }

    fn parts(&self, info: &CollectionInfo, change: Change) -> Result<Vec<Part>, NodeError> {
        let catalogue = self.metadata.catalogue();
        let parts = Layout::of(&catalogue, info)?.split(change).into_iter();
        let part = |(group, change)| {
            let reservation = ReservationId::new(identity::random()?);
            Ok(Part { group: self.group(group), change, reservation })
        };
        parts.map(part).collect()
    }

    /// Fixes how the collection's integer ids are hashed, with its first integers.
    async fn fix_integer_form(
        &self,
        context: &CallContext,
        info: Arc<CollectionInfo>,
        ids: &BatchIds,
    ) -> Result<Arc<CollectionInfo>, NodeError> {
        let form = match ids {
            BatchIds::Assigned { .. } => IntegerIdForm::Internal,
            ids if ids.iter().any(|id| matches!(id, RecordIdRef::Int(_))) => IntegerIdForm::External,
            _ => return Ok(info),
        };
        if info.integer_ids != IntegerIdForm::Unset {
            return Ok(info);
        }
        let command = Command::SetIntegerIdForm { collection: info.id, form };
        match self.command(context, command).await? {
            Reply::Updated { info, .. } => Ok(info),
            _ => Err(NodeError::Internal("the catalogue answered another command")),
        }
    }

    /// The first of `count` consecutive ids that nobody else is given.
    async fn allot(
        &self,
        context: &CallContext,
        info: &CollectionInfo,
        count: u64,
    ) -> Result<u64, NodeError> {
        loop {
            if let Some(start) = self.id_leases.take(info.id, count) {
                return Ok(start);
            }
            context.check()?;
            self.lease_ids(context, info, count.max(IDS_PER_LEASE)).await?;
        }
    }

    async fn lease_ids(
        &self,
        context: &CallContext,
        info: &CollectionInfo,
        count: u64,
    ) -> Result<(), NodeError> {
        let largest_known = self.last_id(context, info).await?;
        let (collection, node): (CollectionId, _) = (info.id, self.identity.node);
        let command = Command::LeaseIds { collection, node, count, largest_known };
        match self.command(context, command).await? {
            Reply::Ids { first, count } => {
                self.id_leases.renew(collection, first..first.saturating_add(count));
                Ok(())
            }
            _ => Err(NodeError::Internal("the catalogue answered another command")),
        }
    }

    /// The id that a lease must begin behind: by the same rule by which a group allots ids alone.
    async fn last_id(&self, context: &CallContext, info: &CollectionInfo) -> Result<Option<u64>, NodeError> {
        let (id, groups) = (info.id, self.groups_of(info)?);
        let parts = ask_each(&groups, |group| async move { group.collection_statistics(context, id).await });
        let whole =
            parts.await?.into_iter().fold(CollectionStatistics::default(), CollectionStatistics::plus);
        Ok(whole.next_id().checked_sub(1))
    }
}

/// Writes all parts, from the start again where none was logged.
async fn write_batch(
    context: &CallContext,
    collection: CollectionId,
    parts: &[Part],
) -> Result<Outcome, NodeError> {
    for _ in 1..STARTS_MAX {
        match write_parts(context, collection, parts).await {
            Err(NodeError::ReservationGone) => context.check()?,
            written => return written,
        }
    }
    write_parts(context, collection, parts).await
}

/// Holds the ids of all parts, then logs them. `ReservationGone` where nothing was logged.
async fn write_parts(
    context: &CallContext,
    collection: CollectionId,
    parts: &[Part],
) -> Result<Outcome, NodeError> {
    let reserved = hold(context, collection, parts).await?;
    log_held(context, collection, parts, reserved).await
}

/// Holds the ids of all parts, or of none.
async fn hold(
    context: &CallContext,
    collection: CollectionId,
    parts: &[Part],
) -> Result<Vec<Reserved>, NodeError> {
    let reserving = parts
        .iter()
        .map(|part| part.group.reserve(context, collection, part.change.clone(), part.reservation));
    let reserved: Result<Vec<_>, _> = join_all(reserving).await.into_iter().collect();
    if reserved.is_err() {
        // Those whose answer was lost may hold something too.
        release(context, parts).await;
    }
    reserved
}

async fn release(context: &CallContext, parts: &[Part]) {
    join_all(parts.iter().map(|part| part.group.release(context, part.reservation))).await;
}

/// Logs what is held. `ReservationGone` where nothing was logged.
async fn log_held(
    context: &CallContext,
    collection: CollectionId,
    parts: &[Part],
    reserved: Vec<Reserved>,
) -> Result<Outcome, NodeError> {
    let logging = parts.iter().zip(reserved).map(|(part, reserved)| async move {
        match reserved {
            Reserved::Held => part.group.log_reserved(context, part.reservation).await,
            Reserved::Answered(outcome) => Ok(outcome),
        }
    });
    let logged = join_all(logging).await;
    if logged.iter().all(|one| matches!(one, Err(NodeError::ReservationGone))) {
        return Err(NodeError::ReservationGone);
    }
    let completing =
        parts.iter().zip(logged).map(|(part, logged)| complete(context, collection, part, logged));
    together(parts, join_all(completing).await)
}

/// Sends a part again of which it is not known that it was logged, while others were.
async fn complete(
    context: &CallContext,
    collection: CollectionId,
    part: &Part,
    logged: Result<Outcome, NodeError>,
) -> Result<Outcome, NodeError> {
    match logged {
        Err(NodeError::ReservationGone | NodeError::OutcomeUnknown { .. }) => {
            let reserved = Some(part.reservation);
            part.group.change_reserved(context, collection, part.change.clone(), reserved).await
        }
        known => known,
    }
}

fn with_ids(change: Change, ids: BatchIds) -> Change {
    match change {
        Change::Add(batch) => Change::Add(RecordBatch { ids, ..batch }),
        Change::Upsert(batch) => Change::Upsert(RecordBatch { ids, ..batch }),
        other => other,
    }
}

/// One answer of all parts' answers.
fn together(parts: &[Part], done: Vec<Result<Outcome, NodeError>>) -> Result<Outcome, NodeError> {
    let failures = || done.iter().filter_map(|one| one.as_ref().err());
    // What may have been done is more than what surely was not.
    let unknown = failures().find(|error| matches!(error, NodeError::OutcomeUnknown { .. }));
    let failure = unknown.or_else(|| failures().next()).cloned();
    let Some(reason) = failure else { return Ok(merge::outcomes(done.into_iter().flatten())) };
    let named = |succeeded: bool| {
        let chosen = parts.iter().zip(&done).filter(|(_, one)| one.is_ok() == succeeded);
        chosen.map(|(part, _)| part.group.id.to_string()).collect::<Vec<_>>().join(", ")
    };
    match done.iter().any(Result::is_ok) {
        true => {
            Err(NodeError::Partial { done: named(true), missing: named(false), reason: Box::new(reason) })
        }
        false => Err(reason),
    }
}

#[cfg(test)]
mod tests;
