//! How much iterations over many samples take, in memory and time.
//!
//! The figures in docs/formats/iterations.md come from
//! `LAVANDIN_SLOW_TESTS=1 cargo test -p lavandin-plan --release -- hundred_million --nocapture`, one after the other.

use super::fixture::{Logged, create, definition, grant_of, is_slow, shuffled};
use crate::ShardRows;
use crate::iterations::{Create, Grant, Request, Step};
use crate::order::Order;
use lavandin_types::IterationId;
use std::time::{Duration, Instant};

/// Some samples are never completed: one of so many.
const LOST: u64 = 1_000;

struct Times {
    walk: Duration,
    grant: Duration,
    complete: Duration,
    log_bytes: usize,
    samples: u64,
}

/// A rank's session up to so many samples, with one walk; all but a few are completed where that is wanted.
fn consume(
    logged: &mut Logged,
    iteration: IterationId,
    samples: u64,
    batch: usize,
    completes: bool,
) -> Times {
    let (mut walk, mut number) = (logged.walk(iteration, 0), 0_u64);
    let zero = Duration::ZERO;
    let mut times = Times { walk: zero, grant: zero, complete: zero, log_bytes: 0, samples: 0 };
    while times.samples < samples {
        let begin = Instant::now();
        let chosen = logged.gather(&mut walk, iteration, batch);
        times.walk += begin.elapsed();
        if chosen.is_empty() {
            break;
        }
        let begin = Instant::now();
        let delivered = number.checked_sub(1).map(|number| (0, number)).into_iter().collect();
        let grant = Grant { number, delivered, ..grant_of(iteration, 0, &walk, &chosen) };
        logged.run(Request::Grant(Box::new(grant))).unwrap();
        times.grant += begin.elapsed();
        number += 1;
        times.samples += chosen.len() as u64;
        if completes {
            let indices = chosen.iter().map(|sample| sample.index).filter(|index| index % LOST > 0).collect();
            let begin = Instant::now();
            logged.run(Request::Complete { iteration, indices }).unwrap();
            times.complete += begin.elapsed();
        }
        times.log_bytes += logged.log.drain(..).map(|op| op.len()).sum::<usize>();
    }
    times
}

#[test]
fn state_does_not_grow_with_what_is_done() {
    let mut logged = Logged::new();
    let rows = ShardRows::new(vec![1_000; 1_000]);
    let orders = [
        Order::Lavender { shuffle: None },
        shuffled(1, 10),
        Order::Windowed { seed: 1, epoch: 0, window_shards: 10 },
        Order::Global { seed: 1, epoch: 0 },
    ];
    for (id, order) in (0..).zip(orders) {
        let definition = definition(order, None);
        let now_ms = 20_000 * id;
        let iteration = logged.create(Create { rows: rows.clone(), definition, now_ms, ..create(id, 0, 0) });
        consume(&mut logged, iteration, 600_000, 1_000, true);
    }
    // 600 samples lost in each of four iterations, and the rows once.
    let bytes = logged.checkpoint().len();
    assert!(bytes < 4 * 8_000 + 2_500, "{bytes} bytes");
    logged.restart();
}

/// Resident memory of this process in MiB, where the system tells.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

#[test]
fn hundred_million_by_shuffled_shard_files() {
    eight_iterations(shuffled(1, 4), true, 4);
}

#[test]
fn hundred_million_shuffled_globally() {
    eight_iterations(Order::Global { seed: 1, epoch: 0 }, true, 4);
}

/// The worst that can be: half of it granted in random order, and not a word from the client.
#[test]
fn hundred_million_without_completions() {
    eight_iterations(Order::Global { seed: 1, epoch: 0 }, false, 2);
}

/// Of each iteration a share is granted in batches of 256; prints what that takes.
fn eight_iterations(order: Order, completes: bool, share: u64) {
    if !is_slow() {
        return;
    }
    let before = resident_mib();
    let mut logged = Logged::new();
    let rows = ShardRows::new(vec![10_000; 10_000]);
    let mut sum = [Duration::ZERO; 3];
    let (mut log_bytes, mut samples) = (0, 0);
    for id in 0..8 {
        let definition = definition(order, None);
        let now_ms = 20_000 * id;
        let iteration = logged.create(Create { rows: rows.clone(), definition, now_ms, ..create(id, 0, 0) });
        let times = consume(&mut logged, iteration, rows.total() / share, 256, completes);
        (log_bytes, samples) = (log_bytes + times.log_bytes, samples + times.samples);
        sum.iter_mut().zip([times.walk, times.grant, times.complete]).for_each(|(sum, time)| *sum += time);
    }
    let after = resident_mib();
    let [walk, grant, complete] = sum.map(|time| time.as_nanos() as f64 / samples as f64);
    let per_batch = log_bytes as f64 / (samples as f64 / 256.0);
    println!("{order:?}: {:.1} MiB for 8 iterations, {per_batch:.0} bytes of log a batch", after - before);
    println!("  ns a sample: walk {walk:.0}, grant {grant:.0}, complete {complete:.0}");
    let begin = Instant::now();
    let bytes = logged.checkpoint().len();
    println!("  checkpoint of {bytes} bytes in {:?}", begin.elapsed());
    let iteration = logged.reader().list(None)[0].id;
    let begin = Instant::now();
    let in_progress = logged.reader().progress(iteration).unwrap().in_progress;
    println!("  progress with {in_progress} in progress in {:?}", begin.elapsed());
    let begin = Instant::now();
    logged.run(Request::Pushback { iteration }).unwrap();
    println!("  pushback in {:?}", begin.elapsed());
    let begin = Instant::now();
    assert!(matches!(logged.step(&mut logged.walk(iteration, 0)), Step::Sample(_)));
    println!("  first step of a walk in {:?}", begin.elapsed());
}
