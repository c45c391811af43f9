//! Iterations: creating and joining them, what they are and how far they are.

use super::{Done, NO_DATASET, NO_ITERATION, NOT_INITIALIZED, body, convert, id, json, missing, null};
use crate::http::{ApiError, Call};
use crate::routes::{Form, Input, Output, optional, required, routes};
use lavandin_node::{
    Cursor, Ending, Function, IterationInfo, IterationOptions, IterationRequest, OrderKind, ShareOptions,
    ShuffleOptions, StepsInfo, parse_cursor,
};
use lavandin_types::{DatasetId, IterationId};
use lavandin_wire::lavender::extension::{Ending as EndingWord, IterationExtension, Mode, OrderName};
use lavandin_wire::lavender::{self as wire, Timestamp};

const ITERATION: &[crate::routes::Value] = &[
    required("id", Form::Text, "it-…"),
    required("dataset_id", Form::Text, "ds-…"),
    required("total", Form::Integer, "Samples of the main shardset"),
    required("shuffle", Form::Boolean, "Whether the order is shuffled"),
    required("batch_size", Form::Integer, "0 for single samples"),
    required("created_at", Form::Text, "UTC, without a zone"),
];

routes! { "iterations":
    Get "/iterations/" Read list, "Iterations, newest first",
        Input::Query(&[optional("dataset_id", Form::Text, "Only those over this dataset")], None)
        => Output::List(ITERATION);
    Post "/iterations/" Change create, "Begin an iteration, or join one of the same configuration", Input::Json(&[
        required("dataset_id", Form::Text, "ds-…"),
        optional("shardsets", Form::TextList, "Which to join; all by default"),
        optional("filters", Form::ListOf("Fields"), "name and params of each"),
        optional("categorizer", Form::Object, "name and params"),
        optional("collater", Form::Object, "name and params"),
        optional("preprocessors", Form::ListOf("Fields"), "name and params of each"),
        optional("shuffle", Form::Boolean, "false by default"),
        optional("shuffle_seed", Form::Integer, "Drawn at random by default"),
        optional("shuffle_block_size", Form::Integer, "Shard files that are mixed with each other"),
        optional("batch_size", Form::Integer, "0, for single samples, by default"),
        optional("replication_pg", Form::ListOf("Integers"), "Groups of ranks that get the same batches"),
        optional("rank", Form::Integer, "0 by default"),
        optional("world_size", Form::Integer, "How many ranks there are"),
        optional("wait_participant_threshold", Form::Number, "Seconds in which others may join; 10 by default"),
        optional("order", Form::Text, "lavender (default), sequential, windowed or global"),
        optional("epoch", Form::Integer, "Of windowed and global orders"),
        optional("window_shards", Form::Integer, "Of the windowed order"),
        optional("drop_last", Form::Boolean, "Whether a last batch that is not full is left out"),
        optional("mode", Form::Text, "dynamic (default), or static for fixed shares of the ranks"),
        optional("ending", Form::Text, "Of mode static: balanced (default), pad or drop"),
        optional("cursor", Form::Text, "Of mode static: where to begin, as an earlier iteration told it"),
    ]) => Output::Json(ITERATION);
    Get "/iterations/{iteration_id}" Read get, "An iteration with its dataset and files", Input::Nothing
        => Output::Json(ITERATION);
    Get "/iterations/{iteration_id}/cursor" Read cursor, "Where an epoch of mode static goes on after some steps",
        Input::Query(&[optional("steps", Form::Integer, "Steps of this iteration that are done; 0 by default")], None)
        => Output::Json(&[
            required("cursor", Form::Text, "Begin another iteration with it"),
            required("epoch", Form::Integer, "The order's"),
            required("step", Form::Integer, "Steps done in the epoch by then"),
            required("place", Form::Integer, "Samples of the order before it"),
            required("steps", Form::Integer, "Steps of the iteration"),
            required("repeated", Form::Integer, "Samples that fill up the last batches"),
            required("left_out", Form::Integer, "Samples that no rank gets"),
        ]);
    Get "/iterations/{iteration_id}/progress" Read progress, "How far it is", Input::Nothing => Output::Json(&[
        required("total", Form::Integer, "Samples"),
        required("current", Form::Integer, "Samples handed out, filtered out or failed"),
        required("inprogress", Form::ListOf("Fields"), "Samples handed out and not completed"),
        required("completed", Form::Integer, "Samples"),
        required("filtered", Form::Integer, "Samples"),
        required("failed", Form::Integer, "Samples"),
    ]);
    Post "/iterations/{iteration_id}/complete/{index}" Change complete, "A sample is done", Input::Nothing
        => Output::Null;
    Post "/iterations/{iteration_id}/pushback" Change pushback, "Hand out again what is in progress", Input::Nothing
        => Output::Null;
}

