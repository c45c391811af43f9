use super::*;
use std::fs;

#[test]
fn the_fingerprint_is_of_the_content_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| at as u8).collect();
    for name in ["a", "b"] {
        fs::write(dir.path().join(name), &bytes).expect("written");
    }
    let (one, version) = content_fingerprint(&dir.path().join("a")).expect("readable");
    let (other, _) = content_fingerprint(&dir.path().join("b")).expect("readable");
    assert_eq!(one, other);
    assert_eq!(version.size, Some(3_000_000));
    assert_eq!(one.to_string().len(), 32);
    assert_eq!(one, Fingerprint::of_content(xxhash_rust::xxh3::xxh3_128(&bytes)));
    fs::write(dir.path().join("b"), &bytes[1..]).expect("written");
    assert_ne!(content_fingerprint(&dir.path().join("b")).expect("readable").0, one);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = content_fingerprint(Path::new("/nowhere/a.csv")).expect_err("no file");
    assert!(matches!(&error, LocationError::NotFound { file, .. } if file == "/nowhere/a.csv"), "{error}");
}
