//! What a primary does: learn the group's state, log writes, sync, count acknowledgements, propose to admit a joiner.
//!
//! Sending is no step: whatever is in its log may arrive anywhere that it addresses. A primary that is replaced need
//! not learn that: one that does nothing more is the same.

use super::Successors;
use super::metadata::may_change;
use crate::action::Action;
use crate::config::{Config, Mistake};
use crate::invariant::Invariant;
use crate::log::Entry;
use crate::state::{Ack, GrowProposal, NOBODY, NODES_MAX, Session, State, index};
use std::cmp::Ordering::{Equal, Greater, Less};

pub(super) fn steps(out: &mut Successors<'_>) {
    for node in out.nodes() {
        learn(out, node);
        if out.before.nodes[node].leads() {
            write(out, node);
            sync(out, node);
            receive_acks(out, node);
            propose_grow(out, node);
            mistakes(out, node);
        }
    }
}

/// Metadata's answers: a primary sees the group's state, at any time after it was committed.
fn learn(out: &mut Successors<'_>, node: usize) {
    let metadata = out.before.metadata;
    let before = &out.before.nodes[node];
    let stale = usize::from(metadata.primary) != node || before.promised > metadata.epoch;
    if stale || before.session.view.revision() == metadata.revision() {
        return;
    }
    let mut after = *out.before;
    if before.session.view.epoch == metadata.epoch {
        let session = &mut after.nodes[node].session;
        for other in 0..NODES_MAX {
            if session.view.incarnations[other] != metadata.incarnations[other] {
                session.matched[other] = 0;
            }
        }
        session.view = metadata;
        // A change of the version means that the proposal to grow has either happened or never will.
        session.required = NOBODY;
    } else if before.log.is_full() {
        return;
    } else {
        begin_session(&mut after, out.config, node);
    }
    let session = &mut after.nodes[node].session;
    for other in (0..NODES_MAX).filter(|other| *other != node) {
        if metadata.is_in_sync(other) || metadata.is_joiner(other) {
            session.to[other] = metadata.incarnations[other];
        }
    }
    advance(&mut after, out.config, node);
    out.push(Action::Learn { primary: index(node) }, after);
}

/// Promises the new epoch, keeps the whole log, and adds the epoch's barrier.
fn begin_session(state: &mut State, config: &Config, node: usize) {
    state.end_session(node);
    let view = state.metadata;
    let primary = &mut state.nodes[node];
    primary.promised = view.epoch;
    primary.session = Session { view, ..Session::NONE };
    if config.makes(Mistake::DropsTailAtPromotion) {
        primary.log.truncate(primary.commit);
    }
    if !config.makes(Mistake::CountsAckOfOldEpoch) {
        primary.acks = [Ack::NONE; NODES_MAX];
    }
    primary.log.push(Entry::barrier(view.epoch));
}

/// Whether a primary takes writes and, under a lease, serves reads: the barrier of its epoch is committed.
pub(crate) fn serves(state: &State, config: &Config, node: usize) -> bool {
    let primary = &state.nodes[node];
    let epoch = primary.session.view.epoch;
    let ready = primary.log.epoch_at(primary.commit) == Some(epoch);
    epoch > 0 && (ready || config.makes(Mistake::ServesBeforeBarrier))
}

/// A client's request, new or repeated at this primary.
fn write(out: &mut Successors<'_>, node: usize) {
    let spent = out.before.spent;
    let before = &out.before.nodes[node];
    if spent.writes == out.config.writes || before.log.is_full() || !serves(out.before, out.config, node) {
        return;
    }
    let mut known = before.log;
    if out.config.makes(Mistake::ForgetsPendingRequests) {
        known.truncate(before.commit);
    }
    // Requests are alike: the first one to be sent is number 1.
    for request in 1..=spent.requests + 1 {
        if !known.has_request(request) {
            let mut after = *out.before;
            after.nodes[node].log.push(Entry::write(before.session.view.epoch, request));
            after.spent.writes += 1;
            after.spent.requests = spent.requests.max(request);
            advance(&mut after, out.config, node);
            out.push(Action::Write { primary: index(node), request }, after);
        }
    }
}

fn sync(out: &mut Successors<'_>, node: usize) {
    let mut after = *out.before;
    after.nodes[node].disk = after.nodes[node].log;
    advance(&mut after, out.config, node);
    out.push(Action::Sync { primary: index(node) }, after);
}

/// An acknowledgement counts if it is of this epoch and of the incarnation that the primary knows.
fn receive_acks(out: &mut Successors<'_>, node: usize) {
    let before = &out.before.nodes[node];
    for from in out.nodes() {
        let ack = before.acks[from];
        let session = &before.session;
        let counts = match ack.incarnation.cmp(&session.view.incarnations[from]) {
            Less => out.config.makes(Mistake::CountsAckOfOldIncarnation),
            Equal => true,
            Greater => out.config.makes(Mistake::CountsAckOfLaterIncarnation),
        };
        if counts && ack.sequence > session.matched[from] {
            let mut after = *out.before;
            after.nodes[node].session.matched[from] = ack.sequence;
            advance(&mut after, out.config, node);
            out.push(Action::ReceiveAck { primary: index(node), from: index(from) }, after);
        }
    }
}

