//! `FenceMap`: the tree over plain data.

// Documentation lists the methods of the first modules first.
pub(super) mod fence_map;

mod apply_batch;
pub(super) mod cursor;
mod entry;
mod fallible;
mod get_many;
pub(super) mod iter;
mod ordered;
mod rebalance;
#[cfg(feature = "serde")]
mod serde;
mod traits;
