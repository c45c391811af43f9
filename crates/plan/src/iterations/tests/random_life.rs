//! Random lives of one iteration beside the model: every step compares everything.

use super::fixture::{
    Logged, OWNER, create, dataset_id, definition, is_slow, iteration_id, places, shares, shuffled,
};
use super::model::{Fate, Model};
use crate::ShardRows;
use crate::iterations::{Create, Definition, Grant, Join, Owner, Request, Sample, Step};
use crate::order::Order;
use crate::steps::Ending;
use lavandin_types::IterationId;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Action {
    Join {
        rank: u32,
    },
    TakeBlock {
        rank: u32,
    },
    /// What becomes of the next samples of the rank's walk: pairs of bits decide.
    Grant {
        rank: u32,
        count: usize,
        fates: u64,
        deliver: bool,
    },
    Deliver {
        rank: u32,
        which: usize,
    },
    Return {
        rank: u32,
        which: usize,
    },
    Complete {
        seed: u64,
        count: usize,
    },
    Pushback,
    Restart,
    Discard,
}

fn action(ranks: u32) -> impl Strategy<Value = Action> {
    let rank = 0..ranks;
    prop_oneof![
        1 => rank.clone().prop_map(|rank| Action::Join { rank }),
        3 => rank.clone().prop_map(|rank| Action::TakeBlock { rank }),
        10 => (rank.clone(), 0_usize..9, any::<u64>(), any::<bool>())
            .prop_map(|(rank, count, fates, deliver)| Action::Grant { rank, count, fates, deliver }),
        2 => (rank.clone(), 0_usize..4).prop_map(|(rank, which)| Action::Deliver { rank, which }),
        2 => (rank.clone(), 0_usize..4).prop_map(|(rank, which)| Action::Return { rank, which }),
        6 => (any::<u64>(), 1_usize..12).prop_map(|(seed, count)| Action::Complete { seed, count }),
        1 => Just(Action::Pushback),
        1 => Just(Action::Restart),
        1 => Just(Action::Discard),
    ]
}

#[derive(Clone, Debug)]
struct Setting {
    rows: Vec<u32>,
    order: Order,
    groups: Option<Vec<Vec<u32>>>,
    shares: Option<(Ending, u64)>,
    /// How far a pipelined primary is behind, each time.
    seed: u64,
    actions: Vec<Action>,
}

fn setting() -> impl Strategy<Value = Setting> {
    let order = prop_oneof![
        Just(Order::Lavender { shuffle: None }),
        (any::<u32>(), 1_u32..4).prop_map(|(seed, shards)| shuffled(seed, shards)),
        Just(Order::Sequential),
        (any::<u64>(), 1_u32..4).prop_map(|(seed, window_shards)| Order::Windowed {
            seed,
            epoch: 1,
            window_shards
        }),
        any::<u64>().prop_map(|seed| Order::Global { seed, epoch: 0 }),
    ];
    let groups =
        prop_oneof![Just(None), Just(Some(vec![vec![0, 1], vec![2, 3]])), Just(Some(vec![vec![0, 1, 2, 3]]))];
    let rows = prop::collection::vec(0_u32..12, 1..8);
    let ending = prop_oneof![Just(Ending::Balanced), Just(Ending::Pad), Just(Ending::Drop)];
    let shares = prop::option::of((ending, 0_u64..20));
    let actions = prop::collection::vec(action(4), 1..60);
    (rows, order, groups, shares, any::<u64>(), actions).prop_map(
        |(rows, order, groups, shares, seed, actions)| Setting { rows, order, groups, shares, seed, actions },
    )
}

struct Life {
    logged: Logged,
    model: Model,
    id: IterationId,
    now_ms: u64,
}

impl Life {
    fn begin(setting: &Setting) -> Self {
        let rows = ShardRows::new(setting.rows.clone());
        let mut logged = Logged::with_pipelined(setting.seed);
        let groups = setting.groups.clone();
        let lanes = groups.as_ref().map_or(4, |groups| groups.len() as u32);
        let shares = setting.shares.map(|(ending, first)| shares(lanes, ending, first));
        let definition = Definition { shares, ..definition(setting.order, groups.clone()) };
        let model = match definition.lane_blocks(rows.total()) {
            Some(lanes) => Model::with_shares(&setting.order, &rows, groups, lanes.unwrap().steps()),
            None => Model::new(&setting.order, &rows, groups),
        };
        let id = logged.create(Create { definition, rows, ..create(1, 0, 0) });
        let mut life = Self { logged, model, id, now_ms: 0 };
        life.model.ranks.entry(0).or_default();
        life
    }

