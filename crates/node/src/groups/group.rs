//! A shard group as callers see it, wherever its copies are.

use crate::driver::Reserved;
use crate::error::NodeError;
use crate::groups::group_call::{GroupAnswer, GroupCall};
use crate::groups::router::Router;
use crate::identity;
use crate::node::Node;
use crate::node_statistics::CollectionStatistics;
use crate::options::CallContext;
use crate::reads::Search;
use crate::reservations::ReservationId;
use crate::routing::Layout;
use lavandin_cluster::CollectionInfo;
use lavandin_shard::{Change, FieldKinds, Hit, Outcome, Record, SearchResult, Which};
use lavandin_types::{CollectionId, GroupId, RecordId, RequestId};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An answer that belongs to another question.
const OTHER_ANSWER: NodeError = NodeError::Internal("a group answered another question");
/// How long one question after jobs waits.
const JOBS_PATIENCE: Duration = Duration::from_secs(30);
/// What giving up reservations may take; those that are not given up run out by themselves.
const RELEASE_PATIENCE: Duration = Duration::from_secs(1);

/// A group of the catalogue.
#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    router: Arc<Router>,
}

/// Asks a group, and takes the answer out of the variant that it must have.
macro_rules! ask {
    ($group:ident, $context:expr, $call:expr, $answer:pat => $value:expr) => {
        match $group.router.call($context, $group.id, $call).await? {
            $answer => Ok($value),
            _ => Err(OTHER_ANSWER),
        }
    };
}

impl Node {
    pub(crate) fn group(&self, id: GroupId) -> Group {
        Group::new(id, Arc::clone(&self.router))
    }

    /// The groups that a collection lies over, ascending.
    pub(crate) fn groups_of(&self, info: &CollectionInfo) -> Result<Vec<Group>, NodeError> {
        let catalogue = self.metadata.catalogue();
        let groups = Layout::of(&catalogue, info)?.table.groups();
        Ok(groups.iter().map(|group| self.group(*group)).collect())
    }
}

impl Group {
    pub(crate) fn new(id: GroupId, router: Arc<Router>) -> Self {
        Self { id, router }
    }

    /// Carries out a change of a collection whose dimension is fixed, under the context's request id or one of its own.
    /// Durable and visible on return.
    pub(crate) async fn change(
        &self,
        context: &CallContext,
        collection: CollectionId,
        change: Change,
    ) -> Result<Outcome, NodeError> {
        self.change_reserved(context, collection, change, None).await
    }

    /// The same in the place of what may be reserved for it.
    pub(crate) async fn change_reserved(
        &self,
        context: &CallContext,
        collection: CollectionId,
        change: Change,
        reserved: Option<ReservationId>,
    ) -> Result<Outcome, NodeError> {
        let context = &if self.router.is_alone(self.id) { context.clone() } else { named(context)? };
        let call = GroupCall::Change { collection, change, reserved };
        ask!(self, context, call, GroupAnswer::Outcome(outcome) => outcome)
    }

    /// Checks an add or upsert and holds its ids until it is logged or released.
    pub(crate) async fn reserve(
        &self,
        context: &CallContext,
        collection: CollectionId,
        change: Change,
        reservation: ReservationId,
    ) -> Result<Reserved, NodeError> {
        let call = GroupCall::Reserve { collection, change, reservation };
        ask!(self, context, call, GroupAnswer::Reserved(reserved) => reserved)
    }

    /// Logs what was reserved. Durable and visible on return.
    pub(crate) async fn log_reserved(
        &self,
        context: &CallContext,
        reservation: ReservationId,
    ) -> Result<Outcome, NodeError> {
        ask!(self, context, GroupCall::LogReserved(reservation), GroupAnswer::Outcome(outcome) => outcome)
    }

    /// Gives up what was reserved. Where that cannot be told, it runs out by itself.
    pub(crate) async fn release(&self, context: &CallContext, reservation: ReservationId) {
        let context = brief(context, RELEASE_PATIENCE);
        drop(self.router.try_once(&context, self.id, &GroupCall::Release(reservation)).await);
    }

    /// Removes a collection's records.
    pub(crate) async fn drop_collection(
        &self,
        context: &CallContext,
        collection: CollectionId,
    ) -> Result<(), NodeError> {
        ask!(self, context, GroupCall::Drop(collection), GroupAnswer::Outcome(_) => ())
    }

    /// Logs the catalogue's schema of a collection that the group knows under an older one.
    pub(crate) async fn log_schema(
        &self,
        context: &CallContext,
        collection: CollectionId,
    ) -> Result<(), NodeError> {
        ask!(self, context, GroupCall::LogSchema(collection), GroupAnswer::Done => ())
    }

