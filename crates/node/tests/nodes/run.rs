//! One seed: a cluster is formed, clients work, faults strike, all heals; then what is there is compared with what
//! clients were told.

use crate::clients::{Reader, Writer, given, versions};
use crate::cluster::Cluster;
use crate::history::Freshness;
use crate::member::Member;
use crate::schedule::{Planned, Schedule};
use crate::trainer::Trainer;
use lavandin_node::{CallContext, Consistency, Reading, Verdict};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const WRITERS: u64 = 4;
const READERS: usize = 2;
/// The same as the clients' own patience, and more.
const CLIENTS_END: Duration = Duration::from_secs(60);
/// The first ones tell the most.
const VIOLATIONS_SHOWN: usize = 8;
const VERIFIED_WITHIN: Duration = Duration::from_secs(20);
const READ_WITHIN: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    pub(crate) acknowledged: u64,
    pub(crate) reads: u64,
    pub(crate) starts: u64,
    pub(crate) epochs: u64,
    /// Epochs of training that went through.
    pub(crate) trained: u64,
    pub(crate) healed: Duration,
}

pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) violations: Vec<String>,
    schedule: Schedule,
    log: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.violations[..self.violations.len().min(VIOLATIONS_SHOWN)];
        writeln!(f, "seed {}: {} violations\n{}\n", self.seed, self.violations.len(), shown.join("\n"))?;
        writeln!(f, "{}\nwhat happened:\n{}\n", self.schedule, self.log)?;
        writeln!(
            f,
            "again: LAVANDIN_NODE_SEED={} cargo test --release -p lavandin-node --test nodes",
            self.seed
        )
    }
}

/// Runs a seed; `member` may give nodes a mistake to make.
pub(crate) async fn run(seed: u64, member: impl Fn(Member) -> Member) -> Result<Report, Failure> {
    let mut schedule = Schedule::of(seed);
    let network_random = schedule.random.branch();
    let cluster = Cluster::new(&schedule, network_random, member);
    let mut report = Report::default();
    if let Err(error) = go_through(&cluster, &mut schedule, &mut report).await {
        cluster.history.violate(error);
    }
    cluster.end_clients();
    report.acknowledged = cluster.history.acknowledged();
    report.reads = cluster.reads();
    report.starts = cluster.starts.load(Ordering::Relaxed);
    report.epochs = cluster.epochs();
    let violations = cluster.history.violations();
    for member in &cluster.members {
        member.kill(None).await;
    }
    for member in &cluster.members {
        if let Err(error) = member.ended().await {
            cluster.history.violate(error);
        }
    }
    match violations.is_empty() {
        true => Ok(report),
        false => Err(Failure { seed, violations, schedule, log: cluster.log() }),
    }
}

async fn go_through(
    cluster: &Arc<Cluster>,
    schedule: &mut Schedule,
    report: &mut Report,
) -> Result<(), String> {
    cluster.form().await?;
    cluster.note("formed");
    let mut clients = JoinSet::new();
    for number in 0..WRITERS {
        clients.spawn(Writer::new(cluster, schedule.random.branch(), number).run());
    }
    for _ in 0..READERS {
        clients.spawn(Reader::new(cluster, schedule.random.branch()).run());
    }
    let trained = Arc::default();
    clients.spawn(Trainer::new(cluster, schedule.random.branch(), &trained).run());
    let watched = Arc::clone(cluster);
    clients.spawn(async move { watched.watch().await });
    let mut faults = JoinSet::new();
    for Planned { at_ms, for_ms, fault } in schedule.faults.clone() {
        let cluster = Arc::clone(cluster);
        faults.spawn(async move {
            tokio::time::sleep(Duration::from_millis(at_ms)).await;
            cluster.strike(fault, Duration::from_millis(for_ms)).await;
        });
    }
    while faults.join_next().await.is_some() {}
    cluster.note("no more faults");
    report.healed = cluster.heal().await?;
    cluster.note("healed");
    cluster.end_clients();
    let ended = async { while clients.join_next().await.is_some() {} };
    tokio::time::timeout(CLIENTS_END, ended).await.map_err(|_| "clients wait for ever".to_owned())?;
    report.trained = trained.load(Ordering::Relaxed);
    compare_copies(cluster).await?;
    read_everywhere(cluster).await
}

/// All copies of all groups hold the same.
async fn compare_copies(cluster: &Cluster) -> Result<(), String> {
    let life = cluster.members[0].life().ok_or("node 0 is not up")?;
    let until = Instant::now() + VERIFIED_WITHIN;
    loop {
        let verdicts =
            life.node.verify(&CallContext::new(VERIFIED_WITHIN)).await.map_err(|error| error.to_string())?;
        if verdicts.iter().any(lavandin_node::GroupVerdict::is_wrong) {
            return Err(format!("copies differ: {verdicts:#?}"));
        }
        let equal =
            |copy: &lavandin_node::CopyVerdict| matches!(copy.verdict, Verdict::Primary | Verdict::Same);
        if verdicts.iter().all(|verdict| verdict.copies.iter().all(equal)) {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("copies cannot be compared: {verdicts:#?}"));
        }
    }
}

/// Every node reads the same, and it is what clients were told.
async fn read_everywhere(cluster: &Cluster) -> Result<(), String> {
    let mut all = Vec::new();
    for member in &cluster.members {
        let what = format!("in the end at node {}", member.index);
        let life = member.life().ok_or("a node is not up")?;
        let mut floors = cluster.history.floors(Freshness::Newest);
        let reading = Reading::new(Consistency::Linearizable);
        let until = Instant::now() + READ_WITHIN;
        // A machine that stands still for a second costs leases.
        let (mut chosen, mut appended) = loop {
            match tokio::try_join!(versions(&life, &reading), given(&life, &reading)) {
                Ok(both) => break both,
                Err(error) if Instant::now() > until => return Err(format!("{what}: {error}")),
                Err(_) => {}
            }
        };
        cluster.history.check(&what, &mut floors, &chosen, true);
        cluster.history.check_batches(&what, &appended);
        chosen.sort_unstable();
        appended.sort_unstable();
        all.push((chosen, appended));
    }
    match all.windows(2).all(|pair| pair[0] == pair[1]) {
        true => Ok(()),
        false => Err("nodes read different records in the end".to_owned()),
    }
}
