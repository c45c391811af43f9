//! A rank's way through its samples.
//!
//! A walk goes through the blocks of the rank's group in order and yields what the rank has not taken. What was taken of
//! a block it asks for when it enters it, with [`IterationsReader::look`] or of the node that can: it holds no lock
//! between, and walks wherever the outline is. A session keeps its walk: what it has been shown and has not asked for yet
//! (a half-full bucket) it knows itself, because a walk never goes back.
//!
//! When something comes back, every walk of that rank is stale, and grants from it are refused: a new one finds what came
//! back first. It begins at the first block of which something is not taken, which is known.
//!
//! [`IterationsReader::look`]: crate::iterations::IterationsReader::look

use crate::iterations::entry::Entry;
use crate::iterations::error::Rejection;
use crate::iterations::outline::Outline;
use crate::iterations::places::Place;
use crate::iterations::rank::Taken;
use crate::iterations::reader::RankStatus;
use crate::iterations::state::State;
use crate::order::Block;
use lavandin_types::IterationId;
use std::sync::Arc;

/// A sample that the rank has not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    pub place: Place,
    /// Its number in the dataset.
    pub index: u64,
}

/// What comes next on a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Sample(Sample),
    /// The group's blocks are walked. Once it has taken this one, or somebody else has, go on.
    TakeBlock {
        group: u32,
        block: u32,
    },
    /// No block is left for anybody. It stays so unless samples come back.
    End,
    /// Samples came back, or the iteration is gone: begin a new walk.
    Stale,
}

/// What a walk asks when it comes to the end of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub iteration: IterationId,
    pub rank: u32,
    pub generation: u64,
    /// The first block to look at.
    pub from: u32,
}

/// The group's next block with something to take in it, and what of it the rank has taken; or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Block { block: u32, taken: Taken },
    TakeBlock { group: u32, block: u32 },
    End,
    Stale,
}

pub struct Walk {
    outline: Arc<Outline>,
    rank: u32,
    generation: u64,
    number: u64,
    /// The next place to look at.
    place: Place,
    current: Option<Current>,
}

/// The block that is being walked.
struct Current {
    block: Arc<Block>,
    /// Offsets end here.
    length: u32,
    taken: Taken,
}

impl Walk {
    /// A walk over the samples that the rank has not taken, from the first one.
    pub fn new(outline: Arc<Outline>, rank: u32, status: &RankStatus) -> Result<Self, Rejection> {
        outline.definition.group_of(rank).ok_or(Rejection::UnknownRank(rank))?;
        let (generation, number) = (status.generation, status.next);
        Ok(Self { outline, rank, generation, number, place: Place { block: 0, offset: 0 }, current: None })
    }

    /// What grants of this walk's samples must name.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The rank's next batch number when the walk began.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next step; `look` answers what the walk asks. After an error of it the step may be tried again.
    pub fn step<E>(&mut self, mut look: impl FnMut(Look) -> Result<Found, E>) -> Result<Step, E> {
        loop {
            if let Some(sample) = self.next_in_block() {
                return Ok(Step::Sample(sample));
            }
            if self.current.take().is_some() {
                self.place = Place { block: self.place.block.saturating_add(1), offset: 0 };
            }
            let (iteration, rank, generation) = (self.outline.id, self.rank, self.generation);
            match look(Look { iteration, rank, generation, from: self.place.block })? {
                Found::Block { block, taken } => {
                    if !self.enter(block, taken) {
                        return Ok(Step::End);
                    }
                }
                Found::TakeBlock { group, block } => return Ok(Step::TakeBlock { group, block }),
                Found::End => return Ok(Step::End),
                Found::Stale => return Ok(Step::Stale),
            }
        }
    }

    fn next_in_block(&mut self) -> Option<Sample> {
        let current = self.current.as_ref()?;
        while self.place.offset < current.length {
            let place = self.place;
            self.place.offset += 1;
            if !current.taken.contains(place.offset) {
                return Some(Sample { place, index: current.block.index(u64::from(place.offset)) });
            }
        }
        None
    }

    /// False if the order has no such block.
    fn enter(&mut self, number: u32, taken: Taken) -> bool {
        let Some(block) = self.outline.block(number) else { return false };
        self.place = Place { block: number, offset: 0 };
        let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
        self.current = Some(Current { block, length, taken });
        true
    }
}

impl Entry {
    /// What a walk of the rank finds from a block on.
    pub(crate) fn look(&self, look: Look) -> Result<Found, Rejection> {
        let group = self.definition.group_of(look.rank).ok_or(Rejection::UnknownRank(look.rank))?;
        let found = self.next_block(group, look);
        if let Found::TakeBlock { block, .. } = found {
            // Made here if that takes long, for the log's thread will need it.
            self.block(block);
        }
        Ok(found)
    }

    fn next_block(&self, ordinal: u32, Look { rank: number, generation, from, .. }: Look) -> Found {
        let mut state = self.state();
        if state.dropped || state.ranks.get(&number).map_or(0, |rank| rank.generation) != generation {
            return Found::Stale;
        }
        let State { groups, ranks, next_block, .. } = &mut *state;
        let found = groups.get(&ordinal).and_then(|group| match ranks.get_mut(&number) {
            Some(rank) => rank.next_open_block(&group.owned, from).map(|block| (block, rank.taken_of(block))),
            None => group.owned.range(from..).next().map(|block| (block, Taken::Nothing)),
        });
        match found {
            Some((block, taken)) => Found::Block { block, taken },
            None if *next_block < self.blocks => Found::TakeBlock { group: ordinal, block: *next_block },
            None => Found::End,
        }
    }
}
