//! One failure at every mutating call of a life with checkpoints, merges and a drop, some of them beside each other:
//! crashes, failed writes and syncs, a full disk. Then the power goes, and the shard is opened again.

use crate::disk::{files, slow};
use crate::model::{Content, Model};
use crate::store::{COLLECTION, Store, batch, ids, schema};
use lavandin_group::GroupError;
use lavandin_shard::{Change, Request};
use lavandin_storage::{Fault, FaultyDirectory, MemoryDirectory};
use lavandin_types::{CollectionId, ElementType, RecordId};
use std::sync::Arc;

const OTHER: CollectionId = CollectionId::new(8);

/// What the world outside of the store knows.
#[derive(Default)]
struct Life {
    /// What was acknowledged.
    model: Model,
    /// With the change that was under way when the store failed.
    perhaps: Option<Model>,
    other_dropped: bool,
}

impl Life {
    fn change(
        &mut self,
        store: &mut Store,
        change: Change,
        perform: impl Fn(&mut Model),
    ) -> Result<(), GroupError> {
        let mut next = self.model.clone();
        perform(&mut next);
        self.perhaps = Some(next.clone());
        store.change(change)?.unwrap();
        (self.model, self.perhaps) = (next, None);
        Ok(())
    }

    fn add(&mut self, store: &mut Store, names: &[RecordId], with_fields: bool) -> Result<(), GroupError> {
        let values: Vec<i32> = (0..names.len() as i32).map(|index| index * 3 - 5).collect();
        let change = Change::Add(batch(ids(names), &values, with_fields));
        self.change(store, change, |model| model.add(names, &values, with_fields))
    }

    fn upsert(&mut self, store: &mut Store, names: &[RecordId], with_fields: bool) -> Result<(), GroupError> {
        let values: Vec<i32> = (0..names.len() as i32).map(|index| index * 7 + 100).collect();
        let change = Change::Upsert(batch(ids(names), &values, with_fields));
        self.change(store, change, |model| model.upsert(names, &values, with_fields))
    }

    fn delete(&mut self, store: &mut Store, names: &[RecordId]) -> Result<(), GroupError> {
        self.change(store, Change::Delete(names.to_vec()), |model| model.set_deleted(names, true))
    }

    fn restore(&mut self, store: &mut Store, names: &[RecordId]) -> Result<(), GroupError> {
        self.change(store, Change::Restore(names.to_vec()), |model| model.set_deleted(names, false))
    }

    fn compact(&mut self, store: &mut Store) -> Result<(), GroupError> {
        self.change(store, Change::Compact, Model::compact)
    }

    /// A store that was just opened holds what was acknowledged, and perhaps the change that was under way.
    fn check(&mut self, store: &Store) {
        let content = Content::of(store);
        if let Some(perhaps) = self.perhaps.take()
            && content == perhaps.content()
        {
            self.model = perhaps;
        }
        assert_eq!(content, self.model.content());
        let others = store.copy.consumer().collection_ids().contains(&OTHER);
        assert!(!(self.other_dropped && others), "a dropped collection is back");
    }
}

fn ints(range: std::ops::Range<u64>) -> Vec<RecordId> {
    range.map(RecordId::Int).collect()
}

fn strings(names: &[&str]) -> Vec<RecordId> {
    names.iter().map(|name| RecordId::from(*name)).collect()
}

/// Ends where the store takes no more writes. Jobs may fail: that ends nothing.
fn live(life: &mut Life, directory: &FaultyDirectory) -> Result<(), GroupError> {
    let mut store = Store::open(Arc::new(directory.clone()))?;
    store.open_collection(schema(ElementType::F32))?;
    life.add(&mut store, &ints(0..6), true)?;
    life.add(&mut store, &strings(&["a", "b", "c"]), false)?;
    drop(store.checkpoint());
    life.upsert(&mut store, &[ints(1..3), strings(&["b", "x"])].concat(), false)?;
    life.delete(&mut store, &ints(3..5))?;
    drop(store.checkpoint());
    // A merge and a checkpoint beside changes of the rows that they handle.
    let jobs = store.take_jobs(true);
    life.restore(&mut store, &ints(3..4))?;
    life.upsert(&mut store, &ints(0..1), true)?;
    let taken = store.take_checkpoint();
    life.delete(&mut store, &strings(&["a"]))?;
    for job in &jobs {
        drop(store.finish(job));
    }
    life.compact(&mut store)?;
    drop(store.finish_checkpoint(taken));
    other_lives_and_dies(life, &mut store)?;
    drop(store.checkpoint());
    drop(store);
    let mut store = Store::open(Arc::new(directory.clone()))?;
    life.check(&store);
    life.add(&mut store, &ints(50..52), true)?;
    drop(store.checkpoint());
    life.delete(&mut store, &ints(50..51))
}

fn other_lives_and_dies(life: &mut Life, store: &mut Store) -> Result<(), GroupError> {
    store.request(Request::Open { collection: OTHER, schema: schema(ElementType::F16) })?.unwrap();
    let add = Change::Add(batch(ids(&ints(0..3)), &[1, 2, 3], true));
    store.request(Request::Change { collection: OTHER, change: add })?.unwrap();
    drop(store.checkpoint());
    let taken = store.take_checkpoint();
    store.request(Request::Drop { collection: OTHER })?.unwrap();
    life.other_dropped = true;
    drop(store.finish_checkpoint(taken));
    Ok(())
}