    /// `None` where the group has nothing of the collection. A filter may name `fields` besides the group's own.
    pub(crate) async fn search(
        &self,
        context: &CallContext,
        collection: CollectionId,
        search: Search,
        fields: Option<Arc<FieldKinds>>,
    ) -> Result<Option<SearchResult>, NodeError> {
        let call = GroupCall::Search { collection, search, fields };
        ask!(self, context, call, GroupAnswer::Search(result) => result)
    }

    pub(crate) async fn search_range(
        &self,
        context: &CallContext,
        collection: CollectionId,
        query: Vec<f32>,
        (threshold, max_results): (f32, usize),
    ) -> Result<Vec<Hit>, NodeError> {
        let call = GroupCall::SearchRange { collection, query, threshold, max_results };
        ask!(self, context, call, GroupAnswer::Hits(hits) => hits)
    }

    /// `None` where the group has nothing of the collection.
    pub(crate) async fn records(
        &self,
        context: &CallContext,
        collection: CollectionId,
        (which, fields): (Which, Option<Arc<FieldKinds>>),
        with_vectors: bool,
    ) -> Result<Option<Vec<Record>>, NodeError> {
        let call = GroupCall::Records { collection, which, fields, with_vectors };
        ask!(self, context, call, GroupAnswer::Records(records) => records)
    }

    pub(crate) async fn deleted_ids(
        &self,
        context: &CallContext,
        collection: CollectionId,
    ) -> Result<Vec<RecordId>, NodeError> {
        ask!(self, context, GroupCall::DeletedIds(collection), GroupAnswer::Ids(ids) => ids)
    }

    pub(crate) async fn contains(
        &self,
        context: &CallContext,
        collection: CollectionId,
        id: RecordId,
    ) -> Result<bool, NodeError> {
        ask!(self, context, GroupCall::Contains { collection, id }, GroupAnswer::Found(found) => found)
    }

    /// The fields that the group's records of a collection have had.
    pub(crate) async fn field_kinds(
        &self,
        context: &CallContext,
        collection: CollectionId,
    ) -> Result<FieldKinds, NodeError> {
        ask!(self, context, GroupCall::FieldKinds(collection), GroupAnswer::FieldKinds(kinds) => kinds)
    }

    pub(crate) async fn collection_statistics(
        &self,
        context: &CallContext,
        collection: CollectionId,
    ) -> Result<CollectionStatistics, NodeError> {
        ask!(self, context, GroupCall::Statistics(collection), GroupAnswer::Statistics(all) => all)
    }

    /// Everything acknowledged onto stable storage.
    pub(crate) async fn flush(&self, context: &CallContext) -> Result<(), NodeError> {
        ask!(self, context, GroupCall::Flush, GroupAnswer::Done => ())
    }

    /// A checkpoint that covers everything acknowledged so far.
    pub(crate) async fn checkpoint(&self, context: &CallContext) -> Result<(), NodeError> {
        ask!(self, context, GroupCall::Checkpoint, GroupAnswer::Done => ())
    }

    /// Merges a collection's segments into as few as possible and returns when that is done.
    pub(crate) async fn merge_all(
        &self,
        context: &CallContext,
        collection: CollectionId,
    ) -> Result<(), NodeError> {
        let begun: Result<(), NodeError> =
            ask!(self, context, GroupCall::WantMerge(collection), GroupAnswer::Done => ());
        begun?;
        self.wait_for_jobs(context, collection).await
    }

    /// Waits until the collection's merges and graph builds are done. Bounded by the work, not by a call's deadline: the
    /// client waits for its index, and gives up by hanging up.
    pub(crate) async fn wait_for_jobs(
        &self,
        context: &CallContext,
        collection: CollectionId,
    ) -> Result<(), NodeError> {
        loop {
            let context = CallContext { deadline: Instant::now() + JOBS_PATIENCE, ..context.clone() };
            match self.router.call(&context, self.id, GroupCall::AwaitJobs(collection)).await? {
                GroupAnswer::Waiting => {}
                GroupAnswer::Done => return Ok(()),
                _ => return Err(OTHER_ANSWER),
            }
        }
    }
}

/// The context with a request id, under which what is sent again is applied once.
pub(crate) fn named(context: &CallContext) -> Result<CallContext, NodeError> {
    if context.request_id.is_none() {
        return Ok(context.clone().with_request_id(RequestId::new(identity::random()?)));
    }
    Ok(context.clone())
}

/// The context with less time, if it has more.
pub(crate) fn brief(context: &CallContext, patience: Duration) -> CallContext {
    CallContext { deadline: context.deadline.min(Instant::now() + patience), ..context.clone() }
}
