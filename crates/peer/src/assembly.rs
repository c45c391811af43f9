//! Messages put together from frames; no I/O.
//!
//! At most one message is incomplete at a time: between the frames of a large message only messages of one frame
//! may stand. So whoever stops reading for want of room holds one part of one message, and nothing waits in a circle.

use crate::error::FrameError;
use crate::frame::{FRAME_PAYLOAD_BYTES_MAX, Frame, Header, Kind, MESSAGE_BYTES_MAX};
use bytes::Bytes;

/// What the other side said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Message(Header, Bytes),
    Cancel {
        call: u64,
    },
    /// The call's request was given up before it was complete.
    Abandoned {
        call: u64,
    },
    Alive,
    Goodbye,
}

#[derive(Default)]
pub(crate) struct Assembly {
    partial: Option<(Header, Vec<u8>)>,
}

impl Assembly {
    /// Bytes that the message which `frame` begins will hold in all; none if it begins none. Ask before `push`, and
    /// push when there is room.
    pub(crate) fn begins(frame: &Frame) -> Result<Option<u32>, FrameError> {
        let bytes = frame.header.message_bytes;
        if bytes as usize > MESSAGE_BYTES_MAX {
            return Err(FrameError::TooLong { bytes, max: MESSAGE_BYTES_MAX as u32 });
        }
        let begins = matches!(frame.header.kind, Kind::Request | Kind::Response | Kind::Refusal);
        Ok(begins.then_some(bytes))
    }

    /// Whether a message is incomplete.
    pub(crate) const fn is_partial(&self) -> bool {
        self.partial.is_some()
    }

    /// Takes the next frame; none if it completes nothing.
    pub(crate) fn push(&mut self, frame: Frame) -> Result<Option<Event>, FrameError> {
        Self::begins(&frame)?;
        let Frame { header, payload } = frame;
        match header.kind {
            Kind::Request | Kind::Response | Kind::Refusal => self.begin(header, &payload),
            Kind::Data => self.go_on(header.call, &payload),
            _ if !payload.is_empty() => Err(FrameError::Malformed("a payload where none belongs")),
            Kind::Cancel if self.partial.as_ref().is_some_and(|(of, _)| of.call == header.call) => {
                self.partial = None;
                Ok(Some(Event::Abandoned { call: header.call }))
            }
            Kind::Cancel => Ok(Some(Event::Cancel { call: header.call })),
            Kind::Alive => Ok(Some(Event::Alive)),
            Kind::Goodbye => Ok(Some(Event::Goodbye)),
        }
    }

    fn begin(&mut self, header: Header, payload: &[u8]) -> Result<Option<Event>, FrameError> {
        let bytes = header.message_bytes as usize;
        if payload.len() != bytes.min(FRAME_PAYLOAD_BYTES_MAX) {
            return Err(FrameError::Malformed("a first frame that is not filled"));
        }
        if payload.len() == bytes {
            return Ok(Some(Event::Message(header, Bytes::copy_from_slice(payload))));
        }
        if self.partial.is_some() {
            return Err(FrameError::Malformed("two large messages at once"));
        }
        let mut whole = Vec::with_capacity(bytes);
        whole.extend_from_slice(payload);
        self.partial = Some((header, whole));
        Ok(None)
    }

    fn go_on(&mut self, call: u64, payload: &[u8]) -> Result<Option<Event>, FrameError> {
        let Some((header, whole)) = self.partial.as_mut().filter(|(header, _)| header.call == call) else {
            return Err(FrameError::Malformed("more of a message that was not begun"));
        };
        let left = header.message_bytes as usize - whole.len();
        if payload.len() != left.min(FRAME_PAYLOAD_BYTES_MAX) {
            return Err(FrameError::Malformed("a frame that is not filled"));
        }
        whole.extend_from_slice(payload);
        if payload.len() < left {
            return Ok(None);
        }
        Ok(self.partial.take().map(|(header, whole)| Event::Message(header, whole.into())))
    }
}

#[cfg(test)]
mod tests;
