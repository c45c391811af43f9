//! The catalogue of datasets, and syncs of their shard files.

use crate::fixture::*;
use crate::shards::*;
use lavandin_node::{ColumnSpec, NewShardsetRequest, Node, ShardFileInfo};
use lavandin_types::{DatasetId, ErrorCode};
use std::path::Path;

async fn files(node: &Node, shards: Shards) -> Vec<ShardFileInfo> {
    let dataset = node.dataset(shards.dataset).await.expect("it is there");
    let (files, count) = node.shard_files(&dataset, shards.shardset, 0, 1_000).await.expect("it is there");
    assert_eq!(files.len() as u64, count);
    files
}

fn names(files: &[ShardFileInfo]) -> Vec<&str> {
    files.iter().map(|file| file.location.rsplit('/').next().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_is_there_after_a_restart() {
    let (dir, node) = world().await;
    let data = dir.path().join("data");
    write_shards(&data, 3, 10);
    let shards = dataset_over(&node, "animals", &data).await;
    let empty = node.create_dataset(&context(), "empty", "id").await.unwrap();
    let column = node.dataset(shards.dataset).await.unwrap().column_by_name("text").unwrap().id;
    let described = Some("what it says".to_owned());
    node.update_column(&context(), (shards.dataset, column), None, None, described).await.unwrap();
    let before = node.dataset(shards.dataset).await.unwrap();
    let files_before = files(&node, shards).await;
    node.shutdown().await.unwrap();
    drop(node);

    let node = open(dir.path()).await;
    let names: Vec<_> = node.datasets().await.unwrap().iter().map(|dataset| dataset.name.clone()).collect();
    assert_eq!((names.len(), names.contains(&"empty".to_owned())), (2, true));
    let after = node.dataset_by_name("animals").await.unwrap();
    assert_eq!(after, before);
    assert_eq!(after.column(column).unwrap().description.as_deref(), Some("what it says"));
    let columns: Vec<_> = after.columns.iter().map(|column| (&*column.name, &*column.column_type)).collect();
    assert_eq!(columns, [("id", "int64"), ("text", "string")]);
    let manifest = after.shardset(shards.shardset).unwrap().manifest.unwrap();
    assert_eq!((manifest.version, manifest.shard_count, manifest.total_samples), (1, 3, 30));
    assert_eq!(files(&node, shards).await, files_before);
    assert_eq!(node.dataset_statistics(shards.dataset).await.unwrap().len(), 2);

    node.delete_dataset(&context(), shards.dataset).await.unwrap();
    assert_eq!(code(node.dataset(shards.dataset).await), ErrorCode::NotFound);
    node.shutdown().await.unwrap();
    drop(node);
    let node = open(dir.path()).await;
    assert_eq!(
        node.datasets().await.unwrap().iter().map(|dataset| dataset.id).collect::<Vec<_>>(),
        [empty.id]
    );
    assert!(data.join(name(0)).exists(), "the files are not the catalogue's");
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_wishes_are_refused() {
    let (dir, node) = world().await;
    let data = dir.path().join("data");
    write_shards(&data, 1, 5);
    let shards = dataset_over(&node, "animals", &data).await;
    let again = node.create_dataset(&context(), "animals", "id").await;
    assert_eq!(code(again), ErrorCode::AlreadyExists);
    let again = add_shardset(&node, shards.dataset, &data).await;
    assert_eq!(code(again), ErrorCode::AlreadyExists);
    let nowhere = add_shardset(&node, shards.dataset, &dir.path().join("nowhere")).await;
    assert!(nowhere.unwrap_err().to_string().starts_with("No shards found in location."));
    let twice = ["a", "a"].map(|name| ColumnSpec {
        name: name.to_owned(),
        column_type: "int64".to_owned(),
        description: None,
    });
    let twice = NewShardsetRequest { location: location(dir.path()), columns: twice.to_vec() };
    let refused = node.create_shardset(&context(), shards.dataset, twice).await.unwrap_err();
    assert_eq!(refused.to_string(), "column names must be unique");
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_finds_new_changed_and_removed_files() {
    let (dir, node) = world().await;
    let data = dir.path().join("data");
    write_shards(&data, 3, 10);
    std::fs::write(data.join("README.txt"), "no shard file").unwrap();
    let shards = dataset_over(&node, "animals", &data).await;
    let first = files(&node, shards).await;
    assert_eq!(names(&first), [name(0), name(1), name(2)]);

    resync(&node, shards).await;
    assert_eq!(files(&node, shards).await, first, "nothing has changed");
    let version = |node: &Node| {
        let catalogue = node.catalogue();
        let dataset = catalogue.dataset(shards.dataset).unwrap();
        dataset.shardset(shards.shardset).unwrap().manifest.unwrap().version
    };
    assert_eq!(version(&node), 1);

    std::fs::remove_file(data.join(name(0))).unwrap();
    write_shard(&data.join(name(1)), 10..14);
    write_shard(&data.join(name(3)), 30..37);
    resync(&node, shards).await;
    let second = files(&node, shards).await;
    assert_eq!(names(&second), [name(1), name(2), name(3)]);
    assert_eq!(second.iter().map(|file| file.rows).collect::<Vec<_>>(), [4, 10, 7]);
    assert_eq!(second.iter().map(|file| file.index).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(second[1].id, first[2].id, "the same file");
    assert_ne!(second[0].id, first[1].id, "another content");
    assert_eq!(version(&node), 2);

    let iteration = iterate(&node, shards, batches_of(100)).await;
    let (got, _) = call(&node, iteration, 0, true).await;
    let expected: Vec<i64> = (10..14).chain(20..30).chain(30..37).collect();
    let Got::Batch { ids, .. } = got else { panic!("{got:?}") };
    assert_eq!(ids, expected);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_fails_the_sync_and_changes_nothing() {
    let (dir, node) = world().await;
    let data = dir.path().join("data");
    write_shards(&data, 2, 10);
    let shards = dataset_over(&node, "animals", &data).await;
    let whole = std::fs::read(data.join(name(0))).unwrap();
    std::fs::write(data.join(name(2)), &whole[..whole.len() / 2]).unwrap();
    node.sync_shardset(&context(), (shards.dataset, shards.shardset), false).await.unwrap();
    let error = loop {
        let status = node.sync_status(shards.shardset).await.unwrap();
        match status.status.as_str() {
            "failed" => break status.error.unwrap(),
            _ => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    };
    assert!(error.contains(&name(2)), "{error}");
    assert_eq!(files(&node, shards).await.len(), 2);
    std::fs::remove_file(data.join(name(2))).unwrap();
    resync(&node, shards).await;
    node.shutdown().await.unwrap();
}

fn write_texts(dir: &Path) {
    std::fs::create_dir_all(dir).expect("the directory is made");
    for (number, ids) in [0..4, 4..6].into_iter().enumerate() {
        let rows: String = ids.map(|id| format!("{id},{id}.5,\"text, {id}\"\n")).collect();
        std::fs::write(dir.join(format!("part-{number}.csv")), format!("id,score,text\n{rows}"))
            .expect("the file is written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_text_files_are_texts_unless_they_are_declared() {
    let (dir, node) = world().await;
    let data = dir.path().join("data");
    write_texts(&data);
    let undeclared = dataset_over(&node, "texts", &data).await;
    let types = |dataset: DatasetId| -> Vec<String> {
        let catalogue = node.catalogue();
        let dataset = catalogue.dataset(dataset).unwrap();
        dataset.columns.iter().map(|column| format!("{} {}", column.name, column.column_type)).collect()
    };
    assert_eq!(types(undeclared.dataset), ["id string", "score string", "text string"]);

    let declared = [("id", "int64"), ("score", "double"), ("text", "string")];
    let columns = declared.map(|(name, column_type)| ColumnSpec {
        name: name.to_owned(),
        column_type: column_type.to_owned(),
        description: None,
    });
    let dataset = node.create_dataset(&context(), "typed", "id").await.unwrap().id;
    let request = NewShardsetRequest { location: location(&data), columns: columns.to_vec() };
    let (_, shardset) = node.create_shardset(&context(), dataset, request).await.unwrap();
    wait_for_sync(&node, shardset).await;
    assert_eq!(types(dataset), ["id int64", "score double", "text string"]);
    let iteration = iterate(&node, Shards { dataset, shardset }, batches_of(4)).await;
    assert_eq!(take_all(&node, iteration, 0).await, [vec![0, 1, 2, 3], vec![4, 5]]);
    node.shutdown().await.unwrap();
}

/// Makes a feature shardset whose files hold the uids of the main one's, in another order, with one left out.
fn write_features(dir: &Path) {
    std::fs::create_dir_all(dir).expect("the directory is made");
    for number in 0..2_i64 {
        let ids = (number * 10..number * 10 + 10).rev().filter(|id| *id != 13);
        let rows: String = ids.map(|id| format!("{id},label {id}\n")).collect();
        std::fs::write(dir.join(format!("part-{number}.csv")), format!("id,label\n{rows}"))
            .expect("the file is written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_shardsets_are_joined_by_uid() {
    let (dir, node) = world().await;
    let (data, features) = (dir.path().join("data"), dir.path().join("features"));
    write_shards(&data, 2, 10);
    write_features(&features);
    let shards = dataset_over(&node, "joined", &data).await;
    let second = add_shardset(&node, shards.dataset, &features).await.unwrap();
    wait_for_sync(&node, second).await;
    let iteration = iterate(&node, shards, batches_of(7)).await;
    let batches = take_all(&node, iteration, 0).await;
    let expected: Vec<u64> = (0..20).filter(|index| *index != 13).collect();
    assert_eq!(batches.concat(), expected);
    let progress = node.progress(&context(), iteration).await.unwrap();
    assert_eq!((progress.filtered, progress.total, progress.current), (1, 20, 20));
    node.shutdown().await.unwrap();
}
