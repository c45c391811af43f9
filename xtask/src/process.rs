//! Running other programs: says what it runs, passes their output through, and ends them at a deadline.
//!
//! A deadline turns a hang into a failure that names its step, long before the whole run would be cut off.

use anyhow::{Context, Result, bail};
use std::io::IsTerminal;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a running child is looked at; short against every step, long against a spin.
const POLL: Duration = Duration::from_millis(50);

/// Runs `command` to its end. Anything but success within `limit` is an error.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<()> {
    println!("$ {}", text(command));
    // A group of its own lets the deadline end grandchildren (servers that tests started) too; on a terminal the
    // child stays in ours, so that Ctrl-C reaches it.
    let own_group = cfg!(unix) && !std::io::stdin().is_terminal();
    #[cfg(unix)]
    if own_group {
        std::os::unix::process::CommandExt::process_group(command, 0);
    }
    let mut child =
        command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start {}", text(command)))?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(());
            }
            bail!("{} ended with {status}", text(command));
        }
        if Instant::now() >= deadline {
            end(&mut child, own_group);
            bail!("{} ran longer than {} s and was ended", text(command), limit.as_secs());
        }
        thread::sleep(POLL);
    }
}

/// Runs `command` quietly and returns what it wrote to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let result = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", text(command)))?;
    if !result.status.success() {
        bail!("{} ended with {}", text(command), result.status);
    }
    String::from_utf8(result.stdout).with_context(|| format!("{} wrote no UTF-8", text(command)))
}

/// Whether `command` runs and succeeds; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether this is an unattended run.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

fn end(child: &mut Child, own_group: bool) {
    if own_group {
        let group = format!("-{}", child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn text(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

#[cfg(all(test, unix))]
mod tests;
