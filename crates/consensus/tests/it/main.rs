//! Several members of a metadata group in one process: files on disk, a network in memory that loses, delays and
//! repeats, and a clock that runs only while nobody works. One seed decides what the network does; elections draw
//! their own random times, so a seed names a kind of schedule rather than one.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod chaos;
mod failover;
mod forming;
mod group;
mod members;
mod net;
mod peers;
mod reads;
