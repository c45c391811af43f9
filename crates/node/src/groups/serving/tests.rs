use super::*;
use futures_util::FutureExt;
use std::time::Instant;

const SECOND_MS: u64 = 1_000;

/// A copy on a node whose clock shows a minute.
fn copy() -> Serving {
    Serving::new(Clock::started(Duration::from_secs(60)), GroupId::new(1))
}

fn log(copy: &Serving, end: u64) {
    copy.show_log(PrimaryEpoch::new(1), SequenceNumber::new(end));
}

fn apply(copy: &Serving, applied: u64) {
    copy.show_applied(PrimaryEpoch::new(1), SequenceNumber::new(applied));
}

/// How many whole seconds ago the copy showed all that had been acknowledged.
fn age_s(copy: &Serving) -> Option<u64> {
    let meets = |age_s: &u64| {
        copy.meets(Need { age_ms_max: Some(age_s * SECOND_MS + SECOND_MS / 2), ..Need::default() })
    };
    (0..3600).find(meets)
}

#[test]
fn a_copy_is_as_old_as_what_its_log_held_when_it_was_last_known_to_be_in_sync() {
    let copy = copy();
    log(&copy, 10);
    assert_eq!(age_s(&copy), None, "nobody has said that it is in sync");
    copy.note_in_sync(40 * SECOND_MS);
    assert_eq!(age_s(&copy), None, "it shows nothing of its log");
    apply(&copy, 9);
    assert_eq!(age_s(&copy), None);
    apply(&copy, 10);
    assert_eq!(age_s(&copy), Some(20));
    copy.note_in_sync(45 * SECOND_MS);
    assert_eq!(age_s(&copy), Some(15));
}

#[test]
fn a_copy_whose_views_stand_still_grows_old() {
    let copy = copy();
    copy.note_in_sync(40 * SECOND_MS);
    log(&copy, 11);
    for moment_s in 50..60 {
        copy.note_in_sync(moment_s * SECOND_MS);
        log(&copy, moment_s);
    }
    assert_eq!(age_s(&copy), Some(20));
    // The first of what it waits for, not the last: under writes that never pause there is always more.
    apply(&copy, 11);
    assert_eq!(age_s(&copy), Some(10));
    copy.note_in_sync(59 * SECOND_MS);
    assert_eq!(age_s(&copy), Some(10));
    apply(&copy, 59);
    assert_eq!(age_s(&copy), Some(1));
}

#[test]
fn a_tail_that_was_cut_off_is_not_waited_for() {
    let copy = copy();
    apply(&copy, 5);
    log(&copy, 9);
    copy.note_in_sync(40 * SECOND_MS);
    log(&copy, 6);
    copy.note_in_sync(50 * SECOND_MS);
    apply(&copy, 6);
    assert_eq!(age_s(&copy), Some(10));
}

#[test]
fn a_copy_says_how_far_it_is() {
    let copy = copy();
    apply(&copy, 7);
    let need = |sequence| Need { applied_min: Applied { sequence, ..Applied::default() }, age_ms_max: None };
    assert!(copy.meets(Need::default()) && copy.meets(need(7)) && !copy.meets(need(8)));
}

#[tokio::test]
async fn what_is_about_to_be_shown_is_waited_for() {
    let copy = copy();
    log(&copy, 2);
    let showing = async {
        for applied in 1..=2 {
            assert!(copy.catch_up(0).now_or_never().is_none());
            apply(&copy, applied);
            // What comes later is not waited for.
            log(&copy, 2 + applied);
        }
    };
    tokio::join!(biased; copy.catch_up(0), showing);
    assert_eq!(copy.applied(), 2);
    assert!(copy.catch_up(0).now_or_never().is_none(), "there is more by now");
}

#[tokio::test]
async fn a_silent_primary_is_waited_for_once() {
    let copy = copy();
    assert!(copy.catch_up(0).now_or_never().is_some(), "there is nothing to wait for");
    log(&copy, 3);
    let started = Instant::now();
    copy.catch_up(0).await;
    assert!(started.elapsed() >= CATCH_UP);
    assert!(copy.catch_up(0).now_or_never().is_some());
    assert!(copy.catch_up(2).now_or_never().is_none(), "that much is committed");
    apply(&copy, 1);
    assert!(copy.catch_up(0).now_or_never().is_none(), "it has spoken again");
}
