//! One round over files of a job: each is made on some node that has room.
//!
//! A node that does not answer, or cannot make a file, rests, and the file is tried elsewhere. Only what user code makes
//! wrong fails the job at once; a file that nobody can make fails it after a while.

use crate::datasets::peer_calls::{DatasetReply, DatasetRequest};
use crate::datasets::preprocess::file_maker::{Columns, Made, Part};
use crate::datasets::preprocess::runner::{Ended, Runner, UNABLE_MAX, UNABLE_REST, no_columns};
use crate::datasets::preprocess::workbench::{FileKey, FileStanding};
use crate::datasets::runtime::DatasetRuntime;
use crate::error::NodeError;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use lavandin_types::{ErrorCode, NodeId};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one answer of a node may take, and how long a node is asked again that gives none.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const SILENCE_MAX: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(200);
/// Files that one node makes at once, whatever it says.
const SLOTS_MAX: u32 = 256;
/// How long a node is left alone that has no room.
const BUSY_REST: Duration = Duration::from_millis(500);
/// How often it is looked who else may help, and whether the job is still wanted.
const LOOK: Duration = Duration::from_millis(500);
/// Files that are looked through for one that a node may make.
const LOOKED_AT_MAX: usize = 1024;

pub(super) struct Round<'a> {
    runner: &'a Runner,
    part: &'a Part,
    queue: Queue<'a>,
    calls: FuturesUnordered<BoxFuture<'static, Answer>>,
    helpers: BTreeMap<NodeId, Helper>,
    end: RoundEnd,
}

/// What a round came to.
#[derive(Default)]
pub(super) struct RoundEnd {
    /// Of one of the files.
    pub(super) columns: Option<Columns>,
    /// Who has made which file.
    pub(super) made: Vec<(u32, NodeId)>,
}

/// Where files are to be made that lie somewhere.
pub(super) type Homes = HashMap<u32, Vec<NodeId>>;

/// Files that nobody makes at the moment.
struct Queue<'a> {
    waiting: VecDeque<u32>,
    /// Who has the files that are written again.
    homes: &'a Homes,
    unable: HashMap<u32, Unable>,
}

/// A file that these nodes could not make; since when that is all who may.
#[derive(Default)]
struct Unable {
    nodes: BTreeSet<NodeId>,
    all_since: Option<Instant>,
}

/// What is known of a node.
#[derive(Default)]
struct Helper {
    in_work: u32,
    /// How many files it makes at once, as far as is known.
    slots: u32,
    rests_until: Option<Instant>,
}

impl Helper {
    fn new(slots: u32) -> Self {
        Self { slots, ..Self::default() }
    }

    fn has_room(&self) -> bool {
        let rests = self.rests_until.is_some_and(|until| Instant::now() < until);
        !rests && self.in_work < self.slots.max(1)
    }

    fn rest(&mut self, length: Duration) {
        self.rests_until = Some(Instant::now() + length);
    }
}

/// A call that has ended: who was asked for which file, and how that stands.
struct Answer {
    helper: NodeId,
    file: u32,
    standing: Result<FileStanding, NodeError>,
}

impl<'a> Round<'a> {
    pub(super) fn new(runner: &'a Runner, files: VecDeque<u32>, part: &'a Part, homes: &'a Homes) -> Self {
        let queue = Queue { waiting: files, homes, unable: HashMap::new() };
        Self {
            runner,
            part,
            queue,
            calls: FuturesUnordered::new(),
            helpers: BTreeMap::new(),
            end: RoundEnd::default(),
        }
    }

    pub(super) async fn run(mut self) -> Result<RoundEnd, Ended> {
        while !self.queue.waiting.is_empty() || !self.calls.is_empty() {
            self.hand_out(&self.runner.node()?.datasets);
            match tokio::time::timeout(LOOK, self.calls.next()).await {
                Ok(Some(answer)) => self.settle(answer)?,
                Ok(None) => tokio::time::sleep(RETRY).await,
                Err(_) => {}
            }
        }
        Ok(self.end)
    }

