//! Questions to this node's copies that other nodes send.

use crate::error::NodeError;
use crate::groups::Applied;
use crate::groups::call_codec::{Answered, Header, decode_call, encode_answer};
use crate::groups::group_call::{GroupAnswer, GroupCall};
use crate::groups::router::Router;
use crate::options::CallContext;
use crate::reading::Reading;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use lavandin_group::GroupError;
use lavandin_peer::{MESSAGE_BYTES_MAX, PeerStatus};
use lavandin_types::{ErrorCode, NodeId, PrimaryEpoch};
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// How long before the caller gives up it is told that jobs are not done yet.
const MARGIN: Duration = Duration::from_secs(1);

impl Router {
    /// Answers what another node asks a group. Errors are part of the answer, but for bytes that are none of ours.
    pub(crate) fn answer<'a>(
        &'a self,
        from: NodeId,
        payload: &'a Bytes,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Bytes, PeerStatus>> {
        Box::pin(async move {
            let (header, call) = decode_call(payload).ok_or_else(|| {
                let text = format!(
                    "node {from} asks what node {} does not understand; upgrade the older of the two",
                    self.node
                );
                PeerStatus::new(ErrorCode::InvalidArgument, text)
            })?;
            let (request_id, reading) = (header.request_id, Reading::default());
            let context = CallContext { request_id, deadline, reading };
            let is_read = call.is_read();
            let answer = self.carry_out(&context, &header, call).await;
            let answer = answer.map_err(|error| for_another_node(error, is_read, &header));
            let applied = self
                .host
                .get(header.group)
                .map_or_else(Applied::default, |local| local.serving.applied_record());
            let encoded = encode_answer(&Answered { applied, answer });
            if encoded.len() <= MESSAGE_BYTES_MAX {
                return Ok(encoded);
            }
            let error = NodeError::Remote {
                code: ErrorCode::PayloadTooLarge,
                message: format!(
                    "Invalid argument: the answer takes {} bytes between two nodes; the limit is {MESSAGE_BYTES_MAX}, so \
                 ask for less at once",
                    encoded.len()
                ),
                filter_position: None,
            };
            Ok(encode_answer(&Answered { applied, answer: Err(error) }))
        })
    }

    async fn carry_out(
        &self,
        context: &CallContext,
        header: &Header,
        call: GroupCall,
    ) -> Result<GroupAnswer, NodeError> {
        context.check()?;
        if call.follows_catalogue() {
            self.catch_up_with(context, header).await?;
        }
        let (is_read, need) = (call.is_read(), header.need.filter(|_| call.is_read()));
        let local = self.host.get(header.group);
        let local = local.ok_or_else(|| not_serving(header, "its node has not opened it"))?;
        let epoch = match need {
            Some(need) => self.stand_in(&local, need).await.map(|()| None)?,
            None => Some(self.check_leads(header)?),
        };
        if epoch.is_some() && is_read {
            // What a copy shows that is about to lead is not all that it has.
            local.check_primary()?;
        }
        let catalogue = self.metadata.catalogue();
        let answer = match call {
            GroupCall::AwaitJobs(_) => {
                let patience = context.deadline.checked_sub(MARGIN).unwrap_or(context.deadline);
                let waited = local.execute(context, &catalogue, call);
                timeout_at(patience.into(), waited).await.unwrap_or(Ok(GroupAnswer::Waiting))?
            }
            GroupCall::Confirm => self.confirm_here(context, &local).await?,
            call => local.execute(context, &catalogue, call).await?,
        };
        if let Some(epoch) = epoch.filter(|_| is_read) {
            self.check_reign(&local, epoch)?;
        }
        Ok(answer)
    }

    /// Waits until this node knows of the catalogue what the caller knew.
    async fn catch_up_with(&self, context: &CallContext, header: &Header) -> Result<(), NodeError> {
        let mut changes = self.metadata.changed();
        let caught_up = changes.wait_for(|applied| *applied >= header.catalogue);
        match timeout_at(context.deadline.into(), caught_up).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(NodeError::Stopping),
            Err(_) => Err(not_serving(header, "its node follows the catalogue too slowly")),
        }
    }

    /// The epoch in which this node leads the group, as far as it knows.
    fn check_leads(&self, header: &Header) -> Result<PrimaryEpoch, NodeError> {
        let catalogue = self.metadata.catalogue();
        let Some(info) = catalogue.group(header.group) else {
            return Err(not_serving(header, "its node's catalogue does not have it yet"));
        };
        let leads = info.primary == self.node && info.epoch >= header.epoch;
        leads
            .then_some(info.epoch)
            .ok_or_else(|| not_serving(header, "it is not the primary, as far as its node knows"))
    }
}

fn not_serving(header: &Header, reason: &str) -> NodeError {
    NodeError::NotServing { group: header.group, reason: reason.to_owned() }
}

/// What this node's errors mean to one that can turn to another copy.
fn for_another_node(error: NodeError, is_read: bool, header: &Header) -> NodeError {
    match error {
        NodeError::Group(GroupError::NotPrimary { .. }) => not_serving(header, "it is not the primary"),
        NodeError::Stopping if is_read => not_serving(header, "its node is stopping"),
        // Perhaps it was written before.
        NodeError::Stopping => NodeError::OutcomeUnknown { request_id: header.request_id },
        other => other,
    }
}
