//! Samples and batches through user code, tried again as often as the caller asks.

use crate::datasets::batch_cache::{BatchKey, Lookup};
use crate::datasets::iterations::Function;
use crate::datasets::plan_cache::IterationPlan;
use crate::datasets::runtime::DatasetRuntime;
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use lavandin_feed::python::{
    BatchReply, BatchRequest, Call, Generation, Outcome, Patience, PythonError, ReplyForm, SelectRequest,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What user code says of a sample.
pub(crate) enum Verdict {
    Passed(Option<Arc<str>>),
    Filtered,
    Failed(String),
}

/// A function as the workers are told of it.
pub(crate) fn call(function: &Function) -> Call {
    Call { name: function.name.clone(), params: function.params.clone() }
}

impl IterationPlan {
    /// Filters and categorizes rows. Blocks.
    pub(crate) fn judge(&self, runtime: &DatasetRuntime, rows: &RecordBatch, retries: u32) -> Vec<Verdict> {
        if self.filters().is_empty() && self.categorizer().is_none() || rows.num_rows() == 0 {
            return (0..rows.num_rows()).map(|_| Verdict::Passed(None)).collect();
        }
        let mut verdicts: Vec<_> = self.judge_once(runtime, rows).into_iter().map(verdict).collect();
        for _ in 0..retries {
            let failed: Vec<u32> = (0..verdicts.len() as u32)
                .filter(|row| matches!(verdicts[*row as usize], Verdict::Failed(_)))
                .collect();
            if failed.is_empty() {
                break;
            }
            let Ok(again) = take_record_batch(rows, &UInt32Array::from(failed.clone())) else { break };
            for (row, outcome) in failed.into_iter().zip(self.judge_once(runtime, &again)) {
                verdicts[row as usize] = verdict(outcome);
            }
        }
        verdicts
    }

    fn judge_once(&self, runtime: &DatasetRuntime, rows: &RecordBatch) -> Vec<Outcome> {
        let request =
            SelectRequest { samples: rows, filters: self.filters(), categorizer: self.categorizer() };
        match runtime.python.select(request, &Patience::default()) {
            Ok(selected) => selected.outcomes,
            Err(error) => {
                let error = Arc::new(error);
                (0..rows.num_rows()).map(|_| Outcome::Failed(Arc::clone(&error))).collect()
            }
        }
    }

    /// Collates and preprocesses a batch; `None` if no user code is asked for. Blocks.
    pub(crate) fn process(
        &self,
        runtime: &DatasetRuntime,
        (rows, indices): (&RecordBatch, &[u64]),
        attempt: Attempt,
    ) -> Result<Option<BatchReply>, String> {
        if !self.processes() {
            return Ok(None);
        }
        if attempt.no_cache {
            return self.run(runtime, rows, attempt).map(Some);
        }
        let generation = runtime.python.registry().generation();
        let key = self.batch_key(generation, indices, attempt.arrow);
        match runtime.batches.look_up(key) {
            Lookup::Found(reply) => Ok(Some(reply)),
            Lookup::Missing(making) => {
                let reply = self.run(runtime, rows, attempt)?;
                // A reload in between: the result is that of newer code.
                if reply.generation == generation {
                    making.keep(&reply);
                }
                Ok(Some(reply))
            }
        }
    }

    fn run(
        &self,
        runtime: &DatasetRuntime,
        rows: &RecordBatch,
        attempt: Attempt,
    ) -> Result<BatchReply, String> {
        let form = match attempt.arrow {
            true => ReplyForm::Arrow,
            false => ReplyForm::Items { single: self.is_single(), json_lists: true },
        };
        let mut failures = 0;
        loop {
            let (collater, preprocessors) = (self.collater(), self.preprocessors());
            let request = BatchRequest { samples: rows, collater, preprocessors, form };
            match runtime.python.batch(request, &Patience::default()) {
                Ok(reply) => return Ok(reply),
                Err(error) if failures < attempt.retries && error.is_worth_another_try() => failures += 1,
                Err(error) => return Err(told(&error)),
            }
        }
    }

    fn batch_key(&self, generation: Generation, indices: &[u64], arrow: bool) -> BatchKey {
        let mut hash = Sha256::new();
        hash.update(self.work_hash());
        hash.update(generation.to_bytes());
        hash.update([u8::from(arrow), u8::from(self.is_single())]);
        indices.iter().for_each(|index| hash.update(index.to_le_bytes()));
        hash.finalize().into()
    }
}

/// How a batch is to be put through user code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// The columns are wanted, not their bytes.
    pub(crate) arrow: bool,
    pub(crate) retries: u32,
    pub(crate) no_cache: bool,
}

fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Passed(category) => Verdict::Passed(category),
        Outcome::Filtered => Verdict::Filtered,
        Outcome::Failed(error) => Verdict::Failed(told(&error)),
    }
}

/// The message, and the traceback below it.
fn told(error: &PythonError) -> String {
    let message = error.to_string();
    match error.details() {
        "" => message,
        details if message.contains(details) => message,
        details => format!("{message}\n{details}"),
    }
}
