//! The bytes of requests and answers (docs/formats/snapshots.md). All numbers are little-endian.
//!
//! ```text
//! request = u8 1, u64 group, u64 node                                begin, for that node
//!         | u8 2, u64 session, u32 part, u64 offset, u32 length      piece
//!         | u8 3, u64 session                                        end
//! offer   = u64 session, u64 group, u64 sequence, u64 snapshot bytes, 16 bytes XXH3-128 of them, u32 count, files
//! file    = u64 segment, u8 kind (0 rows, 1 graph), u64 bytes, 16 bytes checksum
//! piece   = 16 bytes XXH3-128 of the rest, bytes
//! ```
//! Part 0 is the snapshot, part *n* the *n*th file. An end is answered by nothing.

use bytes::{BufMut, Bytes, BytesMut};
use lavandin_shard::{FileKind, SegmentFile};
use lavandin_types::{GroupId, NodeId, SegmentId, SequenceNumber};
use xxhash_rust::xxh3::xxh3_128;

/// A piece is at most this long.
pub(super) const PIECE_BYTES_MAX: u32 = 4 << 20;
/// A snapshot without its files is at most this long: it is held in memory.
pub(super) const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;
const FILE_BYTES: usize = 33;
const HASH_BYTES: usize = 16;

const BEGIN: u8 = 1;
const PIECE: u8 = 2;
const END: u8 = 3;

/// What is asked of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Begin { group: GroupId, node: NodeId },
    Piece(Piece),
    End { session: u64 },
}

/// A part of the snapshot or of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub session: u64,
    pub part: u32,
    pub offset: u64,
    pub length: u32,
}

/// What a source has to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub session: u64,
    pub group: GroupId,
    /// The last record in the snapshot.
    pub sequence: SequenceNumber,
    pub snapshot_bytes: u64,
    pub snapshot_hash: u128,
    pub files: Vec<SegmentFile>,
}

impl Request {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Begin { group, node } => {
                out.put_u8(BEGIN);
                out.put_u64_le(group.get());
                out.put_u64_le(node.get());
            }
            Self::Piece(piece) => {
                out.put_u8(PIECE);
                out.put_u64_le(piece.session);
                out.put_u32_le(piece.part);
                out.put_u64_le(piece.offset);
                out.put_u32_le(piece.length);
            }
            Self::End { session } => {
                out.put_u8(END);
                out.put_u64_le(*session);
            }
        }
        out.freeze()
    }

    /// `None` on malformed bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, mut rest) = bytes.split_first()?;
        let rest = &mut rest;
        let request = match *kind {
            BEGIN => Self::Begin { group: GroupId::new(long(rest)?), node: NodeId::new(long(rest)?) },
            PIECE => {
                let (session, part) = (long(rest)?, word(rest)?);
                let piece = Piece { session, part, offset: long(rest)?, length: word(rest)? };
                Self::Piece(Some(piece).filter(|piece| piece.length <= PIECE_BYTES_MAX)?)
            }
            END => Self::End { session: long(rest)? },
            _ => return None,
        };
        rest.is_empty().then_some(request)
    }
}

impl Offer {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64 + FILE_BYTES * self.files.len());
        out.put_u64_le(self.session);
        out.put_u64_le(self.group.get());
        out.put_u64_le(self.sequence.get());
        out.put_u64_le(self.snapshot_bytes);
        out.put_u128_le(self.snapshot_hash);
        out.put_u32_le(self.files.len() as u32);
        for file in &self.files {
            out.put_u64_le(file.segment.get());
            out.put_u8(match file.kind {
                FileKind::Rows => 0,
                FileKind::Graph => 1,
            });
            out.put_u64_le(file.bytes);
            out.put_u128_le(file.checksum);
        }
        out.freeze()
    }

    /// `None` on malformed bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = &mut &bytes[..];
        let (session, group) = (long(rest)?, GroupId::new(long(rest)?));
        let (sequence, snapshot_bytes) = (SequenceNumber::new(long(rest)?), long(rest)?);
        let snapshot_hash = hash(rest)?;
        let count = word(rest)? as usize;
        if rest.len() != count.checked_mul(FILE_BYTES)? || snapshot_bytes > SNAPSHOT_BYTES_MAX {
            return None;
        }
        let mut files = Vec::with_capacity(count);
        let mut total = snapshot_bytes;
        for _ in 0..count {
            let segment = SegmentId::new(long(rest)?);
            let kind = match rest.split_off_first()? {
                0 => FileKind::Rows,
                1 => FileKind::Graph,
                _ => return None,
            };
            let file = SegmentFile { segment, kind, bytes: long(rest)?, checksum: hash(rest)? };
            total = total.checked_add(file.bytes).filter(|_| file.bytes > 0)?;
            files.push(file);
        }
        Some(Self { session, group, sequence, snapshot_bytes, snapshot_hash, files })
    }

    /// Bytes of the snapshot and of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.snapshot_bytes + self.files.iter().map(|file| file.bytes).sum::<u64>()
    }
}

/// The answer to a request for a piece.
pub(super) fn encode_piece(bytes: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HASH_BYTES + bytes.len());
    out.put_u128_le(xxh3_128(bytes));
    out.put_slice(bytes);
    out.freeze()
}

/// The bytes of a piece; `None` if they are not what was sent.
pub(super) fn decode_piece(answer: &Bytes) -> Option<Bytes> {
    let rest = &mut &answer[..];
    let expected = hash(rest)?;
    (xxh3_128(rest) == expected).then(|| answer.slice(HASH_BYTES..))
}

fn word(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_le_bytes(*bytes))
}

fn long(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(u64::from_le_bytes(*bytes))
}

fn hash(rest: &mut &[u8]) -> Option<u128> {
    let (bytes, after) = rest.split_first_chunk::<HASH_BYTES>()?;
    *rest = after;
    Some(u128::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests;
