//! Databases and collections come, go, and come again.

use crate::fixture::*;
use lavandin_node::{Change, Outcome, RequireCollection};
use lavandin_types::{ElementType, ErrorCode, RecordId};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn many_first_calls_form_one_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(dir.path()).await;
    let create = |index: usize| {
        let node = Arc::clone(&node);
        tokio::spawn(async move { node.create_database(&context(), &format!("db{index}"), false).await })
    };
    for task in (0..16).map(create).collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    assert_eq!(node.databases().await.unwrap().len(), 16);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_are_created_emptied_and_dropped() {
    let (_dir, node) = world().await;
    require(&node, "c").await;
    change(&node, "c", one(1, [1.0, 0.0])).await;
    node.create_database(&context(), DB, false).await.unwrap();
    assert_eq!(int_ids(&node, "c").await, [1], "creating what exists changes nothing");
    node.create_database(&context(), DB, true).await.unwrap();
    assert!(node.collections(DB).await.unwrap().is_empty());
    assert_eq!(node.statistics().open_collections, 0);
    assert!(node.drop_database(&context(), DB).await.unwrap());
    assert!(!node.drop_database(&context(), DB).await.unwrap());
    assert!(!node.database_exists(DB).await.unwrap());
    assert_eq!(code(node.collections(DB).await), ErrorCode::NotFound);
    let orphan = node.require_collection(&context(), DB, "c", RequireCollection::default()).await;
    assert_eq!(code(orphan), ErrorCode::NotFound);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requiring_keeps_what_exists_or_replaces_it() {
    let (_dir, node) = world().await;
    let narrow = RequireCollection {
        element: Some(ElementType::F16),
        description: Some("narrow".to_owned()),
        ..RequireCollection::default()
    };
    require_with(&node, "c", narrow).await;
    change(&node, "c", one(1, [1.0, 0.0])).await;
    let kept = node.require_collection(&context(), DB, "c", RequireCollection::default()).await.unwrap();
    assert_eq!((kept.element, kept.dim), (ElementType::F16, 2));
    assert_eq!(statistics(&node, "c").await.ever_written, 1);
    assert_eq!(kept.description.as_deref(), Some("narrow"));
    let wide = RequireCollection { element: Some(ElementType::F32), ..RequireCollection::default() };
    let refused = node.require_collection(&context(), DB, "c", wide.clone()).await;
    assert_eq!(code(refused), ErrorCode::InvalidArgument);
    require_with(&node, "c", RequireCollection { drop_if_exists: true, ..wide }).await;
    let fresh = node.collection(DB, "c").await.unwrap();
    assert_eq!((fresh.element, fresh.dim), (ElementType::F32, 0));
    assert_eq!(statistics(&node, "c").await.ever_written, 0);
    assert!(ids(&node, "c").await.is_empty());
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_created_again_is_empty() {
    let (_dir, node) = world().await;
    require(&node, "c").await;
    change(&node, "c", one(1, [1.0, 0.0])).await;
    assert!(node.drop_collection(&context(), DB, "c").await.unwrap());
    assert!(!node.drop_collection(&context(), DB, "c").await.unwrap());
    assert_eq!(refuse(&node, "c", one(2, [1.0, 0.0])).await, ErrorCode::NotFound);
    require(&node, "c").await;
    assert!(ids(&node, "c").await.is_empty());
    assert_eq!(change(&node, "c", Change::Restore(vec![RecordId::Int(1)])).await, Outcome::Count(0));
    node.shutdown().await.unwrap();
}

/// Writers race with drops and re-creations. What a writer was told was written before the last drop began must not be
/// there after it; and when all is dropped, no record is left in memory.
#[tokio::test(flavor = "multi_thread")]
async fn writes_that_race_with_drops_leave_nothing() {
    let (_dir, node) = world().await;
    for round in 0..60 {
        require(&node, "c").await;
        let write = |id: u64| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.change(&context(), DB, "c", one(id, [1.0, 0.0])).await })
        };
        let writers: Vec<_> = (0..4).map(write).collect();
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        let again = RequireCollection { drop_if_exists: true, dim: 2, ..RequireCollection::default() };
        node.require_collection(&context(), DB, "c", again).await.unwrap();
        for writer in writers {
            match writer.await.unwrap() {
                Ok(outcome) => assert_eq!(outcome, Outcome::Count(1)),
                Err(error) => assert_eq!(error.code(), ErrorCode::NotFound, "{error}"),
            }
        }
        node.drop_collection(&context(), DB, "c").await.unwrap();
        assert_eq!(node.statistics().open_collections, 0, "round {round}");
    }
    node.shutdown().await.unwrap();
}
