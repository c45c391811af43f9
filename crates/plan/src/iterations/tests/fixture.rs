//! Iterations with a log beside them, and short ways to ask for things.

use crate::ShardRows;
use crate::iterations::{
    Contested, Create, Definition, FixedShares, Grant, IterationLimits, Iterations, IterationsReader, Join,
    Outcome, Owner, Place, Places, Rejection, Request, Sample, ShardsetVersion, Step, Walk,
};
use crate::order::{LavenderShuffle, Order};
use crate::steps::Ending;
use lavandin_types::{DatasetId, IterationId, NodeId, ShardsetId};
use std::collections::VecDeque;
use std::num::NonZeroU32;

pub(crate) fn iteration_id(number: u64) -> IterationId {
    IterationId::new(1_760_000_000_000 + number, [7; 20])
}

pub(crate) fn dataset_id(number: u64) -> DatasetId {
    DatasetId::new(1_760_000_000_000 + number, [3; 20])
}

pub(crate) fn shuffled(seed: u32, block_shards: u32) -> Order {
    Order::Lavender { shuffle: Some(LavenderShuffle { seed, block_shards }) }
}

pub(crate) fn definition(order: Order, groups: Option<Vec<Vec<u32>>>) -> Definition {
    let shardset = ShardsetId::new(1_760_000_000_000, [1; 20]);
    Definition {
        config_hash: [9; 32],
        shardsets: vec![ShardsetVersion { shardset, manifest_version: 3, manifest_hash: 1 << 100 }],
        batch_size: 4,
        drop_last: false,
        order,
        replication_groups: groups,
        shares: None,
        filters: Some(r#"[{"name":"min_max","params":{}}]"#.to_owned()),
        categorizer: None,
        collater: None,
        preprocessors: Some(String::new()),
        settings: None,
    }
}

pub(crate) fn shares(lanes: u32, ending: Ending, first: u64) -> FixedShares {
    FixedShares { lanes: NonZeroU32::new(lanes).expect("at least one"), ending, first }
}

pub(crate) fn create(id: u64, rank: u32, now_ms: u64) -> Create {
    Create {
        id: iteration_id(id),
        dataset: dataset_id(0),
        definition: definition(Order::Lavender { shuffle: None }, None),
        rows: ShardRows::new(vec![10; 10]),
        join: Join { rank, world_size: None, threshold_ms: 10_000 },
        now_ms,
    }
}

/// Iterations and everything that was logged for them.
pub(crate) struct Logged {
    pub iterations: Iterations,
    pub log: Vec<Vec<u8>>,
    staged: Vec<Vec<u8>>,
    limits: IterationLimits,
    pipelined: Option<Pipelined>,
}

/// The same iterations at a primary whose log is applied some operations later, as long as other copies take to have
/// them.
struct Pipelined {
    iterations: Iterations,
    staged: VecDeque<Vec<u8>>,
    seed: u64,
}

impl Pipelined {
    /// Judges a request as if nothing of what is staged were still to be applied. Only while something is about to come
    /// back may it have to be asked again.
    fn run(&mut self, request: Request, judged: Result<&[u8], &Rejection>) {
        let mut op = Vec::new();
        let mut prepared = self.iterations.prepare(request.clone(), &mut op);
        if matches!(prepared, Err(Rejection::Conflict { what: Contested::Generation, .. })) {
            self.apply(usize::MAX);
            prepared = self.iterations.prepare(request, &mut op);
        }
        assert_eq!(prepared.as_ref().map(|()| &op[..]), judged, "with {} staged", self.staged.len());
        if prepared.is_ok() {
            self.staged.push_back(op);
        }
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.apply((self.seed >> 60) as usize % 4);
    }

    fn apply(&mut self, count: usize) {
        for op in self.staged.drain(..count.min(self.staged.len())) {
            self.iterations.apply(&op);
        }
    }
}

impl Logged {
    pub(crate) fn new() -> Self {
        Self::with_limits(IterationLimits::default())
    }

    pub(crate) fn with_limits(limits: IterationLimits) -> Self {
        let (iterations, log, staged) = (Iterations::new(limits), Vec::new(), Vec::new());
        Self { iterations, log, staged, limits, pipelined: None }
    }

    /// With a pipelined primary beside it, whose judgements must be the same.
    pub(crate) fn with_pipelined(seed: u64) -> Self {
        let logged = Self::new();
        let iterations = Iterations::new(logged.limits);
        Self { pipelined: Some(Pipelined { iterations, staged: VecDeque::new(), seed }), ..logged }
    }

    pub(crate) fn reader(&self) -> IterationsReader {
        self.iterations.reader()
    }

    pub(crate) fn stage(&mut self, request: Request) -> Result<(), Rejection> {
        let mut op = vec![0xAA; 3];
        self.iterations.prepare(request, &mut op)?;
        assert!(op[3] >= 64, "the first byte tells whose operation it is");
        self.staged.push(op.split_off(3));
        Ok(())
    }

    pub(crate) fn commit(&mut self) -> Vec<Outcome> {
        self.commit_first(self.staged.len())
    }

    /// The first of the staged operations; the others are still on their way.
    pub(crate) fn commit_first(&mut self, count: usize) -> Vec<Outcome> {
        let staged: Vec<_> = self.staged.drain(..count).collect();
        let outcomes: Vec<_> = staged.iter().map(|op| self.iterations.apply(op)).collect();
        for outcome in &outcomes {
            let mut bytes = Vec::new();
            Iterations::encode_outcome(outcome, &mut bytes);
            assert_eq!(Iterations::decode_outcome(&bytes), Some(*outcome));
        }
        self.log.extend(staged);
        outcomes
    }

    pub(crate) fn discard(&mut self) {
        self.iterations.discard_pending();
        self.staged.clear();
    }

    /// One request, logged and applied.
    pub(crate) fn run(&mut self, request: Request) -> Result<Outcome, Rejection> {
        let staged = self.stage(request.clone());
        if let Some(pipelined) = &mut self.pipelined {
            let op = || self.staged.last().expect("it was staged").as_slice();
            pipelined.run(request, staged.as_ref().map(|()| op()));
        }
        staged.map(|()| self.commit().pop().expect("one was staged"))
    }

    pub(crate) fn count(&mut self, request: Request) -> u64 {
        match self.run(request) {
            Ok(Outcome::Count(count)) => count,
            other => panic!("{other:?}"),
        }
    }

    /// The iteration that a creation leads to.
    pub(crate) fn create(&mut self, create: Create) -> IterationId {
        match self.run(Request::Create(Box::new(create))) {
            Ok(Outcome::Iteration { id, .. }) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn checkpoint(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.iterations.encode(&mut bytes);
        bytes
    }

    pub(crate) fn restart(&mut self) {
        let bytes = self.checkpoint();
        self.iterations = Iterations::decode(self.limits, &bytes).expect("just encoded");
        assert_eq!(self.checkpoint(), bytes, "a restart changes nothing");
        if let Some(pipelined) = &mut self.pipelined {
            pipelined.apply(usize::MAX);
            let mut found = Vec::new();
            pipelined.iterations.encode(&mut found);
            assert!(found == bytes, "the pipelined primary comes to another state");
            pipelined.iterations = Iterations::decode(self.limits, &bytes).expect("just encoded");
        }
    }

    /// The log applied from nothing gives the same state.
    pub(crate) fn check_replay(&self) {
        let mut again = Iterations::new(self.limits);
        for op in &self.log {
            again.apply(op);
        }
        let mut bytes = Vec::new();
        again.encode(&mut bytes);
        assert!(bytes == self.checkpoint(), "replay gives another state");
    }

    pub(crate) fn walk(&self, iteration: IterationId, rank: u32) -> Walk {
        let reader = self.reader();
        let (outline, status) = (reader.outline(iteration), reader.rank(iteration, rank));
        let outline = outline.expect("a known iteration");
        Walk::new(outline, rank, &status.expect("a known rank")).expect("a known rank")
    }

    pub(crate) fn step(&self, walk: &mut Walk) -> Step {
        let reader = self.reader();
        // What is gone is as stale as can be.
        walk.step(|look| reader.look(look)).unwrap_or(Step::Stale)
    }

    /// Walks on, taking blocks, until there are `count` samples or the end.
    pub(crate) fn gather(&mut self, walk: &mut Walk, iteration: IterationId, count: usize) -> Vec<Sample> {
        let mut samples = Vec::new();
        while samples.len() < count {
            match self.step(walk) {
                Step::Sample(sample) => samples.push(sample),
                Step::TakeBlock { group, block } => {
                    self.run(Request::TakeBlock { iteration, group, block }).expect("the next block");
                }
                Step::End => break,
                Step::Stale => panic!("nothing came back"),
            }
        }
        samples
    }

    /// Walks on in blocks that are taken.
    pub(crate) fn gather_more(&self, walk: &mut Walk, count: usize) -> Vec<Sample> {
        let step = |_| match self.step(walk) {
            Step::Sample(sample) => sample,
            step => panic!("{step:?}"),
        };
        (0..count).map(step).collect()
    }

    /// The rank's next batch; empty at the end.
    pub(crate) fn batch(&mut self, iteration: IterationId, rank: u32, count: usize, now_ms: u64) -> Vec<u64> {
        let mut walk = self.walk(iteration, rank);
        let samples = self.gather(&mut walk, iteration, count);
        if !samples.is_empty() {
            let grant = Grant { now_ms, ..grant_of(iteration, rank, &walk, &samples) };
            self.run(Request::Grant(Box::new(grant))).expect("a fresh walk's samples");
        }
        samples.iter().map(|sample| sample.index).collect()
    }
}

/// Whether the long tests run.
pub(crate) fn is_slow() -> bool {
    std::env::var_os("LAVANDIN_SLOW_TESTS").is_some_and(|value| value == "1")
}

pub(crate) fn places(samples: &[Sample]) -> Places {
    samples.iter().map(|sample| sample.place).collect()
}

pub(crate) fn place(block: u32, offset: u32) -> Place {
    Place { block, offset }
}

/// Who is granted everything.
pub(crate) const OWNER: Owner = Owner { node: NodeId::new(3), incarnation: 2, ticket: 0 };

/// A grant of all samples as the next batch of a walk that has just begun.
pub(crate) fn grant_of(iteration: IterationId, rank: u32, walk: &Walk, samples: &[Sample]) -> Grant {
    Grant {
        iteration,
        rank,
        number: walk.number(),
        generation: walk.generation(),
        samples: places(samples),
        filtered: Places::new(),
        failed: Places::new(),
        delivered: Vec::new(),
        now_ms: 0,
        owner: OWNER,
    }
}
