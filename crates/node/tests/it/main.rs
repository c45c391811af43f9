//! The node through its public interface, on real directories.

mod collections;
mod datasets;
mod fixed_steps;
mod fixture;
mod grants;
mod groups;
mod indexes;
mod iterate;
mod keys;
mod life;
mod preprocessing;
mod reads;
mod shards;
mod sharing;
mod writes;
