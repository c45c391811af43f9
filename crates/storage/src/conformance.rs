//! The suite that every implementation of [`Directory`] passes: what `directory` promises as long as nothing crashes.
//! It panics at the first difference.

use crate::{Directory, File, Region, StorageError, atomic_write, read_checked};
use std::sync::Arc;

type Check = fn(&dyn Directory) -> Result<(), StorageError>;

const CHECKS: &[(&str, Check)] = &[
    ("create and open", create_and_open),
    ("write, read, truncate", write_read_truncate),
    ("reads past the end", reads_past_the_end),
    ("map and slice", map_and_slice),
    ("maps outlive their file's name", maps_outlive_names),
    ("rename", rename),
    ("remove", remove),
    ("folders and lists", folders_and_lists),
    ("names that lead outside", names_that_lead_outside),
    ("open files outlive their names", open_files_outlive_names),
    ("checked files", checked_files),
    ("errors name file and operation", errors_name_file_and_operation),
];

/// Runs every check on an empty directory from `make`.
pub fn run(mut make: impl FnMut() -> Arc<dyn Directory>) {
    for (name, check) in CHECKS {
        if let Err(error) = check(&*make()) {
            panic!("conformance: {name}: {error}");
        }
    }
}

fn put(directory: &dyn Directory, name: &str, bytes: &[u8]) -> Result<Box<dyn File>, StorageError> {
    let mut file = directory.create(name)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    Ok(file)
}

fn read(file: &dyn File, offset: u64, length: usize) -> Result<Vec<u8>, StorageError> {
    let mut bytes = vec![0xee; length];
    file.read_at(offset, &mut bytes)?;
    Ok(bytes)
}

fn is_absent<T>(result: Result<T, StorageError>) -> bool {
    result.is_err_and(|error| error.is_not_found())
}

fn create_and_open(directory: &dyn Directory) -> Result<(), StorageError> {
    assert!(is_absent(directory.open("a")));
    let file = directory.create("a")?;
    assert!(file.is_empty()?);
    assert!(directory.power_cycle() != Some(0) && directory.power_cycle() == directory.power_cycle());
    assert!(matches!(directory.create("a"), Err(StorageError::AlreadyExists { .. })));
    put(directory, "b", b"bytes")?;
    assert_eq!(read(&*directory.open("b")?, 0, 5)?, b"bytes");
    assert_eq!(directory.len("b")?, 5);
    assert!(is_absent(directory.create("folder/a")), "a folder is not made by the way");
    Ok(())
}

fn write_read_truncate(directory: &dyn Directory) -> Result<(), StorageError> {
    let mut file = put(directory, "a", b"0123456789")?;
    file.write_at(3, b"xyz")?;
    file.write_at(5, b"")?;
    assert_eq!(read(&*file, 0, 10)?, b"012xyz6789");
    file.write_at(12, b"end")?;
    assert_eq!(read(&*file, 8, 7)?, b"89\0\0end", "a gap reads as zeros");
    file.truncate(4)?;
    assert_eq!((file.len()?, directory.len("a")?), (4, 4));
    file.truncate(8)?;
    assert_eq!(read(&*file, 0, 8)?, b"012x\0\0\0\0", "what was cut does not come back");
    let other = directory.open("a")?;
    file.write_at(0, b"Z")?;
    assert_eq!(read(&*other, 0, 2)?, b"Z1", "two handles see one file");
    Ok(())
}

fn reads_past_the_end(directory: &dyn Directory) -> Result<(), StorageError> {
    let file = put(directory, "a", b"0123456789")?;
    assert!(file.read_at(8, &mut [0; 3]).is_err());
    assert!(file.read_at(11, &mut [0; 1]).is_err());
    assert!(file.read_at(u64::MAX / 2, &mut [0; 1]).is_err());
    file.read_at(7, &mut [0; 3])?;
    file.read_at(10, &mut [])
}

fn map_and_slice(directory: &dyn Directory) -> Result<(), StorageError> {
    assert!(is_absent(directory.map("a")));
    let bytes: Vec<u8> = (0..100_000_u32).map(|index| (index % 253) as u8).collect();
    put(directory, "a", &bytes)?;
    let region = directory.map("a")?;
    assert_eq!(&region[..], &bytes[..]);
    assert!((region.as_ptr() as usize).is_multiple_of(64), "regions are aligned");
    let slice = region.slice(64..1000).slice(1..10);
    assert_eq!(slice.as_ptr(), region[65..].as_ptr(), "slices share the bytes");
    drop(region);
    assert_eq!(&slice[..], &bytes[65..74], "a slice keeps them alive");
    directory.create("empty")?;
    let empty = directory.map("empty")?;
    assert!(empty.is_empty() && (empty.as_ptr() as usize).is_multiple_of(64));
    fn is_shareable<T: Clone + Send + Sync + 'static>(_: &T) {}
    is_shareable::<Region>(&empty);
    Ok(())
}

fn maps_outlive_names(directory: &dyn Directory) -> Result<(), StorageError> {
    put(directory, "a", b"old")?;
    put(directory, "b", b"new!")?;
    let old = directory.map("a")?;
    directory.rename("b", "a")?;
    assert_eq!(&old[..], b"old");
    let new = directory.map("a")?;
    directory.remove("a")?;
    assert_eq!(&new[..], b"new!");
    Ok(())
}

