//! Changes of the group's members. Who should vote is decided elsewhere; here it is made sure that no change costs a
//! quorum, and that a number stays with the directory that it was given to.
//!
//! 1. A member is added as a learner, after it said which directory it has. A number that the group knows with another
//!    directory is refused for good: that member lost its votes and its log, and must come back under a new number. A
//!    known directory may be given a new address.
//! 2. A learner may vote once it has caught up; the set of voters is changed through a joint one, so that any number of
//!    them may change at once.
//! 3. One change at a time. One that its leader did not finish is finished by the next, or by asking for it again.

use super::Metadata;
use super::operate::{Unfinished, write_failure};
use super::view::{SILENT_MAX, lag, last_answered};
use crate::error::MetadataError;
use crate::message::{Answer, Failure, MemberChange, Operation};
use crate::network::CallError;
use crate::raft_types::{Member, Membership, TypeConfig};
use lavandin_cluster::Reply;
use lavandin_types::NodeId;
use openraft::async_runtime::WatchReceiver;
use openraft::{ChangeMembers, RaftMetrics, ServerState};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// More voters than this only make every command slower.
const VOTERS_MAX: usize = 7;
/// Entries that a learner may lack when it becomes a voter.
const LAG_OF_VOTER_MAX: u64 = 100;
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

impl Metadata {
    /// Makes a node that runs with `Start::Join` a learner, or tells the group the new address of a member. Doing it
    /// again is harmless. Through any member.
    pub async fn add_learner(
        &self,
        node: NodeId,
        address: &str,
        timeout: Duration,
    ) -> Result<(), MetadataError> {
        let change = MemberChange::Add { node: node.get(), address: address.to_owned() };
        self.change_members(change, timeout).await
    }

    /// Makes exactly these members vote; former voters stay as learners. Waits for those that are new to catch up, and
    /// finishes a change that was interrupted. Through any member.
    pub async fn set_voters(
        &self,
        voters: &BTreeSet<NodeId>,
        timeout: Duration,
    ) -> Result<(), MetadataError> {
        let change = MemberChange::SetVoters(voters.iter().map(|node| node.get()).collect());
        self.change_members(change, timeout).await
    }

    /// Removes a member, a voter too. Its number must never be given to another directory. Through any member.
    pub async fn remove(&self, node: NodeId, timeout: Duration) -> Result<(), MetadataError> {
        self.change_members(MemberChange::Remove { node: node.get() }, timeout).await
    }

    async fn change_members(&self, change: MemberChange, timeout: Duration) -> Result<(), MetadataError> {
        let timeout_ms = timeout.as_millis() as u64;
        match self.at_leader(Operation::Change(change), timeout).await {
            Ok(_) => Ok(()),
            Err(Unfinished::Refused(reason)) => Err(MetadataError::Members { reason }),
            Err(Unfinished::Stopped(reason)) => Err(MetadataError::Stopped { reason }),
            Err(Unfinished::Late { reason, .. }) => {
                Err(MetadataError::MembersNotReady { timeout_ms, reason })
            }
        }
    }

    /// Carries out a change, on the leader.
    pub(super) async fn change(&self, change: MemberChange, deadline: Instant) -> Result<Answer, Failure> {
        let late = || Failure::NotNow("another change of the members is under way".to_owned());
        let _alone = timeout_at(deadline, self.shared.changing.lock()).await.map_err(|_| late())?;
        match change {
            MemberChange::Add { node, address } => self.add(node, address, deadline).await,
            MemberChange::SetVoters(voters) => self.replace_voters(voters, deadline).await,
            MemberChange::Remove { node } => self.remove_member(node, deadline).await,
        }
    }

    async fn add(&self, node: u64, address: String, deadline: Instant) -> Result<Answer, Failure> {
        self.complete_own_record(deadline).await?;
        let known = self.leading_membership()?.get_node(&node).cloned();
        let directory = if node == self.shared.node {
            self.shared.directory
        } else {
            let asked = self.peer_status(NodeId::new(node), &address, STATUS_TIMEOUT).await;
            let status = asked.map_err(|error| {
                let reason = format!("node {} is not at {address}: {}", NodeId::new(node), error.describe());
                match error {
                    CallError::Failed(Failure::WrongNode(_)) => Failure::Refused(reason),
                    _ => Failure::NotNow(reason),
                }
            })?;
            let ours = self.catalogue().cluster();
            if status.cluster.is_some_and(|theirs| Some(theirs) != ours) {
                return Err(Failure::Refused(format!(
                    "node {} belongs to another cluster; give it an empty data directory",
                    status.node
                )));
            }
            status.directory
        };
        let known_directory = known.as_ref().and_then(|member| member.directory);
        if known_directory.is_some_and(|known| known != directory) {
            return Err(Failure::Refused(format!(
                "node {0} came back without the metadata that it had, its votes included, and may not act under its \
                 old number; remove {0} and let it join as a new node, with an empty data directory",
                NodeId::new(node)
            )));
        }
        let member = Member { address, directory: Some(directory) };
        match known {
            Some(known) if known == member => Ok(self.nothing_to_do()),
            Some(_) => self.apply(ChangeMembers::SetNodes(BTreeMap::from([(node, member)])), deadline).await,
            None => self.apply(ChangeMembers::AddNodes(BTreeMap::from([(node, member)])), deadline).await,
        }
    }

