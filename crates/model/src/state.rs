//! The whole system as one flat value of bytes, so that states are compared and hashed as bytes.
//!
//! Two states that allow the same futures should be the same bytes: [`State::normalize`] forgets messages that nobody
//! could ever accept. Epoch 0, version 0 and incarnation 0 mean "none".

use crate::config::{Config, Mistake};
use crate::log::{Entry, Log};
use bytemuck::{Pod, Zeroable};
use std::fmt;

pub(crate) const NODES_MAX: usize = 3;
/// Streams of ended sessions that are remembered: one for each epoch.
pub(crate) const STREAMS_MAX: usize = 5;
/// Proposals in flight that are remembered: one that may succeed, and in searches with mistakes an old one.
pub(crate) const GROWS_MAX: usize = 2;
/// "No node".
pub(crate) const NOBODY: u8 = u8::MAX;

/// A group as metadata holds it, and as a primary last saw it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Record {
    pub(crate) epoch: u8,
    pub(crate) version: u8,
    pub(crate) primary: u8,
    /// A bit for each node.
    pub(crate) in_sync: u8,
    /// A node or [`NOBODY`].
    pub(crate) joiner: u8,
    /// The registered incarnations, from 1.
    pub(crate) incarnations: [u8; NODES_MAX],
}

impl Record {
    const NONE: Self =
        Self { epoch: 0, version: 0, primary: 0, in_sync: 0, joiner: 0, incarnations: [0; NODES_MAX] };

    pub(crate) fn is_in_sync(&self, node: usize) -> bool {
        self.in_sync >> node & 1 == 1
    }

    pub(crate) fn is_joiner(&self, node: usize) -> bool {
        usize::from(self.joiner) == node
    }

    pub(crate) fn revision(&self) -> (u8, u8) {
        (self.epoch, self.version)
    }
}

/// What a node knows as a primary. Lost with its process.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Session {
    /// Epoch 0: the node does not lead.
    pub(crate) view: Record,
    /// To which incarnation of each node this session sends; 0 for nobody who could still accept.
    pub(crate) to: [u8; NODES_MAX],
    /// The highest sequence number that each copy acknowledged in this epoch.
    pub(crate) matched: [u8; NODES_MAX],
    /// The joiner whose admission is proposed, so that commits need it, or [`NOBODY`].
    pub(crate) required: u8,
}

impl Session {
    pub(crate) const NONE: Self =
        Self { view: Record::NONE, to: [0; NODES_MAX], matched: [0; NODES_MAX], required: NOBODY };
}

/// An acknowledgement in flight: the best one, since a later one says more. Sequence 0 is none.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Ack {
    pub(crate) incarnation: u8,
    pub(crate) sequence: u8,
}

impl Ack {
    pub(crate) const NONE: Self = Self { incarnation: 0, sequence: 0 };
}

/// A node and its copy.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Node {
    /// As the process sees it.
    pub(crate) log: Log,
    /// As a kill leaves it.
    pub(crate) disk: Log,
    /// The highest epoch that it accepted or leads; durable.
    pub(crate) promised: u8,
    /// The commit point that it knows; lost with the process.
    pub(crate) commit: u8,
    pub(crate) session: Session,
    /// Acknowledgements to it that are in flight.
    pub(crate) acks: [Ack; NODES_MAX],
}

impl Node {
    fn empty(promised: u8) -> Self {
        Self {
            log: Log::EMPTY,
            disk: Log::EMPTY,
            promised,
            commit: 0,
            session: Session::NONE,
            acks: [Ack::NONE; NODES_MAX],
        }
    }

    pub(crate) fn leads(&self) -> bool {
        self.session.view.epoch > 0
    }

    /// Up to where its log would survive a kill.
    pub(crate) fn durable(&self) -> u8 {
        self.log.common(&self.disk)
    }
}

/// What a session that has ended sent, all of which may still arrive.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Stream {
    /// Epoch 0: none.
    pub(crate) epoch: u8,
    pub(crate) from: u8,
    pub(crate) commit: u8,
    pub(crate) to: [u8; NODES_MAX],
    pub(crate) log: Log,
}

impl Stream {
    const NONE: Self = Self { epoch: 0, from: 0, commit: 0, to: [0; NODES_MAX], log: Log::EMPTY };
}

/// A proposal in flight to admit a joiner.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct GrowProposal {
    /// Expected epoch; 0: none.
    pub(crate) epoch: u8,
    pub(crate) version: u8,
    pub(crate) node: u8,
    pub(crate) incarnation: u8,
}

impl GrowProposal {
    pub(crate) const NONE: Self = Self { epoch: 0, version: 0, node: 0, incarnation: 0 };
}

/// How much of the bounds is used up.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Spent {
    pub(crate) writes: u8,
    /// Different requests among the writes.
    pub(crate) requests: u8,
    pub(crate) restarts: u8,
    pub(crate) replacements: u8,
    pub(crate) changes: u8,
}

/// Everything.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct State {
    pub(crate) metadata: Record,
    pub(crate) nodes: [Node; NODES_MAX],
    pub(crate) streams: [Stream; STREAMS_MAX],
    pub(crate) grows: [GrowProposal; GROWS_MAX],
    /// Every record that any primary ever counted as committed. No part of the system: what the invariants are about.
    pub(crate) committed: Log,
    /// Number of an invariant that a step itself found broken, else 0.
    pub(crate) broken: u8,
    pub(crate) spent: Spent,
}

