//! One epoch over the sample as a trainer gets it: over HTTP, shuffled, filtered, preprocessed, in batches.

use super::batch::Batch;
use super::dataset::DATASET;
use super::pipeline::{PREPROCESSOR, Pipeline};
use super::progress::Progress;
use super::sample::context;
use crate::keys;
use crate::run::Running;
use anyhow::{Context, Result, bail};
use lavandin_client::{Client, ClientError, ClientOptions, NextOptions};
use lavandin_node::DatasetInfo;
use lavandin_wire::lavender::extension::{IterationExtension, OrderName};
use lavandin_wire::lavender::{CreateIteration, NamedFunction};
use std::path::Path;
use std::time::Instant;
use tokio::task::JoinSet;

pub(super) const BATCH: usize = 8;
/// Glosses up to this many characters are filtered out.
pub(super) const LENGTH_ABOVE: u64 = 40;
const WINDOW_FILES: u32 = 4;
const SEED: i64 = 7;
/// Batches that are printed.
const SHOWN: u64 = 2;
/// How long the tour's key is good, should removing it fail.
const KEY_S: u64 = 600;

/// Iterates once and prints what comes; whether the preprocessor took part.
pub(super) async fn run(running: &Running, dataset: &DatasetInfo, pipeline: &Pipeline) -> Result<bool> {
    let (app, url) = (&running.app, format!("http://{}", running.address));
    // Where keys are on, the tour needs one too.
    let key = match app.keys.are_wanted(&app.node.catalogue()) {
        true => Some(keys::create(&app.node, &context(), None, Some(crate::auth::now_s() + KEY_S)).await?),
        false => None,
    };
    let options = ClientOptions::new(url).with_key(key.as_ref().map(|key| key.text.clone()));
    let client = Client::new(&options)?;
    let told = iterate(&client, dataset, pipeline).await;
    if let Some(key) = key {
        app.node.remove_key(&context(), &key.id).await?;
    }
    told
}

async fn iterate(client: &Client, dataset: &DatasetInfo, pipeline: &Pipeline) -> Result<bool> {
    let id = dataset.id.to_string();
    let epoch = client.iterations(Some(&id)).await?.len() as u64;
    println!(
        "\nEpoch {epoch} of dataset {DATASET}, shuffled over windows of {WINDOW_FILES} files, in batches of {BATCH};\n\
         filter min_max: texts of more than {LENGTH_ABOVE} characters."
    );
    let why = match pipeline {
        Pipeline::Ready { modules } => match preprocessed(client, dataset, epoch, modules).await? {
            None => return Ok(true),
            Some(why) => why,
        },
        Pipeline::Missing { why } => {
            format!("{why}.\nLAVANDIN_PYTHON names another Python, from 3.9, with numpy and pyarrow")
        }
    };
    println!("Without the Python preprocessor: {why}.");
    let iteration = client.create_iteration(&wanted(&id, epoch, Vec::new())).await?;
    match walk(client, &iteration.id, rows_of(dataset)).await? {
        None => Ok(false),
        Some(failure) => bail!("the sample cannot be iterated: {failure}"),
    }
}

/// An epoch with the preprocessor; why not, if it cannot be had or fails.
async fn preprocessed(
    client: &Client,
    dataset: &DatasetInfo,
    epoch: u64,
    modules: &Path,
) -> Result<Option<String>> {
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
    let named = vec![function(PREPROCESSOR, serde_json::json!({}))];
    let iteration = match client.create_iteration(&wanted(&dataset.id.to_string(), epoch, named)).await {
        Ok(iteration) => iteration,
        Err(error) => return Ok(Some(first_line(error.to_string()))),
    };
    println!("Preprocessor {PREPROCESSOR} in Python: {}", modules.display());
    let failure = walk(client, &iteration.id, rows_of(dataset)).await?;
    Ok(failure.map(first_line))
}

fn rows_of(dataset: &DatasetInfo) -> usize {
    let manifest = dataset.shardsets.iter().find_map(|shardset| shardset.manifest);
    manifest.map_or(0, |manifest| manifest.total_samples as usize)
}

/// Fetches all batches of an iteration, prints the first ones and what it came to. Stops where user code fails, and
/// returns its failure.
async fn walk(client: &Client, iteration: &str, rows: usize) -> Result<Option<String>> {
    let bar = Progress::new("Iterating              ", rows);
    let started = Instant::now();
    let (mut batches, mut samples) = (0, 0);
    let mut used = Vec::new();
    loop {
        // As a trainer does: the next batch is on its way while the last one is used and then acknowledged.
        let (next, completed) = tokio::join!(
            client.next_batch(iteration, NextOptions::default()),
            complete(client, iteration, used)
        );
        completed?;
        match next {
            Ok(next) => {
                let batch = Batch::decode(&next.bytes)?;
                if batches < SHOWN {
                    println!("{}", batch.shown(batches, rows));
                } else {
                    bar.show(samples);
                }
                (batches, samples, used) = (batches + 1, samples + batch.indices.len(), batch.indices);
            }
            Err(ClientError::End { .. }) => break,
            Err(ClientError::SampleFailed { detail, .. }) => {
                bar.clear();
                return Ok(Some(detail));
            }
            Err(error) => return Err(error).context("the sample cannot be iterated"),
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let progress = client.progress(iteration).await?;
    bar.clear();
    println!(
        "\nOne epoch: {batches} batches with {samples} samples in {seconds:.2} s, {:.0} samples/s to one client.",
        samples as f64 / seconds.max(1e-6)
    );
    println!(
        "Progress: total {}, completed {}, filtered {}, failed {}.",
        progress.total, progress.completed, progress.filtered, progress.failed
    );
    Ok(None)
}

fn wanted(dataset: &str, epoch: u64, preprocessors: Vec<NamedFunction>) -> CreateIteration {
    let extension = IterationExtension {
        order: Some(OrderName::Windowed),
        epoch: Some(epoch),
        window_shards: Some(WINDOW_FILES),
        ..IterationExtension::default()
    };
    let filter = serde_json::json!({ "column": "length", "min_value": LENGTH_ABOVE });
    CreateIteration {
        dataset_id: dataset.to_owned(),
        shuffle_seed: Some(SEED),
        batch_size: Some(BATCH as i64),
        filters: Some(vec![function("min_max", filter)]),
        preprocessors: Some(preprocessors),
        // An epoch of its own, whatever was begun before.
        wait_participant_threshold: Some(0.0),
        extension,
        ..CreateIteration::default()
    }
}

fn function(name: &str, params: serde_json::Value) -> NamedFunction {
    let params = params.as_object().cloned().unwrap_or_default();
    NamedFunction { name: name.to_owned(), params }
}

/// Acknowledges samples, all at once as their requests are independent.
async fn complete(client: &Client, iteration: &str, indices: Vec<u64>) -> Result<()> {
    let mut requests = JoinSet::new();
    for index in indices {
        let (client, iteration) = (client.clone(), iteration.to_owned());
        requests.spawn(async move { client.complete_index(&iteration, index).await });
    }
    while let Some(answered) = requests.join_next().await {
        answered.context("a request panicked")?.context("a sample cannot be acknowledged")?;
    }
    Ok(())
}
