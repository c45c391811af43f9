use super::*;
use crate::collection::Collection;
use crate::growing::GrowingWriter;
use crate::schema::IndexSpec;
use lavandin_storage::MemoryDirectory;
use lavandin_types::{BuildParameters, ElementType, IndexMode, SchemaVersion};

/// Payloads of each version; never edited. The file of their segment 12 is not there.
const VERSION_1: &str = include_str!("../../fixtures/checkpoint-payload-1.hex");
const VERSION_2: &str = include_str!("../../fixtures/checkpoint-payload-2.hex");
const VERSION_3: &str = include_str!("../../fixtures/checkpoint-payload-3.hex");

fn bytes_of(fixture: &str) -> Vec<u8> {
    let digits: Vec<u8> = fixture.bytes().filter(u8::is_ascii_hexdigit).collect();
    let (pairs, _) = digits.as_chunks::<2>();
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn set(universe: u32, rows: impl IntoIterator<Item = u32>) -> Arc<Selection> {
    let mut set = Selection::none(universe);
    rows.into_iter().for_each(|row| set.insert(row));
    Arc::new(set)
}

fn empty() -> Saved {
    Saved {
        id: CollectionId::new(2),
        schema: Schema { version: SchemaVersion::new(3), element: ElementType::F16, dim: 5, index: None },
        next_ordinal: 0,
        ever_written: 0,
        max_int: None,
        has_strings: false,
        digest: MultisetHash::default(),
        segments: Vec::new(),
        incomplete: None,
        sequence: SequenceNumber::new(1),
    }
}

/// Its segments have a set in each form.
fn full() -> Saved {
    let index = IndexSpec {
        mode: IndexMode::parse("HNSW-Cos").unwrap(),
        parameters: BuildParameters { m: Some(8), ..BuildParameters::default() },
    };
    let rows = Rows::Growing(GrowingWriter::new(ElementType::F16, 5).shared);
    let segment = |dead, deleted| Segment { dead, deleted, ..Segment::new(rows.clone(), 300) };
    Saved {
        id: CollectionId::new(9),
        schema: Schema { index: Some(index), ..empty().schema },
        next_ordinal: 1000,
        ever_written: 900,
        max_int: Some(77),
        has_strings: true,
        digest: MultisetHash::from_value(0x0123_4567_89ab_cdef),
        segments: vec![
            segment(set(300, [1, 299]), set(0, [])),
            segment(set(200, 0..150), set(300, 150..299)),
        ],
        sequence: SequenceNumber::new(41),
        ..empty()
    }
}

fn payload() -> Vec<u8> {
    let ids = [12, 13].map(SegmentId::new);
    let (empty, full) = (empty(), full());
    let parts = [CollectionPart { saved: &empty, ids: &[] }, CollectionPart { saved: &full, ids: &ids }];
    encode(FOLDER, SegmentId::new(14), &parts)
}

const FOLDER: SequenceNumber = SequenceNumber::new(0x51);

/// Where the collections begin, behind the payload's head.
const COLLECTIONS_AT: usize = 24;

#[test]
fn the_bytes_are_those_of_version_3() {
    assert_eq!(payload(), bytes_of(VERSION_3));
    check_fixture(3, VERSION_3, full().ever_written);
}

#[test]
fn version_2_is_read_and_has_one_folder() {
    check_fixture(2, VERSION_2, full().ever_written);
}

#[test]
fn another_folder_is_put_into_a_payload_of_this_version_alone() {
    let moved = with_folder(&payload(), SequenceNumber::new(7)).unwrap();
    assert_eq!(Parsed::read(&moved).unwrap().folder, SequenceNumber::new(7));
    assert_eq!(with_folder(&moved, FOLDER).unwrap(), payload());
    assert!(
        with_folder(&bytes_of(VERSION_2), FOLDER).is_none()
            && with_folder(&[3, 0, 0, 0, 1], FOLDER).is_none()
    );
}

#[test]
fn version_1_is_read_and_counts_as_many_records_as_places() {
    check_fixture(1, VERSION_1, full().next_ordinal);
}

fn check_fixture(version: u32, fixture: &str, ever_written: u64) {
    let bytes = bytes_of(fixture);
    assert_eq!(bytes[..4], version.to_le_bytes());
    let parsed = Parsed::read(&bytes).unwrap();
    assert_eq!(parsed.folder, if version < 3 { SequenceNumber::ZERO } else { FOLDER });
    assert_eq!(parsed.next_segment, SegmentId::new(14));
    let mut rest = &bytes[if version < 3 { 16 } else { COLLECTIONS_AT }..];
    let (first, places) = decode_collection(&mut rest, version).unwrap();
    assert_eq!((first.id, first.schema, places.len()), (empty().id, empty().schema, 0));
    let (second, places) = decode_collection(&mut rest, version).unwrap();
    assert!(rest.is_empty());
    let expected = full();
    assert_eq!(
        (second.id, second.schema, second.sequence),
        (expected.id, expected.schema, expected.sequence)
    );
    assert_eq!((second.next_ordinal, second.max_int, second.has_strings), (1000, Some(77), true));
    assert_eq!(second.ever_written, ever_written);
    assert_eq!(second.digest, expected.digest);
    for ((place, segment), id) in places.iter().zip(&expected.segments).zip([12, 13]) {
        assert_eq!((place.id, place.rows), (SegmentId::new(id), 300));
        let (dead, deleted) = place.tombstones().unwrap();
        assert!(dead.iter().eq(segment.dead.iter()));
        assert!(deleted.iter().eq(segment.deleted.iter()));
    }
}

#[test]
fn a_later_version_and_left_over_bytes_are_refused() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let refused = |bytes: &[u8]| load(&directory, Some(bytes)).err().map(|damage| damage.to_string());
    let mut later = payload();
    later[0] = 4;
    assert!(refused(&later).is_some_and(|text| text.contains("version 4")));
    let nothing = encode(SequenceNumber::ZERO, SegmentId::new(1), &[]);
    assert_eq!(refused(&nothing), None);
    assert!(refused(&[nothing, vec![0]].concat()).is_some_and(|text| text.contains("malformed")));
}

