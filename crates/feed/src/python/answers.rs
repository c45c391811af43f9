//! Workers' answers as what callers get. Nothing in them is believed: a worker may have been tampered with by the code
//! it runs.

use super::calls::{Entry, Outcome, ReplyForm};
use super::error::{FunctionName, PythonError};
use super::job::Answer;
use super::registry::Kind;
use arrow::array::{Array, RecordBatch};
use arrow::ipc::reader::StreamReader;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

#[derive(Deserialize)]
struct SelectAnswer {
    categories: Vec<String>,
    errors: Vec<Raised>,
}

#[derive(Deserialize)]
struct Raised {
    function: (Kind, String),
    message: String,
    traceback: String,
}

/// What a worker answered to a `select` over `rows` samples.
pub(super) fn outcomes_of(
    answer: &Answer,
    rows: usize,
    categorized: bool,
) -> Result<Vec<Outcome>, PythonError> {
    let header = SelectAnswer::deserialize(&answer.header).map_err(|error| protocol(&error.to_string()))?;
    if answer.body.len() != rows * 5 {
        return Err(protocol("outcomes of another number of samples"));
    }
    let errors: Vec<_> = header
        .errors
        .into_iter()
        .map(|error| {
            let function = FunctionName { kind: error.function.0, name: error.function.1 };
            let (message, traceback) = (error.message, error.traceback);
            Arc::new(PythonError::Raised { function: Some(function), message, traceback })
        })
        .collect();
    let categories: Vec<Arc<str>> = header.categories.into_iter().map(Arc::from).collect();
    let (outcomes, codes) = answer.body.split_at(rows);
    let outcome = |(outcome, code): (&u8, &[u8])| {
        let code = u32::from_le_bytes(code.try_into().expect("chunks of 4 bytes")) as usize;
        match outcome {
            0 => Some(Outcome::Filtered),
            1 if categorized => Some(Outcome::Passed(Some(categories.get(code)?.clone()))),
            1 => Some(Outcome::Passed(None)),
            2 => Some(Outcome::Failed(errors.get(code)?.clone())),
            _ => None,
        }
    };
    let all: Option<Vec<_>> = outcomes.iter().zip(codes.chunks_exact(4)).map(outcome).collect();
    all.ok_or_else(|| protocol("outcomes that mean nothing"))
}

#[derive(Deserialize)]
struct BatchAnswer {
    entries: Vec<(String, EntryAnswer)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum EntryAnswer {
    Column(String),
    Length(usize),
    Array(()),
}

/// What a worker answered to a `batch`.
pub(super) fn entries_of(
    header: Value,
    body: Vec<u8>,
    samples: &RecordBatch,
    form: ReplyForm,
) -> Result<Vec<(String, Entry)>, PythonError> {
    let header: BatchAnswer = serde_json::from_value(header).map_err(|error| protocol(&error.to_string()))?;
    let body = Bytes::from(body);
    let mut items = body.clone();
    let arrays = if form == ReplyForm::Arrow && !body.is_empty() { Some(arrays_of(&body)?) } else { None };
    let mut arrays = arrays.iter().flat_map(|batch| batch.schema_ref().fields().iter().zip(batch.columns()));
    let mut entries = Vec::with_capacity(header.entries.len());
    for (key, entry) in header.entries {
        let entry = match entry {
            EntryAnswer::Column(name) if samples.column_by_name(&name).is_some() => Entry::Column(name),
            EntryAnswer::Length(length) if form != ReplyForm::Arrow && length <= items.len() => {
                Entry::Item(items.split_to(length))
            }
            EntryAnswer::Array(()) => {
                let (field, array) = arrays.next().ok_or_else(|| protocol("fewer arrays than keys"))?;
                if array.len() != samples.num_rows() {
                    return Err(protocol("an array of another length"));
                }
                Entry::Array(field.clone(), array.clone())
            }
            _ => return Err(protocol("an entry that means nothing")),
        };
        entries.push((key, entry));
    }
    Ok(entries)
}

fn arrays_of(body: &[u8]) -> Result<RecordBatch, PythonError> {
    let mut batches = StreamReader::try_new(body, None).map_err(|error| protocol(&error.to_string()))?;
    let batch = batches.next().ok_or_else(|| protocol("an empty stream of arrays"))?;
    batch.map_err(|error| protocol(&error.to_string()))
}

/// The process is not ended for it: the frame was whole, only its contents are odd.
fn protocol(what: &str) -> PythonError {
    PythonError::Protocol { what: what.to_owned() }
}
