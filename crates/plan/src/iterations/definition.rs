//! What an iteration was created with. Fixed for its life.
//!
//! ```text
//! definition = u8 version (1; 2 with fixed shares), 32 bytes configuration hash, varint count, shardsets, varint batch size, u8 drop_last,
//!              21 bytes order (see `order`), u8 has_groups, then (1) varint count, replication groups,
//!              5 texts: filters, categorizer, collater, preprocessors, settings,
//!              (of version 2) varint lanes, u8 ending (0 balanced, 1 pad, 2 drop), varint first place
//! shardset   = 20 bytes id, varint manifest version, 16 bytes manifest hash
//! group      = varint count, for each rank a varint
//! text       = varint 0 for none, else varint length plus 1 and UTF-8
//! ```

use crate::ShardRows;
use crate::iterations::bytes::{
    read_array, read_bool, read_count, read_text, read_u8, read_varint, read_varint_u32, take, write_text,
    write_varint,
};
use crate::iterations::error::Rejection;
use crate::iterations::lane_blocks::{FixedShares, LaneBlocks};
use crate::iterations::limits::{DEFINITION_BYTES_MAX, IterationLimits};
use crate::order::Order;
use crate::steps::Ending;
use lavandin_types::ShardsetId;
use std::collections::BTreeSet;
use std::num::NonZeroU32;

const VERSION: u8 = 1;
const VERSION_WITH_SHARES: u8 = 2;

const ENDINGS: [Ending; 3] = [Ending::Balanced, Ending::Pad, Ending::Drop];

/// A shardset as one sync of it left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardsetVersion {
    pub shardset: ShardsetId,
    pub manifest_version: u64,
    pub manifest_hash: u128,
}

/// What an iteration was created with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Of everything that makes two requests ask for the same iteration; what ranks join by.
    pub config_hash: [u8; 32],
    /// The main one first.
    pub shardsets: Vec<ShardsetVersion>,
    /// 0 for single samples.
    pub batch_size: u32,
    pub drop_last: bool,
    pub order: Order,
    /// Ranks that receive identical streams; `None` if every rank is on its own.
    pub replication_groups: Option<Vec<Vec<u32>>>,
    /// Who gets which samples; `None` if groups take blocks as they come.
    pub shares: Option<FixedShares>,
    // The rest is JSON text, kept as given.
    pub filters: Option<String>,
    pub categorizer: Option<String>,
    pub collater: Option<String>,
    pub preprocessors: Option<String>,
    /// Whatever else the sessions of this iteration need.
    pub settings: Option<String>,
}

impl Definition {
    /// The ordinal of the rank's replication group, which is the rank itself where there are none; `None` if the rank
    /// is in no group.
    pub fn group_of(&self, rank: u32) -> Option<u32> {
        match &self.replication_groups {
            None => self.has_group(rank).then_some(rank),
            Some(groups) => {
                groups.iter().position(|ranks| ranks.contains(&rank)).map(|ordinal| ordinal as u32)
            }
        }
    }

    /// The ranks of a group.
    pub(crate) fn ranks_of(&self, group: u32) -> Vec<u32> {
        match &self.replication_groups {
            None => vec![group],
            Some(groups) => groups.get(group as usize).cloned().unwrap_or_default(),
        }
    }

    pub(crate) fn has_group(&self, group: u32) -> bool {
        match (&self.replication_groups, &self.shares) {
            (Some(groups), _) => (group as usize) < groups.len(),
            (None, Some(shares)) => group < shares.lanes.get(),
            (None, None) => true,
        }
    }

    /// Samples of a batch; 1 for single samples.
    pub(crate) fn batch_samples(&self) -> NonZeroU32 {
        NonZeroU32::new(self.batch_size).unwrap_or(NonZeroU32::MIN)
    }

    /// How many blocks there are over these rows.
    pub(crate) fn blocks(&self, rows: &ShardRows) -> Result<u32, Rejection> {
        let order = self.order.prepare(rows)?;
        match self.lane_blocks(rows.total()) {
            Some(lanes) => lanes.map(|lanes| lanes.count()).ok_or(Rejection::TOO_MANY_LANE_BLOCKS),
            None => u32::try_from(order.blocks()).map_err(|_| Rejection::TOO_MANY_BLOCKS),
        }
    }

    /// The blocks over this many samples, where shares are fixed; the inner `None` if there would be too many.
    pub(crate) fn lane_blocks(&self, total: u64) -> Option<Option<LaneBlocks>> {
        self.shares.map(|shares| LaneBlocks::new(shares, self.batch_samples(), total))
    }

