//! What a checkpoint keeps of a shard: the collections' state and the names of their segments. The records are in
//! the segments' files, which are written and synced before the payload that names them.
//!
//! ```text
//! payload    = u32 version (3), u64 number of the segments' folder (see `folder`), u64 next segment id, u32 count,
//!              collections
//! collection = u64 id, schema (see `op`), u64 next ordinal, u64 records ever inserted, u8 has_max, u64 largest integer id, u8 has_strings,
//!              16 bytes digest, u64 sequence, u32 count, segments
//! segment    = u64 id, u32 rows, dead set, deleted set (see `stored_set`)
//! ```

use crate::collection::Saved;
use crate::error::Damage;
use crate::folder::SegmentFolder;
use crate::graph_file;
use crate::op::{decode_schema, encode_schema, read_u32, read_u64, take};
use crate::schema::Schema;
use crate::sealed::Sealed;
use crate::segment::{Rows, Segment};
use crate::stored_set::{StoredSet, encode_set};
use lavandin_group::MultisetHash;
use lavandin_storage::Directory;
use lavandin_types::{CollectionId, SegmentId, Selection, SequenceNumber};
use std::sync::Arc;

/// Version 1 had no number of records ever inserted: it was the next ordinal. Versions 1 and 2 had one folder.
const VERSION: u32 = 3;
const FOLDER_SINCE: u32 = 3;
/// Segment ids stay below, so that counting on never overflows.
const SEGMENT_ID_MAX: u64 = 1 << 62;
const MALFORMED: &str = "its payload is malformed";

/// A shard as its last checkpoint left it.
pub(crate) struct Loaded {
    pub folder: SegmentFolder,
    pub next_segment: SegmentId,
    pub collections: Vec<Saved>,
}

/// A collection's part of the payload. Its segments are sealed.
pub(crate) struct CollectionPart<'a> {
    pub saved: &'a Saved,
    /// The segments' ids, in order.
    pub ids: &'a [SegmentId],
}

pub(crate) fn encode(
    folder: SequenceNumber,
    next_segment: SegmentId,
    parts: &[CollectionPart<'_>],
) -> Vec<u8> {
    let mut out = VERSION.to_le_bytes().to_vec();
    out.extend_from_slice(&folder.to_le_bytes());
    out.extend_from_slice(&next_segment.to_le_bytes());
    out.extend_from_slice(&(parts.len() as u32).to_le_bytes());
    for CollectionPart { saved, ids } in parts {
        out.extend_from_slice(&saved.id.to_le_bytes());
        encode_schema(&saved.schema, &mut out);
        out.extend_from_slice(&saved.next_ordinal.to_le_bytes());
        out.extend_from_slice(&saved.ever_written.to_le_bytes());
        out.push(u8::from(saved.max_int.is_some()));
        out.extend_from_slice(&saved.max_int.unwrap_or(0).to_le_bytes());
        out.push(u8::from(saved.has_strings));
        out.extend_from_slice(&saved.digest.get().to_le_bytes());
        out.extend_from_slice(&saved.sequence.to_le_bytes());
        out.extend_from_slice(&(ids.len() as u32).to_le_bytes());
        for (segment, id) in saved.segments.iter().zip(*ids) {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&segment.len.to_le_bytes());
            encode_set(&segment.dead, &mut out);
            encode_set(&segment.deleted, &mut out);
        }
    }
    out
}

/// The payload with its segments in another folder. `None` if it is of an old version, which names none.
pub fn with_folder(payload: &[u8], folder: SequenceNumber) -> Option<Vec<u8>> {
    let (version, rest) = payload.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != VERSION {
        return None;
    }
    let rest = rest.get(8..)?;
    Some([&version[..], &folder.to_le_bytes(), rest].concat())
}

/// Opens what the payload names.
pub(crate) fn load(directory: &Arc<dyn Directory>, payload: Option<&[u8]>) -> Result<Loaded, Damage> {
    let parsed = payload.map(Parsed::read).transpose()?.unwrap_or_default();
    let folder = SegmentFolder::new(Arc::clone(directory), parsed.folder);
    folder.create()?;
    let mut collections = Vec::new();
    for (mut saved, places) in parsed.collections {
        for place in places {
            saved.segments.push(open_segment(&folder, &saved.schema, place)?);
        }
        collections.push(saved);
    }
    Ok(Loaded { folder, next_segment: parsed.next_segment, collections })
}

/// A payload, read without its files.
pub(crate) struct Parsed<'a> {
    pub folder: SequenceNumber,
    pub next_segment: SegmentId,
    pub collections: Vec<(Saved, Vec<Place<'a>>)>,
}

