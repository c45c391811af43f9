use super::*;
use crate::conformance;
use std::sync::Arc;

#[test]
fn conforms() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    conformance::run(|| {
        count += 1;
        Arc::new(LocalDirectory::new(folder.path().join(format!("nested/{count}"))).unwrap())
    });
}

#[test]
fn a_root_that_is_a_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, b"").unwrap();
    let error = LocalDirectory::new(&path).unwrap_err();
    assert!(error.to_string().starts_with("create folder "), "{error}");
}

#[test]
fn clones_of_a_region_are_read_from_other_threads() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), vec![9; 10_000]).unwrap();
    let region = LocalDirectory::new(folder.path()).unwrap().map("a").unwrap();
    let threads: Vec<_> = (0..4)
        .map(|start| {
            let part = region.slice(start * 1000..10_000);
            std::thread::spawn(move || part.iter().map(|byte| u64::from(*byte)).sum::<u64>())
        })
        .collect();
    drop(region);
    let sums: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(sums, [90_000, 81_000, 72_000, 63_000]);
}

/// A data directory may be a volume that is mounted in a file system without writes.
#[test]
fn a_folder_is_there_also_where_the_one_above_cannot_be_synced() {
    let folder = Path::new("/proc/self/task");
    assert!(sync_folder(parent_of(folder).unwrap()).is_err());
    create_folders(folder).unwrap();
}