fn rename(directory: &dyn Directory) -> Result<(), StorageError> {
    assert!(is_absent(directory.rename("a", "b")));
    put(directory, "a", b"one")?;
    directory.rename("a", "b")?;
    assert!(!directory.exists("a")? && directory.exists("b")?);
    put(directory, "a", b"two")?;
    directory.rename("a", "b")?;
    directory.sync_dir("")?;
    assert_eq!(directory.list("")?, ["b"]);
    assert_eq!(&directory.map("b")?[..], b"two");
    assert!(is_absent(directory.rename("b", "folder/b")));
    directory.create_dir_all("folder")?;
    directory.rename("b", "folder/b")?;
    assert_eq!(directory.list("folder")?, ["b"]);
    Ok(())
}

fn remove(directory: &dyn Directory) -> Result<(), StorageError> {
    assert!(is_absent(directory.remove("a")));
    put(directory, "a", b"one")?;
    directory.remove("a")?;
    directory.sync_dir("")?;
    assert!(!directory.exists("a")?);
    assert!(is_absent(directory.len("a")));
    put(directory, "a", b"two")?;
    assert_eq!(&directory.map("a")?[..], b"two");
    Ok(())
}

fn folders_and_lists(directory: &dyn Directory) -> Result<(), StorageError> {
    assert!(directory.list("")?.is_empty());
    assert!(is_absent(directory.list("x")));
    assert!(is_absent(directory.sync_dir("x")));
    directory.create_dir_all("x/y/z")?;
    directory.create_dir_all("x/y")?;
    directory.create_dir_all("")?;
    assert!(directory.exists("x/y")? && directory.exists("")?);
    for name in ["x/b", "x/a", "x/y/c"] {
        put(directory, name, name.as_bytes())?;
    }
    directory.sync_dir("x")?;
    assert_eq!(directory.list("x")?, ["a", "b", "y"], "sorted, folders too, not what is below");
    assert_eq!(directory.list("x/y")?, ["c", "z"]);
    assert_eq!(directory.list("")?, ["x"]);
    assert!(directory.create_dir_all("x/a/q").is_err(), "a file is no folder");
    assert!(directory.remove_dir("x/y").is_err(), "only empty folders are removed");
    directory.remove_dir("x/y/z")?;
    assert_eq!(directory.list("x/y")?, ["c"]);
    assert!(is_absent(directory.remove_dir("x/y/z")));
    Ok(())
}

fn names_that_lead_outside(directory: &dyn Directory) -> Result<(), StorageError> {
    let refused = |error: StorageError| matches!(error, StorageError::InvalidName { .. });
    for name in ["..", "../a", "a/../b", "/a", "a//b", "a/", ".", "a\0b"] {
        assert!(directory.create(name).is_err_and(refused), "create {name:?}");
        assert!(directory.open(name).is_err_and(refused), "open {name:?}");
        assert!(directory.map(name).is_err_and(refused), "map {name:?}");
        assert!(directory.remove(name).is_err_and(refused), "remove {name:?}");
        assert!(directory.list(name).is_err_and(refused), "list {name:?}");
        assert!(directory.create_dir_all(name).is_err_and(refused), "create_dir_all {name:?}");
        assert!(directory.rename("a", name).is_err(), "rename to {name:?}");
    }
    assert!(directory.create("").is_err_and(refused));
    Ok(())
}

fn open_files_outlive_names(directory: &dyn Directory) -> Result<(), StorageError> {
    let mut file = put(directory, "a", b"one")?;
    directory.remove("a")?;
    file.write_at(3, b"!")?;
    assert_eq!(read(&*file, 0, 4)?, b"one!");
    assert!(!directory.exists("a")?);
    Ok(())
}

fn checked_files(directory: &dyn Directory) -> Result<(), StorageError> {
    directory.create_dir_all("x")?;
    assert!(is_absent(read_checked(directory, "x/state")));
    for payload in [&b"first"[..], b"", &[7; 100_000]] {
        atomic_write(directory, "x/state", payload)?;
        assert_eq!(&read_checked(directory, "x/state")?[..], payload);
    }
    put(directory, "x/state.tmp", b"left behind by a crash")?;
    atomic_write(directory, "x/state", b"again")?;
    assert_eq!(&read_checked(directory, "x/state")?[..], b"again");
    assert_eq!(directory.list("x")?, ["state"]);
    Ok(())
}

fn errors_name_file_and_operation(directory: &dyn Directory) -> Result<(), StorageError> {
    directory.create_dir_all("x")?;
    let message =
        |result: Result<(), StorageError>| result.map_or_else(|error| error.to_string(), |()| String::new());
    assert_eq!(message(directory.open("x/none").map(drop)), "open x/none: no such file or folder");
    let file = put(directory, "x/short", b"1")?;
    let short = message(file.read_at(0, &mut [0; 2]));
    assert!(short.starts_with("read x/short: "), "{short}");
    Ok(())
}
