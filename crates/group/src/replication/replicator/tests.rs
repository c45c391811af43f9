use super::*;
use lavandin_types::GroupId;
use std::collections::BTreeMap;

const ME: NodeId = NodeId::new(1);
const OTHER: NodeId = NodeId::new(2);
const INCARNATION: u64 = 7;

fn replicator(promised: u64) -> Replicator {
    let options = ReplicationOptions::new(GroupId::new(1), ME, INCARNATION, 1000);
    Replicator::new(options, PrimaryEpoch::new(promised))
}

fn view(primary: NodeId, epoch: u64, version: u64) -> View {
    View {
        group: GroupId::new(1),
        epoch: PrimaryEpoch::new(epoch),
        version,
        primary,
        in_sync: BTreeMap::from([(ME, INCARNATION), (OTHER, 1)]),
        joiner: None,
        observers: BTreeMap::new(),
        min_in_sync: 1,
        mirror: true,
    }
}

fn position(sequence: u64) -> Position {
    Position { sequence: SequenceNumber::new(sequence), ..Position::default() }
}

fn log(epochs: &EpochTable, last: u64, durable: u64) -> LogState<'_> {
    let (durable, committed) = (SequenceNumber::new(durable), SequenceNumber::new(5));
    LogState { last: position(last), durable, committed, epochs }
}

fn from_primary(epoch: u64, incarnation: u64, content: Content) -> Message {
    Message { group: GroupId::new(1), epoch: PrimaryEpoch::new(epoch), incarnation, content }
}

fn append(committed: u64) -> Content {
    Content::Append(Append { previous: position(3), committed: SequenceNumber::new(committed) })
}

fn receive(replicator: &mut Replicator, message: Message) -> Vec<Action> {
    let epochs = EpochTable::default();
    replicator.receive(OTHER, message, log(&epochs, 9, 9), 0);
    replicator.take_actions()
}

fn learn(replicator: &mut Replicator, view: View) -> Vec<Action> {
    let epochs = EpochTable::default();
    replicator.learn(view, log(&epochs, 9, 9), 0);
    replicator.take_actions()
}

#[test]
fn a_primary_of_an_earlier_epoch_or_for_another_incarnation_is_not_obeyed() {
    let mut replicator = replicator(4);
    assert!(receive(&mut replicator, from_primary(4, INCARNATION - 1, append(0))).is_empty());
    let status = vec![Action::SendStatus { to: OTHER }];
    assert_eq!(receive(&mut replicator, from_primary(3, INCARNATION, append(0))), status);
    let accept = Action::Accept { from: OTHER, previous: position(3) };
    assert_eq!(receive(&mut replicator, from_primary(4, INCARNATION, append(0))), [accept]);
}

#[test]
fn a_later_epoch_is_promised_before_its_first_record_is_taken() {
    let mut replicator = replicator(4);
    let accept = Action::Accept { from: OTHER, previous: position(3) };
    let actions = receive(&mut replicator, from_primary(6, INCARNATION, append(0)));
    assert_eq!(actions, [Action::Promise(PrimaryEpoch::new(6)), accept]);
    assert!(matches!(
        receive(&mut replicator, from_primary(5, INCARNATION, append(0)))[..],
        [Action::SendStatus { .. }]
    ));
}

#[test]
fn the_metadata_alone_fences_an_earlier_primary_too() {
    let mut replicator = replicator(4);
    assert_eq!(learn(&mut replicator, view(OTHER, 6, 3)), [Action::Promise(PrimaryEpoch::new(6))]);
    assert!(learn(&mut replicator, view(OTHER, 5, 2)).is_empty(), "what is older is not learnt");
    assert!(matches!(
        receive(&mut replicator, from_primary(5, INCARNATION, append(0)))[..],
        [Action::SendStatus { .. }]
    ));
}

#[test]
fn a_view_that_names_an_earlier_incarnation_does_not_make_a_primary() {
    let mut replicator = replicator(4);
    let mut stale = view(ME, 5, 2);
    stale.in_sync.insert(ME, INCARNATION - 1);
    assert_eq!(learn(&mut replicator, stale), [Action::Promise(PrimaryEpoch::new(5))]);
    assert_eq!(replicator.reign(), None);
    assert_eq!(learn(&mut replicator, view(ME, 6, 3)), [Action::Lead(PrimaryEpoch::new(6))]);
    assert_eq!(replicator.reign(), Some(PrimaryEpoch::new(6)));
}

#[test]
fn a_deposed_primary_follows_whether_a_view_or_a_primary_tells_it() {
    for by_view in [true, false] {
        let mut replicator = replicator(4);
        learn(&mut replicator, view(ME, 5, 2));
        let actions = match by_view {
            true => learn(&mut replicator, view(OTHER, 6, 3)),
            false => receive(&mut replicator, from_primary(6, INCARNATION, append(0))),
        };
        assert_eq!(actions[..2], [Action::Follow, Action::Promise(PrimaryEpoch::new(6))]);
        assert_eq!(replicator.reign(), None);
        assert!(matches!(replicator.can_write(0), Err(Refusal::NotPrimary { .. })));
    }
}

