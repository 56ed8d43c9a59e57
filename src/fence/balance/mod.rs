//! Rebalancing of fences with more load than others, and figures about their load.
//!
//! There is one mechanism, `rebalance`: users call it as `rebalance_step`, and the first of the worker threads of
//! `std_ext::FenceWorkers` calls it every millisecond. It does not make two writers on two processors faster, because
//! locks belong to leaves (× 0.98 and 0.99 in the table of `docs::moving_load`). It stays because workers own runs of
//! fences: fences that follow the load are what shares a hot range among workers.

#[cfg(feature = "std-ext")]
mod contention;
pub(super) mod fence_loads;
mod rebalance;
