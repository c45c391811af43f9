//! Limits of iterations. `prepare` refuses what would pass them; `apply` knows none.

/// Samples of one block, so that the offset after the last is one of 32 bits too.
pub(crate) const BLOCK_SAMPLES_MAX: u64 = u32::MAX as u64;
/// Shard files of a dataset.
pub(crate) const SHARDS_MAX: u32 = 1 << 24;
/// Samples of a lane's block, or those of one step where they are more. Blocks of thousands of lanes are kept ready, so they are
/// smaller than an order's.
pub(crate) const LANE_BLOCK_SAMPLES: u64 = 2048;
/// Blocks of an iteration with fixed shares: all are given out at its creation.
pub(crate) const LANE_BLOCKS_MAX: u32 = 1 << 24;
/// Lanes of such an iteration, whatever the limit of ranks.
pub(crate) const LANES_MAX: u32 = 1 << 16;
/// Bytes of a definition.
pub(crate) const DEFINITION_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IterationLimits {
    /// Iterations kept. A new one takes the place of the oldest finished one, or of the one that is idle for longest.
    pub iterations_max: usize,
    /// An unfinished iteration is not given up before it has been idle for this long.
    pub idle_ms_min: u64,
    /// Ranks of one iteration.
    pub ranks_max: usize,
    /// Samples that one request names; at most 16,777,216, so that every operation fits the log.
    pub request_samples_max: u64,
    /// Grants of one rank of which it is not known whether their answer left.
    pub open_grants_max: usize,
}

impl Default for IterationLimits {
    fn default() -> Self {
        Self {
            iterations_max: 1000,
            idle_ms_min: 24 * 60 * 60 * 1000,
            ranks_max: 16_384,
            request_samples_max: 1 << 20,
            open_grants_max: 1024,
        }
    }
}
