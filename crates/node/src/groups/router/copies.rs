//! Reads that another copy than the primary may answer.

use super::{Failure, Router, not_done};
use crate::driver::News;
use crate::error::NodeError;
use crate::groups::group_call::{GroupAnswer, GroupCall};
use crate::groups::{Applied, LocalGroup, Need};
use crate::options::CallContext;
use crate::reading::Consistency;
use futures_util::future::{BoxFuture, Either, pending, select, select_ok};
use lavandin_cluster::{CopyState, GroupInfo};
use lavandin_types::{ErrorCode, GroupId, NodeId, PrimaryEpoch, SequenceNumber};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// How long a read waits for the primary alone.
pub(super) const PATIENCE: Duration = Duration::from_millis(150);
/// How old, at most, is what a usual read is answered: longer than another primary takes to be found.
pub(super) const AGE_MAX: Duration = Duration::from_secs(8);

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
        let is_usual = *context.reading.consistency() == Consistency::Usual;
        let need = self.others_need(context, group).filter(|_| !is_usual)?;
        if !self.host.get(group)?.serving.meets(need) {
            return None;
        }
        let (_, applied, answer) =
            self.ask_copy(context, self.node, (info, Need::default()), call).await.ok()?;
        context.reading.answered_by(self.node);
        context.reading.saw(group, applied);
        Some(answer)
    }

    /// What another copy must show that answers in the primary's place. `None` where none may.
    fn others_need(&self, context: &CallContext, group: GroupId) -> Option<Need> {
        let in_ms = |age: Duration| Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        match context.reading.consistency() {
            Consistency::Usual => Some(Need {
                applied_min: self.written_to(group),
                // What an earlier process of this node saw acknowledged is not known: it was before this one began.
                age_ms_max: in_ms(AGE_MAX.min(self.started.elapsed())),
            }),
            Consistency::Session(_) => {
                let (sequence, epoch) = (context.reading.seen_of(group), PrimaryEpoch::ZERO);
                Some(Need { applied_min: Applied { sequence, epoch }, age_ms_max: None })
            }
            Consistency::Bounded(age) => Some(Need { age_ms_max: in_ms(*age), ..Need::default() }),
            Consistency::Any => Some(Need::default()),
            Consistency::Primary | Consistency::Linearizable => None,
        }
    }

    /// Whether the copy here may answer in the primary's place, by now or after a moment.
    pub(crate) async fn stand_in(&self, local: &LocalGroup, need: Need) -> Result<(), NodeError> {
        let Applied { sequence, epoch } = need.applied_min;
        if epoch != PrimaryEpoch::ZERO && local.applied() < sequence {
            local.take_message(News::Acknowledged { epoch, sequence: SequenceNumber::new(sequence) });
        }
        if need.age_ms_max.is_some() {
            local.serving.catch_up(sequence).await;
        }
        let catalogue = self.metadata.catalogue();
        let state = catalogue.group(local.id).and_then(|info| info.state_of(self.node));
        let reason = match state == Some(CopyState::InSync) {
            true if local.serving.meets(need) => return Ok(()),
            true => "its copy is behind",
            false => "its copy is not in sync, as far as its node knows",
        };
        Err(NodeError::NotServing { group: local.id, reason: reason.to_owned() })
    }

    /// One try at one copy in sync, whichever it is.
    pub(crate) fn ask_one_copy<'a>(
        &'a self,
        context: &'a CallContext,
        node: NodeId,
        info: &'a GroupInfo,
        call: &'a GroupCall,
    ) -> BoxFuture<'a, Result<GroupAnswer, NodeError>> {
        Box::pin(async move {
            let asked = self.ask_copy(context, node, (info, Need::default()), call).await;
            asked.map_err(|failure| failure.into_error(context, info.id))?.2
        })
    }

    /// Ends with an answer only: the primary's failure is the one to tell. A primary that refuses to answer as such, because
    /// its lease is over, is a copy like the others.
    pub(super) async fn ask_other_copies(
        &self,
        context: &CallContext,
        group: GroupId,
        call: &GroupCall,
        primary_refused: &AtomicBool,
    ) -> Result<GroupAnswer, NodeError> {
        let mut pause = PATIENCE;
        loop {
            sleep(pause).await;
            pause = PATIENCE;
            let catalogue = self.metadata.catalogue();
            let Some(info) = catalogue.group(group) else { continue };
            if info.primary == self.node
                && self.host.get(group).is_some_and(|one| one.check_primary().is_ok())
            {
                // It is at work; a second copy would do the same work again.
                continue;
            }
            let Some(need) = self.others_need(context, group) else { return pending().await };
            let refused = primary_refused.load(Ordering::Relaxed);
            let copies = info.in_sync.keys().filter(|node| refused || **node != info.primary);
            let asked: Vec<BoxFuture<'_, _>> = copies
                .map(|node| -> BoxFuture<'_, _> {
                    Box::pin(self.ask_copy(context, *node, (info, need), call))
                })
                .collect();
            if asked.is_empty() {
                continue;
            }
            // Who was asked may be the one that has died, as this node learns a moment later.
            let others_change = pin!(self.changed(info, |info| (info.primary, info.in_sync.clone())));
            match select(select_ok(asked), others_change).await {
                Either::Left((Ok(((node, applied, answer), _)), _)) => {
                    context.reading.answered_by(node);
                    context.reading.saw(group, applied);
                    return answer;
                }
                Either::Left((Err(_), _)) => {}
                Either::Right(_) => pause = Duration::ZERO,
            }
        }
    }

    /// What a copy that need not be the primary answers; errors that any copy would answer with are answers.
    async fn ask_copy(
        &self,
        context: &CallContext,
        node: NodeId,
        (info, need): (&GroupInfo, Need),
        call: &GroupCall,
    ) -> Result<OfCopy, Failure> {
        let answered = if node == self.node {
            let local = self.host.get(info.id);
            let local: Arc<LocalGroup> =
                local.ok_or_else(|| not_done("its copy on this node is not open"))?;
            self.stand_in(&local, need).await.map_err(Failure::of)?;
            let answer = local.execute(context, &self.metadata.catalogue(), call.clone()).await;
            answer.map(|answer| (local.applied(), answer)).map_err(Failure::of)
        } else {
            let header = self.header(context, info, Some(need));
            let asked = self.ask_there(context, node, &header, call).await;
            asked.map(|(applied, answer)| (applied.sequence, answer))
        };
        match answered {
            Ok((applied, answer)) => Ok((node, applied, Ok(answer))),
            Err(Failure::Final(error)) if error.code() == ErrorCode::InvalidArgument => {
                Ok((node, 0, Err(error)))
            }
            Err(failure) => Err(failure),
        }
    }

    fn written_to(&self, group: GroupId) -> Applied {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(&group).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
