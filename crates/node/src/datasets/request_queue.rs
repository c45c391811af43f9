//! Requests of one session to its iteration's group, carried out in the order in which they were queued: the grants of
//! a rank have numbers, and one that overtakes another is refused. What comes while a call is under way goes with the next.

use crate::datasets::iteration_groups::IterationGroups;
use crate::error::NodeError;
use crate::group_client::{self, iterations_outcome};
use crate::group_state::{GroupOutcome, GroupRequest};
use lavandin_plan::iterations::{Outcome, Request};
use lavandin_types::{GroupId, RequestId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Requests that wait; beyond it callers are told to come back.
const WAITING_MAX: usize = 1024;
/// Requests of one call.
const CALL_MAX: usize = 64;

/// An answer to come.
pub(crate) enum Pending {
    Queued(oneshot::Receiver<Result<Outcome, NodeError>>),
    /// Of the group's only copy, whose thread keeps the order by itself.
    Direct(group_client::Pending<GroupOutcome>),
}

impl Pending {
    pub(crate) async fn outcome(self) -> Result<Outcome, NodeError> {
        match self {
            Self::Queued(answer) => answer.await.unwrap_or(Err(NodeError::Stopping)),
            Self::Direct(answer) => iterations_outcome(answer.await.unwrap_or(Err(NodeError::Stopping))?),
        }
    }
}

type Answer = oneshot::Sender<Result<Outcome, NodeError>>;

pub(crate) struct RequestQueue {
    groups: Arc<IterationGroups>,
    group: GroupId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Request, Answer)>,
    /// A task carries them out.
    running: bool,
}

impl RequestQueue {
    pub(crate) fn new(groups: Arc<IterationGroups>, group: GroupId) -> Arc<Self> {
        Arc::new(Self { groups, group, state: Mutex::default() })
    }

    pub(crate) fn send(self: &Arc<Self>, request: Request) -> Result<Pending, NodeError> {
        let state = self.lock();
        if state.waiting.len() >= WAITING_MAX {
            return Err(NodeError::Overloaded);
        }
        if let Some(client) = self.groups.only_copy(self.group).filter(|_| !state.running) {
            let answer = client.send_request(RequestId::NONE, GroupRequest::Iterations(request))?;
            return Ok(Pending::Direct(answer));
        }
        drop(state);
        Ok(self.send_always(request))
    }

    /// For what must not be left out, and of which there is little.
    pub(crate) fn send_always(self: &Arc<Self>, request: Request) -> Pending {
        let (answer, pending) = oneshot::channel();
        let mut state = self.lock();
        state.waiting.push_back((request, answer));
        if !std::mem::replace(&mut state.running, true) {
            let queue = Arc::clone(self);
            self.groups.handle().spawn(async move { queue.run().await });
        }
        Pending::Queued(pending)
    }

    async fn run(&self) {
        while let Some((requests, answers)) = self.take() {
            match self.groups.propose_all(&self.groups.context(), self.group, requests).await {
                Ok(outcomes) => {
                    for (outcome, answer) in outcomes.into_iter().zip(answers) {
                        drop(answer.send(outcome.map_err(NodeError::from)));
                    }
                }
                Err(error) => answers.into_iter().for_each(|answer| drop(answer.send(Err(error.clone())))),
            }
        }
    }

    fn take(&self) -> Option<(Vec<Request>, Vec<Answer>)> {
        let mut state = self.lock();
        let count = state.waiting.len().min(CALL_MAX);
        if count == 0 {
            state.running = false;
            return None;
        }
        Some(state.waiting.drain(..count).unzip())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
