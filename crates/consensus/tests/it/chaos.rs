//! Kills and partitions while clients write and read: nothing that was acknowledged is lost, nothing that was not
//! proposed appears, and no read misses what was answered before it began.

use crate::group::{Group, PATIENCE, database};
use crate::net::Weather;
use lavandin_consensus::Metadata;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What the clients know.
#[derive(Default)]
struct History {
    proposed: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
    reads: u64,
}

/// The members that clients may talk to; a client finds one that is down as a real one would.
type Members = Arc<Mutex<Vec<Metadata>>>;

#[derive(Debug, Default)]
struct Count {
    acknowledged: usize,
    reads: u64,
    kills: u64,
    cuts: u64,
}

async fn write(
    name: String,
    members: Members,
    history: Arc<Mutex<History>>,
    mut stop: watch::Receiver<bool>,
) {
    for number in 0u64.. {
        let chosen = {
            let members = members.lock().unwrap();
            members.get(number as usize * 7 % members.len().max(1)).cloned()
        };
        let name = format!("{name}-{number}");
        if let Some(metadata) = chosen {
            history.lock().unwrap().proposed.insert(name.clone());
            let answer = metadata.propose_within(database(&name), Duration::from_secs(6)).await;
            if answer.is_ok() {
                assert!(
                    metadata.catalogue().database(&name).is_ok(),
                    "{name} is not there for its own writer"
                );
                history.lock().unwrap().acknowledged.insert(name);
            }
        }
        let pause = Duration::from_millis(40);
        if tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
    }
}

async fn read(members: Members, history: Arc<Mutex<History>>, mut stop: watch::Receiver<bool>) {
    for number in 0usize.. {
        let chosen = {
            let members = members.lock().unwrap();
            members.get(number * 5 % members.len().max(1)).cloned()
        };
        if let Some(metadata) = chosen {
            let before = history.lock().unwrap().acknowledged.clone();
            if metadata.read_barrier(Duration::from_secs(3)).await.is_ok() {
                let catalogue = metadata.catalogue();
                let missed: Vec<_> = before.iter().filter(|name| catalogue.database(name).is_err()).collect();
                assert!(missed.is_empty(), "a read missed {missed:?}");
                history.lock().unwrap().reads += 1;
            }
        }
        if tokio::time::timeout(Duration::from_millis(90), stop.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
    }
}

/// One fault after the other, never more than a majority bears for long.
async fn harm(group: &mut Group, members: &Members, voters: u64, rounds: u64) -> Count {
    let mut count = Count::default();
    for _ in 0..rounds {
        let victim = 1 + group.net.random(voters);
        let others: Vec<u64> = (1..=voters).filter(|number| *number != victim).collect();
        match group.net.random(5) {
            0 | 1 => {
                kill(group, members, victim).await;
                count.kills += 1;
                pause(group).await;
                revive(group, members, victim).await;
            }
            // Two at once leave three without a majority for a while.
            2 => {
                let second = others[group.net.random(others.len() as u64) as usize];
                kill(group, members, victim).await;
                kill(group, members, second).await;
                count.kills += 2;
                pause(group).await;
                revive(group, members, second).await;
                revive(group, members, victim).await;
            }
            3 => {
                group.net.part(&[victim], &others);
                count.cuts += 1;
                pause(group).await;
                group.net.heal();
            }
            _ => {
                for other in others {
                    group.net.cut(other, victim);
                }
                count.cuts += 1;
                pause(group).await;
                group.net.heal();
            }
        }
        pause(group).await;
    }
    count
}

async fn pause(group: &Group) {
    let pause = Duration::from_millis(500 + group.net.random(4_000));
    tokio::time::sleep(pause).await;
}

async fn kill(group: &mut Group, members: &Members, number: u64) {
    group.kill(number).await;
    renew(group, members);
}

async fn revive(group: &mut Group, members: &Members, number: u64) {
    group.restart(number).await;
    renew(group, members);
}

fn renew(group: &Group, members: &Members) {
    *members.lock().unwrap() = group.running().map(|(_, metadata)| metadata.clone()).collect();
}

async fn run(seed: u64, voters: u64, rounds: u64) -> Count {
    let mut group = Group::founded(seed, voters).await;
    group.net.set_weather(Weather { lost: 20, doubled: 20, delay_max_ms: 25 });
    let (members, history) = (Members::default(), Arc::new(Mutex::new(History::default())));
    renew(&group, &members);
    let (stop, stopped) = watch::channel(false);
    let mut clients = JoinSet::new();
    for name in ["a", "b", "c"] {
        clients.spawn(write(name.to_owned(), members.clone(), history.clone(), stopped.clone()));
    }
    clients.spawn(read(members.clone(), history.clone(), stopped.clone()));
    let count = harm(&mut group, &members, voters, rounds).await;
    stop.send_replace(true);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let healed = Instant::now();
    group.on(1).read_barrier(PATIENCE).await.unwrap();
    assert!(healed.elapsed() < Duration::from_secs(10), "seed {seed}: no leader for {:?}", healed.elapsed());
    group.settle().await;
    let catalogue = group.on(1).catalogue();
    group.stop().await;
    let history = history.lock().unwrap();
    let lost: Vec<_> = history.acknowledged.iter().filter(|name| catalogue.database(name).is_err()).collect();
    assert!(lost.is_empty(), "seed {seed}: {} acknowledged commands are lost: {lost:?}", lost.len());
    for (name, _) in catalogue.databases() {
        assert!(history.proposed.contains(name), "seed {seed}: nobody proposed {name}");
    }
    Count { acknowledged: history.acknowledged.len(), reads: history.reads, ..count }
}

#[tokio::test(start_paused = true)]
async fn three_voters_lose_nothing() {
    let count = run(100, 3, 6).await;
    assert!(count.acknowledged > 30 && count.reads > 15, "{count:?}");
}

#[tokio::test(start_paused = true)]
async fn five_voters_lose_nothing() {
    let count = run(101, 5, 5).await;
    // How many depends on the disk; some are enough to say that there was work between the faults.
    assert!(count.acknowledged > 30 && count.reads > 10, "{count:?}");
}

/// `LAVANDIN_SLOW_TESTS=1 cargo test -p lavandin-consensus --release --test it -- seeds --nocapture`
#[test]
fn many_seeds_lose_nothing() {
    if std::env::var_os("LAVANDIN_SLOW_TESTS").is_none_or(|value| value != "1") {
        return;
    }
    let mut total = Count::default();
    for seed in 1_000..1_040 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let voters = if seed % 3 == 0 { 5 } else { 3 };
        let count = runtime.unwrap().block_on(run(seed, voters, 12));
        println!("seed {seed}, {voters} voters: {count:?}");
        total.acknowledged += count.acknowledged;
        total.reads += count.reads;
        total.kills += count.kills;
        total.cuts += count.cuts;
    }
    println!("{total:?}");
}
