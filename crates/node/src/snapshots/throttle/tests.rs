use super::*;

const RATE: u64 = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn all_who_share_it_are_held_to_its_rate_while_the_node_is_busy() {
    let (throttle, start) = (Throttle::new(RATE), Instant::now());
    throttle.note_at(start);
    let waits: Vec<_> = (0..10).map(|_| throttle.reserve(RATE, start)).collect();
    assert_eq!(waits[0], None);
    assert_eq!(waits[9], Some(start + 9 * SECOND - BURST));
    // Nobody waits for what went long ago.
    let later = start + 60 * SECOND;
    throttle.note_at(later);
    assert_eq!(throttle.reserve(RATE, later), None);
    assert_eq!(throttle.reserve(1, later), Some(later + SECOND - BURST));
}

#[test]
fn an_idle_node_has_no_limit() {
    let (throttle, start) = (Throttle::new(RATE), Instant::now());
    assert!((0..100).all(|_| throttle.reserve(RATE, start).is_none()));
    throttle.note_at(start);
    assert_eq!(throttle.reserve(RATE, start), None);
    assert!(throttle.reserve(RATE, start).is_some());
    let later = start + BUSY + Duration::from_millis(1);
    assert!((0..100).all(|_| throttle.reserve(RATE, later).is_none()));
}

#[test]
fn zero_is_no_limit() {
    let (throttle, now) = (Throttle::new(0), Instant::now());
    throttle.note_at(now);
    assert!((0..100).all(|_| throttle.reserve(u64::MAX, now).is_none()));
}