#[test]
fn records_are_acknowledged_once_they_are_durable_and_applied_as_far_as_they_match() {
    let mut replicator = replicator(4);
    let epochs = EpochTable::default();
    receive(&mut replicator, from_primary(4, INCARNATION, append(50)));
    replicator.accepted(OTHER, Accepted::Matched(position(8)), log(&epochs, 8, 5));
    let actions = replicator.take_actions();
    assert_eq!(actions, [Action::Advance(SequenceNumber::new(8))], "50 is beyond what is known to match");
    replicator.log_changed(log(&epochs, 8, 8), 0);
    let content = Content::Acknowledge { durable: SequenceNumber::new(8), round: 0 };
    let message = from_primary(4, INCARNATION, content);
    assert_eq!(replicator.take_actions()[0], Action::Send { to: OTHER, message });
}

#[test]
fn a_heartbeat_is_answered_at_once_with_what_is_durable_and_matched() {
    let mut replicator = replicator(4);
    let heartbeat = || Content::Heartbeat(Heartbeat { committed: SequenceNumber::new(9), round: 3 });
    let actions = receive(&mut replicator, from_primary(4, INCARNATION, heartbeat()));
    let content = Content::Acknowledge { durable: SequenceNumber::ZERO, round: 3 };
    let message = from_primary(4, INCARNATION, content);
    assert_eq!(
        actions,
        [Action::Send { to: OTHER, message }],
        "nothing is known to match, so nothing is applied"
    );
}

#[test]
fn what_was_acknowledged_is_applied_where_the_log_has_that_very_record() {
    let mut replicator = replicator(4);
    let mut epochs = EpochTable::default();
    epochs.push(PrimaryEpoch::new(3), SequenceNumber::new(1));
    epochs.push(PrimaryEpoch::new(4), SequenceNumber::new(7));
    let mut learn = |epoch, sequence| {
        let (epoch, sequence) = (PrimaryEpoch::new(epoch), SequenceNumber::new(sequence));
        replicator.learn_committed(epoch, sequence, log(&epochs, 9, 8));
        replicator.take_actions()
    };
    assert_eq!(learn(4, 8), [Action::Advance(SequenceNumber::new(8))]);
    assert_eq!(learn(3, 6), [Action::Advance(SequenceNumber::new(6))]);
    assert_eq!(learn(4, 6), [], "the log has another record there");
    assert_eq!(learn(3, 7), [], "a record of its tail took that number");
    assert_eq!(learn(4, 9), [], "it may not stay");
    assert_eq!(learn(4, 10), []);
    assert_eq!(learn(0, 0), []);
}

#[test]
fn a_snapshot_is_fetched_once_and_its_end_is_told() {
    let mut replicator = replicator(4);
    let needed = |from| {
        let from = SequenceNumber::new(from);
        from_primary(4, INCARNATION, Content::SnapshotNeeded { from })
    };
    assert_eq!(receive(&mut replicator, needed(6)), [Action::FetchSnapshot { from: OTHER }]);
    assert!(receive(&mut replicator, needed(6)).is_empty());
    replicator.snapshot_ended(false);
    assert_eq!(receive(&mut replicator, needed(6)), [Action::FetchSnapshot { from: OTHER }]);
    replicator.snapshot_ended(true);
    assert_eq!(replicator.take_actions(), [Action::SendStatus { to: OTHER }]);
    let again = receive(&mut replicator, needed(5));
    assert_eq!(again, [Action::SendStatus { to: OTHER }], "what is committed here is not lacked");
}

#[test]
fn a_lease_counts_from_the_sending_of_what_was_answered() {
    let mut replicator = replicator(4);
    let epochs = EpochTable::default();
    learn(&mut replicator, View { in_sync: BTreeMap::from([(ME, INCARNATION)]), ..view(ME, 5, 2) });
    replicator.began(SequenceNumber::new(10), log(&epochs, 10, 10), 0);
    assert_eq!(replicator.can_write(0), Err(Refusal::NotReady));
    replicator.extend_lease(100, log(&epochs, 10, 10), 900);
    assert_eq!(replicator.take_actions(), [], "the answer came after the lease was over");
    replicator.extend_lease(1000, log(&epochs, 10, 10), 1200);
    assert_eq!(replicator.take_actions(), [Action::Advance(SequenceNumber::new(10))]);
    assert_eq!(replicator.can_write(1599), Ok(()));
    assert!(replicator.can_read_as_primary(1599) && replicator.can_acknowledge(1599));
    assert_eq!(replicator.can_write(1600), Err(Refusal::LeaseOver));
    assert!(!replicator.can_read_as_primary(1600) && !replicator.can_acknowledge(1600));
}
