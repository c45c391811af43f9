//! Validation of requests against applied plus pending operations, and the making of their operations.
//!
//! Everything that can be refused is refused here, before anything is logged. What an accepted request will take is kept
//! as pending until it is applied. A grant is refused as long as a return or a pushback that concerns its rank is staged:
//! its samples were chosen before, and others come first now.

use crate::iterations::entry::Entry;
use crate::iterations::error::{Contested, Rejection};
use crate::iterations::grant::blocks_of;
use crate::iterations::join::{Candidate, choose};
use crate::iterations::limits::{BLOCK_SAMPLES_MAX, SHARDS_MAX};
use crate::iterations::machine::Iterations;
use crate::iterations::op::{Created, Granted, Op};
use crate::iterations::outline::Outline;
use crate::iterations::owner::Owner;
use crate::iterations::pending::{Staged, StagedRank};
use crate::iterations::places::{Place, Places};
use crate::iterations::rank::Rank;
use crate::iterations::request::{Create, Grant, Request};
use crate::iterations::state::State;
use lavandin_types::{DatasetId, IterationId};
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

impl Iterations {
    /// The operation of a request; reserves what it takes. Nothing is reserved on a rejection.
    pub(crate) fn prepare_op(&mut self, request: Request) -> Result<Op, Rejection> {
        match request {
            Request::Create(create) => self.prepare_create(*create),
            Request::TakeBlock { iteration, group, block } => {
                self.prepare_take_block(iteration, group, block)
            }
            Request::Grant(grant) => self.prepare_grant(*grant),
            Request::Delivered { iteration, grants } => self.prepare_delivered(iteration, grants),
            Request::Return { iteration, rank, number, owner } => {
                self.prepare_return(iteration, (rank, number), owner)
            }
            Request::Complete { iteration, indices } => self.prepare_complete(iteration, indices),
            Request::Pushback { iteration } => {
                self.find(iteration)?;
                Ok(Op::Pushback { id: iteration })
            }
            Request::DropDataset { dataset } => {
                let ids: Vec<_> =
                    self.present().iter().filter(|e| e.dataset == dataset).map(|e| e.id).collect();
                self.pending.gone.extend(ids);
                Ok(Op::DropDataset { dataset })
            }
        }
    }

    fn prepare_create(&mut self, create: Create) -> Result<Op, Rejection> {
        let Create { id, dataset, definition, rows, join, now_ms } = create;
        definition.check(&self.limits)?;
        definition.group_of(join.rank).ok_or(Rejection::UnknownRank(join.rank))?;
        let candidates = self.candidates(dataset, &definition.config_hash, join.rank);
        if let Some(joined) = choose(&candidates, &join, now_ms) {
            self.check_rank_count(&*self.find(joined)?, join.rank)?;
            return Ok(Op::Join { id: joined, rank: join.rank });
        }
        if self.is_known(id) {
            return Err(Rejection::Exists(id));
        }
        if rows.shards() > SHARDS_MAX {
            return Err(Rejection::Invalid("the dataset has more than 16,777,216 shard files"));
        }
        let blocks = definition.blocks(&rows)?;
        let rows = self.share_rows(dataset, rows);
        let given_up = self.make_room(now_ms)?;
        let (fixed, cache) = (Arc::new(definition.clone()), Arc::clone(&self.cache));
        let outline = Outline::assemble((id, dataset, now_ms), rows.clone(), fixed, blocks, cache);
        let outline = outline.ok_or(Rejection::TOO_MANY_BLOCKS)?;
        let state = State::begin(&outline);
        let entry = Entry::new(outline, state);
        self.pending.gone.extend(&given_up);
        self.pending.created.insert(id, Arc::new(entry));
        let created = Created { id, dataset, now_ms, rank: join.rank, given_up, rows, definition };
        Ok(Op::Create(Box::new(created)))
    }

    /// The iterations that a rank might join.
    fn candidates(&self, dataset: DatasetId, config_hash: &[u8; 32], rank: u32) -> Vec<Candidate> {
        let alike =
            |entry: &&Arc<Entry>| entry.dataset == dataset && entry.definition.config_hash == *config_hash;
        let look = |entry: &Arc<Entry>| {
            let state = entry.state();
            let staged = self.pending.of(entry.id);
            let staged_ranks = || staged.iter().flat_map(|staged| &staged.ranks);
            let new = staged_ranks().filter(|(rank, _)| !state.ranks.contains_key(rank)).count();
            Candidate {
                id: entry.id,
                created_ms: entry.created_ms,
                over: state.is_finished(entry) && !state.has_left(entry, rank),
                begun: state.ranks.values().any(|rank| rank.next > 0)
                    || staged_ranks().any(|(_, staged)| !staged.batches.is_empty()),
                joined: state.ranks.contains_key(&rank) || staged_ranks().any(|(staged, _)| *staged == rank),
                ranks: state.ranks.len() + new,
            }
        };
        self.present().iter().filter(alike).map(look).collect()
    }

