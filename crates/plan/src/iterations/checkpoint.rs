//! What a checkpoint keeps of the iterations: everything. Equal states have equal bytes. The caller frames and checks
//! them.
//!
//! ```text
//! payload   = u8 version (3), varint count, rows tables (see `op`), varint count, iterations by id
//! iteration = 20 bytes id, 20 bytes dataset, varint created_ms, varint rows table, varint blocks, definition, u8 closed, varint
//!             next block, varint active_ms, varint completed, varint filtered, varint failed,
//!             varint count, groups by ordinal, varint count, ranks
//! group     = varint ordinal, set of blocks owned, varint samples of them, set of samples open, offsets of old ones,
//!             varint samples settled, offsets failed, varint count, returned samples by index
//! returned  = varint index, varint rank, varint batch number, varint block, varint offset, varint block length
//! rank      = varint rank, varint next batch number, varint generation, varint samples taken, set of blocks wholly
//!             taken, offsets taken of other blocks, option forgotten_ms, varint count, batches
//! offsets   = varint count, for each block, ascending, varint block, set of offsets
//! batch     = varint number, varint granted_ms, u8 delivered, owner unless delivered, places
//! set       = a Roaring bitmap in its portable form, of 64 bits for samples, of 32 for the rest (see `sets`)
//! option    = varint 0 for none, else the number plus 1
//! ```
//! Versions 1 and 2, which are still read, have no numbers of returned batches, version 1 no owners either.

use crate::ShardRows;
use crate::iterations::batches::Batch;
use crate::iterations::block_cache::BlockCache;
use crate::iterations::bytes::{
    read_array, read_bool, read_count, read_option, read_u8, read_varint, read_varint_u32, write_option,
    write_varint,
};
use crate::iterations::definition::Definition;
use crate::iterations::entry::Entry;
use crate::iterations::limits::IterationLimits;
use crate::iterations::machine::Iterations;
use crate::iterations::op::{decode_rows, encode_rows, read_id};
use crate::iterations::outline::Outline;
use crate::iterations::owner::Owner;
use crate::iterations::places::{Place, Places};
use crate::iterations::rank::Rank;
use crate::iterations::reader::Entries;
use crate::iterations::sets::{read_set, read_set_64, write_set, write_set_64};
use crate::iterations::state::{Counters, Group, Returned, State};
use lavandin_types::DatasetId;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;
use std::sync::Arc;

const VERSION: u8 = 3;
/// The last version without numbers of returned batches.
const WITHOUT_RETURNED_NUMBERS: u8 = 2;
/// The last version without owners.
const WITHOUT_OWNERS: u8 = 1;

impl Iterations {
    /// Appends the whole state. Staged operations are not part of it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let entries = self.read();
        // Iterations over the same rows share their memory here and after a restart.
        let mut tables: Vec<&ShardRows> = Vec::new();
        let mut table_of = Vec::with_capacity(entries.len());
        for entry in entries.values() {
            let known = tables.iter().position(|table| **table == entry.rows);
            table_of.push(known.unwrap_or(tables.len()) as u64);
            if known.is_none() {
                tables.push(&entry.rows);
            }
        }
        out.push(VERSION);
        write_varint(out, tables.len() as u64);
        tables.into_iter().for_each(|rows| encode_rows(rows, out));
        write_varint(out, entries.len() as u64);
        entries.values().zip(table_of).for_each(|(entry, table)| encode_entry(entry, table, out));
    }

    /// The state that `encode` wrote; `None` on bytes of another form, and on numbers that do not fit each other.
    pub fn decode(limits: IterationLimits, mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let version = read_u8(rest)?;
        if ![WITHOUT_OWNERS, WITHOUT_RETURNED_NUMBERS, VERSION].contains(&version) {
            return None;
        }
        let tables = (0..read_count(rest)?).map(|_| decode_rows(rest)).collect::<Option<Vec<_>>>()?;
        let cache = Arc::<BlockCache>::default();
        let mut entries = Entries::new();
        for _ in 0..read_count(rest)? {
            let entry = decode_entry((&tables, version), &cache, rest)?;
            if entries.last_key_value().is_some_and(|(last, _)| *last >= entry.id) {
                return None;
            }
            entries.insert(entry.id, Arc::new(entry));
        }
        rest.is_empty().then(|| Self::with_entries(limits, entries, cache))
    }
}