impl Default for Parsed<'_> {
    fn default() -> Self {
        Self { folder: SequenceNumber::ZERO, next_segment: SegmentId::new(1), collections: Vec::new() }
    }
}

impl<'a> Parsed<'a> {
    pub(crate) fn read(payload: &'a [u8]) -> Result<Self, Damage> {
        let malformed = || Damage::new("checkpoint", MALFORMED);
        let mut rest = payload;
        let version = read_u32(&mut rest).ok_or_else(malformed)?;
        if !(1..=VERSION).contains(&version) {
            let what = format!("version {version} is not one this program reads (it reads 1 to {VERSION})");
            return Err(Damage::new("checkpoint", what));
        }
        Self::read_version(version, rest).ok_or_else(malformed)
    }

    fn read_version(version: u32, mut rest: &'a [u8]) -> Option<Self> {
        let folder = if version < FOLDER_SINCE { 0 } else { read_u64(&mut rest)? };
        let next_segment = SegmentId::new(read_u64(&mut rest)?);
        let mut collections = Vec::new();
        for _ in 0..read_u32(&mut rest)? {
            collections.push(decode_collection(&mut rest, version)?);
        }
        let parsed = Self { folder: SequenceNumber::new(folder), next_segment, collections };
        let counted = next_segment.get() <= SEGMENT_ID_MAX && parsed.segments().all(|id| id < next_segment);
        (counted && rest.is_empty()).then_some(parsed)
    }

    /// The ids of all segments.
    pub(crate) fn segments(&self) -> impl Iterator<Item = SegmentId> {
        self.collections.iter().flat_map(|(_, places)| places.iter().map(|place| place.id))
    }
}

/// A segment as the payload names it.
pub(crate) struct Place<'a> {
    pub id: SegmentId,
    rows: u32,
    dead: StoredSet<'a>,
    deleted: StoredSet<'a>,
}

fn decode_collection<'a>(rest: &mut &'a [u8], version: u32) -> Option<(Saved, Vec<Place<'a>>)> {
    let id = CollectionId::new(read_u64(rest)?);
    let schema = decode_schema(rest)?;
    let next_ordinal = read_u64(rest)?;
    let ever_written = if version == 1 { next_ordinal } else { read_u64(rest)? };
    let has_max = take(rest, 1)?[0] == 1;
    let max_int = Some(read_u64(rest)?).filter(|_| has_max);
    let has_strings = take(rest, 1)?[0] == 1;
    let digest = u128::from_le_bytes(take(rest, 16)?.try_into().ok()?);
    let sequence = SequenceNumber::new(read_u64(rest)?);
    let mut places = Vec::new();
    for _ in 0..read_u32(rest)? {
        let (id, rows) = (SegmentId::new(read_u64(rest)?), read_u32(rest)?);
        places.push(Place { id, rows, dead: StoredSet::read(rest)?, deleted: StoredSet::read(rest)? });
    }
    let digest = MultisetHash::from_value(digest);
    let (segments, incomplete) = (Vec::new(), None);
    let saved = Saved {
        id,
        schema,
        next_ordinal,
        ever_written,
        max_int,
        has_strings,
        digest,
        segments,
        incomplete,
        sequence,
    };
    Some((saved, places))
}

fn open_segment(folder: &SegmentFolder, schema: &Schema, place: Place<'_>) -> Result<Segment, Damage> {
    let sealed = Sealed::open(folder, place.id)?;
    let damage = |what: String| Err(Damage::new(&folder.rows_path(place.id), what));
    if sealed.rows != place.rows {
        return damage(format!("it holds {} rows where the checkpoint counts {}", sealed.rows, place.rows));
    }
    if sealed.element != schema.element || sealed.dim != schema.dim as usize {
        return damage("its vectors are not of the collection's form".to_owned());
    }
    graph_file::attach_saved(folder, &sealed);
    let (dead, deleted) = place.tombstones().ok_or_else(|| Damage::new("checkpoint", MALFORMED))?;
    let mut segment = Segment::new(Rows::Sealed(Arc::new(sealed)), place.rows);
    (segment.dead, segment.deleted) = (Arc::new(dead), Arc::new(deleted));
    segment.refresh_live();
    Ok(segment)
}

impl Place<'_> {
    /// The dead and the deleted rows; `None` if a row is both, or none of the segment's.
    fn tombstones(&self) -> Option<(Selection, Selection)> {
        let (dead, deleted) = (self.dead.within(self.rows)?, self.deleted.within(self.rows)?);
        let is_disjoint = deleted.iter().all(|row| !dead.contains(row));
        is_disjoint.then_some((dead, deleted))
    }
}

#[cfg(test)]
mod tests;
