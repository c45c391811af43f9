use crate::store::{Store, batch, schema};
use lavandin_shard::{BatchIds, Change};
use lavandin_storage::MemoryDirectory;
use lavandin_types::ElementType;
use std::sync::Arc;
#[test]
fn quad() {
    for n in [5_000, 10_000, 20_000, 40000] {
        let mut store = Store::open(Arc::new(MemoryDirectory::new())).unwrap();
        store.open_collection(schema(ElementType::F32)).unwrap();
        let t = std::time::Instant::now();
        for i in 0..n { store.change(Change::Upsert(batch(BatchIds::Ints(vec![7]), &[i], false))).unwrap().unwrap(); }
        let a = t.elapsed();
        let t = std::time::Instant::now();
        store.checkpoint().unwrap();
        println!("{n}: upserts {a:?}, seal {:?}", t.elapsed());
    }
}
