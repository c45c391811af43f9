//! The node through its public interface, on real directories.

mod collections;
mod fixture;
mod indexes;
mod life;
mod reads;
mod writes;
