//! Steps by name, for traces.

use std::fmt;

/// One step of the system. Numbers are nodes unless named otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Promote { node: u8 },
    Shrink { node: u8 },
    AddJoiner { node: u8 },
    DropJoiner { node: u8 },
    Grow { node: u8, epoch: u8, version: u8 },
    Learn { primary: u8 },
    Write { primary: u8, request: u8 },
    Sync { primary: u8 },
    ReceiveAck { primary: u8, from: u8 },
    ProposeShrink { primary: u8, node: u8 },
    ProposeGrow { primary: u8, joiner: u8 },
    ForgetJoiner { primary: u8 },
    CountForkPoint { primary: u8, from: u8 },
    Accept { node: u8, from: u8, epoch: u8, sequence: u8, synced: bool },
    Restart { node: u8 },
    Replace { node: u8 },
}

impl Action {
    /// How many kinds there are.
    pub const KINDS: usize = 15;

    /// The kinds that a protocol without mistakes has.
    pub const SOUND_KINDS: [&str; Self::KINDS - 1] = [
        "promote",
        "shrink",
        "add joiner",
        "drop joiner",
        "grow",
        "learn",
        "write",
        "sync",
        "receive ack",
        "propose grow",
        "accept and ack",
        "accept unsynced",
        "restart",
        "replace disk",
    ];

    /// The kind's number: its place in [`Self::SOUND_KINDS`], or the last one for steps that are mistakes in themselves.
    pub fn kind(&self) -> usize {
        match self {
            Self::Promote { .. } => 0,
            Self::Shrink { .. } => 1,
            Self::AddJoiner { .. } => 2,
            Self::DropJoiner { .. } => 3,
            Self::Grow { .. } => 4,
            Self::Learn { .. } => 5,
            Self::Write { .. } => 6,
            Self::Sync { .. } => 7,
            Self::ReceiveAck { .. } => 8,
            Self::ProposeGrow { .. } => 9,
            Self::Accept { synced: true, .. } => 10,
            Self::Accept { synced: false, .. } => 11,
            Self::Restart { .. } => 12,
            Self::Replace { .. } => 13,
            Self::ProposeShrink { .. } | Self::ForgetJoiner { .. } | Self::CountForkPoint { .. } => 14,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Promote { node } => write!(f, "metadata promotes n{node}"),
            Self::Shrink { node } => write!(f, "metadata removes n{node} from the in-sync set"),
            Self::AddJoiner { node } => write!(f, "metadata makes n{node} the joiner"),
            Self::DropJoiner { node } => write!(f, "metadata drops the joiner n{node}"),
            Self::Grow { node, epoch, version } => {
                write!(f, "metadata admits n{node} as proposed at {epoch}.{version}")
            }
            Self::Learn { primary } => write!(f, "n{primary} learns that it leads, and the group's state"),
            Self::Write { primary, request } => write!(f, "n{primary} logs and sends request {request}"),
            Self::Sync { primary } => write!(f, "n{primary} syncs its log"),
            Self::ReceiveAck { primary, from } => write!(f, "n{primary} receives the ack of n{from}"),
            Self::ProposeShrink { primary, node } => {
                write!(f, "n{primary} proposes to remove n{node} and stops counting it")
            }
            Self::ProposeGrow { primary, joiner } => write!(f, "n{primary} proposes to admit n{joiner}"),
            Self::ForgetJoiner { primary } => write!(f, "n{primary} stops requiring its joiner"),
            Self::CountForkPoint { primary, from } => {
                write!(f, "n{primary} hears how far the log of n{from} agrees, and counts that as its ack")
            }
            Self::Accept { node, from, epoch, sequence, synced } => {
                let then = if synced { "syncs, sends its ack" } else { "does not sync yet" };
                write!(f, "n{node} accepts record {sequence} of n{from} in epoch {epoch}, {then}")
            }
            Self::Restart { node } => write!(f, "n{node} is killed, restarts and registers"),
            Self::Replace { node } => write!(f, "n{node} loses its disk and registers with an empty one"),
        }
    }
}
