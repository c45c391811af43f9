//! Reads that trust no clock: before it reads, the primary makes sure that there is no other.
//!
//! The other in-sync copies say that they obey its epoch still; nobody can have been acknowledged anything by a later
//! primary, because that needs one of them. Where there are none, the metadata says who leads. What is read afterwards,
//! here or at a later primary, shows everything that was acknowledged before the question.

use super::Router;
use crate::driver::{Confirmed, Event};
use crate::error::NodeError;
use crate::groups::LocalGroup;
use crate::groups::group_call::GroupAnswer;
use crate::options::CallContext;
use std::time::{Duration, Instant};

/// How long the metadata's leader is waited for in one try.
const BARRIER_MAX: Duration = Duration::from_secs(5);

impl Router {
    /// `Done` once it is sure that the copy here was the primary when this was asked, or later.
    pub(crate) async fn confirm_here(
        &self,
        context: &CallContext,
        local: &LocalGroup,
    ) -> Result<GroupAnswer, NodeError> {
        let confirmed = local.client.ask(context, |answer| Event::Confirm { answer }).await?;
        if confirmed == Confirmed::ByCopies {
            return Ok(GroupAnswer::Done);
        }
        let not_serving = |reason: String| NodeError::NotServing { group: local.id, reason };
        let left = context.deadline.saturating_duration_since(Instant::now()).min(BARRIER_MAX);
        let barrier = self.metadata.read_barrier(left).await;
        barrier.map_err(|error| {
            not_serving(format!("it is alone, and the metadata does not confirm it: {error}"))
        })?;
        let leads = self.metadata.catalogue().group(local.id).is_some_and(|info| info.primary == self.node);
        leads.then_some(GroupAnswer::Done).ok_or_else(|| not_serving("another copy leads it now".to_owned()))
    }
}