impl State {
    /// Node 0 leads in epoch 1, whose barrier is committed.
    pub(crate) fn initial(config: &Config) -> Self {
        let mut log = Log::EMPTY;
        log.push(Entry::barrier(1));
        let metadata = Record {
            epoch: 1,
            version: 1,
            primary: 0,
            in_sync: (1 << config.replicas) - 1,
            joiner: NOBODY,
            incarnations: [1; NODES_MAX],
        };
        let mut nodes = [Node::empty(1); NODES_MAX];
        let mut session = Session { view: metadata, ..Session::NONE };
        for (index, node) in nodes.iter_mut().enumerate().take(usize::from(config.replicas)) {
            (node.log, node.disk) = (log, log);
            if index > 0 {
                (session.to[index], session.matched[index]) = (1, 1);
            }
        }
        nodes[0].commit = 1;
        nodes[0].session = session;
        Self {
            metadata,
            nodes,
            streams: [Stream::NONE; STREAMS_MAX],
            grows: [GrowProposal::NONE; GROWS_MAX],
            committed: log,
            broken: 0,
            spent: Spent { writes: 0, requests: 0, restarts: 0, replacements: 0, changes: 0 },
        }
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(bytemuck::bytes_of(self))
    }

    /// A node that is replaced: nothing is left but the promise it is given.
    pub(crate) fn wipe(&mut self, node: usize, promised: u8) {
        self.end_session(node);
        self.nodes[node] = Node::empty(promised);
    }

    /// What a primary may have sent, as a value.
    pub(crate) fn stream_of(&self, node: usize) -> Stream {
        let Node { log, commit, session, .. } = self.nodes[node];
        Stream { epoch: session.view.epoch, from: index(node), commit, to: session.to, log }
    }

    /// Ends a node's session, if it has one: what it sent stays in flight.
    pub(crate) fn end_session(&mut self, node: usize) {
        if !self.nodes[node].leads() {
            return;
        }
        let stream = self.stream_of(node);
        if let Some(free) = self.streams.iter_mut().find(|stream| stream.epoch == 0) {
            *free = stream;
        }
        self.nodes[node].session = Session::NONE;
    }

    /// Forgets messages that no receiver can accept any more, now or later, and puts the others in order.
    pub(crate) fn normalize(&mut self, config: &Config) {
        let (metadata, promised) = (self.metadata, self.nodes.map(|node| node.promised));
        let forget = |epoch: u8, from: usize, to: &mut [u8; NODES_MAX]| {
            for node in 0..NODES_MAX {
                let old = promised[node] > epoch && !config.makes(Mistake::AcceptsOldEpoch);
                let forgets = config.makes(Mistake::ForgetsPromiseAtRestart)
                    || config.makes(Mistake::NewDiskPromisesNothing);
                let elsewhere =
                    to[node] != metadata.incarnations[node] && !config.makes(Mistake::AcceptsOldIncarnation);
                if node == from || elsewhere || (old && !forgets) {
                    to[node] = 0;
                }
            }
        };
        for stream in &mut self.streams {
            forget(stream.epoch, usize::from(stream.from), &mut stream.to);
            if stream.to == [0; NODES_MAX] {
                *stream = Stream::NONE;
            }
        }
        self.streams.sort_unstable_by_key(|stream| (std::cmp::Reverse(stream.epoch), stream.from));
        for index in 0..NODES_MAX {
            let node = &mut self.nodes[index];
            forget(node.session.view.epoch, index, &mut node.session.to);
            for from in 0..NODES_MAX {
                let ack = &mut node.acks[from];
                let earlier = config.makes(Mistake::CountsAckOfOldEpoch);
                let again = earlier || config.makes(Mistake::CountsAckOfOldIncarnation);
                let orphaned = node.session.view.epoch == 0 && !earlier;
                let known = node.session.matched[from] >= ack.sequence && !again;
                let other =
                    node.session.view.incarnations[from] != ack.incarnation && config.mistakes.is_empty();
                if orphaned || known || other {
                    *ack = Ack::NONE;
                }
            }
        }
        for grow in &mut self.grows {
            if (grow.epoch, grow.version) != metadata.revision() && !config.makes(Mistake::ComparesNothing) {
                *grow = GrowProposal::NONE;
            }
        }
        self.grows.sort_unstable_by_key(|grow| std::cmp::Reverse((grow.epoch, grow.version)));
    }
}

/// A node's number as it is stored.
pub(crate) fn index(node: usize) -> u8 {
    u8::try_from(node).expect("there are at most three nodes")
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} primary n{} in sync", self.epoch, self.version, self.primary)?;
        for node in (0..NODES_MAX).filter(|node| self.is_in_sync(*node)) {
            write!(f, " n{node}")?;
        }
        if self.joiner != NOBODY {
            write!(f, " joiner n{}", self.joiner)?;
        }
        Ok(())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "metadata {}; ever committed [{}]", self.metadata, self.committed)?;
        for (index, node) in self.nodes.iter().enumerate() {
            let incarnation = self.metadata.incarnations[index];
            write!(f, "n{index} incarnation {incarnation} log [{}] durable to {}", node.log, node.durable())?;
            write!(f, " commit {} promised {}", node.commit, node.promised)?;
            if node.leads() {
                write!(f, "; leads at {}", node.session.view)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
