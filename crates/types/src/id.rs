//! Ids and counters. Each is a newtype over a fixed-width integer with a private field, so that no two of them can
//! be mixed up and none depends on the width of a pointer.

use std::fmt;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The lowest value; by convention it means "none yet".
            pub const ZERO: Self = Self(0);

            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            pub const fn get(self) -> u64 {
                self.0
            }

            /// The value that follows. Panics on overflow of 64 bits, which no counter reaches.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }

            pub const fn to_le_bytes(self) -> [u8; 8] {
                self.0.to_le_bytes()
            }

            pub const fn from_le_bytes(bytes: [u8; 8]) -> Self {
                Self(u64::from_le_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

counter!(
    /// A collection, never reused: a collection dropped and created again under its name gets another id.
    CollectionId,
    "c"
);
counter!(
    /// A shard group: one primary and its replicas.
    GroupId,
    "g"
);
counter!(
    /// A process of the cluster, numbered by the metadata when it joins.
    NodeId,
    "n"
);
counter!(
    /// The reign of one primary of a shard group; rises with each new primary and each restart of one.
    PrimaryEpoch,
    "e"
);
counter!(
    /// The place of a record in its group's log: dense, from 1; 0 is "before the first".
    SequenceNumber,
    "s"
);
counter!(
    /// The version of a collection's schema, raised by each change of it in the catalogue.
    SchemaVersion,
    "v"
);
counter!(
    /// A segment within one copy of a group; local to that copy, never reused by it.
    SegmentId,
    "seg"
);

macro_rules! wide {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            pub const fn new(value: u128) -> Self {
                Self(value)
            }

            pub const fn get(self) -> u128 {
                self.0
            }

            pub const fn to_le_bytes(self) -> [u8; 16] {
                self.0.to_le_bytes()
            }

            pub const fn from_le_bytes(bytes: [u8; 16]) -> Self {
                Self(u128::from_le_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
    };
}

wide!(
    /// One data directory, drawn at random when it is created.
    StoreId
);
wide!(
    /// A cluster; a node has none before its first logged write (SETTLED 1).
    ClusterId
);
wide!(
    /// XXH3-128 of a log record, which the next record names: the chain that continuity checks follow.
    RecordHash
);
wide!(
    /// Names one client request, so that a retry of it is applied once. `RequestId::NONE` asks for no such memory.
    RequestId
);

impl RequestId {
    pub const NONE: Self = Self(0);

    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}
