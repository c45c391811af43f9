//! Which iteration a rank joins, if any.
//!
//! All ranks of a job ask for an iteration with the same configuration; the first one makes it and the others join it.
//! The next epoch asks with the same configuration too, and so does a rank that was restarted, or a client that retries:
//! each of these gets a new one. What tells them apart is the time since creation and who has joined.

use crate::iterations::request::Join;
use lavandin_types::IterationId;

/// An iteration with the wanted configuration, as the asking rank sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub id: IterationId,
    pub created_ms: u64,
    /// It is finished, and nothing is left that this rank could still be given.
    pub over: bool,
    /// A rank was granted a batch.
    pub begun: bool,
    /// The asking rank has joined it.
    pub joined: bool,
    /// How many ranks have joined it.
    pub ranks: usize,
}

/// Of those that can be joined the oldest that has begun: that is where the others are. Else the newest: an older one
/// was left behind by a creation that was retried.
pub(crate) fn choose(candidates: &[Candidate], join: &Join, now_ms: u64) -> Option<IterationId> {
    let can_join = |candidate: &&Candidate| {
        let is_full = join.world_size.is_some_and(|size| candidate.ranks >= size as usize);
        now_ms.saturating_sub(candidate.created_ms) < join.threshold_ms
            && !candidate.over
            && !candidate.joined
            && !is_full
    };
    let age = |candidate: &&Candidate| (candidate.created_ms, candidate.id);
    let open = || candidates.iter().filter(can_join);
    let begun = open().filter(|candidate| candidate.begun).min_by_key(age);
    begun.or_else(|| open().max_by_key(age)).map(|candidate| candidate.id)
}
