use crate::snapshot::weigh;
use crate::*;
use lavandin_types::{ClusterId, DatasetId, ErrorCode, NodeId, ShardsetId, StoreId};
use std::sync::Arc;

/// Commands as version 7 writes them. Every later program must read them; they are never edited.
const BEGIN: &str = r#"{"begin_job":{"job":{"name":"a","run":7,"dataset":"ds-mwp3phyivqbyh062c1js","sources":[{"shardset":"ss-mwp3phyivqbyh062c1js","version":2,"hash":"0000000000000000000000000000002a"}],"request":"{}","created_at_s":5,"failure":null}}}"#;
const END: &str = r#"{"end_job":{"name":"a","run":7,"failure":{"is_aborted":false,"reason":"it rained"}}}"#;
/// The part of a snapshot of version 6 that earlier ones lack.
const JOBS: &str = r#","jobs":[{"name":"a","run":7,"dataset":"ds-mwp3phyivqbyh062c1js","sources":[],"request":"{}","created_at_s":5,"failure":null}]}"#;

fn dataset() -> DatasetId {
    "ds-mwp3phyivqbyh062c1js".parse().unwrap()
}

fn with_a_dataset() -> Catalogue {
    let mut catalogue = Catalogue::default();
    let node = NodeSeed { id: NodeId::new(1), store: StoreId::new(7), address: String::new() };
    catalogue.apply(Command::FormCluster { cluster: ClusterId::new(1), node }).unwrap();
    let (name, uid_column_name) = ("photos".to_owned(), "id".to_owned());
    let new = NewDataset { id: dataset(), name, uid_column_name, created_at_s: 1 };
    catalogue.apply(Command::CreateDataset(new)).unwrap();
    catalogue
}

fn job(name: &str, run: u64) -> JobInfo {
    JobInfo {
        name: name.to_owned(),
        run,
        dataset: dataset(),
        sources: Vec::new(),
        request: "{}".to_owned(),
        created_at_s: 5,
        failure: None,
    }
}

fn begin(catalogue: &mut Catalogue, job: JobInfo) -> Result<Arc<JobInfo>, CatalogueError> {
    let reply = catalogue.apply(Command::BeginJob { job });
    assert_eq!(catalogue.bytes(), weigh(catalogue));
    match reply? {
        Reply::Job { info } => Ok(info),
        other => panic!("{other:?}"),
    }
}

fn end(catalogue: &mut Catalogue, name: &str, run: u64, reason: Option<&str>) {
    let failure = reason.map(|reason| JobFailure { is_aborted: false, reason: reason.to_owned() });
    let reply = catalogue.apply(Command::EndJob { name: name.to_owned(), run, failure });
    assert_eq!((reply, catalogue.bytes()), (Ok(Reply::Done), weigh(catalogue)));
}

#[test]
fn one_job_of_a_name_runs() {
    let mut catalogue = with_a_dataset();
    assert_eq!(begin(&mut catalogue, job("a", 1)).unwrap().run, 1);
    assert_eq!(begin(&mut catalogue, job("a", 2)).unwrap().run, 1);
    end(&mut catalogue, "a", 2, Some("another run"));
    assert!(catalogue.job("a").unwrap().is_running());
    end(&mut catalogue, "a", 1, None);
    assert_eq!(catalogue.jobs().len(), 0);
    end(&mut catalogue, "a", 1, Some("too late"));
    assert_eq!(catalogue.jobs().len(), 0);
}

#[test]
fn a_failed_job_is_told_and_makes_way() {
    let mut catalogue = with_a_dataset();
    begin(&mut catalogue, job("a", 1)).unwrap();
    let long = "é".repeat(limit::JOB_REASON_BYTES_MAX);
    end(&mut catalogue, "a", 1, Some(&long));
    let failed = catalogue.job("a").unwrap();
    let reason = &failed.failure.as_ref().unwrap().reason;
    assert_eq!((failed.is_running(), reason.len()), (false, limit::JOB_REASON_BYTES_MAX));
    // The beginning was asked for again, after its outcome was in doubt.
    assert!(!begin(&mut catalogue, job("a", 1)).unwrap().is_running());
    assert!(begin(&mut catalogue, job("a", 2)).unwrap().is_running());
}

#[test]
fn jobs_are_bounded_and_the_oldest_failed_one_goes() {
    let mut catalogue = with_a_dataset();
    for n in 0..limit::JOBS_MAX as u64 {
        begin(&mut catalogue, JobInfo { created_at_s: 100 - n % 7, ..job(&format!("j{n}"), n) }).unwrap();
    }
    assert_eq!(begin(&mut catalogue, job("one more", 1)).unwrap_err().code(), ErrorCode::InvalidArgument);
    end(&mut catalogue, "j3", 3, Some("it rained"));
    end(&mut catalogue, "j6", 6, Some("it rained"));
    begin(&mut catalogue, job("one more", 1)).unwrap();
    assert!(catalogue.job("j6").is_none() && catalogue.job("j3").is_some());
    let large = JobInfo { request: "x".repeat(limit::JOB_REQUEST_BYTES_MAX + 1), ..job("large", 1) };
    assert!(begin(&mut catalogue, large).is_err());
}

#[test]
fn jobs_go_with_their_dataset() {
    let mut catalogue = with_a_dataset();
    begin(&mut catalogue, job("a", 1)).unwrap();
    catalogue.apply(Command::DeleteDataset { dataset: dataset() }).unwrap();
    assert_eq!((catalogue.jobs().len(), catalogue.bytes()), (0, weigh(&catalogue)));
    assert_eq!(begin(&mut catalogue, job("a", 1)).unwrap_err(), CatalogueError::DatasetNotFound);
}

#[test]
fn the_bytes_of_commands_and_snapshots_stay() {
    let shardset: ShardsetId = "ss-mwp3phyivqbyh062c1js".parse().unwrap();
    let begun = Command::BeginJob {
        job: JobInfo { sources: vec![JobSource { shardset, version: 2, hash: 42 }], ..job("a", 7) },
    };
    let failure = JobFailure { is_aborted: false, reason: "it rained".to_owned() };
    let ended = Command::EndJob { name: "a".to_owned(), run: 7, failure: Some(failure) };
    for (command, json) in [(begun, BEGIN), (ended, END)] {
        let stored = [&[7], json.as_bytes()].concat();
        assert_eq!(String::from_utf8_lossy(&command.encode()[1..]), json);
        assert_eq!((command.encode(), Command::decode(&stored)), (stored, Ok(command)));
    }
    let mut catalogue = with_a_dataset();
    let before = String::from_utf8(catalogue.encode().split_off(1)).unwrap();
    begin(&mut catalogue, job("a", 7)).unwrap();
    let stored = [&[6], before.strip_suffix('}').unwrap().as_bytes(), JOBS.as_bytes()].concat();
    assert_eq!((catalogue.encode(), Catalogue::decode(&stored).unwrap()), (stored.clone(), catalogue));
    let text = String::from_utf8(stored.split_at(1).1.to_vec()).unwrap();
    let orphan = text.replace(r#""run":7,"dataset":"ds-m"#, r#""run":7,"dataset":"ds-n"#);
    let orphan = Catalogue::decode(&[&[6], orphan.as_bytes()].concat()).unwrap_err();
    assert_eq!(orphan.code(), ErrorCode::DataCorrupt);
}
