//! Rebalancing of fences with more load than others, and figures about their load.

#[cfg(feature = "std-ext")]
mod contention;
pub(super) mod fence_loads;
mod rebalance;