pub(super) fn function(named: wire::NamedFunction) -> Function {
    Function { name: named.name, params: named.params }
}

fn named(function: Function) -> wire::NamedFunction {
    wire::NamedFunction { name: function.name, params: function.params }
}

fn shown(info: &IterationInfo) -> wire::Iteration {
    let IterationInfo { id, dataset, total, created_ms, options, .. } = info.clone();
    let functions = |functions: Vec<Function>| {
        (!functions.is_empty()).then(|| functions.into_iter().map(named).collect())
    };
    let shuffle = options.shuffle;
    wire::Iteration {
        id: id.to_string(),
        dataset_id: dataset.to_string(),
        total,
        filters: functions(options.filters),
        categorizer: options.categorizer.map(named),
        collater: options.collater.map(named),
        preprocessors: functions(options.preprocessors),
        shuffle: shuffle.is_some(),
        shuffle_seed: shuffle.map(|shuffle| i64::from(shuffle.seed)),
        shuffle_block_size: shuffle.map(|shuffle| i64::from(shuffle.block_shards)),
        batch_size: u64::from(options.batch_size),
        replication_pg: options.replication_groups.map(|groups| {
            groups.into_iter().map(|group| group.into_iter().map(i64::from).collect()).collect()
        }),
        created_at: Timestamp::from_unix_s(created_ms / 1000),
        extension: extension(&options.order, options.drop_last, options.shares),
    }
}

fn extension(order: &OrderKind, drop_last: bool, shares: Option<ShareOptions>) -> IterationExtension {
    let (name, epoch, window_shards) = match *order {
        OrderKind::Lavender => (None, None, None),
        OrderKind::Sequential => (Some(OrderName::Sequential), None, None),
        OrderKind::Windowed { epoch, window_shards, .. } => {
            (Some(OrderName::Windowed), Some(epoch), Some(window_shards))
        }
        OrderKind::Global { epoch, .. } => (Some(OrderName::Global), Some(epoch), None),
    };
    let drop_last = drop_last.then_some(true);
    let (mode, ending) = shares.as_ref().map(|shares| (Mode::Static, ending_word(shares.ending))).unzip();
    let cursor = shares.and_then(|shares| shares.cursor);
    IterationExtension { order: name, epoch, window_shards, drop_last, mode, ending, condition: None, cursor }
}

fn ending_word(ending: Ending) -> EndingWord {
    match ending {
        Ending::Balanced => EndingWord::Balanced,
        Ending::Pad => EndingWord::Pad,
        Ending::Drop => EndingWord::Drop,
    }
}

/// How ranks share the samples, where that is to be fixed.
fn shares(extension: &IterationExtension) -> Result<Option<ShareOptions>, ApiError> {
    if extension.mode != Some(Mode::Static) {
        return match extension.cursor.is_some() || extension.ending.is_some() {
            true => Err(ApiError::invalid("cursor and ending are of mode static: say \"mode\": \"static\"")),
            false => Ok(None),
        };
    }
    let ending = match extension.ending {
        None | Some(EndingWord::Balanced) => Ending::Balanced,
        Some(EndingWord::Pad) => Ending::Pad,
        Some(EndingWord::Drop) => Ending::Drop,
    };
    Ok(Some(ShareOptions { ending, cursor: extension.cursor.clone() }))
}

async fn list(call: Call) -> Done {
    let query = wire::IterationsQuery::parse(call.query())?;
    let dataset = match query.dataset_id.as_deref().map(str::parse::<DatasetId>) {
        // An unknown dataset has none.
        Some(Err(_)) => return json(b"[]".to_vec()),
        Some(Ok(dataset)) => Some(dataset),
        None => None,
    };
    let all: Vec<_> = call.app.node.iterations(&call.context()?, dataset).await?.iter().map(shown).collect();
    json(serde_json::to_vec(&all).unwrap_or_default())
}

