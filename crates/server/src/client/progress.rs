//! Follows a sync on the terminal until it ends.

use super::explained;
use anyhow::{Result, bail};
use lavandin_client::Client;
use lavandin_wire::lavender::TaskStatus;
use std::io::Write;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(200);
/// A sync that has just begun may not be listed yet, so that it counts as ended when it was missing twice.
const MISSING_MAX: u32 = 2;
/// With the words beside it a line fits 80 columns.
const WIDTH: usize = 32;

/// What a status means for who waits.
#[derive(Debug, PartialEq, Eq)]
enum Sync {
    Running,
    Ended,
    Failed,
}

fn stage(status: &TaskStatus) -> Sync {
    // A server may add why.
    match status.status.split([':', ' ']).next() {
        Some("completed" | "done") => Sync::Ended,
        Some("failed" | "aborted") => Sync::Failed,
        _ => Sync::Running,
    }
}

/// Shows how far the sync of a shardset is, on standard error, until it has ended.
pub(super) async fn follow(client: &Client, dataset: &str, shardset: &str) -> Result<()> {
    let mut missing = 0;
    let mut shown = false;
    let failure = loop {
        let status = client.sync_status(dataset, shardset).await.map_err(explained)?;
        match &status {
            None => missing += 1,
            Some(status) => {
                missing = 0;
                show(&line(status));
                shown = true;
                match stage(status) {
                    Sync::Running => {}
                    Sync::Ended => break None,
                    Sync::Failed => break Some(ending(status)),
                }
            }
        }
        if missing >= MISSING_MAX {
            break None;
        }
        tokio::time::sleep(POLL).await;
    };
    if shown {
        eprintln!();
    }
    match failure {
        Some(ending) => bail!("the sync has ended: {ending}"),
        None => Ok(()),
    }
}

/// How a sync failed.
fn ending(status: &TaskStatus) -> String {
    match &status.error {
        Some(error) => format!("{}: {error}", status.status),
        None => format!("{}; the node's log says why", status.status),
    }
}

/// Draws over the line before.
fn show(line: &str) {
    let mut out = std::io::stderr().lock();
    let _ = write!(out, "\r{line}\x1b[K").and_then(|()| out.flush());
}

fn line(status: &TaskStatus) -> String {
    let TaskStatus { status, current, total, .. } = status;
    // The server's word, without what could move the cursor.
    let word: String = status.chars().filter(|letter| !letter.is_control()).take(20).collect();
    if *total == 0 {
        return format!("{word} …");
    }
    let filled = (u128::from(*current.min(total)) * WIDTH as u128 / u128::from(*total)) as usize;
    let (bar, rest) = ("#".repeat(filled), "-".repeat(WIDTH - filled));
    format!("{word} [{bar}{rest}] {current}/{total}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(word: &str, current: u64, total: u64) -> TaskStatus {
        TaskStatus { status: word.to_owned(), current, total, error: None }
    }

    #[test]
    fn the_bar_fills() {
        assert_eq!(line(&status("list", 0, 0)), "list …");
        let half = format!("inspect [{}{}] 4/8", "#".repeat(16), "-".repeat(16));
        assert_eq!(line(&status("inspect", 4, 8)), half);
        assert!(line(&status("reflect", 9, 8)).contains(&"#".repeat(WIDTH)));
        assert!(line(&status("a\x1b[2Jb", u64::MAX, 1)).starts_with("a[2Jb ["));
    }

    #[test]
    fn words_that_end_a_sync() {
        assert_eq!(stage(&status("inspect", 1, 2)), Sync::Running);
        assert_eq!(stage(&status("completed", 2, 2)), Sync::Ended);
        for word in ["failed", "aborted", "failed: no such file"] {
            assert_eq!(stage(&status(word, 1, 2)), Sync::Failed);
        }
    }
}
