//! Reads that want to be sure, without clocks, that this copy is still the primary.

use super::{Answer, Driver};
use crate::error::NodeError;
use lavandin_group::replication::Refusal;

/// Questions that wait for a round among the other in-sync copies.
#[derive(Default)]
pub(crate) struct Confirming {
    waiting: Vec<(u64, Answer<Confirmed>)>,
}

/// Who confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmed {
    ByCopies,
    /// There is no other copy in sync to ask: the metadata knows.
    Nobody,
}

impl Driver {
    pub(super) fn confirm(&mut self, answer: Answer<Confirmed>) {
        let round = self.replica.confirm();
        match round.filter(|_| self.failure.borrow().is_none()) {
            Some(_) if self.is_alone_in_sync() => drop(answer.send(Ok(Confirmed::Nobody))),
            Some(round) => {
                self.confirming.waiting.push((round, answer));
                // The question goes out at once.
                self.settle();
            }
            None => drop(answer.send(Err(self.not_primary()))),
        }
    }

    /// Answers those whose round is over, or who wait for nothing any more.
    pub(super) fn answer_confirmed(&mut self) {
        if self.confirming.waiting.is_empty() {
            return;
        }
        let replicator = self.replica.replicator();
        let (reigns, alone) = (replicator.reign().is_some(), self.is_alone_in_sync());
        for (round, answer) in std::mem::take(&mut self.confirming.waiting) {
            if self.replica.replicator().is_confirmed(round) {
                drop(answer.send(Ok(Confirmed::ByCopies)));
            } else if !reigns {
                drop(answer.send(Err(self.not_primary())));
            } else if alone {
                drop(answer.send(Ok(Confirmed::Nobody)));
            } else if !answer.is_closed() {
                self.confirming.waiting.push((round, answer));
            }
        }
    }

    pub(super) fn is_alone_in_sync(&self) -> bool {
        self.replica.replicator().view().is_some_and(|view| view.in_sync.len() == 1)
    }

    fn not_primary(&self) -> NodeError {
        let primary = self.replica.replicator().view().map(|view| view.primary);
        let me = self.replica.replicator().options().me;
        NodeError::of_refusal(
            self.group(),
            Refusal::NotPrimary { primary: primary.filter(|node| *node != me) },
        )
    }
}
