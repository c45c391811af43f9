//! From a request to a reply: the one function that stands around every handler, and what handlers work with.

mod body;
mod call;
mod dialect;
mod error;
mod name;
mod reading;
mod serve;

pub(crate) use call::{Call, aside, octets, reply, with_type};
pub(crate) use dialect::Dialect;
pub(crate) use error::ApiError;
pub(crate) use name::RequestNames;
pub(crate) use serve::{Instead, name_reply, serve, serve_nothing};

#[cfg(test)]
mod tests;
