//! The bytes of each format version. They are never edited: a version that a release wrote stays readable.

use super::*;

/// Frames 7 ("seven") and 8 (empty) in one batch, synced.
const SEGMENT_V1: &str = concat!(
    "4c564e444c4f47310100000000000000070000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000079a75300ecd645884c564652050000000700000000000000",
    "cdbe7004317332134c1e3e48106d4a4bc914f1bb71edc628736576656e0000004c56465200000000",
    "08000000000000007f498d4624c30160d8984701d306aa99f5d02fed234fd5b74c564d4b00000000",
    "08000000000000000000000000000000000000000000000013d761d2527b0f5b",
);
const SEGMENT_V2: &str = concat!(
    "4c564e444c4f47310200000000000000070000000000000000000000000000000000000000000000",
    "000000000000000000000000000000001a4b363a064e9d414c564652050000000700000000000000",
    "cdbe7004317332134c1e3e48106d4a4bc914f1bb71edc628736576656e0000004c56465200000000",
    "08000000000000007f498d4624c30160d8984701d306aa99f5d02fed234fd5b74c564d4b00000000",
    "08000000000000000000000000000000000000000000000013d761d2527b0f5b",
);
/// Frame 7 in a batch under `Os`, in the first power cycle of a directory in memory.
const SEGMENT_V1_OS: &str = concat!(
    "4c564e444c4f47310100000000000000070000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000079a75300ecd645884c564652050000000700000000000000",
    "cdbe7004317332134c1e3e48106d4a4bc914f1bb71edc628736576656e0000004c564d4b00000000",
    "0700000000000000010000000000000000000000000000004944e2e8c1469ea5",
);

const SEGMENT_V2_OS: &str = concat!(
    "4c564e444c4f47310200000000000000070000000000000000000000000000000000000000000000",
    "000000000000000000000000000000001a4b363a064e9d414c564652050000000700000000000000",
    "cdbe7004317332134c1e3e48106d4a4bc914f1bb71edc628736576656e0000004c564d4b00000000",
    "0700000000000000010000000000000000000000000000004944e2e8c1469ea5",
);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

fn written(durability: Durability, payloads: &[&[u8]]) -> (MemoryDirectory, String) {
    let directory = MemoryDirectory::new();
    let options = WalOptions { durability, ..WalOptions::default() };
    let mut wal = Wal::open(Arc::new(directory.clone()), FOLDER, options, matches).unwrap();
    for (sequence, payload) in (7..).zip(payloads) {
        wal.append(number(sequence), hash(payload), &[payload]).unwrap();
    }
    wal.write().unwrap();
    wal.sync().unwrap();
    let names = files(&directory);
    assert_eq!(names, [format!("{FOLDER}/00000000000000000007.log")]);
    let bytes = hex(&directory.map(&names[0]).unwrap());
    (directory, bytes)
}

#[test]
fn version_2_is_written_as_ever() {
    assert_eq!(written(Durability::Fsync, &[b"seven", b""]).1, SEGMENT_V2);
    assert_eq!(written(Durability::Os, &[b"seven"]).1, SEGMENT_V2_OS);
}

#[test]
fn every_version_is_read() {
    let (both, one) = (&[&b"seven"[..], b""][..], &[&b"seven"[..]][..]);
    let fixtures = [(SEGMENT_V1, both), (SEGMENT_V1_OS, one), (SEGMENT_V2, both), (SEGMENT_V2_OS, one)];
    for (text, expected) in fixtures {
        let directory = MemoryDirectory::new();
        directory.create_dir_all(FOLDER).unwrap();
        let mut file = directory.create(&format!("{FOLDER}/00000000000000000007.log")).unwrap();
        file.write_at(0, &unhex(text)).unwrap();
        let mut found = Vec::new();
        let wal = Wal::open(Arc::new(directory), FOLDER, WalOptions::default(), |head, payload| {
            found.push((head.sequence.get(), payload.to_vec()));
            matches(head, payload)
        })
        .unwrap();
        let expected: Vec<_> = (7..).zip(expected.iter().map(|payload| payload.to_vec())).collect();
        assert_eq!((found, wal.cut()), (expected, None));
    }
}
