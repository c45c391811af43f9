//! What only the leader can do, asked of any member: commands, the read index, changes of members.
//!
//! 1. The member does it itself if it leads, else it sends it to the leader with the time that is left.
//! 2. Where no leader is known, the leader changes, or the answer is lost, it tries again after a pause that grows and
//!    varies, or at once when another leader is heard of, until the deadline. Operations may be done twice.
//! 3. Then it waits until it has itself applied what the leader did: whoever asked finds it in the catalogue.

use super::Metadata;
use crate::error::MetadataError;
use crate::message::{Answer, Body, Failure, Operation, Reply, Request};
use crate::network::CallError;
use crate::raft_types::Outcome;
use crate::transport::TransportError;
use futures_util::future::BoxFuture;
use lavandin_cluster::{Command, Reply as CommandReply};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardToLeader, LinearizableReadError, RaftError};
use openraft::raft::linearizable_read::LinearizerOption;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The longest command: half of what a transport carries.
const COMMAND_BYTES_MAX: usize = crate::MESSAGE_BYTES_MAX / 2;
/// Time for one call to a leader; a lost message must not cost the whole deadline.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE_MIN_MS: u64 = 20;
const PAUSE_MAX_MS: u64 = 500;

/// Why an operation has no outcome.
pub(super) enum Unfinished {
    Stopped(String),
    Refused(String),
    Late { maybe_done: bool, reason: String },
}

impl Unfinished {
    /// The error of what did not happen, or may as well not have.
    fn nothing_done(self, timeout_ms: u64) -> MetadataError {
        match self {
            Self::Stopped(reason) => MetadataError::Stopped { reason },
            Self::Refused(reason) | Self::Late { reason, .. } => {
                MetadataError::NoLeader { timeout_ms, reason }
            }
        }
    }
}

impl Metadata {
    /// Carries out a command, through any member. When it answers, the change is on the disks of most voters and in
    /// this node's `catalogue()`. Dropping the future, or a deadline, leaves the outcome open; commands may be proposed
    /// again, and this does so itself when an answer is lost. So a compare-and-set that won may be told that it came too
    /// late: the state that the refusal carries tells.
    pub async fn propose(&self, command: Command) -> Result<CommandReply, MetadataError> {
        self.propose_within(command, self.shared.propose_timeout).await
    }

    /// The same with a deadline of the caller's.
    pub async fn propose_within(
        &self,
        command: Command,
        timeout: Duration,
    ) -> Result<CommandReply, MetadataError> {
        let (name, bytes) = (command.name(), command.encode().len());
        if bytes > COMMAND_BYTES_MAX {
            let limit_bytes = COMMAND_BYTES_MAX as u64;
            return Err(MetadataError::TooLarge { command: name, bytes: bytes as u64, limit_bytes });
        }
        let timeout_ms = timeout.as_millis() as u64;
        match self.at_leader(Operation::Command(command), timeout).await {
            Ok(outcome) => Ok(outcome?),
            Err(Unfinished::Late { maybe_done: true, .. }) => {
                Err(MetadataError::Deadline { command: name, timeout_ms })
            }
            Err(other) => Err(other.nothing_done(timeout_ms)),
        }
    }

    /// Waits until the catalogue here has everything that was committed anywhere before this call: the leader makes
    /// sure that it leads, and says how far the log is. No clocks are trusted.
    pub async fn read_barrier(&self, timeout: Duration) -> Result<(), MetadataError> {
        let done = self.at_leader(Operation::ReadIndex, timeout).await;
        done.map(drop).map_err(|unfinished| unfinished.nothing_done(timeout.as_millis() as u64))
    }