#[test]
fn a_row_is_not_both_dead_and_deleted_nor_beyond_the_segment() {
    for (dead, deleted) in [(set(300, [5]), set(300, [5])), (set(400, [350]), set(0, []))] {
        let mut saved = full();
        saved.segments.truncate(1);
        (saved.segments[0].dead, saved.segments[0].deleted) = (dead, deleted);
        let bytes =
            encode(FOLDER, SegmentId::new(2), &[CollectionPart { saved: &saved, ids: &[SegmentId::new(1)] }]);
        let (_, places) = decode_collection(&mut &bytes[COLLECTIONS_AT..], VERSION).unwrap();
        assert!(places[0].tombstones().is_none());
    }
}

#[test]
fn random_and_damaged_bytes_are_read_without_panic() {
    let slow = std::env::var("LAVANDIN_SLOW_TESTS").is_ok_and(|value| value == "1");
    let (valid, rows) = (payload(), full().segments[0].rows.clone());
    let mut state = 9u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let empty_directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (mut read, mut refused) = (0, 0);
    for _ in 0..if slow { 1_000_000 } else { 20_000 } {
        let mut bytes = valid.clone();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            match next(6) {
                0 => bytes.truncate(at),
                _ if at < bytes.len() => bytes[at] = [0, 1, 2, 0xff, next(256) as u8][next(5)],
                _ => {}
            }
        }
        let mut rest = bytes.get(COLLECTIONS_AT..).unwrap_or_default();
        while let Some((mut saved, places)) = decode_collection(&mut rest, VERSION) {
            // The segments' files hold 300 rows, whatever the payload says.
            for place in places.iter().filter(|place| place.rows == 300) {
                let Some((dead, deleted)) = place.tombstones() else { continue };
                let (dead, deleted) = (Arc::new(dead), Arc::new(deleted));
                saved.segments.push(Segment { dead, deleted, ..Segment::new(rows.clone(), place.rows) });
            }
            Collection::from_saved(saved);
            read += 1;
        }
        refused += u32::from(load(&empty_directory, Some(&bytes)).is_err());
    }
    assert!(read > 1000 && refused > 1000, "{read} read, {refused} refused");
}
