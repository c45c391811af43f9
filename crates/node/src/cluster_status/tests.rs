use super::*;
use lavandin_cluster::{
    ClusterOptions, Command, GroupSeed, Heard, LayoutSeed, NodeRegistration, NodeRole, Rebuild, StaleReason,
};
use lavandin_consensus::PeerStatus;
use lavandin_types::{ClusterId, PrimaryEpoch, SequenceNumber, StoreId};

const SG0: GroupId = GroupId::new(1);

fn node(id: u64) -> NodeId {
    NodeId::new(id)
}

fn uri(id: u64) -> String {
    format!("http://10.0.0.{id}:7638")
}

/// A cluster, as the leader of its metadata sees it. Node 1 leads.
struct World {
    catalogue: Catalogue,
    metadata: MetadataStatus,
    liveness: Liveness,
    reports: BTreeMap<(NodeId, GroupId), CopyReport>,
    unreachable: BTreeMap<NodeId, String>,
}

impl World {
    /// The layout of the documents: groups of a primary and a replica on nodes 1 to 4, and a coordinator, node 5.
    fn quick_start() -> Self {
        let mut world = Self::unregistered(&[&[1, 2], &[3, 4]]);
        for id in 1..=5 {
            let role = if id == 5 { NodeRole::Coordinator } else { NodeRole::Data };
            world.register(id, role);
        }
        world.grow(SG0, 2);
        world.grow(GroupId::new(2), 4);
        world.catalogue.apply(Command::AppointChores { node: node(5), expected: 0 }).unwrap();
        world
    }

    fn unregistered(groups: &[&[u64]]) -> Self {
        let group = |(index, members): (usize, &&[u64])| GroupSeed {
            name: format!("sg{index}"),
            members: members.iter().copied().map(node).collect(),
            primary: node(members[0]),
        };
        let count = groups.iter().map(|members| members.len() as u64).sum();
        let seed = LayoutSeed {
            cluster: ClusterId::new(7),
            nodes: (1..=count).map(uri).collect(),
            groups: groups.iter().enumerate().map(group).collect(),
            options: ClusterOptions::default(),
        };
        let mut catalogue = Catalogue::default();
        catalogue.apply(Command::FormLayout(seed)).unwrap();
        let voters: Vec<NodeId> = (1..=count.min(3)).map(node).collect();
        let voters = if voters.len() == 2 { vec![node(1)] } else { voters };
        let metadata = metadata(voters);
        let liveness = Liveness { observed_ms: 60_000, ..Liveness::default() };
        Self { catalogue, metadata, liveness, reports: BTreeMap::new(), unreachable: BTreeMap::new() }
    }

    fn register(&mut self, id: u64, role: NodeRole) {
        let (store, address) = (StoreId::new(id.into()), uri(id));
        let registration = NodeRegistration { store, address, role, protocol: 1, ..Default::default() };
        self.catalogue.apply(Command::RegisterNode(registration)).unwrap();
        self.hear(id, 100);
    }

    fn hear(&mut self, id: u64, silent_ms: u64) {
        let incarnation = self.catalogue.node(node(id)).unwrap().incarnation;
        self.liveness.heard.insert(node(id), Heard { incarnation, silent_ms });
    }

    fn join(&mut self, group: GroupId, id: u64) {
        let expected = self.catalogue.group(group).unwrap().revision();
        let join = Command::AddJoiner { group, expected, node: node(id), incarnation: 1 };
        self.catalogue.apply(join).unwrap();
    }

    fn grow(&mut self, group: GroupId, id: u64) {
        self.join(group, id);
        let expected = self.catalogue.group(group).unwrap().revision();
        let grow = Command::GrowGroup { group, expected, node: node(id), incarnation: 1 };
        self.catalogue.apply(grow).unwrap();
    }

