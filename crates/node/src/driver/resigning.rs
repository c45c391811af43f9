//! A primary whose copy is damaged while others are whole: it ends its reign, so that one of those is promoted.
//!
//! 1. It yields (`yielding`): what it took is settled, and once the other copies in sync have answered it stops serving.
//! 2. It fails. From then on it logs and answers nothing until it is opened again, so whoever hears of the damage may
//!    promote another copy at once.
//!
//! Where that does not come about soon it goes on as before; it is asked again later.

use super::Driver;
use crate::error::NodeError;
use lavandin_shard::Damage;
use std::time::{Duration, Instant};

const RESIGNING_MAX: Duration = Duration::from_secs(5);

/// A reign that is to end.
pub(crate) struct Resigning {
    reason: String,
    since: Instant,
}

impl Driver {
    pub(super) fn resign(&mut self, reason: String) {
        if self.resigning.is_none() && self.replica.replicator().reign().is_some() {
            self.yielding.begin();
            self.resigning = Some(Resigning { reason, since: Instant::now() });
        }
    }

    /// Goes on with it.
    pub(super) fn keep_resigning(&mut self) {
        let Some(resigning) = self.resigning.take() else { return };
        let over = self.replica.replicator().reign().is_none() || self.failure.borrow().is_some();
        if over || self.is_alone_in_sync() || resigning.since.elapsed() >= RESIGNING_MAX {
            self.yielding.give_up();
            return;
        }
        if self.has_yielded() {
            self.fail(&NodeError::Damaged(Damage::new("of this copy", &resigning.reason)));
            return;
        }
        self.resigning = Some(resigning);
    }
}

#[cfg(test)]
mod tests;