async fn create(mut call: Call) -> Done {
    let request: wire::CreateIteration = body(&mut call).await?;
    let request = asked(request)?;
    let created = call.app.node.create_iteration(&call.context()?, request).await;
    call.audit_key("create_iteration", "", &created);
    json(shown(&created.map_err(|error| missing(error, NO_DATASET))?).to_json())
}

/// The request in the node's words; the published rules in the published order.
fn asked(request: wire::CreateIteration) -> Result<IterationRequest, ApiError> {
    let extension = &request.extension;
    if extension.condition.is_some() {
        return Err(ApiError::not_implemented("where in an iteration"));
    }
    let shuffle = shuffle(&request)?;
    let batch_size = request.batch_size.unwrap_or(0);
    let batch_size = u32::try_from(batch_size).map_err(|_| ApiError::invalid("batch_size must be >= 0"))?;
    let rank = |rank: i64| {
        u32::try_from(rank).map_err(|_| ApiError::invalid(format!("a rank is 0 or more, not {rank}")))
    };
    let groups = request.replication_pg.clone().filter(|groups| !groups.is_empty());
    let groups = groups.map(|groups| {
        let ranks = |group: Vec<i64>| group.into_iter().map(rank).collect::<Result<Vec<_>, _>>();
        groups.into_iter().map(ranks).collect::<Result<Vec<_>, _>>()
    });
    let threshold = request.wait_participant_threshold.unwrap_or(10.0);
    if !threshold.is_finite() || threshold < 0.0 {
        return Err(ApiError::invalid("wait_participant_threshold must be >= 0"));
    }
    let shares = shares(extension)?;
    let options = IterationOptions {
        filters: request.filters.clone().unwrap_or_default().into_iter().map(function).collect(),
        categorizer: request.categorizer.clone().map(function),
        collater: request.collater.clone().map(function),
        preprocessors: request.preprocessors.clone().unwrap_or_default().into_iter().map(function).collect(),
        order: order(&request, shuffle)?,
        shuffle,
        batch_size,
        drop_last: extension.drop_last.unwrap_or_default(),
        shares,
        replication_groups: groups.transpose()?,
    };
    Ok(IterationRequest {
        dataset: request.dataset_id,
        shardsets: request.shardsets.unwrap_or_default(),
        options,
        rank: rank(request.rank.unwrap_or(0))?,
        world_size: request.world_size.map(rank).transpose()?,
        threshold_ms: (threshold * 1000.0).min(1e12) as u64,
    })
}

fn shuffle(request: &wire::CreateIteration) -> Result<Option<ShuffleOptions>, ApiError> {
    if !request.shuffle.unwrap_or_default() {
        return Ok(None);
    }
    let block = match (request.shuffle_block_size, request.extension.order) {
        (Some(block), _) => block,
        // The other orders have a measure of their own.
        (None, Some(OrderName::Windowed | OrderName::Global | OrderName::Sequential)) => 1,
        (None, _) => return Err(ApiError::invalid("shuffle_block_size is required if shuffle is true")),
    };
    let block_shards = u32::try_from(block).ok().filter(|block| *block > 0);
    let block_shards =
        block_shards.ok_or_else(|| ApiError::invalid("shuffle_block_size must be a positive integer"))?;
    let seed = match request.shuffle_seed {
        Some(seed) => u32::try_from(seed)
            .map_err(|_| ApiError::invalid(format!("shuffle_seed must be from 0 to {}", u32::MAX)))?,
        None => random_seed()?,
    };
    Ok(Some(ShuffleOptions { seed, block_shards }))
}

/// As the published server draws it: up to a million.
fn random_seed() -> Result<u32, ApiError> {
    let mut bytes = [0; 8];
    let failed = |_| ApiError::new(lavandin_types::ErrorCode::Internal, "the system gives no random bytes");
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok((u64::from_le_bytes(bytes) % 1_000_001) as u32)
}

