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
use crate::iterations::error::Rejection;
use crate::iterations::lane_blocks::LaneBlocks;
use crate::iterations::op::{decode_rows, encode_rows, read_id};
use crate::iterations::places::Place;
use crate::iterations::walk::Sample;
use crate::order::{Block, EpochOrder};
use crate::steps::Steps;
use lavandin_types::{DatasetId, IterationId};
use std::ops::Range;
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
    /// Blocks of the order, or of all lanes.
    pub(crate) blocks: u32,
    /// Where shares are fixed.
    pub(crate) lanes: Option<LaneBlocks>,
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
    pub fn new(
        id: IterationId,
        dataset: DatasetId,
        rows: ShardRows,
        definition: Definition,
    ) -> Result<Self, Rejection> {
        let blocks = definition.blocks(&rows)?;
        Self::assemble((id, dataset, 0), rows, Arc::new(definition), blocks, Arc::default())
            .ok_or(Rejection::TOO_MANY_BLOCKS)
    }

    /// `None` if the blocks are not those of the definition's shares.
    pub(crate) fn assemble(
        (id, dataset, created_ms): (IterationId, DatasetId, u64),
        rows: ShardRows,
        definition: Arc<Definition>,
        blocks: u32,
        cache: Arc<BlockCache>,
    ) -> Option<Self> {
        let lanes = match definition.lane_blocks(rows.total()) {
            Some(lanes) => Some(lanes.filter(|lanes| lanes.count() == blocks)?),
            None => None,
        };
        Some(Self { id, dataset, created_ms, rows, definition, blocks, lanes, cache })
    }

    /// The steps that all ranks go, where shares are fixed.
    pub fn steps(&self) -> Option<&Steps> {
        self.lanes.as_ref().map(LaneBlocks::steps)
    }

    /// The samples that are to be handed out, repeated ones included.
    pub(crate) fn samples(&self) -> u64 {
        self.steps().map_or_else(|| self.rows.total(), Steps::samples)
    }

    /// The end of the samples' numbers.
    pub(crate) fn numbers_end(&self) -> u64 {
        self.rows.total().saturating_add(self.steps().map_or(0, Steps::repeated))
    }

    /// The step of a place of some block.
    pub fn step_at(&self, place: Place) -> Option<u64> {
        let lanes = self.lanes.as_ref().filter(|_| place.block < self.blocks)?;
        Some(lanes.step_at(place))
    }

    /// In which block a rank gets a step, and which offsets of it; the inner `None` beyond the last step. `None` without fixed
    /// shares, and for unknown ranks.
    pub fn places_at(&self, rank: u32, step: u64) -> Option<Option<(u32, Range<u64>)>> {
        let (lanes, lane) = (self.lanes.as_ref()?, self.definition.group_of(rank)?);
        Some(lanes.block_at(lane, step))
    }

    /// What a rank gets at a step; empty beyond the last one. Makes a whole block. `None` without fixed shares, and for unknown ranks.
    pub fn samples_at(&self, rank: u32, step: u64) -> Option<Vec<Sample>> {
        let Some((number, offsets)) = self.places_at(rank, step)? else { return Some(Vec::new()) };
        let block = self.block(number)?;
        let sample = |offset: u64| Sample {
            place: Place { block: number, offset: offset as u32 },
            index: block.index(offset),
        };
        Some(offsets.map(sample).collect())
    }

    /// The sample of the dataset that a sample's number stands for: itself, unless it repeats one.
    pub fn row_of(&self, number: u64) -> Option<u64> {
        let total = self.rows.total();
        if number < total {
            return Some(number);
        }
        if number >= self.numbers_end() {
            return None;
        }
        let order = self.order()?;
        let (block, inside) = order.block_at(number % total)?;
        Some(self.order_block(&order, block).index(inside))
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
        self.cache.keep_block(self.id, number, &block);
        Some(block)
    }

    /// The samples of a block that nobody will ask for soon again.
    pub(crate) fn block_once(&self, number: u32) -> Option<Arc<Block>> {
        self.cache.block(self.id, number).or_else(|| self.make_block(number))
    }

    fn make_block(&self, number: u32) -> Option<Arc<Block>> {
        if number >= self.blocks {
            return None;
        }
        let order = self.order()?;
        let block = match &self.lanes {
            None => order.block(u64::from(number)),
            Some(lanes) => self.lane_block(lanes, &order, number),
        };
        Some(Arc::new(block))
    }

    fn lane_block(&self, lanes: &LaneBlocks, order: &EpochOrder, number: u32) -> Block {
        let mut held: Option<(u64, Arc<Block>)> = None;
        let sample = |place: u64| {
            // What is beyond the last place repeats a sample, under a number of its own.
            let Some((number, inside)) = order.block_at(place) else { return place };
            let (_, block) = match held.take() {
                Some((known, block)) if known == number => held.insert((number, block)),
                _ => held.insert((number, self.order_block(order, number))),
            };
            block.index(inside)
        };
        Block::listed(lanes.places(number).map(sample).collect())
    }

    /// A block of the order itself.
    fn order_block(&self, order: &EpochOrder, number: u64) -> Arc<Block> {
        if let Some(block) = self.cache.order_block(self.id, number) {
            return block;
        }
        let block = Arc::new(order.block(number));
        self.cache.keep_order_block(self.id, number, &block);
        block
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
        let outline = Self::assemble((id, dataset, created_ms), rows, definition, blocks, Arc::default())?;
        rest.is_empty().then_some(outline)
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
