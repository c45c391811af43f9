//! Statistics of columns: of one shard file, and of a dataset.

use crate::lavender::reply::{Named, json};
use serde::{Deserialize, Deserializer, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    pub hist: Vec<f64>,
    /// One more than `hist` has.
    pub bin_edges: Vec<f64>,
}

/// Numbers of one shard file, or lengths of its texts, bytes, lists and objects. Numbers that do not exist (of no
/// values) are NaN, and null in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumericShard {
    pub histogram: Histogram,
    pub nan_count: u64,
    pub count: u64,
    #[serde(deserialize_with = "or_nan")]
    pub max: f64,
    #[serde(deserialize_with = "or_nan")]
    pub min: f64,
    #[serde(deserialize_with = "or_nan")]
    pub sum: f64,
    #[serde(deserialize_with = "or_nan")]
    pub median: f64,
    #[serde(deserialize_with = "or_nan")]
    pub sum_squared: f64,
}

/// The same of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumericColumn {
    pub histogram: Histogram,
    pub nan_count: u64,
    #[serde(deserialize_with = "or_nan")]
    pub max: f64,
    #[serde(deserialize_with = "or_nan")]
    pub min: f64,
    #[serde(deserialize_with = "or_nan")]
    pub mean: f64,
    #[serde(deserialize_with = "or_nan")]
    pub median: f64,
    #[serde(deserialize_with = "or_nan")]
    pub std: f64,
}

/// How often each of few values occurs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoricalColumn {
    pub frequencies: Named<u64>,
    pub n_unique: u64,
    pub nan_count: u64,
}

/// Of one column of a shard file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ShardColumnStatistics {
    Categorical(CategoricalColumn),
    Numeric(NumericShard),
}

/// Of one column of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ColumnStatistics {
    Categorical(CategoricalColumn),
    Numeric(NumericColumn),
}

/// `GET …/shards/{id}/statistics`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardStatistics {
    pub shard_id: String,
    /// By column.
    pub data: Named<ShardColumnStatistics>,
}

/// `GET /datasets/{id}/statistics`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetStatistics {
    /// By column.
    pub statistics: Named<ColumnStatistics>,
}

impl ShardStatistics {
    pub fn to_json(&self) -> Vec<u8> {
        json(self)
    }
}

impl DatasetStatistics {
    pub fn to_json(&self) -> Vec<u8> {
        json(self)
    }
}

fn or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
