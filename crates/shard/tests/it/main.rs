//! The shard behind its group, on simulated disks.

// A test binary: what fails here should panic, and nothing outside of it sees its items.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod crashes;
mod damage;
mod digests;
mod disk;
mod formats;
mod graph_jobs;
mod model;
mod openings;
mod places;
mod random_life;
mod rejections;
mod replaced;
mod reservations;
mod searches;
mod store;
mod upserts;
