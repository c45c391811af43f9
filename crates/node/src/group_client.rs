//! The way to a group's thread.

use crate::driver::{Answer, Event};
use crate::error::NodeError;
use crate::group_state::{GroupOutcome, GroupRequest};
use crate::options::CallContext;
use crossbeam_channel::Sender;
use lavandin_plan::iterations;
use lavandin_types::RequestId;
use tokio::sync::oneshot;

/// Requests that wait for the group's thread, give or take the callers that send at one moment; beyond it, callers are
/// told to come back.
const QUEUE_MAX: usize = 1024;
/// A request id that was used for another kind of request before.
const OTHER_REQUEST: NodeError = NodeError::Internal("the group answered another request");

/// An answer to come.
pub(crate) type Pending<T> = oneshot::Receiver<Result<T, NodeError>>;

#[derive(Clone)]
pub(crate) struct GroupClient {
    events: Sender<Event>,
}

impl GroupClient {
    pub(crate) fn new(events: Sender<Event>) -> Self {
        Self { events }
    }

    pub(crate) fn send(&self, event: Event) -> Result<(), NodeError> {
        if self.events.len() >= QUEUE_MAX {
            return Err(NodeError::Overloaded);
        }
        self.events.send(event).map_err(|_| NodeError::Stopping)
    }

    /// The last event; there is always room for it.
    pub(crate) fn stop(&self, answer: Answer<()>) -> bool {
        self.events.send(Event::Stop { answer }).is_ok()
    }

    /// Queues a request; requests are staged in the order in which they are queued.
    pub(crate) fn send_request(
        &self,
        request_id: RequestId,
        request: GroupRequest,
    ) -> Result<Pending<GroupOutcome>, NodeError> {
        let (answer, received) = oneshot::channel();
        self.send(Event::Propose { request_id, request: Box::new(request), answer })?;
        Ok(received)
    }

    pub(crate) async fn ask<T>(
        &self,
        context: &CallContext,
        event: impl FnOnce(Answer<T>) -> Event,
    ) -> Result<T, NodeError> {
        context.check()?;
        let (answer, received) = oneshot::channel();
        self.send(event(answer))?;
        self.wait_for(context, received).await
    }

    pub(crate) async fn wait_for<T>(
        &self,
        context: &CallContext,
        answer: Pending<T>,
    ) -> Result<T, NodeError> {
        match tokio::time::timeout_at(context.deadline.into(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(NodeError::Stopping),
            Err(_) => Err(NodeError::Deadline(
                "the change may still happen; send it again with the same idempotency key to learn its outcome",
            )),
        }
    }
}

pub(crate) fn collections_outcome(outcome: GroupOutcome) -> Result<lavandin_shard::Outcome, NodeError> {
    match outcome {
        GroupOutcome::Collections(outcome) => Ok(outcome),
        GroupOutcome::Iterations(_) => Err(OTHER_REQUEST),
    }
}

pub(crate) fn iterations_outcome(outcome: GroupOutcome) -> Result<iterations::Outcome, NodeError> {
    match outcome {
        GroupOutcome::Iterations(outcome) => Ok(outcome),
        GroupOutcome::Collections(_) => Err(OTHER_REQUEST),
    }
}
