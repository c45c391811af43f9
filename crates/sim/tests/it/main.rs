//! Runs of the simulation.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[cfg(feature = "mutations")]
mod mutants;
mod seeds;
