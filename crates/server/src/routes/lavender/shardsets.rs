//! Shardsets and their files.

use super::{Done, NO_DATASET, NO_SHARDSET, body, convert, id, json, missing, not_found, null};
use crate::http::{ApiError, Call};
use crate::routes::{Form, Input, Output, optional, required, routes};
use lavandin_node::{ColumnSpec, DatasetInfo, NewShardsetRequest, NodeError};
use lavandin_types::{DatasetId, ErrorCode, ShardFileId, ShardsetId};
use lavandin_wire::lavender as wire;
use std::sync::Arc;

const SHARDSET: &[crate::routes::Value] = &[
    required("id", Form::Text, "ss-…"),
    required("location", Form::Text, "The directory of its files"),
    required("is_main", Form::Boolean, "Whether a user made it the main one"),
    required("shard_count", Form::Integer, "Files"),
    required("total_samples", Form::Integer, "Rows of all files"),
];
const PATH: &str = "/datasets/{dataset_id}/shardsets/{shardset_id}";

routes! { "shardsets":
    Post "/datasets/{dataset_id}/shardsets" Change create, "Add a directory of shard files and begin to read what is there",
        Input::Json(&[
            required("location", Form::Text, "file://, s3://, http(s):// or hf://"),
            required("columns", Form::ListOf("Fields"), "name, type, description; [] to take what the files have"),
        ]) => Output::Json(SHARDSET);
    Get "/datasets/{dataset_id}/shardsets/{shardset_id}" Read get, "A shardset with its columns", Input::Nothing
        => Output::Json(SHARDSET);
    Put "/datasets/{dataset_id}/shardsets/{shardset_id}" Change update, "Make it the main shardset, or not", Input::Json(&[
        optional("is_main", Form::Boolean, "false by default"),
    ]) => Output::Json(SHARDSET);
    Delete "/datasets/{dataset_id}/shardsets/{shardset_id}" Change remove, "Forget a shardset; its files stay",
        Input::Nothing => Output::Json(SHARDSET);
    Get "/datasets/{dataset_id}/shardsets/{shardset_id}/shards" Read shards, "A page of its files",
        Input::Query(&[
            optional("offset", Form::Integer, "0 by default"),
            optional("limit", Form::Integer, "10 by default"),
        ], None) => Output::Json(&[required("total", Form::Integer, "Files in all")]);
    Get "/datasets/{dataset_id}/shardsets/{shardset_id}/shards/{shard_id}/statistics" Read statistics,
        "Statistics of one file's columns", Input::Nothing
        => Output::Json(&[required("shard_id", Form::Text, "sd-…"), required("data", Form::Object, "By column")]);
    Post "/datasets/{dataset_id}/shardsets/{shardset_id}/sync" Change sync, "Look for new, changed and removed files",
        Input::Json(&[optional("overwrite", Form::Boolean, "Whether known files are read again")])
        => Output::Json(SHARDSET);
    Get "/datasets/{dataset_id}/shardsets/{shardset_id}/sync" Read sync_status, "How far the sync is; null if there is none",
        Input::Nothing => Output::Json(&[
            required("status", Form::Text, "The step, or completed, failed, aborted"),
            required("current", Form::Integer, "Files done"),
            required("total", Form::Integer, "Files to do"),
        ]);
}

/// The dataset and the shardset that the path names.
async fn named(call: &Call) -> Result<(Arc<DatasetInfo>, ShardsetId), ApiError> {
    debug_assert!(call.route.path.starts_with(PATH));
    let dataset = call.app.node.dataset(id::<DatasetId>(call, 2, NO_SHARDSET)?).await;
    let dataset = dataset.map_err(|error| missing(error, NO_SHARDSET))?;
    let shardset = id::<ShardsetId>(call, 4, NO_SHARDSET)?;
    dataset.shardset(shardset).map_err(|_| not_found(NO_SHARDSET))?;
    Ok((dataset, shardset))
}

fn shown(dataset: &DatasetInfo, shardset: ShardsetId) -> Done {
    let info = dataset.shardset(shardset).map_err(|_| not_found(NO_SHARDSET))?;
    json(convert::shardset_full(dataset, info).to_json())
}