    /// Has the leader do it and waits until it is visible here.
    pub(super) fn at_leader(
        &self,
        operation: Operation,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Outcome, Unfinished>> {
        Box::pin(async move {
            let deadline = Instant::now() + timeout;
            let (mut pause_ms, mut maybe_done, mut hint) = (PAUSE_MIN_MS, false, None);
            let reason = loop {
                let reason = match self.attempt(&operation, hint.take(), deadline).await {
                    Ok(Answer { index, outcome }) => {
                        if self.wait_applied(index, deadline).await {
                            return Ok(outcome);
                        }
                        let reason = "the leader did it, but that did not arrive here in time".to_owned();
                        return Err(Unfinished::Late { maybe_done: true, reason });
                    }
                    Err(Failure::Stopped(reason)) => return Err(Unfinished::Stopped(reason)),
                    Err(Failure::Refused(reason)) => return Err(Unfinished::Refused(reason)),
                    Err(failure) => {
                        maybe_done |= matches!(failure, Failure::Unknown(_));
                        let reason = failure.to_string();
                        if let Failure::NotLeader(leader) = failure {
                            hint = leader;
                        }
                        reason
                    }
                };
                if Instant::now() >= deadline {
                    break reason;
                }
                self.pause(pause_ms, deadline).await;
                pause_ms = PAUSE_MAX_MS.min(pause_ms * 2);
            };
            // Where nobody leads, the status may know why.
            let obstacle = self.status().degraded.filter(|_| self.leader().is_none());
            Err(Unfinished::Late { maybe_done, reason: obstacle.unwrap_or(reason) })
        })
    }

    /// One try with who leads, or is said to.
    async fn attempt(
        &self,
        operation: &Operation,
        hint: Option<(u64, String)>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let known = self.leader().map(|(node, member)| (node, member.address));
        let Some((leader, address)) = hint.or(known) else {
            self.check_running()?;
            return Err(Failure::NotNow("this node knows no metadata leader".to_owned()));
        };
        let attempt = async {
            if leader == self.shared.node {
                self.execute(operation.clone(), deadline).await
            } else {
                self.forward(operation, (leader, &address), deadline).await
            }
        };
        tokio::select! {
            biased;
            done = attempt => done,
            () = self.another_leads(leader) => Err(Failure::Unknown("the metadata leader changed".to_owned())),
        }
    }

    async fn forward(
        &self,
        operation: &Operation,
        (node, address): (u64, &str),
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let mut left = deadline.saturating_duration_since(Instant::now());
        // A change of members waits for them to catch up.
        if !matches!(operation, Operation::Change(_)) {
            left = left.min(CALL_TIMEOUT);
        }
        // The leader gets a little less, so that it can still say why it failed.
        let body = Body::Operation(left * 9 / 10, operation.clone());
        let request = Request { node, directory: None, body };
        match self.shared.network.call(address, request, left).await {
            Ok(Reply::Answer(answer)) => Ok(answer),
            Ok(_) => Err(Failure::Unknown("the leader answered another question".to_owned())),
            // Its metadata has stopped, not this node's.
            Err(CallError::Failed(Failure::Stopped(reason))) => Err(Failure::Unknown(reason)),
            Err(CallError::Failed(failure)) => Err(failure),
            Err(CallError::Transport(error @ TransportError::Unreachable(_))) => {
                Err(Failure::NotNow(error.to_string()))
            }
            Err(CallError::Transport(error)) => Err(Failure::Unknown(error.to_string())),
        }
    }

    /// Does it here, if this node leads.
    pub(super) async fn execute(&self, operation: Operation, deadline: Instant) -> Result<Answer, Failure> {
        self.check_running()?;
        match operation {
            Operation::Command(command) => self.write(command, deadline).await,
            Operation::ReadIndex => self.read_index(deadline).await,
            Operation::Change(change) => self.change(change, deadline).await,
        }
    }

    async fn write(&self, command: Command, deadline: Instant) -> Result<Answer, Failure> {
        match timeout_at(deadline, self.shared.raft.client_write(command)).await {
            Ok(Ok(response)) => Ok(Answer { index: response.log_id.index, outcome: response.data }),
            Ok(Err(error)) => Err(write_failure(error)),
            Err(_) => Err(Failure::Unknown("most voters did not log it in time".to_owned())),
        }
    }

    async fn read_index(&self, deadline: Instant) -> Result<Answer, Failure> {
        let left = deadline.saturating_duration_since(Instant::now());
        // An answer to something sent before this call proves nothing.
        let option = LinearizerOption::new(Some(Duration::ZERO), true).with_wait_timeout(left);
        match timeout_at(deadline, self.shared.raft.get_read_log_id(option)).await {
            Ok(Ok((id, _))) => Ok(Answer { index: id.index(), outcome: Ok(CommandReply::Done) }),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)))) => {
                Err(not_leader(forward))
            }
            Ok(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) | Err(_) => {
                Err(Failure::NotNow("most voters did not answer the leader in time".to_owned()))
            }
            Ok(Err(RaftError::Fatal(fatal))) => Err(Failure::Stopped(fatal.to_string())),
        }
    }

    /// An error once the metadata has stopped.
    pub(super) fn check_running(&self) -> Result<(), Failure> {
        let metrics = self.shared.raft.metrics();
        let running = metrics.borrow_watched().running_state.clone();
        running.map_err(|fatal| Failure::Stopped(fatal.to_string()))
    }

    /// Whether it is applied here in time.
    pub(super) async fn wait_applied(&self, index: u64, deadline: Instant) -> bool {
        let mut applied = self.changed();
        let done = timeout_at(deadline, applied.wait_for(|next| *next > index)).await;
        matches!(done, Ok(Ok(_)))
    }

    /// Returns when this node hears of another leader.
    async fn another_leads(&self, than: u64) {
        let mut metrics = self.shared.raft.server_metrics();
        loop {
            let leader = metrics.borrow_and_update().current_leader;
            if leader.is_some_and(|leader| leader != than) {
                return;
            }
            if metrics.changed().await.is_err() {
                // The metadata stops, which the attempt itself will tell.
                return std::future::pending().await;
            }
        }
    }

    /// Waits between half and all of the time, or until the leader changes.
    async fn pause(&self, pause_ms: u64, deadline: Instant) {
        let jitter = getrandom::u32().map_or(0, u64::from) % (pause_ms / 2 + 1);
        let until = deadline.min(Instant::now() + Duration::from_millis(pause_ms - jitter));
        let mut metrics = self.shared.raft.server_metrics();
        let leader = metrics.borrow_and_update().current_leader;
        let changes = async {
            while metrics.changed().await.is_ok() && metrics.borrow_watched().current_leader == leader {}
        };
        drop(timeout_at(until, changes).await);
    }
}

/// Why a write, or a change of members, was not carried out.
pub(super) fn write_failure(
    error: RaftError<crate::raft_types::TypeConfig, ClientWriteError<crate::raft_types::TypeConfig>>,
) -> Failure {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => not_leader(forward),
        RaftError::APIError(error @ ClientWriteError::LogEntryDiscarded(_)) => {
            Failure::Unknown(error.to_string())
        }
        // A change that is under way, or was decided on what is no longer so.
        RaftError::APIError(error) => Failure::NotNow(error.to_string()),
        RaftError::Fatal(fatal) => Failure::Stopped(fatal.to_string()),
    }
}

fn not_leader(forward: ForwardToLeader<crate::raft_types::TypeConfig>) -> Failure {
    Failure::NotLeader(forward.leader_id.zip(forward.leader_node.map(|member| member.address)))
}
