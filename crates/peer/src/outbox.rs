//! What waits to be sent, and which frame is next; no I/O.
//!
//! Three queues. *Control* frames go first. *Express* holds messages of one frame that belong to no lane. *Ordered*
//! holds all others in the order they came, one message at a time: so a lane keeps its order, and the other side
//! never has two incomplete messages. Express goes before ordered, but after [`BURST_MAX`] of its frames one of
//! ordered has its turn. Lengths are bounded by those who push: each message belongs to a call that has a permit.

use crate::frame::{FRAME_PAYLOAD_BYTES_MAX, Header, Kind, Lane};
use bytes::Bytes;
use std::collections::VecDeque;

const BURST_MAX: u32 = 16;

/// A message to send. `T` is given back with its last frame.
#[derive(Debug)]
pub(crate) struct Outgoing<T> {
    /// `message_bytes` and `left_ms` are filled in here.
    pub(crate) header: Header,
    /// Of a request, on the clock of `next`.
    pub(crate) deadline_ms: u64,
    pub(crate) payload: Bytes,
    pub(crate) ticket: T,
}

/// The next frame, and the ticket of the message that it completes.
#[derive(Debug)]
pub(crate) struct Step<T> {
    pub(crate) header: Header,
    pub(crate) payload: Bytes,
    pub(crate) done: Option<T>,
}

/// What cancelling found of a call's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// Its last frame was not given out: the other side cannot have all of it, and will not get it.
    Unsent,
    /// Its last frame was given out, or it was never here.
    Sent,
}

#[derive(Debug)]
pub(crate) struct Outbox<T> {
    control: VecDeque<Header>,
    express: VecDeque<Outgoing<T>>,
    ordered: VecDeque<Outgoing<T>>,
    /// Bytes of the first ordered message that were given out, if it was begun.
    begun: Option<usize>,
    burst: u32,
}

impl<T> Outbox<T> {
    pub(crate) const fn new() -> Self {
        Self {
            control: VecDeque::new(),
            express: VecDeque::new(),
            ordered: VecDeque::new(),
            begun: None,
            burst: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.express.is_empty() && self.ordered.is_empty()
    }

    pub(crate) fn push_control(&mut self, header: Header) {
        self.control.push_back(header);
    }

    pub(crate) fn push(&mut self, mut message: Outgoing<T>) {
        message.header.message_bytes = message.payload.len() as u32;
        let small = message.payload.len() <= FRAME_PAYLOAD_BYTES_MAX;
        let queue =
            if small && message.header.lane == Lane::NONE { &mut self.express } else { &mut self.ordered };
        queue.push_back(message);
    }

    /// Takes back a request. Of one that was begun, the other side is told that no more comes.
    pub(crate) fn cancel(&mut self, call: u64) -> Cancelled {
        let at = |queue: &VecDeque<Outgoing<T>>| queue.iter().position(|message| message.header.call == call);
        if let Some(at) = at(&self.express) {
            self.express.remove(at);
            return Cancelled::Unsent;
        }
        let Some(at) = at(&self.ordered) else { return Cancelled::Sent };
        self.ordered.remove(at);
        if at == 0 && self.begun.take().is_some() {
            self.control.push_back(Header::new(Kind::Cancel, call));
        }
        Cancelled::Unsent
    }

    /// The next frame; none if nothing waits. `now_ms` is on the clock of the deadlines.
    pub(crate) fn next(&mut self, now_ms: u64) -> Option<Step<T>> {
        if let Some(header) = self.control.pop_front() {
            return Some(Step { header, payload: Bytes::new(), done: None });
        }
        if self.burst >= BURST_MAX || self.express.is_empty() {
            self.burst = 0;
            if let Some(step) = self.next_ordered(now_ms) {
                return Some(step);
            }
        }
        self.burst += 1;
        let message = self.express.pop_front()?;
        Some(Step { header: first(&message, now_ms), payload: message.payload, done: Some(message.ticket) })
    }

    fn next_ordered(&mut self, now_ms: u64) -> Option<Step<T>> {
        let message = self.ordered.front()?;
        let header = match self.begun {
            None => first(message, now_ms),
            Some(_) => Header::new(Kind::Data, message.header.call),
        };
        let from = self.begun.unwrap_or(0);
        let to = message.payload.len().min(from + FRAME_PAYLOAD_BYTES_MAX);
        let payload = message.payload.slice(from..to);
        if to < message.payload.len() {
            self.begun = Some(to);
            return Some(Step { header, payload, done: None });
        }
        self.begun = None;
        Some(Step { header, payload, done: self.ordered.pop_front().map(|message| message.ticket) })
    }
}

fn first<T>(message: &Outgoing<T>, now_ms: u64) -> Header {
    let mut header = message.header;
    if header.kind == Kind::Request {
        header.left_ms = u32::try_from(message.deadline_ms.saturating_sub(now_ms)).unwrap_or(u32::MAX);
    }
    header
}

#[cfg(test)]
mod tests;
