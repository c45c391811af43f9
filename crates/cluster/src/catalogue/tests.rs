use crate::snapshot::weigh;
use crate::{
    ApiKey, Catalogue, CatalogueError, CollectionInfo, Command, IndexDefinition, IntegerIdForm, KeyRole,
    NodeRegistration, NodeSeed, Reply, limit,
};
use lavandin_types::{
    BuildParameters, ClusterId, CollectionId, ElementType, ErrorCode, GroupId, IndexMode, NodeId,
    PrimaryEpoch, SchemaVersion, StoreId,
};
use std::sync::Arc;

fn form(cluster: u128) -> Command {
    let node = NodeSeed { id: NodeId::new(1), store: StoreId::new(7), address: String::new() };
    Command::FormCluster { cluster: ClusterId::new(cluster), node }
}

fn create_database(name: &str) -> Command {
    Command::CreateDatabase { name: name.to_owned(), drop_if_exists: false }
}

fn create(database: &str, name: &str, dim: u32) -> Command {
    Command::CreateCollection {
        database: database.to_owned(),
        name: name.to_owned(),
        dim,
        element: ElementType::F32,
        description: None,
        drop_if_exists: false,
    }
}

fn key(id: &str, note: Option<&str>) -> ApiKey {
    ApiKey {
        id: id.to_owned(),
        secret_hash: [3; 32],
        role: KeyRole::Write,
        note: note.map(str::to_owned),
        locked: false,
        expires_at_s: None,
        created_at_s: 5,
    }
}

fn formed() -> Catalogue {
    let mut catalogue = Catalogue::default();
    catalogue.apply(form(1)).unwrap();
    catalogue.apply(create_database("db")).unwrap();
    catalogue
}

fn created(catalogue: &mut Catalogue, command: Command) -> Arc<CollectionInfo> {
    match catalogue.apply(command).unwrap() {
        Reply::Collection { info, .. } => info,
        other => panic!("{other:?}"),
    }
}

