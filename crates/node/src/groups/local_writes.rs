//! Writes to the group whose primary is this node's copy.

use crate::databases::schema_of;
use crate::driver::{Event, Reserved};
use crate::error::NodeError;
use crate::group_client::{Pending, collections_outcome};
use crate::group_state::{GroupOutcome, GroupRequest};
use crate::groups::LocalGroup;
use crate::options::CallContext;
use crate::reservations::ReservationId;
use lavandin_cluster::{Catalogue, CollectionInfo};
use lavandin_shard::{Change, Outcome, Rejection, Request};
use lavandin_types::{CollectionId, RequestId};

impl LocalGroup {
    /// Carries out a change of a collection whose dimension is fixed. Durable and visible on return.
    pub(crate) async fn change(
        &self,
        context: &CallContext,
        (catalogue, collection): (&Catalogue, CollectionId),
        change: Change,
    ) -> Result<Outcome, NodeError> {
        let needs_records = matches!(change, Change::Delete(_) | Change::Restore(_) | Change::Compact);
        if needs_records && self.holds_nothing_of(collection)? {
            // Nothing was ever written, so there is nothing to delete, restore or remove.
            return Ok(Outcome::Count(0));
        }
        let opening = self.send_opening(catalogue, collection)?;
        let changed = self.propose(context, Request::Change { collection, change }).await;
        if let Some(opening) = opening {
            // The change is staged behind the opening; if that failed, its reason is the one to tell.
            self.client.wait_for(context, opening).await?;
        }
        changed
    }

    /// Whether nothing of a collection was ever written to the group. A copy that has not settled what it found, or was
    /// replaced, cannot tell.
    fn holds_nothing_of(&self, collection: CollectionId) -> Result<bool, NodeError> {
        if self.shard.view(collection).is_some() {
            return Ok(false);
        }
        self.check_primary()?;
        let nothing = self.shard.view(collection).is_none();
        self.check_primary().map(|()| nothing)
    }

    /// Checks an add or upsert and holds its ids until it is logged or released. Asked again under the same
    /// reservation it changes nothing.
    pub(crate) async fn reserve(
        &self,
        context: &CallContext,
        (catalogue, collection): (&Catalogue, CollectionId),
        change: Change,
        reservation: ReservationId,
    ) -> Result<Reserved, NodeError> {
        let opening = self.send_opening(catalogue, collection)?;
        let (request_id, change) = (context.request_id, Box::new(change));
        let reserve = |answer| Event::Reserve { request_id, reservation, collection, change, answer };
        let reserved = self.client.ask(context, reserve).await;
        if let Some(opening) = opening {
            self.client.wait_for(context, opening).await?;
        }
        reserved
    }

    /// Logs what was reserved. Durable and visible on return.
    pub(crate) async fn log_reserved(
        &self,
        context: &CallContext,
        reservation: ReservationId,
    ) -> Result<Outcome, NodeError> {
        let request_id = context.request_id;
        let log = |answer| Event::LogReserved { request_id, reservation, answer };
        collections_outcome(self.client.ask(context, log).await?)
    }

    /// Gives up what was reserved. Where that cannot be told, it runs out by itself.
    pub(crate) fn release(&self, reservation: ReservationId) {
        drop(self.client.send(Event::Release { reservation }));
    }

    /// Opens the collection in the group's log where it is not; the request that follows is staged behind it.
    fn send_opening(
        &self,
        catalogue: &Catalogue,
        collection: CollectionId,
    ) -> Result<Option<Pending<GroupOutcome>>, NodeError> {
        if self.shard.view(collection).is_some() {
            return Ok(None);
        }
        let schema = schema_of(entry(catalogue, collection)?);
        let schema = schema.ok_or(NodeError::Internal("a collection has no dimension"))?;
        let open = Request::Open { collection, schema };
        self.client.send_request(RequestId::NONE, GroupRequest::Collections(open)).map(Some)
    }

    /// Sends a request to the group; the answer comes once it is durable and applied.
    pub(crate) async fn propose(
        &self,
        context: &CallContext,
        request: Request,
    ) -> Result<Outcome, NodeError> {
        let answer = self.client.send_request(context.request_id, GroupRequest::Collections(request))?;
        collections_outcome(self.client.wait_for(context, answer).await?)
    }

    /// Logs the catalogue's schema of a collection that the group knows under an older one.
    pub(crate) async fn log_schema(
        &self,
        context: &CallContext,
        (catalogue, collection): (&Catalogue, CollectionId),
    ) -> Result<(), NodeError> {
        let known = self.shard.view(collection).map(|view| view.schema().version);
        let Some(schema) =
            schema_of(entry(catalogue, collection)?).filter(|schema| Some(schema.version) > known)
        else {
            return Ok(());
        };
        let unnamed = CallContext { request_id: RequestId::NONE, ..context.clone() };
        match self.propose(&unnamed, Request::SetSchema { collection, schema }).await {
            // Not open yet: its first write brings the schema along.
            Err(NodeError::Rejected(Rejection::UnknownCollection)) => Ok(()),
            other => other.map(drop),
        }
    }
}

fn entry(catalogue: &Catalogue, collection: CollectionId) -> Result<&CollectionInfo, NodeError> {
    let dropped = |_| NodeError::CollectionNotFound(format!("{collection} (it was dropped)"));
    catalogue.collection_by_id(collection).map(|info| &**info).map_err(dropped)
}

#[cfg(test)]
mod tests;
