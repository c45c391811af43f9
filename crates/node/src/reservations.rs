//! Writes that a group has checked and holds for a batch over several groups, until the batch is logged, released, or
//! nobody has come back for it.

use crate::error::NodeError;
use lavandin_shard::Reservation;
use lavandin_types::RequestId;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a router may take between reserving at the first group and logging at the last.
const HOLD: Duration = Duration::from_secs(10);
const RESERVATIONS_MAX: usize = 1024;

/// Names a reservation at its group, for as long as the group's session lasts. Drawn at random by the router, so that
/// it may ask again where it does not know whether its question arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ReservationId(u128);

impl ReservationId {
    pub(crate) const fn new(value: u128) -> Self {
        Self(value)
    }

    pub(crate) const fn get(self) -> u128 {
        self.0
    }
}

#[derive(Default)]
pub(crate) struct Reservations {
    held: HashMap<ReservationId, Held>,
}

struct Held {
    reservation: Reservation,
    /// Of the batch that it is for.
    request_id: RequestId,
    until: Instant,
}

impl Reservations {
    /// Refuses when too many are held; ask before reserving.
    pub(crate) fn check_room(&self) -> Result<(), NodeError> {
        if self.held.len() >= RESERVATIONS_MAX { Err(NodeError::Overloaded) } else { Ok(()) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether what was asked for under `id` is held already.
    pub(crate) fn holds(&self, id: ReservationId) -> bool {
        self.held.contains_key(&id)
    }

    pub(crate) fn hold(
        &mut self,
        (request_id, id): (RequestId, ReservationId),
        reservation: Reservation,
        now: Instant,
    ) {
        self.held.insert(id, Held { reservation, request_id, until: now + HOLD });
    }

    /// What is held for a batch of that name, to be released: the batch has come again, and a router that was lost
    /// after its first half does not come back for it.
    pub(crate) fn take_of(&mut self, request_id: RequestId) -> Vec<Reservation> {
        if request_id.is_none() || self.held.is_empty() {
            return Vec::new();
        }
        let former = self.held.extract_if(|_, held| held.request_id == request_id);
        former.map(|(_, held)| held.reservation).collect()
    }

    pub(crate) fn take(&mut self, id: ReservationId) -> Result<Reservation, NodeError> {
        self.held.remove(&id).map(|held| held.reservation).ok_or(NodeError::ReservationGone)
    }

    /// Those that nobody came back for, to be released.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<Reservation> {
        let expired = self.held.extract_if(|_, held| held.until <= now);
        expired.map(|(_, held)| held.reservation).collect()
    }

    /// What was held has gone with all that was pending.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests;