fn updated(catalogue: &mut Catalogue, command: Command) -> (Arc<CollectionInfo>, bool) {
    match catalogue.apply(command).unwrap() {
        Reply::Updated { info, changed } => (info, changed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn forming_is_a_compare_and_set() {
    let mut catalogue = Catalogue::default();
    assert_eq!(catalogue.apply(create_database("db")), Err(CatalogueError::NotFormed));
    assert_eq!(catalogue.cluster(), None);
    let group = GroupId::new(1);
    let reply = Reply::Formed { cluster: ClusterId::new(1), group };
    assert_eq!(catalogue.apply(form(1)), Ok(reply.clone()));
    assert_eq!(catalogue.apply(form(1)), Ok(reply));
    assert_eq!(catalogue.apply(form(2)), Err(CatalogueError::AlreadyFormed { cluster: ClusterId::new(1) }));
    assert_eq!(catalogue.group(group).unwrap().name, "sg0");
    assert_eq!(catalogue.group(group).unwrap().primary, NodeId::new(1));
}

#[test]
fn another_incarnation_of_a_primary_has_another_epoch() {
    let mut catalogue = formed();
    let register = |store, address: &str| {
        let (store, address) = (StoreId::new(store), address.to_owned());
        Command::RegisterNode(NodeRegistration { store, address, ..NodeRegistration::default() })
    };
    let Ok(Reply::Node(node)) = catalogue.apply(register(7, "a:1")) else { panic!() };
    assert_eq!((node.id, node.incarnation), (NodeId::new(1), 2));
    let group = catalogue.group(GroupId::new(1)).unwrap().clone();
    assert_eq!((group.epoch, group.version), (PrimaryEpoch::new(2), 2));
    assert_eq!(group.in_sync[&node.id], 2);
    let Ok(Reply::Node(other)) = catalogue.apply(register(8, "b:1")) else { panic!() };
    assert_eq!((other.id, other.incarnation), (NodeId::new(2), 1));
    assert_eq!(catalogue.group(GroupId::new(1)), Some(&group));
    assert_eq!(catalogue.bytes(), weigh(&catalogue));
}

#[test]
fn collections_are_created_opened_and_replaced() {
    let mut catalogue = formed();
    assert_eq!(
        catalogue.apply(create("nowhere", "c", 4)).unwrap_err().to_string(),
        "Database not found: nowhere"
    );
    let first = created(&mut catalogue, create("db", "c", 4));
    assert_eq!((first.id, first.schema_version), (CollectionId::new(1), SchemaVersion::new(1)));
    assert_eq!(catalogue.collection("db", "c").unwrap(), &first);
    // Opened with another dimension: its own stays.
    let reply = catalogue.apply(create("db", "c", 9)).unwrap();
    assert_eq!(reply, Reply::Collection { info: first.clone(), created: false, dropped: None });

    let half = |drop_if_exists| Command::CreateCollection {
        database: "db".to_owned(),
        name: "c".to_owned(),
        dim: 8,
        element: ElementType::F16,
        description: Some("half".to_owned()),
        drop_if_exists,
    };
    let error = catalogue.apply(half(false)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    assert!(error.to_string().contains("stores float32, float16 was asked for"), "{error}");
    let Ok(Reply::Collection { info, created: true, dropped }) = catalogue.apply(half(true)) else {
        panic!()
    };
    assert_eq!((info.id, dropped), (CollectionId::new(2), Some(first.id)));
    assert_eq!(catalogue.collection_by_id(first.id), Err(CatalogueError::CollectionDropped { id: first.id }));
}

#[test]
fn dropping_tells_whose_data_may_go() {
    let mut catalogue = formed();
    let ids = ["a", "b"].map(|name| created(&mut catalogue, create("db", name, 0)).id);
    let drop_a = || Command::DropCollection { database: "db".to_owned(), name: "a".to_owned() };
    assert_eq!(catalogue.apply(drop_a()), Ok(Reply::Dropped { collections: vec![ids[0]] }));
    assert_eq!(catalogue.apply(drop_a()), Ok(Reply::Dropped { collections: vec![] }));
    assert_eq!(catalogue.collection("db", "a").unwrap_err().to_string(), "Collection not found: a");
    let again = Command::CreateDatabase { name: "db".to_owned(), drop_if_exists: true };
    assert_eq!(catalogue.apply(again), Ok(Reply::Database { created: true, dropped: vec![ids[1]] }));
    assert_eq!(created(&mut catalogue, create("db", "a", 0)).id, CollectionId::new(3));
    let drop_database = || Command::DropDatabase { name: "db".to_owned() };
    let dropped = vec![CollectionId::new(3)];
    assert_eq!(catalogue.apply(drop_database()), Ok(Reply::Dropped { collections: dropped }));
    assert_eq!(catalogue.apply(drop_database()), Ok(Reply::Dropped { collections: vec![] }));
    assert_eq!(catalogue.apply(drop_a()).unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(catalogue.bytes(), weigh(&catalogue));
    assert_eq!(catalogue.databases().len() + catalogue.collections().len(), 0);
}

#[test]
fn the_dimension_is_fixed_once() {
    let mut catalogue = formed();
    let collection = created(&mut catalogue, create("db", "c", 0)).id;
    let fix = |dim| Command::FixDimension { collection, dim };
    assert_eq!(catalogue.apply(fix(0)), Err(CatalogueError::DimensionOutOfRange { got: 0 }));
    let (info, changed) = updated(&mut catalogue, fix(4));
    assert_eq!((info.dim, info.schema_version, changed), (4, SchemaVersion::new(2), true));
    assert!(!updated(&mut catalogue, fix(4)).1);
    assert_eq!(catalogue.apply(fix(5)).unwrap_err().to_string(), "Dimension mismatch: expected 4, got 5");
    let gone = Command::FixDimension { collection: CollectionId::new(9), dim: 4 };
    assert_eq!(catalogue.apply(gone).unwrap_err().code(), ErrorCode::NotFound);
}

#[test]
fn an_index_is_set_and_removed() {
    let mut catalogue = formed();
    let collection = created(&mut catalogue, create("db", "c", 4)).id;
    let mode = IndexMode::parse("hnsw-l2").unwrap();
    let mut index = IndexDefinition::new(&mode, BuildParameters { m: Some(8), ..BuildParameters::default() });
    index.other.insert("alpha".to_owned(), "1.2".to_owned());
    let set = |index| Command::SetIndex { collection, index };
    let (info, changed) = updated(&mut catalogue, set(Some(index.clone())));
    assert_eq!((info.schema_version, changed), (SchemaVersion::new(2), true));
    assert_eq!(info.index.as_ref().unwrap().mode, "hnsw-l2");
    assert_eq!(info.index.as_ref().unwrap().parse_mode(), Ok(mode));
    assert!(!updated(&mut catalogue, set(Some(index.clone()))).1);
    let (info, _) = updated(&mut catalogue, set(None));
    assert_eq!((info.schema_version, &info.index), (SchemaVersion::new(3), &None));
    index.other.insert("long".to_owned(), "x".repeat(limit::INDEX_BYTES_MAX));
    let error = catalogue.apply(set(Some(index))).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
}

#[test]
fn the_first_integer_write_fixes_the_form() {
    let mut catalogue = formed();
    let collection = created(&mut catalogue, create("db", "c", 4)).id;
    let set = |form| Command::SetIntegerIdForm { collection, form };
    let (info, changed) = updated(&mut catalogue, set(IntegerIdForm::Internal));
    assert_eq!((info.integer_ids, changed), (IntegerIdForm::Internal, true));
    let (info, changed) = updated(&mut catalogue, set(IntegerIdForm::External));
    assert_eq!((info.integer_ids, changed), (IntegerIdForm::Internal, false));
    assert_eq!(info.schema_version, SchemaVersion::new(1));
}

#[test]
fn collections_that_are_laid_out_alike_share_a_table() {
    let mut catalogue = formed();
    let first = created(&mut catalogue, create("db", "a", 4));
    let bytes = catalogue.bytes();
    let second = created(&mut catalogue, create("db", "b", 4));
    assert_eq!(first.buckets, second.buckets);
    assert!(catalogue.bytes() - bytes < 1_000, "a second collection weighs {}", catalogue.bytes() - bytes);
    assert_eq!(catalogue.bucket_table(first.buckets).unwrap().groups(), [GroupId::new(1)]);
}

#[test]
fn the_whole_is_bounded() {
    let mut catalogue = formed();
    catalogue.bytes = limit::METADATA_BYTES_MAX - 1_000;
    let before = catalogue.clone();
    let error = catalogue.apply(create("db", "c", 4)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    assert!(error.to_string().contains("67108864 bytes of metadata"), "{error}");
    assert_eq!(catalogue, before);
}

#[test]
fn keys_are_put_and_removed() {
    let mut catalogue = formed();
    let bytes = catalogue.bytes();
    catalogue.apply(Command::PutApiKey { key: key("k", None) }).unwrap();
    let locked = ApiKey { locked: true, expires_at_s: Some(90), ..key("k", Some("a note")) };
    catalogue.apply(Command::PutApiKey { key: locked.clone() }).unwrap();
    let stored = catalogue.key("k").unwrap().clone();
    assert_eq!(*stored, locked);
    assert!(stored.is_expired(90) && !stored.is_expired(89));
    assert_eq!(catalogue.bytes(), weigh(&catalogue));
    let long = "x".repeat(limit::KEY_NOTE_BYTES_MAX + 1);
    let error = catalogue.apply(Command::PutApiKey { key: key("k", Some(&long)) }).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    for _ in 0..2 {
        assert_eq!(catalogue.apply(Command::RemoveApiKey { id: "k".to_owned() }), Ok(Reply::Done));
    }
    assert_eq!(catalogue.bytes(), bytes);
}

mod groups;
mod nodes;
mod random;
