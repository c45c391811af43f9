//! Request bodies of datasets, shardsets and columns.

use crate::lavender::check::{Body, Field, Fields, not_an_object};
use crate::lavender::invalid::Faults;
use crate::lavender::iteration::NamedFunction;
use serde::Serialize;
use serde_json::Value;

/// `POST /datasets/`
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CreateDataset {
    pub name: String,
    pub uid_column_name: String,
    /// Where the first shardset is, if it is to be created as well.
    pub shardset_location: Option<String>,
}

impl Body for CreateDataset {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.required("name");
        let uid_column_name = fields.required("uid_column_name");
        let shardset_location = fields.optional("shardset_location");
        Some(Self { name: name?, uid_column_name: uid_column_name?, shardset_location })
    }
}

/// A column as a request declares it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ColumnOptions {
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Field for ColumnOptions {
    fn read(value: &Value, faults: &mut Faults) -> Option<Self> {
        let Value::Object(object) = value else { return not_an_object(faults, value) };
        let mut fields = Fields { object, whole: value, faults };
        let name = fields.required("name");
        let column_type = fields.required("type");
        let description = fields.optional("description");
        Some(Self { name: name?, column_type: column_type?, description })
    }
}

/// `POST /datasets/{id}/shardsets`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CreateShardset {
    pub location: String,
    /// None to take them from the files.
    pub columns: Vec<ColumnOptions>,
}

impl Body for CreateShardset {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let location = fields.required("location");
        let columns = fields.required("columns");
        Some(Self { location: location?, columns: columns? })
    }
}

/// `PUT /datasets/{id}/shardsets/{id}`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UpdateShardset {
    pub is_main: bool,
}

impl Body for UpdateShardset {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        Some(Self { is_main: fields.optional("is_main").unwrap_or_default() })
    }
}

/// `POST /datasets/{id}/shardsets/{id}/sync`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncShardset {
    /// Whether files that are known are read again.
    pub overwrite: bool,
}

impl Body for SyncShardset {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        Some(Self { overwrite: fields.optional("overwrite").unwrap_or_default() })
    }
}

/// `PUT /datasets/{id}/columns/{id}`; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UpdateColumn {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub column_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Body for UpdateColumn {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.optional("name");
        let column_type = fields.optional("type");
        Some(Self { name, column_type, description: fields.optional("description") })
    }
}

/// `POST /datasets/{id}/preview`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CreatePreview {
    pub offset: i64,
    pub limit: i64,
}

impl Body for CreatePreview {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let offset = fields.optional("offset").unwrap_or(0);
        Some(Self { offset, limit: fields.optional("limit").unwrap_or(10) })
    }
}

/// `POST /datasets/{id}/preprocess`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PreprocessDataset {
    /// Where the new files are written.
    pub shardset_location: String,
    pub source_shardset_ids: Option<Vec<String>>,
    /// Known and without an effect in the published server.
    pub source_columns: Option<Vec<String>>,
    pub collater: Option<NamedFunction>,
    pub preprocessors: Vec<NamedFunction>,
    pub export_columns: Vec<String>,
    pub batch_size: i64,
    pub overwrite: bool,
    pub drop_last: bool,
    /// Ours: whether the new directory becomes a shardset of the dataset.
    pub register: bool,
}

impl Body for PreprocessDataset {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let shardset_location = fields.required("shardset_location");
        let source_shardset_ids = fields.optional("source_shardset_ids");
        let source_columns = fields.optional("source_columns");
        let collater = fields.optional("collater");
        let preprocessors = fields.required("preprocessors");
        let export_columns = fields.required("export_columns");
        let batch_size = fields.required("batch_size");
        let overwrite = fields.optional("overwrite").unwrap_or_default();
        let drop_last = fields.optional("drop_last").unwrap_or_default();
        let register = fields.optional("register").unwrap_or_default();
        Some(Self {
            shardset_location: shardset_location?,
            source_shardset_ids,
            source_columns,
            collater,
            preprocessors: preprocessors?,
            export_columns: export_columns?,
            batch_size: batch_size?,
            overwrite,
            drop_last,
            register,
        })
    }
}