    /// Gives files to all nodes that have room: one each in turn, so that the first does not get everything.
    fn hand_out(&mut self, runtime: &Arc<DatasetRuntime>) {
        // A node with less room says so.
        let slots = runtime.workbench.slots();
        let all = everyone(runtime);
        let mut handed_out = true;
        while std::mem::take(&mut handed_out) {
            for id in all.iter().copied() {
                let helper = self.helpers.entry(id).or_insert_with(|| Helper::new(slots));
                if !helper.has_room() {
                    continue;
                }
                let Some(file) = self.queue.take(id, &all) else { continue };
                helper.in_work += 1;
                handed_out = true;
                let job = &self.runner.job;
                let key = FileKey { job: job.name.clone(), run: job.run, file };
                self.calls.push(Box::pin(call(Arc::clone(runtime), id, key, self.part.clone())));
            }
        }
    }

    /// Takes in how a call has ended.
    fn settle(&mut self, Answer { helper: id, file, standing }: Answer) -> Result<(), Ended> {
        let helper = self.helpers.entry(id).or_default();
        helper.in_work = helper.in_work.saturating_sub(1);
        let made = match standing {
            Ok(FileStanding { made, slots }) => {
                helper.slots = slots.min(SLOTS_MAX);
                made
            }
            Err(error) if error.code() == ErrorCode::Overloaded => None,
            Err(error) => {
                let reason = self.runner.node()?.datasets.peers.told(id, &error);
                Some(Made::Unable { reason })
            }
        };
        match made {
            Some(Made::Done { columns }) => {
                self.end.columns.get_or_insert(columns);
                if *self.part != Part::Columns {
                    self.end.made.push((file, id));
                    self.runner.progress.advance();
                }
                Ok(())
            }
            Some(Made::Empty {}) => Err(Ended::Failed(no_columns(file))),
            Some(Made::Failed { reason }) => Err(Ended::Failed(reason)),
            Some(Made::Unable { reason }) => self.put_off((id, file), reason),
            // It has no room, or has not heard of the job yet.
            Some(Made::Unwanted {}) | None => {
                helper.rest(BUSY_REST);
                self.queue.waiting.push_front(file);
                Ok(())
            }
        }
    }

    /// Has a file tried elsewhere, or later.
    fn put_off(&mut self, (id, file): (NodeId, u32), reason: String) -> Result<(), Ended> {
        let node = self.runner.node()?;
        let is_over = self.queue.put_back(file, id, &everyone(&node.datasets));
        if is_over || node.membership.is_alone() {
            return Err(Ended::Failed(reason));
        }
        let task = &self.runner.job.name;
        tracing::info!(event = "preprocess_put_off", %task, node = %id, file, %reason, "a file of a job is tried again");
        self.helpers.entry(id).or_default().rest(UNABLE_REST);
        Ok(())
    }
}

/// All nodes that may make files.
fn everyone(runtime: &DatasetRuntime) -> BTreeSet<NodeId> {
    std::iter::once(runtime.peers.own()).chain(runtime.peers.others(&[])).collect()
}

/// Has a node make a part of a file.
async fn call(runtime: Arc<DatasetRuntime>, helper: NodeId, key: FileKey, part: Part) -> Answer {
    let mut heard = Instant::now();
    loop {
        let standing = match helper == runtime.peers.own() {
            true => runtime.work_on(key.clone(), part.clone()).await,
            false => ask(&runtime, helper, &key, &part).await,
        };
        match standing {
            Ok(FileStanding { made: None, .. }) => heard = Instant::now(),
            Err(error) if is_silence(&error) && heard.elapsed() < SILENCE_MAX => {
                tokio::time::sleep(RETRY).await;
            }
            standing => return Answer { helper, file: key.file, standing },
        }
    }
}

/// Whether a node may just be away for a moment.
fn is_silence(error: &NodeError) -> bool {
    matches!(error.code(), ErrorCode::Unavailable | ErrorCode::DeadlineExceeded)
}

async fn ask(
    runtime: &DatasetRuntime,
    helper: NodeId,
    key: &FileKey,
    part: &Part,
) -> Result<FileStanding, NodeError> {
    let request = DatasetRequest::MakeFile { key: key.clone(), part: Box::new(part.clone()) };
    match runtime.peers.ask(helper, &request, ANSWER_MAX).await? {
        DatasetReply::MadeFile { standing } => Ok(*standing),
        _ => Err(NodeError::Internal("a node answered another question")),
    }
}

