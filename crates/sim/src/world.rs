//! A run: events in the order of their time, one after the other.

mod clients;
mod copies;
mod faults;
mod processes;
mod trainers;
mod visits;

use crate::host::Host;
use crate::metadata::{Answer, Metadata, Request, State};
use crate::network::{Network, Place};
use crate::oracle::{Oracle, Violation};
use crate::plan::Plan;
use crate::random::Random;
use clients::{Client, ClientAnswer};
use lavandin_group::Position;
use lavandin_group::replication::Message;
use lavandin_types::{GroupId, NodeId};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
pub(crate) use trainers::TrainerAnswer;
use trainers::{Job, Trainer, TrainerAsk};

/// After the last fault everything must be whole again within this.
const HEALING_MS: u64 = 30_000;
/// Events of the trace that a failure shows.
const TRACE_EVENTS: usize = 60;
const TICK_MS: u64 = 10;
/// A run has some ten thousands.
const EVENTS_MAX: u64 = 1_000_000;

/// Something that happens at its time.
pub(crate) enum Event {
    /// A process's clock; it comes again while the process lives.
    Tick {
        host: usize,
        life: u64,
    },
    Sync {
        host: usize,
        life: u64,
        group: GroupId,
    },
    Start {
        host: usize,
    },
    /// A message between copies, for whichever process is that node.
    Deliver {
        from: NodeId,
        to: NodeId,
        message: Message,
        records: Vec<u8>,
    },
    Ask {
        host: usize,
        life: u64,
        request: Request,
    },
    Answer {
        host: usize,
        life: u64,
        answer: Answer,
        state: State,
    },
    MetadataTick,
    Fault {
        number: usize,
    },
    SnapshotAsked {
        host: usize,
        by: usize,
        life: u64,
        group: GroupId,
    },
    Snapshot {
        host: usize,
        life: u64,
        group: GroupId,
        bytes: Option<Vec<u8>>,
    },
    /// Word of a record that was acknowledged, for some copy.
    Acknowledged {
        host: usize,
        life: u64,
        group: GroupId,
        record: Position,
    },
    Client {
        client: usize,
        attempt: u64,
    },
    ClientAsk {
        host: usize,
        client: usize,
        attempt: u64,
        until_ms: u64,
    },
    ClientAnswer {
        client: usize,
        attempt: u64,
        answer: ClientAnswer,
    },
    Trainer {
        trainer: usize,
        attempt: u64,
    },
    TrainerAsk {
        host: usize,
        trainer: usize,
        attempt: u64,
        until_ms: u64,
        ask: TrainerAsk,
    },
    TrainerAnswer {
        trainer: usize,
        attempt: u64,
        answer: TrainerAnswer,
    },
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    pub acknowledged: usize,
    pub reads: u64,
    /// Epochs of training that were gone through, and the samples of them.
    pub trained: u64,
    pub samples: u64,
    pub starts: u64,
    pub epochs: u64,
    pub snapshots: u64,
    /// Copies that were removed because another one took their place.
    pub removed: u64,
    /// Groups that lost their last copy in sync to the plan's faults.
    pub forfeited: usize,
    pub healed_ms: u64,
}

/// A run that went wrong.
pub struct Failure {
    pub seed: u64,
    pub at_ms: u64,
    pub violation: Violation,
    /// The last events.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trace.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(f, "seed {} at {} ms: {}", self.seed, self.at_ms, self.violation)
    }
}

/// Runs a plan to its end.
pub fn run(plan: &Plan) -> Result<Report, Box<Failure>> {
    let mut world = World::new(plan.clone())
        .map_err(|violation| Box::new(Failure { seed: plan.seed, at_ms: 0, violation, trace: Vec::new() }))?;
    match world.run() {
        Ok(report) => Ok(report),
        Err(violation) => {
            let trace = world.trace.into_iter().collect();
            Err(Box::new(Failure { seed: plan.seed, at_ms: world.now, violation, trace }))
        }
    }
}

struct Scheduled {
    at_ms: u64,
    /// Events of one time happen in the order in which they were planned.
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ms, self.number) == (other.at_ms, other.number)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.number).cmp(&(other.at_ms, other.number))
    }
}

pub(crate) struct World {
    plan: Plan,
    now: u64,
    random: Random,
    queue: BinaryHeap<Reverse<Scheduled>>,
    planned: u64,
    network: Network,
    metadata: Metadata,
    /// Of a thousand answers of the metadata so many are lost, until when.
    lost_answers: (u64, u64),
    hosts: Vec<Host>,
    clients: Vec<Client>,
    job: Job,
    trainers: Vec<Trainer>,
    oracle: Oracle,
    trace: VecDeque<String>,
    report: Report,
    next_operation: u64,
    /// Acknowledgements of each group when everything was whole again.
    whole_since: Option<Vec<usize>>,
    stopped: bool,
}

