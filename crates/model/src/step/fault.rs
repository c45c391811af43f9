//! Kills and lost disks. A node that is down is one that does nothing for a while, so the kill, the restart and the
//! registration are one step: until a node has learnt its new incarnation it accepts nothing and leads nothing.

use super::Successors;
use super::metadata::lead;
use crate::action::Action;
use crate::config::Mistake;
use crate::state::{Ack, NOBODY, NODES_MAX, State, index};

pub(super) fn steps(out: &mut Successors<'_>) {
    for node in out.nodes() {
        restart(out, node);
        replace(out, node);
    }
}

/// Whatever was not synced is gone, and the commit point is not known. The registration begins another epoch if the node
/// leads; a joiner starts over; an in-sync copy stays, under its new incarnation.
fn restart(out: &mut Successors<'_>, node: usize) {
    let leads = usize::from(out.before.metadata.primary) == node;
    let session = leads && !out.config.makes(Mistake::KeepsEpochAtRestart);
    if out.before.spent.restarts == out.config.restarts
        || (session && out.before.metadata.epoch == out.config.epochs)
    {
        return;
    }
    let mut after = *out.before;
    after.spent.restarts += 1;
    after.end_session(node);
    let copy = &mut after.nodes[node];
    copy.log = copy.disk;
    copy.commit = 0;
    if !out.config.makes(Mistake::CountsAckOfOldEpoch) {
        copy.acks = [Ack::NONE; NODES_MAX];
    }
    if out.config.makes(Mistake::ForgetsPromiseAtRestart) {
        copy.promised = 0;
    }
    after.metadata.incarnations[node] += 1;
    if session {
        lead(&mut after.metadata, node);
    } else if after.metadata.is_in_sync(node) {
        after.metadata.version += 1;
    }
    unseat_joiner(out, &mut after, node);
    out.push(Action::Restart { node: index(node) }, after);
}

fn unseat_joiner(out: &Successors<'_>, after: &mut State, node: usize) {
    if after.metadata.is_joiner(node) && !out.config.makes(Mistake::JoinerRegistersUnseen) {
        after.metadata.joiner = NOBODY;
        after.metadata.version += 1;
    }
}

/// The disk is gone and an empty one takes its place: another copy, which starts stale and adopts the current epoch as
/// its promise. If it led, another in-sync copy is promoted. The last in-sync copy is not lost: no protocol of copies
/// survives that.
fn replace(out: &mut Successors<'_>, node: usize) {
    let metadata = out.before.metadata;
    let others = metadata.in_sync & !(1 << node);
    if out.before.spent.replacements == out.config.replacements || others == 0 {
        return;
    }
    let leads = usize::from(metadata.primary) == node;
    for successor in out.nodes() {
        let eligible = others >> successor & 1 == 1 && metadata.epoch < out.config.epochs;
        if if leads { !eligible } else { successor > 0 } {
            continue;
        }
        let mut after = *out.before;
        after.spent.replacements += 1;
        after.metadata.incarnations[node] += 1;
        if leads {
            lead(&mut after.metadata, successor);
        } else if metadata.is_in_sync(node) {
            after.metadata.version += 1;
        }
        after.metadata.in_sync = others;
        unseat_joiner(out, &mut after, node);
        let forgets = out.config.makes(Mistake::NewDiskPromisesNothing);
        let promised = if forgets { 0 } else { after.metadata.epoch };
        after.wipe(node, promised);
        out.push(Action::Replace { node: index(node) }, after);
    }
}
