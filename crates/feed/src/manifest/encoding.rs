//! Manifest to bytes and back; docs/formats/manifest.md is the table of it.

use super::codec::{CodecError, Reader, Writer};
use super::{Manifest, ShardFile};
use crate::format::{Chunk, ColumnSpec, Format};
use crate::statistics::{
    ColumnStatistics, DatasetStatistics, Frequencies, Histogram, Measured, Moments, Summary,
};
use lavandin_types::{ShardFileId, ShardsetId};

const MAGIC: &[u8; 8] = b"LVNDMAN1";
const VERSION: u32 = 1;

/// What a text may share with that of the file before: so a few bytes never stand for many.
const SHARED_BYTES_MAX: usize = 4096;

const NONE: u8 = 0;
const CATEGORICAL: u8 = 1;
const NUMERIC: u8 = 2;

pub(super) fn encode(manifest: &Manifest) -> Vec<u8> {
    let mut out = Writer::begin(MAGIC, VERSION);
    out.raw(&manifest.shardset.to_bytes());
    out.u64(manifest.version);
    out.usize(manifest.columns.len());
    for column in &manifest.columns {
        out.text(&column.name);
        out.text(&column.type_text);
    }
    out.usize(manifest.files.len());
    let mut before: Option<&ShardFile> = None;
    for file in &manifest.files {
        write_file(&mut out, file, before, manifest.columns.len());
        before = Some(file);
    }
    for place in 0..manifest.columns.len() {
        write_dataset(&mut out, manifest.statistics.get(place).and_then(Option::as_ref));
    }
    out.finish()
}

pub(super) fn decode(bytes: &[u8]) -> Result<Manifest, CodecError> {
    let mut reader = Reader::begin(bytes, MAGIC, VERSION)?;
    let shardset =
        ShardsetId::from_bytes(take_id(&mut reader)?).ok_or(damaged("the shardset's id is none"))?;
    let version = reader.u64()?;
    let mut columns = Vec::new();
    for _ in 0..reader.length(2)? {
        columns.push(ColumnSpec::new(reader.text()?, reader.text()?));
    }
    let mut files: Vec<ShardFile> = Vec::new();
    for _ in 0..reader.length(30)? {
        let file = read_file(&mut reader, files.last(), columns.len())?;
        files.push(file);
    }
    let mut statistics = Vec::new();
    for _ in 0..columns.len() {
        statistics.push(read_dataset(&mut reader)?);
    }
    reader.end()?;
    Ok(Manifest { shardset, version, columns, files, statistics })
}

const fn damaged(detail: &'static str) -> CodecError {
    CodecError::Damaged { detail }
}

fn take_id(reader: &mut Reader<'_>) -> Result<[u8; 20], CodecError> {
    Ok(reader.raw(20)?.try_into().expect("twenty bytes were taken"))
}

/// Texts of neighbouring files begin alike.
fn write_like(out: &mut Writer, text: &str, before: &str) {
    let both = text.bytes().zip(before.bytes()).take(SHARED_BYTES_MAX);
    let mut shared = both.take_while(|(one, other)| one == other).count();
    while !text.is_char_boundary(shared) || !before.is_char_boundary(shared) {
        shared -= 1;
    }
    out.usize(shared);
    out.text(&text[shared..]);
}

fn read_like(reader: &mut Reader<'_>, before: &str) -> Result<String, CodecError> {
    let shared = usize::try_from(reader.u64()?).ok().filter(|shared| *shared <= SHARED_BYTES_MAX);
    let shared = shared.and_then(|shared| before.get(..shared));
    let shared = shared.ok_or(damaged("a text continues none"))?;
    Ok(format!("{shared}{}", reader.text()?))
}

fn write_file(out: &mut Writer, file: &ShardFile, before: Option<&ShardFile>, columns: usize) {
    out.raw(&file.id.to_bytes());
    out.u32(file.index);
    write_like(out, &file.name, before.map_or("", |before| &before.name));
    write_like(out, &file.location, before.map_or("", |before| &before.location));
    out.u8(format_code(file.format));
    out.u64(file.bytes);
    out.u32(file.rows);
    out.u64(file.created_at_s);
    out.text(&file.fingerprint);
    write_like(out, &file.uid_index, before.map_or("", |before| &before.uid_index));
    write_like(out, &file.member_index, before.map_or("", |before| &before.member_index));
    out.usize(file.chunks.len());
    let (mut place, mut span) = (0_u64, 0);
    for chunk in file.chunks.iter() {
        out.u32(chunk.rows);
        out.i64(chunk.place.wrapping_sub(place.wrapping_add(span)).cast_signed());
        out.u64(chunk.span);
        (place, span) = (chunk.place, chunk.span);
    }
    for column in 0..columns {
        match file.statistics.get(column).and_then(Option::as_ref) {
            None => out.u8(NONE),
            Some(ColumnStatistics::Categorical(frequencies)) => write_frequencies(out, frequencies),
            Some(ColumnStatistics::Numeric(moments)) => write_moments(out, moments),
        }
    }
}

