//! Files that somebody else has, other than a store: they are asked for by their content.

use super::error::LocationError;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use std::fmt;

/// The bytes of a file on their way.
pub type Body = BoxStream<'static, Result<Bytes, LocationError>>;

/// Who has a file.
pub trait Origin: Send + Sync + fmt::Debug {
    /// The file's bytes from `offset` on.
    fn open(&self, offset: u64) -> BoxFuture<'_, Result<Body, LocationError>>;
}
