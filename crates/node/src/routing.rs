//! How a collection lies over groups: which group gets what of a request, and one answer from theirs. Pure.

pub(crate) mod merge;
mod split;

pub(crate) use split::Layout;
