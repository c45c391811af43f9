//! The way to a group's copies: which one to ask, here or at another node, and when to ask again.
//!
//! 1. The primary is looked up in the catalogue for each try. Here its copy is asked directly; elsewhere by one call.
//! 2. What surely was not done is tried again after a pause, at once when the catalogue changes, for `PERSISTENCE` or until the
//!    deadline.
//! 3. What may have been done is tried again too: reads change nothing, writes are done once under their request id.
//!    A question that cannot be repeated is answered with `OutcomeUnknown`.
//! 4. Who else may answer a read is the caller's choice (`copies`): usually in-sync copies that show every write which was
//!    acknowledged through this router, and through others until a moment ago, once the primary has not answered for a while.
//!
//! Deliberately absent: which group has what (`routing`), what a batch over several groups needs
//! (`writes_over_groups`).

mod confirmation;
mod copies;

use crate::error::NodeError;
use crate::groups::call_codec::{Header, decode_answer, encode_call};
use crate::groups::group_call::{GroupAnswer, GroupCall};
use crate::groups::remote_calls::RemoteCalls;
use crate::groups::{Applied, GroupHost, LocalGroup, Need};
use crate::options::CallContext;
use crate::reading::Consistency;
use futures_util::future::BoxFuture;
use futures_util::future::{Either, select};
use lavandin_cluster::GroupInfo;
use lavandin_consensus::Metadata;
use lavandin_group::GroupError;
use lavandin_peer::{CallError, MESSAGE_BYTES_MAX};
use lavandin_types::{ErrorCode, GroupId, NodeId, PrimaryEpoch};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// Pauses between tries, from the first to those after the fourth.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// How long a group is asked again and again that does not serve: longer than another primary takes to be found.
const PERSISTENCE: Duration = Duration::from_secs(15);

