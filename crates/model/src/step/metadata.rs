//! Commands that metadata commits: each one atomic, each one a rise of the version.
//!
//! Suspicion is arbitrary, so promotion, shrink and the choice or dropping of a joiner are possible at any time. That
//! covers every command whose proposal changes nothing at its proposer; a command that comes too late has no effect,
//! which is no step. Only the admission of a joiner is a message (`GrowProposal`).

use super::Successors;
use crate::action::Action;
use crate::config::Mistake;
use crate::state::{GrowProposal, NOBODY, Record, index};

pub(super) fn steps(out: &mut Successors<'_>) {
    promote(out);
    shrink(out);
    joiner(out);
    grow(out);
}

/// Another in-sync copy leads; the old primary is stale. Its lease is over: metadata has waited for that.
fn promote(out: &mut Successors<'_>) {
    let before = out.before.metadata;
    if before.epoch == out.config.epochs {
        return;
    }
    for node in out.nodes() {
        let eligible = before.is_in_sync(node) || out.config.makes(Mistake::PromotesStaleCopy);
        if eligible && usize::from(before.primary) != node {
            let mut after = *out.before;
            lead(&mut after.metadata, node);
            if out.config.makes(Mistake::PromotesInSameEpoch) {
                after.metadata.epoch = before.epoch;
            }
            after.metadata.in_sync &= !(1 << before.primary);
            after.metadata.in_sync |= 1 << node;
            if after.metadata.is_joiner(node) {
                after.metadata.joiner = NOBODY;
            }
            out.push(Action::Promote { node: index(node) }, after);
        }
    }
}

/// Begins the next epoch with a primary.
pub(super) fn lead(record: &mut Record, node: usize) {
    record.epoch += 1;
    record.version += 1;
    record.primary = index(node);
}

/// A copy that its primary proposed to remove, or that reported damage, is no longer in sync.
fn shrink(out: &mut Successors<'_>) {
    for node in out.nodes() {
        let metadata = &out.before.metadata;
        if metadata.is_in_sync(node) && usize::from(metadata.primary) != node && may_change(out) {
            let mut after = *out.before;
            after.metadata.in_sync &= !(1 << node);
            after.metadata.version += 1;
            after.spent.changes += 1;
            out.push(Action::Shrink { node: index(node) }, after);
        }
    }
}

pub(super) fn may_change(out: &Successors<'_>) -> bool {
    out.before.spent.changes < out.config.changes
}

fn joiner(out: &mut Successors<'_>) {
    let metadata = out.before.metadata;
    if !may_change(out) {
        return;
    }
    let mut after = *out.before;
    after.metadata.version += 1;
    after.spent.changes += 1;
    if metadata.joiner != NOBODY {
        after.metadata.joiner = NOBODY;
        out.push(Action::DropJoiner { node: metadata.joiner }, after);
    } else if metadata.in_sync.count_ones() < u32::from(out.config.replicas) {
        for node in out.nodes().filter(|node| !metadata.is_in_sync(*node)) {
            after.metadata.joiner = index(node);
            out.push(Action::AddJoiner { node: index(node) }, after);
        }
    }
}

/// A proposal arrives. It is compared with the group's epoch and version, and with the joiner's incarnation.
fn grow(out: &mut Successors<'_>) {
    for proposal in out.before.grows {
        let GrowProposal { epoch, version, node, incarnation } = proposal;
        let mut after = *out.before;
        let metadata = &mut after.metadata;
        let expected = metadata.revision() == (epoch, version) || out.config.makes(Mistake::ComparesNothing);
        let same = metadata.incarnations[usize::from(node)] == incarnation
            || out.config.makes(Mistake::GrowsAnyIncarnation);
        if epoch > 0 && expected && same {
            metadata.in_sync |= 1 << node;
            metadata.version += 1;
            if metadata.joiner == node {
                metadata.joiner = NOBODY;
            }
            for grow in after.grows.iter_mut().filter(|grow| **grow == proposal) {
                *grow = GrowProposal::NONE;
            }
            out.push(Action::Grow { node, epoch, version }, after);
        }
    }
}
