//! Jobs that build graphs leave no files behind when they fail or come too late.

use crate::disk::{files, flip};
use crate::store::{COLLECTION, Store, batch, schema};
use lavandin_shard::{BatchIds, Change, IndexSpec, Job, Request, Schema};
use lavandin_storage::{Directory, Fault, FaultyDirectory, MemoryDirectory};
use lavandin_types::{BuildParameters, ElementType, IndexMode};
use std::sync::Arc;

/// Enough for a graph.
const ROWS: u32 = 1100;

fn filled(directory: &FaultyDirectory, parts: u32) -> Store {
    let mut store = Store::open(Arc::new(directory.clone())).unwrap();
    let index =
        IndexSpec { mode: IndexMode::parse("HNSW-L2").unwrap(), parameters: BuildParameters::default() };
    store.open_collection(Schema { index: Some(index), ..schema(ElementType::F32) }).unwrap();
    for part in 0..parts {
        let values: Vec<i32> = (0..ROWS as i32).collect();
        let ids = BatchIds::Range { start: u64::from(part * ROWS), count: ROWS };
        store.change(Change::Add(batch(ids, &values, false))).unwrap().unwrap();
        store.checkpoint().unwrap();
    }
    store
}

fn segment_files(disk: &MemoryDirectory) -> Vec<String> {
    files(disk).into_iter().filter(|name| name.starts_with("segments/")).collect()
}

#[test]
fn a_merge_whose_graph_cannot_be_saved_gives_back_its_space() {
    let mut failures = 0;
    for offset in 0..12 {
        let disk = MemoryDirectory::new();
        let directory = FaultyDirectory::new(Arc::new(disk.clone()));
        let mut store = filled(&directory, 2);
        let before = segment_files(&disk);
        let jobs = store.take_jobs(true);
        assert!(matches!(jobs[..], [Job::Merge(_)]));
        directory.fail_at(directory.calls().mutating + offset, Fault::NoSpace);
        if store.finish(&jobs[0]).is_err() {
            assert_eq!(segment_files(&disk), before, "after a failure at {offset}");
            failures += 1;
        }
    }
    assert!(failures >= 4, "{failures} failures");
}

#[test]
fn a_graph_for_a_segment_that_is_gone_goes_too() {
    let disk = MemoryDirectory::new();
    let mut store = filled(&FaultyDirectory::new(Arc::new(disk.clone())), 1);
    let jobs = store.take_jobs(false);
    assert!(matches!(jobs[..], [Job::Graph(_)]));
    store.request(Request::Drop { collection: COLLECTION }).unwrap().unwrap();
    store.checkpoint().unwrap();
    assert_eq!(segment_files(&disk), Vec::<String>::new());
    store.finish(&jobs[0]).unwrap();
    assert_eq!(segment_files(&disk).len(), 1);
    store.checkpoint().unwrap();
    assert_eq!(segment_files(&disk), Vec::<String>::new());
}

#[test]
fn a_graph_whose_file_is_damaged_is_built_again() {
    let disk = MemoryDirectory::new();
    let mut store = filled(&FaultyDirectory::new(Arc::new(disk.clone())), 1);
    let jobs = store.take_jobs(false);
    store.finish(&jobs[0]).unwrap();
    assert!(store.take_jobs(false).is_empty());
    let name = segment_files(&disk).into_iter().find(|name| name.ends_with(".graph")).unwrap();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    for byte in [3, 200] {
        flip(&disk, &name, byte, 2);
        let views = store.copy.consumer().reader().views();
        for mut check in views.iter().flat_map(|(_, view)| view.file_checks(&directory)) {
            while check.read(1 << 16).unwrap().is_some() {}
        }
        let jobs = store.take_jobs(false);
        assert!(matches!(jobs[..], [Job::Graph(_)]), "byte {byte}");
        store.finish(&jobs[0]).unwrap();
    }
    assert!(store.take_jobs(false).is_empty());
}
