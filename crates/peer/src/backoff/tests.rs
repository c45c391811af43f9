use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn pauses_double_to_the_limit_and_begin_again_after_a_success() {
    for seed in 0..100 {
        let mut backoff = Backoff::new(MS(50), MS(1000), seed);
        for whole in [50, 100, 200, 400, 800, 1000, 1000, 1000] {
            let pause = backoff.failed();
            assert!((MS(whole) / 2..=MS(whole)).contains(&pause), "{pause:?} of {whole} ms");
        }
        backoff.succeeded();
        assert!(backoff.failed() <= MS(50));
    }
}

#[test]
fn pauses_of_two_seeds_differ() {
    let pauses = |seed| {
        let mut backoff = Backoff::new(MS(50), MS(1000), seed);
        (0..4).map(|_| backoff.failed()).collect::<Vec<_>>()
    };
    assert_ne!(pauses(1), pauses(2));
    assert_eq!(pauses(1), pauses(1));
}

#[test]
fn no_number_of_failures_overflows() {
    let mut backoff = Backoff::new(MS(50), Duration::from_secs(3600), u64::MAX);
    for _ in 0..100 {
        assert!(backoff.failed() <= Duration::from_secs(3600));
    }
}
