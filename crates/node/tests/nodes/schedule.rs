//! What happens to a cluster, from a seed: its shape, and which faults strike when. Printed, it says how a seed failed.

use crate::random::Random;
use lavandin_storage::Fault as DiskFault;
use std::fmt;

/// Faults begin within this time, and are over soon after it.
pub(crate) const FAULTS_MS: u64 = 6_000;

/// Groups, each with the nodes that have copies, the primary first. Behind them comes a coordinator.
const SHAPES: [&[&[usize]]; 5] =
    [&[&[0, 1]], &[&[0, 1, 2]], &[&[0, 1], &[2, 3]], &[&[0, 1], &[1, 2]], &[&[0, 1, 2], &[2, 0]]];

#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The end of a process, or of a machine: the seed says what is lost.
    Kill {
        node: usize,
        power_cut: Option<u64>,
    },
    /// All processes at once.
    KillAll {
        power_cut: Option<u64>,
    },
    /// An orderly stop.
    Stop {
        node: usize,
    },
    /// A kill, after which the disk is another one, if others have what it had.
    Wipe {
        node: usize,
    },
    /// The links of a node hold what is sent: from it, to it, or both.
    Isolate {
        node: usize,
        from: bool,
        to: bool,
    },
    /// The same of the link between two nodes.
    Cut {
        nodes: (usize, usize),
        both: bool,
    },
    Slow {
        nodes: (usize, usize),
        delay_ms: u64,
    },
    Flaky {
        nodes: (usize, usize),
        breaks_per_mille: u64,
    },
    /// All streams of a node end at once.
    Break {
        node: usize,
    },
    /// A call to the disk fails, so many calls from now. The node is started again, as an operator would.
    Disk {
        node: usize,
        calls: u64,
        fault: DiskFault,
    },
    SlowDisk {
        node: usize,
        sync_ms: u64,
    },
    /// No fault: the logs are cut.
    Checkpoint {
        node: usize,
    },
}

/// A fault, and from when until when it is there.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) at_ms: u64,
    pub(crate) for_ms: u64,
    pub(crate) fault: Fault,
}

pub(crate) struct Schedule {
    pub(crate) groups: Vec<Vec<usize>>,
    pub(crate) nodes: usize,
    pub(crate) faults: Vec<Planned>,
    /// For the clients.
    pub(crate) random: Random,
}

impl Schedule {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let groups: Vec<Vec<usize>> =
            SHAPES[random.index(SHAPES.len())].iter().map(|group| group.to_vec()).collect();
        let nodes = groups.iter().flatten().max().map_or(1, |last| last + 2);
        // Seeds differ in what goes wrong, so that no kind of fault hides another.
        let weights: [u64; 12] =
            std::array::from_fn(|_| if random.per_mille(500) { random.range(1..5) } else { 0 });
        let wipes = random.per_mille(250);
        let count = random.range(2..8);
        let mut faults: Vec<Planned> = Vec::new();
        for _ in 0..count {
            let crowded = faults.last().filter(|_| random.per_mille(350)).map(|last: &Planned| last.at_ms);
            let at_ms = crowded.unwrap_or_else(|| random.range(0..FAULTS_MS));
            let for_ms = if random.per_mille(300) { random.range(10..300) } else { random.range(300..3_000) };
            faults.push(Planned { at_ms, for_ms, fault: fault(&mut random, &weights, nodes) });
        }
        if wipes {
            let (at_ms, node) = (random.range(0..FAULTS_MS / 2), random.index(nodes - 1));
            faults.push(Planned { at_ms, for_ms: random.range(100..2_000), fault: Fault::Wipe { node } });
        }
        faults.sort_by_key(|planned| planned.at_ms);
        Self { groups, nodes, faults, random }
    }
}

fn fault(random: &mut Random, weights: &[u64; 12], nodes: usize) -> Fault {
    let node = random.index(nodes);
    let other = (node + 1 + random.index(nodes - 1)) % nodes;
    let power_cut = random.per_mille(500).then(|| random.next());
    let total: u64 = weights.iter().sum();
    let mut at = random.range(0..total.max(1));
    let kind = weights.iter().position(|weight| {
        let here = at < *weight;
        at = at.saturating_sub(*weight);
        here
    });
    match kind.unwrap_or(0) {
        0 | 1 => Fault::Kill { node, power_cut },
        2 => Fault::KillAll { power_cut },
        3 => Fault::Stop { node },
        4 => match random.index(4) {
            0 => Fault::Isolate { node, from: true, to: false },
            1 => Fault::Isolate { node, from: false, to: true },
            _ => Fault::Isolate { node, from: true, to: true },
        },
        5 => Fault::Cut { nodes: (node, other), both: random.per_mille(500) },
        6 => Fault::Slow { nodes: (node, other), delay_ms: random.range(5..200) },
        7 => Fault::Flaky { nodes: (node, other), breaks_per_mille: random.range(5..80) },
        8 => Fault::Break { node },
        9 => Fault::Disk { node, calls: random.range(0..60), fault: disk_fault(random) },
        10 => Fault::SlowDisk { node, sync_ms: random.range(5..800) },
        _ => Fault::Checkpoint { node },
    }
}

/// A crash within a call is a kill, which is planned as one.
fn disk_fault(random: &mut Random) -> DiskFault {
    [DiskFault::Failed, DiskFault::Torn, DiskFault::NoSpace][random.index(3)]
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "groups {:?}, coordinator {}", self.groups, self.nodes - 1)?;
        for Planned { at_ms, for_ms, fault } in &self.faults {
            writeln!(f, "{at_ms:>6} ms, for {for_ms} ms: {fault:?}")?;
        }
        Ok(())
    }
}
