//! The files of jobs that this node makes, for whichever node sees to the job. A file that is asked for again is not begun
//! again: who asks waits for a while, and asks once more.

use crate::datasets::preprocess::checks::check_functions;
use crate::datasets::preprocess::file_maker::{FileMaker, Made, Part};
use crate::datasets::preprocess::scratch::Scratch;
use crate::datasets::runtime::DatasetRuntime;
use crate::error::NodeError;
use lavandin_cluster::JobInfo;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long an answer waits for the file.
const WAIT: Duration = Duration::from_secs(1);
/// How long it is known what became of a file, for an answer that was lost.
const KEPT: Duration = Duration::from_secs(60);
/// Jobs that are kept open, and so those that a node sees to at once.
pub(super) const MAKERS_MAX: usize = 8;

/// A part of a file of a run of a job, as another node is asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct FileKey {
    pub(crate) job: String,
    pub(crate) run: u64,
    pub(crate) file: u32,
}

/// How a file stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileStanding {
    /// `None` while it is being made.
    pub(crate) made: Option<Made>,
    /// How many files the node makes at once.
    pub(crate) slots: u32,
}

#[derive(Default)]
pub(crate) struct Workbench {
    slots: usize,
    data_dir: PathBuf,
    is_stopping: AtomicBool,
    works: Mutex<HashMap<FileKey, Work>>,
    makers: Mutex<VecDeque<(u64, Arc<FileMaker>)>>,
    opening: Mutex<()>,
}

struct Work {
    part: Part,
    made: watch::Receiver<Option<Made>>,
    asked: Instant,
}

impl Work {
    /// Not if its thread has panicked: then nobody makes it any more.
    fn is_under_way(&self) -> bool {
        self.made.borrow().is_none() && self.made.has_changed().is_ok()
    }
}

impl Workbench {
    pub(crate) fn new(slots: usize, data_dir: PathBuf) -> Self {
        Self { slots: slots.max(1), data_dir, ..Self::default() }
    }

    /// Removes what an earlier process left half done.
    pub(crate) fn clear(data_dir: &Path) -> Result<(), NodeError> {
        Scratch::clear(data_dir)
    }

    /// How many files this node makes at once.
    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.slots).unwrap_or(u32::MAX)
    }

    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Forgets what is over, and takes a file in unless it is here; a sender for who is to make it. An error if there is no
    /// room.
    #[expect(clippy::type_complexity, reason = "a receiver, and a sender for whoever begins")]
    fn take_in(
        &self,
        key: &FileKey,
        part: &Part,
    ) -> Result<(watch::Receiver<Option<Made>>, Option<watch::Sender<Option<Made>>>), NodeError> {
        let mut works = lock(&self.works);
        works.retain(|_, work| work.is_under_way() || work.asked.elapsed() < KEPT);
        let known = works.get_mut(key);
        if known.as_ref().is_some_and(|work| work.part != *part && work.is_under_way()) {
            // Another part of the same file, under the same name: one after the other.
            return Err(NodeError::Overloaded);
        }
        if let Some(work) = known.filter(|work| work.part == *part) {
            work.asked = Instant::now();
            return Ok((work.made.clone(), None));
        }
        let busy = works.values().filter(|work| work.is_under_way()).count();
        if busy >= self.slots || self.is_stopping() {
            return Err(NodeError::Overloaded);
        }
        let (sender, made) = watch::channel(None);
        works.insert(key.clone(), Work { part: part.clone(), made: made.clone(), asked: Instant::now() });
        Ok((made, Some(sender)))
    }

    fn forget(&self, key: &FileKey) {
        lock(&self.works).remove(key);
    }

    fn known_maker(&self, run: u64) -> Option<Arc<FileMaker>> {
        lock(&self.makers).iter().find(|(of, _)| *of == run).map(|(_, maker)| Arc::clone(maker))
    }

    fn keep_maker(&self, run: u64, maker: FileMaker) -> Arc<FileMaker> {
        let mut makers = lock(&self.makers);
        let maker = Arc::new(maker);
        makers.push_back((run, Arc::clone(&maker)));
        if makers.len() > MAKERS_MAX {
            makers.pop_front();
        }
        maker
    }

    /// Forgets jobs that run no more, with their unfinished files.
    pub(crate) fn retain_jobs(&self, is_running: impl Fn(u64) -> bool) {
        lock(&self.makers).retain(|(run, _)| is_running(*run));
    }
}

