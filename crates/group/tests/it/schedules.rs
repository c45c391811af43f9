//! Random schedules: writes, checkpoints that overlap with them, failures and losses of power at any time, during the
//! recovery from earlier ones too.

use crate::ledger::{Ledger, Request};
use crate::life::{Life, open, slow, take_checkpoint};
use lavandin_group::{CheckpointHeader, GroupCopy};
use lavandin_storage::{Durability, Fault, FaultyDirectory, MemoryDirectory};
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Request>),
    TakeCheckpoint,
    InstallCheckpoint,
    /// A failure so many mutating calls from here.
    Fail {
        after: u64,
        fault: Fault,
    },
    /// The process ends and starts again.
    Restart,
    /// The power goes.
    Crash {
        seed: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let request = (0..24u64, 0..1000u64, 0..3u8).prop_map(|(name, value, kind)| match kind {
        0 => Request::Release { name },
        _ => Request::Claim { name, value },
    });
    let fault = prop::sample::select(Fault::ALL.to_vec());
    prop_oneof![
        10 => prop::collection::vec(request, 1..6).prop_map(Step::Write),
        2 => Just(Step::TakeCheckpoint),
        2 => Just(Step::InstallCheckpoint),
        1 => (0..30u64, fault).prop_map(|(after, fault)| Step::Fail { after, fault }),
        1 => Just(Step::Restart),
        2 => any::<u64>().prop_map(|seed| Step::Crash { seed }),
    ]
}

/// The disk, the process on it, and what the world knows.
struct Machine {
    disk: MemoryDirectory,
    directory: FaultyDirectory,
    /// `None` while the process is down.
    copy: Option<GroupCopy<Ledger>>,
    taken: Option<(CheckpointHeader, Vec<u8>)>,
    life: Life,
    /// A planned failure struck since the power came back.
    struck: bool,
}

impl Machine {
    fn new() -> Self {
        let disk = MemoryDirectory::new();
        let directory = FaultyDirectory::new(Arc::new(disk.clone()));
        let mut machine =
            Self { disk, directory, copy: None, taken: None, life: Life::default(), struck: false };
        machine.start();
        machine
    }

    /// Starts the process; it stays down if the planned failure strikes now.
    fn start(&mut self) {
        (self.copy, self.taken) = (None, None);
        match open(Arc::new(self.directory.clone()), Durability::Fsync) {
            Ok(mut copy) => {
                self.life.check(&mut copy);
                self.copy = Some(copy);
            }
            Err(error) => assert!(self.has_struck(), "{error}"),
        }
    }

    fn has_struck(&mut self) -> bool {
        self.struck |= self.directory.has_struck();
        self.struck
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Write(requests) => {
                if let Some(copy) = &mut self.copy
                    && let Err(error) = self.life.write(copy, &requests)
                {
                    assert!(self.has_struck(), "{error}");
                }
            }
            Step::TakeCheckpoint => self.taken = self.copy.as_ref().map(take_checkpoint),
            Step::InstallCheckpoint => {
                if let (Some(copy), Some((header, payload))) = (&mut self.copy, self.taken.take())
                    && let Err(error) = copy.install_checkpoint(&header, &payload)
                {
                    assert!(self.has_struck(), "{error}");
                }
            }
            Step::Fail { after, fault } => {
                self.has_struck();
                self.directory.fail_at(self.directory.calls().mutating + after, fault);
            }
            Step::Restart => {
                // A failure does not outlive the process that met it, but for a crash.
                if self.has_struck() {
                    self.directory.heal();
                }
                self.start();
            }
            Step::Crash { seed } => {
                self.copy = None;
                self.disk = self.disk.crash(seed);
                self.directory = FaultyDirectory::new(Arc::new(self.disk.clone()));
                self.struck = false;
                self.start();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if slow() { 20_000 } else { 300 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_schedule_keeps_what_was_acknowledged(steps in prop::collection::vec(step(), 1..60)) {
        let mut machine = Machine::new();
        steps.into_iter().for_each(|step| machine.run(step));
        machine.run(Step::Crash { seed: 1 });
        prop_assert!(machine.copy.is_some(), "a whole disk opens");
    }
}
