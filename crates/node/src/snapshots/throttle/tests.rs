use super::*;

const RATE: u64 = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn all_who_share_it_are_held_to_its_rate_while_the_node_is_busy() {
    let (throttle, start) = (Throttle::new(RATE), Instant::now());
    throttle.note_request();
    let waits: Vec<_> = (0..10).map(|_| throttle.reserve(RATE, start)).collect();
    assert_eq!(waits[0], None);
    assert_eq!(waits[9], Some(start + 9 * SECOND - BURST));
    // Nobody waits for what went long ago.
    tokio::time::advance(60 * SECOND).await;
    let later = Instant::now();
    throttle.note_request();
    assert_eq!(throttle.reserve(RATE, later), None);
    assert_eq!(throttle.reserve(1, later), Some(later + SECOND - BURST));
}

#[tokio::test(start_paused = true)]
async fn an_idle_node_has_no_limit() {
    let throttle = Throttle::new(RATE);
    assert!((0..100).all(|_| throttle.reserve(RATE, Instant::now()).is_none()));
    throttle.note_request();
    assert!((0..2).any(|_| throttle.reserve(RATE, Instant::now()).is_some()));
    tokio::time::advance(BUSY).await;
    assert!((0..100).all(|_| throttle.reserve(RATE, Instant::now()).is_none()));
}

#[tokio::test(start_paused = true)]
async fn zero_is_no_limit() {
    let throttle = Throttle::new(0);
    throttle.note_request();
    assert!((0..100).all(|_| throttle.reserve(u64::MAX, Instant::now()).is_none()));
}