/// Moves the commit point to what every counted copy has durable: the primary, the in-sync copies that it knows
/// (also one that it has proposed to remove), and a joiner that it has proposed to admit.
fn advance(state: &mut State, config: &Config, node: usize) {
    let primary = &state.nodes[node];
    let session = &primary.session;
    let own = if config.makes(Mistake::CommitsUnsynced) { primary.log.last() } else { primary.durable() };
    let commit = (0..NODES_MAX)
        .filter(|other| *other != node)
        .filter(|other| session.view.is_in_sync(*other) || usize::from(session.required) == *other)
        .map(|other| session.matched[other])
        .fold(own, u8::min)
        .min(primary.log.last());
    if commit > primary.commit {
        let log = primary.log;
        state.nodes[node].commit = commit;
        for sequence in 1..=commit {
            commit_entry(state, sequence, log.at(sequence).expect("the commit point is in the log"));
        }
    }
}

/// Notes a committed record, and whether that breaks a promise.
fn commit_entry(state: &mut State, sequence: u8, entry: Entry) {
    match state.committed.at(sequence) {
        Some(known) if known == entry => {}
        Some(_) => state.broken = Invariant::OneRecordPerPlace.number(),
        None if entry.request() > 0 && state.committed.has_request(entry.request()) => {
            state.broken = Invariant::RequestsAppliedOnce.number();
        }
        None => state.committed.push(entry),
    }
}

/// The joiner has all that is committed: from now on commits need it, and its admission is proposed. That is known when it
/// has the whole log, or when it has all up to the commit point of a primary whose barrier is committed. (Waiting for
/// the whole log may take for ever where writes never pause.)
///
/// A primary whose view is old proposes nothing here: metadata would refuse it, and it would only commit less.
fn propose_grow(out: &mut Successors<'_>, node: usize) {
    let before = &out.before.nodes[node];
    let view = before.session.view;
    let current =
        view.revision() == out.before.metadata.revision() || out.config.makes(Mistake::ComparesNothing);
    if view.joiner == NOBODY || !current || !may_change(out) || before.session.required != NOBODY {
        return;
    }
    let joiner = usize::from(view.joiner);
    let matched = before.session.matched[joiner];
    let knows = serves(out.before, out.config, node) || out.config.makes(Mistake::GrowsBeforeBarrier);
    let complete = matched >= before.log.last() || (knows && matched >= before.commit);
    if !complete && !out.config.makes(Mistake::GrowsBehind) {
        return;
    }
    let mut after = *out.before;
    let proposal = GrowProposal {
        epoch: view.epoch,
        version: view.version,
        node: view.joiner,
        incarnation: view.incarnations[joiner],
    };
    let free = after.grows.iter_mut().find(|grow| grow.epoch == 0);
    let Some(free) = free.filter(|_| !out.before.grows.contains(&proposal)) else { return };
    *free = proposal;
    after.spent.changes += 1;
    if !out.config.makes(Mistake::JoinerNotRequired) {
        after.nodes[node].session.required = view.joiner;
    }
    advance(&mut after, out.config, node);
    out.push(Action::ProposeGrow { primary: index(node), joiner: view.joiner }, after);
}

/// Steps that only a primary with a mistake takes.
fn mistakes(out: &mut Successors<'_>, node: usize) {
    let primary = index(node);
    let session = out.before.nodes[node].session;
    if out.config.makes(Mistake::ForgetsJoiner) && session.required != NOBODY {
        let mut after = *out.before;
        after.nodes[node].session.required = NOBODY;
        advance(&mut after, out.config, node);
        out.push(Action::ForgetJoiner { primary }, after);
    }
    for other in out.nodes().filter(|other| *other != node) {
        if out.config.makes(Mistake::CountsShrinkAtOnce) && session.view.is_in_sync(other) && may_change(out)
        {
            let mut after = *out.before;
            after.spent.changes += 1;
            after.nodes[node].session.view.in_sync &= !(1 << other);
            advance(&mut after, out.config, node);
            out.push(Action::ProposeShrink { primary, node: index(other) }, after);
        }
        if out.config.makes(Mistake::CountsForkPoint) && session.to[other] > 0 {
            let mut after = *out.before;
            let fork = out.before.nodes[node].log.common(&out.before.nodes[other].log);
            let matched = &mut after.nodes[node].session.matched[other];
            *matched = fork.max(*matched);
            advance(&mut after, out.config, node);
            out.push(Action::CountForkPoint { primary, from: index(other) }, after);
        }
    }
}
