//! The bytes of a segment file: its header, frames and marks. docs/formats/log.md has the tables.

use lavandin_types::{RecordHash, SequenceNumber};
use std::num::NonZeroU128;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes before the first frame of a segment file.
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;
/// Bytes before a frame's payload; the whole of a mark.
pub(super) const FRAME_HEADER_BYTES: usize = 40;
/// Frames and marks begin at multiples of this.
pub(super) const ALIGNMENT: usize = 8;
/// Version 1 is the same, of logs whose records hold fewer kinds of operations.
pub(super) const SEGMENT_VERSION: u32 = 2;

const SEGMENT_MAGIC: &[u8; 8] = b"LVNDLOG1";
const SEGMENT_HASHED_BYTES: usize = 56;
const FRAME_HASHED_BYTES: usize = 32;
const FRAME: [u8; 4] = *b"LVFR";
const MARK: [u8; 4] = *b"LVMK";

/// What the log knows of a frame besides its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    pub sequence: SequenceNumber,
    /// Of the payload, computed and checked by the log's user.
    pub hash: RecordHash,
    /// Length of the payload.
    pub bytes: u32,
}

impl FrameHead {
    /// Bytes in the file: header, payload, padding.
    pub(super) fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.bytes) + padding(self.bytes as usize) as u64
    }
}

/// Zeros that follow a payload.
pub(super) fn padding(payload_bytes: usize) -> usize {
    payload_bytes.next_multiple_of(ALIGNMENT) - payload_bytes
}

/// A place in a log. Header checksums cover it, so that bytes of another segment or offset are never taken for a
/// frame, whatever a file system leaves in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// First sequence number of the segment.
    pub(super) segment: SequenceNumber,
    pub(super) offset: u64,
}

/// A decoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Frame(FrameHead),
    Mark(Mark),
}

/// Says that all before it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Sequence number of the frame before it.
    pub(super) last: SequenceNumber,
    /// `None`: all before was synced before this was written. `Some`: all before was written before this, and is
    /// there as long as the machine runs, see `Directory::power_cycle`.
    pub(super) power_cycle: Option<NonZeroU128>,
}

impl Mark {
    /// Whether it proves that all before it is there, in the present power cycle.
    pub(super) fn holds_in(&self, present: Option<u128>) -> bool {
        self.power_cycle.is_none_or(|written| present == Some(written.get()))
    }
}

impl Head {
    pub(super) fn encode(&self, place: Place) -> [u8; FRAME_HEADER_BYTES] {
        let (kind, bytes, sequence, hash) = match self {
            Self::Frame(head) => (FRAME, head.bytes, head.sequence, head.hash),
            Self::Mark(mark) => {
                let power_cycle = mark.power_cycle.map_or(0, NonZeroU128::get);
                (MARK, 0, mark.last, RecordHash::new(power_cycle))
            }
        };
        let mut header = [0; FRAME_HEADER_BYTES];
        header[..4].copy_from_slice(&kind);
        header[4..8].copy_from_slice(&bytes.to_le_bytes());
        header[8..16].copy_from_slice(&sequence.to_le_bytes());
        header[16..32].copy_from_slice(&hash.to_le_bytes());
        let hash = checksum(&header, place);
        header[FRAME_HASHED_BYTES..].copy_from_slice(&hash.to_le_bytes());
        header
    }

    /// The header at `place`, if these bytes were written there.
    pub(super) fn decode(header: &[u8; FRAME_HEADER_BYTES], place: Place) -> Option<Self> {
        let (kind, rest) = header.split_first_chunk::<4>()?;
        if !matches!(*kind, FRAME | MARK)
            || header[FRAME_HASHED_BYTES..] != checksum(header, place).to_le_bytes()
        {
            return None;
        }
        let (bytes, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (hash, _) = rest.split_first_chunk()?;
        let head = FrameHead {
            sequence: SequenceNumber::from_le_bytes(*sequence),
            hash: RecordHash::from_le_bytes(*hash),
            bytes: u32::from_le_bytes(*bytes),
        };
        match *kind {
            FRAME => Some(Self::Frame(head)),
            _ => {
                let mark = Mark { last: head.sequence, power_cycle: NonZeroU128::new(head.hash.get()) };
                (head.bytes == 0).then_some(Self::Mark(mark))
            }
        }
    }
}

/// Positions, relative to `bytes` and aligned, of what begins as a mark does.
pub(super) fn mark_candidates(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let words = bytes.chunks_exact(ALIGNMENT).enumerate();
    words.filter(|(_, word)| word.starts_with(&MARK)).map(|(index, _)| index * ALIGNMENT)
}

fn checksum(header: &[u8; FRAME_HEADER_BYTES], place: Place) -> u64 {
    let mut hashed = [0; FRAME_HASHED_BYTES + 16];
    hashed[..8].copy_from_slice(&place.segment.to_le_bytes());
    hashed[8..16].copy_from_slice(&place.offset.to_le_bytes());
    hashed[16..].copy_from_slice(&header[..FRAME_HASHED_BYTES]);
    xxh3_64(&hashed)
}

/// Why a segment's header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentHeaderError {
    Invalid,
    Version(u32),
}

pub(super) fn encode_segment_header(first: SequenceNumber) -> [u8; SEGMENT_HEADER_BYTES] {
    encode_header_of_version(SEGMENT_VERSION, first)
}

fn encode_header_of_version(version: u32, first: SequenceNumber) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut header = [0; SEGMENT_HEADER_BYTES];
    header[..8].copy_from_slice(SEGMENT_MAGIC);
    header[8..12].copy_from_slice(&version.to_le_bytes());
    header[16..24].copy_from_slice(&first.to_le_bytes());
    let hash = xxh3_64(&header[..SEGMENT_HASHED_BYTES]);
    header[SEGMENT_HASHED_BYTES..].copy_from_slice(&hash.to_le_bytes());
    header
}

/// Checks that `header` begins the segment whose name says `first`.
pub(super) fn check_segment_header(
    header: &[u8; SEGMENT_HEADER_BYTES],
    first: SequenceNumber,
) -> Result<(), SegmentHeaderError> {
    let hash = xxh3_64(&header[..SEGMENT_HASHED_BYTES]);
    if !header.starts_with(SEGMENT_MAGIC) || header[SEGMENT_HASHED_BYTES..] != hash.to_le_bytes() {
        return Err(SegmentHeaderError::Invalid);
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    match version {
        1..=SEGMENT_VERSION if *header == encode_header_of_version(version, first) => Ok(()),
        1..=SEGMENT_VERSION => Err(SegmentHeaderError::Invalid),
        other => Err(SegmentHeaderError::Version(other)),
    }
}

const NAME_SUFFIX: &str = ".log";
const NAME_DIGITS: usize = 20;

/// A segment file's name in the log's folder.
pub(super) fn segment_name(first: SequenceNumber) -> String {
    format!("{:0NAME_DIGITS$}{NAME_SUFFIX}", first.get())
}

/// The first sequence number that a segment file's name says. Half of the 64 bits is more than any log reaches, and
/// leaves room to count on from there.
pub(super) fn parse_segment_name(name: &str) -> Option<SequenceNumber> {
    let digits = name.strip_suffix(NAME_SUFFIX)?;
    let shaped = digits.len() == NAME_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !shaped {
        return None;
    }
    let first = digits.parse().ok().filter(|first| *first > 0 && *first <= u64::MAX / 2);
    first.map(SequenceNumber::new)
}