fn read_file(
    reader: &mut Reader<'_>,
    before: Option<&ShardFile>,
    columns: usize,
) -> Result<ShardFile, CodecError> {
    let id = ShardFileId::from_bytes(take_id(reader)?).ok_or(damaged("a shard file's id is none"))?;
    let index = reader.u32()?;
    if before.is_some_and(|before| before.index >= index) {
        return Err(damaged("shard files are out of order"));
    }
    let name = read_like(reader, before.map_or("", |before| &before.name))?;
    let location = read_like(reader, before.map_or("", |before| &before.location))?;
    let format = format_of(reader.u8()?)?;
    let bytes = reader.u64()?;
    let rows = reader.u32()?;
    let created_at_s = reader.u64()?;
    let fingerprint = reader.text()?.to_owned();
    let uid_index = read_like(reader, before.map_or("", |before| &before.uid_index))?;
    let member_index = read_like(reader, before.map_or("", |before| &before.member_index))?;
    let chunks = read_chunks(reader, rows)?;
    let mut statistics = Vec::with_capacity(columns);
    for _ in 0..columns {
        statistics.push(match reader.u8()? {
            NONE => None,
            CATEGORICAL => Some(ColumnStatistics::Categorical(read_frequencies(reader)?)),
            NUMERIC => Some(ColumnStatistics::Numeric(read_moments(reader)?)),
            _ => return Err(damaged("statistics of no known kind")),
        });
    }
    Ok(ShardFile {
        id,
        index,
        name,
        location,
        format,
        bytes,
        rows,
        created_at_s,
        chunks: chunks.into(),
        fingerprint,
        statistics,
        uid_index,
        member_index,
    })
}

fn read_chunks(reader: &mut Reader<'_>, rows: u32) -> Result<Vec<Chunk>, CodecError> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let (mut place, mut span, mut sum) = (0_u64, 0_u64, 0_u64);
    for _ in 0..reader.length(3)? {
        let rows = reader.u32()?;
        place = place.wrapping_add(span).wrapping_add(reader.i64()?.cast_unsigned());
        span = reader.u64()?;
        sum += u64::from(rows);
        chunks.push(Chunk { rows, place, span });
    }
    if sum != u64::from(rows) {
        return Err(damaged("a shard file's chunks do not add up to its rows"));
    }
    Ok(chunks)
}

const fn format_code(format: Format) -> u8 {
    match format {
        Format::Parquet => 0,
        Format::Csv => 1,
        Format::Jsonl => 2,
        Format::Arrow => 3,
        Format::Tar => 4,
    }
}

fn format_of(code: u8) -> Result<Format, CodecError> {
    Format::ALL
        .into_iter()
        .find(|format| format_code(*format) == code)
        .ok_or(damaged("a format of no known kind"))
}

const MEASURED: [Measured; 6] =
    [Measured::Bool, Measured::Int, Measured::Float, Measured::Text, Measured::Bytes, Measured::Items];

fn write_frequencies(out: &mut Writer, frequencies: &Frequencies) {
    out.u8(CATEGORICAL);
    let code = MEASURED.iter().position(|measured| *measured == frequencies.measured);
    out.u8(code.map_or(0, |code| code as u8));
    out.u64(frequencies.nan_count);
    out.usize(frequencies.counts.len());
    for (key, count) in &frequencies.counts {
        out.text(key);
        out.u64(*count);
    }
}

fn read_frequencies(reader: &mut Reader<'_>) -> Result<Frequencies, CodecError> {
    let measured =
        MEASURED.get(usize::from(reader.u8()?)).copied().ok_or(damaged("a measure of no known kind"))?;
    let nan_count = reader.u64()?;
    let mut counts = Vec::new();
    for _ in 0..reader.length(2)? {
        counts.push((reader.text()?.to_owned(), reader.u64()?));
    }
    Ok(Frequencies { measured, counts, nan_count })
}

