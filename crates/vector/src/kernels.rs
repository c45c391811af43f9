//! Distance kernels: the few loops in which searches spend their time, written once per instruction set.
//!
//! [`Kernels`] is a table of functions. [`Kernels::get`] picks the best table for this processor once;
//! [`Kernels::for_level`] gives a certain one, so that tests compare every table with the scalar one and benchmarks
//! measure each. Searches take the table once and call through it.
//!
//! Invariants: every function is safe to call with any slices of fitting lengths (checked once a call, not in the
//! loops), needs no alignment, reads nothing beyond the slices, and gives the same value for the same arguments on
//! one level. Integer results are equal on all levels; floating-point results differ by rounding, because the
//! order of summation differs. Deliberately absent: metrics beyond inner product and L2 (see `metric`), and reading the
//! environment: which level to force is the caller's affair.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod level;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
mod table;
mod tile;

pub use level::Level;
pub use table::Kernels;
pub use tile::{Form, Line, TILE_ROWS, Tile};

#[cfg(test)]
pub(crate) mod tests;
