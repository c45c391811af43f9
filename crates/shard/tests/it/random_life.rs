//! Random lives of a collection: changes, checkpoints, merges that overlap with changes, power failures. Whatever was
//! acknowledged is there afterwards, nothing else is, and the digest depends on the records alone.

use crate::model::Model;
use crate::store::{COLLECTION, Store, batch, ids, schema};
use lavandin_shard::{Change, Job, Outcome};
use lavandin_storage::MemoryDirectory;
use lavandin_types::{ElementType, RecordId};
use std::sync::Arc;

/// A small linear congruential generator (Knuth's MMIX constants): the same life for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn ids(&mut self) -> Vec<RecordId> {
        let mut picked: Vec<RecordId> = (0..1 + self.roll(6))
            .map(|_| match self.roll(2) {
                0 => RecordId::Int(self.roll(40)),
                _ => RecordId::from(format!("s{}", self.roll(40)).as_str()),
            })
            .collect();
        picked.sort();
        picked.dedup();
        picked
    }

    fn values(&mut self, count: usize) -> Vec<i32> {
        (0..count).map(|_| self.roll(1000) as i32 - 500).collect()
    }
}

fn step(store: &mut Store, model: &mut Model, dice: &mut Dice) {
    let picked = dice.ids();
    let values = dice.values(picked.len());
    let with_fields = dice.roll(3) > 0;
    match dice.roll(10) {
        0..=3 => {
            let change = Change::Add(batch(ids(&picked), &values, with_fields));
            let exists = picked.iter().any(|id| model.entries.contains_key(id));
            match store.change(change).unwrap() {
                Ok(_) => {
                    assert!(!exists, "an existing id was added");
                    model.add(&picked, &values, with_fields);
                }
                Err(rejection) => assert!(exists, "refused: {rejection}"),
            }
        }
        4..=5 => {
            store.change(Change::Upsert(batch(ids(&picked), &values, with_fields))).unwrap().unwrap();
            model.upsert(&picked, &values, with_fields);
        }
        6..=7 => {
            store.change(Change::Delete(picked.clone())).unwrap().unwrap();
            model.set_deleted(&picked, true);
        }
        8 => {
            store.change(Change::Restore(picked.clone())).unwrap().unwrap();
            model.set_deleted(&picked, false);
        }
        _ => {
            let removed = store.change(Change::Compact).unwrap().unwrap();
            let deleted = model.entries.values().filter(|entry| entry.deleted).count();
            assert_eq!(removed, Outcome::Count(deleted as u64));
            model.compact();
        }
    }
}

/// The digest of the model's records in a store that saw nothing else.
fn digest_of(model: &Model) -> Option<u128> {
    let mut store = Store::open(Arc::new(MemoryDirectory::new())).unwrap();
    store.open_collection(schema(ElementType::F32)).unwrap();
    for (id, entry) in model.entries.iter().filter(|(_, entry)| !entry.deleted) {
        let mut one = batch(ids(std::slice::from_ref(id)), &[entry.value], false);
        one.fields = entry.fields.map(|value| {
            let mut bytes = vec![1];
            bytes.extend_from_slice(&crate::store::fields_of(value));
            bytes.into()
        });
        store.change(Change::Add(one)).unwrap().unwrap();
    }
    store.digest()
}

fn live(seed: u64, steps: usize) {
    let mut dice = Dice(seed);
    let mut disk = MemoryDirectory::new();
    let mut store = Store::open(Arc::new(disk.clone())).unwrap();
    store.open_collection(schema(ElementType::F32)).unwrap();
    let mut model = Model::default();
    let mut jobs: Vec<Job> = Vec::new();
    for _ in 0..steps {
        step(&mut store, &mut model, &mut dice);
        match dice.roll(20) {
            0..=1 => store.checkpoint().unwrap(),
            2 => {
                let all = dice.roll(2) == 0;
                jobs.extend(store.take_jobs(all));
            }
            3 => {
                for job in jobs.drain(..) {
                    store.finish(&job).unwrap();
                }
                model.check(&store);
            }
            4 => {
                drop(store);
                jobs.clear();
                disk = disk.crash(dice.roll(u64::MAX >> 34));
                store = Store::open(Arc::new(disk.clone())).unwrap();
                model.check(&store);
            }
            _ => {}
        }
    }
    model.check(&store);
    assert_eq!(store.digest(), digest_of(&model), "the digest depends on more than the records");
    assert!(store.copy.consumer().collection_ids().contains(&COLLECTION));
}

#[test]
fn random_lives_keep_what_was_acknowledged() {
    let seeds = if std::env::var_os("LAVANDIN_SLOW_TESTS").is_some() { 2000 } else { 60 };
    for seed in 0..seeds {
        let result = std::panic::catch_unwind(|| live(seed, 150));
        if let Err(panic) = result {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
