//! What is asked of a group, wherever its copy is: a question is a value, so that it can be asked again, here or at
//! another node (`call_codec`).

use crate::driver::Reserved;
use crate::error::NodeError;
use crate::groups::LocalGroup;
use crate::node_statistics::CollectionStatistics;
use crate::options::CallContext;
use crate::reads::Search;
use crate::reservations::ReservationId;
use crate::verifying::Digests;
use futures_util::future::BoxFuture;
use lavandin_cluster::Catalogue;
use lavandin_plan::iterations::{self, Question, Reply};
use lavandin_shard::{Change, FieldKinds, Hit, Outcome, Record, Request, SearchResult, Which};
use lavandin_types::{CollectionId, RecordId, RequestId};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GroupCall {
    /// Under the context's request id, in the place of what may be `reserved` for it.
    Change {
        collection: CollectionId,
        change: Change,
        reserved: Option<ReservationId>,
    },
    Reserve {
        collection: CollectionId,
        change: Change,
        reservation: ReservationId,
    },
    LogReserved(ReservationId),
    Release(ReservationId),
    /// Removes a collection's records.
    Drop(CollectionId),
    LogSchema(CollectionId),
    /// Changes of iterations, carried out in this order. One alone goes under the context's request id; several tell by
    /// themselves whether they were carried out before.
    Iterations(Vec<iterations::Request>),
    AskIterations(Question),
    Search {
        collection: CollectionId,
        search: Search,
        fields: Option<Arc<FieldKinds>>,
    },
    SearchRange {
        collection: CollectionId,
        query: Vec<f32>,
        threshold: f32,
        max_results: usize,
    },
    Records {
        collection: CollectionId,
        which: Which,
        fields: Option<Arc<FieldKinds>>,
        with_vectors: bool,
    },
    DeletedIds(CollectionId),
    Contains {
        collection: CollectionId,
        id: RecordId,
    },
    FieldKinds(CollectionId),
    Statistics(CollectionId),
    Flush,
    Checkpoint,
    WantMerge(CollectionId),
    AwaitJobs(CollectionId),
    /// Whether the copy asked is the primary, whatever the clocks say. A router sees to it (`router/confirmation`).
    Confirm,
    /// What the copy asked holds.
    Digests,
    /// The copy asked holds something else than its primary does.
    Doubt,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GroupAnswer {
    Done,
    /// The jobs are not done yet; ask again.
    Waiting,
    Outcome(Outcome),
    Reserved(Reserved),
    /// `None` where the group has nothing of the collection, as below.
    Search(Option<SearchResult>),
    Hits(Vec<Hit>),
    Records(Option<Vec<Record>>),
    Ids(Vec<RecordId>),
    Found(bool),
    FieldKinds(FieldKinds),
    Statistics(CollectionStatistics),
    Digests(Digests),
    Iterations(Vec<Result<iterations::Outcome, iterations::Rejection>>),
    Told(Box<Reply>),
}

impl GroupCall {
    /// Whether it changes nothing, so that any copy that knows enough may answer it.
    pub(crate) const fn is_read(&self) -> bool {
        matches!(
            self,
            Self::Search { .. }
                | Self::SearchRange { .. }
                | Self::Records { .. }
                | Self::DeletedIds(_)
                | Self::Contains { .. }
                | Self::FieldKinds(_)
                | Self::Statistics(_)
                | Self::Digests
                | Self::Doubt
                | Self::AskIterations(_)
        )
    }

    /// Whether the answer depends on the catalogue, which must be no older where it is answered than where it was asked.
    pub(crate) const fn follows_catalogue(&self) -> bool {
        matches!(self, Self::Change { .. } | Self::Reserve { .. } | Self::Drop(_) | Self::LogSchema(_))
    }

    /// Whether it reads or writes records for a client, beside which other work should make way.
    const fn concerns_records(&self) -> bool {
        matches!(
            self,
            Self::Change { .. }
                | Self::Reserve { .. }
                | Self::Search { .. }
                | Self::SearchRange { .. }
                | Self::Records { .. }
                | Self::Contains { .. }
                | Self::Iterations(_)
        )
    }

    /// Whether it changes what clients have written, so that they must be told when nobody knows whether it was done.
    pub(crate) const fn is_change(&self) -> bool {
        matches!(self, Self::Change { .. } | Self::Iterations(_))
    }

    /// Whether it may be asked again where nobody knows whether it was carried out. Changes are, under their request
    /// id; a reservation that was logged is gone, and whoever asks again is not told what became of it.
    pub(crate) const fn may_repeat(&self) -> bool {
        !matches!(self, Self::LogReserved(_))
    }
}

impl LocalGroup {
    /// Answers from this copy. `catalogue` is where schemas come from.
    pub(crate) fn execute<'a>(
        &'a self,
        context: &'a CallContext,
        catalogue: &'a Catalogue,
        call: GroupCall,
    ) -> BoxFuture<'a, Result<GroupAnswer, NodeError>> {
        Box::pin(async move {
            if call.concerns_records() {
                self.throttle.note_request();
            }
            self.note(self.carry_out(context, catalogue, call).await)
        })
    }

    async fn carry_out(
        &self,
        context: &CallContext,
        catalogue: &Catalogue,
        call: GroupCall,
    ) -> Result<GroupAnswer, NodeError> {
        Ok(match call {
            GroupCall::Change { collection, change, reserved } => {
                reserved.into_iter().for_each(|reserved| self.release(reserved));
                GroupAnswer::Outcome(self.change(context, (catalogue, collection), change).await?)
            }
            GroupCall::Reserve { collection, change, reservation } => GroupAnswer::Reserved(
                self.reserve(context, (catalogue, collection), change, reservation).await?,
            ),
            GroupCall::LogReserved(reservation) => {
                GroupAnswer::Outcome(self.log_reserved(context, reservation).await?)
            }
            GroupCall::Release(reservation) => {
                self.release(reservation);
                GroupAnswer::Done
            }
            GroupCall::Drop(collection) => {
                let unnamed = context.clone().with_request_id(RequestId::NONE);
                GroupAnswer::Outcome(self.propose(&unnamed, Request::Drop { collection }).await?)
            }
            GroupCall::LogSchema(collection) => {
                done(self.log_schema(context, (catalogue, collection)).await)?
            }
            GroupCall::Iterations(requests) => {
                GroupAnswer::Iterations(self.iterate(context, requests).await?)
            }
            GroupCall::Flush => done(self.flush(context).await)?,
            GroupCall::Checkpoint => done(self.checkpoint(context).await)?,
            GroupCall::WantMerge(collection) => done(self.want_merge(context, collection).await)?,
            GroupCall::AwaitJobs(collection) => done(self.wait_for_jobs(collection).await)?,
            read => self.read(context, read).await?,
        })
    }

    async fn read(&self, context: &CallContext, call: GroupCall) -> Result<GroupAnswer, NodeError> {
        Ok(match call {
            GroupCall::Search { collection, search, fields } => {
                GroupAnswer::Search(self.search(context, collection, search, fields).await?)
            }
            GroupCall::SearchRange { collection, query, threshold, max_results } => GroupAnswer::Hits(
                self.search_range(context, collection, query, (threshold, max_results)).await?,
            ),
            GroupCall::Records { collection, which, fields, with_vectors } => {
                GroupAnswer::Records(self.records(context, collection, (which, fields), with_vectors).await?)
            }
            GroupCall::DeletedIds(collection) => {
                GroupAnswer::Ids(self.deleted_ids(context, collection).await?)
            }
            GroupCall::Contains { collection, id } => GroupAnswer::Found(self.contains(collection, &id)),
            GroupCall::FieldKinds(collection) => GroupAnswer::FieldKinds(self.field_kinds(collection)?),
            GroupCall::Statistics(collection) => {
                GroupAnswer::Statistics(self.collection_statistics(collection))
            }
            GroupCall::AskIterations(question) => GroupAnswer::Told(Box::new(self.ask_iterations(question)?)),
            GroupCall::Digests => GroupAnswer::Digests(self.digests(context).await?),
            GroupCall::Doubt => {
                self.serving.show_damage("it does not hold what the primary holds");
                GroupAnswer::Done
            }
            _ => return Err(NodeError::Internal("a write was taken for a read")),
        })
    }
}

fn done(result: Result<(), NodeError>) -> Result<GroupAnswer, NodeError> {
    result.map(|()| GroupAnswer::Done)
}
