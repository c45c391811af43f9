//! What must hold. The numbers are those of the list of invariants in docs/reliability.md.

use crate::action::Action;
use crate::config::{Config, Mistake};
use crate::state::State;
use crate::step::serves;
use std::fmt;

/// A promise of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// I1: every committed write is durable at every in-sync copy.
    DurableAtEveryCopy,
    /// I2: no two committed records share a place.
    OneRecordPerPlace,
    /// I3: epoch and version never fall, and an epoch has one primary.
    EpochsRise,
    /// I4: a copy's promise never falls on one disk, and it accepts nothing below it.
    PromisesRise,
    /// I5: what a copy knows to be committed is what was committed, and is never truncated.
    CommittedIsKept,
    /// I6: a commit point never falls while its process lives, and is never beyond what is durable.
    CommitPointsRise,
    /// I8: a primary commits nothing without a copy that metadata counts, or may be about to count. (What I8 says of
    /// leases is the model's definition of a lease.)
    CountsEveryCopy,
    /// I9: a primary that may serve a read under a lease has applied every committed write.
    LeaseReadsAreFresh,
    /// I11: only an in-sync copy is promoted.
    PromotesInSyncOnly,
    /// I13: a request is committed at most once.
    RequestsAppliedOnce,
}

impl Invariant {
    const ALL: [Self; 10] = [
        Self::DurableAtEveryCopy,
        Self::OneRecordPerPlace,
        Self::EpochsRise,
        Self::PromisesRise,
        Self::CommittedIsKept,
        Self::CommitPointsRise,
        Self::CountsEveryCopy,
        Self::LeaseReadsAreFresh,
        Self::PromotesInSyncOnly,
        Self::RequestsAppliedOnce,
    ];

    pub const fn number(self) -> u8 {
        match self {
            Self::DurableAtEveryCopy => 1,
            Self::OneRecordPerPlace => 2,
            Self::EpochsRise => 3,
            Self::PromisesRise => 4,
            Self::CommittedIsKept => 5,
            Self::CommitPointsRise => 6,
            Self::CountsEveryCopy => 8,
            Self::LeaseReadsAreFresh => 9,
            Self::PromotesInSyncOnly => 11,
            Self::RequestsAppliedOnce => 13,
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I{} ({self:?})", self.number())
    }
}

/// The first promise that a step breaks.
pub(crate) fn violation(config: &Config, before: &State, action: Action, after: &State) -> Option<Invariant> {
    let conduct = if config.outcomes_only { None } else { conduct(before, action, after) };
    conduct.or_else(|| outcome(config, after))
}

fn outcome(config: &Config, state: &State) -> Option<Invariant> {
    if state.broken > 0 {
        return Invariant::ALL.into_iter().find(|invariant| invariant.number() == state.broken);
    }
    let lease_outlives = config.makes(Mistake::LeaseOutlivesPromotion);
    for (index, node) in state.nodes.iter().enumerate() {
        if state.metadata.is_in_sync(index) && !node.disk.starts_with(&state.committed) {
            return Some(Invariant::DurableAtEveryCopy);
        }
        if node.commit > node.log.common(&state.committed) {
            return Some(Invariant::CommittedIsKept);
        }
        let lease = node.session.view.epoch == state.metadata.epoch || lease_outlives;
        if lease && serves(state, config, index) && node.commit < state.committed.last() {
            return Some(Invariant::LeaseReadsAreFresh);
        }
    }
    None
}

fn conduct(before: &State, action: Action, after: &State) -> Option<Invariant> {
    let (old, new) = (&before.metadata, &after.metadata);
    if new.epoch < old.epoch || new.version < old.version {
        return Some(Invariant::EpochsRise);
    }
    if new.primary != old.primary && !old.is_in_sync(usize::from(new.primary)) {
        return Some(Invariant::PromotesInSyncOnly);
    }
    for (index, (was, is)) in before.nodes.iter().zip(&after.nodes).enumerate() {
        let epoch = is.session.view.epoch;
        let leaders = after.nodes.iter().filter(|node| node.session.view.epoch == epoch).count();
        if epoch > 0 && leaders > 1 {
            return Some(Invariant::EpochsRise);
        }
        let replaced = matches!(action, Action::Replace { node } if usize::from(node) == index);
        if is.promised < epoch || (is.promised < was.promised && !replaced) {
            return Some(Invariant::PromisesRise);
        }
        let lives = old.incarnations[index] == new.incarnations[index];
        if is.commit > is.durable() || (lives && is.commit < was.commit) {
            return Some(Invariant::CommitPointsRise);
        }
    }
    if let Action::Accept { node, epoch, .. } = action
        && epoch < before.nodes[usize::from(node)].promised
    {
        return Some(Invariant::PromisesRise);
    }
    let commits = after.committed.last() > before.committed.last();
    (commits && !counts_every_copy(after)).then_some(Invariant::CountsEveryCopy)
}

/// Whether what has just been committed is durable also at a joiner whose admission may still be committed. (For in-sync
/// copies I1 says so.)
fn counts_every_copy(state: &State) -> bool {
    let may_be_admitted =
        |node: usize| state.grows.iter().any(|grow| grow.epoch > 0 && usize::from(grow.node) == node);
    (0..state.nodes.len())
        .filter(|node| may_be_admitted(*node))
        .all(|node| state.nodes[node].disk.starts_with(&state.committed))
}
