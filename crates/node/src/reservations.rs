//! Writes that a group has checked and holds for a batch over several groups, until the batch is logged, released, or
//! nobody has come back for it.

use crate::error::NodeError;
use lavandin_shard::Reservation;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a router may take between reserving at the first group and logging at the last.
const HOLD: Duration = Duration::from_secs(10);
const RESERVATIONS_MAX: usize = 1024;

/// Names a reservation at its group, for as long as the group's session lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ReservationId(u64);

#[derive(Default)]
pub(crate) struct Reservations {
    last: u64,
    held: HashMap<ReservationId, (Reservation, Instant)>,
}

impl Reservations {
    /// Refuses when too many are held; ask before reserving.
    pub(crate) fn check_room(&self) -> Result<(), NodeError> {
        if self.held.len() >= RESERVATIONS_MAX { Err(NodeError::Overloaded) } else { Ok(()) }
    }

    pub(crate) fn hold(&mut self, reservation: Reservation, now: Instant) -> ReservationId {
        self.last += 1;
        let id = ReservationId(self.last);
        self.held.insert(id, (reservation, now + HOLD));
        id
    }

    pub(crate) fn take(&mut self, id: ReservationId) -> Result<Reservation, NodeError> {
        self.held.remove(&id).map(|(reservation, _)| reservation).ok_or(NodeError::ReservationGone)
    }

    /// Those that nobody came back for, to be released.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<Reservation> {
        let expired = self.held.extract_if(|_, (_, until)| *until <= now);
        expired.map(|(_, (reservation, _))| reservation).collect()
    }

    /// What was held has gone with all that was pending.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests;
