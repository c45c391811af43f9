use crate::snapshot::weigh;
use crate::{
    Catalogue, CatalogueError, ColumnChange, Command, DatasetInfo, FoundColumns, ManifestChange, ManifestRef,
    NewColumn, NewDataset, NewShardset, NodeSeed, Reply, limit,
};
use lavandin_types::{ClusterId, ColumnId, DatasetId, ErrorCode, GroupId, NodeId, ShardsetId, StoreId};
use proptest::prelude::*;
use std::sync::Arc;

fn dataset_id(n: u8) -> DatasetId {
    DatasetId::new(1_000 + u64::from(n), [0; 20])
}

fn shardset_id(n: u8) -> ShardsetId {
    ShardsetId::new(1_000 + u64::from(n), [0; 20])
}

fn column_id(n: u8) -> ColumnId {
    ColumnId::new(1_000 + u64::from(n), [0; 20])
}

fn new_dataset(n: u8, name: &str) -> Command {
    let (name, uid_column_name) = (name.to_owned(), "id".to_owned());
    Command::CreateDataset(NewDataset { id: dataset_id(n), name, uid_column_name, created_at_s: 50 })
}

fn columns(names: &[(u8, &str)]) -> Vec<NewColumn> {
    let column = |(n, name): &(u8, &str)| NewColumn {
        id: column_id(*n),
        name: (*name).to_owned(),
        column_type: "int64".to_owned(),
        description: None,
    };
    names.iter().map(column).collect()
}

fn new_shardset(n: u8, location: &str, columns: Vec<NewColumn>) -> NewShardset {
    let location = location.to_owned();
    NewShardset {
        dataset: dataset_id(1),
        id: shardset_id(n),
        location,
        columns,
        created_at_s: 100 - u64::from(n),
    }
}

fn delete_shardset(n: u8) -> Command {
    Command::DeleteShardset { dataset: dataset_id(1), shardset: shardset_id(n) }
}

fn set_main(n: u8, is_main: bool) -> Command {
    Command::SetMainShardset { dataset: dataset_id(1), shardset: shardset_id(n), is_main }
}

fn manifest(version: u64) -> ManifestRef {
    ManifestRef { version, hash: 7, shard_count: 2, total_samples: 20, bytes: 300 }
}

fn set_manifest(n: u8, version: u64, expected: u64) -> Command {
    let (dataset, shardset) = (dataset_id(1), shardset_id(n));
    Command::SetManifest(ManifestChange { dataset, shardset, manifest: manifest(version), expected })
}

/// A catalogue with dataset 1 named "d".
fn formed() -> Catalogue {
    let mut catalogue = Catalogue::default();
    let node = NodeSeed { id: NodeId::new(1), store: StoreId::new(7), address: String::new() };
    catalogue.apply(Command::FormCluster { cluster: ClusterId::new(1), node }).unwrap();
    catalogue.apply(new_dataset(1, "d")).unwrap();
    catalogue
}

fn after(catalogue: &mut Catalogue, command: Command) -> (Arc<DatasetInfo>, bool) {
    match catalogue.apply(command).unwrap() {
        Reply::Dataset { info, changed } => (info, changed),
        other => panic!("{other:?}"),
    }
}

fn names(info: &DatasetInfo) -> Vec<&str> {
    info.columns.iter().map(|column| column.name.as_str()).collect()
}

#[test]
fn a_dataset_is_created_once_and_found_by_id_and_name() {
    let mut catalogue = formed();
    let info = catalogue.dataset_by_name("d").unwrap().clone();
    assert_eq!((info.id, info.group), (dataset_id(1), GroupId::new(1)));
    assert!(!after(&mut catalogue, new_dataset(1, "d")).1);
    let twin = catalogue.apply(new_dataset(2, "d")).unwrap_err();
    assert_eq!(twin.code(), ErrorCode::AlreadyExists);
    assert!(twin.to_string().starts_with("Dataset name must be unique"), "{twin}");
    assert_eq!(catalogue.apply(new_dataset(1, "e")).unwrap_err().code(), ErrorCode::AlreadyExists);
    assert_eq!(catalogue.apply(new_dataset(3, "")).unwrap_err().code(), ErrorCode::InvalidArgument);
    let long = "x".repeat(limit::DATASET_NAME_BYTES_MAX + 1);
    assert_eq!(catalogue.apply(new_dataset(3, &long)).unwrap_err().code(), ErrorCode::InvalidArgument);

    let bytes = catalogue.bytes();
    after(&mut catalogue, new_dataset(2, "any name, with spaces/é"));
    let order: Vec<_> = catalogue.datasets().map(|info| info.id).collect();
    assert_eq!(order, [dataset_id(1), dataset_id(2)]);
    let delete = || Command::DeleteDataset { dataset: dataset_id(2) };
    let Ok(Reply::DatasetDropped { info: Some(info) }) = catalogue.apply(delete()) else { panic!() };
    assert_eq!(info.id, dataset_id(2));
    assert_eq!(catalogue.apply(delete()), Ok(Reply::DatasetDropped { info: None }));
    assert_eq!(catalogue.dataset(dataset_id(2)), Err(CatalogueError::DatasetNotFound));
    assert_eq!(catalogue.dataset_by_name("any name, with spaces/é"), Err(CatalogueError::DatasetNotFound));
    assert_eq!(catalogue.bytes(), bytes);
}

