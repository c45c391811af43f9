use super::*;

fn log(entries: &[(u8, u8)]) -> Log {
    let mut log = Log::EMPTY;
    for (epoch, request) in entries {
        log.push(Entry::write(*epoch, *request));
    }
    log
}

#[test]
fn sequence_numbers_count_from_one() {
    let log = log(&[(1, 0), (2, 5)]);
    assert_eq!(
        (log.last(), log.epoch_at(0), log.epoch_at(1), log.epoch_at(2)),
        (2, Some(0), Some(1), Some(2))
    );
    assert_eq!((log.at(0), log.epoch_at(3)), (None, None));
    assert!(log.has_request(5) && !log.has_request(1));
    assert_eq!(log.to_string(), "1:barrier 2:w5");
}

#[test]
fn equal_logs_are_equal_bytes_after_a_truncation() {
    let mut long = log(&[(1, 0), (1, 1), (1, 2)]);
    long.truncate(1);
    assert!(long == log(&[(1, 0)]));
    long.truncate(4);
    assert_eq!(long.last(), 1);
}

#[test]
fn logs_agree_up_to_their_fork() {
    let (ours, theirs) = (log(&[(1, 0), (1, 1), (3, 0)]), log(&[(1, 0), (1, 1), (2, 0), (2, 2)]));
    assert_eq!((ours.common(&theirs), ours.common(&ours), ours.common(&Log::EMPTY)), (2, 3, 0));
    assert!(ours.starts_with(&log(&[(1, 0), (1, 1)])) && !ours.starts_with(&theirs));
}
