//! A copy of a group with a small consumer, on simulated disks.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod checkpoints;
mod crashes;
mod damage;
mod followers;
mod ledger;
mod life;
mod requests;
mod schedules;
mod snapshots;
