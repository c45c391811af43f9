//! A cluster of whole nodes in this process, what is done to it, and what can be seen of it from outside.

use crate::clients::{CHOSEN, DB, DIM, GIVEN};
use crate::history::History;
use crate::member::{Life, Member};
use crate::network::{Network, lock, uri};
use crate::random::Random;
use crate::schedule::{Fault, Schedule};
use lavandin_cluster::{GroupLayout, ReplicaLayout, StaticLayout};
use lavandin_node::{CallContext, ClusterStatus, GroupStatus, ReplicaStatus, RequireCollection};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// For what takes a second or three on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
const STATUS_MAX: Duration = Duration::from_secs(1);
/// How long a node that was to be wiped is looked at: another copy has to lead before its disk may go.
const WIPE_PATIENCE: Duration = Duration::from_secs(8);

/// A node, one of its lives, and a group, of which the epoch and version are remembered.
type SeenAt = (usize, u64, u64);

pub(crate) struct Cluster {
    pub(crate) members: Vec<Arc<Member>>,
    pub(crate) network: Arc<Network>,
    pub(crate) history: History,
    over: AtomicBool,
    reads: AtomicU64,
    pub(crate) starts: AtomicU64,
    begun: Instant,
    /// What was done, for whoever reads of a failure.
    log: Mutex<Vec<String>>,
    /// The primaries of all epochs of all groups, as anybody ever said.
    reigns: Mutex<BTreeMap<(u64, u64), u64>>,
    seen: Mutex<BTreeMap<SeenAt, (u64, u64)>>,
}

impl Cluster {
    pub(crate) fn new(schedule: &Schedule, random: Random, member: impl Fn(Member) -> Member) -> Arc<Self> {
        let network = Network::new(schedule.nodes, random);
        let layout = layout(&schedule.groups);
        let new = |index| {
            let layout = (index == schedule.nodes - 1).then(|| layout.clone());
            Arc::new(member(Member::new(index, &network, layout)))
        };
        Arc::new(Self {
            members: (0..schedule.nodes).map(new).collect(),
            network,
            history: History::default(),
            over: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            starts: AtomicU64::new(0),
            begun: Instant::now(),
            log: Mutex::default(),
            reigns: Mutex::default(),
            seen: Mutex::default(),
        })
    }

    /// Starts all nodes, waits until there is a cluster that no single loss stops, and creates what clients write to.
    pub(crate) async fn form(&self) -> Result<(), String> {
        for member in &self.members {
            member.start().await?;
        }
        self.wait_for("no cluster was formed", |status| is_whole(status) && status.metadata.quorum >= 2)
            .await?;
        let life = self.members[0].life().ok_or("node 0 is not up")?;
        let context = CallContext::new(PATIENCE);
        let told = |error: lavandin_node::NodeError| format!("the collections cannot be created: {error}");
        life.node.create_database(&context, DB, false).await.map_err(told)?;
        for name in [CHOSEN, GIVEN] {
            let wanted = RequireCollection { dim: DIM, ..RequireCollection::default() };
            life.node.require_collection(&context, DB, name, wanted).await.map_err(told)?;
        }
        Ok(())
    }

    pub(crate) fn note(&self, what: &str) {
        lock(&self.log).push(format!("{:>6} ms: {what}", self.begun.elapsed().as_millis()));
    }

    pub(crate) fn log(&self) -> String {
        lock(&self.log).join("\n")
    }

