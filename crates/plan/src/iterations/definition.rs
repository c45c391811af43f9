//! What an iteration was created with. Fixed for its life.
//!
//! ```text
//! definition = u8 version (1), 32 bytes configuration hash, varint count, shardsets, varint batch size, u8 drop_last,
//!              21 bytes order (see `order`), u8 has_groups, then (1) varint count, replication groups,
//!              5 texts: filters, categorizer, collater, preprocessors, settings
//! shardset   = 20 bytes id, varint manifest version, 16 bytes manifest hash
//! group      = varint count, for each rank a varint
//! text       = varint 0 for none, else varint length plus 1 and UTF-8
//! ```

use crate::iterations::bytes::{
    read_array, read_bool, read_count, read_text, read_u8, read_varint, read_varint_u32, take, write_text,
    write_varint,
};
use crate::iterations::error::Rejection;
use crate::iterations::limits::{DEFINITION_BYTES_MAX, IterationLimits};
use crate::order::Order;
use lavandin_types::ShardsetId;
use std::collections::BTreeSet;

const VERSION: u8 = 1;

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
            None => Some(rank),
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
        self.replication_groups.as_ref().is_none_or(|groups| (group as usize) < groups.len())
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
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        if bytes.len() > DEFINITION_BYTES_MAX {
            return Err(Rejection::TooLarge { bytes: bytes.len(), limit: DEFINITION_BYTES_MAX });
        }
        Ok(())
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
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
    }

    /// Reads what `encode` wrote from the front of `rest`; `None` on anything else.
    pub fn decode(rest: &mut &[u8]) -> Option<Self> {
        if read_u8(rest)? != VERSION {
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
        })
    }
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
