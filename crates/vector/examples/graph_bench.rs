//! Measures the graph: building, searching at several beams, searching with filters.
//!
//! ```text
//! cargo run --release -p lavandin-vector --example graph_bench -- VECTORS.npy [option...] [command...]
//! ```
//!
//! The file holds float16 or float32 rows (`numpy.save`); the first ones are the queries, the rest is searched.
//!
//! | Option | Default | |
//! |---|---|---|
//! | `queries=N` | 1000 | rows that are queries |
//! | `metric=ip\|l2\|cosine` | ip | |
//! | `k=N` | 10 | |
//! | `degree=N` `ef_construction=N` `alpha=X` | the engine's | how the graph is built |
//! | `level=NAME` | the best | instruction set, such as `avx2` |
//! | `repeats=N` | 5 | passes over the queries; the fastest counts |
//! | `labels=FILE.npy` | | a byte a row, for `label` |
//!
//! | Command | |
//! |---|---|
//! | `build=THREADS` | builds (done first with one thread if it is not asked for) |
//! | `search=BEAM` | all queries at one beam |
//! | `default=EF` | all queries at the beam that the engine chooses for `ef` |
//! | `filter=PER_MILLE` | a random share of the rows is allowed: scan, plan, forced walk |
//! | `label=VALUE` | the rows with a label are allowed |
//! | `-` | goes on with commands from standard input, one a line |
//!
//! Each command prints one line of tab-separated `name=value` pairs. Times are processor time: of the thread for
//! searches, of the process for builds.

use std::io::BufRead;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use half::f16;
use half::slice::HalfFloatSliceExt;
use lavandin_types::{Metric, Selection};
use lavandin_vector::block::{Block, Codes, Elements};
use lavandin_vector::codes::{CodeMeta, encode_row, stride_for};
use lavandin_vector::graph::{
    Costs, Graph, GraphBuilder, Parameters, Path, Scratch, Target, Wanted, beam_for, planned_search,
};
use lavandin_vector::kernels::{Kernels, Level};
use lavandin_vector::scan::{self, scan};
use lavandin_vector::top_k::Neighbor;

/// One cache line of codes: rows of codes start at one, as they do in files.
#[repr(C, align(64))]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Line([u8; 64]);

struct Bench {
    dim: usize,
    queries: Vec<f32>,
    rows: Vec<f32>,
    codes: Vec<Line>,
    meta: Vec<CodeMeta>,
    labels: Vec<u8>,
    metric: Metric,
    k: usize,
    parameters: Parameters,
    kernels: &'static Kernels,
    repeats: usize,
    graph: Option<Graph>,
    truth: Vec<Vec<Neighbor>>,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().expect("a file of vectors");
    let (options, commands): (Vec<String>, Vec<String>) =
        arguments.partition(|argument| OPTIONS.iter().any(|name| argument.starts_with(name)));
    let mut bench = Bench::new(&file, &options);
    for command in commands {
        if command == "-" {
            for line in std::io::stdin().lock().lines() {
                bench.run(line.expect("text on standard input").trim());
            }
        } else {
            bench.run(&command);
        }
    }
}

const OPTIONS: [&str; 9] =
    ["queries=", "metric=", "k=", "degree=", "ef_construction=", "alpha=", "level=", "repeats=", "labels="];

/// The value of an option.
fn option<'a>(options: &'a [String], name: &str) -> Option<&'a str> {
    options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number that fits"))
}

impl Bench {
    fn new(file: &str, options: &[String]) -> Self {
        let (dim, mut queries) = read_npy(file);
        let count: usize = option(options, "queries").map_or(1000, number);
        let rows = queries.split_off(count * dim);
        let stride = stride_for(dim);
        let mut codes = vec![Line([0; 64]); rows.len() / dim * stride / 64];
        let code_rows = bytemuck::cast_slice_mut::<Line, u8>(&mut codes).chunks_mut(stride);
        let meta = rows.chunks(dim).zip(code_rows).map(|(row, codes)| encode_row(row, codes)).collect();
        let default = Parameters::default();
        let level = option(options, "level").map(|name| Level::parse(name).expect("the name of a level"));
        let metric = option(options, "metric").unwrap_or("ip");
        let metric = Metric::ALL.into_iter().find(|known| known.name() == metric);
        let mut labels = option(options, "labels").map_or_else(Vec::new, read_npy_bytes);
        labels.drain(..count.min(labels.len()));
        Self {
            dim,
            queries,
            rows,
            codes,
            meta,
            labels,
            metric: metric.expect("the name of a metric"),
            k: option(options, "k").map_or(10, number),
            parameters: Parameters {
                degree: option(options, "degree").map_or(default.degree, number),
                beam: option(options, "ef_construction").map_or(default.beam, number),
                alpha: option(options, "alpha").map_or(default.alpha, number),
            },
            kernels: level.map_or(Kernels::get(), |level| {
                Kernels::for_level(level).expect("a level of this processor")
            }),
            repeats: option(options, "repeats").map_or(5, number),
            graph: None,
            truth: Vec::new(),
        }
    }

