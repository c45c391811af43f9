//! Datasets, their columns, previews and statistics, and preprocessing into a new shardset.

use super::{Done, NO_COLUMN, NO_DATASET, body, convert, id, json, missing};
use crate::http::{ApiError, Call};
use crate::routes::{Form, Input, Output, optional, required, routes};
use lavandin_node::{NewShardsetRequest, PreprocessRequest, PreviewState};
use lavandin_types::{ColumnId, DatasetId, ErrorCode};
use lavandin_wire::lavender::{self as wire, phrase};

const DATASET: &[crate::routes::Value] = &[
    required("id", Form::Text, "ds-…"),
    required("name", Form::Text, "Unique"),
    required("uid_column_name", Form::Text, "The column by which shardsets are joined"),
    required("created_at", Form::Text, "UTC, without a zone"),
];

routes! { "datasets":
    Get "/datasets/" Read list, "Datasets, newest first; ?name= for one",
        Input::Query(&[optional("name", Form::Text, "Only the dataset of this name")], None)
        => Output::List(DATASET);
    Post "/datasets/" Change create, "Create a dataset, and its first shardset if a location is given", Input::Json(&[
        required("name", Form::Text, "Unique"),
        required("uid_column_name", Form::Text, "The column by which shardsets are joined"),
        optional("shardset_location", Form::TextOrNull, "Where its first shardset is"),
    ]) => Output::Json(DATASET);
    Get "/datasets/{dataset_id}" Read get, "A dataset with its columns and shardsets", Input::Nothing
        => Output::Json(DATASET);
    Delete "/datasets/{dataset_id}" Change remove, "Forget a dataset; its files stay", Input::Nothing
        => Output::Json(DATASET);
    Put "/datasets/{dataset_id}/columns/{column_id}" Change update_column, "Change a column", Input::Json(&[
        optional("name", Form::TextOrNull, "Its name"),
        optional("type", Form::TextOrNull, "Its type"),
        optional("description", Form::TextOrNull, "What it is"),
    ]) => Output::Json(&[required("id", Form::Text, "dc-…")]);
    Post "/datasets/{dataset_id}/preview" Read create_preview, "Begin to read some samples", Input::Json(&[
        optional("offset", Form::Integer, "Of the first sample; 0 by default"),
        optional("limit", Form::Integer, "How many; 10 by default"),
    ]) => Output::Json(&[required("preview_id", Form::Text, "To ask for the samples with")]);
    Get "/datasets/{dataset_id}/preview/{preview_id}" Read get_preview, "The samples of a preview", Input::Nothing
        => Output::Json(&[required("total", Form::Integer, "Samples of the dataset")]);
    Get "/datasets/{dataset_id}/statistics" Read statistics, "Statistics of the columns", Input::Nothing
        => Output::Json(&[required("statistics", Form::Object, "By column")]);
    Post "/datasets/{dataset_id}/preprocess" Change preprocess, "Write preprocessed samples as a new directory of shard files",
        Input::Json(&[
            required("shardset_location", Form::Text, "Where to write"),
            optional("source_shardset_ids", Form::TextList, "All by default"),
            required("preprocessors", Form::ListOf("Fields"), "Name and params of each"),
            required("export_columns", Form::TextList, "What to write, besides the uid column"),
            required("batch_size", Form::Integer, "From 1"),
            optional("overwrite", Form::Boolean, "Whether existing files are written again"),
            optional("drop_last", Form::Boolean, "Whether a file's last batch is left out unless it is full"),
            optional("register", Form::Boolean, "Ours: whether the directory becomes a shardset when it is done"),
        ]) => Output::Json(&[required("task_id", Form::Text, "Of the background task")]);
}

async fn list(call: Call) -> Done {
    let query = wire::DatasetsQuery::parse(call.query())?;
    let mut all = call.app.node.datasets().await?;
    if let Some(name) = &query.name {
        all.retain(|dataset| dataset.name == *name);
    }
    let all: Vec<_> = all.iter().map(|info| convert::dataset(info)).collect();
    json(serde_json::to_vec(&all).unwrap_or_default())
}

async fn create(mut call: Call) -> Done {
    let request: wire::CreateDataset = body(&mut call).await?;
    let (node, context) = (&call.app.node, call.context()?);
    let created = node.create_dataset(&context, &request.name, &request.uid_column_name).await;
    call.audit_key("create_dataset", &request.name, &created);
    let created = created.map_err(|error| match error.code() {
        ErrorCode::AlreadyExists => ApiError::new(ErrorCode::AlreadyExists, "Dataset name must be unique"),
        _ => error.into(),
    })?;
    if let Some(location) = request.shardset_location {
        let shardset = NewShardsetRequest { location, columns: Vec::new() };
        if let Err(error) = node.create_shardset(&context, created.id, shardset).await {
            // A dataset that was asked for with its shardset is created with it or not at all.
            node.delete_dataset(&context, created.id).await?;
            return Err(super::shardsets::creation_failed(error));
        }
    }
    json(convert::dataset(&created).to_json())
}