    /// A node that was alone so far, or got another address, is not yet known as others must know it.
    async fn complete_own_record(&self, deadline: Instant) -> Result<(), Failure> {
        let own = self.shared.own_record();
        if own.address.is_empty() {
            return Err(Failure::Refused(
                "this node was started without an address at which others reach it".to_owned(),
            ));
        }
        if self.leading_membership()?.get_node(&self.shared.node) != Some(&own) {
            let nodes = BTreeMap::from([(self.shared.node, own)]);
            self.apply(ChangeMembers::SetNodes(nodes), deadline).await?;
        }
        Ok(())
    }

    async fn replace_voters(&self, voters: BTreeSet<u64>, deadline: Instant) -> Result<Answer, Failure> {
        if voters.is_empty() || voters.len() > VOTERS_MAX {
            return Err(Failure::Refused(format!("there must be 1 to {VOTERS_MAX} voters")));
        }
        let membership = self.leading_membership()?;
        if let Some(unknown) = voters.iter().find(|node| membership.get_node(node).is_none()) {
            let unknown = NodeId::new(*unknown);
            return Err(Failure::Refused(format!(
                "node {unknown} is not a member of the group; add it as a learner first"
            )));
        }
        if membership.get_joint_config() == &vec![voters.clone()] {
            return Ok(self.nothing_to_do());
        }
        self.wait_caught_up(&voters, deadline).await?;
        self.apply(ChangeMembers::ReplaceAllVoters(voters), deadline).await
    }

    /// Waits until every voter to be has almost all of the log and most of all voters to be answer.
    async fn wait_caught_up(&self, voters: &BTreeSet<u64>, deadline: Instant) -> Result<(), Failure> {
        let mut metrics = self.shared.raft.metrics();
        loop {
            let missing = {
                let metrics = metrics.borrow_and_update();
                if metrics.state != ServerState::Leader {
                    return Err(Failure::NotLeader(None));
                }
                not_ready(&metrics, self.shared.node, voters)
            };
            let Some(reason) = missing else { return Ok(()) };
            if timeout_at(deadline, metrics.changed()).await.is_err() {
                return Err(Failure::NotNow(reason));
            }
        }
    }

    async fn remove_member(&self, node: u64, deadline: Instant) -> Result<Answer, Failure> {
        let membership = self.leading_membership()?;
        if membership.get_node(&node).is_none() {
            return Ok(self.nothing_to_do());
        }
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        if !voters.contains(&node) {
            return self.apply(ChangeMembers::RemoveNodes([node].into()), deadline).await;
        }
        let left: BTreeSet<u64> = voters.into_iter().filter(|voter| *voter != node).collect();
        if left.is_empty() {
            let node = NodeId::new(node);
            return Err(Failure::Refused(format!(
                "node {node} is the only voter; make another one vote first"
            )));
        }
        self.wait_caught_up(&left, deadline).await?;
        self.apply(ChangeMembers::RemoveVoters([node].into()), deadline).await?;
        // As a voter it became a learner.
        self.apply(ChangeMembers::RemoveNodes([node].into()), deadline).await
    }

    /// Writes a change through the log, again while another one is not committed yet.
    async fn apply(&self, change: ChangeMembers<u64, Member>, deadline: Instant) -> Result<Answer, Failure> {
        loop {
            let changed =
                timeout_at(deadline, self.shared.raft.change_membership(change.clone(), true)).await;
            let failure = match changed {
                Ok(Ok(response)) => {
                    return Ok(Answer { index: response.log_id.index, outcome: Ok(Reply::Done) });
                }
                Ok(Err(error)) => write_failure(error),
                Err(_) => {
                    return Err(Failure::Unknown("most voters did not log the change in time".to_owned()));
                }
            };
            if !matches!(failure, Failure::NotNow(_)) || Instant::now() + PAUSE >= deadline {
                return Err(failure);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The membership, on the leader.
    fn leading_membership(&self) -> Result<Membership, Failure> {
        let metrics = self.shared.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        if metrics.state != ServerState::Leader {
            return Err(Failure::NotLeader(None));
        }
        Ok(metrics.membership_config.membership().clone())
    }

    /// The answer to who asks for what is so already.
    fn nothing_to_do(&self) -> Answer {
        let index = self.status().last_applied_index.unwrap_or(0);
        Answer { index, outcome: Ok(Reply::Done) }
    }
}

/// Why these voters could not carry the group yet.
fn not_ready(metrics: &RaftMetrics<TypeConfig>, own: u64, voters: &BTreeSet<u64>) -> Option<String> {
    let now = Instant::now();
    let answers =
        |node: u64| node == own || last_answered(metrics, node).is_some_and(|at| now < at + SILENT_MAX);
    let current: BTreeSet<u64> = metrics.membership_config.membership().voter_ids().collect();
    for node in voters.difference(&current) {
        if !answers(*node) {
            return Some(format!("node {} does not answer", NodeId::new(*node)));
        }
        if let Some(lag) = Some(lag(metrics, *node).unwrap_or(u64::MAX)).filter(|lag| *lag > LAG_OF_VOTER_MAX)
        {
            return Some(format!("node {} still lacks {lag} entries", NodeId::new(*node)));
        }
    }
    let answering = voters.iter().filter(|node| answers(**node)).count();
    (answering * 2 <= voters.len())
        .then(|| format!("only {answering} of the {} voters to be answer", voters.len()))
}
