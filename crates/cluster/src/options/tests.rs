use super::*;

#[test]
fn times_keep_their_order_for_every_detection_time() {
    for detection_ms in [1_000, 1_001, 1_999, 3_000, 10_000, 600_000] {
        let options = ClusterOptions { detection_ms, ..ClusterOptions::default() };
        options.check().unwrap();
        assert!(options.replica_silence_ms() < options.lease_ms());
        assert!(options.lease_ms() < options.promotion_ms(), "a lease ends before anybody is promoted");
        assert!(options.new_leader_ms() >= options.lease_ms() + ELECTION_MS_MAX);
        assert!(3 * options.heartbeat_ms() < options.lease_ms(), "a lease lasts over lost heartbeats");
    }
    let defaults = ClusterOptions::default();
    assert_eq!(
        (defaults.lease_ms(), defaults.promotion_ms(), defaults.new_leader_ms()),
        (1_800, 3_000, 3_000)
    );
}
