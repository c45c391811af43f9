//! API keys.

use crate::fixture::*;
use lavandin_node::{ApiKey, KeyRole, Node};

fn key(node: &Node, note: &str) -> ApiKey {
    ApiKey {
        id: node.new_key_id().expect("an id").to_string(),
        secret_hash: [7; 32],
        role: KeyRole::Read,
        note: Some(note.to_owned()),
        locked: false,
        expires_at_s: Some(2_000_000_000),
        created_at_s: 1_700_000_000,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_put_replaced_and_removed_for_good() {
    let (dir, node) = world().await;
    let (first, second) = (key(&node, "first"), key(&node, "second"));
    assert!(first.id.starts_with("la-") && first.id != second.id);
    for key in [&first, &second] {
        node.put_key(&context(), key.clone()).await.unwrap();
    }
    let locked = ApiKey { locked: true, ..first.clone() };
    node.put_key(&context(), locked.clone()).await.unwrap();
    node.remove_key(&context(), &second.id).await.unwrap();
    node.remove_key(&context(), "la-never-there").await.unwrap();
    node.shutdown().await.unwrap();
    drop(node);

    let node = open(dir.path()).await;
    let catalogue = node.catalogue();
    assert_eq!(catalogue.keys().len(), 1);
    assert_eq!(catalogue.key(&first.id).map(|key| ApiKey::clone(key)), Some(locked));
    assert!(catalogue.key(&second.id).is_none());
    node.shutdown().await.unwrap();
}