    fn shrink(&mut self, group: GroupId, id: u64) {
        let expected = self.catalogue.group(group).unwrap().revision();
        let (remove, reason) = (node(id), StaleReason::MissedWrite);
        self.catalogue.apply(Command::ShrinkGroup { group, expected, remove, reason }).unwrap();
    }

    fn report(&mut self, group: GroupId, id: u64, sequence: u64) {
        let (epoch, sequence) = (PrimaryEpoch::new(1), SequenceNumber::new(sequence));
        let report = CopyReport { group, epoch, sequence, damaged: false, yields: false, rebuild: None };
        self.reports.insert((node(id), group), report);
    }

    fn status(&self) -> ClusterStatus {
        self.seen(Some(&self.liveness))
    }

    fn seen(&self, liveness: Option<&Liveness>) -> ClusterStatus {
        let Self { catalogue, metadata, reports, unreachable, .. } = self;
        ClusterStatus::of(&Observed { catalogue, metadata, liveness, reports, unreachable })
    }
}

fn metadata(voters: Vec<NodeId>) -> MetadataStatus {
    let peer = |voter: &NodeId| PeerStatus {
        node: *voter,
        address: String::new(),
        voter: true,
        lag: Some(2),
        silent_for: Some(std::time::Duration::from_millis(100)),
    };
    MetadataStatus {
        node: node(1),
        directory: serde_json::from_str("\"00000000000000000000000000000001\"").unwrap(),
        cluster: Some(ClusterId::new(7)),
        leader: Some(node(1)),
        term: 3,
        peers: voters.iter().filter(|voter| **voter != node(1)).map(peer).collect(),
        voters,
        learners: Vec::new(),
        degraded: None,
        last_log_index: Some(40),
        last_applied_index: Some(40),
        snapshot_index: None,
        failure: None,
    }
}

#[test]
fn a_cluster_in_order_says_so() {
    let mut world = World::quick_start();
    world.report(SG0, 1, 10);
    world.report(SG0, 2, 8);
    let status = world.status();
    assert_eq!(status.degraded, [] as [&str; 0]);
    let names: Vec<&str> = status.shard_groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["sg0", "sg1"]);
    let sg0 = &status.shard_groups[0];
    assert_eq!((sg0.primary.as_str(), sg0.primary_epoch), (uri(1).as_str(), 1));
    assert_eq!((sg0.writable, &sg0.why_not, sg0.at_risk, sg0.in_sync), (Some(true), &None, false, 2));
    let replica = &sg0.replicas[0];
    assert_eq!((replica.uri.as_str(), replica.state.as_str()), (uri(2).as_str(), "active"));
    assert_eq!((replica.lag, replica.progress, &replica.reason), (Some(2), None, &None));
    assert_eq!(status.shard_groups[1].replicas[0].lag, None, "nobody reported");
    let leader = status.leader.as_ref().unwrap();
    assert_eq!((leader.node, leader.leader_uri.as_str(), leader.lease_epoch), (5, uri(5).as_str(), 1));
    assert_eq!((status.role_of(5), status.role_of(1)), ("leader", "standby"));
    assert_eq!((status.metadata.mode.as_str(), status.metadata.degraded), ("replicated", false));
    assert_eq!((status.metadata.healthy_owners, status.metadata.quorum), (3, 2));
    let versions: Vec<_> = status.metadata.owners.iter().map(|owner| owner.version).collect();
    assert_eq!(versions, [Some(40), Some(38), Some(38)]);
    assert!(status.nodes.iter().all(|node| node.state == "up" && node.silent_seconds == Some(0.1)));
    assert_eq!((status.nodes[4].role.as_str(), status.nodes[4].protocol), ("coordinator", 1));
}