impl World {
    fn new(plan: Plan) -> Result<Self, Violation> {
        let metadata = Metadata::new(&plan)?;
        let mut world = Self {
            now: 0,
            random: Random::new(plan.seed.wrapping_mul(31).wrapping_add(7)),
            queue: BinaryHeap::new(),
            planned: 0,
            network: Network::default(),
            metadata,
            lost_answers: (0, 0),
            hosts: (0..plan.shape.hosts()).map(Host::new).collect(),
            clients: (0..plan.clients).map(Client::new).collect(),
            job: Job::new(plan.seed),
            trainers: (0..plan.trainers).map(Trainer::new).collect(),
            oracle: Oracle::default(),
            trace: VecDeque::new(),
            report: Report::default(),
            next_operation: 1,
            whole_since: None,
            stopped: false,
            plan,
        };
        for host in 0..world.hosts.len() {
            world.plan_at(host as u64, Event::Start { host });
        }
        for client in 0..world.clients.len() {
            world.plan_at(100 + client as u64, Event::Client { client, attempt: 0 });
        }
        for trainer in 0..world.trainers.len() {
            world.plan_at(150 + trainer as u64, Event::Trainer { trainer, attempt: 0 });
        }
        for number in 0..world.plan.faults.len() {
            world.plan_at(world.plan.faults[number].at_ms, Event::Fault { number });
        }
        world.plan_at(TICK_MS, Event::MetadataTick);
        Ok(world)
    }

    fn run(&mut self) -> Result<Report, Violation> {
        let mut events = 0;
        while let Some(Reverse(Scheduled { at_ms, event, .. })) = self.queue.pop() {
            self.now = at_ms;
            events += 1;
            if events > EVENTS_MAX {
                return Err(Violation(format!("more than {EVENTS_MAX} events: messages multiply")));
            }
            self.handle(event)?;
            if self.stopped {
                break;
            }
        }
        self.report.acknowledged = self.groups().into_iter().map(|group| self.oracle.count(group)).sum();
        self.report.reads = self.oracle.reads;
        Ok(self.report)
    }

    fn handle(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Tick { host, life } => self.process_tick(host, life),
            Event::Sync { host, life, group } => self.sync(host, life, group),
            Event::Start { host } => self.start(host),
            Event::Deliver { from, to, message, records } => self.deliver(from, to, message, records),
            Event::Ask { host, life, request } => self.ask(host, life, request),
            Event::Answer { host, life, answer, state } => self.answer(host, life, answer, &state),
            Event::MetadataTick => self.metadata_tick(),
            Event::Fault { number } => self.fault(number),
            Event::SnapshotAsked { host, by, life, group } => self.snapshot_asked(host, by, life, group),
            Event::Snapshot { host, life, group, bytes } => self.snapshot(host, life, group, bytes),
            Event::Acknowledged { host, life, group, record } => {
                self.hear_of_acknowledged(host, life, group, record)
            }
            Event::Client { client, attempt } => self.client(client, attempt),
            Event::ClientAsk { host, client, attempt, until_ms } => {
                self.client_ask(host, client, attempt, until_ms)
            }
            Event::ClientAnswer { client, attempt, answer } => self.client_answer(client, attempt, answer),
            Event::Trainer { trainer, attempt } => self.trainer(trainer, attempt),
            Event::TrainerAsk { host, trainer, attempt, until_ms, ask } => {
                self.trainer_asks(host, (trainer, attempt), until_ms, ask)
            }
            Event::TrainerAnswer { trainer, attempt, answer } => self.trainer_hears(trainer, attempt, answer),
        }
    }

    fn plan_at(&mut self, at_ms: u64, event: Event) {
        self.planned += 1;
        self.queue.push(Reverse(Scheduled { at_ms, number: self.planned, event }));
    }

    /// Puts an event at the other end of the network, as often as it arrives there.
    fn send(&mut self, from: Place, to: Place, make: impl Fn() -> Event) {
        for at_ms in self.network.arrivals(&mut self.random, from, to, self.now) {
            self.plan_at(at_ms, make());
        }
    }

    /// Whether a process is not there to see the event: it ended, or it sleeps and sees it later.
    fn misses(&mut self, host: usize, life: u64, event: impl FnOnce() -> Event) -> bool {
        let machine = &self.hosts[host];
        if machine.process.as_ref().is_none_or(|process| process.life != life) {
            return true;
        }
        let awake = self.asleep_until(host);
        if let Some(awake) = awake {
            self.plan_at(awake, event());
        }
        awake.is_some()
    }

    /// When a host that sleeps goes on.
    fn asleep_until(&self, host: usize) -> Option<u64> {
        Some(self.hosts[host].paused_until_ms).filter(|until| self.now < *until)
    }

    fn groups(&self) -> Vec<GroupId> {
        self.metadata.state.catalogue.groups().map(|group| group.id).collect()
    }

    /// The host where a node's process runs, or ran last.
    fn host_of(&self, node: NodeId) -> Option<usize> {
        self.hosts.iter().position(|host| host.last_identity.is_some_and(|(known, _)| known == node))
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace.len() == TRACE_EVENTS {
            self.trace.pop_front();
        }
        let line = format!("{:>6} ms  {}", self.now, what());
        self.trace.push_back(line);
    }
}
