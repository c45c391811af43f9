//! Requests about iterations and their batches.

use crate::client::Client;
use crate::error::ClientError;
use crate::transport::{Answer, Call};
use lavandin_wire::lavender::{
    CacheKey, CreateIteration, CursorReply, Iteration, IterationFull, Progress, header,
};
use reqwest::Method;

/// How to fetch a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextOptions {
    pub rank: i64,
    /// Whether it is made anew.
    pub no_cache: bool,
    /// How often user code that fails is called again.
    pub max_retry_count: i64,
    /// Of iterations of mode static: which step's batch, again if the rank got it before. Asking for a step says that all
    /// before it have arrived, so that a call that failed can be sent again, to any node.
    pub step: Option<u64>,
}

/// A batch in the binary layout that `lavandin_wire::lavender::sample` decodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many batches its rank got before it.
    pub current: Option<u64>,
    /// Of mode static: its step, and the cursor after it.
    pub step: Option<u64>,
    pub cursor: Option<String>,
    pub bytes: Vec<u8>,
}

/// A batch that was asked for in advance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// Not there yet; ask again.
    Pending,
    Ready(Batch),
}

impl Client {
    /// The newest first; of one dataset if it is given.
    pub async fn iterations(&self, dataset: Option<&str>) -> Result<Vec<Iteration>, ClientError> {
        self.json(Call::get(&["iterations", ""]).with_query("dataset_id", dataset.map(str::to_owned))).await
    }

    pub async fn iteration(&self, id: &str) -> Result<IterationFull, ClientError> {
        self.json(Call::get(&["iterations", id])).await
    }

    /// Begins an iteration, or joins one of the same configuration.
    pub async fn create_iteration(&self, new: &CreateIteration) -> Result<Iteration, ClientError> {
        self.json(Call::post(&["iterations", ""]).with_body(new)).await
    }

    pub async fn progress(&self, id: &str) -> Result<Progress, ClientError> {
        self.json(Call::get(&["iterations", id, "progress"])).await
    }

    /// Where an epoch of mode static goes on after some steps of an iteration.
    pub async fn cursor(&self, id: &str, steps: u64) -> Result<CursorReply, ClientError> {
        self.json(Call::get(&["iterations", id, "cursor"]).with_query("steps", Some(steps.to_string()))).await
    }

    /// The next batch. Fails with [`ClientError::End`] behind the last one.
    pub async fn next_batch(&self, id: &str, options: NextOptions) -> Result<Batch, ClientError> {
        let path = ["iterations", id, "next"];
        let call = with_options(Call::get(&path), options);
        self.send(call.with_timeout(self.batch_timeout)).await.map(batch)
    }

    /// Asks for the next batch, which [`Client::submitted`] fetches.
    pub async fn submit_next(&self, id: &str, options: NextOptions) -> Result<CacheKey, ClientError> {
        self.json(with_options(Call::new(Method::POST, &["iterations", id, "next"]), options)).await
    }

    pub async fn submitted(&self, id: &str, cache_key: &str) -> Result<Submitted, ClientError> {
        let path = ["iterations", id, "next", cache_key];
        let answer = self.send(Call::get(&path).with_timeout(self.batch_timeout)).await?;
        Ok(if answer.status == 202 { Submitted::Pending } else { Submitted::Ready(batch(answer)) })
    }

    /// Tells that a sample has been used.
    pub async fn complete_index(&self, id: &str, index: u64) -> Result<(), ClientError> {
        self.json(Call::post(&["iterations", id, "complete", &index.to_string()])).await
    }

    /// Gives back all samples that were fetched and not completed.
    pub async fn pushback(&self, id: &str) -> Result<(), ClientError> {
        self.json(Call::post(&["iterations", id, "pushback"])).await
    }
}

fn batch(answer: Answer) -> Batch {
    let (current, step) = (answer.number(header::CURRENT), answer.number(header::STEP));
    let cursor = answer.text(header::CURSOR).map(str::to_owned);
    Batch { current, step, cursor, bytes: answer.body }
}

fn with_options(call: Call<'_>, options: NextOptions) -> Call<'_> {
    call.with_query("rank", Some(options.rank.to_string()))
        .with_query("no_cache", Some(options.no_cache.to_string()))
        .with_query("max_retry_count", Some(options.max_retry_count.to_string()))
        .with_query("step", options.step.map(|step| step.to_string()))
}