fn encode_entry(entry: &Entry, table: u64, out: &mut Vec<u8>) {
    let state = entry.state();
    out.extend_from_slice(&entry.id.to_bytes());
    out.extend_from_slice(&entry.dataset.to_bytes());
    write_varint(out, entry.created_ms);
    write_varint(out, table);
    write_varint(out, u64::from(entry.blocks));
    entry.definition.encode(out);
    out.push(u8::from(state.closed));
    write_varint(out, u64::from(state.next_block));
    let Counters { completed, filtered, failed } = state.counters;
    [state.active_ms, completed, filtered, failed].into_iter().for_each(|number| write_varint(out, number));
    write_varint(out, state.groups.len() as u64);
    for (ordinal, group) in &state.groups {
        write_varint(out, u64::from(*ordinal));
        write_set(out, &group.owned);
        write_varint(out, group.samples);
        write_set_64(out, &group.open);
        encode_offsets(&group.old, out);
        write_varint(out, group.settled);
        encode_offsets(&group.failed, out);
        write_varint(out, group.returned.len() as u64);
        for (index, Returned { rank, number, place, length }) in &group.returned {
            let numbers =
                [*index, u64::from(*rank), *number, u64::from(place.block), u64::from(place.offset), *length];
            numbers.into_iter().for_each(|number| write_varint(out, number));
        }
    }
    write_varint(out, state.ranks.len() as u64);
    for (rank, state) in &state.ranks {
        write_varint(out, u64::from(*rank));
        encode_rank(state, out);
    }
}

fn encode_rank(rank: &Rank, out: &mut Vec<u8>) {
    [rank.next, rank.generation, rank.taken].into_iter().for_each(|number| write_varint(out, number));
    write_set(out, rank.whole());
    encode_offsets(rank.partial(), out);
    write_option(out, rank.batches.forgotten_ms);
    write_varint(out, rank.batches.len() as u64);
    for batch in rank.batches.iter() {
        write_varint(out, batch.number);
        write_varint(out, batch.granted_ms);
        out.push(u8::from(batch.delivered));
        if !batch.delivered {
            batch.owner.encode(out);
        }
        batch.samples.encode(out);
    }
}

fn encode_offsets(blocks: &BTreeMap<u32, RoaringBitmap>, out: &mut Vec<u8>) {
    write_varint(out, blocks.len() as u64);
    for (block, offsets) in blocks {
        write_varint(out, u64::from(*block));
        write_set(out, offsets);
    }
}

fn decode_entry(
    (tables, version): (&[ShardRows], u8),
    cache: &Arc<BlockCache>,
    rest: &mut &[u8],
) -> Option<Entry> {
    let id = read_id(rest)?;
    let dataset = DatasetId::from_bytes(read_array(rest)?)?;
    let created_ms = read_varint(rest)?;
    let rows = tables.get(usize::try_from(read_varint(rest)?).ok()?)?.clone();
    let (blocks, definition) = (read_varint_u32(rest)?, Definition::decode(rest)?);
    let (closed, next_block, active_ms) = (read_bool(rest)?, read_varint_u32(rest)?, read_varint(rest)?);
    let counters =
        Counters { completed: read_varint(rest)?, filtered: read_varint(rest)?, failed: read_varint(rest)? };
    let groups = decode_ascending(rest, |rest| decode_group(version, rest))?;
    let ranks = decode_ascending(rest, |rest| decode_rank(version, rest))?;
    let state = State { next_block, groups, ranks, counters, active_ms, closed, dropped: false };
    let (definition, cache) = (Arc::new(definition), Arc::clone(cache));
    let outline = Outline::assemble((id, dataset, created_ms), rows, definition, blocks, cache)?;
    is_balanced(&outline, &state).then(|| Entry::new(outline, state))
}

