//! A process with all that it has started, from its start to its end.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// A process at the head of its group.
pub(super) struct Process {
    pub(super) child: Child,
}

impl Process {
    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether it has ended; it keeps its id until [`Process::end`].
    pub(super) fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error says that there is nothing left to wait for.
        !matches!(waitid(WaitId::Pid(self.pid()), look), Ok(None))
    }

    pub(super) fn wait_until(&self, deadline: Instant) {
        while !self.has_ended() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the process and those it has started, waits for its end and says how it was. A second call says the same.
    pub(super) fn end(&mut self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.reaped() {
            return Some(status);
        }
        // Its id cannot be another's before it is waited for. The group is gone if all in it have ended.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        self.child.wait().ok()
    }

    /// How it ended, if it was waited for already.
    fn reaped(&mut self) -> io::Result<Option<ExitStatus>> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.pid()), look) {
            // No such child any more: what `try_wait` returns is the status it remembers.
            Err(_) => self.child.try_wait(),
            Ok(_) => Ok(None),
        }
    }
}
