//! What a checkpoint keeps of a shard: the collections' state and the names of their segments. The records are in
//! the segments' files, which are written and synced before the payload that names them.
//!
//! ```text
//! payload    = u32 version (2), u64 next segment id, u32 count, collections
//! collection = u64 id, schema (see `op`), u64 next ordinal, u64 records ever inserted, u8 has_max, u64 largest integer id, u8 has_strings,
//!              16 bytes digest, u64 sequence, u32 count, segments
//! segment    = u64 id, u32 rows, dead set, deleted set (see `stored_set`)
//! ```

use crate::collection::Saved;
use crate::error::Damage;
use crate::graph_file;
use crate::op::{decode_schema, encode_schema, read_u32, read_u64, take};
use crate::schema::Schema;
use crate::sealed::{Sealed, graph_file_name, path, rows_file_name};
use crate::segment::{Rows, Segment};
use crate::stored_set::{StoredSet, encode_set};
use lavandin_group::MultisetHash;
use lavandin_storage::Directory;
use lavandin_types::{CollectionId, SegmentId, Selection, SequenceNumber};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Version 1 had no number of records ever inserted: it was the next ordinal.
const VERSION: u32 = 2;
const MALFORMED: &str = "its payload is malformed";
pub(crate) const SEGMENTS: &str = "segments";

/// A shard as its last checkpoint left it.
pub(crate) struct Loaded {
    pub next_segment: SegmentId,
    pub collections: Vec<Saved>,
}

/// A collection's part of the payload. Its segments are sealed.
pub(crate) struct CollectionPart<'a> {
    pub saved: &'a Saved,
    /// The segments' ids, in order.
    pub ids: &'a [SegmentId],
}

pub(crate) fn encode(next_segment: SegmentId, parts: &[CollectionPart<'_>]) -> Vec<u8> {
    let mut out = VERSION.to_le_bytes().to_vec();
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

/// Opens what the payload names and removes the other files of the segment directory.
pub(crate) fn load(directory: &dyn Directory, payload: Option<&[u8]>) -> Result<Loaded, Damage> {
    let storage = |error: lavandin_storage::StorageError| Damage::new(SEGMENTS, error);
    directory.create_dir_all(SEGMENTS).map_err(storage)?;
    let loaded = match payload {
        None => Loaded { next_segment: SegmentId::new(1), collections: Vec::new() },
        Some(bytes) => decode(directory, bytes)?,
    };
    let mut kept = BTreeSet::new();
    for segment in loaded.collections.iter().flat_map(|saved| &saved.segments) {
        if let Rows::Sealed(sealed) = &segment.rows {
            kept.insert(rows_file_name(sealed.id));
            kept.insert(graph_file_name(sealed.id));
        }
    }
    for name in directory.list(SEGMENTS).map_err(storage)? {
        if !kept.contains(&name) {
            directory.remove(&format!("{SEGMENTS}/{name}")).map_err(storage)?;
        }
    }
    Ok(loaded)
}

fn decode(directory: &dyn Directory, payload: &[u8]) -> Result<Loaded, Damage> {
    let malformed = || Damage::new("checkpoint", MALFORMED);
    let mut rest = payload;
    let version = read_u32(&mut rest).ok_or_else(malformed)?;
    if !(1..=VERSION).contains(&version) {
        let what = format!("version {version} is not one this program reads (it reads 1 to {VERSION})");
        return Err(Damage::new("checkpoint", what));
    }
    let next_segment = SegmentId::new(read_u64(&mut rest).ok_or_else(malformed)?);
    let count = read_u32(&mut rest).ok_or_else(malformed)?;
    let mut collections = Vec::new();
    for _ in 0..count {
        let (mut saved, places) = decode_collection(&mut rest, version).ok_or_else(malformed)?;
        for place in places {
            saved.segments.push(open_segment(directory, &saved.schema, place)?);
        }
        collections.push(saved);
    }
    rest.is_empty().then_some(Loaded { next_segment, collections }).ok_or_else(malformed)
}

struct Place<'a> {
    id: SegmentId,
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

fn open_segment(directory: &dyn Directory, schema: &Schema, place: Place<'_>) -> Result<Segment, Damage> {
    let sealed = Sealed::open(directory, place.id)?;
    let damage = |what: String| Err(Damage::new(&path(&rows_file_name(place.id)), what));
    if sealed.rows != place.rows {
        return damage(format!("it holds {} rows where the checkpoint counts {}", sealed.rows, place.rows));
    }
    if sealed.element != schema.element || sealed.dim != schema.dim as usize {
        return damage("its vectors are not of the collection's form".to_owned());
    }
    graph_file::attach_saved(directory, &sealed);
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
