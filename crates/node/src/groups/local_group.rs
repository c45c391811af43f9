//! A copy of a group on this node: the way to its thread, and what readers see of it.

use crate::driver::{Event, News};
use crate::error::NodeError;
use crate::group_client::GroupClient;
use crate::groups::{Ailment, Serving};
use crate::options::CallContext;
use crate::pool::Pool;
use crate::snapshots::{Progress, Throttle};
use crossbeam_channel::Sender;
use lavandin_group::replication::View;
use lavandin_plan::iterations::IterationsReader;
use lavandin_shard::ShardReader;
use lavandin_storage::Directory;
use lavandin_types::{CollectionId, ErrorCode, GroupId};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{oneshot, watch};

/// News that wait for the group's thread; beyond it, messages of other copies are lost, and sent again.
const NEWS_MAX: usize = 4096;

pub(crate) struct LocalGroup {
    pub(crate) id: GroupId,
    pub(crate) client: GroupClient,
    pub(crate) news: Sender<News>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) shard: ShardReader,
    pub(crate) iterations: IterationsReader,
    pub(crate) serving: Arc<Serving>,
    /// The view that was told last.
    pub(crate) told: Mutex<Option<View>>,
    /// Whether it was asked to yield.
    pub(crate) asked_to_yield: AtomicBool,
    /// How far a rebuild from a snapshot is.
    pub(crate) rebuild: Arc<Progress>,
    /// Bytes of the log that a start would replay.
    pub(crate) log_bytes: watch::Receiver<u64>,
    /// Why it takes no more writes, once it does not.
    pub(crate) failure: watch::Receiver<Option<NodeError>>,
    /// Where long reads run; the node's groups share it.
    pub(crate) pool: Arc<Pool>,
    /// How fast snapshots and checks go; told of every request, so that they make way. The node's groups share it.
    pub(crate) throttle: Arc<Throttle>,
}

impl LocalGroup {
    /// Whether it serves.
    pub(crate) fn ready(&self) -> Result<(), NodeError> {
        if let Some(error) = &*self.failure.borrow() {
            return Err(error.clone());
        }
        // The group's thread has ended.
        self.failure.has_changed().map(drop).map_err(|_| NodeError::Stopping)
    }

    /// Tells the copy the group's present state, if that is news.
    pub(crate) fn tell(&self, view: View) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() != Some(&view) {
            *told = Some(view.clone());
            // A group that has stopped needs no news.
            drop(self.news.send(News::View(Box::new(view))));
        }
    }

    /// Asks the primary to stop serving, so that another copy can take over; or to go on.
    pub(crate) fn ask_to_yield(&self, wanted: bool) {
        if self.asked_to_yield.swap(wanted, Ordering::AcqRel) != wanted {
            drop(self.news.send(News::Yield { wanted }));
        }
    }

    /// A message of another copy; lost where too many wait.
    pub(crate) fn take_message(&self, message: News) {
        if self.news.len() < NEWS_MAX {
            drop(self.news.send(message));
        }
    }

    /// Everything acknowledged onto stable storage.
    pub(crate) async fn flush(&self, context: &CallContext) -> Result<(), NodeError> {
        self.client.ask(context, |answer| Event::Flush { answer }).await
    }

    /// A checkpoint that covers everything acknowledged so far.
    pub(crate) async fn checkpoint(&self, context: &CallContext) -> Result<(), NodeError> {
        self.client.ask(context, |answer| Event::Checkpoint { answer }).await
    }

    /// Brings the group in line with the catalogue.
    pub(crate) async fn align(&self, context: &CallContext) -> Result<(), NodeError> {
        self.client.ask(context, |answer| Event::Align { answer }).await
    }

    /// Waits until the copy is the primary and has settled what it found.
    pub(crate) async fn wait_until_primary(&self, context: &CallContext) -> Result<(), NodeError> {
        let mut writable = self.serving.writable();
        let mut failure = self.failure.clone();
        let settled = async {
            tokio::select! {
                settled = writable.wait_for(|writable| *writable) => {
                    settled.map(drop).map_err(|_| NodeError::Stopping)
                }
                failed = failure.wait_for(Option::is_some) => match failed {
                    Ok(failed) => Err(failed.clone().unwrap_or(NodeError::Stopping)),
                    Err(_) => Err(NodeError::Stopping),
                },
            }
        };
        tokio::time::timeout_at(context.deadline.into(), settled)
            .await
            .unwrap_or(Err(NodeError::Deadline("the group's copy has not settled what it found yet")))
    }

    /// Whether what is read here was the group's newest. Asked before reading, because views of a copy that is about to
    /// lead do not show all that its log has yet, and after it, because a lease may end meanwhile.
    pub(crate) fn check_primary(&self) -> Result<(), NodeError> {
        self.serving.check_primary()
    }

    /// Whether it is to be kept out of the in-sync set. A primary is not until it has stopped serving.
    pub(crate) fn is_out_of_order(&self) -> bool {
        self.ailment().is_some() && self.check_primary().is_err()
    }

    /// What is wrong with the copy, if something is.
    pub(crate) fn ailment(&self) -> Option<Ailment> {
        if let Some(error) = &*self.failure.borrow() {
            return Some(Ailment::of(error));
        }
        if self.failure.has_changed().is_err() {
            return Some(Ailment::Damaged("its thread ended".to_owned()));
        }
        self.serving.damage().map(|reason| Ailment::Damaged(reason.to_owned()))
    }

    /// Asks the primary to end its reign because of damage, once the other copies in sync have answered it.
    pub(crate) fn resign(&self, reason: &str) {
        drop(self.news.send(News::Resign { reason: reason.to_owned() }));
    }

    /// Remembers an answer that says that stored bytes are damaged.
    pub(crate) fn note<T>(&self, answer: Result<T, NodeError>) -> Result<T, NodeError> {
        if let Err(error) = &answer
            && error.code() == ErrorCode::DataCorrupt
        {
            self.serving.show_damage(&error.to_string());
        }
        answer
    }

    /// The last record that views show.
    pub(crate) fn applied(&self) -> u64 {
        self.serving.applied()
    }

    /// Begins to merge a collection's segments into as few as possible.
    pub(crate) async fn want_merge(
        &self,
        context: &CallContext,
        collection: CollectionId,
    ) -> Result<(), NodeError> {
        self.checkpoint(context).await?;
        self.client.send(Event::WantMerge { collection })
    }

    /// Waits until the collection's merges and graph builds are done. Bounded by the work, not by a call's deadline: the
    /// client waits for its index, and gives up by hanging up.
    pub(crate) async fn wait_for_jobs(&self, collection: CollectionId) -> Result<(), NodeError> {
        let (answer, complete) = oneshot::channel();
        self.client.send(Event::AwaitIndex { collection, answer })?;
        complete.await.unwrap_or(Err(NodeError::Stopping))
    }
}
