//! A group with a ledger on a disk that may fail, and what must be true of it: after any reopening it holds the first
//! so many of the operations that were ever staged, all acknowledged ones among them, and answers retries as before.

use crate::ledger::{Ledger, Request};
use lavandin_group::{CheckpointHeader, GroupCopy, GroupError, GroupOptions, Staged};
use lavandin_storage::{Directory, Durability, MemoryDirectory};
use lavandin_types::{GroupId, PrimaryEpoch, RequestId};
use std::sync::Arc;

pub(crate) const GROUP: GroupId = GroupId::new(1);
/// Answers that the copies of these tests keep.
pub(crate) const ANSWERS: usize = 24;

pub(crate) fn options(durability: Durability) -> GroupOptions {
    GroupOptions {
        log_segment_bytes: 700,
        request_table_entries: ANSWERS,
        ..GroupOptions::new(GROUP, durability)
    }
}

pub(crate) fn open(
    directory: Arc<dyn Directory>,
    durability: Durability,
) -> Result<GroupCopy<Ledger>, GroupError> {
    GroupCopy::open(directory, options(durability), Ledger::from_payload)
}

/// An operation in the order of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) id: RequestId,
    pub(crate) request: Request,
}

/// What the world outside of the copy knows.
#[derive(Default)]
pub(crate) struct Life {
    /// Everything that was staged and may be in the log, in order.
    operations: Vec<Operation>,
    /// So many of them were acknowledged.
    acknowledged: usize,
    epoch: PrimaryEpoch,
    next_id: u128,
}

impl Life {
    /// Stages a batch of requests and commits it. `Err` if the copy failed; refusals are checked and are none.
    pub(crate) fn write(
        &mut self,
        copy: &mut GroupCopy<Ledger>,
        requests: &[Request],
    ) -> Result<(), GroupError> {
        let before = self.operations.len();
        let mut tickets = Vec::new();
        for request in requests {
            let free = !matches!(request, Request::Claim { name, .. } if copy.consumer().is_taken(*name));
            self.next_id += 1;
            let operation = Operation { id: RequestId::new(self.next_id), request: *request };
            match copy.stage(operation.id, *request) {
                Ok(Staged::Pending(ticket)) => {
                    assert!(free, "{request:?} was accepted twice");
                    self.operations.push(operation);
                    tickets.push(ticket);
                }
                Ok(Staged::Rejected(taken)) => assert!(!free, "{taken:?} was refused"),
                Ok(Staged::Answered(_)) => panic!("a new request was answered"),
                Err(error) => {
                    self.operations.truncate(before);
                    return Err(error);
                }
            }
        }
        let outcomes = copy.commit()?;
        assert_eq!(outcomes.len(), tickets.len());
        let mut ledger = self.ledger(before);
        for (ticket, operation) in tickets.iter().zip(&self.operations[before..]) {
            assert_eq!(outcomes.get(*ticket), Some(&ledger.perform(operation.request)));
        }
        self.acknowledged = self.operations.len();
        assert_eq!(*copy.consumer(), ledger);
        Ok(())
    }

    /// Checks a copy that was just opened, and goes on from what it holds.
    pub(crate) fn check(&mut self, copy: &mut GroupCopy<Ledger>) {
        let found = copy.consumer().applied as usize;
        let range = self.acknowledged..=self.operations.len();
        assert!(range.contains(&found), "{found} operations where {range:?} are possible");
        self.operations.truncate(found);
        self.acknowledged = found;
        assert_eq!(*copy.consumer(), self.ledger(found), "another state than those operations make");
        assert!(copy.epoch() > self.epoch, "{} does not rise above {}", copy.epoch(), self.epoch);
        self.epoch = copy.epoch();
        self.check_retries(copy);
    }

    /// The last requests that were applied are answered as they were.
    fn check_retries(&self, copy: &mut GroupCopy<Ledger>) {
        let kept_from = self.operations.len().saturating_sub(ANSWERS);
        let mut ledger = self.ledger(kept_from);
        for operation in &self.operations[kept_from..] {
            let outcome = ledger.perform(operation.request);
            match copy.stage(operation.id, operation.request) {
                Ok(Staged::Answered(again)) => assert_eq!(again, outcome, "another answer to a retry"),
                Ok(_) => panic!("{operation:?} was applied again"),
                Err(error) => panic!("a retry failed: {error}"),
            }
        }
    }

    /// The state after the first `count` operations.
    pub(crate) fn ledger(&self, count: usize) -> Ledger {
        let mut ledger = Ledger::default();
        for operation in &self.operations[..count] {
            ledger.perform(operation.request);
        }
        ledger
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// The operation of that place.
    pub(crate) fn operation(&self, place: usize) -> Operation {
        self.operations[place]
    }
}

/// The present state as a checkpoint.
pub(crate) fn take_checkpoint(copy: &GroupCopy<Ledger>) -> (CheckpointHeader, Vec<u8>) {
    (copy.checkpoint_header(), copy.consumer().payload())
}

pub(crate) fn checkpoint(copy: &mut GroupCopy<Ledger>) -> Result<(), GroupError> {
    let (header, payload) = take_checkpoint(copy);
    copy.install_checkpoint(&header, &payload)
}

pub(crate) fn claims(names: std::ops::Range<u64>) -> Vec<Request> {
    names.map(|name| Request::Claim { name, value: name * 7 + 1 }).collect()
}

/// All files of a copy's directory.
pub(crate) fn files(disk: &dyn Directory) -> Vec<String> {
    let log = disk.list("log").unwrap_or_default().into_iter().map(|name| format!("log/{name}"));
    disk.list("").unwrap().into_iter().filter(|name| name != "log").chain(log).collect()
}

/// The same files once more, all of them durable.
pub(crate) fn duplicate(disk: &dyn Directory) -> MemoryDirectory {
    let copy = MemoryDirectory::new();
    copy.create_dir_all("log").unwrap();
    for name in files(disk) {
        let bytes = disk.map(&name).unwrap();
        let mut file = copy.create(&name).unwrap();
        file.write_at(0, &bytes).unwrap();
        file.sync().unwrap();
    }
    copy.sync_dir("").unwrap();
    copy.sync_dir("log").unwrap();
    copy
}

/// Flips one bit of a file.
pub(crate) fn flip(disk: &dyn Directory, name: &str, byte: usize, bit: u32) {
    let mut file = disk.open(name).unwrap();
    let mut value = [0];
    file.read_at(byte as u64, &mut value).unwrap();
    file.write_at(byte as u64, &[value[0] ^ 1 << bit]).unwrap();
}

pub(crate) fn slow() -> bool {
    std::env::var("LAVANDIN_SLOW_TESTS").is_ok_and(|value| value == "1")
}
