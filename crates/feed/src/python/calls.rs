//! What callers ask of user code, and what they get.

use super::answers::{entries_of, outcomes_of};
use super::error::PythonError;
use super::job::{Job, object};
use super::pool::PythonPool;
use super::registry::{DEFAULT_COLLATER, Generation, Kind, Registry};
use super::samples;
use crate::rows::{MinMax, NullAs, filter_min_max};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::FieldRef;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// A function with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub name: String,
    pub params: Map<String, Value>,
}

/// Filters, all of which must pass, then the categorizer, over a block of samples.
#[derive(Clone, Copy, Debug)]
pub struct SelectRequest<'a> {
    pub samples: &'a RecordBatch,
    pub filters: &'a [Call],
    pub categorizer: Option<&'a Call>,
}

/// What became of the samples of a block.
#[derive(Clone, Debug)]
pub struct Selected {
    /// Whose code decided.
    pub generation: Generation,
    /// One for each sample.
    pub outcomes: Vec<Outcome>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Filtered,
    /// With the category, if there is a categorizer.
    Passed(Option<Arc<str>>),
    /// User code raised on it.
    Failed(Arc<PythonError>),
}

/// The collater, then the preprocessors in the order of their dependencies, over the samples of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchRequest<'a> {
    pub samples: &'a RecordBatch,
    /// `None` is the default one: each column becomes a list.
    pub collater: Option<&'a Call>,
    pub preprocessors: &'a [Call],
    pub form: ReplyForm,
}

/// How values that user code made are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyForm {
    /// Items of the binary sample layout. With `single` (a batch of one sample, batch size 0) one-element lists are sent
    /// as their element; with `json_lists` lists of plain values are one JSON text (see `lavender::ListForm`).
    Items { single: bool, json_lists: bool },
    /// Arrow columns with one row a sample; what cannot be one is an error.
    Arrow,
}

/// A batch as user code left it.
#[derive(Clone, Debug)]
pub struct BatchReply {
    /// Whose code made it.
    pub generation: Generation,
    /// The keys in order.
    pub entries: Vec<(String, Entry)>,
}

#[derive(Clone, Debug)]
pub enum Entry {
    /// The values are those of the input column of this name.
    Column(String),
    /// An item of the binary sample layout.
    Item(Bytes),
    /// An Arrow column.
    Array(FieldRef, ArrayRef),
}

/// How long a caller waits: for a free worker, a reload, the work itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience<'a> {
    pub deadline: Option<Instant>,
    /// Set by another thread when nobody wants the result any more.
    pub cancel: Option<&'a AtomicBool>,
}

impl PythonPool {
    /// Filters and categorizes samples. Only what user code decides is sent to a worker: with the built-in filter alone
    /// there is none.
    pub fn select(
        &self,
        request: SelectRequest<'_>,
        patience: &Patience<'_>,
    ) -> Result<Selected, PythonError> {
        let code = self.code(patience)?;
        let rows = request.samples.num_rows();
        let mut kept = BooleanBuffer::new_set(rows);
        let mut calls = Vec::new();
        for call in request.filters {
            code.registry.check(Kind::Filter, &call.name, &call.params)?;
            if is_built_in(&code.registry, Kind::Filter, call) {
                kept = &kept & &built_in_filter(request.samples, call)?;
            } else {
                calls.push((Kind::Filter, call));
            }
        }
        if let Some(call) = request.categorizer {
            code.registry.check(Kind::Categorizer, &call.name, &call.params)?;
            calls.push((Kind::Categorizer, call));
        }
        let mut outcomes = vec![Outcome::Filtered; rows];
        let left = kept.count_set_bits();
        if calls.is_empty() || left == 0 {
            for row in kept.set_indices() {
                outcomes[row] = Outcome::Passed(None);
            }
            return Ok(Selected { generation: code.generation(), outcomes });
        }
        let body = if left == rows {
            samples::encode(request.samples)?
        } else {
            let samples = filter_record_batch(request.samples, &BooleanArray::new(kept.clone(), None));
            samples::encode(&samples.map_err(|error| PythonError::Samples { reason: error.to_string() })?)?
        };
        let answer = self.run(select_job(&calls, body), patience)?;
        for (row, outcome) in
            kept.set_indices().zip(outcomes_of(&answer, left, request.categorizer.is_some())?)
        {
            outcomes[row] = outcome;
        }
        Ok(Selected { generation: answer.generation, outcomes })
    }