fn order(request: &wire::CreateIteration, shuffle: Option<ShuffleOptions>) -> Result<OrderKind, ApiError> {
    let extension = &request.extension;
    let epoch = match (extension.epoch, &extension.cursor) {
        (None, Some(cursor)) => parse_cursor(cursor)?.epoch,
        (epoch, _) => epoch.unwrap_or(0),
    };
    let seed = |name: &str| match (shuffle, request.shuffle_seed) {
        (Some(shuffle), _) => Ok(u64::from(shuffle.seed)),
        (None, Some(seed)) => Ok(seed as u64),
        (None, None) => {
            Err(ApiError::invalid(format!("order {name} needs a shuffle_seed, or shuffle: true to draw one")))
        }
    };
    Ok(match extension.order {
        None | Some(OrderName::Lavender) => OrderKind::Lavender,
        Some(OrderName::Sequential) => OrderKind::Sequential,
        Some(OrderName::Windowed) => {
            let window = extension.window_shards.or(shuffle.map(|shuffle| shuffle.block_shards));
            let window = window.filter(|window| *window > 0);
            let window_shards =
                window.ok_or_else(|| ApiError::invalid("order windowed needs window_shards, from 1"))?;
            OrderKind::Windowed { seed: seed("windowed")?, epoch, window_shards }
        }
        Some(OrderName::Global) => OrderKind::Global { seed: seed("global")?, epoch },
    })
}

async fn get(call: Call) -> Done {
    let iteration = id::<IterationId>(&call, 2, NO_ITERATION)?;
    let (node, context) = (&call.app.node, call.context()?);
    let info = node.iteration(&context, iteration).await.map_err(|error| missing(error, NO_ITERATION))?;
    let dataset = node.dataset(info.dataset).await.map_err(|error| missing(error, NO_ITERATION))?;
    let mut shardsets = Vec::new();
    for shardset in info.shardsets.iter().copied() {
        // One that was removed meanwhile is left out.
        let Ok(found) = dataset.shardset(shardset) else { continue };
        let (files, _) = node.shard_files(&dataset, shardset, 0, u64::MAX).await?;
        shardsets.push(wire::ShardsetWithShards {
            shardset: convert::shardset(&dataset, found),
            shards: files.iter().map(|file| convert::shard(found, file)).collect(),
            columns: dataset.columns_of(shardset).map(|column| convert::column(&dataset, column)).collect(),
        });
    }
    let reply =
        wire::IterationFull { iteration: shown(&info), dataset: convert::dataset(&dataset), shardsets };
    json(reply.to_json())
}

async fn cursor(call: Call) -> Done {
    let iteration = id::<IterationId>(&call, 2, NOT_INITIALIZED)?;
    let query = wire::CursorQuery::parse(call.query())?;
    let told = call.app.node.steps_info(&call.context()?, iteration, query.steps).await;
    let StepsInfo { cursor, steps, repeated, left_out } =
        told.map_err(|error| missing(error, NOT_INITIALIZED))?;
    let Cursor { epoch, step, place, .. } = cursor;
    let cursor = cursor.to_string();
    json(wire::CursorReply { cursor, epoch, step, place, steps, repeated, left_out }.to_json())
}

async fn progress(call: Call) -> Done {
    let iteration = id::<IterationId>(&call, 2, NOT_INITIALIZED)?;
    let progress = call.app.node.progress(&call.context()?, iteration).await;
    let progress = progress.map_err(|error| missing(error, NOT_INITIALIZED))?;
    let in_progress = progress.in_progress.iter().map(|sample| wire::InProgress {
        index: sample.index,
        rank: i64::from(sample.rank),
        started_at: sample.started_ms as f64 / 1000.0,
    });
    let reply = wire::Progress {
        total: progress.total,
        current: progress.current,
        inprogress: in_progress.collect(),
        completed: progress.completed,
        filtered: progress.filtered,
        failed: progress.failed,
    };
    json(reply.to_json())
}

async fn complete(call: Call) -> Done {
    let iteration = id::<IterationId>(&call, 2, NOT_INITIALIZED)?;
    let index = wire::parse_index(&call.part(4)?)?;
    // A number below 0 is as unknown as one that nobody was handed.
    let indices = u64::try_from(index).into_iter().collect();
    let done = call.app.node.complete(&call.context()?, iteration, indices).await;
    done.map_err(|error| missing(error, NOT_INITIALIZED))?;
    null()
}

async fn pushback(call: Call) -> Done {
    let iteration = id::<IterationId>(&call, 2, NOT_INITIALIZED)?;
    let done = call.app.node.pushback(&call.context()?, iteration).await;
    call.audit_key("pushback", &iteration.to_string(), &done);
    done.map_err(|error| missing(error, NOT_INITIALIZED))?;
    null()
}
