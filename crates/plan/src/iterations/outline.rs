//! What is fixed of an iteration at its creation, and with it the samples of each of its blocks. Whoever has the outline
//! can walk the iteration, on whatever node; what others took meanwhile it asks for ([`crate::iterations::Found`]).
//!
//! ```text
//! outline = 20 bytes id, 20 bytes dataset, varint created_ms, rows (see `op`), varint blocks, definition
//! info    = 20 bytes id, 20 bytes dataset, varint created_ms, varint samples, definition
//! ```

use crate::ShardRows;
use crate::iterations::block_cache::BlockCache;
use crate::iterations::bytes::{read_array, read_varint, read_varint_u32, write_varint};
use crate::iterations::definition::Definition;
use crate::iterations::op::{decode_rows, encode_rows, read_id};
use crate::order::{Block, EpochOrder};
use lavandin_types::{DatasetId, IterationId};
use std::sync::Arc;

/// What an iteration was created with, but for the number of rows in each of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IterationInfo {
    pub id: IterationId,
    pub dataset: DatasetId,
    pub created_ms: u64,
    /// Samples of the main shardset.
    pub total: u64,
    pub definition: Arc<Definition>,
}

/// All that an iteration was created with.
#[derive(Debug)]
pub struct Outline {
    pub id: IterationId,
    pub dataset: DatasetId,
    pub created_ms: u64,
    /// Of the main shardset, as of the manifest that the definition names.
    pub rows: ShardRows,
    pub definition: Arc<Definition>,
    /// Blocks of the order.
    pub(crate) blocks: u32,
    pub(crate) cache: Arc<BlockCache>,
}

/// Two are the same that were created with the same; what they keep ready does not count.
impl PartialEq for Outline {
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.dataset, self.created_ms, self.blocks)
            == (other.id, other.dataset, other.created_ms, other.blocks)
            && self.rows == other.rows
            && self.definition == other.definition
    }
}

impl Outline {
    /// Of what is walked without being an iteration of any group. `rows` are of the main shardset.
    pub fn new(id: IterationId, dataset: DatasetId, rows: ShardRows, definition: Definition) -> Self {
        let blocks = definition.order.blocks(&rows).try_into().unwrap_or(u32::MAX);
        let (definition, cache) = (Arc::new(definition), Arc::default());
        Self { id, dataset, created_ms: 0, rows, definition, blocks, cache }
    }

    pub fn info(&self) -> IterationInfo {
        IterationInfo {
            id: self.id,
            dataset: self.dataset,
            created_ms: self.created_ms,
            total: self.rows.total(),
            definition: Arc::clone(&self.definition),
        }
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

    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_head(self.id, self.dataset, self.created_ms, out);
        encode_rows(&self.rows, out);
        write_varint(out, u64::from(self.blocks));
        self.definition.encode(out);
    }

    /// What `encode` wrote; `None` on anything else. Blocks that are made from it are its own.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let (id, dataset, created_ms) = decode_head(rest)?;
        let (rows, blocks) = (decode_rows(rest)?, read_varint_u32(rest)?);
        let definition = Arc::new(Definition::decode(rest)?);
        let cache = Arc::default();
        rest.is_empty().then_some(Self { id, dataset, created_ms, rows, definition, blocks, cache })
    }
}

impl IterationInfo {
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_head(self.id, self.dataset, self.created_ms, out);
        write_varint(out, self.total);
        self.definition.encode(out);
    }

    /// What `encode` wrote; `None` on anything else.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let (id, dataset, created_ms) = decode_head(rest)?;
        let (total, definition) = (read_varint(rest)?, Arc::new(Definition::decode(rest)?));
        rest.is_empty().then_some(Self { id, dataset, created_ms, total, definition })
    }
}

fn encode_head(id: IterationId, dataset: DatasetId, created_ms: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.to_bytes());
    out.extend_from_slice(&dataset.to_bytes());
    write_varint(out, created_ms);
}

fn decode_head(rest: &mut &[u8]) -> Option<(IterationId, DatasetId, u64)> {
    Some((read_id(rest)?, DatasetId::from_bytes(read_array(rest)?)?, read_varint(rest)?))
}