pub(crate) struct Router {
    pub(crate) node: NodeId,
    pub(crate) metadata: Metadata,
    pub(crate) host: Arc<GroupHost>,
    remote: Arc<dyn RemoteCalls>,
    started: Instant,
    /// By group how far its log was, at its primary, when it answered a write of this router.
    written: Mutex<BTreeMap<GroupId, Applied>>,
    /// Copies that the hourly comparisons found wrong (`verifying`).
    pub(crate) divergences: AtomicU64,
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
        let (started, written) = (Instant::now(), Mutex::default());
        Self { node, metadata, host, remote, started, written, divergences: AtomicU64::new(0) }
    }

    /// Asks until there is an answer, or the deadline has passed.
    pub(crate) fn call<'a>(
        &'a self,
        context: &'a CallContext,
        group: GroupId,
        call: GroupCall,
    ) -> BoxFuture<'a, Result<GroupAnswer, NodeError>> {
        Box::pin(async move {
            let (is_read, reading) = (call.is_read(), &context.reading);
            let linearizable = is_read && *reading.consistency() == Consistency::Linearizable;
            if let Some(local) = self.only_copy(group).filter(|_| !linearizable) {
                // There is nobody else to turn to, so nothing is kept for another try.
                let answer = local.execute(context, &self.metadata.catalogue(), call).await?;
                self.note(context, group, (is_read, local.serving.applied_record()));
                return if is_read { local.check_primary().map(|()| answer) } else { Ok(answer) };
            }
            context.check()?;
            if linearizable {
                self.persist(context, group, &GroupCall::Confirm, || ()).await?;
            }
            if !is_read || linearizable || *reading.consistency() == Consistency::Primary {
                return self.persist(context, group, &call, || ()).await;
            }
            if let Some(answer) = self.ask_own_copy(context, group, &call).await {
                return answer;
            }
            let refused = AtomicBool::new(false);
            let persisting = self.persist(context, group, &call, || refused.store(true, Ordering::Relaxed));
            match select(pin!(persisting), pin!(self.ask_other_copies(context, group, &call, &refused))).await
            {
                Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
            }
        })
    }

    /// One try at the present primary.
    pub(crate) fn try_once<'a>(
        &'a self,
        context: &'a CallContext,
        group: GroupId,
        call: &'a GroupCall,
    ) -> BoxFuture<'a, Result<GroupAnswer, NodeError>> {
        Box::pin(async move {
            let asked = self.ask_primary(context, group, call).await;
            asked.map_err(|failure| failure.into_error(context, group))
        })
    }

    /// Whether the group has no copy but one here.
    pub(crate) fn is_alone(&self, group: GroupId) -> bool {
        self.metadata.catalogue().group(group).is_some_and(|info| info.members == [self.node])
    }

    /// The copy here, where the group has no other and it serves.
    pub(crate) fn only_copy(&self, group: GroupId) -> Option<Arc<LocalGroup>> {
        let local = self.host.get(group).filter(|_| self.is_alone(group))?;
        local.check_primary().is_ok().then_some(local)
    }

    /// Asks the primary until there is an answer; each time that it surely did nothing, `refused` is called.
    async fn persist(
        &self,
        context: &CallContext,
        group: GroupId,
        call: &GroupCall,
        refused: impl Fn(),
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
                Err(Failure::NotDone(reason)) => {
                    refused();
                    reason
                }
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
                return Err(match maybe_done && call.is_change() {
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
            self.ask_here(context, info, call).await?
        } else {
            let header = self.header(context, info, None);
            let asked = self.ask_there(context, info.primary, &header, call);
            let another_reign = self.changed(info, |info| (info.primary, info.epoch));
            match select(pin!(asked), pin!(another_reign)).await {
                Either::Left((answered, _)) => answered?,
                Either::Right(((), _)) => {
                    return Err(Failure::Unknown("another primary was chosen meanwhile".to_owned()));
                }
            }
        };
        self.note(context, group, (call.is_read(), applied));
        Ok(answer)
    }

    /// How far a group's log was when its primary answered.
    fn note(&self, context: &CallContext, group: GroupId, (is_read, applied): (bool, Applied)) {
        if !is_read {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = written.entry(group).or_default();
            *seen = applied.max(*seen);
        }
        context.reading.saw(group, applied.sequence);
    }

    async fn ask_here(
        &self,
        context: &CallContext,
        info: &GroupInfo,
        call: &GroupCall,
    ) -> Result<(Applied, GroupAnswer), Failure> {
        let local = self.host.get(info.id).ok_or_else(|| not_done("its copy on this node is not open"))?;
        if call.is_read() {
            // What a copy shows that is about to lead is not all that it has.
            local.check_primary().map_err(Failure::of)?;
        }
        let answer = match call {
            GroupCall::Confirm => self.confirm_here(context, &local).await,
            call => local.execute(context, &self.metadata.catalogue(), call.clone()).await,
        };
        let answer = answer.map_err(Failure::of)?;
        if call.is_read() {
            self.check_reign(&local, info.epoch).map_err(Failure::of)?;
        }
        Ok((local.serving.applied_record(), answer))
    }

    /// Whether what was read before this call is what the primary has. A lease is renewed once the catalogue has all that
    /// the metadata had then, and the copy may hear of it later: so the lease is looked at first.
    pub(crate) fn check_reign(&self, local: &LocalGroup, epoch: PrimaryEpoch) -> Result<(), NodeError> {
        local.check_primary()?;
        let catalogue = self.metadata.catalogue();
        let reigns = |info: &&Arc<GroupInfo>| (info.primary, info.epoch) == (self.node, epoch);
        catalogue.group(local.id).filter(reigns).map(drop).ok_or_else(|| NodeError::NotServing {
            group: local.id,
            reason: "another primary was chosen meanwhile".to_owned(),
        })
    }

    async fn ask_there(
        &self,
        context: &CallContext,
        node: NodeId,
        header: &Header,
        call: &GroupCall,
    ) -> Result<(Applied, GroupAnswer), Failure> {
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

    fn header(&self, context: &CallContext, info: &GroupInfo, need: Option<Need>) -> Header {
        Header {
            group: info.id,
            epoch: info.epoch,
            catalogue: *self.metadata.changed().borrow(),
            request_id: context.request_id,
            need,
        }
    }

    /// Ends when what `of` shows of a group is not what it shows of `info`.
    async fn changed<T: PartialEq>(&self, info: &GroupInfo, of: impl Fn(&GroupInfo) -> T) {
        let (mut changes, known) = (self.metadata.changed(), of(info));
        while self.metadata.catalogue().group(info.id).is_some_and(|now| of(now) == known) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn name_of(&self, group: GroupId) -> String {
        let catalogue = self.metadata.catalogue();
        catalogue.group(group).map_or_else(|| group.to_string(), |info| info.name.clone())
    }
}

impl Failure {
    fn into_error(self, context: &CallContext, group: GroupId) -> NodeError {
        match self {
            Self::NotDone(reason) => NodeError::NotServing { group, reason },
            Self::Final(error) => error,
            Self::Unknown(_) => NodeError::OutcomeUnknown { request_id: context.request_id },
        }
    }

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
