//! How much memory a process has of its own.

/// Bytes that only this process can free (or that the system swapped out for it), without pages of files; `None` where
/// the system does not tell.
pub(super) fn used_bytes(process: u32) -> Option<u64> {
    parse(&std::fs::read_to_string(format!("/proc/{process}/status")).ok()?)
}

fn parse(status: &str) -> Option<u64> {
    let mut total = None;
    for line in status.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        if matches!(name, "RssAnon" | "RssShmem" | "VmSwap") {
            let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
            total = Some(total.unwrap_or(0) + kilobytes * 1024);
        }
    }
    total
}

#[cfg(test)]
mod tests;
