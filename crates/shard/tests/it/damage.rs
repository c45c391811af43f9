//! A bit flipped anywhere in a store's files is reported with the file's name, at opening or at the first read; or it
//! lies in padding, and the answers are right. Nothing panics, nothing damaged is served.

use crate::disk::{duplicate, files, flip, slow};
use crate::store::{Store, batch, ids, schema, vector_of};
use lavandin_shard::{
    BatchIds, Change, ReadError, Record, Rejection, SearchRequest, Which, deleted_ids, field_kinds, records,
    search, search_range,
};
use lavandin_storage::{Directory, MemoryDirectory};
use lavandin_types::{ElementType, ErrorCode, RecordId};
use std::ops::Range;
use std::sync::Arc;

/// Two segments, one with strings and fields, both with tombstones; behind the checkpoint changes that read them.
fn lived() -> MemoryDirectory {
    let disk = MemoryDirectory::new();
    let mut store = Store::open(Arc::new(disk.clone())).unwrap();
    store.open_collection(schema(ElementType::F32)).unwrap();
    let mut change = |change| store.change(change).unwrap().unwrap();
    let named = [RecordId::from("one"), RecordId::Int(2), RecordId::from("three"), RecordId::Int(4)];
    change(Change::Add(batch(ids(&named), &[1, 2, 3, 4], true)));
    store.checkpoint().unwrap();
    let mut change = |change| store.change(change).unwrap().unwrap();
    change(Change::Add(batch(BatchIds::Ints(vec![10, 11, 12]), &[10, 11, 12], false)));
    change(Change::Delete(vec![RecordId::Int(2), RecordId::Int(12)]));
    change(Change::Upsert(batch(BatchIds::Ints(vec![11]), &[-11], false)));
    store.checkpoint().unwrap();
    let mut change = |change| store.change(change).unwrap().unwrap();
    change(Change::Upsert(batch(ids(&named[..1]), &[-1], false)));
    change(Change::Delete(vec![RecordId::from("three")]));
    disk
}

/// Everything that can be asked of a store.
#[derive(Clone, Debug, PartialEq)]
struct Answers {
    all: Result<Vec<Record>, ReadError>,
    one: Result<Vec<Record>, ReadError>,
    matching: Result<Vec<Record>, ReadError>,
    nearest: Result<Vec<RecordId>, ReadError>,
    nearest_matching: Result<Vec<RecordId>, ReadError>,
    in_range: Result<Vec<RecordId>, ReadError>,
    fields: Result<Vec<String>, ReadError>,
}

impl Answers {
    fn of(store: &Store) -> Self {
        let view = store.view().unwrap();
        let request = |filter: Option<&str>| SearchRequest {
            queries: vector_of(3).to_vec(),
            k: 5,
            filter: filter.map(str::to_owned),
            probe: 0,
            with_fields: true,
            use_graph: true,
            threads: 1,
        };
        let nearest = |filter| {
            let result = search(&view, &request(filter))?;
            Ok(result.hits[0].iter().map(|hit| hit.id.clone()).collect())
        };
        let in_range = search_range(&view, &vector_of(3), -1e9, 100);
        Self {
            all: records(&view, &Which::All, true),
            one: records(&view, &Which::Ids(vec![RecordId::Int(4)]), true),
            matching: records(&view, &Which::Matching("text = 'text 4'".to_owned()), true),
            nearest: nearest(None),
            nearest_matching: nearest(Some("n > 0")),
            in_range: in_range.map(|hits| hits.into_iter().map(|hit| hit.id).collect()),
            fields: field_kinds(&view).map(|kinds| kinds.names().collect()),
        }
    }

    /// The errors among the answers.
    fn errors(&self) -> Vec<&ReadError> {
        let records =
            [&self.all, &self.one, &self.matching].into_iter().filter_map(|read| read.as_ref().err());
        let ids = [&self.nearest, &self.nearest_matching, &self.in_range];
        let ids = ids.into_iter().filter_map(|read| read.as_ref().err());
        records.chain(ids).chain(self.fields.as_ref().err()).collect()
    }

