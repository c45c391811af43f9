//! One call under way on the answering side, from its last frame to the last frame of its answer.

use super::lanes::Before;
use super::{IncomingCall, PeerHandler};
use crate::frame::{FRAME_PAYLOAD_BYTES_MAX, Header, Kind, MESSAGE_BYTES_MAX};
use crate::link::Outlet;
use crate::outbox::Outgoing;
use crate::status::PeerStatus;
use bytes::Bytes;
use lavandin_types::ErrorCode;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};

/// A call's share of what the connection may hold. The outbox gives it back with the last frame of the answer.
#[derive(Debug)]
pub(super) struct Room {
    call: Option<OwnedSemaphorePermit>,
    _bytes: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Messages of one frame take no bytes: the number of calls bounds them, and they never wait for large ones.
    pub(super) async fn take(calls: &Arc<Semaphore>, bytes: &Arc<Semaphore>, message_bytes: u32) -> Self {
        // The semaphores are never closed, so both permits are there.
        let call = Arc::clone(calls).acquire_owned().await.ok();
        let bytes = match message_bytes as usize > FRAME_PAYLOAD_BYTES_MAX {
            true => Arc::clone(bytes).acquire_many_owned(message_bytes).await.ok(),
            false => None,
        };
        Self { call, _bytes: bytes }
    }
}

/// The duty to answer a call. When it is dropped unused, as by a handler that panics, the caller gets an error.
pub(super) struct Answer {
    outlet: Arc<Outlet<Room>>,
    call: u64,
    room: Option<Room>,
}

impl Answer {
    pub(super) const fn new(outlet: Arc<Outlet<Room>>, call: u64, room: Room) -> Self {
        Self { outlet, call, room: Some(room) }
    }

    /// Sends the handler's answer.
    fn send(mut self, outcome: Result<Bytes, PeerStatus>) {
        let outcome = outcome.and_then(|payload| match payload.len() {
            bytes if bytes > MESSAGE_BYTES_MAX => {
                let message =
                    format!("an answer of {bytes} bytes is more than the {MESSAGE_BYTES_MAX} of a message");
                Err(PeerStatus::new(ErrorCode::Internal, message))
            }
            _ => Ok(payload),
        });
        self.push(Kind::Response, outcome);
    }

    /// Says that the handler has not seen the call and will not see it.
    pub(super) fn refuse(mut self, status: PeerStatus) {
        self.push(Kind::Refusal, Err(status));
    }

    /// Owes no answer any more: the caller does not wait. The bytes are given back, the place among the calls is the
    /// caller's.
    fn waive(mut self) -> Option<OwnedSemaphorePermit> {
        self.room.take().and_then(|room| room.call)
    }

    fn push(&mut self, kind: Kind, outcome: Result<Bytes, PeerStatus>) {
        let Some(room) = self.room.take() else { return };
        let (code, payload) = outcome.map_or_else(|status| status.encode(), |payload| (0, payload));
        let header = Header { code, ..Header::new(kind, self.call) };
        self.outlet.push(Outgoing { header, deadline_ms: 0, payload, ticket: room });
        self.outlet.send();
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let status = PeerStatus::new(ErrorCode::Internal, "the handler ended without an answer");
        self.push(Kind::Response, Err(status));
    }
}

/// Waits for the call's turn, lets the handler answer, and stops either when nobody waits any more: the caller said
/// so, or its deadline passed, which it notices by itself. Returns the call's number.
pub(super) async fn run<H: PeerHandler>(
    handler: Arc<H>,
    call: IncomingCall,
    answer: Answer,
    cancelled: oneshot::Receiver<()>,
    before: Option<Before>,
) -> u64 {
    let number = answer.call;
    let deadline = call.deadline;
    let given_up = async move {
        tokio::select! {
            Ok(()) = cancelled => {}
            () = sleep_until(deadline) => {}
        }
    };
    tokio::pin!(given_up);
    if let Some(mut before) = before {
        let has_turn = tokio::select! {
            biased;
            () = &mut given_up => false,
            _ = &mut before => true,
        };
        if !has_turn {
            pass_on(call, answer, before).await;
            return number;
        }
    }
    if deadline <= Instant::now() {
        answer.waive();
        return number;
    }
    tokio::select! {
        biased;
        () = given_up => drop(answer.waive()),
        outcome = handler.handle(call) => answer.send(outcome),
    }
    number
}

/// Gives up a call before its turn. The turn is passed on only when it came, or the next call would overtake the one
/// before this. The place among the calls is kept until then: a peer that begins and gives up calls in a lane that is
/// stuck fills its own limit, and not this node's memory.
async fn pass_on(call: IncomingCall, answer: Answer, before: Before) {
    let IncomingCall { turn, payload, .. } = call;
    drop(payload);
    let place = answer.waive();
    // An error is what tells that the turn before is over.
    let _ = before.await;
    drop((turn, place));
}
