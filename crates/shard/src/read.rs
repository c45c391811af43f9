//! Reading records back: by id, by filter, from either end, and the list of deleted ids. Deleted records are in none
//! of these but the last.

use crate::error::ReadError;
use crate::filtering;
use crate::request::{Record, Which};
use crate::view::View;
use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use lavandin_types::{FieldsRef, RecordId, Selection};
use lavandin_vector::block::Row;
use std::collections::BinaryHeap;

/// A row and its place in the order of insertion, which orders it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    ordinal: u64,
    segment: u32,
    row: u32,
}

/// The records that `which` names.
pub fn records(view: &View, which: &Which, with_vectors: bool) -> Result<Vec<Record>, ReadError> {
    view.verify()?;
    let places = match which {
        Which::Ids(ids) => by_ids(view, ids)?,
        Which::Matching(text) => all_of(view, &filtering::allowed(view, Some(text))?.rows),
        Which::All => all_of(view, &filtering::allowed(view, None)?.rows),
        Which::First(count) => first(view, *count),
        Which::Last(count) => last(view, *count),
    };
    Ok(places.iter().map(|place| record(view, place, with_vectors)).collect())
}

/// Whether a live record has the id.
pub fn contains(view: &View, id: &RecordId) -> bool {
    view.locate(id.as_ref()).is_some_and(|(segment, row)| view.segments[segment].is_live(row))
}

/// The ids of deleted records, in the order of insertion.
pub fn deleted_ids(view: &View) -> Vec<RecordId> {
    let rows: Vec<_> = view.segments.iter().map(|segment| Some(segment.deleted.clone())).collect();
    let ids = all_of(view, &rows);
    ids.iter().map(|place| view.segments[place.segment as usize].rows.id(place.row).to_owned()).collect()
}

fn by_ids(view: &View, ids: &[RecordId]) -> Result<Vec<Place>, ReadError> {
    let place = |id: &RecordId| {
        let found = view.locate(id.as_ref()).filter(|(segment, row)| view.segments[*segment].is_live(*row));
        let (segment, row) = found.ok_or_else(|| ReadError::UnknownId(id.clone()))?;
        Ok(Place { ordinal: 0, segment: segment as u32, row })
    };
    ids.iter().map(place).collect()
}

fn all_of(view: &View, allowed: &[Option<std::sync::Arc<Selection>>]) -> Vec<Place> {
    let mut places = Vec::new();
    for (index, (segment, rows)) in view.segments.iter().zip(allowed).enumerate() {
        let mut push = |row| {
            let ordinal = segment.rows.ordinal(row);
            places.push(Place { ordinal, segment: index as u32, row });
        };
        match rows {
            Some(rows) => rows.iter().for_each(&mut push),
            None => (0..segment.len).for_each(&mut push),
        }
    }
    places.sort_unstable();
    places
}

/// The `count` first records: a bounded heap over one pass.
fn first(view: &View, count: usize) -> Vec<Place> {
    let mut heap = BinaryHeap::new();
    live_places(view, |place| {
        heap.push(place);
        if heap.len() > count {
            heap.pop();
        }
    });
    heap.into_sorted_vec()
}

/// The `count` last records, in the order of insertion.
fn last(view: &View, count: usize) -> Vec<Place> {
    let mut heap = BinaryHeap::new();
    live_places(view, |place| {
        heap.push(std::cmp::Reverse(place));
        if heap.len() > count {
            heap.pop();
        }
    });
    let mut places: Vec<Place> = heap.into_iter().map(|place| place.0).collect();
    places.sort_unstable();
    places
}

fn live_places(view: &View, mut visit: impl FnMut(Place)) {
    for (index, segment) in view.segments.iter().enumerate() {
        for row in (0..segment.len).filter(|row| segment.is_live(*row)) {
            visit(Place { ordinal: segment.rows.ordinal(row), segment: index as u32, row });
        }
    }
}

fn record(view: &View, place: &Place, with_vector: bool) -> Record {
    let rows = &view.segments[place.segment as usize].rows;
    let vector = if with_vector { widen(&rows.vector(place.row)) } else { Vec::new() };
    let fields = rows.fields(place.row).unwrap_or(FieldsRef::EMPTY).as_bytes().to_vec();
    Record { id: rows.id(place.row).to_owned(), vector, fields, place: rows.ordinal(place.row) }
}

/// A stored vector as single-precision numbers.
fn widen(row: &Row<'_>) -> Vec<f32> {
    match row {
        Row::F32(numbers) => numbers.to_vec(),
        Row::F16(bits) => {
            let mut numbers = vec![0.0; bits.len()];
            bits.reinterpret_cast::<f16>().convert_to_f32_slice(&mut numbers);
            numbers
        }
    }
}