    fn is_whole(&self) -> bool {
        self.errors().is_empty()
    }
}

/// What a flip led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    AtOpening,
    AtReading,
}

/// Opens and reads a damaged store. Panics if it serves anything but what is `expected`.
fn find(disk: &MemoryDirectory, name: &str, expected: &Answers) -> Found {
    let mut store = match Store::open(Arc::new(disk.clone())) {
        Ok(store) => store,
        Err(error) => {
            assert_eq!(error.code(), ErrorCode::DataCorrupt, "{error}");
            let is_named = error.to_string().contains(name);
            assert!(is_named || !name.starts_with("segments/"), "{error} does not name {name}");
            return Found::AtOpening;
        }
    };
    let deleted = ["three"].map(RecordId::from);
    assert_eq!(deleted_ids(&store.view().unwrap())[1..2], deleted);
    let answers = Answers::of(&store);
    if answers.is_whole() {
        assert_eq!(answers, *expected);
        store.checkpoint().unwrap();
        return Found::Nothing;
    }
    assert_eq!(answers.errors().len(), 7, "the damage is seen by some reads only: {answers:?}");
    for error in answers.errors() {
        assert!(matches!(error, ReadError::Damaged(_)), "{error}");
        assert!(error.to_string().contains(name), "{error} does not name {name}");
    }
    // Changes that would have to read it are refused, others are not, and no merge takes it along.
    let upsert = Change::Upsert(batch(BatchIds::Ints(vec![4]), &[9], false));
    for change in [upsert, Change::Delete(vec![RecordId::Int(4)]), Change::Restore(vec![RecordId::Int(2)])] {
        assert!(matches!(store.change(change).unwrap(), Err(Rejection::Damaged(_))));
    }
    store.change(Change::Add(batch(BatchIds::Ints(vec![77]), &[7], false))).unwrap().unwrap();
    assert!(store.take_jobs(true).iter().all(|job| store.finish(job).is_err()));
    Found::AtReading
}

/// The parts of a segment's file that something covers: header, sections, table and footer, as
/// docs/formats/segment.md has them.
fn covered(file: &[u8]) -> Vec<Range<usize>> {
    let word = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
    let footer = file.len() - 32;
    let (table, count) = (word(footer), word(footer + 8));
    let sections = (0..count).map(|index| {
        let (offset, length) = (word(table + index * 32 + 8), word(table + index * 32 + 16));
        offset..offset + length
    });
    sections.chain([0..64, table..file.len()]).collect()
}

#[test]
fn a_flipped_bit_of_a_segment_is_reported_by_name_or_lies_in_padding() {
    let disk = lived();
    let expected = Answers::of(&Store::open(Arc::new(duplicate(&disk))).unwrap());
    assert!(expected.is_whole(), "{expected:?}");
    let (mut at_opening, mut at_reading) = (0, 0);
    let segments = files(&disk).into_iter().filter(|name| name.ends_with(".rows"));
    for name in segments {
        let bytes = disk.map(&name).unwrap();
        let covered = covered(&bytes);
        for byte in 0..bytes.len() {
            for bit in if slow() { 0..8 } else { byte as u32 % 8..byte as u32 % 8 + 1 } {
                let damaged = duplicate(&disk);
                flip(&damaged, &name, byte, bit);
                let is_padding = !covered.iter().any(|range| range.contains(&byte));
                match find(&damaged, &name, &expected) {
                    Found::Nothing => assert!(is_padding, "byte {byte} of {name} is not covered"),
                    Found::AtOpening => at_opening += 1,
                    Found::AtReading => at_reading += 1,
                }
            }
        }
    }
    assert!(at_opening > 500 && at_reading > 500, "{at_opening} at opening, {at_reading} at reading");
}

