//! Reading all that a copy holds, to find out whether it is as it was written: its records, summed up to be compared with
//! other copies', the files of its segments and graphs, its log, its checkpoints.
//!
//! It is done in pieces, each in its turn on the pool, at `GroupHost`'s rate. What is found is repaired where it can be
//! in place: a graph is built again, a checkpoint is written again. Other damage is shown (`Serving::show_damage`), and
//! the copy is rebuilt (`membership::repairs`) where another one is in sync.

use crate::driver::Event;
use crate::error::NodeError;
use crate::groups::LocalGroup;
use crate::options::CallContext;
use crate::verifying::{DamagedCollection, Digests};
use lavandin_group::check_checkpoints;
use lavandin_shard::{Damage, Digest, DigestSum, FileCheck, View};
use lavandin_types::CollectionId;
use std::sync::Arc;

/// Bytes read at a time.
const PIECE: u64 = 8 << 20;
/// How often a log is read that seems damaged: what was removed from it meanwhile seems so.
const LOG_ATTEMPTS: usize = 3;
/// The folder of a copy's log.
const LOG: &str = "log";
/// Stands for what belongs to no collection.
pub(crate) const NO_COLLECTION: CollectionId = CollectionId::ZERO;

impl LocalGroup {
    /// What this copy holds.
    pub(crate) async fn digests(&self, context: &CallContext) -> Result<Digests, NodeError> {
        let mut all = Digests::default();
        for (collection, view) in self.shard.views() {
            match self.sum_up(context, collection, view).await? {
                Ok(digest) => all.digests.push(digest),
                Err(damage) => all.damaged.push(found(collection, &damage)),
            }
        }
        for (collection, view) in self.shard.views() {
            if all.damaged.iter().all(|damaged| damaged.collection != collection)
                && let Err(damage) = self.check_files(context, collection, &view).await?
            {
                all.damaged.push(found(collection, &damage));
            }
        }
        if let Err(damage) = self.check_log(context).await? {
            all.damaged.push(found(NO_COLLECTION, &damage));
        }
        self.check_checkpoint(context).await?;
        let damaged: Vec<CollectionId> = all.damaged.iter().map(|damaged| damaged.collection).collect();
        all.digests.retain(|digest| !damaged.contains(&digest.collection));
        for damaged in &all.damaged {
            tracing::error!(event = "copy_damaged", group = %self.id, reason = damaged.reason, "a copy is damaged");
            self.serving.show_damage(&damaged.reason);
        }
        Ok(all)
    }

    /// A file that this copy relies on and that is not there any more. Blocks.
    pub(crate) fn missing_file(&self) -> Option<String> {
        if !self.directory.exists(LOG).unwrap_or(true) {
            return Some(LOG.to_owned());
        }
        self.shard.views().into_iter().find_map(|(collection, view)| {
            let mut missing =
                view.file_checks(&self.directory).into_iter().filter(|check| !check.is_present());
            // One that was removed because it is not needed any more is in no later view.
            let is_needed =
                |check: &FileCheck| self.shard.view(collection).is_some_and(|view| check.is_needed_by(&view));
            missing.find(is_needed).map(|check| check.path().to_owned())
        })
    }

    async fn sum_up(
        &self,
        context: &CallContext,
        collection: CollectionId,
        view: Arc<View>,
    ) -> Result<Result<Digest, Damage>, NodeError> {
        let mut sum = DigestSum::new(collection, view);
        loop {
            let add = move || {
                let added = sum.add(PIECE);
                (sum, added)
            };
            let added;
            (sum, added) = self.pool.run(context, PIECE, add).await?;
            match added {
                Ok(Some(bytes)) => self.throttle.take(bytes).await,
                Ok(None) => return Ok(sum.finish()),
                Err(damage) => return Ok(Err(damage)),
            }
        }
    }

    async fn check_files(
        &self,
        context: &CallContext,
        collection: CollectionId,
        view: &View,
    ) -> Result<Result<(), Damage>, NodeError> {
        for check in view.file_checks(&self.directory) {
            let (check, read) = self.check_file(context, check).await?;
            // A file that is not needed any more is removed.
            let needed = self.shard.view(collection).is_some_and(|view| check.is_needed_by(&view));
            if let Err(damage) = read
                && needed
            {
                return Ok(Err(damage));
            }
        }
        Ok(Ok(()))
    }

    async fn check_file(
        &self,
        context: &CallContext,
        mut check: FileCheck,
    ) -> Result<(FileCheck, Result<(), Damage>), NodeError> {
        loop {
            let read = move || {
                let read = check.read(PIECE as usize);
                (check, read)
            };
            let read_now;
            (check, read_now) = self.pool.run(context, PIECE, read).await?;
            match read_now {
                Ok(Some(bytes)) => self.throttle.take(bytes).await,
                Ok(None) => return Ok((check, Ok(()))),
                Err(damage) => return Ok((check, Err(damage))),
            }
        }
    }

    async fn check_log(&self, context: &CallContext) -> Result<Result<(), Damage>, NodeError> {
        let mut found = Ok(());
        for _ in 0..LOG_ATTEMPTS {
            found = self.check_log_once(context).await?;
            if found.is_ok() {
                break;
            }
        }
        Ok(found)
    }

    async fn check_log_once(&self, context: &CallContext) -> Result<Result<(), Damage>, NodeError> {
        let damage = |error: &dyn std::fmt::Display| Ok(Err(Damage::new("log", error)));
        let mut check = match self.client.ask(context, |answer| Event::CheckLog { answer }).await {
            Ok(check) => check,
            Err(NodeError::Group(error)) => return damage(&error),
            Err(error) => return Err(error),
        };
        loop {
            let read = move || {
                let read = check.read(PIECE);
                (check, read)
            };
            let read_now;
            (check, read_now) = self.pool.run(context, PIECE, read).await?;
            match read_now {
                Ok(Some(bytes)) => self.throttle.take(bytes).await,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return damage(&error),
            }
        }
    }

    /// A copy that runs has all of it in memory, and writes another one.
    async fn check_checkpoint(&self, context: &CallContext) -> Result<(), NodeError> {
        let directory = Arc::clone(&self.directory);
        let check = move || check_checkpoints(&*directory);
        let Err(error) = self.pool.run(context, PIECE, check).await? else { return Ok(()) };
        tracing::warn!(event = "checkpoint_damaged", group = %self.id, %error, "a checkpoint is damaged and is written again");
        if let Err(error) = self.checkpoint(context).await {
            self.serving.show_damage(&error.to_string());
        }
        Ok(())
    }
}

fn found(collection: CollectionId, damage: &Damage) -> DamagedCollection {
    DamagedCollection { collection, reason: damage.to_string() }
}

#[cfg(test)]
mod tests;
