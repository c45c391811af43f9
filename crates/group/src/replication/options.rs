//! Timings and bounds.

use lavandin_types::{GroupId, NodeId};

/// Who a replicator is, and how patient.
#[derive(Clone, Copy, Debug)]
pub struct ReplicationOptions {
    pub group: GroupId,
    pub me: NodeId,
    /// Of this start of the node, as it was registered.
    pub incarnation: u64,
    /// How long an answered heartbeat to the metadata lets a primary acknowledge, from its sending.
    pub lease_ms: u64,
    /// A copy that is silent, or behind without progress, for so long is proposed for removal.
    pub silence_ms: u64,
    /// Pause between heartbeats to an idle copy.
    pub heartbeat_ms: u64,
    /// How long a new commit point may wait for a message that carries it.
    pub commit_notice_ms: u64,
    /// What was sent and is not acknowledged by then is sent again.
    pub resend_ms: u64,
    /// Pause before a proposal that did not succeed is made again.
    pub retry_ms: u64,
    /// A joiner that is not further behind than this is waited for, and then proposed.
    pub join_lag_ms: u64,
    /// Bytes of records under way to one copy at most (one record may exceed it alone).
    pub in_flight_bytes_max: usize,
    /// Bytes of records in one message, by the same rule.
    pub message_bytes_max: usize,
    #[cfg(any(test, feature = "mutations"))]
    pub mutation: Option<Mutation>,
}

impl ReplicationOptions {
    /// The timings that belong to a detection time, see docs/decisions/0013.
    pub fn new(group: GroupId, me: NodeId, incarnation: u64, detection_ms: u64) -> Self {
        Self {
            group,
            me,
            incarnation,
            lease_ms: detection_ms * 6 / 10,
            silence_ms: (detection_ms * 4 / 10).min(2000),
            heartbeat_ms: (detection_ms / 10).min(500),
            commit_notice_ms: 10,
            resend_ms: (detection_ms / 10).min(500),
            retry_ms: 100,
            join_lag_ms: 200,
            in_flight_bytes_max: 16 << 20,
            message_bytes_max: 1 << 20,
            #[cfg(any(test, feature = "mutations"))]
            mutation: None,
        }
    }
}

/// A deliberate mistake, for tests of the tests.
#[cfg(any(test, feature = "mutations"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A copy whose removal is proposed is not waited for any more.
    AcknowledgeBeforeShrink,
    /// A follower obeys a primary of any epoch.
    IgnoreEpoch,
    /// A joiner is proposed without being waited for.
    JoinerNotRequired,
    /// A joiner is no longer waited for once its proposal has no answer.
    ForgetJoiner,
    /// Acknowledgements of another epoch count.
    AcknowledgementsOfAnyEpoch,
    /// Acknowledgements of another incarnation count, and appends to another one are taken.
    AnyIncarnation,
    /// A restarted primary goes on in its old epoch.
    ResumeEpoch,
    /// The primary does not wait for its own disk.
    CommitBeforeLocalSync,
    /// A follower acknowledges what it has not synced.
    AcknowledgeBeforeSync,
    /// A follower cuts its log below its commit point.
    TruncateCommitted,
    /// A promoted copy writes no barrier and serves at once.
    NoBarrier,
    /// A promoted copy forgets what it does not know to be committed.
    DropTailOnPromotion,
    /// A follower does not remember requests.
    RequestsNotReplicated,
    /// A lease counts from the answer, not from the question.
    LeaseFromReceipt,
    /// A primary acknowledges without a lease.
    NoLease,
    /// A follower applies up to the primary's commit point whether or not its log is the primary's so far.
    CommitUnmatched,
    /// A restarted copy applies its whole log.
    ApplyLogAtStart,
    /// A follower does not check the record before those that it is sent.
    IgnorePrevious,
}

/// Whether the deliberate mistake is made. Nothing of it is in a product's build.
macro_rules! mutated {
    ($options:expr, $name:ident) => {{
        #[cfg(any(test, feature = "mutations"))]
        {
            $options.mutation == Some($crate::replication::Mutation::$name)
        }
        #[cfg(not(any(test, feature = "mutations")))]
        {
            let _ = &$options;
            false
        }
    }};
}
pub(crate) use mutated;
