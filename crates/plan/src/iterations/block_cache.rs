//! Orders and blocks of any iterations that were needed lately. Some orders must be made ready over all shard files, and
//! some must shuffle a whole block to know one sample of it; the log's thread, all ranks of a group and whoever asks for
//! progress share the result.

use crate::order::{Block, EpochOrder};
use lavandin_types::IterationId;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of kept blocks' lists of samples.
const LIST_BYTES_MAX: u64 = 64 << 20;
const BLOCKS_MAX: usize = 8192;
/// Shard files of kept orders, up to 16 bytes each.
const SHARDS_MAX: u64 = 4 << 20;
const ORDERS_MAX: usize = 256;

#[derive(Debug)]
pub(crate) struct BlockCache {
    blocks: Mutex<Lru<(IterationId, u32), Arc<Block>>>,
    /// Of the order itself, where shares are fixed.
    order_blocks: Mutex<Lru<(IterationId, u64), Arc<Block>>>,
    orders: Mutex<Lru<IterationId, Arc<EpochOrder>>>,
}

/// The values used last, up to a number of them and up to a sum of weights; the last one whatever it weighs.
#[derive(Debug)]
struct Lru<K, V> {
    values: HashMap<K, Cached<V>>,
    count_max: usize,
    weight_max: u64,
    weight: u64,
    clock: u64,
}

#[derive(Debug)]
struct Cached<V> {
    value: V,
    weight: u64,
    used: u64,
}

impl Default for BlockCache {
    fn default() -> Self {
        Self {
            blocks: Mutex::new(Lru::new(BLOCKS_MAX, LIST_BYTES_MAX)),
            order_blocks: Mutex::new(Lru::new(BLOCKS_MAX, LIST_BYTES_MAX)),
            orders: Mutex::new(Lru::new(ORDERS_MAX, SHARDS_MAX)),
        }
    }
}

impl BlockCache {
    pub(crate) fn block(&self, iteration: IterationId, number: u32) -> Option<Arc<Block>> {
        lock(&self.blocks).get(&(iteration, number))
    }

    pub(crate) fn keep_block(&self, iteration: IterationId, number: u32, block: &Arc<Block>) {
        lock(&self.blocks).insert((iteration, number), Arc::clone(block), block.list_bytes());
    }

    pub(crate) fn order_block(&self, iteration: IterationId, number: u64) -> Option<Arc<Block>> {
        lock(&self.order_blocks).get(&(iteration, number))
    }

    pub(crate) fn keep_order_block(&self, iteration: IterationId, number: u64, block: &Arc<Block>) {
        lock(&self.order_blocks).insert((iteration, number), Arc::clone(block), block.list_bytes());
    }

    pub(crate) fn order(&self, iteration: IterationId) -> Option<Arc<EpochOrder>> {
        lock(&self.orders).get(&iteration)
    }

    pub(crate) fn keep_order(&self, iteration: IterationId, order: &Arc<EpochOrder>) {
        let weight = u64::from(order.rows().shards());
        lock(&self.orders).insert(iteration, Arc::clone(order), weight);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Copy + Eq + Hash, V: Clone> Lru<K, V> {
    fn new(count_max: usize, weight_max: u64) -> Self {
        Self { values: HashMap::new(), count_max, weight_max, weight: 0, clock: 0 }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        self.clock += 1;
        let cached = self.values.get_mut(key)?;
        cached.used = self.clock;
        Some(cached.value.clone())
    }

    fn insert(&mut self, key: K, value: V, weight: u64) {
        self.clock += 1;
        self.weight += weight;
        if let Some(old) = self.values.insert(key, Cached { value, weight, used: self.clock }) {
            self.weight -= old.weight;
        }
        while self.values.len() > 1
            && (self.values.len() > self.count_max || self.weight > self.weight_max)
            && let Some(oldest) =
                self.values.iter().min_by_key(|(_, cached)| cached.used).map(|(key, _)| *key)
            && let Some(cached) = self.values.remove(&oldest)
        {
            self.weight -= cached.weight;
        }
    }
}

#[cfg(test)]
mod tests;
