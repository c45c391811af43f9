//! Groups as callers see them: the copies on this node, and several of them asked at once.

mod group_host;
mod local_group;
mod local_reads;
mod local_writes;

pub(crate) use group_host::GroupHost;
pub(crate) use local_group::LocalGroup;

use crate::error::NodeError;
use futures_util::future::try_join_all;
use std::future::Future;
use std::sync::Arc;

/// Asks each group, all at once; the answers in their order. The first error is the answer of all.
pub(crate) async fn ask_each<T, F>(
    groups: &[Arc<LocalGroup>],
    ask: impl Fn(Arc<LocalGroup>) -> F,
) -> Result<Vec<T>, NodeError>
where
    F: Future<Output = Result<T, NodeError>>,
{
    try_join_all(groups.iter().map(|group| ask(Arc::clone(group)))).await
}
