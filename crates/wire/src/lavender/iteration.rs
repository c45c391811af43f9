//! The request body of `POST /iterations/`.

use crate::lavender::check::{Body, Field, Fields};
use crate::lavender::extension::IterationExtension;
use crate::lavender::invalid::Faults;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A filter, categorizer, collater or preprocessor and its parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NamedFunction {
    pub name: String,
    pub params: Map<String, Value>,
}

impl Field for NamedFunction {
    fn read(value: &Value, faults: &mut Faults) -> Option<Self> {
        let Value::Object(object) = value else {
            return faults.note("dict_type", "Input should be a valid dictionary", value);
        };
        let mut fields = Fields { object, whole: value, faults };
        let name = fields.required("name");
        let params = fields.required("params");
        Some(Self { name: name?, params: params? })
    }
}

/// `POST /iterations/`; what each field means is told in docs/http-api.md. `None` asks for the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CreateIteration {
    pub dataset_id: String,
    pub shardsets: Option<Vec<String>>,
    pub filters: Option<Vec<NamedFunction>>,
    pub categorizer: Option<NamedFunction>,
    pub collater: Option<NamedFunction>,
    pub preprocessors: Option<Vec<NamedFunction>>,
    pub shuffle: Option<bool>,
    pub shuffle_seed: Option<i64>,
    pub shuffle_block_size: Option<i64>,
    pub batch_size: Option<i64>,
    pub replication_pg: Option<Vec<Vec<i64>>>,
    pub rank: Option<i64>,
    pub world_size: Option<i64>,
    pub wait_participant_threshold: Option<f64>,
    pub cluster_sync: Option<bool>,
    /// Our own fields.
    #[serde(flatten)]
    pub extension: IterationExtension,
}

impl Body for CreateIteration {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let dataset_id = fields.required("dataset_id");
        let read = Self {
            dataset_id: String::new(),
            shardsets: fields.optional("shardsets"),
            filters: fields.optional("filters"),
            categorizer: fields.optional("categorizer"),
            collater: fields.optional("collater"),
            preprocessors: fields.optional("preprocessors"),
            shuffle: fields.optional("shuffle"),
            shuffle_seed: fields.optional("shuffle_seed"),
            shuffle_block_size: fields.optional("shuffle_block_size"),
            batch_size: fields.optional("batch_size"),
            replication_pg: fields.optional("replication_pg"),
            rank: fields.optional("rank"),
            world_size: fields.optional("world_size"),
            wait_participant_threshold: fields.optional("wait_participant_threshold"),
            cluster_sync: fields.optional("cluster_sync"),
            extension: IterationExtension::read(fields),
        };
        Some(Self { dataset_id: dataset_id?, ..read })
    }
}
