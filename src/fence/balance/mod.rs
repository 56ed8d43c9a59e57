//! What a map does about fences with more load than others, and what it tells about their load.

#[cfg(feature = "std-ext")]
mod contention;
pub(super) mod fence_loads;
mod rebalance;
