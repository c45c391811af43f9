//! Validation of changes against applied plus pending operations, and the making of their bytes.
//!
//! Everything that can be refused is refused here, before anything is logged. What an accepted change will bring into
//! being is kept as pending until it is applied: the ids it inserts, the rows it adds. What it will take away
//! (deleted, compacted) is not: a request that races with it is judged as if it had come before, which is one of the
//! two orders its caller must expect.

use crate::collection::{ALLOTTED_END, Collection};
use crate::error::Rejection;
use crate::op;
use crate::request::{BatchIds, Change, Places, RecordBatch, VectorBatch};
use crate::schema::Schema;
use crate::view::locate;
use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use hashbrown::HashSet;
use lavandin_group::OP_BYTES_MAX;
use lavandin_types::{CollectionId, ElementType, FieldsRef, Metric, RecordId, RecordIdRef};

/// Longest string id.
pub const ID_BYTES_MAX: usize = 4096;

/// Limits of a collection; 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardLimits {
    pub collection_vectors_max: u64,
    pub collection_vector_bytes_max: u64,
}

/// A checked write that holds its ids and is not yet logged. It is logged or released; a former primary's go with the
/// rest of what was pending.
#[derive(Clone, Debug, PartialEq)]
pub struct Reservation {
    pub(crate) collection: CollectionId,
    op: Vec<u8>,
    ids: BatchIds,
    upsert: bool,
}

impl Reservation {
    /// The same without its record: for a release after it was handed over and came to nothing.
    pub fn ids_only(&self) -> Self {
        Self { op: Vec::new(), ids: self.ids.clone(), ..*self }
    }
}

/// Checks a change and appends its operation; reserves what it inserts.
pub(crate) fn prepare(
    collection: &mut Collection,
    limits: &ShardLimits,
    change: Change,
    out: &mut Vec<u8>,
) -> Result<(), Rejection> {
    let start = out.len();
    match change {
        Change::Add(batch) => drop(prepare_write(collection, limits, batch, false, out)?),
        Change::Upsert(batch) => drop(prepare_write(collection, limits, batch, true, out)?),
        Change::Delete(ids) => {
            collection.verify()?;
            check_ids(ids.iter().map(RecordId::as_ref))?;
            op::encode_delete(&ids, out);
        }
        Change::Restore(ids) => {
            collection.verify()?;
            check_ids(ids.iter().map(RecordId::as_ref))?;
            op::encode_restore(&ids, out);
        }
        Change::Compact => op::encode_compact(out),
        Change::Allot { start, count } => op::encode_allot(start, count, out),
    }
    check_size(out.len() - start)?;
    collection.pending.staged_one();
    Ok(())
}

/// Checks an add or upsert as `prepare` does and holds its ids, to be logged by `prepare_reserved`.
pub(crate) fn reserve(
    collection: &mut Collection,
    limits: &ShardLimits,
    batch: RecordBatch,
    upsert: bool,
) -> Result<Reservation, Rejection> {
    let mut op = Vec::new();
    let ids = prepare_write(collection, limits, batch, upsert, &mut op)?;
    collection.pending.reserved(&ids, upsert);
    Ok(Reservation { collection: collection.id, op, ids, upsert })
}

/// Appends the operation of a reserved write, which is pending from now on like any other.
pub(crate) fn prepare_reserved(collection: &mut Collection, reservation: &Reservation, out: &mut Vec<u8>) {
    out.extend_from_slice(&reservation.op);
    collection.pending.reservation_ended(&reservation.ids, reservation.upsert);
    collection.pending.staged_one();
}

/// Gives back the ids of a write that will not be logged.
pub(crate) fn release(collection: &mut Collection, reservation: &Reservation) {
    collection.pending.release(&reservation.ids, reservation.upsert);
}

/// Checks what a batch says by itself, whatever the collection holds: its shape, numbers, fields and ids. `prepare`
/// finds the same; this is for who splits a batch and wants its rows named as they came.
pub fn check_batch(schema: &Schema, batch: &RecordBatch) -> Result<(), Rejection> {
    check_shape(schema.dim, batch)?;
    check_numbers(&batch.vectors, schema.metric())?;
    check_width(&batch.vectors, schema.element)?;
    check_fields(batch.fields.as_deref(), batch.ids.len())?;
    if batch.ids.is_empty() {
        return Err(Rejection::CountMismatch { ids: 0, vectors: 0 });
    }
    check_ids(batch.ids.iter())?;
    check_range(&batch.ids)?;
    check_repeats(&batch.ids)
}

fn check_size(bytes: usize) -> Result<(), Rejection> {
    (bytes <= OP_BYTES_MAX).then_some(()).ok_or(Rejection::TooLarge { bytes, limit: OP_BYTES_MAX })
}

