//! Starts with a full disk.

use crate::cluster::Cluster;
use crate::random::Random;
use crate::runtime;
use crate::schedule::Schedule;
use lavandin_node::ClusterStatus;
use lavandin_storage::Fault;
use std::time::{Duration, Instant};

/// A copy that cannot be opened lacks nothing. Were it registered as one that may, the last one in sync would wait for
/// somebody's decision, with space or without.
#[test]
fn the_last_copy_in_sync_waits_for_space() {
    runtime().block_on(async {
        let schedule = Schedule { groups: vec![vec![0, 1]], nodes: 3, ..Schedule::of(1) };
        let cluster = Cluster::new(&schedule, Random::new(1), |member| member);
        cluster.form().await.expect("a cluster is formed");
        let (last, other) = (&cluster.members[0], &cluster.members[1]);
        other.kill(None).await;
        let is_alone = |status: &ClusterStatus| status.shard_groups.iter().all(|group| group.in_sync == 1);
        cluster.wait_at(0, "the other copy does not leave the set", is_alone).await.unwrap();
        last.kill(None).await;
        let disk = last.disk().await;
        disk.fail(0, Fault::NoSpace);
        last.start().await.expect("it starts");
        let until = Instant::now() + Duration::from_secs(30);
        while !disk.has_struck() {
            assert!(Instant::now() < until, "it does not open its copy");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(last.life().is_some_and(|life| life.node.ready().is_err()));
        disk.heal();
        let serves =
            |status: &ClusterStatus| status.shard_groups.iter().all(|group| group.writable == Some(true));
        cluster.wait_at(0, "it does not go on with what it had", serves).await.unwrap();
        cluster.heal().await.expect("the other copy catches up");
        for member in &cluster.members {
            member.kill(None).await;
        }
    });
}