async fn get(call: Call) -> Done {
    let dataset = call.app.node.dataset(id::<DatasetId>(&call, 2, NO_DATASET)?).await;
    json(convert::dataset_full(&*dataset.map_err(|error| missing(error, NO_DATASET))?).to_json())
}

async fn remove(call: Call) -> Done {
    let dataset = id::<DatasetId>(&call, 2, NO_DATASET)?;
    let info = call.app.node.dataset(dataset).await.map_err(|error| missing(error, NO_DATASET))?;
    let removed = call.app.node.delete_dataset(&call.context()?, dataset).await;
    call.audit_key("delete_dataset", &info.name, &removed);
    removed?;
    json(convert::dataset(&info).to_json())
}

async fn update_column(mut call: Call) -> Done {
    let dataset = id::<DatasetId>(&call, 2, NO_DATASET)?;
    let column = id::<ColumnId>(&call, 4, NO_COLUMN)?;
    let request: wire::UpdateColumn = body(&mut call).await?;
    let wire::UpdateColumn { name, column_type, description } = request;
    let context = call.context()?;
    let changed =
        call.app.node.update_column(&context, (dataset, column), name, column_type, description).await;
    call.audit_key("update_column", &column.to_string(), &changed);
    let info = changed.map_err(|error| missing(error, NO_COLUMN))?;
    let column = info.column(column).map_err(|error| missing(error.into(), NO_COLUMN))?;
    json(convert::column(&info, column).to_json())
}

async fn create_preview(mut call: Call) -> Done {
    let dataset = id::<DatasetId>(&call, 2, NO_DATASET)?;
    let request: wire::CreatePreview = body(&mut call).await?;
    let from_zero = |number: i64| u64::try_from(number).unwrap_or(0);
    let (offset, limit) = (from_zero(request.offset), from_zero(request.limit));
    let preview = call.app.node.create_preview(dataset, offset, limit).await;
    let preview_id = preview.map_err(|error| missing(error, NO_DATASET))?;
    json(wire::PreviewId { preview_id }.to_json())
}

async fn get_preview(call: Call) -> Done {
    let dataset = id::<DatasetId>(&call, 2, NO_DATASET)?;
    let info = call.app.node.dataset(dataset).await.map_err(|error| missing(error, NO_DATASET))?;
    match call.app.node.preview(&call.part(4)?).await {
        PreviewState::Unknown => Err(ApiError::invalid(phrase::PREVIEW_NOT_FOUND)),
        PreviewState::Failed(error) => Err(ApiError::new(ErrorCode::Internal, error)),
        PreviewState::Ready(preview) => {
            let columns = info.columns.iter().map(|column| convert::column(&info, column)).collect();
            let samples = preview.samples.iter().map(|text| serde_json::from_str(text).unwrap_or_default());
            let reply = wire::Preview {
                dataset: convert::dataset(&info),
                columns,
                samples: samples.collect(),
                total: preview.total,
            };
            json(reply.to_json())
        }
    }
}

async fn statistics(call: Call) -> Done {
    let dataset = id::<DatasetId>(&call, 2, NO_DATASET)?;
    let found = call.app.node.dataset_statistics(dataset).await;
    let found = found.map_err(|error| missing(error, NO_DATASET))?;
    let statistics = found.into_iter().map(|(name, found)| (name, convert::dataset_statistics(found)));
    json(wire::DatasetStatistics { statistics: statistics.collect() }.to_json())
}

async fn preprocess(mut call: Call) -> Done {
    let dataset = id::<DatasetId>(&call, 2, NO_DATASET)?;
    let request: wire::PreprocessDataset = body(&mut call).await?;
    let batch_size = u32::try_from(request.batch_size).ok().filter(|size| *size > 0);
    let Some(batch_size) = batch_size else {
        return Err(ApiError::invalid("Batch size must be greater than 0"));
    };
    let request = PreprocessRequest {
        location: request.shardset_location,
        shardsets: request.source_shardset_ids,
        collater: request.collater.map(super::iterations::function),
        preprocessors: request.preprocessors.into_iter().map(super::iterations::function).collect(),
        export_columns: request.export_columns,
        batch_size,
        overwrite: request.overwrite,
        drop_last: request.drop_last,
        register: request.register,
    };
    let context = call.context()?;
    let started = call.app.node.preprocess(&context, dataset, request).await;
    call.audit_key("preprocess", &dataset.to_string(), &started);
    json(wire::TaskId { task_id: started.map_err(|error| missing(error, NO_DATASET))? }.to_json())
}