    fn act(&mut self, action: Action) {
        self.now_ms += 10;
        let iteration = self.id;
        match action {
            Action::Join { rank } => self.join(rank),
            Action::TakeBlock { rank } => {
                let group = self.model.group_of(rank);
                let block = self.model.owners.len();
                let request = Request::TakeBlock { iteration, group, block: block as u32 };
                let taken = self.logged.run(request);
                assert_eq!(taken.is_ok(), block < self.model.blocks.len(), "{taken:?}");
                if taken.is_ok() {
                    self.model.owners.push(group);
                }
            }
            Action::Grant { rank, count, fates, deliver } => self.grant(rank, count, fates, deliver),
            Action::Deliver { rank, which } => {
                if let Some(number) = self.open(rank, which) {
                    self.logged.run(Request::Delivered { iteration, grants: vec![(rank, number)] }).unwrap();
                    self.model.deliver(rank, number);
                }
            }
            Action::Return { rank, which } => {
                if let Some(number) = self.open(rank, which) {
                    self.logged
                        .run(Request::Return { iteration, rank, number, owner: Owner::NOBODY })
                        .unwrap();
                    self.model.give_back(rank, number);
                }
            }
            Action::Complete { seed, count } => self.complete(seed, count),
            Action::Pushback => {
                self.logged.run(Request::Pushback { iteration }).unwrap();
                self.model.push_back();
            }
            Action::Restart => self.logged.restart(),
            Action::Discard => {
                self.logged.stage(Request::Pushback { iteration }).unwrap();
                self.logged.discard();
            }
        }
    }

    /// A rank that is there already would get a new iteration.
    fn join(&mut self, rank: u32) {
        let info = self.logged.reader().outline(self.id).unwrap();
        let finished = self.logged.reader().progress(self.id).unwrap().finished;
        if self.model.ranks.contains_key(&rank) || finished {
            return;
        }
        let again = Create {
            id: iteration_id(99),
            dataset: dataset_id(0),
            definition: (*info.definition).clone(),
            rows: info.rows.clone(),
            join: Join { rank, world_size: None, threshold_ms: u64::MAX },
            now_ms: self.now_ms,
        };
        assert_eq!(self.logged.create(again), self.id);
        self.model.ranks.entry(rank).or_default();
    }

