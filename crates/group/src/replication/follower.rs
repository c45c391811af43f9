//! A copy that is not the primary: whom it obeys, how far its log is the primary's, and what it owes.

use lavandin_types::{NodeId, SequenceNumber};

#[derive(Default)]
pub(super) struct Follower {
    /// The primary of the promised epoch, once it has spoken.
    pub leader: Option<NodeId>,
    /// Up to here this log was found to be the primary's, in this epoch.
    pub matched: SequenceNumber,
    /// The primary's commit point, as far as it was told.
    pub told: SequenceNumber,
    /// The primary's last request for confirmation.
    pub round: u64,
    /// Records were taken that are not acknowledged.
    pub owes: bool,
    /// A snapshot is under way.
    pub fetching: bool,
}

impl Follower {
    /// What may be applied. The primary's commit point says nothing of a log that parts from the primary's before it.
    pub(super) fn committed(&self) -> SequenceNumber {
        self.told.min(self.matched)
    }
}