#[test]
fn a_flipped_bit_elsewhere_is_reported_or_makes_no_difference() {
    let disk = lived();
    let expected = Answers::of(&Store::open(Arc::new(duplicate(&disk))).unwrap());
    let mut reported = 0;
    for name in files(&disk).into_iter().filter(|name| !name.starts_with("segments/")) {
        for byte in 0..disk.len(&name).unwrap() as usize {
            let damaged = duplicate(&disk);
            flip(&damaged, &name, byte, byte as u32 % 8);
            match find(&damaged, &name, &expected) {
                Found::AtOpening => reported += 1,
                // The log's last mark says nothing new; the whole log stands in for a checkpoint.
                Found::Nothing => assert!(name != "epoch", "byte {byte} of {name} does not count"),
                Found::AtReading => panic!("byte {byte} of {name} came through"),
            }
        }
    }
    assert!(reported > 500, "{reported} reported");
}

#[test]
fn a_truncated_or_missing_segment_is_reported_by_name() {
    let disk = lived();
    for name in files(&disk).into_iter().filter(|name| name.ends_with(".rows")) {
        let length = disk.len(&name).unwrap();
        for cut in [0, 1, 32, 63, 64, 200, length / 2, length - 32, length - 1] {
            let damaged = duplicate(&disk);
            damaged.open(&name).unwrap().truncate(cut).unwrap();
            let error = Store::open(Arc::new(damaged)).err().unwrap().to_string();
            assert!(error.contains(&name), "{error}");
        }
        let missing = duplicate(&disk);
        missing.remove(&name).unwrap();
        let error = Store::open(Arc::new(missing)).err().unwrap().to_string();
        assert!(error.contains(&name), "{error}");
    }
}

#[test]
fn segments_that_changed_places_are_reported() {
    let disk = MemoryDirectory::new();
    let mut store = Store::open(Arc::new(disk.clone())).unwrap();
    store.open_collection(schema(ElementType::F32)).unwrap();
    for id in 0..2 {
        store.change(Change::Add(batch(BatchIds::Ints(vec![id]), &[1], true))).unwrap().unwrap();
        store.checkpoint().unwrap();
    }
    let names: Vec<_> = files(&disk).into_iter().filter(|name| name.ends_with(".rows")).collect();
    assert_eq!(disk.len(&names[0]).unwrap(), disk.len(&names[1]).unwrap());
    disk.rename(&names[0], "segments/swap").unwrap();
    disk.rename(&names[1], &names[0]).unwrap();
    disk.rename("segments/swap", &names[1]).unwrap();
    let error = Store::open(Arc::new(disk)).err().unwrap().to_string();
    assert!(error.contains(&names[0]), "{error}");
}

/// A replay meets a segment that was damaged since, in a part that it has to read. What it makes of it must not
/// become a checkpoint: with the file restored, the log makes the right state.
#[test]
fn what_a_replay_makes_of_damage_does_not_outlive_the_process() {
    let disk = lived();
    let expected = {
        let store = Store::open(Arc::new(duplicate(&disk))).unwrap();
        (Answers::of(&store), store.digest())
    };
    let name = files(&disk).into_iter().find(|name| name.ends_with(".rows")).unwrap();
    let bytes = disk.map(&name).unwrap();
    for byte in 0..bytes.len() {
        let damaged = duplicate(&disk);
        flip(&damaged, &name, byte, 0);
        let Ok(mut store) = Store::open(Arc::new(damaged.clone())) else { continue };
        if Answers::of(&store).is_whole() {
            continue;
        }
        let error = store.checkpoint().unwrap_err();
        assert!(error.contains(&name), "{error}");
        drop(store);
        flip(&damaged, &name, byte, 0);
        let store = Store::open(Arc::new(damaged)).unwrap();
        assert_eq!((Answers::of(&store), store.digest()), expected, "after byte {byte} was restored");
    }
}
