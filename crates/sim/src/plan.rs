//! What a seed stands for.

use crate::random::Random;

/// How many copies of how many groups on how many machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    OneCopy,
    TwoCopies,
    ThreeCopies,
    /// Two groups of two copies on four machines.
    TwoGroups,
    /// Three machines, on which the cluster places two copies each of as many groups. At first there is one group of one.
    Placed,
}

impl Shape {
    pub const ALL: [Self; 5] =
        [Self::OneCopy, Self::TwoCopies, Self::ThreeCopies, Self::TwoGroups, Self::Placed];

    pub fn hosts(self) -> usize {
        match self {
            Self::OneCopy => 1,
            Self::TwoCopies => 2,
            Self::ThreeCopies | Self::Placed => 3,
            Self::TwoGroups => 4,
        }
    }

    /// Copies of each group that the cluster is to place; 0 where the layout says where they are.
    pub fn copies(self) -> u32 {
        if self == Self::Placed { 2 } else { 0 }
    }

    /// The hosts of each group, its first primary first.
    pub fn groups(self) -> Vec<Vec<usize>> {
        match self {
            Self::TwoGroups => vec![vec![0, 1], vec![2, 3]],
            Self::Placed => vec![vec![0]],
            one => vec![(0..one.hosts()).collect()],
        }
    }
}

/// A deliberate mistake.
#[cfg(feature = "mutations")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// In a copy or in the protocol between copies.
    Replication(lavandin_group::replication::Mutation),
    /// The metadata's leader promotes a stale copy.
    PromoteStale,
    /// Changes of a group are made whatever it is at.
    NoCompare,
    /// A joiner is admitted as whichever incarnation is registered.
    AdmitAnyIncarnation,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The process ends; with `power`, what was not synced goes too.
    Kill { power: bool },
    /// The process does nothing for a while, and does not notice.
    Pause,
    /// A machine hears nobody and is heard by nobody.
    Isolate,
    /// What it sends to another machine is lost.
    CutTo { other: usize },
    /// It and the metadata do not reach each other.
    CutFromMetadata,
    /// What it sends to another machine, or to the metadata where that is itself, takes up to so long.
    Delay { other: usize, extra_ms: u64 },
    /// Messages are lost and doubled everywhere.
    Lossy { per_mille: u64 },
    /// Syncs take long.
    SlowDisk { sync_ms: u64 },
    /// A call to the disk fails, so many calls from here.
    DiskError { after: u64, torn: bool },
    /// The machine loses power within a call to the disk.
    CrashInCall { after: u64, torn: bool },
    /// The disk is replaced by an empty one.
    Wipe,
    /// The metadata has no leader for a while, and then a new one.
    LeaderChange,
    /// What the metadata does is not always answered.
    LostAnswers { per_mille: u64 },
}

#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub at_ms: u64,
    pub host: usize,
    pub for_ms: u64,
    pub kind: FaultKind,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub shape: Shape,
    pub detection_ms: u64,
    pub min_in_sync: u32,
    pub mirror: bool,
    /// No fault begins or lasts behind this.
    pub faults_end_ms: u64,
    pub faults: Vec<Fault>,
    pub clients: usize,
    /// Ranks of a training job.
    pub trainers: usize,
    pub segment_bytes: u64,
    pub recent_bytes: usize,
    pub pinned_bytes: u64,
    pub in_flight_bytes: usize,
    /// Of a thousand ticks of a copy, so many make a checkpoint.
    pub checkpoints_per_mille: u64,
    /// Messages between copies are in the trace, too.
    pub trace_messages: bool,
    #[cfg(feature = "mutations")]
    pub mutant: Option<Mutant>,
}

/// How long faults go on at most.
const FAULTS_MS: u64 = 12_000;
/// Faults of a run at most.
const FAULTS_MAX: u64 = 14;

impl Plan {
    /// The plan of a seed, of a shape that follows from it, too.
    pub fn of(seed: u64) -> Self {
        let shape = match seed % 10 {
            0 => Shape::OneCopy,
            1..=4 => Shape::TwoCopies,
            5..=8 => Shape::ThreeCopies,
            _ if seed % 20 < 10 => Shape::TwoGroups,
            _ => Shape::Placed,
        };
        Self::of_shape(seed, shape)
    }