    fn grant(&mut self, rank: u32, count: usize, fates: u64, deliver: bool) {
        let mut walk = self.logged.walk(self.id, rank);
        let (mut granted, mut filtered, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for place in 0..count {
            let Step::Sample(sample) = self.logged.step(&mut walk) else { break };
            match (fates >> (2 * place)) & 3 {
                0 | 1 => granted.push(sample),
                2 => filtered.push(sample),
                _ if fates & 1 << 40 == 0 => failed.push(sample),
                // Left out: it comes first on the next walk.
                _ => {}
            }
        }
        let open = self.open(rank, 0).filter(|_| deliver);
        let delivered: Vec<_> = open.map(|number| (rank, number)).into_iter().collect();
        let grant = Grant {
            iteration: self.id,
            rank,
            number: walk.number(),
            generation: walk.generation(),
            samples: places(&granted),
            filtered: places(&filtered),
            failed: places(&failed),
            delivered: delivered.clone(),
            now_ms: self.now_ms,
            owner: OWNER,
        };
        self.logged.run(Request::Grant(Box::new(grant))).unwrap();
        delivered.iter().for_each(|(rank, number)| self.model.deliver(*rank, *number));
        let numbers = |samples: &[Sample]| samples.iter().map(|sample| sample.index).collect::<Vec<_>>();
        self.model.grant(rank, numbers(&granted), &numbers(&filtered), &numbers(&failed));
        self.model.ranks.entry(rank).or_default();
    }

    fn complete(&mut self, seed: u64, count: usize) {
        let taken = self.model.taken();
        let known: Vec<u64> = taken.iter().chain(self.model.returned.keys()).copied().collect();
        let pick = |step: usize| {
            let draw = seed.rotate_left(step as u32 * 7) as usize;
            // Some are done already, some not taken, some no samples at all.
            if !draw.is_multiple_of(5) && !known.is_empty() {
                known[draw % known.len()]
            } else {
                draw as u64 % 100
            }
        };
        let indices: Vec<u64> = (0..count).map(pick).collect();
        let before = self.model.count(Fate::Completed);
        self.model.complete(&indices);
        let count = self.logged.count(Request::Complete { iteration: self.id, indices });
        assert_eq!(count, self.model.count(Fate::Completed) - before);
    }

    fn open(&self, rank: u32, which: usize) -> Option<u64> {
        let numbers = &self.model.ranks.get(&rank)?.open;
        numbers.keys().nth(which).copied().filter(|_| !self.model.is_closed())
    }

    fn check(&self) {
        let reader = self.logged.reader();
        let progress = reader.progress(self.id).unwrap();
        let in_progress = self.model.in_progress();
        let taken = self.model.taken().len() as u64;
        assert_eq!(progress.completed, self.model.count(Fate::Completed));
        assert_eq!(progress.filtered, self.model.count(Fate::Filtered));
        assert_eq!(progress.failed, self.model.count(Fate::Failed));
        assert_eq!(progress.in_progress, in_progress.len() as u64);
        let mut listed: Vec<u64> = progress.listed.iter().map(|one| one.index).collect();
        listed.sort_unstable();
        assert_eq!(listed, in_progress.iter().copied().collect::<Vec<_>>());
        let settled = progress.completed + progress.filtered + progress.failed;
        let remaining = self.model.total - taken;
        assert_eq!(settled + progress.in_progress + remaining, progress.total);
        assert_eq!(progress.current, taken);
        for (rank, state) in &self.model.ranks {
            let status = reader.rank(self.id, *rank).unwrap();
            assert_eq!((status.next, status.generation, status.joined), (state.next, state.generation, true));
            if !self.model.is_closed() {
                let open: Vec<_> = status.open.iter().map(|(number, _)| *number).collect();
                assert_eq!(open, state.open.keys().copied().collect::<Vec<_>>());
            }
        }
        for rank in 0..4 {
            self.check_walk(rank);
        }
    }

    fn check_walk(&self, rank: u32) {
        let mut walk = self.logged.walk(self.id, rank);
        let mut found = Vec::new();
        let end = loop {
            match self.logged.step(&mut walk) {
                Step::Sample(sample) => found.push(sample.index),
                step => break step,
            }
        };
        assert_eq!(found, self.model.upcoming(rank));
        let next = self.model.owners.len();
        if next < self.model.blocks.len() {
            assert_eq!(end, Step::TakeBlock { group: self.model.group_of(rank), block: next as u32 });
        } else {
            assert_eq!(end, Step::End);
        }
    }

    /// Everything that is left is walked, granted and completed: nothing is lost.
    fn finish(mut self) {
        let ranks: Vec<u32> = self.model.ranks.keys().copied().collect();
        for turn in 0.. {
            let rank = ranks[turn % ranks.len()];
            let walk = self.logged.step(&mut self.logged.walk(self.id, rank));
            match walk {
                Step::Sample(_) => self.act(Action::Grant { rank, count: 8, fates: 0, deliver: true }),
                Step::TakeBlock { .. } => self.act(Action::TakeBlock { rank }),
                _ if ranks
                    .iter()
                    .all(|rank| self.logged.step(&mut self.logged.walk(self.id, *rank)) == Step::End) =>
                {
                    break;
                }
                _ => {}
            }
        }
        let open: Vec<u64> = self.model.in_progress().into_iter().collect();
        self.logged.run(Request::Complete { iteration: self.id, indices: open.clone() }).unwrap();
        self.model.complete(&open);
        self.check();
        let mut rest = self.model.total - self.model.settled.len() as u64;
        if self.model.owners.iter().any(|owner| !ranks.iter().any(|r| self.model.group_of(*r) == *owner)) {
            // Blocks of a group of which nobody ever came.
            rest = 0;
        }
        assert_eq!(rest, 0);
        self.logged.check_replay();
        self.logged.restart();
    }
}

fn live(setting: &Setting) {
    let mut life = Life::begin(setting);
    for action in &setting.actions {
        life.act(*action);
        life.check();
    }
    life.logged.check_replay();
    life.finish();
}

/// A block without samples is taken, and nobody has anything to settle or to push back.
#[test]
fn a_life_without_samples_ends_at_once() {
    let grant = Action::Grant { rank: 0, count: 0, fates: 0, deliver: false };
    let of_another = Action::Grant { rank: 1, count: 0, fates: 0, deliver: true };
    let complete = Action::Complete { seed: 0, count: 1 };
    let take = Action::TakeBlock { rank: 0 };
    let actions =
        vec![take, grant, complete, Action::Pushback, Action::Restart, of_another, Action::Pushback];
    let orders = [Order::Lavender { shuffle: None }, shuffled(1, 1), Order::Sequential];
    for (order, rows) in orders.into_iter().flat_map(|order| [(order, vec![0]), (order, vec![0, 0])]) {
        for groups in [None, Some(vec![vec![0, 1], vec![2, 3]])] {
            for skipped in 0..actions.len() {
                let mut actions = actions.clone();
                actions.remove(skipped);
                live(&Setting {
                    rows: rows.clone(),
                    order,
                    groups: groups.clone(),
                    shares: None,
                    seed: 1,
                    actions,
                });
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if is_slow() { 20_000 } else { 400 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_random_life_is_what_the_model_says(setting in setting()) {
        live(&setting);
    }
}