fn prepare_write(
    collection: &mut Collection,
    limits: &ShardLimits,
    mut batch: RecordBatch,
    upsert: bool,
    out: &mut Vec<u8>,
) -> Result<BatchIds, Rejection> {
    if upsert {
        collection.verify()?;
    }
    let (rows, start) = (batch.ids.len(), out.len());
    check_shape(collection.schema.dim, &batch)?;
    check_numbers(&batch.vectors, collection.schema.metric())?;
    check_width(&batch.vectors, collection.schema.element)?;
    check_fields(batch.fields.as_deref(), rows)?;
    if check_limits(collection, limits, collection.pending.rows + rows as u64).is_err() {
        // Records that an upsert replaces, or a staged one will, take no room; they are counted only when it matters.
        let new = if upsert { count_new(collection, &batch.ids) } else { rows as u64 };
        let is_known = |id: RecordIdRef<'_>| locate(&collection.segments, id).is_some();
        check_limits(collection, limits, collection.pending.ids.count_new(is_known) + new)?;
    }
    let largest = collection.max_int.max(collection.pending.max_int);
    if let BatchIds::Assigned { count } = batch.ids {
        let start = collection.next_allotted(collection.pending.max_int, collection.pending.rows);
        let end = start.checked_add(u64::from(count)).filter(|end| *end <= ALLOTTED_END);
        end.ok_or(Rejection::IdsExhausted { start })?;
        batch.ids = BatchIds::Range { start, count };
    } else {
        check_ids(batch.ids.iter())?;
        check_range(&batch.ids)?;
        check_repeats(&batch.ids)?;
        match upsert {
            true => check_not_reserved(collection, &batch.ids)?,
            false => check_new(collection, &batch.ids, largest)?,
        }
    }
    if rows == 0 {
        return Err(Rejection::CountMismatch { ids: 0, vectors: 0 });
    }
    if let Some(Places { offsets, .. }) = batch.places.as_ref().filter(|places| places.offsets.len() != rows)
    {
        return Err(Rejection::CountMismatch { ids: rows, vectors: offsets.len() });
    }
    op::encode_write_header(upsert, batch.places.as_ref(), &batch.ids, batch.fields.is_some(), out);
    append_vectors(&batch.vectors, collection.schema.element, out);
    out.extend_from_slice(batch.fields.as_deref().unwrap_or_default());
    check_size(out.len() - start)?;
    collection.pending.insert(&batch.ids);
    Ok(batch.ids)
}

/// Refuses vectors of another dimension than `expected` (at least one), or of another number than ids.
fn check_shape(expected: u32, batch: &RecordBatch) -> Result<(), Rejection> {
    let VectorBatch { element, dim, bytes } = &batch.vectors;
    if *dim != expected {
        return Err(Rejection::DimensionMismatch { expected, got: *dim });
    }
    let (ids, row_bytes) = (batch.ids.len(), *dim as usize * element.size());
    let vectors = bytes.len() / row_bytes;
    if vectors != ids || !bytes.len().is_multiple_of(row_bytes) {
        return Err(Rejection::CountMismatch { ids, vectors });
    }
    Ok(())
}

/// `added` to what is applied.
fn check_limits(collection: &Collection, limits: &ShardLimits, added: u64) -> Result<(), Rejection> {
    let vectors = collection.rows() + added;
    let bytes = vectors.saturating_mul(collection.schema.vector_bytes() as u64);
    let ShardLimits { collection_vectors_max, collection_vector_bytes_max } = *limits;
    if collection_vectors_max > 0 && vectors > collection_vectors_max {
        return Err(Rejection::TooManyVectors { vectors, limit: collection_vectors_max });
    }
    if collection_vector_bytes_max > 0 && bytes > collection_vector_bytes_max {
        return Err(Rejection::TooManyBytes { bytes, limit: collection_vector_bytes_max });
    }
    Ok(())
}

/// Refuses numbers that are not finite, and zero vectors where the metric is cosine.
fn check_numbers(vectors: &VectorBatch, metric: Metric) -> Result<(), Rejection> {
    let row_bytes = vectors.dim as usize * vectors.element.size();
    let cosine = metric == Metric::Cosine;
    // The whole batch first: row by row only to name the culprit.
    if is_finite(&vectors.bytes, vectors.element) && !cosine {
        return Ok(());
    }
    for (row, bytes) in vectors.bytes.chunks_exact(row_bytes).enumerate() {
        if !is_finite(bytes, vectors.element) {
            return Err(Rejection::NotFinite { row });
        }
        if cosine && is_zero(bytes, vectors.element) {
            return Err(Rejection::ZeroVector { row });
        }
    }
    Ok(())
}

/// Refuses numbers that the collection's narrower elements cannot hold.
fn check_width(vectors: &VectorBatch, stored: ElementType) -> Result<(), Rejection> {
    if (vectors.element, stored) != (ElementType::F32, ElementType::F16) {
        return Ok(());
    }
    let row_bytes = vectors.dim as usize * 4;
    let too_wide = |row: &[u8]| {
        row.as_chunks::<4>().0.iter().any(|bytes| f16::from_f32(f32::from_le_bytes(*bytes)).is_infinite())
    };
    match vectors.bytes.chunks_exact(row_bytes).position(too_wide) {
        Some(row) => Err(Rejection::TooWide { row }),
        None => Ok(()),
    }
}

