//! A progress bar: redrawn on a terminal, a single line elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Instant;

/// With the words before and after it a line fits 80 columns.
const WIDTH: usize = 32;

pub(super) struct Progress {
    what: &'static str,
    total: usize,
    started: Instant,
    is_terminal: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str, total: usize) -> Self {
        Self { what, total, started: Instant::now(), is_terminal: std::io::stdout().is_terminal() }
    }

    pub(super) fn show(&self, done: usize) {
        if self.is_terminal {
            print!("\r{}", self.line(done));
            let _ = std::io::stdout().flush();
        }
    }

    pub(super) fn finish(self) {
        let seconds = self.started.elapsed().as_secs_f64();
        let start = if self.is_terminal { "\r" } else { "" };
        println!("{start}{}  {seconds:.1} s", self.line(self.total));
    }

    /// Takes the bar away.
    pub(super) fn clear(self) {
        if self.is_terminal {
            print!("\r{:width$}\r", "", width = self.line(self.total).chars().count());
            let _ = std::io::stdout().flush();
        }
    }

    fn line(&self, done: usize) -> String {
        let filled = (done * WIDTH).checked_div(self.total).unwrap_or(WIDTH).min(WIDTH);
        let (bar, rest) = ("#".repeat(filled), "-".repeat(WIDTH - filled));
        format!("{} [{bar}{rest}] {done}/{}", self.what, self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills() {
        let progress = Progress::new("Loading", 8);
        assert!(progress.line(0).ends_with("----] 0/8"));
        assert!(progress.line(2).contains(&format!("[{}{}]", "#".repeat(8), "-".repeat(24))));
        assert!(progress.line(8).contains(&"#".repeat(WIDTH)));
        assert!(Progress::new("Nothing", 0).line(0).ends_with("] 0/0"));
    }
}