    pub(crate) fn check(&self, limits: &IterationLimits) -> Result<(), Rejection> {
        let mut seen = BTreeSet::new();
        for rank in self.replication_groups.iter().flatten().flatten() {
            if !seen.insert(*rank) {
                return Err(Rejection::Invalid("a rank is listed twice in the replication groups"));
            }
        }
        if seen.len() > limits.ranks_max {
            return Err(Rejection::TooManyRanks { limit: limits.ranks_max });
        }
        if let Some(shares) = &self.shares {
            self.check_shares(shares, limits)?;
        }
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        if bytes.len() > DEFINITION_BYTES_MAX {
            return Err(Rejection::TooLarge { bytes: bytes.len(), limit: DEFINITION_BYTES_MAX });
        }
        Ok(())
    }

    fn check_shares(&self, shares: &FixedShares, limits: &IterationLimits) -> Result<(), Rejection> {
        let lanes = shares.lanes.get() as usize;
        if lanes > limits.ranks_max {
            return Err(Rejection::TooManyRanks { limit: limits.ranks_max });
        }
        let groups = self.replication_groups.as_ref();
        if groups.is_some_and(|groups| groups.len() != lanes || groups.iter().any(Vec::is_empty)) {
            return Err(Rejection::Invalid("a replication group has no ranks"));
        }
        // What was filtered out before a batch is in the same grant.
        let (count, limit) = (u64::from(self.batch_samples().get()), limits.request_samples_max / 2);
        (count <= limit).then_some(()).ok_or(Rejection::TooManySamples { count, limit })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(if self.shares.is_some() { VERSION_WITH_SHARES } else { VERSION });
        out.extend_from_slice(&self.config_hash);
        write_varint(out, self.shardsets.len() as u64);
        for used in &self.shardsets {
            out.extend_from_slice(&used.shardset.to_bytes());
            write_varint(out, used.manifest_version);
            out.extend_from_slice(&used.manifest_hash.to_le_bytes());
        }
        write_varint(out, u64::from(self.batch_size));
        out.push(u8::from(self.drop_last));
        out.extend_from_slice(&self.order.to_bytes());
        out.push(u8::from(self.replication_groups.is_some()));
        if let Some(groups) = &self.replication_groups {
            write_varint(out, groups.len() as u64);
            for ranks in groups {
                write_varint(out, ranks.len() as u64);
                ranks.iter().for_each(|rank| write_varint(out, u64::from(*rank)));
            }
        }
        let texts = [&self.filters, &self.categorizer, &self.collater, &self.preprocessors, &self.settings];
        texts.into_iter().for_each(|text| write_text(out, text.as_deref()));
        if let Some(FixedShares { lanes, ending, first }) = self.shares {
            write_varint(out, u64::from(lanes.get()));
            out.push(ending as u8);
            write_varint(out, first);
        }
    }

    /// Reads what `encode` wrote from the front of `rest`; `None` on anything else.
    pub fn decode(rest: &mut &[u8]) -> Option<Self> {
        let version = read_u8(rest)?;
        if version != VERSION && version != VERSION_WITH_SHARES {
            return None;
        }
        let config_hash = read_array(rest)?;
        let mut shardsets = Vec::new();
        for _ in 0..read_count(rest)? {
            shardsets.push(ShardsetVersion {
                shardset: ShardsetId::from_bytes(take(rest, 20)?.try_into().ok()?)?,
                manifest_version: read_varint(rest)?,
                manifest_hash: u128::from_le_bytes(read_array(rest)?),
            });
        }
        Some(Self {
            config_hash,
            shardsets,
            batch_size: read_varint_u32(rest)?,
            drop_last: read_bool(rest)?,
            order: Order::from_bytes(&read_array(rest)?)?,
            replication_groups: decode_groups(rest)?,
            filters: read_text(rest)?,
            categorizer: read_text(rest)?,
            collater: read_text(rest)?,
            preprocessors: read_text(rest)?,
            settings: read_text(rest)?,
            shares: if version == VERSION { None } else { Some(decode_shares(rest)?) },
        })
    }
}

fn decode_shares(rest: &mut &[u8]) -> Option<FixedShares> {
    Some(FixedShares {
        lanes: NonZeroU32::new(read_varint_u32(rest)?)?,
        ending: *ENDINGS.get(usize::from(read_u8(rest)?))?,
        first: read_varint(rest)?,
    })
}

fn decode_groups(rest: &mut &[u8]) -> Option<Option<Vec<Vec<u32>>>> {
    if !read_bool(rest)? {
        return Some(None);
    }
    let mut groups = Vec::new();
    for _ in 0..read_count(rest)? {
        let count = read_count(rest)?;
        groups.push((0..count).map(|_| read_varint_u32(rest)).collect::<Option<Vec<u32>>>()?);
    }
    Some(Some(groups))
}

#[cfg(test)]
mod tests;
