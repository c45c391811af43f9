use super::*;
use crate::{LocalDirectory, MemoryDirectory, conformance};

fn faulty() -> FaultyDirectory {
    FaultyDirectory::new(Arc::new(MemoryDirectory::new()))
}

#[test]
fn conforms_without_a_plan() {
    conformance::run(|| Arc::new(faulty()));
}

#[test]
fn conforms_around_local_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    conformance::run(|| {
        count += 1;
        let inner = LocalDirectory::new(folder.path().join(count.to_string())).unwrap();
        Arc::new(FaultyDirectory::new(Arc::new(inner)))
    });
}

#[test]
fn counts_calls_syncs_and_bytes() {
    let directory = faulty();
    let mut file = directory.create("a").unwrap();
    file.write_at(0, b"12345").unwrap();
    file.write_at(5, b"678").unwrap();
    file.sync().unwrap();
    directory.sync_dir("").unwrap();
    assert_eq!(directory.calls(), Calls { mutating: 5, syncs: 2, writes: 2, bytes_written: 8 });
}

#[test]
fn each_fault_strikes_at_the_planned_call() {
    for fault in Fault::ALL {
        let directory = faulty();
        directory.fail_at(2, fault);
        let mut file = directory.create("a").unwrap();
        file.write_at(0, b"1234").unwrap();
        assert!(!directory.has_struck());
        file.write_at(4, b"5678").unwrap_err();
        assert!(directory.has_struck());
        let works = matches!(fault, Fault::Failed | Fault::Torn);
        assert_eq!(file.write_at(20, b"").is_ok(), works, "{fault:?}");
        let reads = !matches!(fault, Fault::Crash | Fault::TornCrash);
        assert_eq!(directory.map("a").is_ok(), reads, "{fault:?}");
        assert_eq!(file.sync().is_ok(), reads, "{fault:?}");
        directory.heal();
        let written = match fault {
            Fault::Failed | Fault::Crash => &b"1234"[..],
            Fault::Torn | Fault::NoSpace | Fault::TornCrash => b"123456",
        };
        assert_eq!(&directory.map("a").unwrap()[..], written, "{fault:?}");
    }
}

#[test]
fn syncs_are_slow_as_long_as_they_are_told_to_be() {
    let directory = faulty();
    let mut file = directory.create("a").unwrap();
    let mut takes = |delay| {
        directory.slow_syncs(delay);
        let begun = std::time::Instant::now();
        file.sync().unwrap();
        directory.sync_dir("").unwrap();
        begun.elapsed()
    };
    let delay = Duration::from_millis(20);
    assert!(takes(delay) >= 2 * delay);
    assert!(takes(Duration::ZERO) < delay);
}

#[test]
fn a_torn_call_that_is_no_write_is_done_and_fails() {
    let directory = faulty();
    directory.fail_at(0, Fault::Torn);
    assert!(directory.create("a").is_err());
    assert!(directory.exists("a").unwrap());
}