    fn block(&self) -> Block<'_> {
        let bytes = bytemuck::cast_slice(&self.codes);
        let codes = Codes { bytes, stride: stride_for(self.dim), meta: &self.meta };
        Block::new(0, self.meta.len() as u32, self.dim, Elements::F32(&self.rows), codes)
            .expect("the columns were made together")
    }

    fn run(&mut self, command: &str) {
        let (name, value) = command.split_once('=').unwrap_or((command, ""));
        if name == "build" {
            return self.build(number(value));
        }
        if self.graph.is_none() {
            self.build(1);
        }
        if self.truth.is_empty() {
            let block = self.block();
            self.truth = self.scan(&block, None).0;
        }
        match name {
            "search" => self.search(number(value)),
            "default" => self.search(beam_for(number(value), self.k, self.meta.len() as u32)),
            "filter" => {
                let limit = (1 << 20) / 1000 * number::<u32>(value);
                self.filter(command, |row| row.wrapping_mul(2_654_435_761) >> 12 < limit);
            }
            "label" => {
                let label: u8 = number(value);
                self.filter(command, |row| self.labels[row as usize] == label);
            }
            "" => {}
            _ => panic!("{command:?} is no command"),
        }
    }

    fn build(&mut self, threads: usize) {
        let (wall, cpu) = (Instant::now(), time_of(PROCESS));
        let builder = GraphBuilder::new(self.block(), self.metric, self.parameters);
        let builder = builder.expect("parameters within their limits").with_kernels(self.kernels);
        let graph = builder.build(threads, &AtomicBool::new(false), &AtomicU64::new(0));
        let graph = graph.expect("a build that nobody cancels");
        let (wall, cpu) = (wall.elapsed().as_secs_f64(), (time_of(PROCESS) - cpu).as_secs_f64());
        let links: usize = (0..graph.view().rows()).map(|row| graph.view().neighbours_of(row).count()).sum();
        let degree = links as f64 / f64::from(graph.view().rows());
        let megabytes = graph.as_bytes().len() as f64 / 1e6;
        println!(
            "build\tthreads={threads}\twall_s={wall:.3}\tcpu_s={cpu:.3}\tdegree={degree:.2}\tmb={megabytes:.1}"
        );
        self.graph = Some(graph);
    }

    /// The exact result of every query, and the processor time of the fastest pass.
    fn scan(&self, block: &Block<'_>, selection: Option<&Selection>) -> (Vec<Vec<Neighbor>>, Duration) {
        let blocks = std::slice::from_ref(block);
        let target = scan::Target { metric: self.metric, kernels: self.kernels, blocks, selection };
        self.fastest(|query, out| *out = scan(&target, query, scan::Wanted::top(self.k)).neighbors)
    }

    /// Runs all queries `repeats` times.
    fn fastest(&self, mut each: impl FnMut(&[f32], &mut Vec<Neighbor>)) -> (Vec<Vec<Neighbor>>, Duration) {
        let mut found = vec![Vec::new(); self.queries.len() / self.dim];
        let times = (0..self.repeats).map(|_| {
            let start = time_of(THREAD);
            for (query, out) in self.queries.chunks_exact(self.dim).zip(&mut found) {
                each(query, out);
            }
            time_of(THREAD) - start
        });
        let fastest = times.min().expect("at least one repeat");
        (found, fastest)
    }

    fn search(&self, beam: usize) {
        let (block, graph) = (self.block(), self.graph.as_ref().expect("a built graph").view());
        let target = Target { kernels: self.kernels, block: &block, allowed: None };
        let wanted = Wanted { k: self.k, beam };
        let mut scratch = Scratch::new();
        let (mut estimated, mut compared) = (0, 0);
        let (found, time) = self.fastest(|query, out| {
            let stats = graph.search(&target, query, wanted, &mut scratch, out).expect("matching lengths");
            estimated += stats.estimated;
            compared += stats.compared;
        });
        let searches = (found.len() * self.repeats) as u64;
        println!(
            "search\tbeam={beam}\trecall={:.4}\tqps={:.0}\testimated={}\tcompared={}",
            recall(&found, &self.truth),
            found.len() as f64 / time.as_secs_f64(),
            estimated / searches,
            compared / searches,
        );
    }

    /// A filtered search three ways: the scan of the matches, what the plan says, and the walk.
    fn filter(&self, name: &str, allows: impl Fn(u32) -> bool) {
        let (block, graph) = (self.block(), self.graph.as_ref().expect("a built graph").view());
        let mut selection = Selection::none(block.rows);
        (0..block.rows).filter(|row| allows(*row)).for_each(|row| selection.insert(row));
        let matches = selection.count();
        let (truth, scanned) = self.scan(&block, Some(&selection));
        let target = Target { kernels: self.kernels, block: &block, allowed: Some(&selection) };
        let wanted = Wanted { k: self.k, beam: FILTERED_BEAM };
        let mut scratch = Scratch::new();
        let mut path = Path::Scan;
        let (planned, time) = self.fastest(|query, out| {
            let arguments = (query, wanted, &Costs::default());
            let search = planned_search(&graph, &target, matches, arguments, (&mut scratch, out));
            path = search.expect("matching lengths").path;
        });
        let mut estimated = 0;
        let (walked, walk_time) = self.fastest(|query, out| {
            let stats = graph.search(&target, query, wanted, &mut scratch, out).expect("matching lengths");
            estimated += stats.estimated;
        });
        let rate = |time: Duration| walked.len() as f64 / time.as_secs_f64();
        println!(
            "{name}\tmatches={matches}\tscan_qps={:.0}\tplan={path:?}\tplan_recall={:.4}\tplan_qps={:.0}\t\
             walk_recall={:.4}\twalk_qps={:.0}\twalk_estimated={}",
            rate(scanned),
            recall(&planned, &truth),
            rate(time),
            recall(&walked, &truth),
            rate(walk_time),
            estimated / (walked.len() * self.repeats) as u64,
        );
    }
}

