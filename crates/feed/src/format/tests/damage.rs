//! Files cut short and with flipped bits at many places: errors, or at worst other values; never a panic.

use super::*;

/// Inspects and reads a damaged file; whatever is said about it, it must be said.
fn survive(path: &Path, before: &Inspection, must_fail: bool) {
    let found = look(path, &[]);
    if let Ok(inspection) = &found {
        assert!(!must_fail, "{}: a damaged file passed", path.display());
        let reader = reader(path, &plan(inspection)).unwrap();
        for chunk in 0..reader.chunks().len() {
            // Damage that inspection survived is the same now.
            reader.read_chunk(chunk).unwrap();
        }
    }
    // As it was recorded before the damage: also an error at most.
    if let Ok(reader) = reader(path, &plan(before)) {
        for chunk in 0..reader.chunks().len() {
            let _outcome = reader.read_chunk(chunk);
        }
    }
}

fn damage(name: &str, content: &[u8], step: usize, cuts_fail: bool) {
    let scratch = Scratch::new();
    let path = scratch.file(name, content);
    let before = look(&path, &[]).unwrap();
    for at in (0..content.len()).step_by(step) {
        scratch.file(name, &content[..at]);
        survive(&path, &before, cuts_fail);
        for bit in [0x01, 0x80] {
            let mut flipped = content.to_vec();
            flipped[at] ^= bit;
            scratch.file(name, &flipped);
            survive(&path, &before, false);
        }
        let mut blanked = content.to_vec();
        blanked[at..content.len().min(at + 4)].fill(0xff);
        scratch.file(name, &blanked);
        survive(&path, &before, false);
    }
}

#[test]
fn damaged_parquet_is_an_error() {
    for name in ["types.parquet", "types_v2.parquet"] {
        damage(name, &fs::read(fixture(name)).unwrap(), 17, true);
    }
}

#[test]
fn damaged_arrow_is_an_error() {
    for name in ["types.arrow", "types.feather"] {
        damage(name.replace("feather", "lz4.arrow").as_str(), &fs::read(fixture(name)).unwrap(), 17, true);
    }
    damage("stream.arrow", &fs::read(fixture("stream.arrow")).unwrap(), 17, false);
}

#[test]
fn damaged_text_is_an_error() {
    let csv = "id,l,m\n1,\"[1, 'a']\",\"{'k': b'x'}\"\n2,\"(3,)\",\"{}\"\n";
    damage("a.csv", csv.as_bytes(), 1, false);
    let jsonl = "{\"id\": 1, \"a\": [1, 2.5], \"b\": {\"c\": \"x\\u00e9\"}}\n{\"id\": 2}\n";
    damage("a.jsonl", jsonl.as_bytes(), 1, false);
}

#[test]
fn damaged_tars_are_errors() {
    let members: [(&str, &[u8]); 4] =
        [("0.txt", b"zero"), ("0.json", b"{\"label\": 1}"), ("1.txt", b""), ("1.json", b"{\"label\": 2}")];
    let bytes = super::tar::archive(&members);
    damage("a.tar", &bytes, 7, false);
    // Cut anywhere but between two members it is an error, and there it has fewer of them.
    let scratch = Scratch::new();
    for at in (1..bytes.len() - 1024).filter(|at| at % 512 != 0) {
        let path = scratch.file("cut.tar", &bytes[..at]);
        assert!(matches!(look(&path, &[]), Err(FormatError::Truncated { .. })), "{at} bytes");
    }
}
