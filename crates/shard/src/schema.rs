//! What a copy of a group knows of a collection's shape; it arrives as logged operations, so that every copy and
//! every replay sees the same.

use lavandin_types::{BuildParameters, ElementType, IndexMode, Metric, SchemaVersion};

/// A collection's shape and index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    pub version: SchemaVersion,
    pub element: ElementType,
    /// Elements of a vector, at least one.
    pub dim: u32,
    /// `None` until an index is asked for; searches then scan by inner product.
    pub index: Option<IndexSpec>,
}

/// An index as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSpec {
    pub mode: IndexMode,
    pub parameters: BuildParameters,
}

impl Schema {
    /// The metric that searches use.
    pub fn metric(&self) -> Metric {
        self.index.as_ref().map_or(Metric::Ip, |index| index.mode.metric)
    }

    /// Whether segments of some size should carry a graph.
    pub fn wants_graph(&self) -> bool {
        self.index.as_ref().is_some_and(|index| index.mode.wants_graph())
    }

    /// Bytes of one stored vector.
    pub fn vector_bytes(&self) -> usize {
        self.dim as usize * self.element.size()
    }
}
