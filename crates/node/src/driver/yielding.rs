//! A primary that another copy is to replace: its node goes down, or the copy leaves the group.
//!
//! 1. It takes no new requests; what was reserved for a batch over several groups may still be logged for a moment.
//! 2. Once all that it took is committed, and every other in-sync copy has answered since, it stops answering reads. One that
//!    has died unnoticed must not be promoted.
//! 3. Only then it says that it yields. From then on it logs and answers nothing, so that whoever is promoted meanwhile
//!    has everything that was ever told.

use super::Driver;
use crate::error::NodeError;
use std::time::{Duration, Instant};

/// How long reserved writes are waited for: the pause that it makes must stay short.
const RESERVED_WAIT_MAX: Duration = Duration::from_millis(200);

/// How far a copy is with it.
#[derive(Debug, Default)]
pub(crate) struct Yielding {
    since: Option<Instant>,
    /// In which the other copies are to answer.
    round: Option<u64>,
    done: bool,
    /// It was asked to, and is not only resigning.
    asked: bool,
}

impl Yielding {
    pub(super) fn ask(&mut self, wanted: bool) {
        match wanted {
            true => self.begin(),
            false => *self = Self::default(),
        }
        self.asked = wanted;
    }

    pub(super) fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// Unless it was asked to besides.
    pub(super) fn give_up(&mut self) {
        if !self.asked {
            *self = Self::default();
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.since.is_some()
    }

    pub(super) fn is_settling(&self) -> bool {
        self.is_wanted() && !self.done
    }
}

impl Driver {
    /// Whether it has stopped serving for another copy's sake.
    pub(super) fn has_yielded(&mut self) -> bool {
        let Some(since) = self.yielding.since else { return false };
        if self.replica.replicator().reign().is_none() {
            (self.yielding.round, self.yielding.done) = (None, false);
            return false;
        }
        let no_reserved = self.reservations.is_empty() || since.elapsed() >= RESERVED_WAIT_MAX;
        if no_reserved && self.waiting.is_empty() && self.replica.copy().is_settled() {
            self.yielding.done |= self.others_answer();
        }
        self.yielding.done
    }

    /// Whether the copies that may take over have answered since they were asked to.
    fn others_answer(&mut self) -> bool {
        if self.failure.borrow().is_some() || self.is_alone_in_sync() {
            return true;
        }
        let round = self.yielding.round.or_else(|| self.replica.confirm());
        self.yielding.round = round;
        round.is_some_and(|round| self.replica.replicator().is_confirmed(round))
    }

    pub(super) fn check_takes_requests(&self) -> Result<(), NodeError> {
        self.check_works()?;
        if self.yielding.is_wanted() { Err(self.hands_over()) } else { Ok(()) }
    }

    pub(super) fn check_takes_reserved(&self) -> Result<(), NodeError> {
        self.check_works()?;
        if self.yielding.done { Err(self.hands_over()) } else { Ok(()) }
    }

    /// Where other copies are in sync, the request is for one of them.
    fn check_works(&self) -> Result<(), NodeError> {
        match &*self.failure.borrow() {
            None => Ok(()),
            Some(error) if self.is_alone_in_sync() => Err(error.clone()),
            Some(error) => Err(NodeError::NotServing { group: self.group(), reason: error.to_string() }),
        }
    }

    fn hands_over(&self) -> NodeError {
        NodeError::NotServing { group: self.group(), reason: "it hands over to another copy".to_owned() }
    }
}

#[cfg(test)]
mod tests;
