//! The way to the iterations: each lives in its dataset's group, wherever that is led.
//!
//! Which group has an iteration is found by asking those that have any, and remembered: an iteration never moves.

use crate::error::NodeError;
use crate::group_client::GroupClient;
use crate::groups::{GroupAnswer, GroupCall, Iterated, Router};
use crate::identity;
use crate::options::CallContext;
use crate::reading::{Consistency, Reading};
use futures_util::future::join_all;
use lavandin_plan::iterations::{
    Found, IterationInfo, Look, Outcome, Outline, Progress, Question, RankStatus, Rejection, Reply, Request,
};
use lavandin_types::{DatasetId, GroupId, IterationId, RequestId};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Iterations whose groups are remembered; all are forgotten beyond.
const HOMES_MAX: usize = 100_000;
/// How long the metadata's leader is waited for before an iteration counts as unknown.
const BARRIER_MAX: Duration = Duration::from_secs(2);
const OTHER_ANSWER: NodeError = NodeError::Internal("a group answered another question");

pub(crate) struct IterationGroups {
    router: Arc<Router>,
    handle: Handle,
    /// How long what no client waits for may take.
    patience: Duration,
    is_member: bool,
    homes: Mutex<HashMap<IterationId, GroupId>>,
    /// The node goes: nothing is waited for any more.
    stopping: watch::Sender<bool>,
}

/// Takes a reply out of the variant that it must have.
macro_rules! told {
    ($reply:expr, $answer:pat => $value:expr) => {
        match $reply? {
            $answer => Ok($value),
            _ => Err(OTHER_ANSWER),
        }
    };
}

impl IterationGroups {
    /// `is_member` of a node that belongs to a cluster, or waits for one.
    pub(crate) fn new(router: Arc<Router>, handle: Handle, patience: Duration, is_member: bool) -> Self {
        let stopping = watch::Sender::new(false);
        Self { router, handle, patience, is_member, homes: Mutex::default(), stopping }
    }

