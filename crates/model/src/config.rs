//! What is searched: the size of the system, how much may happen, and which rules are left out.

use crate::log::ENTRIES_MAX;
use crate::state::{NODES_MAX, STREAMS_MAX};

/// The bounds of a search. A search that ends has seen every state that they allow.
#[derive(Clone, Debug)]
pub struct Config {
    pub nodes: u8,
    /// Copies wanted (RF). The first ones are in sync at the beginning, the others are spare.
    pub replicas: u8,
    /// Records that clients' writes add to any primary's log, repeated requests included.
    pub writes: u8,
    /// The highest primary epoch; the first is 1.
    pub epochs: u8,
    /// Kills with restart.
    pub restarts: u8,
    /// Disks lost, each followed by a start with an empty one.
    pub replacements: u8,
    /// Changes of membership: shrinks, joiners added or dropped, grows proposed.
    pub changes: u8,
    pub mistakes: Vec<Mistake>,
    /// Looks only at promises that a client can see (I1, I2, I5, I9, I13). With a rule left out the others may show no
    /// more than that: a copy that accepts old epochs accepts old epochs.
    pub outcomes_only: bool,
}

impl Config {
    pub fn makes(&self, mistake: Mistake) -> bool {
        self.mistakes.contains(&mistake)
    }

    /// # Panics
    ///
    /// When the bounds do not fit the flat representation.
    pub(crate) fn assert_fits(&self) {
        let entries = usize::from(self.writes + self.epochs);
        assert!(usize::from(self.nodes) <= NODES_MAX && self.replicas <= self.nodes, "too many nodes");
        assert!(entries <= ENTRIES_MAX, "writes and barriers must fit a log");
        assert!(usize::from(self.epochs) <= STREAMS_MAX, "too many epochs");
    }
}

/// A rule of the protocol left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// a: a primary stops counting a silent copy when it has proposed the shrink, before that is known to be committed.
    CountsShrinkAtOnce,
    /// b: a copy that is not in sync is promoted.
    PromotesStaleCopy,
    /// A promotion stays in the epoch of the old primary.
    PromotesInSameEpoch,
    /// c: a copy accepts appends of an epoch below the one that it promised.
    AcceptsOldEpoch,
    /// d: metadata admits a joiner without comparing its incarnation.
    GrowsAnyIncarnation,
    /// e: a primary commits without a joiner whose admission it has proposed.
    JoinerNotRequired,
    /// f: metadata changes a group without comparing epoch and version.
    ComparesNothing,
    /// g: a primary counts acknowledgements that were sent in an earlier epoch of its own.
    CountsAckOfOldEpoch,
    /// h: a primary stops requiring a joiner before it has learnt a later version.
    ForgetsJoiner,
    /// i: a primary counts acknowledgements of a copy's earlier incarnation.
    CountsAckOfOldIncarnation,
    /// j: a primary that restarts goes on in the same epoch.
    KeepsEpochAtRestart,
    /// k: a copy with a new disk does not adopt the current epoch as its promise.
    NewDiskPromisesNothing,
    /// A copy accepts appends that are addressed to an earlier incarnation of it.
    AcceptsOldIncarnation,
    /// A primary counts acknowledgements of an incarnation later than the one that it knows.
    CountsAckOfLaterIncarnation,
    /// A promise is not durable: a kill forgets it.
    ForgetsPromiseAtRestart,
    /// A joiner that registers again changes neither version nor joiner.
    JoinerRegistersUnseen,
    /// A primary commits what it has not synced itself.
    CommitsUnsynced,
    /// A copy acknowledges before it has synced.
    AcksUnsynced,
    /// A copy acknowledges all of its log, not just up to the end of the append that it compared.
    AcksWholeLog,
    /// A copy takes the sender's commit point for its whole log, not just up to the end of the append.
    CommitsBeyondAppend,
    /// A copy ends its log where an append ends, whether anything conflicts or not.
    TruncatesAtEndOfAppend,
    /// A copy does not compare an append's predecessor with its own log.
    IgnoresPredecessor,
    /// A primary counts a fork point that a copy reports as an acknowledgement.
    CountsForkPoint,
    /// A promoted copy drops what it does not know to be committed.
    DropsTailAtPromotion,
    /// A new primary serves before the barrier of its epoch is committed.
    ServesBeforeBarrier,
    /// A lease may be valid after another copy was promoted: promotion does not wait, or an answer to a heartbeat
    /// extends the lease of a node that has not applied the metadata up to that answer.
    LeaseOutlivesPromotion,
    /// A primary looks for a repeated request only among what is applied, not in its log's tail.
    ForgetsPendingRequests,
    /// A primary proposes to admit a joiner that has not acknowledged all that is committed.
    GrowsBehind,
    /// A new primary proposes to admit a joiner by a commit point that its barrier has not yet brought up to date.
    GrowsBeforeBarrier,
}

impl Mistake {
    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 29] = [
        Self::CountsShrinkAtOnce,
        Self::PromotesStaleCopy,
        Self::PromotesInSameEpoch,
        Self::AcceptsOldEpoch,
        Self::GrowsAnyIncarnation,
        Self::JoinerNotRequired,
        Self::ComparesNothing,
        Self::CountsAckOfOldEpoch,
        Self::ForgetsJoiner,
        Self::CountsAckOfOldIncarnation,
        Self::KeepsEpochAtRestart,
        Self::NewDiskPromisesNothing,
        Self::AcceptsOldIncarnation,
        Self::CountsAckOfLaterIncarnation,
        Self::ForgetsPromiseAtRestart,
        Self::JoinerRegistersUnseen,
        Self::CommitsUnsynced,
        Self::AcksUnsynced,
        Self::AcksWholeLog,
        Self::CommitsBeyondAppend,
        Self::TruncatesAtEndOfAppend,
        Self::IgnoresPredecessor,
        Self::CountsForkPoint,
        Self::DropsTailAtPromotion,
        Self::ServesBeforeBarrier,
        Self::LeaseOutlivesPromotion,
        Self::ForgetsPendingRequests,
        Self::GrowsBehind,
        Self::GrowsBeforeBarrier,
    ];
}