/// Whether the numbers fit each other, as far as that can be told without making blocks ready: no sample counts twice.
fn is_balanced(outline: &Outline, state: &State) -> bool {
    let State { next_block, groups, ranks, counters, closed, .. } = state;
    let (total, end) = (outline.samples(), outline.numbers_end());
    if *closed {
        // Only numbers are left.
        return *next_block == outline.blocks && groups.is_empty() && counters.settled() <= total;
    }
    let mut owned = RoaringBitmap::new();
    let (mut samples, mut settled, mut failed) = (0_u64, 0_u64, 0_u64);
    for (ordinal, group) in groups {
        let is_back = |(index, back): (&u64, &Returned)| {
            *index < end
                && !group.open.contains(*index)
                && group.owned.contains(back.place.block)
                && u64::from(back.place.offset) < back.length
                && outline.definition.group_of(back.rank) == Some(*ordinal)
                && ranks.get(&back.rank).is_some_and(|rank| !rank.has_taken(back.place))
        };
        if !group.returned.iter().all(is_back) {
            return false;
        }
        failed = failed.saturating_add(group.failed.values().map(RoaringBitmap::len).sum());
        let is_open = |index: u64| index < end;
        let taken = group.settled.saturating_add(group.open.len());
        if taken > group.samples || !owned.is_disjoint(&group.owned) || !group.open.max().is_none_or(is_open)
        {
            return false;
        }
        owned |= &group.owned;
        samples = samples.saturating_add(group.samples);
        settled = settled.saturating_add(group.settled);
    }
    let fits = |(rank, state): (&u32, &Rank)| {
        let group = outline.definition.group_of(*rank).and_then(|group| groups.get(&group));
        state.taken <= group.map_or(0, |group| group.samples)
            && state.partial().values().all(|offsets| !offsets.is_empty())
    };
    *next_block <= outline.blocks
        && samples <= total
        && settled == counters.settled()
        && failed == counters.failed
        && groups.values().flat_map(|group| group.failed.values()).all(|offsets| !offsets.is_empty())
        && owned.max().is_none_or(|last| last < *next_block)
        && ranks.iter().all(fits)
}

fn decode_group(version: u8, rest: &mut &[u8]) -> Option<Group> {
    let owned = read_set(rest)?;
    let (samples, open) = (read_varint(rest)?, read_set_64(rest)?);
    let (old, settled) = (decode_ascending(rest, read_set)?, read_varint(rest)?);
    let failed = decode_ascending(rest, read_set)?;
    let mut returned = BTreeMap::new();
    for _ in 0..read_count(rest)? {
        let (index, rank) = (read_varint(rest)?, read_varint_u32(rest)?);
        let number = if version == VERSION { read_varint(rest)? } else { 0 };
        let place = Place { block: read_varint_u32(rest)?, offset: read_varint_u32(rest)? };
        let length = read_varint(rest)?;
        if returned.last_key_value().is_some_and(|(last, _)| *last >= index) {
            return None;
        }
        returned.insert(index, Returned { rank, number, place, length });
    }
    Some(Group { owned, samples, open, old, settled, failed, returned })
}

fn decode_rank(version: u8, rest: &mut &[u8]) -> Option<Rank> {
    let (next, generation, taken) = (read_varint(rest)?, read_varint(rest)?, read_varint(rest)?);
    // So that counting on cannot pass the largest number.
    if next > u64::MAX / 2 {
        return None;
    }
    let whole = read_set(rest)?;
    let partial = decode_ascending(rest, read_set)?;
    let mut rank = Rank::from_saved(partial, whole);
    (rank.next, rank.generation, rank.taken) = (next, generation, taken);
    let forgotten_ms = read_option(rest)?;
    let mut last = None;
    for _ in 0..read_count(rest)? {
        let (number, granted_ms) = (read_varint(rest)?, read_varint(rest)?);
        let delivered = read_bool(rest)?;
        let owner = match delivered || version == WITHOUT_OWNERS {
            true => Owner::NOBODY,
            false => Owner::decode(rest)?,
        };
        let samples = Arc::new(Places::decode(rest)?);
        if number >= next || last.replace(number) >= Some(number) {
            return None;
        }
        rank.batches.push(Batch { number, granted_ms, delivered, owner, samples });
    }
    rank.batches.forgotten_ms = forgotten_ms;
    Some(rank)
}

/// A counted list of ascending numbers of 32 bits, each with something behind it.
fn decode_ascending<T>(
    rest: &mut &[u8],
    mut decode: impl FnMut(&mut &[u8]) -> Option<T>,
) -> Option<BTreeMap<u32, T>> {
    let mut all = BTreeMap::new();
    for _ in 0..read_count(rest)? {
        let number = read_varint_u32(rest)?;
        if all.last_key_value().is_some_and(|(last, _)| *last >= number) {
            return None;
        }
        all.insert(number, decode(rest)?);
    }
    Some(all)
}

#[cfg(test)]
mod tests;
