//! One iteration: what is fixed, and what changes, behind a lock.
//!
//! Only the thread of the log changes it. Readers hold the lock for as long as it takes to copy what they need.

use crate::ShardRows;
use crate::iterations::block_cache::BlockCache;
use crate::iterations::definition::Definition;
use crate::iterations::state::State;
use crate::order::{Block, EpochOrder};
use lavandin_types::{DatasetId, IterationId};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is fixed at creation.
#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    pub id: IterationId,
    pub dataset: DatasetId,
    pub created_ms: u64,
    pub rows: ShardRows,
    pub definition: Definition,
    /// Blocks of the order.
    pub blocks: u32,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub id: IterationId,
    pub dataset: DatasetId,
    pub created_ms: u64,
    pub rows: ShardRows,
    pub definition: Arc<Definition>,
    pub blocks: u32,
    cache: Arc<BlockCache>,
    state: Mutex<State>,
}

impl Entry {
    pub(crate) fn new(fixed: Fixed, state: State, cache: Arc<BlockCache>) -> Self {
        let Fixed { id, dataset, created_ms, rows, definition, blocks } = fixed;
        let definition = Arc::new(definition);
        Self { id, dataset, created_ms, rows, definition, blocks, cache, state: Mutex::new(state) }
    }

    /// Nothing that is done under the lock leaves it half done but by a defect, so a poisoned lock is as good as
    /// another.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The samples of a block; kept for whoever needs it next. `None` past the last one.
    pub(crate) fn block(&self, number: u32) -> Option<Arc<Block>> {
        if let Some(block) = self.cache.block(self.id, number) {
            return Some(block);
        }
        let block = self.make_block(number)?;
        self.cache.keep_block(self.id, number, &self.definition.order, &block);
        Some(block)
    }

    /// The samples of a block that nobody will ask for soon again.
    pub(crate) fn block_once(&self, number: u32) -> Option<Arc<Block>> {
        self.cache.block(self.id, number).or_else(|| self.make_block(number))
    }

    fn make_block(&self, number: u32) -> Option<Arc<Block>> {
        (number < self.blocks).then(|| Some(Arc::new(self.order()?.block(u64::from(number)))))?
    }

    /// The order, ready for use. `None` if there is none over these rows, which was refused at creation.
    fn order(&self) -> Option<Arc<EpochOrder>> {
        if let Some(order) = self.cache.order(self.id) {
            return Some(order);
        }
        let order = Arc::new(self.definition.order.prepare(&self.rows).ok()?);
        self.cache.keep_order(self.id, &order);
        Some(order)
    }
}