#[test]
fn columns_that_are_known_are_skipped() {
    let mut catalogue = formed();
    let first = new_shardset(1, "file:///a", columns(&[(1, "id"), (2, "x")]));
    after(&mut catalogue, Command::CreateShardset(first.clone()));
    // The second brings an id of its own for a name that the first declared.
    let second = new_shardset(2, "file:///b", columns(&[(3, "id"), (4, "y")]));
    let (info, changed) = after(&mut catalogue, Command::CreateShardset(second));
    assert_eq!((names(&info), changed), (vec!["id", "x", "y"], true));
    assert_eq!(info.uid_column().unwrap().shardset, shardset_id(1));
    assert_eq!(info.columns_of(shardset_id(2)).count(), 1);
    assert!(!after(&mut catalogue, Command::CreateShardset(first)).1);

    let found = |columns| {
        Command::AddColumns(FoundColumns {
            dataset: dataset_id(1),
            shardset: shardset_id(2),
            columns,
            created_at_s: 9,
        })
    };
    let (info, changed) = after(&mut catalogue, found(columns(&[(5, "z"), (6, "x")])));
    assert_eq!((names(&info), changed), (vec!["id", "x", "y", "z"], true));
    assert!(!after(&mut catalogue, found(columns(&[(7, "z")]))).1, "sync again finds nothing new");
    let reused = catalogue.apply(found(columns(&[(5, "w")]))).unwrap_err();
    assert_eq!(reused.code(), ErrorCode::AlreadyExists);
    let twice = catalogue.apply(found(columns(&[(8, "v"), (9, "v")]))).unwrap_err();
    assert!(twice.to_string().starts_with("column names must be unique"), "{twice}");
}

#[test]
fn a_location_belongs_to_one_shardset() {
    let mut catalogue = formed();
    after(&mut catalogue, Command::CreateShardset(new_shardset(1, "file:///a", vec![])));
    let refused = |catalogue: &mut Catalogue, new| catalogue.apply(Command::CreateShardset(new)).unwrap_err();
    let twin = refused(&mut catalogue, new_shardset(2, "file:///a", vec![]));
    assert_eq!(twin.code(), ErrorCode::AlreadyExists);
    assert!(twin.to_string().starts_with("unique constraint failed"), "{twin}");
    let moved = refused(&mut catalogue, new_shardset(1, "file:///b", vec![]));
    assert_eq!(moved.code(), ErrorCode::AlreadyExists);
    let nowhere = refused(&mut catalogue, new_shardset(3, "", vec![]));
    assert_eq!(nowhere.code(), ErrorCode::InvalidArgument);
    let lost = NewShardset { dataset: dataset_id(9), ..new_shardset(3, "file:///c", vec![]) };
    assert_eq!(refused(&mut catalogue, lost), CatalogueError::DatasetNotFound);
}

#[test]
fn the_main_shardset_is_the_chosen_one_or_the_oldest() {
    let mut catalogue = formed();
    assert_eq!(catalogue.dataset(dataset_id(1)).unwrap().main_shardset(), None);
    // A higher number was created earlier.
    for n in [1, 3, 2] {
        after(&mut catalogue, Command::CreateShardset(new_shardset(n, &format!("file:///{n}"), vec![])));
    }
    let main = |info: &DatasetInfo| info.main_shardset().unwrap().id;
    let info = catalogue.dataset(dataset_id(1)).unwrap().clone();
    assert_eq!(main(&info), shardset_id(3));
    let of = |chosen: &[u8]| {
        let chosen: Vec<_> = chosen.iter().map(|n| shardset_id(*n)).collect();
        info.main_shardset_of(&chosen).map(|shardset| shardset.id)
    };
    assert_eq!((of(&[1, 2]), of(&[9])), (Some(shardset_id(2)), None));

    assert_eq!(main(&after(&mut catalogue, set_main(1, true)).0), shardset_id(1));
    let (info, _) = after(&mut catalogue, set_main(2, true));
    assert_eq!(info.shardsets.iter().filter(|shardset| shardset.is_main).count(), 1);
    assert_eq!(main(&info), shardset_id(2));
    assert!(!after(&mut catalogue, set_main(2, true)).1);
    assert_eq!(main(&after(&mut catalogue, set_main(2, false)).0), shardset_id(3));
    assert_eq!(catalogue.apply(set_main(9, true)), Err(CatalogueError::ShardsetNotFound));
}

