//! The protocol is searched within bounds, and every rule that is left out is missed.

mod exhaustive;
mod mistakes;

use lavandin_model::{Config, Mistake};

/// Threads of a search.
const THREADS: usize = 2;

/// Three nodes, two copies, and nothing that happens.
fn quiet() -> Config {
    Config {
        nodes: 3,
        replicas: 2,
        writes: 0,
        epochs: 1,
        restarts: 0,
        replacements: 0,
        changes: 0,
        mistakes: Vec::new(),
        outcomes_only: false,
    }
}

fn with(config: &Config, mistakes: &[Mistake]) -> Config {
    Config { mistakes: mistakes.to_vec(), outcomes_only: true, ..config.clone() }
}

fn is_slow() -> bool {
    std::env::var("LAVANDIN_SLOW_TESTS").is_ok_and(|value| value == "1")
}