/// A number is not finite when all bits of its exponent are set. Accumulates, so that it runs many lanes wide.
fn is_finite(bytes: &[u8], element: ElementType) -> bool {
    match element {
        ElementType::F32 => {
            const EXPONENT: u32 = 0x7f80_0000;
            let words = bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes) & EXPONENT);
            words.fold(0, u32::max) != EXPONENT
        }
        ElementType::F16 => {
            const EXPONENT: u16 = 0x7c00;
            let words = bytes.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes) & EXPONENT);
            words.fold(0, u16::max) != EXPONENT
        }
    }
}

/// All elements are zero, of either sign.
fn is_zero(bytes: &[u8], element: ElementType) -> bool {
    match element {
        ElementType::F32 => bytes.as_chunks::<4>().0.iter().all(|b| u32::from_le_bytes(*b) << 1 == 0),
        ElementType::F16 => bytes.as_chunks::<2>().0.iter().all(|b| u16::from_le_bytes(*b) << 1 == 0),
    }
}

fn check_fields(fields: Option<&[u8]>, rows: usize) -> Result<(), Rejection> {
    let Some(mut rest) = fields else { return Ok(()) };
    for _ in 0..rows {
        match rest.split_first() {
            Some((0, after)) => rest = after,
            Some((1, after)) => {
                rest = FieldsRef::split(after).map_err(|_| Rejection::MalformedFields)?.1;
            }
            _ => return Err(Rejection::MalformedFields),
        }
    }
    rest.is_empty().then_some(()).ok_or(Rejection::MalformedFields)
}

fn check_ids<'a>(mut ids: impl Iterator<Item = RecordIdRef<'a>>) -> Result<(), Rejection> {
    ids.try_for_each(|id| match id {
        RecordIdRef::Str("") => Err(Rejection::EmptyId),
        RecordIdRef::Str(text) if text.len() > ID_BYTES_MAX => {
            Err(Rejection::IdTooLong { bytes: text.len(), limit: ID_BYTES_MAX })
        }
        _ => Ok(()),
    })
}

fn check_range(ids: &BatchIds) -> Result<(), Rejection> {
    match ids {
        BatchIds::Range { start, count } if *count > 0 => {
            let last = start.checked_add(u64::from(*count - 1));
            last.map(drop).ok_or(Rejection::IdsExhausted { start: *start })
        }
        _ => Ok(()),
    }
}

fn check_repeats(ids: &BatchIds) -> Result<(), Rejection> {
    let ascending = match ids {
        BatchIds::Range { .. } | BatchIds::Assigned { .. } => true,
        BatchIds::Ints(ids) => ids.is_sorted_by(|a, b| a < b),
        BatchIds::Mixed(_) => false,
    };
    if ascending {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(ids.len());
    match ids.iter().find(|id| !seen.insert(*id)) {
        Some(id) => Err(Rejection::Repeated(id.to_owned())),
        None => Ok(()),
    }
}

/// Refuses ids that exist, deleted ones included, or that a staged operation inserts.
fn check_new(collection: &Collection, ids: &BatchIds, largest: Option<u64>) -> Result<(), Rejection> {
    let is_above = |id: u64| id < ALLOTTED_END && largest.is_none_or(|largest| id > largest);
    let taken = ids.iter().find(|id| match id {
        // The largest integer id ever seen is known, so that rising ids need no look-up.
        RecordIdRef::Int(value) if is_above(*value) => false,
        id => collection.pending.ids.contains(*id) || locate(&collection.segments, *id).is_some(),
    });
    taken.map_or(Ok(()), |id| Err(Rejection::Exists(id.to_owned())))
}

/// Refuses ids that a reserved add holds: it is judged already, and would make a second record of one that is there by then.
fn check_not_reserved(collection: &Collection, ids: &BatchIds) -> Result<(), Rejection> {
    let adds = &collection.pending.reserved_adds;
    let held = if adds.is_empty() { None } else { ids.iter().find(|id| adds.contains(*id)) };
    held.map_or(Ok(()), |id| Err(Rejection::Reserved(id.to_owned())))
}

/// How many of the ids no record has, staged ones included.
fn count_new(collection: &Collection, ids: &BatchIds) -> u64 {
    let is_new = |id: &RecordIdRef<'_>| {
        !collection.pending.ids.contains(*id) && locate(&collection.segments, *id).is_none()
    };
    ids.iter().filter(is_new).count() as u64
}

/// Appends the vectors in the collection's element type.
fn append_vectors(vectors: &VectorBatch, element: ElementType, out: &mut Vec<u8>) {
    match (vectors.element, element) {
        (ElementType::F32, ElementType::F16) => {
            let numbers = vectors.bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
            numbers.for_each(|number| out.extend_from_slice(&f16::from_f32(number).to_le_bytes()));
        }
        (ElementType::F16, ElementType::F32) => {
            let bits: Vec<u16> =
                vectors.bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
            let mut numbers = vec![0.0f32; bits.len()];
            bits.reinterpret_cast::<f16>().convert_to_f32_slice(&mut numbers);
            out.extend_from_slice(bytemuck::cast_slice(&numbers));
        }
        _ => out.extend_from_slice(&vectors.bytes),
    }
}
