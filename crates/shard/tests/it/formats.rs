//! Files that earlier versions of this program wrote are read for ever. `fixtures/store-<n>` is a whole store as the
//! formats were when it was made; it is never edited. `cargo test -p lavandin-shard -- --ignored write_a_fixture`
//! makes the one of a new version.

use crate::disk::{empty, files, write};
use crate::model::Model;
use crate::store::{COLLECTION, Store, batch, ids, schema};
use lavandin_shard::{Change, IndexSpec, Request, Schema};
use lavandin_storage::{Directory, MemoryDirectory};
use lavandin_types::{BuildParameters, CollectionId, ElementType, IndexMode, RecordId, SchemaVersion};
use std::path::PathBuf;
use std::sync::Arc;

fn folder(version: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/store-{version}"))
}

fn indexed() -> Schema {
    let parameters = BuildParameters { m: Some(12), ..BuildParameters::default() };
    let index = IndexSpec { mode: IndexMode::parse("FLAT-L2").unwrap(), parameters };
    Schema { version: SchemaVersion::new(2), index: Some(index), ..schema(ElementType::F32) }
}

/// Every kind of operation, before a checkpoint and behind it; what the store then holds.
fn live(disk: &MemoryDirectory) -> Model {
    let mut model = Model::default();
    let mut store = Store::open(Arc::new(disk.clone())).unwrap();
    store.open_collection(schema(ElementType::F32)).unwrap();
    for part in 0..2 {
        let other = CollectionId::new(100 + part);
        store
            .request(Request::Open { collection: other, schema: schema(ElementType::F16) })
            .unwrap()
            .unwrap();
        store.request(Request::SetSchema { collection: COLLECTION, schema: indexed() }).unwrap().unwrap();
        let name = |text: &str| RecordId::from(format!("{text}{part}").as_str());
        let names = [name("é"), RecordId::Int(part * 10), RecordId::Int(u64::MAX - part), name("gone")];
        let mut change = |change| store.change(change).unwrap().unwrap();
        change(Change::Add(batch(ids(&names), &[1, 2, 3, 4], true)));
        model.add(&names, &[1, 2, 3, 4], true);
        change(Change::Upsert(batch(ids(&names[1..2]), &[-2], false)));
        model.upsert(&names[1..2], &[-2], false);
        change(Change::Delete(names[3..].to_vec()));
        model.set_deleted(&names[3..], true);
        change(Change::Compact);
        model.compact();
        change(Change::Delete(names[..2].to_vec()));
        change(Change::Restore(names[..1].to_vec()));
        model.set_deleted(&names[1..2], true);
        store.request(Request::Drop { collection: other }).unwrap().unwrap();
        if part == 0 {
            store.checkpoint().unwrap();
        }
    }
    model
}

#[test]
fn a_store_of_version_1_is_read() {
    let disk = empty();
    let files = [
        "checkpoint-000000000000000b",
        "epoch",
        "log/00000000000000000001.log",
        "segments/0000000000000001.rows",
    ];
    for name in files {
        write(&disk, name, &std::fs::read(folder(1).join(name)).unwrap());
    }
    let mut store = Store::open(Arc::new(disk.clone())).unwrap();
    assert!(store.copy.recovery().damaged_checkpoint.is_none());
    let expected = live(&MemoryDirectory::new());
    expected.check(&store);
    assert_eq!(store.digest(), Some(DIGEST));
    assert_eq!(store.copy.consumer().collection_ids(), [COLLECTION]);
    assert_eq!(*store.view().unwrap().schema(), indexed());
    // And is written on.
    store.checkpoint().unwrap();
    drop(store);
    expected.check(&Store::open(Arc::new(disk)).unwrap());
}

/// Of the records of version 1's fixture.
const DIGEST: u128 = 191_450_747_491_212_886_500_413_895_781_798_570_881;

#[test]
#[ignore = "makes the fixture of a new version of the formats"]
fn write_a_fixture() {
    let version = 1;
    let disk = MemoryDirectory::new();
    live(&disk);
    for name in files(&disk) {
        let path = folder(version).join(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(!path.exists(), "a fixture is never edited");
        std::fs::write(path, &disk.map(&name).unwrap()[..]).unwrap();
    }
}
