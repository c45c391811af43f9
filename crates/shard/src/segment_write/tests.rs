use super::*;
use crate::growing::{GrowingWriter, NewRow};
use crate::segment::Rows;
use lavandin_storage::MemoryDirectory;
use lavandin_types::{ElementType, FieldsBuilder, SchemaVersion, Selection, SequenceNumber, ValueRef};
use std::sync::Arc;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const ID: SegmentId = SegmentId::new(5);
const DIM: u32 = 3;
const ENTRY_BYTES: usize = 32;

fn schema() -> Schema {
    Schema { version: SchemaVersion::new(1), element: ElementType::F32, dim: DIM, index: None }
}

/// Six rows under integer and string ids, the first one dead.
fn growing() -> Segment {
    let mut writer = GrowingWriter::new(ElementType::F32, DIM as usize);
    let names = ["one", "2", "", "four", "5", "six"];
    for (ordinal, name) in (0..6u64).zip(names) {
        let id = if ordinal % 2 == 0 { RecordIdRef::Str(name) } else { RecordIdRef::Int(ordinal) };
        let vector: Vec<u8> = (0..DIM).flat_map(|n| (ordinal as f32 + n as f32).to_le_bytes()).collect();
        let fields = FieldsBuilder::new().with("n", ValueRef::U64(ordinal)).build();
        writer.push(&NewRow { id, ordinal, vector: &vector, fields: Some(&fields) });
    }
    writer.index_ids(0);
    let mut segment = Segment::new(Rows::Growing(Arc::clone(&writer.shared)), writer.rows());
    let mut dead = Selection::none(6);
    dead.insert(0);
    segment.dead = Arc::new(dead);
    segment
}

fn folder() -> SegmentFolder {
    let folder = SegmentFolder::new(Arc::new(MemoryDirectory::new()), SequenceNumber::ZERO);
    folder.create().unwrap();
    folder
}

fn written() -> SegmentFolder {
    let folder = folder();
    let inputs = [growing()];
    write(&folder, ID, CollectionId::new(1), &schema(), &Plan::seal(&inputs)).unwrap();
    folder
}

/// Reads whatever a search or a listing might.
fn read_all(sealed: &Sealed, known: &Rows) {
    for row in 0..sealed.rows {
        let id = sealed.id(row).to_owned();
        sealed.find(id.as_ref(), |_| true);
        sealed.find(known.id(row % 6), |_| true);
        let _ = (sealed.ordinal(row), sealed.vector(row), sealed.code(row));
    }
    assert_eq!(sealed.block().rows, sealed.rows);
}

#[test]
fn rows_are_sealed_under_their_numbers_and_dead_ones_are_not_found() {
    let (before, folder) = (growing(), written());
    let sealed = Sealed::open(&folder, ID).unwrap();
    sealed.verify().unwrap();
    assert_eq!(sealed.rows, 6);
    for row in 0..6 {
        assert_eq!(sealed.id(row), before.rows.id(row));
        assert_eq!(sealed.ordinal(row), before.rows.ordinal(row));
        let found = sealed.find(before.rows.id(row), |_| true);
        assert_eq!(found, Some(row).filter(|row| *row != 0));
    }
}

#[test]
fn a_segment_that_cannot_be_written_leaves_no_file() {
    let folder = folder();
    let name = folder.rows_path(ID);
    folder.directory.create(&name).unwrap();
    let inputs = [growing()];
    let damage = write(&folder, ID, CollectionId::new(1), &schema(), &Plan::seal(&inputs)).err().unwrap();
    assert_eq!(damage.file, name);
    assert!(folder.directory.list(&folder.name()).unwrap().is_empty());
}

/// Makes every checksum right again: a file that a defect wrote, not a disk.
fn forge(bytes: &mut [u8]) -> Option<()> {
    let footer = bytes.len().checked_sub(32)?;
    let word = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(word)).ok()
    };
    let table = word(bytes, footer)?;
    for entry in (0..10).map(|index| table + index * ENTRY_BYTES) {
        let start = word(bytes, entry + 8)?;
        let section = start..start.checked_add(word(bytes, entry + 16)?)?;
        let hash = xxh3_64(bytes.get(section)?);
        bytes[entry + 24..entry + 32].copy_from_slice(&hash.to_le_bytes());
    }
    let mut hash = Xxh3::new();
    hash.update(&bytes[..64]);
    hash.update(bytes.get(table..table + 10 * ENTRY_BYTES)?);
    bytes[footer + 16..footer + 24].copy_from_slice(&hash.digest().to_le_bytes());
    Some(())
}

#[test]
fn damaged_and_forged_files_are_read_without_panic() {
    let slow = std::env::var("LAVANDIN_SLOW_TESTS").is_ok_and(|value| value == "1");
    let written = written();
    let valid = written.directory.map(&written.rows_path(ID)).unwrap();
    let mut state = 3u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let known = growing().rows;
    let (mut read, mut refused) = (0, 0);
    for round in 0..if slow { 1_000_000 } else { 20_000 } {
        let mut bytes = valid.to_vec();
        for _ in 0..=next(3) {
            // The header and the table, where the lengths and counts are, as often as the rest.
            let at = match next(3) {
                0 => next(64),
                1 => bytes.len() - 1 - next(32 + 10 * ENTRY_BYTES),
                _ => next(bytes.len()),
            };
            bytes[at] = [0, 1, 8, 0xff, bytes[at] ^ 1, next(256) as u8][next(6)];
        }
        if round % 4 > 0 {
            forge(&mut bytes);
        }
        let folder = folder();
        folder.directory.create(&folder.rows_path(ID)).unwrap().write_at(0, &bytes).unwrap();
        match Sealed::open(&folder, ID) {
            Ok(sealed) if sealed.verify().is_ok() => {
                read_all(&sealed, &known);
                read += 1;
            }
            _ => refused += 1,
        }
    }
    assert!(read > 1000 && refused > 1000, "{read} read, {refused} refused");
}
