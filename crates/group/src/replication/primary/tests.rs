use super::super::view::View;
use super::*;
use crate::epoch_table::EpochTable;
use crate::position::Position;
use lavandin_types::{GroupId, PrimaryEpoch};

const ME: NodeId = NodeId::new(1);
const SECOND: NodeId = NodeId::new(2);
const THIRD: NodeId = NodeId::new(3);
const INCARNATION: u64 = 7;

fn options() -> ReplicationOptions {
    ReplicationOptions::new(GroupId::new(1), ME, INCARNATION, 1000)
}

fn view(in_sync: &[NodeId], joiner: Option<NodeId>, version: u64) -> View {
    View {
        group: GroupId::new(1),
        epoch: PrimaryEpoch::new(4),
        version,
        primary: ME,
        in_sync: in_sync.iter().map(|node| (*node, INCARNATION)).collect(),
        joiner: joiner.map(|node| (node, INCARNATION)),
        observers: BTreeMap::new(),
        min_in_sync: 1,
        mirror: true,
    }
}

/// A primary and its log.
struct Reign {
    primary: Primary,
    last: u64,
    durable: u64,
    epochs: EpochTable,
}

impl Reign {
    /// Record 10 is the barrier, and everything is durable here.
    fn new(in_sync: &[NodeId], joiner: Option<NodeId>) -> Self {
        let mut primary = Primary::new(view(in_sync, joiner, 1), SequenceNumber::new(5), 0);
        primary.began(SequenceNumber::new(10), 0);
        Self { primary, last: 10, durable: 10, epochs: EpochTable::default() }
    }

