//! CPU time of gathering and encoding batches, without files, network or Python.
//!
//! `cargo run --release -p lavandin-feed --example encode_bench [seconds for each line]`
//!
//! Columns: `small` int64, three doubles and 200 bytes of text; `six` those of an image catalogue (id, image_url, caption,
//! width, height, score); `blobs` an int64 and 100 KB of bytes. Rows are drawn from 50 chunks in blocks of four, as a
//! shuffled iteration draws them.

use arrow::array::{ArrayRef, BinaryViewArray, Float64Array, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use lavandin_feed::ipc::{BlobForm, StreamFormat};
use lavandin_feed::lavender::{Layout, ListForm, Tail, encode_batch};
use lavandin_feed::rows::{Chunks, JoinPlan, PartRows, Place};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CHUNKS: u32 = 50;

/// A small generator of repeatable numbers (SplitMix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn text(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(b" abcdefghijklmnopqrstuvwxyz"[self.below(27) as usize])).collect()
    }

    fn float(&mut self) -> f64 {
        self.below(1 << 53) as f64 / (1_u64 << 53) as f64
    }
}

fn floats(draw: &mut Draw, rows: u32) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values((0..rows).map(|_| draw.float())))
}

fn ints(rows: u32, value: impl FnMut(u32) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values((0..rows).map(value)))
}

fn texts(draw: &mut Draw, rows: u32, length: usize) -> ArrayRef {
    Arc::new(StringViewArray::from_iter_values((0..rows).map(|_| draw.text(length))))
}

fn chunk(kind: &str, draw: &mut Draw, rows: u32) -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = match kind {
        "small" => vec![
            ("id", ints(rows, i64::from)),
            ("x", floats(draw, rows)),
            ("y", floats(draw, rows)),
            ("z", floats(draw, rows)),
            ("text", texts(draw, rows, 200)),
        ],
        "six" => vec![
            ("id", ints(rows, i64::from)),
            ("image_url", texts(draw, rows, 40)),
            ("caption", texts(draw, rows, 60)),
            ("width", ints(rows, |_| 512)),
            ("height", ints(rows, |_| 768)),
            ("score", floats(draw, rows)),
        ],
        _ => {
            let blobs = (0..rows).map(|row| vec![row as u8; 100_000]);
            vec![("id", ints(rows, i64::from)), ("blob", Arc::new(BinaryViewArray::from_iter_values(blobs)))]
        }
    };
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("columns of equal length")
}

/// Repeats `work` for the given time; nanoseconds of each round.
fn measure(limit: Duration, mut work: impl FnMut(usize)) -> f64 {
    (0..20).for_each(&mut work);
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < limit {
        (0..20).for_each(|round| work(rounds + round));
        rounds += 20;
    }
    start.elapsed().as_nanos() as f64 / rounds as f64
}

struct Bench {
    limit: Duration,
    chunks: Vec<Arc<RecordBatch>>,
    plan: JoinPlan,
    /// Places of many batches.
    places: Vec<Vec<Option<Place>>>,
    batch: usize,
}

impl Bench {
    fn new(kind: &str, rows: u32, batch: usize, limit: Duration) -> Self {
        let mut draw = Draw(1);
        let chunks: Vec<_> = (0..CHUNKS).map(|_| Arc::new(chunk(kind, &mut draw, rows))).collect();
        let plan = JoinPlan::new("id", &chunks[0].schema(), &[]);
        let mut place = |block: u64| Place {
            file: ((block * 4 + draw.below(4)) % u64::from(CHUNKS)) as u32,
            chunk: 0,
            row: draw.below(u64::from(rows)) as u32,
        };
        let places = (0..200).map(|round| (0..batch).map(|_| Some(place(round / 10))).collect()).collect();
        Self { limit, chunks, plan, places, batch }
    }

    fn gather(&self, round: usize) -> RecordBatch {
        let places = &self.places[round % self.places.len()];
        let read = |file: u32, _| Ok::<_, ()>(Arc::clone(&self.chunks[file as usize]));
        let chunks = Chunks::read(places.iter().flatten().copied(), read);
        self.plan.gather(&[PartRows { places, chunks: &chunks }]).expect("places that exist")
    }

    fn run(&self, kind: &str) {
        let indices: Vec<u64> = (0..self.batch as u64).collect();
        let tail = Tail { indices: &indices, current: 5 };
        let gathered = measure(self.limit, |round| drop(self.gather(round)));
        self.report(kind, "gather", gathered, &[]);
        let batches: Vec<_> = (0..self.places.len()).map(|round| self.gather(round)).collect();
        let batch = |round: usize| &batches[round % batches.len()];
        for lists in [ListForm::Items, ListForm::Json] {
            let layout = Layout { single: self.batch == 1, lists };
            let encode = |round| encode_batch(batch(round), tail, layout).expect("an encodable batch");
            let took = measure(self.limit, |round| drop(encode(round)));
            self.report(kind, &format!("lavender {lists:?}"), took, &encode(0));
        }
        let schema: &SchemaRef = self.plan.schema();
        for form in [BlobForm::Offsets, BlobForm::Views] {
            let format = StreamFormat::new(schema, form).expect("types that can be sent");
            let encode = |round| format.batch(batch(round), tail).expect("an encodable batch");
            let took = measure(self.limit, |round| drop(encode(round)));
            self.report(kind, &format!("arrow {form:?}"), took, &encode(0));
        }
    }

    fn report(&self, kind: &str, what: &str, nanos: f64, segments: &[Bytes]) {
        let bytes: usize = segments.iter().map(Bytes::len).sum();
        println!(
            "{kind:6} batch {:4}  {what:15} {:9.1} us/batch {:8.0} ns/row {:10.0} rows/s {:9} bytes {:5} segments",
            self.batch,
            nanos / 1e3,
            nanos / self.batch as f64,
            self.batch as f64 * 1e9 / nanos,
            bytes,
            segments.len()
        );
    }
}

fn main() {
    let seconds: f64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0.5);
    let limit = Duration::from_secs_f64(seconds);
    Bench::new("small", 4000, 256, limit).run("small");
    for batch in [1, 32, 256] {
        Bench::new("six", 1000, batch, limit).run("six");
    }
    for batch in [1, 32] {
        Bench::new("blobs", 20, batch, limit).run("blobs");
    }
}
