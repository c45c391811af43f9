use super::*;

#[test]
fn own_pages_are_counted_and_those_of_files_are_not() {
    let status = "Name:\tpython3\nVmRSS:\t  900 kB\nRssAnon:\t  100 kB\nRssFile:\t  800 kB\nRssShmem:\t 7 kB\nVmSwap:\t 3 kB\n";
    assert_eq!(parse(status), Some(110 * 1024));
    assert_eq!(parse("Name:\tkernel thread\n"), None);
    assert_eq!(parse("RssAnon:\tmany kB\n"), None);
}

#[test]
#[cfg(target_os = "linux")]
fn this_process_uses_memory() {
    assert!(used_bytes(std::process::id()).unwrap() > 100_000);
}