    fn with<T>(&mut self, action: impl FnOnce(&mut Primary, &LogState<'_>) -> T) -> T {
        let last = Position { sequence: SequenceNumber::new(self.last), ..Position::default() };
        let durable = SequenceNumber::new(self.durable);
        let log = LogState { last, durable, committed: SequenceNumber::new(5), epochs: &self.epochs };
        action(&mut self.primary, &log)
    }

    /// The log grows to `last`, durably.
    fn log_to(&mut self, last: u64, now: u64) {
        (self.last, self.durable) = (last, last);
        self.with(|primary, log| primary.note_log(log, now));
    }

    fn acknowledge(&mut self, from: NodeId, durable: u64, now: u64) {
        self.acknowledge_as(from, durable, (4, INCARNATION), now);
    }

    fn acknowledge_as(&mut self, from: NodeId, durable: u64, (epoch, incarnation): (u64, u64), now: u64) {
        let content = Content::Acknowledge { durable: SequenceNumber::new(durable), round: 0 };
        let epoch = PrimaryEpoch::new(epoch);
        let message = Message { group: GroupId::new(1), epoch, incarnation, content };
        self.with(|primary, log| primary.receive(&options(), (from, message), log, now));
    }

    fn committed(&mut self) -> u64 {
        self.with(|primary, log| primary.commit(&options(), log, true));
        self.primary.committed.get()
    }

    fn proposal(&mut self, now: u64) -> Option<Proposal> {
        self.with(|primary, log| primary.tick(&options(), log, now)).1
    }

    fn learn(&mut self, view: View, now: u64) {
        self.with(|primary, log| primary.update(view, log, now));
    }
}

fn revision(version: u64) -> Revision {
    Revision { epoch: PrimaryEpoch::new(4), version }
}

#[test]
fn every_copy_in_sync_and_the_own_disk_are_waited_for() {
    let mut reign = Reign::new(&[ME, SECOND, THIRD], None);
    assert_eq!(reign.committed(), 5);
    reign.acknowledge(SECOND, 10, 1);
    assert_eq!(reign.committed(), 5);
    reign.acknowledge(THIRD, 8, 1);
    assert_eq!(reign.committed(), 8);
    reign.acknowledge(THIRD, 10, 2);
    reign.durable = 9;
    assert_eq!(reign.committed(), 9);
    reign.durable = 10;
    assert_eq!(reign.committed(), 10);
    reign.acknowledge(THIRD, 3, 3);
    assert_eq!(reign.committed(), 10, "an old acknowledgement takes nothing back");
}

#[test]
fn what_is_committed_is_told_at_once_unless_more_is_on_its_way() {
    let mut reign = Reign::new(&[ME, SECOND, THIRD], None);
    let told = |reign: &mut Reign| {
        let messages = reign.with(|primary, log| primary.notices(&options(), log, 1));
        messages.into_iter().map(|(to, message)| (to, message.content)).collect::<Vec<_>>()
    };
    reign.acknowledge(SECOND, 10, 1);
    reign.acknowledge(THIRD, 9, 1);
    assert_eq!((reign.committed(), told(&mut reign)), (9, vec![]));
    reign.acknowledge(THIRD, 10, 1);
    let committed = Content::Heartbeat(Heartbeat { committed: SequenceNumber::new(10), round: 0 });
    assert_eq!(reign.committed(), 10);
    assert_eq!(told(&mut reign), [(SECOND, committed.clone()), (THIRD, committed)]);
    assert_eq!(told(&mut reign), [], "once");
    reign.log_to(11, 2);
    assert_eq!(told(&mut reign), []);
}

#[test]
fn acknowledgements_of_another_epoch_incarnation_or_node_are_nothing() {
    let mut reign = Reign::new(&[ME, SECOND], None);
    reign.acknowledge_as(SECOND, 10, (3, INCARNATION), 1);
    reign.acknowledge_as(SECOND, 10, (4, INCARNATION - 1), 1);
    reign.acknowledge(THIRD, 10, 1);
    assert_eq!(reign.committed(), 5);
    reign.acknowledge(SECOND, 1000, 1);
    assert_eq!(reign.committed(), 10, "what is beyond the log counts up to its end");
}

#[test]
fn a_later_epoch_ends_the_reign_before_its_view_is_known() {
    let mut reign = Reign::new(&[ME, SECOND], None);
    reign.acknowledge_as(SECOND, 10, (5, INCARNATION), 1);
    reign.acknowledge(SECOND, 10, 2);
    assert_eq!(reign.committed(), 5);
    assert_eq!(reign.primary.can_write(&options(), true), Err(Refusal::NotReady));
}

#[test]
fn nothing_is_committed_and_no_request_taken_without_a_lease_or_before_the_barrier() {
    let mut reign = Reign::new(&[ME], None);
    assert_eq!(reign.primary.can_write(&options(), true), Err(Refusal::NotReady));
    assert_eq!(
        reign.with(|primary, log| primary.commit(&options(), log, false)),
        None,
        "a lone primary, too"
    );
    assert_eq!(reign.committed(), 10);
    assert_eq!(reign.primary.can_write(&options(), false), Err(Refusal::LeaseOver));
    assert_eq!(reign.primary.can_write(&options(), true), Ok(()));
    reign.primary.view.min_in_sync = 2;
    let refusal = Refusal::TooFewCopies { in_sync: 1, min_in_sync: 2 };
    assert_eq!(reign.primary.can_write(&options(), true), Err(refusal));
}

#[test]
fn a_copy_that_is_silent_or_stuck_is_proposed_for_removal_and_waited_for_until_it_is_out() {
    let mut reign = Reign::new(&[ME, SECOND, THIRD], None);
    (0..40).for_each(|tick| {
        reign.acknowledge(SECOND, 10, tick * 10);
        // The third answers, and gets nowhere.
        reign.acknowledge(THIRD, 9, tick * 10);
        assert_eq!(reign.proposal(tick * 10), None, "tick {tick}");
    });
    let shrink = Proposal::Shrink { expected: revision(1), remove: THIRD };
    assert_eq!(reign.proposal(400), Some(shrink.clone()));
    assert_eq!(reign.committed(), 9, "it counts while its removal is proposed");
    assert_eq!(reign.proposal(450), None, "one proposal at a time");
    reign.primary.proposal_ended(&options(), 460);
    assert_eq!(reign.committed(), 9, "and after a proposal without a known outcome");
    assert_eq!(reign.proposal(470), None, "there is a pause");
    reign.acknowledge(SECOND, 10, 560);
    assert_eq!(reign.proposal(560), Some(shrink), "and then it is proposed again");
    reign.learn(view(&[ME, SECOND], None, 2), 570);
    assert_eq!(reign.committed(), 10);
}

#[test]
fn a_primary_that_slept_does_not_take_its_own_silence_for_that_of_others() {
    let mut reign = Reign::new(&[ME, SECOND], None);
    assert_eq!(reign.proposal(10), None);
    assert_eq!(reign.proposal(9_000), None);
    (901..940).for_each(|tick| assert_eq!(reign.proposal(tick * 10), None));
    assert!(reign.proposal(9_410).is_some(), "but then it is silence");
}

#[test]
fn a_joiner_is_waited_for_before_it_is_proposed_and_until_the_view_has_changed() {
    let mut reign = Reign::new(&[ME], Some(SECOND));
    assert_eq!(reign.committed(), 10);
    reign.acknowledge(SECOND, 10, 5);
    let grow = Proposal::Grow { expected: revision(1), node: SECOND, incarnation: INCARNATION };
    assert_eq!(reign.proposal(10), Some(grow));
    reign.log_to(12, 11);
    assert_eq!(reign.committed(), 10, "from now on it counts");
    reign.primary.proposal_ended(&options(), 20);
    assert_eq!(reign.committed(), 10, "the proposal may still be carried out");
    reign.learn(view(&[ME], None, 2), 30);
    assert_eq!(reign.committed(), 12, "now it cannot");
}

#[test]
fn a_joiner_that_is_far_behind_is_not_waited_for() {
    let mut reign = Reign::new(&[ME], Some(SECOND));
    for tick in 1..100 {
        reign.log_to(10 + tick * 5, tick * 10);
        reign.acknowledge(SECOND, 1 + tick / 20, tick * 10);
        assert_eq!(reign.proposal(tick * 10), None);
        assert_eq!(reign.committed(), 10 + tick * 5);
    }
}

#[test]
fn a_joiner_that_is_not_heard_is_proposed_to_be_dropped() {
    let mut reign = Reign::new(&[ME], Some(SECOND));
    reign.committed();
    (1..40).for_each(|tick| assert_eq!(reign.proposal(tick * 10), None));
    assert_eq!(reign.proposal(400), Some(Proposal::DropJoiner { expected: revision(1) }));
}

#[test]
fn without_mirroring_the_primary_has_the_others_removed_and_lets_nobody_join() {
    let mut reign = Reign::new(&[ME, SECOND], Some(THIRD));
    reign.primary.view.mirror = false;
    [SECOND, THIRD].into_iter().for_each(|node| reign.acknowledge(node, 10, 1));
    assert_eq!(reign.proposal(10), Some(Proposal::Shrink { expected: revision(1), remove: SECOND }));
    let observed = View {
        mirror: false,
        observers: BTreeMap::from([(SECOND, INCARNATION)]),
        ..view(&[ME], Some(THIRD), 2)
    };
    reign.learn(observed, 20);
    reign.log_to(20, 25);
    assert_eq!(reign.committed(), 20, "an observer is not waited for");
    reign.acknowledge(THIRD, 20, 30);
    reign.acknowledge(SECOND, 20, 30);
    (3..30).for_each(|tick| assert_eq!(reign.proposal(tick * 10), None));
}

#[test]
fn the_window_bounds_what_is_under_way_and_silence_sends_it_again() {
    let options = ReplicationOptions { in_flight_bytes_max: 1000, message_bytes_max: 600, ..options() };
    let mut reign = Reign::new(&[ME, SECOND], None);
    reign.log_to(100, 0);
    let due = |reign: &mut Reign| reign.with(|primary, log| primary.next_shipment(&options, log));
    assert_eq!(due(&mut reign), Some((SECOND, SequenceNumber::new(10), 600)));
    let send = |reign: &mut Reign, last, bytes| {
        let peer = reign.primary.peer(SECOND).unwrap();
        peer.sent(SequenceNumber::new(last), bytes, SequenceNumber::new(5), 0);
    };
    send(&mut reign, 20, 600);
    assert_eq!(due(&mut reign), None, "one message until the follower has found that its log matches");
    reign.acknowledge(SECOND, 20, 10);
    assert_eq!(due(&mut reign), Some((SECOND, SequenceNumber::new(21), 600)));
    send(&mut reign, 30, 600);
    assert_eq!(due(&mut reign), Some((SECOND, SequenceNumber::new(31), 400)));
    send(&mut reign, 50, 450);
    assert_eq!(due(&mut reign), None);
    reign.acknowledge(SECOND, 30, 50);
    assert_eq!(due(&mut reign), Some((SECOND, SequenceNumber::new(51), 550)));
    reign.with(|primary, log| primary.tick(&options, log, 140));
    assert_eq!(due(&mut reign).map(|due| due.1), Some(SequenceNumber::new(51)));
    reign.with(|primary, log| primary.tick(&options, log, 151));
    assert_eq!(
        due(&mut reign),
        Some((SECOND, SequenceNumber::new(31), 600)),
        "from the first not acknowledged"
    );
}

#[test]
fn a_follower_that_says_often_where_it_stands_is_sent_one_message() {
    let mut reign = Reign::new(&[ME, SECOND], None);
    reign.epochs.push(PrimaryEpoch::new(2), SequenceNumber::new(1));
    reign.log_to(100, 0);
    let mut sent = 0;
    for _ in 0..20 {
        let status = Status { last: SequenceNumber::new(7), epochs: reign.epochs.clone() };
        let epoch = PrimaryEpoch::new(4);
        let content = Content::Status(status);
        let message = Message { group: GroupId::new(1), epoch, incarnation: INCARNATION, content };
        reign.with(|primary, log| primary.receive(&options(), (SECOND, message), log, 1));
        while let Some((_, from, _)) = reign.with(|primary, log| primary.next_shipment(&options(), log)) {
            assert_eq!(from, SequenceNumber::new(8));
            let peer = reign.primary.peer(SECOND).unwrap();
            peer.sent(SequenceNumber::new(20), 100, SequenceNumber::new(5), 1);
            sent += 1;
        }
    }
    assert_eq!(sent, 1);
}

#[test]
fn a_follower_hears_of_the_commit_point_at_once_and_else_of_nothing_for_a_while() {
    let mut reign = Reign::new(&[ME, SECOND], None);
    reign.primary.peer(SECOND).unwrap().sent(SequenceNumber::new(10), 64, SequenceNumber::new(5), 0);
    reign.acknowledge(SECOND, 10, 3);
    assert_eq!(reign.committed(), 10);
    let heartbeats =
        |reign: &mut Reign, now| reign.with(|primary, log| primary.tick(&options(), log, now)).0.len();
    assert_eq!(heartbeats(&mut reign, 10), 1, "within 10 ms");
    assert_eq!((2..11).map(|tick| heartbeats(&mut reign, tick * 10)).sum::<usize>(), 0);
    assert_eq!(heartbeats(&mut reign, 110), 1);
}

#[test]
fn a_round_is_confirmed_by_every_other_copy_in_sync_and_by_nobody_alone() {
    let mut reign = Reign::new(&[ME, SECOND, THIRD], None);
    let round = reign.primary.confirm();
    let echo = |reign: &mut Reign, from, round| {
        let content = Content::Acknowledge { durable: SequenceNumber::new(10), round };
        let epoch = PrimaryEpoch::new(4);
        let message = Message { group: GroupId::new(1), epoch, incarnation: INCARNATION, content };
        reign.with(|primary, log| primary.receive(&options(), (from, message), log, 1));
    };
    echo(&mut reign, SECOND, round);
    assert!(!reign.primary.is_confirmed(round));
    echo(&mut reign, THIRD, round - 1);
    assert!(!reign.primary.is_confirmed(round), "an answer to an earlier question does not count");
    echo(&mut reign, THIRD, round);
    assert!(reign.primary.is_confirmed(round));
    let mut alone = Reign::new(&[ME], None);
    let round = alone.primary.confirm();
    assert!(!alone.primary.is_confirmed(round));
}