/// Creating a shardset failed.
pub(super) fn creation_failed(error: NodeError) -> ApiError {
    match error.code() {
        ErrorCode::AlreadyExists => {
            ApiError::new(ErrorCode::AlreadyExists, format!("unique constraint failed: {error}"))
        }
        ErrorCode::NotFound => missing(error, NO_DATASET),
        _ => error.into(),
    }
}

async fn create(mut call: Call) -> Done {
    let dataset = id::<DatasetId>(&call, 2, NO_DATASET)?;
    let request: wire::CreateShardset = body(&mut call).await?;
    let columns = request.columns.into_iter().map(|column| ColumnSpec {
        name: column.name,
        column_type: column.column_type,
        description: column.description,
    });
    let shardset = NewShardsetRequest { location: request.location, columns: columns.collect() };
    let created = call.app.node.create_shardset(&call.context()?, dataset, shardset).await;
    call.audit_key("create_shardset", &dataset.to_string(), &created);
    let (dataset, shardset) = created.map_err(creation_failed)?;
    shown(&dataset, shardset)
}

async fn get(call: Call) -> Done {
    let (dataset, shardset) = named(&call).await?;
    shown(&dataset, shardset)
}

async fn update(mut call: Call) -> Done {
    let (dataset, shardset) = named(&call).await?;
    let request: wire::UpdateShardset = body(&mut call).await?;
    let context = call.context()?;
    let changed = call.app.node.set_main_shardset(&context, (dataset.id, shardset), request.is_main).await;
    call.audit_key("set_main_shardset", &shardset.to_string(), &changed);
    let dataset = changed.map_err(|error| missing(error, NO_SHARDSET))?;
    let info = dataset.shardset(shardset).map_err(|_| not_found(NO_SHARDSET))?;
    json(convert::shardset(&dataset, info).to_json())
}

async fn remove(call: Call) -> Done {
    let (dataset, shardset) = named(&call).await?;
    let info = dataset.shardset(shardset).map_err(|_| not_found(NO_SHARDSET))?;
    let removed = call.app.node.delete_shardset(&call.context()?, dataset.id, shardset).await;
    call.audit_key("delete_shardset", &shardset.to_string(), &removed);
    removed.map_err(|error| missing(error, NO_SHARDSET))?;
    let reply = wire::Shardset { shard_count: 0, total_samples: 0, ..convert::shardset(&dataset, info) };
    json(reply.to_json())
}

async fn shards(call: Call) -> Done {
    let page = wire::PageQuery::parse(call.query())?;
    // Of an unknown shardset there are none.
    let Ok((dataset, shardset)) = named(&call).await else {
        return json(wire::ShardPage { shards: Vec::new(), total: 0 }.to_json());
    };
    let info = dataset.shardset(shardset).map_err(|_| not_found(NO_SHARDSET))?;
    let (files, total) = call.app.node.shard_files(&dataset, shardset, page.offset, page.limit).await?;
    let shards = files.iter().map(|file| convert::shard(info, file)).collect();
    json(wire::ShardPage { shards, total }.to_json())
}

async fn statistics(call: Call) -> Done {
    const NONE: &str = "Shard statistics not found";
    let (dataset, shardset) = named(&call).await.map_err(|_| not_found(NONE))?;
    let file = id::<ShardFileId>(&call, 6, NONE)?;
    let found = call.app.node.shard_statistics(&dataset, shardset, file).await?;
    let found = found.ok_or_else(|| not_found(NONE))?;
    let data = found.into_iter().map(|(name, found)| (name, convert::shard_statistics(found)));
    json(wire::ShardStatistics { shard_id: file.to_string(), data: data.collect() }.to_json())
}

async fn sync(mut call: Call) -> Done {
    let (dataset, shardset) = named(&call).await?;
    let request: wire::SyncShardset = body(&mut call).await?;
    let (node, context) = (&call.app.node, call.context()?);
    let started = node.sync_shardset(&context, (dataset.id, shardset), request.overwrite).await;
    call.audit_key("sync_shardset", &shardset.to_string(), &started);
    started?;
    shown(&dataset, shardset)
}

async fn sync_status(call: Call) -> Done {
    let (_, shardset) = named(&call).await?;
    match call.app.node.sync_status(shardset).await {
        Some(status) => json(convert::task(&status).to_json()),
        None => null(),
    }
}
