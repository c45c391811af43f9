//! Clients: they write records of their own through any node, send again what they do not know the outcome of, make
//! mistakes, and read at every consistency.

use crate::cluster::Cluster;
use crate::history::{Floors, Freshness, Known, Via};
use crate::member::Life;
use crate::random::Random;
use bytes::Bytes;
use lavandin_node::{
    BatchIds, CallContext, Change, Consistency, NodeError, Outcome, Progress, Reading, Record, RecordBatch,
    VectorBatch, Which,
};
use lavandin_types::{ElementType, ErrorCode, RecordId, RequestId};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) const DB: &str = "db";
/// Whose records have the ids that clients choose.
pub(crate) const CHOSEN: &str = "chosen";
/// Whose records are given ids.
pub(crate) const GIVEN: &str = "given";
pub(crate) const DIM: u32 = 2;

/// One attempt at one node.
const ATTEMPT: Duration = Duration::from_secs(3);
/// After this long a client gives up to learn what became of its write.
const PERSISTENCE: Duration = Duration::from_secs(25);
const PAUSE: Duration = Duration::from_millis(20);
/// Ids of one client are apart from those of the others.
const IDS_EACH: u64 = 1 << 20;
/// Records that a client has at a time.
const RECORDS: usize = 6;

/// What a client knows of a write in the end.
enum Written {
    Done {
        via: Via,
        outcome: Outcome,
    },
    /// The request is wrong, says the cluster.
    Wrong(String),
    NotDone,
    Unknown,
}

impl Written {
    fn known(&self) -> Known {
        match self {
            Self::Done { via, .. } => Known::Acknowledged { via: *via, at: Instant::now() },
            Self::Wrong(_) | Self::NotDone => Known::Refused,
            Self::Unknown => Known::Unknown,
        }
    }
}

pub(crate) struct Writer {
    cluster: Arc<Cluster>,
    random: Random,
    number: u64,
    next: u64,
    ids: Vec<u64>,
}

impl Writer {
    pub(crate) fn new(cluster: &Arc<Cluster>, random: Random, number: u64) -> Self {
        Self { cluster: Arc::clone(cluster), random, number, next: 0, ids: Vec::new() }
    }

