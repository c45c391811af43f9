//! A rank's way through its samples.
//!
//! A walk goes through the blocks of the rank's group in order and yields what the rank has not taken. It copies what was
//! taken of one block when it enters it, and holds no lock between. A session keeps its walk: what it has been shown and
//! has not asked for yet (a half-full bucket) it knows itself, because a walk never goes back.
//!
//! When something comes back, every walk of that rank is stale, and grants from it are refused: a new one finds what came
//! back first. When a session must stop, a *position* lets the next walk begin where this one is; without one it begins
//! at the first block of which something is not taken, which is known.

use crate::iterations::entry::Entry;
use crate::iterations::error::Rejection;
use crate::iterations::places::Place;
use crate::iterations::rank::Taken;
use crate::iterations::state::State;
use crate::order::Block;
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

/// A place on a walk, as long as nothing comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    place: Place,
    generation: u64,
}

pub struct Walk {
    entry: Arc<Entry>,
    rank: u32,
    group: u32,
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
    pub(crate) fn new(entry: Arc<Entry>, rank: u32, position: Option<Position>) -> Result<Self, Rejection> {
        let group = entry.definition.group_of(rank).ok_or(Rejection::UnknownRank(rank))?;
        let state = entry.state();
        let (generation, number) = state.ranks.get(&rank).map_or((0, 0), |rank| (rank.generation, rank.next));
        drop(state);
        let position = position.filter(|position| position.generation == generation);
        let place = position.map_or(Place { block: 0, offset: 0 }, |position| position.place);
        Ok(Self { entry, rank, group, generation, number, place, current: None })
    }

    /// What grants of this walk's samples must name.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The rank's next batch number when the walk began.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Where the next step begins.
    pub fn position(&self) -> Position {
        Position { place: self.place, generation: self.generation }
    }

    pub fn step(&mut self) -> Step {
        loop {
            if let Some(sample) = self.next_in_block() {
                return Step::Sample(sample);
            }
            if let Err(step) = self.enter_block() {
                return step;
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

    /// Enters the next block of which the rank has not taken all; the step to show if there is none.
    fn enter_block(&mut self) -> Result<(), Step> {
        let from = if self.current.take().is_some() {
            Place { block: self.place.block.saturating_add(1), offset: 0 }
        } else {
            self.place
        };
        self.place = from;
        let (number, taken) = match self.next_block(from.block) {
            Err(Step::TakeBlock { group, block }) => {
                // Made here if that takes long, for the log's thread will need it.
                self.entry.block(block);
                return Err(Step::TakeBlock { group, block });
            }
            found => found?,
        };
        let block = self.entry.block(number).ok_or(Step::End)?;
        if number != from.block {
            self.place = Place { block: number, offset: 0 };
        }
        let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
        self.current = Some(Current { block, length, taken });
        Ok(())
    }

    /// The group's next block with something to take in it, and what of it is taken; the step to show if there is none.
    fn next_block(&self, from: u32) -> Result<(u32, Taken), Step> {
        let mut state = self.entry.state();
        let generation = state.ranks.get(&self.rank).map_or(0, |rank| rank.generation);
        if state.dropped || generation != self.generation {
            return Err(Step::Stale);
        }
        let State { groups, ranks, next_block, .. } = &mut *state;
        let found = groups.get(&self.group).and_then(|group| match ranks.get_mut(&self.rank) {
            Some(rank) => rank.next_open_block(&group.owned, from).map(|block| (block, rank.taken_of(block))),
            None => group.owned.range(from..).next().map(|block| (block, Taken::Nothing)),
        });
        match found {
            Some(found) => Ok(found),
            None if *next_block < self.entry.blocks => {
                Err(Step::TakeBlock { group: self.group, block: *next_block })
            }
            None => Err(Step::End),
        }
    }
}