    /// Clients stop after what they are doing.
    pub(crate) fn end_clients(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub(crate) fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    pub(crate) fn epochs(&self) -> u64 {
        lock(&self.reigns).len() as u64
    }

    /// A node that is up, and its life.
    pub(crate) fn any_life(&self, random: &mut Random) -> Option<(usize, Arc<Life>)> {
        let member = &self.members[random.index(self.members.len())];
        Some((member.index, member.life()?))
    }

    /// Does a fault, and undoes it when its time is over.
    pub(crate) async fn strike(self: Arc<Self>, fault: Fault, lasts: Duration) {
        self.note(&format!("{fault:?} for {} ms", lasts.as_millis()));
        match fault {
            Fault::Kill { node, power_cut } => {
                self.members[node].kill(power_cut).await;
                self.start_after(&[node], lasts).await;
            }
            Fault::KillAll { power_cut } => {
                for member in &self.members {
                    member.kill(power_cut.map(|seed| seed ^ member.index as u64)).await;
                }
                self.start_after(&(0..self.members.len()).collect::<Vec<_>>(), lasts).await;
            }
            Fault::Stop { node } => {
                self.members[node].stop().await;
                self.start_after(&[node], lasts).await;
            }
            Fault::Wipe { node } => self.wipe(node, lasts).await,
            Fault::Isolate { node, from, to } => {
                let others = (0..self.members.len()).filter(|other| *other != node);
                let both = others.flat_map(|other| [(from, (node, other)), (to, (other, node))]);
                let held: Vec<_> = both.filter(|(is_held, _)| *is_held).map(|(_, link)| link).collect();
                self.hold(&held, lasts).await;
            }
            Fault::Cut { nodes: (one, other), both } => {
                self.hold(&[(one, other), (other, one)][..1 + usize::from(both)], lasts).await;
            }
            Fault::Slow { nodes, delay_ms } => self.trouble(nodes, (delay_ms, 0), lasts).await,
            Fault::Flaky { nodes, breaks_per_mille } => {
                self.trouble(nodes, (0, breaks_per_mille), lasts).await
            }
            Fault::Break { node } => self.network.break_streams(node, None),
            Fault::Disk { node, calls, fault } => {
                self.members[node].disk().await.fail(calls, fault);
                tokio::time::sleep(lasts).await;
                self.members[node].disk().await.heal();
                // Without its end nobody knows what reached the disk.
                self.members[node].kill(None).await;
                self.start_after(&[node], Duration::ZERO).await;
            }
            Fault::SlowDisk { node, sync_ms } => {
                self.members[node].disk().await.slow_syncs(Duration::from_millis(sync_ms));
                tokio::time::sleep(lasts).await;
                self.members[node].disk().await.heal();
            }
            Fault::Checkpoint { node } => {
                if let Some(life) = self.members[node].life() {
                    let context = CallContext::new(STATUS_MAX);
                    // It is made if the groups' primaries can be reached.
                    drop(life.ask(life.node.checkpoint(&context, DB, CHOSEN)).await);
                }
            }
        }
    }

    async fn start_after(&self, nodes: &[usize], pause: Duration) {
        tokio::time::sleep(pause).await;
        for node in nodes {
            self.starts.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = self.members[*node].start().await {
                self.note(&error);
                self.history.violate(error);
            }
        }
    }

    async fn hold(&self, links: &[(usize, usize)], lasts: Duration) {
        links.iter().for_each(|link| self.network.hold(*link));
        tokio::time::sleep(lasts).await;
        links.iter().for_each(|link| self.network.release(*link));
    }

    async fn trouble(&self, nodes: (usize, usize), (delay_ms, breaks): (u64, u64), lasts: Duration) {
        self.network.trouble(nodes, delay_ms, breaks);
        tokio::time::sleep(lasts).await;
        self.network.trouble(nodes, 0, 0);
    }

    /// A disk may be lost when other copies are known to have what it had, and it cannot be chosen to lead any more: once
    /// each of its groups is led by another node and its copy is out of the in-sync set, as the leader of the metadata
    /// says after the node's end.
    async fn wipe(&self, node: usize, lasts: Duration) {
        if !self.members[node].kill(None).await {
            return;
        }
        let (until, place) = (Instant::now() + WIPE_PATIENCE, uri(node));
        let mut may_go = false;
        while !may_go && Instant::now() < until {
            tokio::time::sleep(PAUSE).await;
            let others = self.members.iter().filter(|member| member.index != node);
            for life in others.filter_map(|member| member.life()) {
                let status = life.node.cluster_status(STATUS_MAX).await;
                let led = |group: &GroupStatus| {
                    let counts = |replica: &ReplicaStatus| replica.uri == place && replica.state == "active";
                    let is_safe = group.primary != place && !group.replicas.iter().any(counts);
                    is_safe && group.writable == Some(true)
                };
                // The metadata has to outlive the disk as well.
                let votes =
                    status.metadata.healthy_owners >= status.metadata.quorum && status.metadata.quorum >= 2;
                may_go |= votes && !status.shard_groups.is_empty() && status.shard_groups.iter().all(led);
            }
        }
        self.note(if may_go {
            "the disk is another one"
        } else {
            "the disk is the only one with its data and stays"
        });
        if may_go {
            self.members[node].wipe().await;
        }
        self.start_after(&[node], lasts).await;
    }

    /// Looks at what every node says of the groups, again and again.
    pub(crate) async fn watch(&self) {
        while !self.is_over() {
            self.look();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// An epoch has one primary, and at no node epochs and versions fall.
    fn look(&self) {
        for member in &self.members {
            let Some(life) = member.life() else { continue };
            let catalogue = life.node.catalogue();
            for group in catalogue.groups() {
                let (id, epoch, primary) = (group.id.get(), group.epoch.get(), group.primary.get());
                let known = *lock(&self.reigns).entry((id, epoch)).or_insert(primary);
                // Until the first primary of a layout has registered there is no epoch.
                if known != primary && epoch > 0 {
                    self.history.violate(format!(
                        "epoch {epoch} of group {id} has two primaries: {known} and {primary}"
                    ));
                }
                let now = (epoch, group.version);
                let before =
                    lock(&self.seen).insert((member.index, life.number, id), now).unwrap_or_default();
                if now.0 < before.0 || now.1 < before.1 {
                    let node = member.index;
                    self.history
                        .violate(format!("at node {node} group {id} fell from {before:?} to {now:?}"));
                }
            }
        }
    }

    /// Ends all faults, starts all nodes, and waits until all copies are in sync.
    pub(crate) async fn heal(&self) -> Result<Duration, String> {
        let begun = Instant::now();
        self.network.heal();
        for member in &self.members {
            member.disk().await.heal();
            member.start().await?;
        }
        self.wait_for("the cluster does not heal", is_whole).await?;
        Ok(begun.elapsed())
    }

    /// Waits until every node sees the cluster in a state, and says that it is ready.
    pub(crate) async fn wait_for(
        &self,
        what: &str,
        state: impl Fn(&ClusterStatus) -> bool,
    ) -> Result<(), String> {
        for member in &self.members {
            self.wait_at(member.index, what, &state).await?;
        }
        Ok(())
    }

    /// The same of one node.
    pub(crate) async fn wait_at(
        &self,
        node: usize,
        what: &str,
        state: impl Fn(&ClusterStatus) -> bool,
    ) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        let mut last = String::new();
        while Instant::now() < until {
            if let Some(life) = self.members[node].life() {
                let status = life.node.cluster_status(STATUS_MAX).await;
                let ready = life.node.ready();
                if ready.is_ok() && state(&status) {
                    return Ok(());
                }
                last = format!("{ready:?}, {status:#?}");
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(format!("{what} within {PATIENCE:?}; node {node} says {last}"))
    }
}

/// Every wanted copy is in sync and every group can be written to, says the leader of the metadata.
fn is_whole(status: &ClusterStatus) -> bool {
    let whole = |group: &GroupStatus| {
        group.writable == Some(true)
            && group.in_sync >= group.copies_wanted
            && group.replicas.iter().all(|replica| replica.state == "active")
    };
    !status.shard_groups.is_empty() && status.leader.is_some() && status.shard_groups.iter().all(whole)
}

fn layout(groups: &[Vec<usize>]) -> StaticLayout {
    let group = |(number, nodes): (usize, &Vec<usize>)| GroupLayout {
        name: format!("sg{number}"),
        primary: uri(nodes[0]),
        replicas: nodes[1..].iter().map(|node| ReplicaLayout { uri: uri(*node), stale: false }).collect(),
    };
    StaticLayout {
        groups: groups.iter().enumerate().map(group).collect(),
        bucket_count: 64,
        write_mirror_replicas: true,
        owners: Vec::new(),
        state_path: None,
        shard_api_key: None,
    }
}