    pub fn of_shape(seed: u64, shape: Shape) -> Self {
        let random = &mut Random::new(seed);
        let count = random.below(FAULTS_MAX);
        let mut faults: Vec<_> = (0..count).map(|_| fault(random, shape)).collect();
        if random.per_mille(400) {
            crowd(random, &mut faults);
        }
        match random.below(10) {
            0 | 1 if shape.hosts() > 1 => late_changes(random, shape, &mut faults),
            2 | 3 if shape.hosts() > 1 => flapping(random, shape, &mut faults),
            _ => {}
        }
        faults.sort_by_key(|fault| fault.at_ms);
        let mirror = !random.per_mille(80);
        Self {
            seed,
            shape,
            detection_ms: random.range(10..25) * 100,
            min_in_sync: if mirror && shape.hosts() > 1 && random.per_mille(150) { 2 } else { 1 },
            mirror,
            faults_end_ms: faults.iter().map(|fault| fault.at_ms + fault.for_ms).max().unwrap_or(1000),
            faults,
            clients: random.range(2..6) as usize,
            segment_bytes: random.range(600..6000),
            recent_bytes: if random.per_mille(500) { 0 } else { 4000 },
            pinned_bytes: if random.per_mille(300) { 8000 } else { 1 << 30 },
            in_flight_bytes: random.range(500..20_000) as usize,
            checkpoints_per_mille: random.range(0..15),
            trainers: if random.per_mille(700) { 2 } else { 0 },
            trace_messages: false,
            #[cfg(feature = "mutations")]
            mutant: None,
        }
    }
}

/// Moves all faults into a second or two, where one meets what another has left.
fn crowd(random: &mut Random, faults: &mut [Fault]) {
    let (start, length) = (random.range(1000..9000), random.range(200..2500));
    for fault in faults {
        fault.at_ms = start + random.below(length);
    }
}

/// A copy has to join again and again, while proposals about it arrive late and it is not reached or slow.
fn late_changes(random: &mut Random, shape: Shape, faults: &mut Vec<Fault>) {
    let hosts = shape.hosts();
    let joiner = random.below(hosts as u64) as usize;
    let start = random.range(800..3000);
    let mut add = |at_ms, host, for_ms, kind| faults.push(Fault { at_ms, host, for_ms, kind });
    add(start, joiner, random.range(800..2500), FaultKind::Kill { power: true });
    add(
        start + 3000,
        joiner,
        random.range(500..3000),
        FaultKind::SlowDisk { sync_ms: random.range(100..1200) },
    );
    for other in (0..hosts).filter(|other| *other != joiner) {
        let delay = FaultKind::Delay { other, extra_ms: random.range(500..3000) };
        add(start, other, random.range(4000..8000), delay);
        for _ in 0..3 {
            let at = start + random.range(1000..7000);
            add(at, other, random.range(100..1800), FaultKind::CutTo { other: joiner });
        }
    }
}

/// A machine loses power again and again, its disk is slow, and what it and its neighbour say takes long.
fn flapping(random: &mut Random, shape: Shape, faults: &mut Vec<Fault>) {
    let hosts = shape.hosts();
    let host = random.below(hosts as u64) as usize;
    let start = random.range(800..5000);
    let mut add = |at_ms, host, for_ms, kind| faults.push(Fault { at_ms, host, for_ms, kind });
    add(start, host, 4000, FaultKind::SlowDisk { sync_ms: random.range(10..200) });
    for _ in 0..random.range(2..6) {
        add(start + random.below(4000), host, random.range(20..80), FaultKind::Kill { power: true });
    }
    for other in (0..hosts).filter(|other| *other != host) {
        let extra_ms = random.range(50..900);
        add(start, other, 4500, FaultKind::Delay { other: host, extra_ms });
        add(start, host, 4500, FaultKind::Delay { other, extra_ms });
    }
}

fn fault(random: &mut Random, shape: Shape) -> Fault {
    let hosts = shape.hosts() as u64;
    let kind = match random.below(23) {
        0..=4 => FaultKind::Kill { power: random.per_mille(700) },
        5 | 6 => FaultKind::Pause,
        7 => FaultKind::Isolate,
        8 | 9 => FaultKind::CutTo { other: random.below(hosts) as usize },
        10 => FaultKind::CutFromMetadata,
        11 => FaultKind::Lossy { per_mille: random.range(20..300) },
        12 => FaultKind::SlowDisk { sync_ms: random.range(50..1500) },
        13 => FaultKind::DiskError { after: random.below(12), torn: random.per_mille(500) },
        14 | 15 => FaultKind::CrashInCall { after: random.below(12), torn: random.per_mille(500) },
        16 | 17 => FaultKind::Wipe,
        18 => FaultKind::LeaderChange,
        19..=21 => FaultKind::Delay { other: random.below(hosts) as usize, extra_ms: random.range(50..3000) },
        _ => FaultKind::LostAnswers { per_mille: random.range(100..700) },
    };
    let for_ms = random.range(20..4500);
    Fault { at_ms: random.range(300..FAULTS_MS), host: random.below(hosts) as usize, for_ms, kind }
}