/// The beam at which an unfiltered search reaches a recall of about 0.99 on text embeddings.
const FILTERED_BEAM: usize = 56;

/// The mean share of the true rows that was found. Rows as far as the last true one count as true.
fn recall(found: &[Vec<Neighbor>], truth: &[Vec<Neighbor>]) -> f64 {
    let shares = found.iter().zip(truth).filter(|(_, truth)| !truth.is_empty()).map(|(found, truth)| {
        let last = truth.last().map_or(f32::INFINITY, |last| last.distance);
        let hits = found.iter().filter(|neighbor| neighbor.distance <= last).count();
        (hits.min(truth.len()) as f64, truth.len() as f64)
    });
    let (hits, wanted) = shares.fold((0.0, 0.0), |sum, share| (sum.0 + share.0, sum.1 + share.1));
    hits / wanted
}

const PROCESS: i32 = 2;
const THREAD: i32 = 3;

/// The processor time of the process or this thread, so that what else runs on the machine counts less.
#[cfg(target_os = "linux")]
fn time_of(clock: i32) -> Duration {
    #[repr(C)]
    struct Time {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Time) -> i32;
    }
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    // SAFETY: the C library's function with the layout it has on 64-bit Linux, and a place to write to.
    let result = unsafe { clock_gettime(clock, &raw mut time) };
    assert_eq!(result, 0, "the clock exists");
    Duration::new(time.seconds as u64, time.nanoseconds as u32)
}

#[cfg(not(target_os = "linux"))]
fn time_of(_clock: i32) -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// The header and body of a `numpy.save` file.
fn split_npy(bytes: &[u8]) -> (String, &[u8]) {
    let header_len = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (header, body) = bytes[10..].split_at(header_len);
    (String::from_utf8_lossy(header).into_owned(), body)
}

/// A two-dimensional array of `<f2` or `<f4`, and its second dimension.
fn read_npy(path: &str) -> (usize, Vec<f32>) {
    let bytes = std::fs::read(path).expect("a readable file");
    let (header, body) = split_npy(&bytes);
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

fn read_npy_bytes(path: &str) -> Vec<u8> {
    let bytes = std::fs::read(path).expect("a readable file");
    split_npy(&bytes).1.to_vec()
}
