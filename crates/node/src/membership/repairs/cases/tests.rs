use super::*;

const GROUP: GroupId = GroupId::new(3);

fn ill() -> Option<Ailment> {
    Some(Ailment::Damaged("a bit flipped".to_owned()))
}

#[test]
fn a_copy_falls_ill_once_and_its_history_counts() {
    let repairs = Repairs::default();
    assert!(!repairs.note(GROUP, None));
    assert_eq!(repairs.statistics(), RepairStatistics::default());
    assert!(repairs.note(GROUP, ill()));
    assert!(!repairs.note(GROUP, ill()));
    assert_eq!(repairs.statistics(), RepairStatistics { ailing: 1, failed: 1, started_over: 0 });
    assert!(repairs.is_untold(GROUP) && !repairs.is_untold(GROUP));
    repairs.note_opening(GROUP, Ok(()));
    assert_eq!(repairs.statistics().ailing, 0);
    assert!(!repairs.note(GROUP, None));
    assert!(repairs.note(GROUP, ill()) && repairs.is_untold(GROUP));
    assert_eq!(repairs.statistics().failed, 2);
}

#[test]
fn pauses_between_repairs_double_up_to_an_hour() {
    let repairs = Repairs::default();
    repairs.note(GROUP, ill());
    assert!(repairs.is_due(GROUP, Duration::ZERO), "the first is at once");
    let now = Instant::now();
    let pause = |repairs: &Repairs| {
        repairs.with(GROUP, |case| {
            case.take_turn(now);
            case.next - now
        })
    };
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(pause(&repairs), Some(Duration::from_secs(60 * minutes)));
        assert!(!repairs.is_due(GROUP, Duration::ZERO));
    }
    (0..100).for_each(|_| assert!(pause(&repairs).is_some()));
    // A copy that is well again is not forgiven at once.
    repairs.note(GROUP, None);
    repairs.note(GROUP, ill());
    assert!(!repairs.is_due(GROUP, Duration::ZERO));
    assert_eq!(repairs.with(GROUP, |case| case.repairs), Some(108));
}

#[test]
fn a_copy_that_cannot_be_opened_is_reported_and_not_opened_again_by_itself() {
    let repairs = Repairs::default();
    assert!(!repairs.holds(GROUP) && repairs.reports().is_empty());
    repairs.note_opening(GROUP, Err(&NodeError::Internal("it is damaged")));
    assert!(repairs.holds(GROUP));
    let told: Vec<_> = repairs.reports().iter().map(|report| (report.group, report.damaged)).collect();
    assert_eq!(told, [(GROUP, true)]);
    repairs.keep(|group| group == GROUP);
    assert!(repairs.holds(GROUP));
    repairs.note_opening(GROUP, Ok(()));
    assert!(!repairs.holds(GROUP) && repairs.reports().is_empty());
    repairs.keep(|_| false);
    assert_eq!(repairs.statistics().ailing, 0);
}
