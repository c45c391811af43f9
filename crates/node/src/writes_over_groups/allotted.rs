//! Batches without ids under a client's own name, which are given the same ids whenever they are sent again.
//!
//! The parts of such a batch are where its ids belong, and each group knows its own part only. So the ids are remembered
//! before anything is written: one group, which the name chooses, logs them under a name of their own, and answers a
//! repetition, through whichever router, with what was logged first. They are held at their groups by then, so that a
//! batch is hardly ever bound to ids that it cannot have.

use super::{ALLOTMENTS_MAX, hold, log_held, release, with_ids, write_batch};
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use crate::routing::Layout;
use lavandin_cluster::CollectionInfo;
use lavandin_shard::{BatchIds, Change, Outcome, Rejection};
use lavandin_types::RequestId;

/// Turns the name of a batch into the name of its allotment. Names are hashes, so any fixed bits do.
const ALLOTMENT: u128 = 0x616c_6c6f_746d_656e_7420_6f66_2069_6473;

impl Node {
    /// Writes a batch of `count` records that has a name and no ids.
    pub(super) async fn write_allotted(
        &self,
        context: &CallContext,
        info: &CollectionInfo,
        change: Change,
        count: u32,
    ) -> Result<Outcome, NodeError> {
        for _ in 0..ALLOTMENTS_MAX {
            let start = self.allot(context, info, u64::from(count)).await?;
            let ids = BatchIds::Range { start, count };
            let parts = self.checked_parts(info, with_ids(change.clone(), ids))?;
            let reserved = match hold(context, info.id, &parts).await {
                Err(NodeError::Rejected(Rejection::Exists(_))) => {
                    self.id_leases.forget(info.id);
                    continue;
                }
                held => held?,
            };
            let remembered = match self.remember(context, info, (start, count)).await {
                Ok(remembered) => remembered,
                Err(error) => {
                    release(context, &parts).await;
                    return Err(error);
                }
            };
            let written = if remembered == start {
                match log_held(context, info.id, &parts, reserved).await {
                    Err(NodeError::ReservationGone) => write_batch(context, info.id, &parts).await,
                    logged => logged,
                }
            } else {
                release(context, &parts).await;
                let ids = BatchIds::Range { start: remembered, count };
                self.write(context, info, with_ids(change, ids)).await
            };
            return written.map(|_| Outcome::Assigned { start: remembered, count });
        }
        Err(NodeError::Overloaded)
    }

    /// The first of the ids that the batch of this name has: `start`, unless it had others before.
    async fn remember(
        &self,
        context: &CallContext,
        info: &CollectionInfo,
        (start, count): (u64, u32),
    ) -> Result<u64, NodeError> {
        let name = context.request_id.get();
        let catalogue = self.metadata.catalogue();
        let groups = Layout::of(&catalogue, info)?.table.groups();
        let group = groups[(name % groups.len() as u128) as usize];
        let context = context.clone().with_request_id(RequestId::new(name ^ ALLOTMENT));
        let allot = Change::Allot { start, count };
        match self.group(group).change(&context, info.id, allot).await? {
            Outcome::Assigned { start, count: known } if known == count => Ok(start),
            Outcome::Assigned { count: known, .. } => Err(NodeError::Invalid(format!(
                "this idempotency key names a batch of {known} records, and this one has {count}; give each batch a key \
                 of its own"
            ))),
            Outcome::Count(_) => {
                Err(NodeError::CollectionNotFound(format!("{} (it was dropped)", info.name)))
            }
        }
    }
}
