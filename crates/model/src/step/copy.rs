//! What a copy does with an append: one record, its predecessor's epoch, the sender's epoch, its commit point, and the
//! incarnation that it is meant for.
//!
//! Whether the copy syncs at once or only writes is two steps. A sync that comes later is the same append arriving once
//! more, so there is no step of its own for it.

use super::Successors;
use crate::action::Action;
use crate::config::{Config, Mistake};
use crate::invariant::Invariant;
use crate::state::{Ack, State, Stream, index};

pub(super) fn steps(out: &mut Successors<'_>) {
    let ended = out.before.streams.into_iter().filter(|stream| stream.epoch > 0);
    let live =
        out.nodes().filter(|node| out.before.nodes[*node].leads()).map(|node| out.before.stream_of(node));
    for stream in ended.chain(live).collect::<Vec<_>>() {
        for node in out.nodes() {
            if !hears(out.config, out.before, &stream, node) {
                continue;
            }
            for sequence in 1..=stream.log.last() {
                for synced in [true, false] {
                    if let Some(after) = accept(out, &stream, node, sequence, synced) {
                        let (node, epoch) = (index(node), stream.epoch);
                        let action = Action::Accept { node, from: stream.from, epoch, sequence, synced };
                        out.push(action, after);
                    }
                }
            }
        }
    }
}

/// Whether a copy takes appends of this stream: they are meant for this incarnation, and of no epoch below its promise.
/// A primary takes none of its own epoch or below.
fn hears(config: &Config, state: &State, stream: &Stream, node: usize) -> bool {
    let copy = &state.nodes[node];
    let here = stream.to[node] == state.metadata.incarnations[node]
        || (stream.to[node] > 0 && config.makes(Mistake::AcceptsOldIncarnation));
    let promised = stream.epoch >= copy.promised || config.makes(Mistake::AcceptsOldEpoch);
    here && promised && usize::from(stream.from) != node && copy.session.view.epoch < stream.epoch
}

fn accept(out: &Successors<'_>, stream: &Stream, node: usize, sequence: u8, synced: bool) -> Option<State> {
    let config = out.config;
    let before = &out.before.nodes[node];
    let entry = stream.log.at(sequence)?;
    let agrees = before.log.epoch_at(sequence - 1)? == stream.log.epoch_at(sequence - 1)?;
    if !agrees && !config.makes(Mistake::IgnoresPredecessor) {
        return None;
    }
    let mut after = *out.before;
    after.end_session(node);
    let copy = &mut after.nodes[node];
    copy.promised = copy.promised.max(stream.epoch);
    let known = copy.log.at(sequence).is_some_and(|known| known.epoch() == entry.epoch());
    if !known {
        copy.log.truncate(sequence - 1);
        copy.log.push(entry);
    } else if config.makes(Mistake::TruncatesAtEndOfAppend) {
        copy.log.truncate(sequence);
    }
    if before.log.common(&copy.log) < before.commit {
        after.broken = Invariant::CommittedIsKept.number();
    }
    let last = copy.log.last();
    if synced {
        let compared = if config.makes(Mistake::CommitsBeyondAppend) { last } else { sequence };
        copy.disk = copy.log;
        copy.commit = copy.commit.max(stream.commit.min(compared));
    }
    if synced || config.makes(Mistake::AcksUnsynced) {
        let compared = if config.makes(Mistake::AcksWholeLog) { last } else { sequence };
        acknowledge(&mut after, config, stream, (node, compared));
    }
    Some(after)
}

/// Sends an acknowledgement to the session that sent the append. If that has ended, nobody counts it.
fn acknowledge(state: &mut State, config: &Config, stream: &Stream, (node, sequence): (usize, u8)) {
    let incarnation = state.metadata.incarnations[node];
    let primary = &mut state.nodes[usize::from(stream.from)];
    if primary.session.view.epoch != stream.epoch && !config.makes(Mistake::CountsAckOfOldEpoch) {
        return;
    }
    let ack = &mut primary.acks[node];
    let restarted = incarnation > ack.incarnation && !config.makes(Mistake::CountsAckOfOldIncarnation);
    if restarted || sequence > ack.sequence {
        *ack = Ack { incarnation, sequence };
    }
}