#[test]
fn changes_of_members_are_shown() {
    let mut world = World::quick_start();
    let retire = Command::MoveCopies { from: node(1), to: Some(node(3)), retires: true };
    world.catalogue.apply(retire).unwrap();
    world.report(SG0, 1, 200);
    world.report(SG0, 3, 0);
    let rebuild = Some(Rebuild { done: 30, total: 40 });
    world.reports.get_mut(&(node(3), SG0)).unwrap().rebuild = rebuild;
    let status = world.status();
    let sg0 = &status.shard_groups[0];
    assert!(sg0.primary_leaving && !sg0.replicas[0].leaving);
    let new = &sg0.replicas[1];
    assert_eq!((new.uri.as_str(), new.progress, new.rebuild_bytes), (uri(3).as_str(), Some(0.75), Some(40)));
    let nodes: Vec<_> = status.nodes.iter().map(|node| (node.retiring, node.copies)).collect();
    assert_eq!(nodes, [(true, 1), (false, 1), (false, 2), (false, 1), (false, 0)]);
}

#[test]
fn a_stale_copy_tells_why_and_how_far_it_is() {
    let mut world = World::quick_start();
    world.shrink(SG0, 2);
    world.report(SG0, 1, 200);
    world.report(SG0, 2, 50);
    let status = world.status();
    let (sg0, replica) = (&status.shard_groups[0], &status.shard_groups[0].replicas[0]);
    assert_eq!((replica.state.as_str(), replica.reason.as_deref()), ("stale", Some("it missed a write")));
    assert_eq!((replica.lag, replica.progress, replica.joining), (Some(150), Some(0.25), false));
    assert!(sg0.at_risk && sg0.writable == Some(true));
    assert_eq!(
        status.degraded,
        [
            format!(
                "group sg0 has one in-sync copy left, on {}: its loss would lose acknowledged writes",
                uri(1)
            ),
            format!("the copy of group sg0 on {} is stale: it missed a write", uri(2)),
        ]
    );
    world.join(SG0, 2);
    world.reports.get_mut(&(node(2), SG0)).unwrap().damaged = true;
    let replica = &world.status().shard_groups[0].replicas[0];
    assert_eq!((replica.state.as_str(), replica.joining), ("stale", true), "joining is shown as stale");
    assert_eq!(replica.reason.as_deref(), Some("it is catching up"));
    assert!(replica.last_error.as_deref().is_some_and(|error| error.starts_with("its files are damaged")));
}

#[test]
fn a_primary_that_is_out_of_order_is_named_and_takes_no_writes() {
    let mut world = World::quick_start();
    world.report(SG0, 1, 10);
    assert_eq!(world.status().shard_groups[0].primary_error, None);
    world.reports.get_mut(&(node(1), SG0)).unwrap().damaged = true;
    for word in ["take over", "force-promote"] {
        let group = &world.status().shard_groups[0];
        assert_eq!(group.writable, Some(false));
        assert!(group.primary_error.as_deref().is_some_and(|error| error.contains("damaged")), "{group:?}");
        let why_not = group.why_not.as_deref().unwrap_or_default();
        assert!(why_not.contains(&uri(1)) && why_not.contains(word), "{why_not}");
        if group.in_sync == 2 {
            world.shrink(SG0, 2);
        }
    }
}

#[test]
fn a_group_without_a_live_copy_is_not_writable() {
    let mut world = World::quick_start();
    world.shrink(SG0, 2);
    world.hear(1, 12_500);
    let status = world.status();
    let sg0 = &status.shard_groups[0];
    let sentence =
        "group sg0 has no live copy that holds every acknowledged write: start n1 at http://10.0.0.1:7638";
    assert_eq!((sg0.writable, sg0.why_not.as_deref()), (Some(false), Some(sentence)));
    assert!(status.degraded.contains(&sentence.to_owned()), "{:?}", status.degraded);
    assert!(
        status.degraded.contains(&format!("{} has been silent for 12 s", uri(1))),
        "{:?}",
        status.degraded
    );
    assert_eq!((status.nodes[0].state.as_str(), status.nodes[0].silent_seconds), ("down", Some(12.5)));
    assert_eq!(status.shard_groups[1].writable, Some(true));
}

