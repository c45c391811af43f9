//! The way to a group's copies: which one to ask, here or at another node, and when to ask again.
//!
//! 1. The primary is looked up in the catalogue for each try. Here its copy is asked directly; elsewhere by one call.
//! 2. What surely was not done is tried again after a pause, at once when the catalogue changes, for `PERSISTENCE` or until the
//!    deadline.
//! 3. What may have been done is tried again too: reads change nothing, writes are done once under their request id.
//!    A question that cannot be repeated is answered with `OutcomeUnknown`.
//! 4. A read that the primary has not answered for a while is put to the other in-sync copies as well. They answer if
//!    they show every write that was acknowledged through this router.
//!
//! Deliberately absent: which group has what (`routing`), what a batch over several groups needs
//! (`writes_over_groups`).

use crate::error::NodeError;
use crate::groups::call_codec::{Header, decode_answer, encode_call};
use crate::groups::group_call::{GroupAnswer, GroupCall};
use crate::groups::remote_calls::RemoteCalls;
use crate::groups::{GroupHost, LocalGroup};
use crate::options::CallContext;
use futures_util::future::{BoxFuture, Either, select, select_ok};
use lavandin_cluster::GroupInfo;
use lavandin_consensus::Metadata;
use lavandin_group::GroupError;
use lavandin_peer::{CallError, MESSAGE_BYTES_MAX};
use lavandin_types::{ErrorCode, GroupId, NodeId};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout_at};

/// Pauses between tries, from the first to those after the fourth.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// How long a group is asked again and again that does not serve: longer than another primary takes to be found.
const PERSISTENCE: Duration = Duration::from_secs(15);
/// How long a read waits for the primary alone.
const PATIENCE: Duration = Duration::from_millis(150);

pub(crate) struct Router {
    pub(crate) node: NodeId,
    pub(crate) metadata: Metadata,
    pub(crate) host: Arc<GroupHost>,
    remote: Arc<dyn RemoteCalls>,
    /// By group how far its log was, at its primary, when it answered a write of this router.
    written: Mutex<BTreeMap<GroupId, u64>>,
}

/// Why a try came to nothing.
enum Failure {
    /// Nothing was done.
    NotDone(String),
    /// It may have been done, or may still be.
    Unknown(String),
    /// The answer.
    Final(NodeError),
}

impl Router {
    pub(crate) fn new(
        node: NodeId,
        metadata: Metadata,
        host: Arc<GroupHost>,
        remote: Arc<dyn RemoteCalls>,
    ) -> Self {
        Self { node, metadata, host, remote, written: Mutex::default() }
    }

    /// Asks until there is an answer, or the deadline has passed.
    pub(crate) async fn call(
        &self,
        context: &CallContext,
        group: GroupId,
        call: GroupCall,
    ) -> Result<GroupAnswer, NodeError> {
        if let Some(local) = self.only_copy(group) {
            // There is nobody else to turn to, so nothing is kept for another try.
            let is_read = call.is_read();
            let answer = local.execute(context, &self.metadata.catalogue(), call).await?;
            return if is_read { local.check_primary().map(|()| answer) } else { Ok(answer) };
        }
        context.check()?;
        let persisting = pin!(self.persist(context, group, &call));
        if !call.is_read() {
            return persisting.await;
        }
        match select(persisting, pin!(self.ask_other_copies(context, group, &call))).await {
            Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
        }
    }

    /// One try at the present primary.
    pub(crate) async fn try_once(
        &self,
        context: &CallContext,
        group: GroupId,
        call: &GroupCall,
    ) -> Result<GroupAnswer, NodeError> {
        self.ask_primary(context, group, call).await.map_err(|failure| match failure {
            Failure::NotDone(reason) => NodeError::NotServing { group, reason },
            Failure::Final(error) => error,
            Failure::Unknown(_) => NodeError::OutcomeUnknown { request_id: context.request_id },
        })
    }

    /// Whether the group has no copy but one here.
    pub(crate) fn is_alone(&self, group: GroupId) -> bool {
        self.metadata.catalogue().group(group).is_some_and(|info| info.members == [self.node])
    }

