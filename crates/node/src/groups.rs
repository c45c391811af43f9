//! Groups as callers see them: the copies on this node, and several of them asked at once.

mod ailment;
mod call_codec;
mod copy_folders;
mod group;
mod group_answers;
mod group_call;
mod group_host;
mod lease;
mod local_group;
mod local_iterations;
mod local_reads;
mod local_writes;
mod remote_calls;
mod router;
mod serving;
#[cfg(test)]
pub(crate) mod two_nodes;
mod view;

pub(crate) use ailment::Ailment;
pub(crate) use copy_folders::CopyFolders;
pub use copy_folders::CopyStore;
pub(crate) use group::{Group, brief, named};
pub(crate) use group_call::{GroupAnswer, GroupCall};
pub(crate) use group_host::{GroupHost, Part};
pub(crate) use lease::Lease;
pub(crate) use local_group::LocalGroup;
pub(crate) use local_iterations::Iterated;
pub(crate) use remote_calls::PeerCalls;
pub(crate) use router::Router;
pub(crate) use serving::{Applied, Need, Serving};
pub(crate) use view::{command_of, view_of};

use crate::error::NodeError;
use futures_util::future::try_join_all;
use std::future::Future;

/// Asks each group, all at once; the answers in their order. The first error is the answer of all.
pub(crate) async fn ask_each<T, F>(groups: &[Group], ask: impl Fn(Group) -> F) -> Result<Vec<T>, NodeError>
where
    F: Future<Output = Result<T, NodeError>>,
{
    try_join_all(groups.iter().cloned().map(ask)).await
}
