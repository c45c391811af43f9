//! The iterations through their public face: a model of plain sets beside them, joins, what a
//! categorizer carries over, concurrency of staged requests,
//! sizes, damage.

mod carry_over;
mod damage;
mod fixed_shares;
pub(crate) mod fixture;
mod joins;
mod model;
mod random_life;
mod sessions;
mod sizes;
mod staging;
mod wire;