    /// Collates and preprocesses the samples of one batch. Without user code every key is answered by its column.
    pub fn batch(
        &self,
        request: BatchRequest<'_>,
        patience: &Patience<'_>,
    ) -> Result<BatchReply, PythonError> {
        let code = self.code(patience)?;
        let mut collater = request.collater;
        if let Some(call) = collater {
            code.registry.check(Kind::Collater, &call.name, &call.params)?;
        }
        // A user's collater named `default` is meant also where none is named.
        let own = Call { name: DEFAULT_COLLATER.to_owned(), params: Map::new() };
        let call = collater.unwrap_or(&own);
        collater = if is_built_in(&code.registry, Kind::Collater, call) { None } else { Some(call) };
        for call in request.preprocessors {
            code.registry.check(Kind::Preprocessor, &call.name, &call.params)?;
        }
        if collater.is_none() && request.preprocessors.is_empty() {
            let names = request.samples.schema_ref().fields().iter().map(|field| field.name());
            let entries = names.map(|name| (name.clone(), Entry::Column(name.clone()))).collect();
            return Ok(BatchReply { generation: code.generation(), entries });
        }
        let job = batch_job(collater, request, samples::encode(request.samples)?);
        let answer = self.run(job, patience)?;
        let entries = entries_of(answer.header, answer.body, request.samples, request.form)?;
        Ok(BatchReply { generation: answer.generation, entries })
    }
}

fn is_built_in(registry: &Registry, kind: Kind, call: &Call) -> bool {
    registry.find(kind, &call.name).is_some_and(|function| function.built_in)
}

/// The filter `min_max`, whose parameters were checked.
fn built_in_filter(samples: &RecordBatch, call: &Call) -> Result<BooleanBuffer, PythonError> {
    let bound = |name: &str| match call.params.get(name) {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(Value::Bool(value)) => Some(f64::from(u8::from(*value))),
        _ => None,
    };
    let bounds = MinMax { min: bound("min_value"), max: bound("max_value") };
    let name = call.params.get("column").and_then(Value::as_str).unwrap_or_default();
    let Ok(index) = samples.schema_ref().index_of(name) else {
        return Ok(BooleanBuffer::new_unset(samples.num_rows()));
    };
    let null = NullAs::of_field(samples.schema_ref().field(index));
    Ok(filter_min_max(samples.column(index), null, bounds))
}

fn select_job(calls: &[(Kind, &Call)], body: Vec<u8>) -> Job {
    let of = |kind| calls.iter().filter(move |(of, _)| *of == kind).map(|(_, call)| call_json(call));
    let filters: Vec<_> = of(Kind::Filter).collect();
    let header = object([
        ("op", json!("select")),
        ("filters", Value::Array(filters)),
        ("categorizer", of(Kind::Categorizer).next().unwrap_or(Value::Null)),
    ]);
    Job::new(header, body, calls.iter().map(|(kind, call)| (*kind, call.name.clone())).collect())
}

fn batch_job(collater: Option<&Call>, request: BatchRequest<'_>, body: Vec<u8>) -> Job {
    let (arrow, single, json_lists) = match request.form {
        ReplyForm::Items { single, json_lists } => (false, single, json_lists),
        ReplyForm::Arrow => (true, false, false),
    };
    let header = object([
        ("op", json!("batch")),
        ("collater", collater.map_or(Value::Null, call_json)),
        ("preprocessors", request.preprocessors.iter().map(call_json).collect()),
        ("arrow", json!(arrow)),
        ("single", json!(single)),
        ("json_lists", json!(json_lists)),
    ]);
    let collater = collater.map(|call| (Kind::Collater, call.name.clone()));
    let preprocessors = request.preprocessors.iter().map(|call| (Kind::Preprocessor, call.name.clone()));
    Job::new(header, body, collater.into_iter().chain(preprocessors).collect())
}

fn call_json(call: &Call) -> Value {
    json!({"name": call.name, "params": call.params})
}
