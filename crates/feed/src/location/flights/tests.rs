use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::oneshot;

type Test = Flights<u8, u32>;

/// Work that counts its starts, and answers when told.
fn work(
    started: &Arc<AtomicUsize>,
    told: oneshot::Receiver<Outcome<u32>>,
) -> impl Future<Output = Outcome<u32>> + use<> {
    let started = started.clone();
    async move {
        started.fetch_add(1, Ordering::SeqCst);
        told.await.expect("the test answers")
    }
}

async fn yields(until: impl Fn() -> bool) {
    for _ in 0..1000 {
        if until() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it did not happen");
}

#[tokio::test]
async fn all_who_ask_at_once_get_one_outcome() {
    let (flights, started) = (Arc::new(Test::new()), Arc::new(AtomicUsize::new(0)));
    let (tell, told) = oneshot::channel();
    let (_, never) = oneshot::channel();
    let (one, other) = (flights.clone(), flights.clone());
    let (first, second) = (work(&started, told), work(&started, never));
    let first = tokio::spawn(async move { one.join(1, first).await });
    yields(|| started.load(Ordering::SeqCst) == 1).await;
    let second = tokio::spawn(async move { other.join(1, second).await });
    yields(|| Arc::strong_count(&flights) == 3).await;
    tokio::task::yield_now().await;
    tell.send(Ok(7)).expect("awaited");
    assert_eq!(first.await.expect("no panic").expect("an outcome"), 7);
    assert_eq!(second.await.expect("no panic").expect("an outcome"), 7);
    assert_eq!(started.load(Ordering::SeqCst), 1);
    assert_eq!(flights.count(), 0);
}

#[tokio::test]
async fn an_error_is_shared_but_not_kept() {
    let (flights, started) = (Test::new(), Arc::new(AtomicUsize::new(0)));
    let failed = || Err(LocationError::NotFound { file: "f".into(), hint: "" });
    for _ in 0..2 {
        let (tell, told) = oneshot::channel();
        tell.send(failed()).expect("awaited");
        assert!(flights.join(1, work(&started, told)).await.is_err());
    }
    assert_eq!(started.load(Ordering::SeqCst), 2);
    assert_eq!(flights.count(), 0);
}

#[tokio::test]
async fn the_work_goes_on_while_somebody_waits_and_ends_with_the_last() {
    let (flights, started) = (Arc::new(Test::new()), Arc::new(AtomicUsize::new(0)));
    let (mut tell, told) = oneshot::channel::<Outcome<u32>>();
    let (one, first) = (flights.clone(), work(&started, told));
    let first = tokio::spawn(async move { one.join(1, first).await });
    yields(|| started.load(Ordering::SeqCst) == 1).await;
    let (_, never) = oneshot::channel();
    let (other, second) = (flights.clone(), work(&started, never));
    let second = tokio::spawn(async move { other.join(1, second).await });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    first.abort();
    assert!(first.await.is_err());
    assert!(!tell.is_closed());
    assert_eq!(flights.count(), 1);
    second.abort();
    assert!(second.await.is_err());
    tell.closed().await;
    assert_eq!(flights.count(), 0);
    assert_eq!(started.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn work_that_dies_is_an_error() {
    let flights = Test::new();
    let error = flights.join(1, async { panic!("a defect") }).await.expect_err("it died");
    assert!(matches!(error, LocationError::Stopped { .. }), "{error}");
}
