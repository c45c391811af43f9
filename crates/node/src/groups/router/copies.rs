//! Reads that another copy than the primary may answer.

use super::{Failure, Router, not_done};
use crate::error::NodeError;
use crate::groups::LocalGroup;
use crate::groups::group_call::{GroupAnswer, GroupCall};
use crate::options::CallContext;
use crate::reading::Consistency;
use futures_util::future::{BoxFuture, pending, select_ok};
use lavandin_cluster::{CopyState, GroupInfo};
use lavandin_types::{ErrorCode, GroupId, NodeId};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// How long a read waits for the primary alone.
pub(super) const PATIENCE: Duration = Duration::from_millis(150);

/// A copy's node, how far it had applied the log, and what it answered.
type OfCopy = (NodeId, u64, Result<GroupAnswer, NodeError>);

impl Router {
    /// What the copy here answers where the caller is content with it, though it is not the primary.
    pub(super) async fn ask_own_copy(
        &self,
        context: &CallContext,
        group: GroupId,
        call: &GroupCall,
    ) -> Option<Result<GroupAnswer, NodeError>> {
        let catalogue = self.metadata.catalogue();
        let info = catalogue.group(group)?;
        if info.primary == self.node || info.state_of(self.node) != Some(CopyState::InSync) {
            return None;
        }
        let local = self.host.get(group)?;
        let suffices = |local: &LocalGroup| match context.reading.consistency() {
            Consistency::Session(_) => local.applied() >= context.reading.seen_of(group),
            Consistency::Bounded(staleness) => local.serving.heard_within(*staleness),
            Consistency::Any => true,
            Consistency::Usual | Consistency::Primary | Consistency::Linearizable => false,
        };
        if !suffices(&local) {
            return None;
        }
        let (_, applied, answer) = self.ask_copy(context, self.node, (info, 0), call).await.ok()?;
        context.reading.answered_by(self.node);
        context.reading.saw(group, applied);
        Some(answer)
    }

    /// How far another copy must have applied the log that answers in the primary's place. `None` where none may.
    fn others_need(&self, context: &CallContext, group: GroupId) -> Option<u64> {
        match context.reading.consistency() {
            Consistency::Usual => Some(self.written_to(group)),
            Consistency::Session(_) => Some(context.reading.seen_of(group)),
            Consistency::Any => Some(0),
            // How long ago another node heard of its primary is not known here.
            Consistency::Bounded(_) | Consistency::Primary | Consistency::Linearizable => None,
        }
    }

    /// One try at one copy in sync, whichever it is.
    pub(crate) async fn ask_one_copy(
        &self,
        context: &CallContext,
        node: NodeId,
        info: &GroupInfo,
        call: &GroupCall,
    ) -> Result<GroupAnswer, NodeError> {
        let asked = self.ask_copy(context, node, (info, 0), call).await;
        asked.map_err(|failure| failure.into_error(context, info.id))?.2
    }

    /// Ends with an answer only: the primary's failure is the one to tell.
    pub(super) async fn ask_other_copies(
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
            let Some(applied_min) = self.others_need(context, group) else { return pending().await };
            let others =
                info.in_sync.keys().filter(|node| **node != info.primary && self.may_stand_in(**node, group));
            let asked: Vec<BoxFuture<'_, _>> = others
                .map(|node| -> BoxFuture<'_, _> {
                    Box::pin(self.ask_copy(context, *node, (info, applied_min), call))
                })
                .collect();
            if !asked.is_empty()
                && let Ok(((node, applied, answer), _)) = select_ok(asked).await
            {
                context.reading.answered_by(node);
                context.reading.saw(group, applied);
                return answer;
            }
        }
    }

    /// Of a copy elsewhere its own node decides.
    fn may_stand_in(&self, node: NodeId, group: GroupId) -> bool {
        node != self.node || self.host.get(group).is_some_and(|local| local.serving.may_stand_in())
    }

    /// What a copy that need not be the primary answers; errors that any copy would answer with are answers.
    async fn ask_copy(
        &self,
        context: &CallContext,
        node: NodeId,
        (info, applied_min): (&GroupInfo, u64),
        call: &GroupCall,
    ) -> Result<OfCopy, Failure> {
        let answered = if node == self.node {
            let local = self.host.get(info.id).filter(|local| local.applied() >= applied_min);
            let local: Arc<LocalGroup> = local.ok_or_else(|| not_done("its copy on this node is behind"))?;
            let answer = local.execute(context, &self.metadata.catalogue(), call.clone()).await;
            answer.map(|answer| (local.applied(), answer)).map_err(Failure::of)
        } else {
            let header = self.header(context, info, Some(applied_min));
            self.ask_there(context, node, &header, call).await
        };
        match answered {
            Ok((applied, answer)) => Ok((node, applied, Ok(answer))),
            Err(Failure::Final(error)) if error.code() == ErrorCode::InvalidArgument => {
                Ok((node, 0, Err(error)))
            }
            Err(failure) => Err(failure),
        }
    }

    fn written_to(&self, group: GroupId) -> u64 {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(&group).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