#[test]
fn shardsets_of_one_second_are_told_apart_by_their_ids() {
    let mut catalogue = formed();
    for n in [2, 1] {
        let new = NewShardset { created_at_s: 5, ..new_shardset(n, &format!("file:///{n}"), vec![]) };
        after(&mut catalogue, Command::CreateShardset(new));
    }
    let info = catalogue.dataset(dataset_id(1)).unwrap();
    assert_eq!(info.main_shardset().unwrap().id, shardset_id(1));
}

#[test]
fn columns_go_with_their_shardset_but_for_the_uid_column() {
    let mut catalogue = formed();
    let bytes = catalogue.bytes();
    for (n, own) in [(1, "x"), (2, "y")] {
        let columns = columns(&[(10 * n, "id"), (10 * n + 1, own)]);
        after(&mut catalogue, Command::CreateShardset(new_shardset(n, &format!("file:///{n}"), columns)));
    }
    let Ok(Reply::ShardsetDropped { info, dropped: Some(dropped) }) = catalogue.apply(delete_shardset(1))
    else {
        panic!()
    };
    assert_eq!((names(&info), dropped.id), (vec!["id", "y"], shardset_id(1)));
    assert_eq!(info.uid_column().unwrap().shardset, shardset_id(2));
    let again = catalogue.apply(delete_shardset(1)).unwrap();
    assert_eq!(again, Reply::ShardsetDropped { info, dropped: None });
    catalogue.apply(delete_shardset(2)).unwrap();
    assert!(catalogue.dataset(dataset_id(1)).unwrap().columns.is_empty());
    assert_eq!(catalogue.bytes(), bytes);
}

#[test]
fn a_column_is_changed_in_part() {
    let mut catalogue = formed();
    let new = new_shardset(1, "file:///a", columns(&[(1, "id"), (2, "x")]));
    after(&mut catalogue, Command::CreateShardset(new));
    let change = |name: Option<&str>, description: Option<&str>| {
        Command::UpdateColumn(ColumnChange {
            dataset: dataset_id(1),
            column: column_id(2),
            name: name.map(str::to_owned),
            column_type: None,
            description: description.map(str::to_owned),
        })
    };
    let (info, changed) = after(&mut catalogue, change(None, Some("width")));
    assert!(changed && info.column(column_id(2)).unwrap().description.as_deref() == Some("width"));
    let (info, _) = after(&mut catalogue, change(Some("y"), None));
    let column = info.column_by_name("y").unwrap();
    assert_eq!((column.column_type.as_str(), column.description.as_deref()), ("int64", Some("width")));
    assert!(!after(&mut catalogue, change(Some("y"), None)).1);
    let taken = catalogue.apply(change(Some("id"), None)).unwrap_err();
    assert_eq!(taken.code(), ErrorCode::AlreadyExists);
    let gone = ColumnChange {
        dataset: dataset_id(1),
        column: column_id(9),
        name: None,
        column_type: None,
        description: None,
    };
    assert_eq!(catalogue.apply(Command::UpdateColumn(gone)), Err(CatalogueError::ColumnNotFound));
}

#[test]
fn a_manifest_is_replaced_by_who_knows_the_one_before() {
    let mut catalogue = formed();
    after(&mut catalogue, Command::CreateShardset(new_shardset(1, "file:///a", vec![])));
    let (info, _) = after(&mut catalogue, set_manifest(1, 1, 0));
    assert_eq!(info.shardset(shardset_id(1)).unwrap().manifest, Some(manifest(1)));
    assert!(!after(&mut catalogue, set_manifest(1, 1, 0)).1, "proposed again");
    let late = catalogue.apply(set_manifest(1, 2, 0)).unwrap_err();
    assert_eq!(late, CatalogueError::ManifestMoved { expected: 0, found: 1 });
    let back = catalogue.apply(set_manifest(1, 0, 1)).unwrap_err();
    assert_eq!(back.code(), ErrorCode::InvalidArgument);
    assert!(after(&mut catalogue, set_manifest(1, 5, 1)).1);
    assert_eq!(catalogue.apply(set_manifest(2, 1, 0)), Err(CatalogueError::ShardsetNotFound));
}