#[test]
fn a_dead_replica_is_named() {
    let mut world = World::quick_start();
    world.hear(4, 5_000);
    let replica = &world.status().shard_groups[1].replicas[0];
    assert_eq!(replica.last_error.as_deref(), Some("its node has been silent for 5 s"));
    world.hear(4, 2_999);
    assert_eq!(world.status().shard_groups[1].replicas[0].last_error, None);
}

#[test]
fn it_is_said_why_a_silent_node_cannot_be_reached() {
    let mut world = World::quick_start();
    world.hear(4, 5_000);
    let reason = "seen from http://10.0.0.1:7638: upgrade this node";
    world.unreachable.insert(node(4), reason.to_owned());
    let status = world.status();
    assert_eq!(status.nodes[3].last_error.as_deref(), Some(reason));
    assert_eq!(status.nodes[0].last_error, None);
    let sentence = format!("{} has been silent for 5 s: {reason}", uri(4));
    assert!(status.degraded.contains(&sentence), "{:?}", status.degraded);
    let replica = &status.shard_groups[1].replicas[0];
    assert_eq!(
        replica.last_error.as_deref(),
        Some(format!("its node has been silent for 5 s: {reason}").as_str())
    );
}

#[test]
fn a_cluster_speaks_what_all_members_speak() {
    let mut world = World::quick_start();
    assert_eq!(world.status().protocol, 1);
    for id in 1..=5 {
        let (store, address) = (StoreId::new(id.into()), uri(id));
        let role = if id == 5 { NodeRole::Coordinator } else { NodeRole::Data };
        let start_id = lavandin_cluster::StartId::new(id.into());
        let upgraded = NodeRegistration { store, address, role, start_id, protocol: 2, ..Default::default() };
        world.catalogue.apply(Command::RegisterNode(upgraded)).unwrap();
        assert_eq!(world.status().protocol, if id == 5 { 2 } else { 1 });
    }
}

#[test]
fn without_a_leader_nothing_is_made_up() {
    let mut world = World::quick_start();
    world.metadata.leader = None;
    world.metadata.degraded = Some("this node knows no metadata leader".to_owned());
    let status = world.seen(None);
    assert_eq!((&status.leader, status.metadata.leader), (&None, None));
    assert_eq!((status.role_of(5), status.role_of(1)), ("standby", "standby"));
    assert!(status.shard_groups.iter().all(|group| group.writable.is_none() && group.why_not.is_some()));
    assert!(status.nodes.iter().all(|node| node.state == "unknown" && node.silent_seconds.is_none()));
    assert_eq!(status.metadata.owners[1].healthy, None, "only a leader knows");
    assert_eq!(status.metadata.healthy_owners, 1);
    assert_eq!(status.degraded, ["this node knows no metadata leader"]);
    assert_eq!(status.shard_groups[0].primary, uri(1), "where groups lie is in the catalogue");
}

#[test]
fn a_silent_owner_is_named() {
    let mut world = World::quick_start();
    world.metadata.degraded = Some("metadata voter n2 has not answered for 9 s".to_owned());
    world.metadata.peers[0].silent_for = Some(std::time::Duration::from_secs(9));
    world.metadata.peers[1].silent_for = None;
    let view = world.status().metadata;
    assert_eq!((view.degraded, view.healthy_owners), (true, 1));
    assert_eq!((view.owners[1].healthy, view.owners[1].version), (Some(false), Some(38)));
    assert_eq!(view.owners[1].error.as_deref(), Some("it has not answered for 9 s"));
    assert_eq!(view.owners[2].error.as_deref(), Some("it has not answered yet"));
}

/// Until another one votes in its place, the next loss may stop the metadata.
#[test]
fn a_voter_whose_disk_is_gone_is_missed_at_once() {
    let mut world = World::quick_start();
    assert!(!world.status().metadata.degraded);
    let (store, address) = (StoreId::new(99), uri(2));
    let registration = NodeRegistration { store, address, protocol: 1, ..Default::default() };
    world.catalogue.apply(Command::RegisterNode(registration)).unwrap();
    let status = world.status();
    assert!(status.metadata.degraded);
    assert_eq!(
        status.metadata.reason.as_deref(),
        Some("metadata voter n2 is gone; another node takes its place")
    );
    assert!(status.degraded.contains(&status.metadata.reason.unwrap()), "{:?}", status.degraded);
}

