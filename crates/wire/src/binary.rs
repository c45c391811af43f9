//! The binary bodies: parameters in the query string, vectors, ids and field objects in the body.
//!
//! Layouts (all numbers little-endian; docs/formats/http-binary.md has the tables):
//!
//! ```text
//! records body = n·dim elements, then ids (raw: n × u64; range: nothing), then optionally a field block
//! field block  = "LDBF1", u32 n, then for each record 0, or 1 and a field object
//! search body  = dim elements (batch: n·dim)
//! search block = u32 n, n × u64 id, n × f32 score, u32 L, L bytes of JSON: a list of field objects (L = 0: none)
//! batch reply  = u32 n, n search blocks
//! records reply = u32 n, u32 dim, n·dim f32, n × u64 id, u32 L, L bytes of JSON
//! ```
//! Every length is checked against the parameters before anything is allocated, and nothing may follow the last part.

mod params;
mod records;
mod search;

pub use params::{EndsParams, IdsEncoding, RecordsParams, SearchParams};
pub use records::{BinaryIds, RecordsLayout, encode_records, split_records, split_vectors};
pub use search::{
    IdNotAnInteger, SearchBlock, decode_queries, split_batch_reply, split_search_block, write_records_block,
    write_search_block,
};

#[cfg(test)]
mod tests;