#[test]
fn the_parts_of_a_dataset_are_bounded() {
    let mut catalogue = formed();
    let many: Vec<_> = (0..=limit::COLUMNS_PER_SHARDSET_MAX)
        .map(|n| NewColumn {
            id: ColumnId::new(n as u64 + 1_000_000, [0; 20]),
            name: n.to_string(),
            column_type: "int64".to_owned(),
            description: None,
        })
        .collect();
    let error = catalogue.apply(Command::CreateShardset(new_shardset(1, "file:///a", many.clone())));
    assert!(matches!(error, Err(CatalogueError::LimitReached { max: 4_096, .. })), "{error:?}");
    after(&mut catalogue, Command::CreateShardset(new_shardset(1, "file:///a", many[1..].to_vec())));
    catalogue.bytes = limit::METADATA_BYTES_MAX - 100;
    let before = catalogue.clone();
    let error = catalogue.apply(Command::CreateShardset(new_shardset(2, "file:///b", vec![]))).unwrap_err();
    assert!(error.to_string().contains("bytes of metadata"), "{error}");
    assert_eq!(catalogue, before);
}

/// Any command of datasets over a few names and ids, so that they meet.
fn command() -> impl Strategy<Value = Command> {
    let name = || prop::sample::select(vec!["a", "b", "c", ""]).prop_map(str::to_owned);
    let optional = move || prop::option::of(name());
    let column = (0u8..8, name(), optional()).prop_map(|(n, name, description)| NewColumn {
        id: column_id(n),
        name,
        column_type: "string".to_owned(),
        description,
    });
    let columns = || prop::collection::vec(column.clone(), 0..4);
    let dataset = || (0u8..3).prop_map(dataset_id);
    let shardset = || (0u8..4).prop_map(shardset_id);
    prop_oneof![
        (dataset(), name(), name(), 0u64..3).prop_map(|(id, name, uid_column_name, created_at_s)| {
            Command::CreateDataset(NewDataset { id, name, uid_column_name, created_at_s })
        }),
        dataset().prop_map(|dataset| Command::DeleteDataset { dataset }),
        (dataset(), shardset(), name(), columns(), 0u64..3).prop_map(
            |(dataset, id, location, columns, created_at_s)| {
                Command::CreateShardset(NewShardset { dataset, id, location, columns, created_at_s })
            }
        ),
        (dataset(), shardset()).prop_map(|(dataset, shardset)| Command::DeleteShardset { dataset, shardset }),
        (dataset(), shardset(), any::<bool>()).prop_map(|(dataset, shardset, is_main)| {
            Command::SetMainShardset { dataset, shardset, is_main }
        }),
        (dataset(), (0u8..8).prop_map(column_id), optional(), optional()).prop_map(
            |(dataset, column, name, description)| {
                let column_type = None;
                Command::UpdateColumn(ColumnChange { dataset, column, name, column_type, description })
            }
        ),
        (dataset(), shardset(), 0u64..4, 0u64..3).prop_map(|(dataset, shardset, version, expected)| {
            let manifest = manifest(version);
            Command::SetManifest(ManifestChange { dataset, shardset, manifest, expected })
        }),
        (dataset(), shardset(), columns(), 0u64..3).prop_map(|(dataset, shardset, columns, created_at_s)| {
            Command::AddColumns(FoundColumns { dataset, shardset, columns, created_at_s })
        }),
    ]
}

proptest! {
    /// What holds after every command, whatever came before: a refusal changes nothing, an accepted command may be
    /// proposed again at once without a further change, the weight is the sum of the entries, names and locations
    /// stay unique, and a snapshot or the log's bytes give the same state.
    #[test]
    fn invariants_hold_after_every_command(commands in prop::collection::vec(command(), 1..60)) {
        let mut catalogue = formed();
        let mut replayed = catalogue.clone();
        for command in commands {
            let before = catalogue.clone();
            let outcome = catalogue.apply(command.clone());
            if outcome.is_err() {
                prop_assert_eq!(&catalogue, &before);
            }
            let logged = Command::decode(&command.encode()).unwrap();
            prop_assert_eq!(&logged, &command);
            prop_assert_eq!(&replayed.apply(logged), &outcome);
            prop_assert_eq!(catalogue.bytes(), weigh(&catalogue));
            let snapshot = catalogue.encode();
            // Decoding refuses doubled names, ids and columns without a shardset.
            replayed = Catalogue::decode(&snapshot).unwrap();
            prop_assert_eq!(&replayed, &catalogue);
            prop_assert_eq!(replayed.encode(), snapshot);
            if outcome.is_ok() {
                let mut again = catalogue.clone();
                prop_assert!(again.apply(command).is_ok());
                prop_assert_eq!(&again, &catalogue);
            }
        }
    }
}
