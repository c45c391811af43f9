//! Searches and listings.

use crate::fixture::*;
use lavandin_node::{BatchIds, Change, RequireCollection, Search, Which};
use lavandin_types::{ErrorCode, RecordId};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_searches_keeps_its_order() {
    let (_dir, node) = world().await;
    require(&node, "c").await;
    // Enough rows that a batch of queries is split over threads.
    let (rows, dim, count) = (4_000, 32, 101);
    let vectors = numbers(1, rows * dim);
    let ids = BatchIds::Range { start: 0, count: rows as u32 };
    change(&node, "c", Change::Add(batch(ids, dim as u32, &vectors))).await;
    node.build_index(&context(), DB, "c", mode("FLAT-L2"), Default::default(), Vec::new()).await.unwrap();
    // Query i is the vector of row 39 * i, so its nearest record is known.
    let asked: Vec<f32> = (0..count).flat_map(|i| vectors[39 * i * dim..][..dim].to_vec()).collect();
    let nearest = search(&node, "c", queries(&asked, dim, 1)).await;
    let expected: Vec<Vec<u64>> = (0..count as u64).map(|i| vec![39 * i]).collect();
    assert_eq!(nearest, expected);
    for (i, query) in asked.chunks(dim).enumerate().step_by(10) {
        assert_eq!(search(&node, "c", queries(query, dim, 1)).await, [expected[i].clone()]);
    }
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_written_to_answers_empty() {
    let (_dir, node) = world().await;
    require(&node, "c").await;
    let filtered = |text: &str| Search { filter: Some(text.to_owned()), ..queries(&[1.0, 0.0], 2, 3) };
    assert_eq!(search(&node, "c", filtered("a > 1")).await, [Vec::<u64>::new()]);
    let broken = node.search(&context(), DB, "c", filtered("a >")).await.unwrap_err();
    assert_eq!(broken.code(), ErrorCode::InvalidArgument);
    assert!(broken.filter_position().is_some());
    let context = context();
    let listed = |which| node.records(&context, DB, "c", which, true);
    assert!(listed(Which::Matching("a > 1".to_owned())).await.unwrap().is_empty());
    assert_eq!(code(listed(Which::Matching("a >".to_owned())).await), ErrorCode::InvalidArgument);
    assert_eq!(code(listed(Which::Ids(vec![RecordId::Int(1)])).await), ErrorCode::InvalidArgument);
    assert!(listed(Which::Last(3)).await.unwrap().is_empty());
    assert!(node.search_range(&context, DB, "c", vec![1.0], 0.5, 9).await.unwrap().is_empty());
    assert!(node.field_names(&context, DB, "c").await.unwrap().is_empty());
    assert_eq!(code(node.search(&context, DB, "d", filtered("a > 1")).await), ErrorCode::NotFound);
    require_with(&node, "fixed", RequireCollection { dim: 3, ..RequireCollection::default() }).await;
    let other = node.search(&context, DB, "fixed", queries(&[1.0, 0.0], 2, 3)).await;
    assert_eq!(code(other), ErrorCode::InvalidArgument);
    let other = node.search_range(&context, DB, "fixed", vec![1.0], 0.5, 9).await;
    assert_eq!(code(other), ErrorCode::InvalidArgument);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_wrong_dimensions_are_refused() {
    let (_dir, node) = world().await;
    require(&node, "c").await;
    change(&node, "c", one(1, [1.0, 0.0])).await;
    for refused in [queries(&[1.0, 0.0], 2, 10_001), queries(&[1.0; 3], 3, 1), queries(&[f32::NAN; 2], 2, 1)]
    {
        assert_eq!(code(node.search(&context(), DB, "c", refused).await), ErrorCode::InvalidArgument);
    }
    assert_eq!(search(&node, "c", queries(&[], 2, 1)).await, Vec::<Vec<u64>>::new());
    node.shutdown().await.unwrap();
}
