//! Disks that take longer for a sync than an election takes. On the real clock, because a disk does not wait for one
//! that stands still.

use super::super::*;
use super::{database, form};
use crate::store::faulty::FaultyDisk;
use crate::transport::TransportError;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

/// Longer than lease and election timeout together, with two syncs to a write.
const SLOW: Duration = Duration::from_millis(1_300);

#[derive(Clone, Default)]
struct Direct(Arc<Mutex<BTreeMap<NodeId, Metadata>>>);

struct From(NodeId, Direct);

impl Transport for From {
    fn call<'a>(
        &'a self,
        target: NodeId,
        _address: &'a str,
        request: Bytes,
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, TransportError>> {
        let found = self.1.0.lock().unwrap().get(&target).cloned();
        Box::pin(async move {
            let metadata = found.ok_or_else(|| TransportError::Unreachable("it is down".to_owned()))?;
            let from = self.0;
            let handled = tokio::spawn(async move { metadata.handle(from, &request).await });
            handled.await.map_err(|error| TransportError::Broken(error.to_string()))
        })
    }
}

/// Three voters that follow the first, and their disks.
async fn group() -> (Direct, Vec<FaultyDisk>) {
    let direct = Direct::default();
    let disks: Vec<FaultyDisk> = (0..3).map(|_| FaultyDisk::default()).collect();
    let voters: BTreeMap<NodeId, String> = (1..=3).map(|n| (NodeId::new(n), format!("node{n}"))).collect();
    for (node, disk) in voters.keys().zip(&disks) {
        let (disk, number) = (disk.clone(), node.get());
        let options = MetadataOptions {
            address: voters[node].clone(),
            start: Start::Found(voters.clone()),
            transport: Arc::new(From(*node, direct.clone())),
            ..MetadataOptions::new("", *node)
        };
        let open = move || Store::open_backend(disk, number);
        let metadata = Metadata::open_store(options, FILE.into(), open).await.unwrap();
        direct.0.lock().unwrap().insert(*node, metadata);
    }
    direct.on(1).propose_within(form(), Duration::from_secs(30)).await.unwrap();
    (direct, disks)
}

impl Direct {
    fn on(&self, number: u64) -> Metadata {
        self.0.lock().unwrap()[&NodeId::new(number)].clone()
    }

    /// Writes for a while through the leader; the slowest answer.
    async fn write_for(&self, time: Duration) -> Duration {
        let (until, mut slowest) = (Instant::now() + time, Duration::ZERO);
        let mut number = 0;
        while Instant::now() < until {
            let started = Instant::now();
            self.on(1)
                .propose_within(database(&format!("db{number}")), Duration::from_secs(30))
                .await
                .unwrap();
            slowest = slowest.max(started.elapsed());
            number += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        slowest
    }

    async fn stop(&self) {
        let all = std::mem::take(&mut *self.0.lock().unwrap());
        for metadata in all.values() {
            metadata.shutdown().await;
        }
    }
}

/// Neither a follower nor the leader on a slow disk starts elections, or holds up what the other two can do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_moves_no_leader() {
    // On real time, so that a machine busy with other things is no reason to fail.
    if std::env::var_os("LAVANDIN_SLOW_TESTS").is_none_or(|value| value != "1") {
        return;
    }
    for slow in [2, 0] {
        let (group, disks) = group().await;
        let leader = group.on(1).status().leader;
        assert_eq!(leader, Some(NodeId::new(1)));
        let term = group.on(1).status().term;
        disks[slow].slow_down(SLOW);
        let slowest = group.write_for(Duration::from_secs(6)).await;
        assert!(slowest < SLOW, "a write waited {slowest:?} for a disk that two others can do without");
        for number in 1..=3 {
            let status = group.on(number).status();
            assert_eq!(
                (status.leader, status.term),
                (leader, term),
                "as node {number} sees it, disk {slow} slow"
            );
        }
        disks[slow].slow_down(Duration::ZERO);
        for number in 1..=3 {
            group.on(number).read_barrier(Duration::from_secs(30)).await.unwrap();
            assert_eq!(group.on(number).catalogue(), group.on(1).catalogue());
        }
        group.stop().await;
    }
}
