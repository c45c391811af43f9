//! Iterations of a group's copy: changed through its thread, read from what that shows.

use crate::error::NodeError;
use crate::group_client::iterations_outcome;
use crate::group_state::GroupRequest;
use crate::groups::LocalGroup;
use crate::options::CallContext;
use lavandin_plan::iterations::{Outcome, Question, Rejection, Reply, Request};
use lavandin_types::RequestId;

/// What a request of several came to; an error concerns all of them.
pub(crate) type Iterated = Result<Outcome, Rejection>;

impl LocalGroup {
    /// Carries requests out in their order; durable on return.
    pub(crate) async fn iterate(
        &self,
        context: &CallContext,
        requests: Vec<Request>,
    ) -> Result<Vec<Iterated>, NodeError> {
        let request_id = if requests.len() == 1 { context.request_id } else { RequestId::NONE };
        let mut queued = Vec::with_capacity(requests.len());
        for request in requests {
            queued.push(match self.needed(request)? {
                Ok(Some(request)) => {
                    Ok(self.client.send_request(request_id, GroupRequest::Iterations(request))?)
                }
                Ok(None) => Err(Ok(Outcome::Count(0))),
                Err(rejection) => Err(Err(rejection)),
            });
        }
        let mut outcomes = Vec::with_capacity(queued.len());
        for queued in queued {
            outcomes.push(match queued {
                Ok(answer) => {
                    let answer = self.client.wait_for(context, answer).await;
                    self.outcome(answer.and_then(iterations_outcome))?
                }
                Err(known) => known,
            });
        }
        Ok(outcomes)
    }

    /// What of a request is to be logged: of a completion the samples that are waited for. This copy must be the primary
    /// before and after it has looked, else others may know more.
    fn needed(&self, request: Request) -> Result<Result<Option<Request>, Rejection>, NodeError> {
        let Request::Complete { iteration, indices } = request else { return Ok(Ok(Some(request))) };
        // Before as well: what a copy shows that is about to lead is not all that it has.
        self.check_primary()?;
        let indices = self.iterations.completable(iteration, &indices);
        self.check_primary()?;
        let some =
            |indices: Vec<u64>| (!indices.is_empty()).then_some(Request::Complete { iteration, indices });
        Ok(indices.map(some))
    }

    fn outcome(&self, outcome: Result<Outcome, NodeError>) -> Result<Iterated, NodeError> {
        match outcome {
            Ok(outcome) => Ok(Ok(outcome)),
            Err(NodeError::Iteration(Rejection::Repeated { .. })) => Ok(Ok(Outcome::Count(0))),
            Err(NodeError::Iteration(rejection @ Rejection::UnderWay { .. })) => {
                Err(NodeError::NotServing { group: self.id, reason: rejection.to_string() })
            }
            Err(NodeError::Iteration(rejection)) => Ok(Err(rejection)),
            Err(other) => Err(other),
        }
    }

    /// On the calling thread: a session that asks has one of its own, which must not wait for another of its kind.
    pub(crate) fn ask_iterations(&self, question: Question) -> Result<Reply, NodeError> {
        Ok(self.iterations.answer(question)?)
    }
}