impl DatasetRuntime {
    /// Makes a part of a file, or tells how it stands after a while.
    pub(crate) async fn work_on(
        self: &Arc<Self>,
        key: FileKey,
        part: Part,
    ) -> Result<FileStanding, NodeError> {
        let bench = &self.workbench;
        let Some(job) = self.running_job(&key) else {
            return Ok(FileStanding { made: Some(Made::Unwanted {}), slots: bench.slots() });
        };
        let (mut made, begun) = bench.take_in(&key, &part)?;
        if let Some(sender) = begun {
            let (runtime, key, part) = (Arc::clone(self), key.clone(), part.clone());
            self.handle.spawn_blocking(move || {
                let made = runtime.make_file(&job, (&key, &part)).unwrap_or_else(Made::from);
                sender.send_replace(Some(made));
            });
        }
        let waited = tokio::time::timeout(WAIT, made.wait_for(Option::is_some)).await;
        let found = match waited {
            Err(_) => None,
            Ok(Ok(found)) => found.clone(),
            // Its thread panicked.
            Ok(Err(_)) => Some(Made::Unable { reason: "making a file panicked, see the log".to_owned() }),
        };
        if matches!(found, Some(Made::Failed { .. } | Made::Unable { .. } | Made::Unwanted {})) {
            // Whoever asks again wants another try.
            bench.forget(&key);
        }
        Ok(FileStanding { made: found, slots: bench.slots() })
    }

    /// The job of a file as long as it is that run of it. A node that has not heard of it yet says the same as of one that is
    /// over: it is asked again.
    fn running_job(&self, key: &FileKey) -> Option<Arc<JobInfo>> {
        let catalogue = self.peers.catalogue();
        let job = catalogue.job(&key.job).filter(|job| job.run == key.run && job.is_running())?;
        (!self.workbench.is_stopping()).then(|| Arc::clone(job))
    }

    fn make_file(&self, job: &JobInfo, (key, part): (&FileKey, &Part)) -> Result<Made, NodeError> {
        let maker = self.file_maker(job)?;
        check_functions(self, &super::PreprocessRequest::of(job)?.options())?;
        Ok(maker.make(self, (key.file, part), &|| self.running_job(key).is_some()))
    }

    /// Blocks.
    pub(super) fn file_maker(&self, job: &JobInfo) -> Result<Arc<FileMaker>, NodeError> {
        if let Some(known) = self.workbench.known_maker(job.run) {
            return Ok(known);
        }
        // One at a time: all threads that begin with a job want the same one, which may be large.
        let _opening = lock(&self.workbench.opening);
        if let Some(known) = self.workbench.known_maker(job.run) {
            return Ok(known);
        }
        let dataset = Arc::clone(self.peers.catalogue().dataset(job.dataset)?);
        let maker = FileMaker::open(self, (&dataset, job), &self.workbench.data_dir)?;
        Ok(self.workbench.keep_maker(job.run, maker))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_work_once() {
        let bench = Workbench::new(2, PathBuf::new());
        let key = |file| FileKey { job: "job".to_owned(), run: 1, file };
        let (_, begun) = bench.take_in(&key(0), &Part::Rows).unwrap();
        let begun = begun.expect("nobody makes it yet");
        assert!(bench.take_in(&key(0), &Part::Rows).unwrap().1.is_none(), "it is waited for");
        // What becomes of one part says nothing of another.
        assert!(matches!(bench.take_in(&key(0), &Part::Columns), Err(NodeError::Overloaded)));
        let (_, _other) = bench.take_in(&key(1), &Part::Rows).unwrap();
        assert!(
            matches!(bench.take_in(&key(2), &Part::Rows), Err(NodeError::Overloaded)),
            "it has two hands"
        );
        begun.send_replace(Some(Made::Empty {}));
        let (made, again) = bench.take_in(&key(0), &Part::Rows).unwrap();
        assert!(again.is_none() && *made.borrow() == Some(Made::Empty {}));
        assert!(bench.take_in(&key(0), &Part::Columns).unwrap().1.is_some());
    }

    #[test]
    fn who_has_gone_without_a_word_keeps_no_hand_busy() {
        let bench = Workbench::new(1, PathBuf::new());
        let key = |file| FileKey { job: "job".to_owned(), run: 1, file };
        let (_, begun) = bench.take_in(&key(0), &Part::Rows).unwrap();
        assert!(matches!(bench.take_in(&key(1), &Part::Rows), Err(NodeError::Overloaded)));
        drop(begun);
        assert!(bench.take_in(&key(1), &Part::Rows).unwrap().1.is_some());
        let (made, again) = bench.take_in(&key(0), &Part::Rows).unwrap();
        assert!(again.is_none() && made.has_changed().is_err(), "whoever waits hears of it");
    }
}