#[test]
fn a_node_that_never_started_is_new() {
    let mut world = World::unregistered(&[&[1, 2]]);
    world.register(1, NodeRole::Data);
    let status = world.status();
    assert_eq!((status.nodes[1].state.as_str(), status.nodes[1].silent_seconds), ("new", None));
    assert_eq!(status.metadata.mode, "single");
    let one = "the metadata is on one node, http://10.0.0.1:7638: while that is down nothing fails over; three nodes \
               would bear it";
    assert!(status.degraded.contains(&one.to_owned()), "{:?}", status.degraded);
    let group = &status.shard_groups[0];
    assert_eq!(group.replicas[0].reason.as_deref(), Some("it was added and has not caught up yet"));
}

#[test]
fn copies_that_take_no_part_are_no_alarm() {
    let mut world = World::unregistered(&[&[1, 2]]);
    let seed = LayoutSeed {
        cluster: ClusterId::new(7),
        nodes: vec![uri(1), uri(2)],
        groups: vec![GroupSeed { name: "sg0".to_owned(), members: vec![node(1), node(2)], primary: node(1) }],
        options: ClusterOptions { mirror: false, ..ClusterOptions::default() },
    };
    world.catalogue = Catalogue::default();
    world.catalogue.apply(Command::FormLayout(seed)).unwrap();
    world.register(1, NodeRole::Data);
    world.register(2, NodeRole::Data);
    let status = world.status();
    let group = &status.shard_groups[0];
    assert!(!group.at_risk && group.replicas[0].state == "stale" && !status.write_mirror_replicas);
    assert!(group.replicas[0].reason.as_deref().unwrap().starts_with("write_mirror_replicas is off"));
    assert_eq!(status.degraded.len(), 1, "only the one voter: {:?}", status.degraded);
}

#[test]
fn a_node_alone_gets_its_address_from_outside() {
    let mut world = World::unregistered(&[&[1]]);
    world.catalogue = Catalogue::default();
    world.metadata = MetadataStatus { last_applied_index: None, cluster: None, ..metadata(vec![node(1)]) };
    let unformed = world.status().at("http://127.0.0.1:1");
    assert_eq!((unformed.cluster.as_ref(), unformed.role_of(1)), (None, "single"));
    let group = &unformed.shard_groups[0];
    assert_eq!(
        (group.name.as_str(), group.primary.as_str(), group.primary_epoch),
        ("sg0", "http://127.0.0.1:1", 1)
    );
    let seed = lavandin_cluster::NodeSeed { id: node(1), store: StoreId::new(1), address: String::new() };
    let form = Command::FormCluster { cluster: ClusterId::new(7), node: seed };
    world.catalogue.apply(form).unwrap();
    world.hear(1, 0);
    let formed = world.status().at("http://127.0.0.1:1");
    assert_eq!(formed.shard_groups[0].primary, "http://127.0.0.1:1");
    assert_eq!(
        (formed.nodes[0].uri.as_str(), formed.metadata.owners[0].uri.as_str()),
        ("http://127.0.0.1:1", "http://127.0.0.1:1")
    );
    assert_eq!((formed.role_of(1), formed.degraded.len()), ("single", 0));
}

#[test]
fn a_status_travels_and_fields_may_be_missing() {
    let status = World::quick_start().status();
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<ClusterStatus>(&text).unwrap(), status);
    let old: ClusterStatus = serde_json::from_str(r#"{"shard_groups":[{"name":"sg0"}],"newer":1}"#).unwrap();
    assert_eq!(old.shard_groups[0].name, "sg0");
}
