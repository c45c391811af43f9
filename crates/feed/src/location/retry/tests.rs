use super::*;

fn passing() -> LocationError {
    LocationError::Unreachable { file: "f".into(), cause: "refused".into() }
}

fn retry(retries: u32, time: Duration) -> Retry {
    Retry::new(RetryPolicy { retries, pause: Duration::from_millis(1) }, Instant::now() + time)
}

#[test]
fn pauses_double_with_jitter_up_to_a_cap() {
    let first = Duration::from_millis(100);
    assert_eq!(pause(first, 0, None, u64::MAX), first);
    assert_eq!(pause(first, 0, None, 0), first / 2);
    assert_eq!(pause(first, 3, None, u64::MAX), first * 8);
    assert_eq!(pause(first, 40, None, u64::MAX), PAUSE_MAX);
}

#[test]
fn the_server_may_ask_for_a_longer_pause_but_not_for_any() {
    let first = Duration::from_millis(100);
    assert_eq!(pause(first, 0, Some(Duration::from_secs(3)), 0), Duration::from_secs(3));
    assert_eq!(pause(first, 0, Some(Duration::from_secs(1_000_000)), 0), ASKED_PAUSE_MAX);
    assert_eq!(pause(first, 3, Some(Duration::from_millis(1)), u64::MAX), first * 8);
}

#[tokio::test]
async fn only_failures_that_may_pass_are_tried_again() {
    let lasting = LocationError::NotFound { file: "f".into(), hint: "" };
    assert!(retry(5, Duration::from_secs(60)).after(lasting).await.is_err());
    assert!(retry(5, Duration::from_secs(60)).after(passing()).await.is_ok());
}

#[tokio::test]
async fn retries_end_by_number_and_by_time() {
    let mut by_number = retry(2, Duration::from_secs(60));
    assert!(by_number.after(passing()).await.is_ok());
    assert!(by_number.after(passing()).await.is_ok());
    assert!(matches!(by_number.after(passing()).await, Err(LocationError::Unreachable { .. })));
    assert!(by_number.again().after(passing()).await.is_ok());
    assert!(retry(2, Duration::ZERO).after(passing()).await.is_err());
}