    pub(crate) async fn run(mut self) {
        while !self.cluster.is_over() {
            while self.ids.len() < RECORDS {
                let id = self.fresh();
                self.ids.push(id);
            }
            match self.random.range(0..100) {
                0..50 => self.put(1).await,
                50..65 => self.put(4).await,
                65..75 => self.delete().await,
                75..95 => self.append().await,
                _ => self.mistake().await,
            }
            let pause = self.random.range(5..40);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.number * IDS_EACH + self.next
    }

    /// Writes some of its records anew, in one request.
    async fn put(&mut self, count: usize) {
        let first = self.random.index(self.ids.len() - count + 1);
        let ids: Vec<u64> = self.ids[first..first + count].to_vec();
        let rows: Vec<[u64; 2]> =
            ids.iter().map(|id| [self.cluster.history.begin(*id, false), *id % IDS_EACH]).collect();
        let change = Change::Upsert(batch(BatchIds::Ints(ids.clone()), &rows));
        let written = self.write(CHOSEN, change).await;
        if let Written::Wrong(error) = &written {
            self.cluster.history.violate(format!("a right request was refused: {error}"));
        }
        self.settle(&ids, &written);
    }

    async fn delete(&mut self) {
        let id = self.ids[self.random.index(self.ids.len())];
        self.cluster.history.begin(id, true);
        let written = self.write(CHOSEN, Change::Delete(vec![RecordId::Int(id)])).await;
        self.settle(&[id], &written);
        self.ids.retain(|other| *other != id);
    }

    /// A record whose last write may still happen is left alone.
    fn settle(&mut self, ids: &[u64], written: &Written) {
        ids.iter().for_each(|id| self.cluster.history.end(*id, written.known()));
        if matches!(written, Written::Unknown) {
            self.ids.retain(|id| !ids.contains(id));
        }
    }

    /// Writes records that are given ids.
    async fn append(&mut self) {
        let (rows, tag) = (self.random.range(1..5), self.fresh());
        let tag = self.number * (IDS_EACH >> 4) + tag % IDS_EACH;
        self.cluster.history.begin_batch(tag, rows);
        let vectors: Vec<[u64; 2]> = (0..rows).map(|row| [tag, row]).collect();
        let change = Change::Add(batch(BatchIds::Assigned { count: rows as u32 }, &vectors));
        let written = self.write(GIVEN, change).await;
        let start = match &written {
            Written::Done { outcome: Outcome::Assigned { start, .. }, .. } => Some(*start),
            Written::Done { outcome, .. } => {
                self.cluster.history.violate(format!("a batch without ids was answered {outcome:?}"));
                None
            }
            Written::Wrong(error) => {
                self.cluster.history.violate(format!("a right request was refused: {error}"));
                None
            }
            Written::NotDone | Written::Unknown => None,
        };
        self.cluster.history.end_batch(tag, written.known(), start);
    }

    /// Sends what has to be refused, whatever else happens.
    async fn mistake(&mut self) {
        let id = self.fresh();
        let wrong = match self.random.index(2) {
            0 => RecordBatch {
                vectors: VectorBatch { element: ElementType::F32, dim: 3, bytes: Bytes::from(vec![0; 12]) },
                ..batch(BatchIds::Ints(vec![id]), &[[1, 1]])
            },
            _ => batch(BatchIds::Ints(vec![id, id]), &[[1, 1], [2, 2]]),
        };
        if let Written::Done { outcome, .. } = self.write(CHOSEN, Change::Upsert(wrong)).await {
            self.cluster.history.violate(format!("a wrong request was answered {outcome:?}"));
        }
    }

    /// Sends a change, and again under its name until it is known what became of it.
    async fn write(&mut self, collection: &str, change: Change) -> Written {
        let name = u128::from(self.random.next()) << 64 | u128::from(self.random.next());
        let (until, mut maybe_done) = (Instant::now() + PERSISTENCE, false);
        let mut attempts = Vec::new();
        while Instant::now() < until {
            if let Some((node, life)) = self.cluster.any_life(&mut self.random) {
                let context = CallContext::new(ATTEMPT).with_request_id(RequestId::new(name.max(1)));
                let answer = life.ask(life.node.change(&context, DB, collection, change.clone())).await;
                match answer {
                    Some(Ok(outcome)) => return Written::Done { via: (node, life.number), outcome },
                    Some(Err(error)) if is_wrong(&error) => {
                        let reason = format!("{error}, says node {node} after {attempts:?}");
                        return Written::Wrong(reason);
                    }
                    Some(Err(error)) => {
                        maybe_done |= !is_not_done(&error);
                        attempts.push(format!("node {node}: {error}"));
                    }
                    None => {
                        maybe_done = true;
                        attempts.push(format!("node {node} was killed"));
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        if maybe_done { Written::Unknown } else { Written::NotDone }
    }
}

/// Whether the request itself is wrong.
fn is_wrong(error: &NodeError) -> bool {
    error.code() == ErrorCode::InvalidArgument
}

/// Whether the error says that nothing was done.
fn is_not_done(error: &NodeError) -> bool {
    matches!(
        error,
        NodeError::NotServing { .. }
            | NodeError::TooFewCopies(_)
            | NodeError::NoCluster
            | NodeError::NotRegistered
            | NodeError::ReservationGone
    ) || error.code() == ErrorCode::NotFound
}

fn batch(ids: BatchIds, rows: &[[u64; 2]]) -> RecordBatch {
    // All below 2^24, which is what the elements hold exactly.
    let bytes: Vec<u8> = rows.iter().flatten().flat_map(|number| (*number as f32).to_le_bytes()).collect();
    let vectors = VectorBatch { element: ElementType::F32, dim: DIM, bytes: Bytes::from(bytes) };
    RecordBatch { ids, vectors, fields: None, places: None }
}

/// Reads all records at a time, and compares them with the history.
pub(crate) struct Reader {
    cluster: Arc<Cluster>,
    random: Random,
    /// What its session has seen, and which versions that were.
    session: (Progress, Floors),
}

impl Reader {
    pub(crate) fn new(cluster: &Arc<Cluster>, random: Random) -> Self {
        Self { cluster: Arc::clone(cluster), random, session: Default::default() }
    }

    pub(crate) async fn run(mut self) {
        while !self.cluster.is_over() {
            if let Some((node, life)) = self.cluster.any_life(&mut self.random) {
                self.read(node, &life).await;
            }
            let pause = self.random.range(20..80);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn read(&mut self, node: usize, life: &Life) {
        let via = (node, life.number);
        let (consistency, mut floors, is_newest) = match self.random.range(0..100) {
            0..50 => (Consistency::Usual, self.cluster.history.floors(Freshness::Of(via)), false),
            50..70 => (Consistency::Linearizable, self.cluster.history.floors(Freshness::Newest), true),
            70..85 => (Consistency::Primary, self.cluster.history.floors(Freshness::Newest), true),
            _ => (Consistency::Session(self.session.0.clone()), self.session.1.clone(), false),
        };
        let what = format!("{consistency:?} at node {node}");
        let reading = Reading::new(consistency);
        let Some(Ok(shown)) = life.ask(versions(life, &reading)).await else { return };
        let what = format!("{what}, answered by {:?} too", reading.answered_by_others());
        self.cluster.history.check(&what, &mut floors, &shown, is_newest);
        self.cluster.count_read();
        if let Some(progress) = reading.progress() {
            self.session = (progress, floors);
        }
    }
}

/// All records with chosen ids, and their versions.
pub(crate) async fn versions(life: &Life, reading: &Reading) -> Result<Vec<(u64, u64)>, NodeError> {
    let records = all(life, reading, CHOSEN).await?;
    Ok(records
        .iter()
        .map(|record| (number(&record.id), record.vector.first().map_or(0, |n| *n as u64)))
        .collect())
}

/// All records that were given ids: (id, batch, row).
pub(crate) async fn given(life: &Life, reading: &Reading) -> Result<Vec<(u64, u64, u64)>, NodeError> {
    let records = all(life, reading, GIVEN).await?;
    let element = |record: &Record, at: usize| record.vector.get(at).map_or(0, |number| *number as u64);
    Ok(records.iter().map(|record| (number(&record.id), element(record, 0), element(record, 1))).collect())
}

async fn all(life: &Life, reading: &Reading, collection: &str) -> Result<Vec<Record>, NodeError> {
    let context = CallContext::new(ATTEMPT).with_reading(reading.clone());
    life.node.records(&context, DB, collection, Which::All, true).await
}

fn number(id: &RecordId) -> u64 {
    match id {
        RecordId::Int(number) => *number,
        RecordId::Str(_) => 0,
    }
}
