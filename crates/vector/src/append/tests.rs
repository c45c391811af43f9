use super::*;
use std::sync::atomic::AtomicBool;

#[test]
fn places_cover_all_rows_in_order() {
    let mut expected = (0, 0);
    for row in 0..10_000 {
        let place = Place::of(row);
        assert_eq!((place.chunk, place.offset), expected, "row {row}");
        expected.1 += 1;
        if expected.1 == place.chunk_rows() {
            expected = (expected.0 + 1, 0);
        }
    }
}

#[test]
fn rows_come_back_whatever_the_batches() {
    for batch in [1, 7, 64, 65, 1000] {
        let mut writer = AppendWriter::<u32>::new(3);
        assert_eq!(writer.memory_bytes(), 0);
        let all: Vec<u32> = (0..3 * 3000).collect();
        for rows in all.chunks(3 * batch) {
            let first = writer.push_rows(rows);
            assert_eq!(first * 3, rows[0]);
        }
        assert_eq!(writer.len(), 3000);
        for row in 0..3000 {
            assert_eq!(writer.row(row), [3 * row, 3 * row + 1, 3 * row + 2]);
        }
        for len in [0, 1, 64, 65, 2999, 3000] {
            let mut joined = Vec::new();
            for (first, elements) in writer.chunks(len) {
                assert_eq!(first as usize * 3, joined.len());
                assert_eq!(elements.as_ptr().align_offset(CHUNK_ALIGN), 0);
                joined.extend_from_slice(elements);
            }
            assert_eq!(joined, all[..3 * len as usize]);
        }
    }
}

#[test]
#[should_panic(expected = "beyond the published length")]
fn a_row_beyond_the_end_is_refused() {
    let mut writer = AppendWriter::<u8>::new(1);
    writer.push_rows(&[1]);
    writer.reader().row(1);
}

#[test]
#[should_panic(expected = "incomplete")]
fn half_a_row_is_refused() {
    AppendWriter::<u8>::new(2).push_rows(&[1]);
}

#[test]
fn rows_outlive_the_writer() {
    let mut writer = AppendWriter::<u64>::new(1);
    writer.push_rows(&[7; 100]);
    let reader = writer.reader();
    drop(writer);
    assert_eq!(reader.value(99), 7);
}

#[test]
fn blobs_come_back() {
    let mut writer = AppendBlobsWriter::new();
    let blob = |number: usize| vec![number as u8; (number * 37) % 5000];
    for number in 0..500 {
        assert_eq!(writer.push(&blob(number)), number as u32);
    }
    for number in 0..500 {
        assert_eq!(writer.get(number as u32), blob(number));
    }
    assert_eq!(writer.len(), 500);
}

/// Readers check all that is published while the writer goes on: a torn or early read would differ.
#[test]
fn readers_see_whole_rows_while_the_writer_adds() {
    let rows = 40_000u32;
    let mut writer = AppendWriter::<u64>::new(4);
    let mut blobs = AppendBlobsWriter::new();
    let done = AtomicBool::new(false);
    let content = |row: u32| [u64::from(row); 4];
    let text = |row: u32| format!("{row}").repeat(row as usize % 5);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (reader, texts, done) = (writer.reader(), blobs.reader(), &done);
            scope.spawn(move || {
                let mut from = 0;
                loop {
                    let finished = done.load(Ordering::Acquire);
                    let len = reader.len();
                    for row in from..len {
                        assert_eq!(reader.row(row), content(row));
                    }
                    let total: usize = reader.chunks(len).map(|(_, elements)| elements.len()).sum();
                    assert_eq!(total, len as usize * 4);
                    for row in from.min(texts.len())..texts.len() {
                        assert_eq!(texts.get(row), text(row).as_bytes());
                    }
                    from = len;
                    if finished {
                        break;
                    }
                }
                assert_eq!(from, rows);
            });
        }
        for row in 0..rows {
            writer.push_rows(&content(row));
            blobs.push(text(row).as_bytes());
        }
        done.store(true, Ordering::Release);
    });
}
