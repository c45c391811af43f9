//! Which copies may answer a call's reads, and which did.

use lavandin_types::{GroupId, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// For each group how far its log was, at least, in what a client has seen.
pub type Progress = BTreeMap<GroupId, u64>;

/// Which copies may answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// The primary; where it does not answer for a while, an in-sync copy that shows every write acknowledged through
    /// this node, and of the others all but those of the last seconds.
    #[default]
    Usual,
    /// The primary, as long as its lease lasts: the newest as far as clocks run at about one pace.
    Primary,
    /// The primary, once it has made sure that there is no other. Trusts no clock.
    Linearizable,
    /// Any in-sync copy that shows what the client has seen before.
    Session(Progress),
    /// An in-sync copy that shows everything acknowledged until so long ago, or the primary.
    Bounded(Duration),
    /// Any in-sync copy, however far behind.
    Any,
}

/// What a call asks of its reads, and what came of it. Clones share the latter.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    consistency: Consistency,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    progress: Progress,
    others: BTreeSet<NodeId>,
}

impl Reading {
    pub fn new(consistency: Consistency) -> Self {
        let progress = match &consistency {
            Consistency::Session(progress) => progress.clone(),
            _ => Progress::new(),
        };
        Self { consistency, seen: Arc::new(Mutex::new(Seen { progress, others: BTreeSet::new() })) }
    }

    pub fn consistency(&self) -> &Consistency {
        &self.consistency
    }

    /// What the client has seen by now, in a session.
    pub fn progress(&self) -> Option<Progress> {
        matches!(self.consistency, Consistency::Session(_)).then(|| self.lock().progress.clone())
    }

    /// The nodes whose copies answered something without being the primary.
    pub fn answered_by_others(&self) -> Vec<NodeId> {
        self.lock().others.iter().copied().collect()
    }

    /// What the client has seen of a group before.
    pub(crate) fn seen_of(&self, group: GroupId) -> u64 {
        match &self.consistency {
            Consistency::Session(progress) => progress.get(&group).copied().unwrap_or(0),
            _ => 0,
        }
    }

    /// An answer shows a group's log up to `applied`, or less.
    pub(crate) fn saw(&self, group: GroupId, applied: u64) {
        if matches!(self.consistency, Consistency::Session(_)) {
            let mut seen = self.lock();
            let known = seen.progress.entry(group).or_default();
            *known = applied.max(*known);
        }
    }

    pub(crate) fn answered_by(&self, node: NodeId) {
        self.lock().others.insert(node);
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