    /// Which iterations give way to one more.
    fn make_room(&self, now_ms: u64) -> Result<Vec<IterationId>, Rejection> {
        let present = self.present();
        let needed = (present.len() + 1).saturating_sub(self.limits.iterations_max);
        if needed == 0 {
            return Ok(Vec::new());
        }
        let mut replaceable = Vec::new();
        for entry in present.iter().filter(|entry| self.pending.of(entry.id).is_none()) {
            let state = entry.state();
            let is_finished = state.is_finished(entry);
            if is_finished || now_ms.saturating_sub(state.active_ms) >= self.limits.idle_ms_min {
                let age = if is_finished { entry.created_ms } else { state.active_ms };
                replaceable.push((!is_finished, age, entry.id));
            }
        }
        replaceable.sort_unstable();
        if replaceable.len() < needed {
            return Err(Rejection::TooManyIterations { limit: self.limits.iterations_max });
        }
        Ok(replaceable[..needed].iter().map(|(_, _, id)| *id).collect())
    }

    fn prepare_take_block(&self, id: IterationId, group: u32, block: u32) -> Result<Op, Rejection> {
        let entry = self.find(id)?;
        if !entry.definition.has_group(group) {
            return Err(Rejection::UnknownGroup(group));
        }
        let staged = self.pending.of(id).map_or(0, |staged| staged.blocks.len());
        let state = entry.state();
        let next = state.next_block.saturating_add(staged as u32);
        // Without replication groups whoever takes a block is a rank to be.
        if !state.groups.contains_key(&group) && state.groups.len() + staged >= self.limits.ranks_max {
            return Err(Rejection::TooManyRanks { limit: self.limits.ranks_max });
        }
        drop(state);
        if block != next {
            let (expected, found) = (u64::from(block), u64::from(next));
            return Err(Rejection::Conflict { what: Contested::NextBlock, expected, found });
        }
        let length = entry.block(block).ok_or(Rejection::NoMoreBlocks { blocks: entry.blocks })?.len();
        if length > BLOCK_SAMPLES_MAX {
            return Err(Rejection::TooManySamples { count: length, limit: BLOCK_SAMPLES_MAX });
        }
        Ok(Op::TakeBlock { id, group, block })
    }

    fn prepare_grant(&self, grant: Grant) -> Result<Op, Rejection> {
        let entry = self.find(grant.iteration)?;
        let rank = grant.rank;
        let group = entry.definition.group_of(rank).ok_or(Rejection::UnknownRank(rank))?;
        let lists = [&grant.samples, &grant.filtered, &grant.failed];
        let count = lists.iter().fold(0_u64, |sum, places| sum.saturating_add(places.len()));
        self.check_count(count.max(grant.delivered.len() as u64))?;
        self.check_rank_count(&entry, rank)?;
        self.check_new(&entry, &grant)?;
        self.check_number(&entry, &grant, group)?;
        self.check_places(&entry, (rank, group), &lists)?;
        Ok(Op::Grant(Box::new(Granted::from(grant))))
    }

    /// Whether the grant is not one that was carried out before, of whose outcome the node did not hear.
    fn check_new(&self, entry: &Entry, grant: &Grant) -> Result<(), Rejection> {
        let (rank, number) = (grant.rank, grant.number);
        if grant.owner == Owner::NOBODY {
            return Ok(());
        }
        let staged = self.pending.of(entry.id).and_then(|staged| staged.ranks.get(&rank));
        if staged.is_some_and(|staged| staged.batches.get(&number) == Some(&grant.owner)) {
            return Err(Rejection::UnderWay { rank, number });
        }
        let is_granted = |state: &Rank| state.batches.owner_of_open(number) == Some(grant.owner);
        match entry.state().ranks.get(&rank).is_some_and(is_granted) {
            true => Err(Rejection::Repeated { rank, number }),
            false => Ok(()),
        }
    }

    /// Whether the grant is the rank's next one, and its samples were chosen from the present state.
    fn check_number(&self, entry: &Entry, grant: &Grant, group: u32) -> Result<(), Rejection> {
        let staged = self.pending.of(entry.id);
        let staged_rank = staged.and_then(|staged| staged.ranks.get(&grant.rank));
        let batches = staged_rank.map_or(0, |staged| staged.batches.len());
        let state = entry.state();
        // A completion of what was returned: a walk that does not know of it yet would have it granted again.
        let returned = state.groups.get(&group).map(|group| &group.returned);
        let settles = |staged: &Staged| {
            returned.is_some_and(|returned| staged.completes_returned(grant.rank, returned))
        };
        let comes_back = staged.is_some_and(|staged| staged.returns(grant.rank) || settles(staged));
        let rank = state.ranks.get(&grant.rank);
        let generation = rank.map_or(0, |rank| rank.generation).saturating_add(u64::from(comes_back));
        if generation != grant.generation || comes_back {
            let (what, expected) = (Contested::Generation, grant.generation);
            return Err(Rejection::Conflict { what, expected, found: generation });
        }
        let next = rank.map_or(0, |rank| rank.next).saturating_add(batches as u64);
        if next != grant.number {
            let (what, expected) = (Contested::NextBatch, grant.number);
            return Err(Rejection::Conflict { what, expected, found: next });
        }
        let closing = staged.iter().flat_map(|staged| &staged.closing).chain(&grant.delivered);
        let closes = |(of, number): &&(u32, u64)| {
            *of == grant.rank && rank.is_some_and(|rank| rank.batches.is_open(*number))
        };
        let closing: BTreeSet<_> = closing.filter(closes).collect();
        let open = rank.map_or(0, |rank| rank.batches.open()) + batches - closing.len();
        if open >= self.limits.open_grants_max {
            let limit = self.limits.open_grants_max;
            return Err(Rejection::TooManyOpenGrants { rank: grant.rank, limit });
        }
        Ok(())
    }