    /// Ends what is under way, and refuses what comes.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    async fn call(
        &self,
        context: &CallContext,
        group: GroupId,
        call: GroupCall,
    ) -> Result<GroupAnswer, NodeError> {
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => Err(NodeError::Stopping),
            answer = self.router.call(context, group, call) => answer,
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The way to the thread of the group's copy, where that is here and there is no other.
    pub(crate) fn only_copy(&self, group: GroupId) -> Option<GroupClient> {
        self.router.only_copy(group).map(|copy| copy.client.clone())
    }

    /// For what no client waits for.
    pub(crate) fn context(&self) -> CallContext {
        CallContext::new(self.patience)
    }

    pub(crate) async fn info(
        &self,
        context: &CallContext,
        iteration: IterationId,
    ) -> Result<IterationInfo, NodeError> {
        told!(self.ask_about(context, iteration, Question::Info(iteration)).await, Reply::Info(info) => info)
    }

    pub(crate) async fn outline(
        &self,
        context: &CallContext,
        iteration: IterationId,
    ) -> Result<Arc<Outline>, NodeError> {
        let reply = self.ask_about(context, iteration, Question::Outline(iteration)).await;
        told!(reply, Reply::Outline(outline) => outline)
    }

    pub(crate) async fn progress(
        &self,
        context: &CallContext,
        iteration: IterationId,
    ) -> Result<Progress, NodeError> {
        let reply = self.ask_about(context, iteration, Question::Progress(iteration)).await;
        told!(reply, Reply::Progress(progress) => progress)
    }

    /// All iterations of a group, or those of a dataset in it; newest first.
    pub(crate) async fn list(
        &self,
        context: &CallContext,
        group: GroupId,
        dataset: Option<DatasetId>,
    ) -> Result<Vec<IterationInfo>, NodeError> {
        told!(self.ask(context, group, Question::List(dataset)).await, Reply::List(infos) => infos)
    }

    /// All iterations; newest first.
    pub(crate) async fn list_all(&self, context: &CallContext) -> Result<Vec<IterationInfo>, NodeError> {
        let groups = self.groups();
        let lists = join_all(groups.iter().map(|group| self.list(context, *group, None))).await;
        let mut all: Vec<IterationInfo> = lists.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        all.sort_by_key(|info| std::cmp::Reverse((info.created_ms, info.id)));
        Ok(all)
    }

    pub(crate) async fn rank(
        &self,
        context: &CallContext,
        iteration: IterationId,
        rank: u32,
    ) -> Result<RankStatus, NodeError> {
        let reply = self.ask_about(context, iteration, Question::Rank { iteration, rank }).await;
        told!(reply, Reply::Rank(status) => status)
    }

    pub(crate) async fn look(&self, context: &CallContext, look: Look) -> Result<Found, NodeError> {
        let reply = self.ask_about(context, look.iteration, Question::Look(look)).await;
        told!(reply, Reply::Found(found) => found)
    }

    /// How many ranks have come so far. From a thread that may block, as what follows.
    pub(crate) fn rank_count_blocking(&self, iteration: IterationId) -> Result<u64, NodeError> {
        let context = self.context();
        let asked = self.ask_about(&context, iteration, Question::RankCount(iteration));
        told!(self.handle.block_on(asked), Reply::RankCount(count) => count)
    }

    pub(crate) fn look_blocking(&self, look: Look) -> Result<Found, NodeError> {
        self.handle.block_on(self.look(&self.context(), look))
    }

    pub(crate) fn propose_blocking(
        &self,
        iteration: IterationId,
        request: Request,
    ) -> Result<Outcome, NodeError> {
        let context = self.context();
        self.handle.block_on(async {
            let group = self.home(&context, iteration).await?;
            self.propose(&context, group, request).await
        })
    }

    /// Changes iterations; durable on return. It is done once whoever has to try again, or says that nobody knows.
    pub(crate) async fn propose(
        &self,
        context: &CallContext,
        group: GroupId,
        request: Request,
    ) -> Result<Outcome, NodeError> {
        // The others tell by themselves whether they were carried out before.
        let is_repeatable = !matches!(request, Request::Create(_) | Request::Pushback { .. });
        let named = match context.request_id.is_none() && !is_repeatable && !self.router.is_alone(group) {
            true => context.clone().with_request_id(RequestId::new(identity::random()?.max(1))),
            false => context.clone(),
        };
        let mut outcomes = self.propose_all(&named, group, vec![request]).await?;
        Ok(outcomes.pop().ok_or(OTHER_ANSWER)??)
    }

    /// Several, in this order.
    pub(crate) async fn propose_all(
        &self,
        context: &CallContext,
        group: GroupId,
        requests: Vec<Request>,
    ) -> Result<Vec<Iterated>, NodeError> {
        let count = requests.len();
        match self.call(context, group, GroupCall::Iterations(requests)).await? {
            GroupAnswer::Iterations(outcomes) if outcomes.len() == count => Ok(outcomes),
            _ => Err(OTHER_ANSWER),
        }
    }

    /// The group that has an iteration.
    pub(crate) async fn home(
        &self,
        context: &CallContext,
        iteration: IterationId,
    ) -> Result<GroupId, NodeError> {
        if let Some(known) = self.homes().get(&iteration) {
            return Ok(*known);
        }
        let known = self.groups();
        match self.find(context, iteration, &known).await {
            Err(NodeError::IterationNotFound(_)) => {}
            found => return found,
        }
        // A node that was just started may not know all datasets yet.
        let behind =
            || NodeError::Unavailable("this node does not know all datasets yet; try again".to_owned());
        self.router.metadata.read_barrier(BARRIER_MAX).await.map_err(|_| behind())?;
        if self.is_member && self.router.metadata.catalogue().cluster().is_none() {
            return Err(behind());
        }
        let groups = self.groups();
        match groups == known {
            true => Err(NodeError::IterationNotFound(iteration)),
            false => self.find(context, iteration, &groups).await,
        }
    }

    async fn find(
        &self,
        context: &CallContext,
        iteration: IterationId,
        groups: &BTreeSet<GroupId>,
    ) -> Result<GroupId, NodeError> {
        let asked = groups.iter().map(|group| self.ask(context, *group, Question::Info(iteration)));
        let mut unreachable = None;
        for (group, answer) in groups.iter().zip(join_all(asked).await) {
            match answer {
                Ok(_) => {
                    self.note_home(iteration, *group);
                    return Ok(*group);
                }
                Err(NodeError::Iteration(Rejection::UnknownIteration(_))) => {}
                Err(error) => unreachable = Some(error),
            }
        }
        Err(unreachable.unwrap_or(NodeError::IterationNotFound(iteration)))
    }

    pub(crate) fn note_home(&self, iteration: IterationId, group: GroupId) {
        let mut homes = self.homes();
        if homes.len() >= HOMES_MAX {
            homes.clear();
        }
        homes.insert(iteration, group);
    }

    async fn ask_about(
        &self,
        context: &CallContext,
        iteration: IterationId,
        question: Question,
    ) -> Result<Reply, NodeError> {
        let group = self.home(context, iteration).await?;
        match self.ask(context, group, question).await {
            Err(NodeError::Iteration(Rejection::UnknownIteration(id))) => {
                Err(NodeError::IterationNotFound(id))
            }
            other => other,
        }
    }

    async fn ask(
        &self,
        context: &CallContext,
        group: GroupId,
        question: Question,
    ) -> Result<Reply, NodeError> {
        // What another copy knows may be a moment old, and there would be no use in it.
        let context = context.clone().with_reading(Reading::new(Consistency::Primary));
        match self.call(&context, group, GroupCall::AskIterations(question)).await? {
            GroupAnswer::Told(reply) => Ok(*reply),
            _ => Err(OTHER_ANSWER),
        }
    }

    /// Those that have a dataset.
    fn groups(&self) -> BTreeSet<GroupId> {
        self.router.metadata.catalogue().datasets().map(|dataset| dataset.group).collect()
    }

    fn homes(&self) -> std::sync::MutexGuard<'_, HashMap<IterationId, GroupId>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
