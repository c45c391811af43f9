//! Previews that were asked for, each under its id, until they are too old, too many, too large, or synced over.

use super::{Preview, PreviewState};
use lavandin_types::DatasetId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a preview is kept.
pub(super) const KEPT: Duration = Duration::from_secs(60 * 60);
/// Previews kept; those that were used longest ago go first.
const PREVIEWS_MAX: usize = 256;
/// Bytes of all that are kept.
const BYTES_MAX: usize = 128 << 20;
/// Previews that are being made; each takes a thread.
const MAKING_MAX: usize = 16;

#[derive(Default)]
pub(super) struct Table {
    entries: HashMap<String, Entry>,
    /// Counts uses.
    clock: u64,
    bytes: usize,
}

struct Entry {
    dataset: DatasetId,
    since: Instant,
    used: u64,
    stage: Stage,
}

enum Stage {
    /// `again` if what is being read was synced over meanwhile.
    Making {
        again: bool,
    },
    Done(Arc<Preview>),
    Failed(String),
}

/// What is to be done for who asks for a preview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It is there, or being made.
    Known,
    /// The caller is to make it.
    New,
    /// Too many are being made.
    Full,
}

impl Entry {
    fn bytes(&self) -> usize {
        match &self.stage {
            Stage::Done(preview) => preview.samples.iter().map(|text| text.len() + size_of::<String>()).sum(),
            _ => 0,
        }
    }

    fn is_making(&self) -> bool {
        matches!(self.stage, Stage::Making { .. })
    }
}

impl Table {
    pub(super) fn begin(&mut self, id: &str, dataset: DatasetId, now: Instant) -> Begun {
        self.expire(now);
        match self.entries.get(id).map(|entry| &entry.stage) {
            Some(Stage::Making { .. } | Stage::Done(_)) => return Begun::Known,
            // Asked for anew before the failure was told.
            Some(Stage::Failed(_)) | None => {}
        }
        if self.entries.values().filter(|entry| entry.is_making()).count() >= MAKING_MAX {
            return Begun::Full;
        }
        let entry = Entry { dataset, since: now, used: self.tick(), stage: Stage::Making { again: false } };
        self.entries.insert(id.to_owned(), entry);
        Begun::New
    }

    /// Keeps what was made; false if it has to be made again.
    pub(super) fn finish(&mut self, id: &str, made: Result<Preview, String>, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return true };
        if let Stage::Making { again } = &mut entry.stage
            && std::mem::take(again)
        {
            return false;
        }
        entry.since = now;
        entry.stage = match made {
            Ok(preview) => Stage::Done(Arc::new(preview)),
            Err(message) => Stage::Failed(message),
        };
        self.bytes += entry.bytes();
        self.shrink(id);
        true
    }

    pub(super) fn get(&mut self, id: &str, now: Instant) -> PreviewState {
        self.expire(now);
        let used = self.tick();
        let Some(entry) = self.entries.get_mut(id) else { return PreviewState::Unknown };
        entry.used = used;
        match &mut entry.stage {
            Stage::Making { .. } => PreviewState::Unknown,
            Stage::Done(preview) => PreviewState::Ready(Arc::clone(preview)),
            Stage::Failed(message) => {
                let message = std::mem::take(message);
                self.entries.remove(id);
                PreviewState::Failed(message)
            }
        }
    }

    /// Forgets the previews of a dataset; those that are being made are made again.
    pub(super) fn forget(&mut self, dataset: DatasetId) {
        for entry in self.entries.values_mut().filter(|entry| entry.dataset == dataset) {
            if let Stage::Making { again } = &mut entry.stage {
                *again = true;
            }
        }
        self.retain(|entry| entry.dataset != dataset);
    }

    fn expire(&mut self, now: Instant) {
        self.retain(|entry| now.saturating_duration_since(entry.since) < KEPT);
    }

    /// Removes what is not kept, but for what is being made.
    fn retain(&mut self, is_kept: impl Fn(&Entry) -> bool) {
        let mut freed = 0;
        self.entries.retain(|_, entry| {
            let stays = entry.is_making() || is_kept(entry);
            if !stays {
                freed += entry.bytes();
            }
            stays
        });
        self.bytes -= freed;
    }

    /// Makes room, but not of the newest.
    fn shrink(&mut self, newest: &str) {
        while self.entries.len() > PREVIEWS_MAX || self.bytes > BYTES_MAX {
            let others = self.entries.iter().filter(|(id, entry)| *id != newest && !entry.is_making());
            let Some((_, oldest)) = others.map(|(id, entry)| (entry.used, id.clone())).min() else { return };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= entry.bytes();
            }
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

#[cfg(test)]
mod tests;