    /// The copy here, where the group has no other and it serves.
    fn only_copy(&self, group: GroupId) -> Option<Arc<LocalGroup>> {
        let local = self.host.get(group).filter(|_| self.is_alone(group))?;
        local.check_primary().is_ok().then_some(local)
    }

    async fn persist(
        &self,
        context: &CallContext,
        group: GroupId,
        call: &GroupCall,
    ) -> Result<GroupAnswer, NodeError> {
        let mut changes = self.metadata.changed();
        let until = context.deadline.min(Instant::now() + PERSISTENCE);
        let mut pause = PAUSE_MIN;
        let mut maybe_done = false;
        loop {
            changes.mark_unchanged();
            let reason = match self.ask_primary(context, group, call).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::NotDone(reason)) => reason,
                Err(Failure::Unknown(_)) if !call.may_repeat() => {
                    return Err(NodeError::OutcomeUnknown { request_id: context.request_id });
                }
                Err(Failure::Unknown(reason)) => {
                    maybe_done = true;
                    reason
                }
            };
            let again = Instant::now() + pause;
            let is_over = again >= until
                // The metadata has stopped.
                || matches!(timeout_at(again.into(), changes.changed()).await, Ok(Err(_)));
            if is_over {
                return Err(match maybe_done && matches!(call, GroupCall::Change { .. }) {
                    true => NodeError::OutcomeUnknown { request_id: context.request_id },
                    false => NodeError::Unreachable { group: self.name_of(group), reason },
                });
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn ask_primary(
        &self,
        context: &CallContext,
        group: GroupId,
        call: &GroupCall,
    ) -> Result<GroupAnswer, Failure> {
        let catalogue = self.metadata.catalogue();
        let Some(info) = catalogue.group(group) else {
            return Err(not_done("the catalogue of this node does not have it yet"));
        };
        let (applied, answer) = if info.primary == self.node {
            self.ask_here(context, group, call).await?
        } else {
            let header = self.header(context, info, None);
            let asked = self.ask_there(context, info.primary, &header, call);
            match select(pin!(asked), pin!(self.another_reign(info))).await {
                Either::Left((answered, _)) => answered?,
                Either::Right(((), _)) => {
                    return Err(Failure::Unknown("another primary was chosen meanwhile".to_owned()));
                }
            }
        };
        if !call.is_read() {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = written.entry(group).or_default();
            *seen = applied.max(*seen);
        }
        Ok(answer)
    }

    async fn ask_here(
        &self,
        context: &CallContext,
        group: GroupId,
        call: &GroupCall,
    ) -> Result<(u64, GroupAnswer), Failure> {
        let local = self.host.get(group).ok_or_else(|| not_done("its copy on this node is not open"))?;
        let answer = local.execute(context, &self.metadata.catalogue(), call.clone()).await;
        let answer = answer.map_err(Failure::of)?;
        if call.is_read() {
            local.check_primary().map_err(Failure::of)?;
        }
        Ok((local.applied(), answer))
    }

    async fn ask_there(
        &self,
        context: &CallContext,
        node: NodeId,
        header: &Header,
        call: &GroupCall,
    ) -> Result<(u64, GroupAnswer), Failure> {
        let payload = encode_call(header, call);
        if payload.len() > MESSAGE_BYTES_MAX {
            return Err(Failure::Final(NodeError::Remote {
                code: ErrorCode::PayloadTooLarge,
                message: format!(
                    "Invalid argument: the request takes {} bytes between two nodes; the limit is {MESSAGE_BYTES_MAX}, \
                     so split it",
                    payload.len()
                ),
                filter_position: None,
            }));
        }
        let answer = self.remote.call(node, payload, context.deadline).await.map_err(|error| {
            let reason = format!("node {node}: {error}");
            match error {
                CallError::Unknown(_) => Failure::Unknown(reason),
                CallError::Status(status) if status.code != ErrorCode::Unavailable => {
                    let (code, message) = (status.code, status.message);
                    Failure::Final(NodeError::Remote { code, message, filter_position: None })
                }
                CallError::NotSent(_) | CallError::Status(_) => Failure::NotDone(reason),
            }
        })?;
        let malformed =
            "another node answered what this version does not understand; upgrade the older of the two";
        let answered = decode_answer(&answer).ok_or(Failure::Final(NodeError::Internal(malformed)))?;
        Ok((answered.applied, answered.answer.map_err(Failure::of)?))
    }

    fn header(&self, context: &CallContext, info: &GroupInfo, applied_min: Option<u64>) -> Header {
        Header {
            group: info.id,
            epoch: info.epoch,
            catalogue: *self.metadata.changed().borrow(),
            request_id: context.request_id,
            applied_min,
        }
    }

    /// Ends when the group is led by another node, or by the same anew.
    async fn another_reign(&self, info: &GroupInfo) {
        let mut changes = self.metadata.changed();
        let reigns = |now: &GroupInfo| (now.primary, now.epoch) == (info.primary, info.epoch);
        while self.metadata.catalogue().group(info.id).is_some_and(|now| reigns(now)) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Ends with an answer only: the primary's failure is the one to tell.
    async fn ask_other_copies(
        &self,
        context: &CallContext,
        group: GroupId,
        call: &GroupCall,
    ) -> Result<GroupAnswer, NodeError> {
        loop {
            sleep(PATIENCE).await;
            let catalogue = self.metadata.catalogue();
            let Some(info) = catalogue.group(group) else { continue };
            if info.primary == self.node
                && self.host.get(group).is_some_and(|one| one.check_primary().is_ok())
            {
                // It is at work; a second copy would do the same work again.
                continue;
            }
            let applied_min = self.written_to(group);
            let others = info.in_sync.keys().filter(|node| **node != info.primary);
            let asked: Vec<BoxFuture<'_, _>> = others
                .map(|node| -> BoxFuture<'_, _> {
                    Box::pin(self.ask_copy(context, *node, (info, applied_min), call))
                })
                .collect();
            if !asked.is_empty()
                && let Ok((answer, _)) = select_ok(asked).await
            {
                return answer;
            }
        }
    }

    /// What a copy that need not be the primary answers; errors that any copy would answer with are answers.
    async fn ask_copy(
        &self,
        context: &CallContext,
        node: NodeId,
        (info, applied_min): (&GroupInfo, u64),
        call: &GroupCall,
    ) -> Result<Result<GroupAnswer, NodeError>, Failure> {
        let answered = if node == self.node {
            let local = self.host.get(info.id).filter(|local| local.applied() >= applied_min);
            let local = local.ok_or_else(|| not_done("its copy on this node is behind"))?;
            let answer = local.execute(context, &self.metadata.catalogue(), call.clone()).await;
            answer.map_err(Failure::of)
        } else {
            let header = self.header(context, info, Some(applied_min));
            self.ask_there(context, node, &header, call).await.map(|(_, answer)| answer)
        };
        match answered {
            Ok(answer) => Ok(Ok(answer)),
            Err(Failure::Final(error)) if error.code() == ErrorCode::InvalidArgument => Ok(Err(error)),
            Err(failure) => Err(failure),
        }
    }

    fn written_to(&self, group: GroupId) -> u64 {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(&group).copied().unwrap_or(0)
    }

    pub(crate) fn name_of(&self, group: GroupId) -> String {
        let catalogue = self.metadata.catalogue();
        catalogue.group(group).map_or_else(|| group.to_string(), |info| info.name.clone())
    }
}

impl Failure {
    fn of(error: NodeError) -> Self {
        match error {
            NodeError::NotServing { reason, .. } => Self::NotDone(reason),
            NodeError::Group(GroupError::NotPrimary { .. }) => Self::NotDone(error.to_string()),
            NodeError::OutcomeUnknown { .. } => Self::Unknown(error.to_string()),
            other => Self::Final(other),
        }
    }
}

fn not_done(reason: &str) -> Failure {
    Failure::NotDone(reason.to_owned())
}

#[cfg(test)]
mod tests;