fn write_moments(out: &mut Writer, moments: &Moments) {
    out.u8(NUMERIC);
    out.u64(moments.nan_count);
    out.u64(moments.count);
    for value in [moments.min, moments.max, moments.sum, moments.sum_squared, moments.median] {
        out.f64(value);
    }
    write_histogram(out, &moments.histogram);
}

fn read_moments(reader: &mut Reader<'_>) -> Result<Moments, CodecError> {
    let (nan_count, count) = (reader.u64()?, reader.u64()?);
    let (min, max, sum, sum_squared) = (reader.f64()?, reader.f64()?, reader.f64()?, reader.f64()?);
    let median = reader.f64()?;
    let histogram = read_histogram(reader)?;
    Ok(Moments { histogram, nan_count, count, min, max, sum, sum_squared, median })
}

/// Edges that divide their neighbours evenly are left out: most do.
fn write_histogram(out: &mut Writer, histogram: &Histogram) {
    out.usize(histogram.counts.len());
    histogram.counts.iter().for_each(|count| out.f64(*count));
    let runs = even_runs(&histogram.edges);
    out.usize(runs.len());
    for (edges, end) in runs {
        out.usize(edges);
        out.f64(end);
    }
}

/// Runs of edges with the last one of each: the first is an edge by itself, and those of each further run are evenly
/// placed between the end of the run before and its own end, to the bit.
fn even_runs(edges: &[f64]) -> Vec<(usize, f64)> {
    let mut runs = Vec::new();
    let mut start = 0;
    if let Some(first) = edges.first() {
        runs.push((1, *first));
        start = 1;
    }
    while start < edges.len() {
        let from = edges[start - 1];
        let is_even = |end: usize| {
            (start..=end).all(|at| {
                edges[at].to_bits() == even(from, edges[end], at - start + 1, end - start + 1).to_bits()
            })
        };
        let end = (start..edges.len()).rev().find(|end| is_even(*end)).unwrap_or(start);
        runs.push((end - start + 1, edges[end]));
        start = end + 1;
    }
    runs
}

/// The edge at `place` of `parts` between two.
fn even(from: f64, to: f64, place: usize, parts: usize) -> f64 {
    if place == parts { to } else { from + (to - from) / parts as f64 * place as f64 }
}

fn read_histogram(reader: &mut Reader<'_>) -> Result<Histogram, CodecError> {
    let mut histogram = Histogram::default();
    let ranges = reader.length(2)?;
    for _ in 0..ranges {
        histogram.counts.push(reader.f64()?);
    }
    let mut from = 0.0;
    for _ in 0..reader.length(3)? {
        let parts = usize::try_from(reader.u64()?).unwrap_or(usize::MAX);
        let to = reader.f64()?;
        if parts > ranges + 1 - histogram.edges.len().min(ranges + 1) {
            return Err(damaged("a histogram has more edges than ranges"));
        }
        histogram.edges.extend((1..=parts).map(|place| even(from, to, place, parts)));
        from = to;
    }
    let edges = if ranges == 0 { 0 } else { ranges + 1 };
    match histogram.edges.len() == edges {
        true => Ok(histogram),
        false => Err(damaged("a histogram has other edges than ranges")),
    }
}

fn write_dataset(out: &mut Writer, statistics: Option<&DatasetStatistics>) {
    match statistics {
        None => out.u8(NONE),
        Some(DatasetStatistics::Categorical(frequencies)) => write_frequencies(out, frequencies),
        Some(DatasetStatistics::Numeric(summary)) => {
            out.u8(NUMERIC);
            out.u64(summary.nan_count);
            for value in [summary.min, summary.max, summary.mean, summary.median, summary.std] {
                out.f64(value);
            }
            write_histogram(out, &summary.histogram);
        }
    }
}

fn read_dataset(reader: &mut Reader<'_>) -> Result<Option<DatasetStatistics>, CodecError> {
    match reader.u8()? {
        NONE => Ok(None),
        CATEGORICAL => {
            read_frequencies(reader).map(|frequencies| Some(DatasetStatistics::Categorical(frequencies)))
        }
        NUMERIC => {
            let nan_count = reader.u64()?;
            let (min, max, mean) = (reader.f64()?, reader.f64()?, reader.f64()?);
            let (median, std) = (reader.f64()?, reader.f64()?);
            let histogram = read_histogram(reader)?;
            Ok(Some(DatasetStatistics::Numeric(Summary {
                histogram,
                nan_count,
                min,
                max,
                mean,
                median,
                std,
            })))
        }
        _ => Err(damaged("statistics of no known kind")),
    }
}