/// Opens what is left, checks it, and lives on from there.
fn reopen(life: &mut Life, disk: &MemoryDirectory) {
    let mut store = Store::open(Arc::new(disk.clone())).unwrap();
    if store.view().is_none() {
        assert_eq!(life.model, Model::default(), "the collection is lost");
        store.open_collection(schema(ElementType::F32)).unwrap();
    }
    life.check(&store);
    life.upsert(&mut store, &[ints(90..93), strings(&["c", "d"])].concat(), true).unwrap();
    store.checkpoint().unwrap();
    let jobs = store.take_jobs(true);
    life.delete(&mut store, &ints(90..91)).unwrap();
    jobs.iter().for_each(|job| store.finish(job).unwrap());
    store.checkpoint().unwrap();
    life.check(&store);
    let digest = store.digest();
    drop(store);
    let store = Store::open(Arc::new(disk.clone())).unwrap();
    life.check(&store);
    assert_eq!(store.digest(), digest);
    let segments = store.view().unwrap().statistics().segments as usize
        + store.copy.consumer().reader().view(OTHER).map_or(0, |view| view.statistics().segments as usize);
    let rows = files(disk).into_iter().filter(|name| name.ends_with(".rows")).count();
    assert_eq!(rows, segments, "a left-over among {:?}", files(disk));
}

#[test]
fn a_failure_at_any_call_loses_nothing_that_was_acknowledged() {
    let directory = FaultyDirectory::new(Arc::new(MemoryDirectory::new()));
    live(&mut Life::default(), &directory).unwrap();
    let calls = directory.calls().mutating;
    assert!(calls > 100, "{calls} calls");
    let seeds = if slow() { 40 } else { 2 };
    for call in 0..calls {
        for fault in Fault::ALL {
            for seed in 0..seeds {
                let disk = MemoryDirectory::new();
                let directory = FaultyDirectory::new(Arc::new(disk.clone()));
                directory.fail_at(call, fault);
                let mut life = Life::default();
                let lived = live(&mut life, &directory);
                let context = format!("{fault:?} at call {call}, seed {seed}, after {lived:?}");
                let check = || reopen(&mut life, &disk.crash(call * 1000 + seed));
                if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)) {
                    eprintln!("{context}");
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}

#[test]
fn a_failed_job_leaves_the_shard_at_work_and_no_files() {
    let mut struck = 0;
    for offset in 0..60 {
        for fault in [Fault::Failed, Fault::Torn, Fault::NoSpace] {
            let disk = MemoryDirectory::new();
            let directory = FaultyDirectory::new(Arc::new(disk.clone()));
            let mut life = Life::default();
            let mut store = Store::open(Arc::new(directory.clone())).unwrap();
            store.open_collection(schema(ElementType::F32)).unwrap();
            for part in 0..2 {
                life.add(&mut store, &ints(part * 10..part * 10 + 5), true).unwrap();
                store.checkpoint().unwrap();
            }
            life.add(&mut store, &ints(30..35), true).unwrap();
            directory.fail_at(directory.calls().mutating + offset, fault);
            let jobs = store.take_jobs(true);
            let merged = jobs.iter().try_for_each(|job| store.finish(job));
            let rows = || files(&disk).into_iter().filter(|name| name.ends_with(".rows")).count();
            if merged.is_err() {
                assert_eq!(rows(), 2, "{fault:?} at {offset}: the failed merge left a file");
            }
            let sealed = store.checkpoint();
            struck += u32::from(merged.is_err() || sealed.is_err());
            directory.heal();
            life.check(&store);
            match life.add(&mut store, &ints(40..45), false) {
                Ok(()) => {
                    for job in store.take_jobs(true) {
                        store.finish(&job).unwrap();
                    }
                    store.checkpoint().unwrap();
                    life.check(&store);
                    if merged.is_err() || sealed.is_err() {
                        let segments = store.view().unwrap().statistics().segments;
                        assert_eq!(rows() as u64, segments, "{fault:?} at {offset}: {:?}", files(&disk));
                    }
                }
                // The log's folder could not be synced.
                Err(error) => assert!(sealed.is_err() && matches!(error, GroupError::Poisoned { .. })),
            }
            drop(store);
            reopen(&mut life, &disk.crash(offset));
        }
    }
    assert!(struck >= 40, "{struck} jobs were hit");
}

#[test]
fn what_a_drop_races_with_brings_nothing_back() {
    let disk = MemoryDirectory::new();
    let mut store = Store::open(Arc::new(disk.clone())).unwrap();
    store.open_collection(schema(ElementType::F32)).unwrap();
    let mut life = Life::default();
    for part in 0..3 {
        life.add(&mut store, &ints(part * 10..part * 10 + 5), true).unwrap();
        store.checkpoint().unwrap();
    }
    life.add(&mut store, &ints(90..95), true).unwrap();
    let view = store.view().unwrap();
    let jobs = store.take_jobs(true);
    let taken = store.take_checkpoint();
    store.request(Request::Drop { collection: COLLECTION }).unwrap().unwrap();
    assert!(store.view().is_none());
    jobs.iter().for_each(|job| store.finish(job).unwrap());
    store.finish_checkpoint(taken).unwrap();
    assert!(store.view().is_none() && store.digest().is_none());
    // A reader who came before still reads.
    assert_eq!(view.statistics().live, 20);
    assert!(lavandin_shard::contains(&view, &RecordId::Int(90)));
    assert!(Store::open(Arc::new(disk.crash(1))).unwrap().view().is_none(), "the log knows of the drop");
    store.checkpoint().unwrap();
    let left = files(&disk).into_iter().filter(|name| name.starts_with("segments/")).collect::<Vec<_>>();
    assert_eq!(left, Vec::<String>::new());
    drop(store);
    let store = Store::open(Arc::new(disk)).unwrap();
    assert!(store.copy.consumer().collection_ids().is_empty());
}
