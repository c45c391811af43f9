//! The HTTP API's bytes: JSON requests and replies, query strings, and the binary bodies.
//!
//! Everything here is a pure function between bytes and values. The server reads requests with it and writes
//! replies; a client does the reverse. What a byte means is written in docs/http-api.md and
//! docs/formats/http-binary.md. The API of datasets and iterations has a module of its own, [`lavender`].
//!
//! Invariants:
//! - no input makes a function panic, and no count inside an input makes one allocate more than a small multiple of
//!   the bytes that came with it;
//! - a decoded request is whole: ids are non-empty strings or 64-bit integers, vectors have equal dimension, field
//!   objects are in the binary form of `lavandin_types::FieldsRef` and checked;
//! - vectors, ids and field objects go from the text into their final bytes without a tree of values in between.
//!
//! Deliberately absent: routes, statuses of outcomes, limits that an operator sets (`server`), and every question
//! that needs a collection's state, such as its dimension (`node`); so are numbers that are not finite, which JSON
//! cannot hold and which the engine looks for in what came as bytes.

pub mod binary;
mod cursor;
mod error;
mod fields;
mod id;
pub mod lavender;
mod query;
mod reply;
pub mod request;
mod vectors;

pub use error::WireError;
pub use fields::{FieldObject, FieldsJson, FieldsList};
pub use id::{IdJson, Ids, OneOrManyIds};
pub use query::QueryString;
pub use reply::{ErrorBody, HitRef, HitsJson, RecordRef, RecordsJson, ReplyWriter};
pub use vectors::{Vector, VectorRows};
