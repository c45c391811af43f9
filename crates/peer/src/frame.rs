//! Frames under a keyed MAC and a counter; no I/O.
//!
//! A frame is a header of fixed length, a payload of at most [`FRAME_PAYLOAD_BYTES_MAX`] bytes and a tag. The MAC covers
//! the frame's number within its direction, which is not sent: a frame that was altered, repeated, left out, moved or
//! taken from the other direction has a wrong tag. After the first error an [`Opener`] opens nothing more.

use crate::error::FrameError;
use crate::identity::{Protocols, array};
use crate::secret::Tag;
use bytes::{Buf, BytesMut};
use subtle::ConstantTimeEq;

/// What this program speaks. A release that raises the highest keeps the lowest, so that neighbours work together.
pub const PROTOCOLS: Protocols = Protocols { lowest: 1, highest: 1 };

/// Payload of one frame. What a small message waits for at most behind a large one, half a millisecond at 1 Gbit/s;
/// larger frames were no faster, because hashing costs more than what comes with each frame.
pub const FRAME_PAYLOAD_BYTES_MAX: usize = 64 << 10;
/// Payload of one message.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

pub(crate) const HEADER_BYTES: usize = 32;
/// Keyed BLAKE3, cut to 128 bits.
pub(crate) const TAG_BYTES: usize = 16;

/// Calls of one lane reach the handler in the order of their arrival. Which lanes there are is the callers' choice,
/// such as one a shard group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lane(u64);

impl Lane {
    /// No order is asked for.
    pub const NONE: Self = Self(0);

    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    pub const fn get(self) -> u64 {
        self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Begins a call.
    Request = 1,
    /// Begins the handler's answer to a call.
    Response = 2,
    /// Answers a call that the handler has not seen and will not see.
    Refusal = 3,
    /// Goes on with a message that was larger than one frame.
    Data = 4,
    /// The caller no longer waits; of a call whose request is not complete, no more comes.
    Cancel = 5,
    /// The sender lives.
    Alive = 6,
    /// The sender begins no more calls, or handles no more.
    Goodbye = 7,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Refusal,
            4 => Self::Data,
            5 => Self::Cancel,
            6 => Self::Alive,
            7 => Self::Goodbye,
            _ => return None,
        })
    }
}

/// What a frame says of the message that it begins or goes on with. Fields that a kind does not use are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// A request's method; the error code of a response or refusal, 0 for none.
    pub(crate) code: u16,
    pub(crate) call: u64,
    pub(crate) lane: Lane,
    /// What is left until the deadline, in a request.
    pub(crate) left_ms: u32,
    /// Payload of the whole message, of which the frame holds as much as fits.
    pub(crate) message_bytes: u32,
}

impl Header {
    pub(crate) const fn new(kind: Kind, call: u64) -> Self {
        Self { kind, code: 0, call, lane: Lane::NONE, left_ms: 0, message_bytes: 0 }
    }

    fn to_bytes(self, payload_bytes: u32) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&payload_bytes.to_le_bytes());
        bytes[4] = self.kind as u8;
        bytes[6..8].copy_from_slice(&self.code.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.call.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.lane.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.left_ms.to_le_bytes());
        bytes[28..].copy_from_slice(&self.message_bytes.to_le_bytes());
        bytes
    }

    /// Reads all but the payload's length.
    fn from_bytes(bytes: &[u8]) -> Result<Self, FrameError> {
        let kind = Kind::from_byte(bytes[4]).ok_or(FrameError::Malformed("a frame of an unknown kind"))?;
        let header = Self {
            kind,
            code: u16::from_le_bytes(array(bytes, 6)),
            call: u64::from_le_bytes(array(bytes, 8)),
            lane: Lane(u64::from_le_bytes(array(bytes, 16))),
            left_ms: u32::from_le_bytes(array(bytes, 24)),
            message_bytes: u32::from_le_bytes(array(bytes, 28)),
        };
        if bytes[5] != 0 || header.unused_set() {
            return Err(FrameError::Malformed("a field that must be zero is not"));
        }
        Ok(header)
    }

    fn unused_set(&self) -> bool {
        let begins = matches!(self.kind, Kind::Request | Kind::Response | Kind::Refusal);
        let without_call = matches!(self.kind, Kind::Alive | Kind::Goodbye);
        let of_request = self.kind != Kind::Request && (self.lane != Lane::NONE || self.left_ms != 0);
        of_request
            || (!begins && (self.code != 0 || self.message_bytes != 0))
            || (without_call && self.call != 0)
    }
}

/// A frame whose tag was right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) payload: BytesMut,
}

/// The tag of the frame with this number in its direction. Of all that is hashed the last 8 bytes are the number, so it
/// cannot be cut in another way.
fn tag_of(key: &Tag, number: u64, frame: &[u8]) -> [u8; TAG_BYTES] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(frame).update(&number.to_le_bytes());
    let mut tag = [0; TAG_BYTES];
    hasher.finalize_xof().fill(&mut tag);
    tag
}

/// Writes the frames of one direction.
pub(crate) struct Sealer {
    key: Tag,
    count: u64,
}

impl Sealer {
    pub(crate) const fn new(key: Tag) -> Self {
        Self { key, count: 0 }
    }

    /// Appends a frame to `out`. `payload` holds at most [`FRAME_PAYLOAD_BYTES_MAX`] bytes.
    pub(crate) fn seal(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) {
        debug_assert!(payload.len() <= FRAME_PAYLOAD_BYTES_MAX);
        let start = out.len();
        out.reserve(HEADER_BYTES + payload.len() + TAG_BYTES);
        out.extend_from_slice(&header.to_bytes(payload.len() as u32));
        out.extend_from_slice(payload);
        let tag = tag_of(&self.key, self.count, &out[start..]);
        self.count += 1;
        out.extend_from_slice(&tag);
    }
}

/// Reads the frames of one direction.
pub(crate) struct Opener {
    key: Tag,
    count: u64,
    failed: Option<FrameError>,
}

impl Opener {
    pub(crate) const fn new(key: Tag) -> Self {
        Self { key, count: 0, failed: None }
    }

    /// Takes the next frame off the front of `bytes`; none while it is not complete. Never asks for more bytes than
    /// one frame has.
    pub(crate) fn open(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.next(bytes).inspect_err(|error| self.failed = Some(*error))
    }

    fn next(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if bytes.len() < HEADER_BYTES {
            return Ok(None);
        }
        let payload_bytes = u32::from_le_bytes(array(bytes, 0));
        if payload_bytes as usize > FRAME_PAYLOAD_BYTES_MAX {
            return Err(FrameError::TooLong { bytes: payload_bytes, max: FRAME_PAYLOAD_BYTES_MAX as u32 });
        }
        let tagged = HEADER_BYTES + payload_bytes as usize;
        if bytes.len() < tagged + TAG_BYTES {
            return Ok(None);
        }
        let tag = tag_of(&self.key, self.count, &bytes[..tagged]);
        if !bool::from(tag.ct_eq(&bytes[tagged..tagged + TAG_BYTES])) {
            return Err(FrameError::WrongTag);
        }
        self.count += 1;
        let header = Header::from_bytes(&bytes[..HEADER_BYTES])?;
        bytes.advance(HEADER_BYTES);
        let payload = bytes.split_to(payload_bytes as usize);
        bytes.advance(TAG_BYTES);
        Ok(Some(Frame { header, payload }))
    }
}

#[cfg(test)]
mod tests;
