//! Measures what the place of a sample costs in each order, on one thread.
//!
//! ```text
//! cargo run --release -p lavandin-plan --example order_bench [-- shard_files rows_each]
//! ```
//!
//! Columns: making the order ready; then nanoseconds for each sample, the least of several runs: walking all blocks
//! (a block's making included), the same with finding each sample's shard file and row, a lookup that waits for the one
//! before it, and a fixed plan's batches of 256 for eight ranks. At most a million samples of an order are walked.

use lavandin_plan::{Ending, EpochOrder, LavenderShuffle, Layout, Order, ShardRows, Steps};
use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Instant;

const SAMPLES: u64 = 1_000_000;
const RUNS: usize = 9;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u32>().expect("a number"));
    let shard_files = arguments.next().unwrap_or(1000);
    let rows_each = arguments.next().unwrap_or(1000);
    let begun = Instant::now();
    let rows = ShardRows::new(vec![rows_each; shard_files as usize]);
    println!("{rows:?}, ready in {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    println!("{:<28}{:>9}{:>9}{:>9}{:>9}{:>9}", "", "ready ms", "walk", "+locate", "waiting", "plan");
    let shuffle = Some(LavenderShuffle { seed: 1, block_shards: 10 });
    let orders = [
        ("as stored", Order::Sequential),
        ("lavender", Order::Lavender { shuffle: None }),
        ("lavender, blocks of 10", Order::Lavender { shuffle }),
        ("windows of 10", Order::Windowed { seed: 1, epoch: 0, window_shards: 10 }),
        ("windows of 100", Order::Windowed { seed: 1, epoch: 0, window_shards: 100 }),
        ("global", Order::Global { seed: 1, epoch: 0 }),
    ];
    for (name, order) in orders {
        let begun = Instant::now();
        let order = match order.prepare(&rows) {
            Ok(order) => order,
            Err(error) => {
                println!("{name:<28} {error}");
                continue;
            }
        };
        let ready = begun.elapsed().as_secs_f64() * 1e3;
        let [walk, locate, waiting] =
            [least(|| walk(&order)), least(|| locate(&order)), least(|| wait(&order))];
        let plan = least(|| plan(&order));
        println!("{name:<28}{ready:>9.2}{walk:>9.1}{locate:>9.1}{waiting:>9.1}{plan:>9.1}");
    }
}

/// Nanoseconds for each of the samples that `run` says it looked at.
fn least(run: impl Fn() -> u64) -> f64 {
    let runs = (0..RUNS).map(|_| {
        let begun = Instant::now();
        let samples = run();
        begun.elapsed().as_secs_f64() * 1e9 / samples as f64
    });
    runs.fold(f64::INFINITY, f64::min)
}

fn walk(order: &EpochOrder) -> u64 {
    let mut seen = 0;
    for number in 0..order.blocks() {
        let block = order.block(number);
        for index in block.indices(0) {
            black_box(index);
        }
        seen += block.len();
        if seen >= SAMPLES {
            break;
        }
    }
    seen
}

fn locate(order: &EpochOrder) -> u64 {
    let mut seen = 0;
    for number in 0..order.blocks() {
        let block = order.block(number);
        for index in block.indices(0) {
            black_box(order.rows().locate(index));
        }
        seen += block.len();
        if seen >= SAMPLES {
            break;
        }
    }
    seen
}

/// Each place depends on the sample before, so that nothing overlaps.
fn wait(order: &EpochOrder) -> u64 {
    let block = order.block(0);
    let mut place = 0;
    for _ in 0..SAMPLES {
        place = (block.index(place) + 1) % block.len();
    }
    black_box(place);
    SAMPLES
}

fn plan(order: &EpochOrder) -> u64 {
    let few = |number| NonZeroU32::new(number).expect("more than none");
    let layout = Layout { lanes: few(8), batch: few(256), ending: Ending::Balanced };
    let steps = Steps::new(layout, order.total(), 0);
    let (mut seen, mut held) = (0, None);
    for step in 0..steps.count().min(SAMPLES / 2048) {
        for place in (0..8).flat_map(|lane| steps.places(lane, step)) {
            let Some((number, inside)) = order.block_at(place % order.total()) else { continue };
            let (_, block) = match held.take() {
                Some((known, block)) if known == number => held.insert((number, block)),
                _ => held.insert((number, order.block(number))),
            };
            black_box(block.index(inside));
            seen += 1;
        }
    }
    seen
}
