//! What consumes a group's log.

use lavandin_types::{CollectionId, SequenceNumber};

/// A deterministic state machine behind a log. One thread drives it.
pub trait Consumer: Send {
    type Request: Send;
    /// What a request is answered with; kept by request id, so it encodes to bytes.
    type Outcome: Clone + Send;
    type Rejection: Send;

    /// Checks a request against applied plus pending operations. On success appends the operation's bytes to `op`
    /// and reserves what it took; on rejection leaves no trace but what it may have appended to `op`. Rejects what
    /// takes more than `OP_BYTES_MAX`. The collection is never `CollectionId::ZERO`, which marks barriers.
    fn prepare(&mut self, request: Self::Request, op: &mut Vec<u8>) -> Result<CollectionId, Self::Rejection>;

    /// Applies an operation that some `prepare` made, perhaps in another life of the process. Never refuses. Clears
    /// the reservation.
    fn apply(&mut self, sequence: SequenceNumber, collection: CollectionId, op: &[u8]) -> Self::Outcome;

    /// The staged operations will not be logged: forget their reservations.
    fn discard_pending(&mut self);

    fn encode_outcome(outcome: &Self::Outcome, out: &mut Vec<u8>);

    fn decode_outcome(bytes: &[u8]) -> Option<Self::Outcome>;
}