    /// The places by block, if they are all the group's and none was taken by the rank or is named twice.
    fn check_places(
        &self,
        entry: &Entry,
        (rank, group): (u32, u32),
        lists: &[&Places; 3],
    ) -> Result<(), Rejection> {
        let blocks = blocks_of(entry, lists.iter().copied());
        let staged = self.pending.of(entry.id);
        let staged_rank = staged.and_then(|staged| staged.ranks.get(&rank));
        let state = entry.state();
        let applied = state.ranks.get(&rank);
        let mut taking: BTreeMap<u32, RoaringBitmap> = BTreeMap::new();
        for run in lists.iter().flat_map(|places| places.runs()) {
            let place = Place { block: run.block, offset: run.start };
            let owns = state.groups.get(&group).is_some_and(|group| group.owned.contains(run.block));
            let will_own = || staged.is_some_and(|staged| staged.blocks.get(&run.block) == Some(&group));
            let length = blocks.get(&run.block).map_or(0, |block| block.len());
            if run.end() > length || !(owns || will_own()) {
                return Err(Rejection::NotOwned { place });
            }
            let taken = applied.and_then(|rank| rank.first_taken(*run));
            let staged = || first_staged(staged_rank, run.block, run.start..=run.last());
            let offsets = taking.entry(run.block).or_default();
            let doubled = offsets.insert_range(run.start..=run.last()) < u64::from(run.length);
            if let Some(place) = taken.or_else(staged).or(doubled.then_some(place)) {
                return Err(Rejection::AlreadyTaken { rank, place });
            }
        }
        Ok(())
    }

    fn prepare_delivered(&self, id: IterationId, grants: Vec<(u32, u64)>) -> Result<Op, Rejection> {
        self.find(id)?;
        self.check_count(grants.len() as u64)?;
        Ok(Op::Delivered { id, grants })
    }

    fn prepare_return(
        &self,
        id: IterationId,
        (rank, number): (u32, u64),
        owner: Owner,
    ) -> Result<Op, Rejection> {
        let entry = self.find(id)?;
        let staged = self.pending.of(id);
        let staged_rank = staged.and_then(|staged| staged.ranks.get(&rank));
        // The number may be another's by now, if the grant was refused.
        let is_meant = |known: Owner| owner == Owner::NOBODY || known == owner;
        let of_rank = |rank: &Rank| rank.batches.owner_of_open(number);
        let open = entry.state().ranks.get(&rank).and_then(of_rank).is_some_and(is_meant)
            || staged_rank.is_some_and(|staged| staged.batches.get(&number).copied().is_some_and(is_meant));
        let closing = staged.is_some_and(Staged::pushes_back)
            || staged.is_some_and(|staged| staged.closing.contains(&(rank, number)));
        if !open || closing {
            return Err(Rejection::NotOpen { rank, number });
        }
        Ok(Op::Return { id, rank, number })
    }

    fn prepare_complete(&self, id: IterationId, mut indices: Vec<u64>) -> Result<Op, Rejection> {
        self.find(id)?;
        self.check_count(indices.len() as u64)?;
        indices.sort_unstable();
        indices.dedup();
        Ok(Op::Complete { id, indices })
    }

    fn check_count(&self, count: u64) -> Result<(), Rejection> {
        let limit = self.limits.request_samples_max;
        (count <= limit).then_some(()).ok_or(Rejection::TooManySamples { count, limit })
    }

    /// Whether there is room for a rank, if it is a new one.
    fn check_rank_count(&self, entry: &Entry, rank: u32) -> Result<(), Rejection> {
        let staged = self.pending.of(entry.id);
        let state = entry.state();
        let is_new = |rank: &&u32| !state.ranks.contains_key(rank);
        let added = staged.map_or(0, |staged| staged.ranks.keys().filter(is_new).count());
        let known = !is_new(&&rank) || staged.is_some_and(|staged| staged.ranks.contains_key(&rank));
        if !known && state.ranks.len() + added >= self.limits.ranks_max {
            return Err(Rejection::TooManyRanks { limit: self.limits.ranks_max });
        }
        Ok(())
    }
}

fn first_staged(staged: Option<&StagedRank>, block: u32, offsets: RangeInclusive<u32>) -> Option<Place> {
    let offset = staged?.taken.get(&block)?.range(offsets).next()?;
    Some(Place { block, offset })
}
