//! Measures the exact scans on one thread.
//!
//! ```text
//! cargo run --release -p lavandin-vector --example scan_bench [-- vectors.npy [level...]]
//! ```
//!
//! The file holds float16 or float32 rows (`numpy.save`); without one only random rows are measured. Levels are names of
//! instruction sets (`avx2`, `scalar`, ...); without any the best one is taken. Times are the thread's processor time,
//! the least and the median of many runs.

use std::time::Duration;

use half::f16;
use half::slice::HalfFloatSliceExt;
use lavandin_types::{Metric, Selection};
use lavandin_vector::batch::batch;
use lavandin_vector::block::{Block, Codes, Elements};
use lavandin_vector::codes::{CodeMeta, encode_row, stride_for};
use lavandin_vector::kernels::{Kernels, Level};
use lavandin_vector::scan::{Target, Wanted, scan};

/// Rows, their codes, and some queries that are not among them.
struct Data {
    dim: usize,
    rows: Vec<f32>,
    codes: Vec<u8>,
    meta: Vec<CodeMeta>,
    queries: Vec<f32>,
}

impl Data {
    fn new(dim: usize, mut rows: Vec<f32>, queries: usize) -> Self {
        let queries = rows.split_off(rows.len() - queries * dim);
        let stride = stride_for(dim);
        let mut codes = vec![0; rows.len() / dim * stride];
        let meta = rows.chunks(dim).zip(codes.chunks_mut(stride)).map(|(row, codes)| encode_row(row, codes));
        let meta = meta.collect();
        Self { dim, rows, codes, meta, queries }
    }

    fn block(&self) -> Block<'_> {
        let codes = Codes { bytes: &self.codes, stride: stride_for(self.dim), meta: &self.meta };
        Block::new(0, self.meta.len() as u32, self.dim, Elements::F32(&self.rows), codes)
            .expect("the columns were made together")
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next();
    let levels: Vec<Level> =
        arguments.map(|name| Level::parse(&name).expect("the name of a level")).collect();
    let levels = if levels.is_empty() { vec![Kernels::get().level] } else { levels };
    let random = Data::new(128, uniform(128 * 100_100), 100);
    let vectors = file.map(|path| {
        let (dim, rows) = read_npy(&path);
        Data::new(dim, rows, 1000)
    });
    for level in levels {
        let kernels = Kernels::for_level(level).expect("a level that this processor has");
        println!("== {} ==", level.name());
        println!("uniform 100,000 x 128");
        measure(kernels, &random, &[Metric::L2, Metric::Ip, Metric::Cosine]);
        if let Some(data) = &vectors {
            println!("file {} x {}", data.meta.len(), data.dim);
            measure(kernels, data, &[Metric::Ip, Metric::L2]);
        }
    }
}

fn measure(kernels: &Kernels, data: &Data, metrics: &[Metric]) {
    let block = data.block();
    let queries: Vec<&[f32]> = data.queries.chunks(data.dim).take(100).collect();
    for metric in metrics {
        let target = Target { metric: *metric, kernels, blocks: &[block], selection: None };
        one_by_one(&format!("  scan {} k=10", metric.name()), &target, &queries, 10);
    }
    let target = Target { metric: metrics[0], kernels, blocks: &[block], selection: None };
    one_by_one(&format!("  scan {} k=100", metrics[0].name()), &target, &queries, 100);
    for per_mille in [1u32, 10, 100, 500] {
        let mut selection = Selection::none(block.rows);
        (0..block.rows)
            .filter(|row| row.wrapping_mul(2_654_435_761) >> 12 < (1 << 20) / 1000 * per_mille)
            .for_each(|row| selection.insert(row));
        let target = Target { selection: Some(&selection), ..target };
        one_by_one(&format!("  scan {} of {per_mille}/1000", metrics[0].name()), &target, &queries, 10);
    }
    for metric in metrics {
        let target = Target { metric: *metric, kernels, blocks: &[block], selection: None };
        all_at_once(&format!("  batch {} k=10", metric.name()), &target, &data.queries);
    }
    let target = Target { metric: Metric::L1, kernels, blocks: &[block], selection: None };
    one_by_one("  scan l1", &target, &queries[..10], 10);
}

fn one_by_one(name: &str, target: &Target<'_>, queries: &[&[f32]], k: usize) {
    let mut times = Vec::new();
    let mut compared = 0;
    for _ in 0..5 {
        for query in queries {
            let start = thread_time();
            let found = scan(target, query, Wanted::top(k));
            times.push(thread_time() - start);
            compared += found.stats.compared;
        }
    }
    report(name, &mut times, compared / (5 * queries.len() as u64));
}

/// Many queries in one call; the times are those of one query.
fn all_at_once(name: &str, target: &Target<'_>, queries: &[f32]) {
    let dim = target.blocks[0].dim;
    let count = (queries.len() / dim) as u32;
    let mut compared = 0;
    let mut times: Vec<_> = (0..10)
        .map(|_| {
            let start = thread_time();
            let found = batch(target, queries, dim, Wanted::top(10));
            compared += found.iter().map(|found| found.stats.compared).sum::<u64>();
            (thread_time() - start) / count
        })
        .collect();
    report(name, &mut times, compared / 10 / u64::from(count));
}

fn report(name: &str, times: &mut [Duration], compared: u64) {
    times.sort_unstable();
    let (least, median) = (times[0], times[times.len() / 2]);
    let rate = 1.0 / median.as_secs_f64();
    println!("{name:28} least {least:10.2?}  median {median:10.2?}  {rate:9.0} /s  {compared} rows compared");
}

/// The processor time of this thread, so that what else runs on the machine counts less.
#[cfg(target_os = "linux")]
fn thread_time() -> Duration {
    #[repr(C)]
    struct Time {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Time) -> i32;
    }
    const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    // SAFETY: the C library's function with the layout it has on 64-bit Linux, and a place to write to.
    let result = unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "the clock exists");
    Duration::new(time.seconds as u64, time.nanoseconds as u32)
}

#[cfg(not(target_os = "linux"))]
fn thread_time() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

/// Reproducible numbers in 0..1.
fn uniform(count: usize) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 24) as f32
        })
        .collect()
}

/// A two-dimensional array of `<f2` or `<f4`, and its second dimension.
fn read_npy(path: &str) -> (usize, Vec<f32>) {
    let bytes = std::fs::read(path).expect("a readable file");
    let header_len = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (header, body) = bytes[10..].split_at(header_len);
    let header = String::from_utf8_lossy(header);
    let shape = header.split("'shape': (").nth(1).and_then(|rest| rest.split(')').next()).expect("a shape");
    let dim = shape.split(',').nth(1).and_then(|dim| dim.trim().parse().ok()).expect("two dimensions");
    let rows = if header.contains("<f2") {
        let halves = body.chunks_exact(2).map(|pair| f16::from_le_bytes([pair[0], pair[1]]));
        halves.collect::<Vec<f16>>().to_f32_vec()
    } else {
        body.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
    };
    (dim, rows)
}
