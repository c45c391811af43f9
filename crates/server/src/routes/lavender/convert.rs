//! From the node's values to those of the wire.

use lavandin_node::statistics::{ColumnStatistics, DatasetStatistics, Frequencies, Histogram};
use lavandin_node::{ColumnInfo, DatasetInfo, ShardFileInfo, ShardsetInfo, TaskStatus};
use lavandin_wire::lavender::{self as wire, Timestamp};

pub(super) fn dataset(info: &DatasetInfo) -> wire::Dataset {
    wire::Dataset {
        id: info.id.to_string(),
        name: info.name.clone(),
        uid_column_name: info.uid_column_name.clone(),
        created_at: Timestamp::from_unix_s(info.created_at_s),
    }
}

pub(super) fn dataset_full(info: &DatasetInfo) -> wire::DatasetFull {
    wire::DatasetFull {
        dataset: dataset(info),
        columns: info.columns.iter().map(|found| column(info, found)).collect(),
        shardsets: info.shardsets.iter().map(|found| shardset(info, found)).collect(),
    }
}

pub(super) fn column(dataset: &DatasetInfo, info: &ColumnInfo) -> wire::Column {
    wire::Column {
        id: info.id.to_string(),
        dataset_id: dataset.id.to_string(),
        shardset_id: info.shardset.to_string(),
        name: info.name.clone(),
        column_type: info.column_type.clone(),
        description: info.description.clone(),
        created_at: Timestamp::from_unix_s(info.created_at_s),
    }
}

pub(super) fn shardset(dataset: &DatasetInfo, info: &ShardsetInfo) -> wire::Shardset {
    wire::Shardset {
        id: info.id.to_string(),
        dataset_id: dataset.id.to_string(),
        location: info.location.clone(),
        is_main: info.is_main,
        created_at: Timestamp::from_unix_s(info.created_at_s),
        shard_count: info.manifest.map_or(0, |manifest| u64::from(manifest.shard_count)),
        total_samples: info.manifest.map_or(0, |manifest| manifest.total_samples),
    }
}

pub(super) fn shardset_full(dataset: &DatasetInfo, info: &ShardsetInfo) -> wire::ShardsetFull {
    let columns = dataset.columns_of(info.id).map(|found| column(dataset, found)).collect();
    wire::ShardsetFull { shardset: shardset(dataset, info), columns }
}

pub(super) fn shard(shardset: &ShardsetInfo, file: &ShardFileInfo) -> wire::Shard {
    wire::Shard {
        id: file.id.to_string(),
        shardset_id: shardset.id.to_string(),
        location: file.location.clone(),
        filesize: file.bytes,
        samples: file.rows,
        index: u64::from(file.index),
        format: file.format.to_owned(),
        created_at: Timestamp::from_unix_s(file.created_at_s),
    }
}

pub(super) fn task(status: &TaskStatus) -> wire::TaskStatus {
    wire::TaskStatus {
        status: status.status.clone(),
        current: status.current,
        total: status.total,
        error: status.error.clone(),
    }
}

fn histogram(found: Histogram) -> wire::Histogram {
    wire::Histogram { hist: found.counts, bin_edges: found.edges }
}

fn categorical(found: Frequencies) -> wire::CategoricalColumn {
    wire::CategoricalColumn {
        n_unique: found.counts.len() as u64,
        nan_count: found.nan_count,
        frequencies: found.counts.into_iter().collect(),
    }
}

pub(super) fn shard_statistics(found: ColumnStatistics) -> wire::ShardColumnStatistics {
    match found {
        ColumnStatistics::Categorical(found) => wire::ShardColumnStatistics::Categorical(categorical(found)),
        ColumnStatistics::Numeric(found) => wire::ShardColumnStatistics::Numeric(wire::NumericShard {
            histogram: histogram(found.histogram),
            nan_count: found.nan_count,
            count: found.count,
            max: found.max,
            min: found.min,
            sum: found.sum,
            median: found.median,
            sum_squared: found.sum_squared,
        }),
    }
}

pub(super) fn dataset_statistics(found: DatasetStatistics) -> wire::ColumnStatistics {
    match found {
        DatasetStatistics::Categorical(found) => wire::ColumnStatistics::Categorical(categorical(found)),
        DatasetStatistics::Numeric(found) => wire::ColumnStatistics::Numeric(wire::NumericColumn {
            histogram: histogram(found.histogram),
            nan_count: found.nan_count,
            max: found.max,
            min: found.min,
            mean: found.mean,
            median: found.median,
            std: found.std,
        }),
    }
}