impl Queue<'_> {
    /// Takes the file that a node is to make next. One that lies somewhere is made where it lies; one that a node could not make
    /// waits for the others that may.
    fn take(&mut self, helper: NodeId, all: &BTreeSet<NodeId>) -> Option<u32> {
        let may = |file: &u32| {
            let makers = self.makers_of(*file, all);
            let has_tried = self
                .unable
                .get(file)
                .is_some_and(|unable| unable.nodes.contains(&helper) && !unable.nodes.is_superset(&makers));
            makers.contains(&helper) && !has_tried
        };
        let at = self.waiting.iter().take(LOOKED_AT_MAX).position(may)?;
        self.waiting.remove(at)
    }

    /// Who may make a file: those of its homes that are there.
    fn makers_of<'b>(&self, file: u32, all: &'b BTreeSet<NodeId>) -> Cow<'b, BTreeSet<NodeId>> {
        let homes = self.homes.get(&file).into_iter().flatten();
        let homes: BTreeSet<NodeId> = homes.filter(|home| all.contains(home)).copied().collect();
        if homes.is_empty() { Cow::Borrowed(all) } else { Cow::Owned(homes) }
    }

    /// Puts a file back that a node could not make; whether nobody who may could for too long.
    fn put_back(&mut self, file: u32, helper: NodeId, all: &BTreeSet<NodeId>) -> bool {
        let makers = self.makers_of(file, all);
        let unable = self.unable.entry(file).or_default();
        unable.nodes.insert(helper);
        let all_have_tried = unable.nodes.is_superset(&makers);
        match all_have_tried {
            // Soon again, so that it is tried all the while.
            true => self.waiting.push_front(file),
            false => self.waiting.push_back(file),
        }
        all_have_tried && unable.all_since.get_or_insert_with(Instant::now).elapsed() >= UNABLE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue<'a>(files: &[u32], homes: &'a Homes) -> Queue<'a> {
        Queue { waiting: VecDeque::from(files.to_vec()), homes, unable: HashMap::new() }
    }

    #[test]
    fn a_file_is_written_again_where_it_lies() {
        let nodes = [1, 2, 3].map(NodeId::new);
        let all = BTreeSet::from(nodes);
        let first = |files: &[u32], homes| nodes.map(|node| queue(files, homes).take(node, &all));
        let homes = HashMap::from([(0, vec![nodes[1]]), (2, vec![nodes[0], nodes[2]])]);
        assert_eq!(first(&[0, 1, 2], &homes), [Some(1), Some(0), Some(1)]);
        assert_eq!(first(&[0, 2], &homes), [Some(2), Some(0), Some(2)]);
        assert_eq!(first(&[0], &homes), [None, Some(0), None]);
        // Where its node is gone for good, anybody.
        let homes = HashMap::from([(0, vec![NodeId::new(9)])]);
        assert_eq!(first(&[0], &homes), [Some(0); 3]);
        let nowhere = HashMap::new();
        assert_eq!(first(&[7, 1], &nowhere), [Some(7); 3]);
        assert_eq!(first(&[], &nowhere), [None; 3]);
    }

    #[test]
    fn a_file_that_a_node_cannot_make_waits_for_the_others() {
        let [one, other] = [1, 2].map(NodeId::new);
        let (all, homes) = (BTreeSet::from([one, other]), HashMap::new());
        let mut queue = queue(&[0], &homes);
        assert_eq!(queue.take(one, &all), Some(0));
        assert!(!queue.put_back(0, one, &all));
        // The other one may have much else to do before.
        assert_eq!((queue.take(one, &all), queue.take(other, &all)), (None, Some(0)));
        assert!(!queue.put_back(0, other, &all), "one failure of each is not for long");
        assert_eq!(queue.take(one, &all), Some(0), "all have tried, so all may again");
        let long_ago = Instant::now().checked_sub(2 * UNABLE_MAX).unwrap();
        queue.unable.get_mut(&0).unwrap().all_since = Some(long_ago);
        assert!(queue.put_back(0, one, &all), "nobody can");
    }
}
