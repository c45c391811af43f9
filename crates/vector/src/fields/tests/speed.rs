//! Figures, not checks: `cargo test -p lavandin-vector --release fields::tests::speed -- --ignored --nocapture`.

use super::{growing, sealed, select};
use lavandin_filter::conformance::Row;
use lavandin_types::{ArrayRef, FieldsBuilder, ValueRef, write_value};
use std::time::{Duration, Instant};

const ROWS: u64 = 100_000;

#[test]
#[ignore = "prints figures"]
fn filters_per_row() {
    let rows: Vec<Row> = (0..ROWS).map(row).collect();
    let growing = growing(&rows);
    let view = growing.view(growing.rows());
    let started = Instant::now();
    let sealed = sealed(&rows);
    println!("written and opened in {:?}", started.elapsed());
    println!("{:<44} {:>8} {:>14} {:>14}", "filter", "matches", "growing ns/row", "sealed ns/row");
    for text in [
        "n < 50",
        "n < 50000",
        "n = 7",
        "n <> 7",
        "f < 0.5",
        "mixed < 500",
        "lang = 'l3'",
        "lang IN ('l1', 'l2')",
        "lang LIKE 'l%5'",
        "key = 'k77'",
        "key < 'k5'",
        "key LIKE '%77%'",
        "rare = 1",
        "rare IS NULL",
        "tags CONTAINS 't3'",
        "n < 50000 AND lang = 'l3'",
        "n < 50 AND tags CONTAINS 't3'",
        "length(key) = 4",
    ] {
        let matches = select(&sealed, text).count();
        let filter = lavandin_filter::bind(&lavandin_filter::parse(text).unwrap(), &sealed).unwrap();
        let growing_ns = per_row(|| filter.select(&view).count());
        let sealed_ns = per_row(|| filter.select(&sealed).count());
        println!("{text:<44} {matches:>8} {growing_ns:>14.3} {sealed_ns:>14.3}");
    }
}

fn row(row: u64) -> Row {
    let scattered = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let mut tags = 3u32.to_le_bytes().to_vec();
    for step in 0..3 {
        write_value(&mut tags, ValueRef::Str(&format!("t{}", (scattered >> (8 * step)) % 100)));
    }
    let mixed = if row.is_multiple_of(3) { ValueRef::F64(row as f64) } else { ValueRef::U64(row) };
    let mut fields = FieldsBuilder::new()
        .with("n", ValueRef::U64(scattered % ROWS))
        .with("f", ValueRef::F64(scattered as f64 % 1000.0 / 1000.0))
        .with("mixed", mixed)
        .with("lang", ValueRef::Str(&format!("l{}", scattered % 20)))
        .with("key", ValueRef::Str(&format!("k{}", scattered % ROWS)))
        .with("tags", ValueRef::Array(ArrayRef::from_stored(&tags)));
    if row.is_multiple_of(1000) {
        fields = fields.with("rare", ValueRef::U64(1));
    }
    Some(fields.build())
}

/// The best of 30 runs.
fn per_row(mut run: impl FnMut() -> u32) -> f64 {
    let times = (0..30).map(|_| {
        let started = Instant::now();
        std::hint::black_box(run());
        started.elapsed()
    });
    times.min().unwrap_or(Duration::ZERO).as_secs_f64() * 1e9 / ROWS as f64
}
